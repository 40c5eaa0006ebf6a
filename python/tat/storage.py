# SPDX-License-Identifier: MIT
"""What storage did for a run, placed in its trace by the C library (include/tat/faults.h): arrays, and as columns."""

from __future__ import annotations

import ctypes as c
import weakref
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tat import _abi
from tat._library import failure, library
from tat.columns import Column, Vocabulary, named, number, unique
from tat.errors import ErrorKind, TatError
from tat.filters import Filter
from tat.trace import Flags, Records, Trace, copied, numpy_of

FILE = numpy_of(_abi.IoFile)
EXTENT = np.dtype([("file", "<u4"), ("file_offset", "<u8"), ("disk_offset", "<u8"), ("bytes", "<u8")])
RESIDENCY = np.dtype([("ns", "<u8"), ("file", "<u4"), ("first", "<u8"), ("count", "<u8"), ("resident", "?")])
SOURCE = np.dtype([("source", "<u4"), ("recorded", "?"), ("missing", "<u8")])


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

    # ------------------------------------------------------------------------------------------------- as recorded

    @property
    def _io(self) -> Any:
        return self._lib.tat_faults_events(self.handle).contents

    def _array(self, name: str, dtype: np.dtype[Any]) -> Records:
        return copied(getattr(self._io, name), getattr(self._io, f"n_{name}"), dtype)

    @cached_property
    def pages(self) -> Records:
        """Pages that came into the page cache, or left it, by time: struct tat_io_pages."""
        return self._array("pages", _abi.IO_PAGES)

    @cached_property
    def requests(self) -> Records:
        """Requests to disks by their ends: struct tat_io_request."""
        return self._array("requests", _abi.IO_REQUEST)

    @cached_property
    def counters(self) -> Records:
        """What counters said, by time: struct tat_io_counter_value."""
        return self._array("counters", _abi.IO_COUNTER_VALUE)

    @cached_property
    def files(self) -> Records:
        """Files by number, which counts from 1: struct tat_io_file. Pointers are numbers."""
        return self._array("files", FILE)

    @cached_property
    def extents(self) -> Records:
        """Where bytes of files are on their disk, by file and offset, of dtype EXTENT."""
        parts = [np.empty(0, EXTENT)]
        for file in self.files:
            of = copied(int(file["extents"]), int(file["n_extents"]), _abi.IO_EXTENT)
            rows = np.empty(len(of), EXTENT)
            rows["file"] = file["number"]
            for name in _abi.IO_EXTENT.names or ():
                rows[name] = of[name]
            parts.append(rows)
        return np.concatenate(parts)

    @cached_property
    def residency(self) -> Records:
        """Which pages were in memory, and which not, by time and page, of dtype RESIDENCY."""
        samples = self._array("residency", numpy_of(_abi.IoResidency))
        return np.concatenate([np.empty(0, RESIDENCY), *map(_runs, samples)])

    @cached_property
    def sources(self) -> Records:
        """What was recorded, and what was not, of dtype SOURCE. A file that does not say has faults alone."""
        io, count = self._io, len(_abi.IO_SOURCES)
        recorded = np.array(list(io.recorded), np.bool_)
        missing = [
            c.cast(c.byref(io.missing, i * c.sizeof(c.c_char_p)), c.POINTER(c.c_void_p))[0] for i in range(count)
        ]
        if not recorded.any() and not any(missing):
            recorded[_abi.IO_SOURCES.index("faults")] = True
        rows = [(i, recorded[i], missing[i] or 0) for i in range(1, count) if recorded[i] or missing[i]]
        return np.array(rows, SOURCE)


def _runs(sample: Any) -> Records:
    """The pages of a sample, in runs that were in memory and runs that were not."""
    runs = copied(int(sample["runs"]), int(sample["n_runs"]), _abi.IO_RUN)
    first, end = int(sample["of"]["first"]), int(sample["of"]["first"] + sample["of"]["count"])
    edges = np.concatenate([[first], np.stack([runs["first"], runs["first"] + runs["count"]], axis=1).ravel(), [end]])
    rows = np.zeros(len(edges) - 1, RESIDENCY)
    rows["ns"], rows["file"] = sample["ns"], sample["file"]
    rows["first"], rows["count"] = edges[:-1], np.diff(edges)
    rows["resident"][1::2] = True
    return rows[rows["count"] > 0]


# ------------------------------------------------------------------------------------------------------------- columns


def _of_evaluation(trace: Trace, evaluation: npt.NDArray[Any]) -> list[Column]:
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


def _of_tensor(trace: Trace, words: Vocabulary, tensor: npt.NDArray[Any]) -> list[Column]:
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


def _since(name: str, trace: Trace, ns: npt.NDArray[Any]) -> Column:
    """A time of CLOCK_MONOTONIC, on the trace's clock."""
    return number(name, (ns - np.uint64(trace.header.start_monotonic_ns)).view(np.int64))


