# SPDX-License-Identifier: MIT
"""Filters of access records: the C library's, which the commands take too (include/tat/filter.h, doc/filters.md)."""

from __future__ import annotations

import argparse
import ctypes as c
import itertools
import sys
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tat import _abi
from tat._library import failure, library, text
from tat.errors import ErrorKind, TatError
from tat.trace import Records, Trace

#: A filter's value: a number, a range as the commands take it ("5", "3:8", "3:", ":8", both ends included), a slice as
#: Python has it, a name; or any collection of these, of which one has to fit. None: no filter.
Condition = bool | int | str | slice | Iterable[int] | Iterable[str] | None

_WIDE = 0xFFFF  # layers, experts and heads count to less
#: Filters whose values are numbers, and how many there are of these; 0 if a trace does not bound them.
_NUMBERS = {"layers": _WIDE, "experts": _WIDE, "heads": _WIDE, "contexts": 0, "at": 0, "at_time": 0}


def names() -> list[str]:
    """The names of all filters."""
    lib = library()
    return [text(name) for name in itertools.takewhile(bool, map(lib.tat_filter_name, itertools.count()))]


class Filter:
    """Conditions on the access records of a trace, each by the name that the commands have for it."""

    def __init__(self, trace: Trace, conditions: Mapping[str, Condition]) -> None:
        """Keep the trace, which must stay open.

        Raises TatError: USAGE for an unknown name or a value that makes no sense; NO if the trace has no tensor,
        operation, model or file of that name.
        """
        self._trace, self._lib, error = trace, library(), _abi.Error()
        handle = self._lib.tat_filter_new(trace.handle, c.byref(error))
        if not handle:
            raise failure(error)
        self._handle = handle
        weakref.finalize(self, self._lib.tat_filter_free, handle)
        for name, value in conditions.items():
            self._add(name, value)

    def _add(self, name: str, value: Condition) -> None:
        error = _abi.Error()
        if value is None or (name == "heads" and value is False):
            return
        values: list[str | None] = [*_values(self._trace, name, value)]
        for one in values or [None]:
            raw = None if one is None else one.encode(errors="surrogateescape")
            if self._lib.tat_filter_add(self._handle, name.encode(), raw, c.byref(error)) != 0:
                raise failure(error)

    @property
    def handle(self) -> int:
        """The struct tat_filter."""
        _ = self._trace.handle  # raises if the trace was closed
        return int(self._handle)

    def accesses(self, first: int = 0, last: int | None = None) -> Records:
        """The records of evaluations [first, last) that pass, in the order of execution, of dtype ACCESS."""
        return self._trace.collect("tat_filter_accesses", _abi.ACCESS, first, last, of=self.handle)


def _values(trace: Trace, name: str, value: Any) -> Iterator[str]:
    """A condition as the texts that the library takes."""
    if name == "heads" and value is True:
        yield "all"
    elif isinstance(value, str):
        yield value
    elif isinstance(value, (int, np.integer)) and not isinstance(value, (bool, np.bool_)):
        yield _whole(name, int(value))
    elif isinstance(value, slice):
        yield from _slice(name, value, _limit(trace, name))
    elif isinstance(value, Iterable):
        yield from _collection(trace, name, list(value))
    else:
        raise TatError(ErrorKind.USAGE, f"{name}: {value!r} is neither a number nor a name nor a collection of these")


def _whole(name: str, value: int) -> str:
    if value < 0:
        raise TatError(ErrorKind.USAGE, f"{name} must be whole numbers from 0")
    return str(value)


def _limit(trace: Trace, name: str) -> int:
    e = trace.evaluations
    if name == "tokens":
        return int((e["token_first"].astype(np.int64) + e["n_tokens"]).max(initial=0))
    return len(e) if name == "evaluations" else _NUMBERS.get(name, 0)


