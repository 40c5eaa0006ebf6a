# SPDX-License-Identifier: MIT
"""A trace as the C library reads it: arrays, with numbers in the place of names."""

from __future__ import annotations

import ctypes as c
import itertools
import os
import weakref
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tat import _abi, runs
from tat._library import failure, library, text
from tat.errors import ErrorKind, TatError

if TYPE_CHECKING:
    from tat.storage import Storage

Records = npt.NDArray[np.void]
Flags = npt.NDArray[np.bool_]


class Trace:
    """An open trace. It never changes, and any number of threads may read it.

    Every array that it returns is a copy, which outlives the trace.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        """Open a trace: its folder or file. None is the newest trace.

        Raises TatError: INPUT if it is not a trace, SYSTEM if there is no C library.
        """
        self.path: Path = runs.resolve(path)
        self._lib = library()
        error = _abi.Error()
        handle = self._lib.tat_trace_open(os.fsencode(self.path), c.byref(error))
        if not handle:
            raise failure(error)
        self._handle: int = handle
        self._storage: Storage | None = None
        self._close = weakref.finalize(self, self._lib.tat_trace_close, handle)

    def close(self) -> None:
        """Close the file. Nothing can be asked afterwards."""
        if self._storage:
            self._storage.close()
            self._storage = None
        self._close()
        self._handle = 0

    @property
    def handle(self) -> int:
        """The struct tat_trace."""
        if not self._handle:
            raise TatError(ErrorKind.USAGE, f"{self.path}: the trace was closed")
        return self._handle

    # ------------------------------------------------------------------------------------------------- tables

    def _array(self, function: str, struct: type[c.Structure]) -> Records:
        """A function's result as an array of structs. Pointers to text stay numbers."""
        count = c.c_uint32()
        address = getattr(self._lib, function)(self.handle, c.byref(count))
        return copied(address, count.value, numpy_of(struct))

    @cached_property
    def tensors(self) -> Records:
        """All tensors, by number: the fields of struct tat_tensor."""
        return self._array("tat_trace_tensors", _abi.Tensor)

    @cached_property
    def evaluations(self) -> Records:
        """All evaluations, in the order of their beginning: the fields of struct tat_evaluation."""
        return self._array("tat_trace_evaluations", _abi.Evaluation)

    @cached_property
    def events(self) -> Records:
        """All events, in order: the fields of struct tat_event."""
        return self._array("tat_trace_events", _abi.Event)

    @cached_property
    def model_files(self) -> Records:
        """All model files: the fields of struct tat_model_file. A tensor whose `file` is n comes from element n - 1."""
        return self._array("tat_trace_model_files", _abi.ModelFile)

    @cached_property
    def models(self) -> Records:
        """Models, and what is used with them: the fields of struct tat_model."""
        return self._array("tat_trace_models", _abi.Model)

    def find_model(self, called: str) -> int:
        """The number of a model, found by its number, its file's name or a piece of it, or its part."""
        error = _abi.Error()
        found: int = self._lib.tat_trace_find_model(self.handle, os.fsencode(called), c.byref(error))
        if not found:
            raise failure(error)
        return found

    @cached_property
    def header(self) -> _abi.FileHeader:
        """struct tat_file_header."""
        return _abi.FileHeader.from_buffer_copy(self._lib.tat_trace_header(self.handle).contents)

    @property
    def is_private(self) -> bool:
        """Whether token ids were left out."""
        return bool(self.header.features & _abi.FEATURE_PRIVATE)

    def texts(self, pointers: npt.NDArray[np.uint64]) -> list[str]:
        """The texts that an array's pointers point to; the pointers must be this trace's. Each text is read once."""
        if not self.handle:
            return []
        unique, inverse = np.unique(pointers, return_inverse=True)
        known = [text(c.string_at(int(p))) if p else "" for p in unique]
        return [known[i] for i in inverse]

    @cached_property
    def ops(self) -> list[str]:
        """Names of operations, by number."""
        count = self._lib.tat_trace_n_ops(self.handle)
        return [text(self._lib.tat_trace_op_name(self.handle, i)) for i in range(count)]

    @cached_property
    def components(self) -> list[str]:
        """Names of components, by number."""
        names = (text(self._lib.tat_component_name(i)) for i in itertools.count())
        out_of_range = next(names)  # has the name of number 0
        return [out_of_range, *itertools.takewhile(lambda name: name != out_of_range, names)]

    def strides(self, layouts: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint64]:
        """The distance between runs in records with these layouts, in bytes; 0 for contiguous ones."""
        table = np.zeros(int(layouts.max(initial=0)) + 1, np.uint64)
        for number in np.flatnonzero(np.bincount(layouts, minlength=1)):
            table[number] = self._lib.tat_trace_layout(self.handle, int(number)).stride if number else 0
        return table[layouts]

    @property
    def storage(self) -> Storage:
        """What storage did for the run. Raises TatError: NO if `tat record --io` did not record it."""
        from tat.storage import Storage  # noqa: PLC0415  (it imports this module)

        if not self._storage:
            self._storage = Storage(self)
        return self._storage

    # ------------------------------------------------------------------------------------------------- arrays

    def accesses(
        self,
        first: int = 0,
        last: int | None = None,
        *,
        evaluations: Flags | None = None,
        tensors: Flags | None = None,
        layers: Flags | None = None,
        experts: Flags | None = None,
    ) -> Records:
        """Access records of evaluations [first, last) in the order of execution, of dtype ACCESS.

        The flags say by number which records are wanted (struct tat_choice); None means all.
        """
        flags = {"evaluations": evaluations, "tensors": tensors, "layers": layers, "experts": experts}
        kept = {name: np.ascontiguousarray(flag, np.bool_) for name, flag in flags.items() if flag is not None}
        sizes = {"evaluations": len(self.evaluations), "tensors": len(self.tensors)}
        for name, flag in kept.items():
            if flag.shape != (sizes.get(name, 1 << 16),):
                raise ValueError(f"{name} has the shape {flag.shape}, not ({sizes.get(name, 1 << 16)},)")
        choice = _abi.Choice(**{name: flag.ctypes.data for name, flag in kept.items()})
        return self.collect("tat_trace_accesses", _abi.ACCESS, first, last, c.byref(choice))

    def pieces(self, get: Callable[[int, int], Records] | None = None, records: int = 1 << 18) -> Iterator[Records]:
        """All access records in order, or what else `get` returns, in pieces of about this many.

        A piece holds whole evaluations, at least one.
        """
        at, size, count = 0, 1, len(self.evaluations)
        while at < count:
            piece = (get or self.accesses)(at, at + size)
            at += size
            size = max(1, size * records // max(len(piece), size))
            if len(piece):
                yield piece

    def waits(self, first: int = 0, last: int | None = None) -> Records:
        """How long thread 0 waited behind nodes in evaluations [first, last), of dtype WAIT; none if not recorded."""
        return self.collect("tat_trace_waits", _abi.WAIT, first, last)

    def tokens(self, first: int = 0, last: int | None = None) -> Records:
        """The rows that went into evaluations [first, last), of dtype TOKEN."""
        return self.collect("tat_trace_tokens", _abi.TOKEN, first, last)

    def routing(self, first: int = 0, last: int | None = None) -> Records:
        """The experts that were chosen in evaluations [first, last), of dtype SELECTION."""
        return self.collect("tat_trace_routing", _abi.SELECTION, first, last)

    def collect(
        self, function: str, dtype: np.dtype[Any], first: int, last: int | None, *more: Any, of: int | None = None
    ) -> Records:
        """What a function of the library fills an array with. `of` is what it takes in place of the trace.

        Asks twice: first for the number of elements, then for the elements.
        """
        end = len(self.evaluations) if last is None else min(last, len(self.evaluations))
        count, error = c.c_size_t(), _abi.Error()
        call: Callable[..., int] = getattr(self._lib, function)
        if first < 0:
            raise ValueError(f"evaluations count from 0, not from {first}")
        what, found = (of or self.handle, first, max(first, end), *more), (c.byref(count), c.byref(error))
        if call(*what, None, 0, *found) != 0:
            raise failure(error)
        into = self.room(count.value, dtype)
        if call(*what, into.ctypes.data, len(into), *found) != 0:
            raise failure(error)
        return into

    def room(self, count: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """An array that is not filled yet. Raises TatError (SYSTEM) if it does not fit in the machine's memory.

        A few bytes of a hostile trace may ask for any number of elements.
        """
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        if count * dtype.itemsize <= memory:
            try:
                return np.empty(count, dtype)
            except MemoryError:
                pass
        raise TatError(
            ErrorKind.SYSTEM,
            f"{self.path}: {count:,} elements of {dtype.itemsize} bytes do not fit in memory: ask for fewer tokens or "
            "layers, or query the trace with `tat sql`",
        )


def copied(address: int | None, count: int, dtype: np.dtype[Any]) -> Records:
    """An array of the library's as one of ours."""
    if not count or not address:
        return np.empty(0, dtype)
    raw = (c.c_char * (count * dtype.itemsize)).from_address(address)
    return np.frombuffer(memoryview(raw).cast("B"), dtype).copy()


def numpy_of(struct: type[c.Structure]) -> np.dtype[Any]:
    """A numpy dtype with the layout of a ctypes struct; pointers become numbers."""
    fields = [(name, kind) for name, kind, *_ in struct._fields_]
    return np.dtype(
        {
            "names": [name for name, _ in fields],
            "formats": [np.dtype(np.uint64) if kind is c.c_char_p else np.dtype(kind) for _, kind in fields],
            "offsets": [getattr(struct, name).offset for name, _ in fields],
            "itemsize": c.sizeof(struct),
        }
    )
