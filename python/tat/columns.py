# SPDX-License-Identifier: MIT
"""Access records as the columns that all text formats share (doc/format.md), without a loop over records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from tat import _abi
from tat.trace import Flags, Records, Trace

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Column:
    """Values of one column: numbers or, with `names`, numbers of names, -1 if there is none."""

    name: str
    values: npt.NDArray[Any]
    missing: Flags | None = None  # None: none are
    names: Sequence[str] | None = None


#: The columns in the order of `tat export --format csv`.
ACCESS_COLUMNS = (
    "start_ns", "duration_ns", "graph", "node", "token", "tokens", "phase", "context", "layer", "op", "operand",
    "tensor_id", "tensor", "model", "component", "role", "expert", "head", "offset", "size", "stride", "count",
    "access", "memory",
)  # fmt: skip


class Vocabulary:
    """The names behind the numbers in a trace's records: each name once, "" for none."""

    def __init__(self, trace: Trace) -> None:
        """Keep the trace. Names are read when they are first needed."""
        self._trace = trace

    @cached_property
    def tensors(self) -> tuple[list[str], Codes]:
        """All different names, and for each tensor the number of its name."""
        return unique(self._trace.texts(self._trace.tensors["name"]))

    @cached_property
    def ops(self) -> tuple[list[str], Codes]:
        """All different names, and for each operation the number of its name."""
        return unique(self._trace.ops)

    @cached_property
    def components(self) -> list[str]:
        """By number."""
        return self._trace.components

    @cached_property
    def component_of(self) -> Codes:
        """By tensor; -1 for activations and inputs, which do not belong to a model."""
        t = self._trace.tensors
        has_part = np.isin(t["kind"], (_abi.KINDS.index("weight"), _abi.KINDS.index("state")))
        return np.where(has_part, t["component"], -1).astype(np.int32)

    @cached_property
    def model_of(self) -> Codes:
        """The number of its model by tensor, or -1."""
        t, files = self._trace.tensors, self._trace.model_files
        model = np.concatenate([[-1], files["model"].astype(np.int32)]).astype(np.int32)
        return model[np.where(t["file"] <= len(files), t["file"], 0)]


def number(name: str, values: npt.NDArray[Any], missing: Flags | None = None) -> Column:
    """A column of signed numbers, which every reader of tables can subtract.

    A number too large for that, which only damage makes, is missing.
    """
    if values.dtype == np.uint64:
        large = values > np.uint64(2**63 - 1)
        if large.any():
            missing = large if missing is None else missing | large
    wide = np.int32 if values.dtype.itemsize <= 2 else np.int64
    return Column(name, values.astype(wide), missing)


def named(name: str, values: npt.NDArray[Any], names: Sequence[str]) -> Column:
    """A column of names by their numbers. A number without a name, which damage may make, is missing."""
    codes = values.astype(np.int32)
    if codes.max(initial=-1) >= len(names) or codes.min(initial=0) < -1:
        codes = np.where((codes >= 0) & (codes < len(names)), codes, np.int32(-1))
    return Column(name, codes, names=names)


def unique(names: Sequence[str]) -> tuple[list[str], Codes]:
    """The different names, and the number of each, -1 for the empty one."""
    numbers: dict[str, int] = {}
    codes = [-1 if not name else numbers.setdefault(name, len(numbers)) for name in names]
    return list(numbers), np.array(codes, np.int32)


def _heads(a: Records) -> Column:
    """ "3", or "0-8" for several."""
    first, count = a["head_first"].astype(np.int64), a["head_count"].astype(np.int64)
    none = first == _abi.NO_HEAD
    if none.all():
        return named("head", np.full(len(a), -1), [])
    pairs, codes = np.unique(np.where(none, -1, first << 16 | count), return_inverse=True)
    spans = [(int(p) >> 16, max(int(p) & 0xFFFF, 1)) for p in pairs[pairs >= 0]]
    names = [str(f) if n == 1 else f"{f}-{f + n - 1}" for f, n in spans]
    return named("head", codes - int((pairs < 0).sum()), names)


def access_columns(
    trace: Trace, words: Vocabulary, a: Records, names: Iterable[str] = ACCESS_COLUMNS
) -> Iterator[Column]:
    """The columns with these names, of access records, in this order. No others are made."""
    tensor, evaluation, flags = a["tensor"], a["evaluation"], a["flags"]

    def phase() -> npt.NDArray[Any]:
        return np.asarray(flags >> _abi.ACCESS_PHASE_SHIFT & 7)

    def has(flag: int) -> Flags:
        return np.asarray((flags & flag) != 0)

    def of_evaluation(field: str) -> npt.NDArray[Any]:
        return np.asarray(trace.evaluations[field][evaluation])

    def token() -> Column:
        uncounted = (phase() == _abi.PHASES.index("warmup")) | (of_evaluation("n_tokens") == 0)
        return number("token", a["token"], uncounted)

    def model() -> Column:
        values = words.model_of[tensor]
        return number("model", values, values < 0)

    def stride() -> Column:
        return number("stride", trace.strides(a["layout"]), has(_abi.ACCESS_APPROXIMATE) | (a["rows"] <= 1))

    make: dict[str, Callable[[], Column]] = {
        "start_ns": lambda: number("start_ns", a["start_ns"], has(_abi.ACCESS_UNTIMED)),
        "duration_ns": lambda: number("duration_ns", a["duration_ns"], has(_abi.ACCESS_UNTIMED)),
        "graph": lambda: number("graph", evaluation),
        "node": lambda: number("node", a["node"]),
        "token": token,
        "tokens": lambda: number("tokens", of_evaluation("n_tokens")),
        "phase": lambda: named("phase", phase(), _abi.PHASES),
        "context": lambda: number("context", of_evaluation("context")),
        "layer": lambda: number("layer", a["layer"], a["layer"] == _abi.NO_LAYER),
        "op": lambda: named("op", words.ops[1][a["op"]], words.ops[0]),
        "operand": lambda: named("operand", a["operand"], _abi.OPERANDS),
        "tensor_id": lambda: number("tensor_id", tensor),
        "tensor": lambda: named("tensor", words.tensors[1][tensor], words.tensors[0]),
        "model": model,
        "component": lambda: named("component", words.component_of[tensor], words.components),
        "role": lambda: named("role", (a["kind"] & 15).astype(np.int32) - 1, _abi.ROLES[1:]),
        "expert": lambda: number("expert", a["expert"], a["expert"] == _abi.NO_EXPERT),
        "head": lambda: _heads(a),
        "offset": lambda: number("offset", a["offset"]),
        "size": lambda: number("size", a["bytes"]),
        "stride": stride,
        "count": lambda: number("count", a["rows"], has(_abi.ACCESS_APPROXIMATE)),
        "access": lambda: named("access", ~flags & _abi.ACCESS_WRITE, ("write", "read")),
        "memory": lambda: named("memory", (a["kind"] >> 4).astype(np.int32) - 1, _abi.MEMORIES[1:]),
    }
    for name in names:
        yield make[name]()