def _slice(name: str, value: slice, limit: int) -> Iterator[str]:
    if limit:
        yield from _runs(name, np.arange(limit)[value])
        return
    first, end = value.start or 0, value.stop
    if value.step not in (None, 1) or first < 0 or (end is not None and end < 0):
        raise TatError(ErrorKind.USAGE, f"{name}: a slice needs numbers from 0, and no step")
    if end is None or end > first:
        yield f"{first}:" if end is None else f"{first}:{end - 1}"


def _collection(trace: Trace, name: str, values: list[Any]) -> Iterator[str]:
    if any(isinstance(value, (str, slice)) for value in values):
        yield from itertools.chain.from_iterable(_values(trace, name, value) for value in values)
    elif values:
        numbers = np.asarray(values)
        if numbers.dtype.kind not in "iu" or numbers.min() < 0:
            raise TatError(ErrorKind.USAGE, f"{name} must be whole numbers from 0")
        yield from _runs(name, np.unique(numbers))


def _runs(name: str, numbers: Any) -> Iterator[str]:
    """Neighbours as one range."""
    numbers = np.sort(numbers)
    starts = np.flatnonzero(np.diff(numbers, prepend=-2) != 1)
    for run in np.split(numbers, starts[1:]) if len(numbers) else ():
        yield str(run[0]) if name in ("model", "files") or len(run) == 1 else f"{run[0]}:{run[-1]}"
        if name in ("model", "files"):
            yield from map(str, run[1:])


# ------------------------------------------------------------------------------------------------------------ commands

_HELP = {
    "tokens": "evaluations that computed these tokens, counted from 0 without warm-up",
    "phases": "this phase",
    "evaluations": "these evaluations (column graph)",
    "contexts": "these contexts, counted from 1",
    "model": "graphs of this model, or weights of this adapter: number, file name or part of it, or part such as draft",
    "layers": "these layers",
    "tensors": "tensors whose names match, such as 'blk.*.attn_q.weight'",
    "components": "this part of the model, such as attn_q (column component); activations are what has none",
    "kinds": "tensors of this kind; kv has recurrent state too",
    "ops": "this operation, such as MUL_MAT",
    "experts": "these experts",
    "heads": "split attention by head; with a RANGE, only these heads",
    "files": "weights of this model file: number, counted from 1, or all or part of its name",
    "at": "what touches these bytes of the model file",
    "at_time": "nodes that ran at this time since the trace began: 20ms:1.5s; without a unit, nanoseconds",
}


class _Append(argparse.Action):
    """Collects values, and has the library check each."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any, *_: Any) -> None:
        error = _abi.Error()
        value = "all" if values is None else values
        if library().tat_filter_check(self.dest.encode(), value.encode(errors="surrogateescape"), c.byref(error)) != 0:
            parser.error(f"--{self.dest.replace('_', '-')} {text(error.message).partition(' ')[2]}")
        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), value])


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give a command the filters that `tat dump` and `tat export` have."""
    lib = library()
    group = parser.add_argument_group(
        "filters of access records",
        "The same as those of `tat dump`. A RANGE is 5, 3:8, 3: or :8; both ends are\n"
        "included. A filter that is repeated takes all that it names; different filters\n"
        "narrow each other down.",
    )
    for i, name in enumerate(names()):
        group.add_argument(
            f"--{name.replace('_', '-')}",
            action=_Append,
            dest=name,
            metavar=text(lib.tat_filter_value(i)),
            nargs="?" if name == "heads" else None,
            help=f"only {_HELP[name]}" if name != "heads" else _HELP[name],
        )


def arguments(argv: list[str] | None) -> list[str]:
    """The command line, in which what follows --heads is not its value: that takes a =, as in all of tat."""
    return [f"{one}=all" if one == "--heads" else one for one in (sys.argv[1:] if argv is None else argv)]


def given(options: argparse.Namespace) -> dict[str, Condition]:
    """The filters that the command line gives."""
    return {name: value for name in names() if (value := getattr(options, name)) is not None}