def _file(trace: Trace, numbers: npt.NDArray[Any]) -> list[Column]:
    """The number of a file among io_files, and its path."""
    files = trace.storage.files if len(numbers) else np.empty(0, FILE)
    names, code = unique(trace.texts(files["path"]))
    known = (numbers > 0) & (numbers <= len(files))
    of = np.where(known, code[np.where(known, numbers - 1, 0)], -1) if len(files) else np.full(len(numbers), -1)
    return [number("io_file", numbers), named("path", of, names)]


def _span(trace: Trace, rows: Records) -> list[Column]:
    """Pages as bytes of the file."""
    page = np.uint64(trace.header.page_bytes or 4096)
    return [number("file_offset", rows["first"] * page), number("bytes", rows["count"] * page)]


def requests(trace: Trace, _: Vocabulary, r: Records) -> list[Column]:
    """A row for each request to a disk: columns of what Storage.requests gives."""
    return [
        number("request", np.arange(len(r))),
        _since("end_ns", trace, r["end_ns"]),
        number("duration_ns", r["duration_ns"], r["duration_ns"] == 0),
        number("disk", r["disk"]),
        number("disk_offset", r["disk_offset"]),
        number("bytes", r["bytes"]),
        number("pid", r["pid"], r["pid"] == 0),
        *(Column(name, (r["flags"] >> bit & 1) != 0) for bit, name in enumerate(_abi.IO_REQUEST_FLAGS)),
    ]


def page_cache(trace: Trace, _: Vocabulary, p: Records) -> list[Column]:
    """A row for neighbouring pages that came into the page cache, or left it: columns of what Storage.pages gives."""
    return [
        _since("at_ns", trace, p["ns"]),
        named("event", p["left"].astype(np.int32), ("fill", "evict")),
        *_file(trace, p["file"]),
        *_span(trace, p),
        number("pid", p["pid"]),
        number("tid", p["tid"]),
    ]


def io_files(trace: Trace, _: Vocabulary, f: Records) -> list[Column]:
    """A row for each file: columns of what Storage.files gives."""
    texts = {name: unique(trace.texts(f[name])) for name in ("path", "file_system", "no_extents")}
    named_by = {name: named(name, codes, names) for name, (names, codes) in texts.items()}
    return [
        number("io_file", f["number"]),
        named_by["path"],
        number("bytes", f["bytes"]),
        number("device", f["device"], f["device"] == 0),
        number("inode", f["inode"], f["inode"] == 0),
        named_by["file_system"],
        number("disk", f["disk"], f["disk"] == 0),
        number("extents", f["n_extents"]),
        named_by["no_extents"],
    ]


def io_extents(trace: Trace, _: Vocabulary, e: Records) -> list[Column]:
    """A row for each extent: columns of what Storage.extents gives."""
    return [*_file(trace, e["file"]), *(number(name, e[name]) for name in ("file_offset", "disk_offset", "bytes"))]


def io_counters(trace: Trace, _: Vocabulary, v: Records) -> list[Column]:
    """A row for each value of a counter: columns of what Storage.counters gives."""
    known = np.where(v["counter"] < len(_abi.IO_COUNTERS), v["counter"], 0).astype(np.int32)
    counter = named("counter", known - 1, _abi.IO_COUNTERS[1:])
    return [_since("at_ns", trace, v["ns"]), counter, number("value", v["value"])]


def residency(trace: Trace, _: Vocabulary, r: Records) -> list[Column]:
    """A row for each run of pages of a sample: columns of what Storage.residency gives."""
    return [
        _since("at_ns", trace, r["ns"]),
        *_file(trace, r["file"]),
        *_span(trace, r),
        Column("resident", r["resident"]),
    ]


def io_sources(trace: Trace, _: Vocabulary, s: Records) -> list[Column]:
    """A row for each source: columns of what Storage.sources gives."""
    names, codes = unique(trace.texts(s["missing"]))
    source = named("source", s["source"].astype(np.int32) - 1, _abi.IO_SOURCES[1:])
    return [source, Column("recorded", s["recorded"]), named("missing", codes, names)]


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
    "requests": Table(_abi.IO_REQUEST, lambda s: s.requests, requests),
    "page_cache": Table(_abi.IO_PAGES, lambda s: s.pages, page_cache),
    "residency": Table(RESIDENCY, lambda s: s.residency, residency),
    "io_files": Table(FILE, lambda s: s.files, io_files),
    "io_extents": Table(EXTENT, lambda s: s.extents, io_extents),
    "io_counters": Table(_abi.IO_COUNTER_VALUE, lambda s: s.counters, io_counters),
    "io_sources": Table(SOURCE, lambda s: s.sources, io_sources),
}
