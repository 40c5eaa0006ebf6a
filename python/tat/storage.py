# SPDX-License-Identifier: MIT
"""What storage did for a run, placed in its trace by the C library (include/tat/faults.h): arrays, and as columns."""

from __future__ import annotations

import ctypes as c
import weakref
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tat import _abi
from tat._library import failure, library
from tat.columns import Column, Vocabulary, named, number
from tat.errors import ErrorKind, TatError
from tat.filters import Filter
from tat.trace import Flags, Records, Trace, copied


class Storage:
    """The I/O events beside a trace. They never change, and any number of threads may read them."""

    def __init__(self, trace: Trace) -> None:
        """Read and place them. The trace must stay open.

        Raises TatError: NO if there are none, INPUT if the file cannot be read.
        """
        self._lib, self._path, error = library(), trace.path, _abi.Error()
        handle = self._lib.tat_faults_open(trace.handle, c.byref(error))
        if not handle:
            raise failure(error)
        self._handle: int = handle
        self._close = weakref.finalize(self, self._lib.tat_faults_close, handle)

    def close(self) -> None:
        """Free them. Nothing can be asked afterwards; what was returned stays valid."""
        self._close()
        self._handle = 0

    @property
    def handle(self) -> int:
        """The struct tat_faults."""
        if not self._handle:
            raise TatError(ErrorKind.USAGE, f"{self._path}: the trace was closed")
        return self._handle

    @cached_property
    def faults(self) -> Records:
        """All page faults by their ends, of dtype FAULT."""
        count = c.c_size_t()
        address = self._lib.tat_faults_all(self.handle, c.byref(count))
        return copied(address, count.value, _abi.FAULT)

    def chosen_faults(self, chooser: Filter) -> Flags:
        """Which of the faults pass a filter."""
        flags, error = np.zeros(len(self.faults), np.bool_), _abi.Error()
        what = self.handle, chooser.handle, flags.ctypes.data
        if self._lib.tat_faults_choose(*what, c.byref(error)) != 0:
            raise failure(error)
        return flags


# ------------------------------------------------------------------------------------------------------------- columns


def _of_evaluation(trace: Trace, evaluation: Records) -> list[Column]:
    """Which graph was computed then, in which phase, for which token."""
    none = evaluation == _abi.NO_EVALUATION
    e = trace.evaluations
    if len(e) == 0:
        missing = np.ones(len(evaluation), np.bool_)
        zeros = np.zeros(len(evaluation), np.int64)
        return [number("evaluation", zeros, missing), named("phase", zeros - 1, []), number("token", zeros, missing)]
    of = e[np.where(none, 0, evaluation)]
    uncounted = none | (of["phase"] == _abi.PHASES.index("warmup")) | (of["n_tokens"] == 0)
    return [
        number("evaluation", evaluation, none),
        named("phase", np.where(none, -1, of["phase"]), _abi.PHASES),
        number("token", of["token_first"], uncounted),
    ]


def _of_tensor(trace: Trace, words: Vocabulary, tensor: Records) -> list[Column]:
    """Which weight it was, and what of the model that is."""
    none = tensor == _abi.NO_TENSOR
    at = np.where(none, 0, tensor) if len(trace.tensors) else np.zeros(0, np.int64)
    names, code = words.tensors
    layer = trace.tensors["layer"][at]
    return [
        number("layer", layer, none | (layer == _abi.NO_LAYER)),
        number("tensor_id", tensor, none),
        named("tensor", np.where(none, -1, code[at]), names),
        named("component", np.where(none, -1, words.component_of[at]), words.components),
    ]


def faults(trace: Trace, words: Vocabulary, f: Records) -> list[Column]:
    """A row for each page fault: columns of what Storage.faults gives."""
    ops, op_code = words.ops
    no_op, lost = f["op"] == _abi.NO_OP, f["duration_ns"] == 0
    code = np.where(no_op, -1, op_code[np.where(no_op, 0, f["op"])]) if len(ops) else np.full(len(f), -1)
    return [
        number("end_ns", f["end_ns"]),
        number("duration_ns", f["duration_ns"], lost),
        number("stall_ns", f["duration_ns"] - f["preempted_ns"], lost),
        number("pid", f["pid"]),
        number("tid", f["tid"]),
        Column("major", (f["flags"] & _abi.IO_MAJOR) != 0),
        named("place", f["place"], _abi.FAULT_PLACES),
        *_of_evaluation(trace, f["evaluation"]),
        named("op", code, ops),
        *_of_tensor(trace, words, f["tensor"]),
        number("expert", f["expert"], f["expert"] == _abi.NO_EXPERT),
        number("file", f["file"], f["file"] == 0),
        number("file_offset", f["file_offset"], f["file"] == 0),
        number("address", f["address"]),
    ]


class Table(NamedTuple):
    """A table of I/O events: which of them, and their columns."""

    dtype: np.dtype[Any]
    get: Callable[[Storage], Records]
    columns: Callable[[Trace, Vocabulary, Records], list[Column]]

    def of(self, trace: Trace) -> list[Column]:
        """All rows; none if they were not recorded."""
        try:
            records = self.get(trace.storage)
        except TatError as error:
            if error.kind != ErrorKind.NO:
                raise
            return self.empty(trace)
        return self.columns(trace, Vocabulary(trace), records)

    def empty(self, trace: Trace) -> list[Column]:
        """The columns without rows."""
        return self.columns(trace, Vocabulary(trace), np.empty(0, self.dtype))


TABLES = {
    "faults": Table(_abi.FAULT, lambda s: s.faults, faults),
}
