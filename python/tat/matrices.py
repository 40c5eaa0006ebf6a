# SPDX-License-Identifier: MIT
"""Evaluations against what they touch: sums of bytes, accesses or time, made by the C library (include/tat/sums.h)."""

from __future__ import annotations

import ctypes as c
from collections.abc import Iterable
from typing import Any, Literal, get_args

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


def matrix(
    trace: Trace, words: Vocabulary, by: By, value: Value, *, wanted: Flags, kinds: Iterable[str]
) -> pd.DataFrame:
    """One row for each evaluation that is wanted and one column for each key that is touched in any of them."""
    key, measure = _number(by, By, "by"), _number(value, Value, "value")
    bits = sum(1 << _abi.KINDS.index(kind) for kind in _known_kinds(kinds))
    sums = _sums(trace, key, measure, bits)[wanted]
    used = (sums != 0).any(axis=0)
    names = [name for name, use in zip(_names(trace, words, by, sums.shape[1]), used, strict=True) if use]
    columns = pd.Index(names, name=by) if names else pd.Index([], dtype="int64", name=by)
    return pd.DataFrame(sums[:, used].astype(np.int64), index=_index(trace, np.flatnonzero(wanted)), columns=columns)


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


def _sums(trace: Trace, key: int, measure: int, kinds: int) -> npt.NDArray[np.uint64]:
    lib, error, count = library(), _abi.Error(), len(trace.evaluations)
    columns = lib.tat_matrix_columns(trace.handle, key)
    sums = trace.room(count * columns, np.dtype(np.uint64))
    if lib.tat_matrix(trace.handle, key, measure, kinds, 0, count, sums.ctypes.data, c.byref(error)) != 0:
        raise failure(error)
    shaped: npt.NDArray[np.uint64] = sums.reshape(count, columns)
    return shaped


def _index(trace: Trace, numbers: npt.NDArray[np.intp]) -> pd.MultiIndex:
    e = trace.evaluations[numbers]
    phase = pd.Categorical.from_codes(e["phase"], categories=pd.Index(_abi.PHASES))
    levels: list[Any] = [numbers, e["token_first"].astype(np.int64), e["n_tokens"].astype(np.int64), phase]
    return pd.MultiIndex.from_arrays(levels, names=["evaluation", "token_first", "n_tokens", "phase"])


def _names(trace: Trace, words: Vocabulary, by: By, count: int) -> list[Any]:
    """Names of all columns."""
    if by == "layer":
        return [*range(count - 1), -1]
    if by == "component":
        return [*words.components, "activations"]
    return list(trace.ops) if by == "operation" else list(range(count))
