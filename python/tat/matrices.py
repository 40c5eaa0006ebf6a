# SPDX-License-Identifier: MIT
"""Evaluations against what they touch: sums of bytes, accesses or time, made by the C library (include/tat/sums.h)."""

from __future__ import annotations

import ctypes as c
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from tat import _abi
from tat._library import failure, library
from tat.columns import Vocabulary
from tat.errors import ErrorKind, TatError
from tat.trace import Flags, Trace

By = Literal["layer", "tensor", "component", "operation", "expert"]  # as enum tat_key counts them
Value = Literal["bytes", "accesses", "ns"]  # as enum tat_measure does
BAND = 1 << 22  # sums that are made at a time: 32 MiB
BAND_TO_ADD = 1 << 16  # where they are only added up: what a core's cache holds
SUMS_MOST = 1 << 32  # in all; a few bytes of a hostile trace may ask for any number


def matrix(
    trace: Trace, words: Vocabulary, by: By, value: Value, *, wanted: Flags, kinds: Iterable[str]
) -> pd.DataFrame:
    """One row for each evaluation wanted, and one column for each key that any of them touches."""
    request = _Request.of(trace, by, value, kinds)
    bands = [_used(sums[wanted[first:last]]) for first, last, sums in _bands(trace, request, BAND)]
    used = np.unique(np.concatenate([band.columns for band in bands]))
    values = np.zeros((np.count_nonzero(wanted), len(used)), np.int64)
    end = 0
    while bands:
        band = bands.pop(0)  # so that they go as the whole fills
        begin, end = end, end + len(band.sums)
        values[begin:end, np.searchsorted(used, band.columns)] = band.sums
    columns = _columns(trace, words, by, used, request.columns)
    return pd.DataFrame(values, index=_index(trace, np.flatnonzero(wanted)), columns=columns)


def totals(
    trace: Trace, words: Vocabulary, by: By, value: Value, *, wanted: Flags, kinds: Iterable[str]
) -> pd.Series[int]:
    """The sum of each of the matrix's columns, which is not made."""
    request = _Request.of(trace, by, value, kinds)
    total = np.zeros(request.columns, np.uint64)
    for first, last, sums in _bands(trace, request, BAND_TO_ADD):
        chosen = wanted[first:last]
        total += (sums if chosen.all() else sums[chosen]).sum(axis=0)
    used = np.flatnonzero(total)
    columns = _columns(trace, words, by, used, request.columns)
    return pd.Series(total[used].astype(np.int64), index=columns, name=value)


class _Request(NamedTuple):
    """What is asked of tat_matrix, and how many columns that has."""

    key: int
    measure: int
    kinds: int
    columns: int

    @classmethod
    def of(cls, trace: Trace, by: By, value: Value, kinds: Iterable[str]) -> _Request:
        key, measure = _number(by, By, "by"), _number(value, Value, "value")
        bits = sum(1 << _abi.KINDS.index(kind) for kind in _known_kinds(kinds))
        return cls(key, measure, bits, library().tat_matrix_columns(trace.handle, key))


class _Used(NamedTuple):
    """Columns in which anything is, and their sums."""

    columns: npt.NDArray[np.intp]
    sums: npt.NDArray[np.uint64]


def _used(sums: npt.NDArray[np.uint64]) -> _Used:
    columns = np.flatnonzero(sums.any(axis=0))
    return _Used(columns, sums[:, columns])


def _number(word: str, kind: Any, what: str) -> int:
    known: tuple[str, ...] = get_args(kind)
    if word not in known:
        raise TatError(ErrorKind.USAGE, f"{what}: no '{word}'; there are {', '.join(known)}")
    return known.index(word)


def _known_kinds(kinds: Iterable[str]) -> set[str]:
    chosen = {kinds} if isinstance(kinds, str) else set(kinds)
    for kind in chosen - set(_abi.KINDS[1:]):
        raise TatError(ErrorKind.USAGE, f"no kind of tensor '{kind}'; there are {', '.join(_abi.KINDS[1:])}")
    return chosen


def _bands(trace: Trace, request: _Request, band: int) -> Iterator[tuple[int, int, npt.NDArray[np.uint64]]]:
    """Sums, some evaluations at a time, from the first to the last. Each may touch few of the tensors."""
    lib, error, count, columns = library(), _abi.Error(), len(trace.evaluations), request.columns
    rows = max(1, band // max(1, columns))
    if count * columns > SUMS_MOST:
        raise TatError(
            ErrorKind.SYSTEM, f"{trace.path}: {count:,} by {columns:,} sums are too many: choose another key"
        )
    for first in range(0, max(1, count), rows):  # at least once, for the library to refuse what it has no sums of
        last = min(first + rows, count)
        sums = trace.room((last - first) * columns, np.dtype(np.uint64))
        what = request.key, request.measure, request.kinds, first, last, sums.ctypes.data
        if lib.tat_matrix(trace.handle, *what, c.byref(error)) != 0:
            raise failure(error)
        yield first, last, sums.reshape(last - first, columns)


def _columns(trace: Trace, words: Vocabulary, by: By, used: npt.NDArray[np.intp], count: int) -> pd.Index[Any]:
    names = _names(trace, words, by, count)
    return pd.Index([names[i] for i in used], name=by) if len(used) else pd.Index([], dtype="int64", name=by)


def _index(trace: Trace, numbers: npt.NDArray[np.intp]) -> pd.MultiIndex:
    e = trace.evaluations[numbers]
    phase = pd.Categorical.from_codes(e["phase"], categories=pd.Index(_abi.PHASES))
    levels: list[Any] = [numbers, e["token_first"].astype(np.int64), e["n_tokens"].astype(np.int64), phase]
    return pd.MultiIndex.from_arrays(levels, names=["evaluation", "token", "tokens", "phase"])


def _names(trace: Trace, words: Vocabulary, by: By, count: int) -> list[Any]:
    """Names of all columns."""
    if by == "layer":
        return [*range(count - 1), -1]
    if by == "component":
        return [*words.components, "activations"]
    return list(trace.ops) if by == "operation" else list(range(count))
