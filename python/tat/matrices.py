# SPDX-License-Identifier: MIT
"""Evaluations against what they touch: sums of bytes, accesses or time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from tat import _abi
from tat.columns import Vocabulary
from tat.trace import Flags, Records, Trace

By = Literal["layer", "tensor", "component", "operation", "expert"]
Value = Literal["bytes", "accesses", "ns"]
Numbers = npt.NDArray[np.int64]

_PIECE = 64  # evaluations expanded at a time


def matrix(trace: Trace, words: Vocabulary, by: By, value: Value, wanted: Flags) -> pd.DataFrame:
    """One row for each evaluation that is wanted and one column for each key that is touched in any of them."""
    if by not in ("layer", "tensor", "component", "operation", "expert"):
        raise ValueError(f"by is {by!r}, not layer, tensor, component, operation or expert")
    if value not in ("bytes", "accesses", "ns") or (value == "ns" and by == "expert"):
        raise ValueError(f"value is {value!r}, not bytes, accesses or ns (which no expert has of its own)")
    names, missing = _names(trace, words, by)
    numbers = np.flatnonzero(wanted)
    sums = np.zeros((len(numbers), len(names) + 1))
    for at in range(0, len(numbers), _PIECE):
        rows = numbers[at : at + _PIECE]
        flags = np.zeros(len(wanted), np.bool_)
        flags[rows] = True
        a = trace.accesses(int(rows[0]), int(rows[-1]) + 1, evaluations=flags)
        a, weight = (_times(trace, a, by)) if value == "ns" else _touches(a, value)
        cell = np.searchsorted(rows, a["evaluation"]) * sums.shape[1] + _keys(words, a, by)
        size = len(rows) * sums.shape[1]
        sums[at : at + len(rows)] = np.bincount(cell, weight, size).reshape(len(rows), -1)
    used = (sums != 0).any(axis=0)
    last = [missing] if missing is not None else []
    columns = [name for name, use in zip([*names, *last], used, strict=False) if use]
    data = np.rint(sums[:, : len(names) + len(last)][:, used[: len(names) + len(last)]]).astype(np.uint64)
    return pd.DataFrame(data, index=_index(trace, numbers), columns=pd.Index(columns, name=by))


def _index(trace: Trace, numbers: npt.NDArray[np.intp]) -> pd.MultiIndex:
    e = trace.evaluations[numbers]
    phase = pd.Categorical.from_codes(e["phase"], categories=pd.Index(_abi.PHASES))
    levels: list[Any] = [numbers, e["token_first"], e["n_tokens"], phase]
    return pd.MultiIndex.from_arrays(levels, names=["evaluation", "token_first", "n_tokens", "phase"])


def _names(trace: Trace, words: Vocabulary, by: By) -> tuple[list[Any], Any]:
    """Names of the keys by number, and that of what has none (None: it is left out)."""
    if by == "layer":
        return list(range(_abi.NO_LAYER)), -1
    if by == "tensor":
        return list(range(len(trace.tensors))), None
    if by == "component":
        return list(words.components), "activations"
    if by == "operation":
        return list(trace.ops), None
    return list(range(_abi.NO_EXPERT)), None


def _keys(words: Vocabulary, a: Records, by: By) -> Numbers:
    if by == "component":
        code = words.component_of[a["tensor"]]
        return np.where(code < 0, len(words.components), code).astype(np.int64)
    return a[{"layer": "layer", "tensor": "tensor", "operation": "op", "expert": "expert"}[by]].astype(np.int64)


def _touches(a: Records, value: Value) -> tuple[Records, npt.NDArray[np.float64]]:
    a = a[a["bytes"] > 0]
    return a, a["bytes"].astype(np.float64) if value == "bytes" else np.ones(len(a))


def _times(trace: Trace, a: Records, by: By) -> tuple[Records, npt.NDArray[np.float64]]:
    """One record for each time: by tensor the first weight read, else the first of the KV cache, else the result."""
    if len(a) == 0:
        return a, np.zeros(0)
    same = (a["evaluation"][1:] == a["evaluation"][:-1]) & (
        (a["node"][1:] == a["node"][:-1])
        | ((a["start_ns"][1:] == a["start_ns"][:-1]) & (a["duration_ns"][1:] == a["duration_ns"][:-1]))
    )
    first = np.concatenate([[True], ~same])
    starts = np.flatnonzero(first)
    weight = a["duration_ns"][starts].astype(np.float64)
    if by not in ("tensor", "component"):
        return a[starts], weight
    kind = trace.tensors["kind"][a["tensor"]]
    reads = (a["flags"] & _abi.ACCESS_WRITE) == 0
    rank = np.full(len(a), 3)
    rank[~reads] = 2
    rank[(kind == _abi.KINDS.index("state"))] = 1
    rank[(kind == _abi.KINDS.index("weight")) & reads] = 0
    best = np.lexsort((np.arange(len(a)), rank, np.cumsum(first)))
    return a[best[starts]], weight


def pieces(count: int, size: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most `size` that together are [0, count)."""
    return ((at, min(at + size, count)) for at in range(0, count, size))
