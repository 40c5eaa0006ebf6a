# SPDX-License-Identifier: MIT
"""What storage did for a run, placed in its trace by the C library (include/tat/storage.h): arrays, and as columns."""

from __future__ import annotations

import ctypes as c
import os
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
    """The I/O events beside a trace, and their join with it. They never change, and any number of threads may ask."""

    def __init__(self, trace: Trace) -> None:
        """Read them. The trace must stay open.

        Raises TatError: NO if there are none, INPUT if the file cannot be read.
        """
        self._lib, self._trace, error = library(), trace, _abi.Error()
        self._read = _abi.Io()
        if self._lib.tat_storage_read(trace.handle, c.byref(self._read), c.byref(error)) != 0:
            raise failure(error)
        self._close = weakref.finalize(self, self._lib.tat_io_free, c.byref(self._read))

    def close(self) -> None:
        """Free them. Nothing can be asked afterwards; what was returned stays valid."""
        self._close()

    @property
    def _io(self) -> _abi.Io:
        if not self._close.alive:
            raise TatError(ErrorKind.USAGE, f"{self._trace.path}: the trace was closed")
        return self._read

    # ------------------------------------------------------------------------------------------------- joined

    def _joined(self, name: str, pages: bool = False) -> Records:
        """One of the arrays of the join. What is joined with an open file of events stays the same."""
        joined, error = _abi.Joined(), _abi.Error()
        what = self._trace.handle, c.byref(self._io), pages, c.byref(joined)
        try:
            if self._lib.tat_storage_join(*what, c.byref(error)) != 0:
                raise failure(error)
            return copied(getattr(joined, name), getattr(joined, f"n_{name}"), _abi.PLACED)
        finally:
            self._lib.tat_storage_free(c.byref(joined))

    @cached_property
    def placed_faults(self) -> Records:
        """All page faults by their ends, placed: struct tat_placed, one for each of `faults`."""
        return self._joined("faults")

    @cached_property
    def placed_requests(self) -> Records:
        """Parts of requests, placed: struct tat_placed."""
        return self._joined("requests")

    @cached_property
    def placed_pages(self) -> Records:
        """Pieces of what came into the page cache, placed: struct tat_placed."""
        return self._joined("pages", pages=True)

    def chosen(self, placed: Records, chooser: Filter) -> Flags:
        """Which of these placed events pass a filter."""
        flags, error, records = np.zeros(len(placed), np.bool_), _abi.Error(), _as_accesses(placed)
        what = chooser.handle, records.ctypes.data, len(records), flags.ctypes.data
        if self._lib.tat_filter_choose(*what, c.byref(error)) != 0:
            raise failure(error)
        return flags

    # ------------------------------------------------------------------------------------------------- as recorded

    def _array(self, name: str, dtype: np.dtype[Any]) -> Records:
        return copied(getattr(self._io, name), getattr(self._io, f"n_{name}"), dtype)

    @cached_property
    def faults(self) -> Records:
        """Page faults by their ends: struct tat_io_fault."""
        return self._array("faults", _abi.IO_FAULT)

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


def _as_accesses(placed: Records) -> Records:
    """Records of what was wanted, while it was waited for, that a filter can be asked about."""
    a = np.zeros(len(placed), _abi.ACCESS)
    begin, end = np.maximum(placed["begin_ns"], 0), np.maximum(placed["end_ns"], 0)
    a["start_ns"], a["duration_ns"] = begin, np.minimum(end - begin, 2**32 - 1)
    for name in ("offset", "tensor", "evaluation", "node", "layer", "expert"):
        a[name] = placed[name]
    a["bytes"], a["rows"] = np.maximum(placed["bytes"], 1), 1
    a["op"] = np.where(placed["node"] == _abi.NO_NUMBER, _abi.NO_OP, placed["op"])
    a["flags"] = np.where(placed["end_ns"] < 0, _abi.ACCESS_UNTIMED, 0)
    return a


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


def _places(trace: Trace, words: Vocabulary, p: Records) -> list[Column]:
    """For whom it was: the operation and the graph, the weight and where that is."""
    ops, op_code = words.ops
    names, code = words.tensors
    no_tensor, no_node = p["tensor"] >= len(trace.tensors), p["node"] == _abi.NO_NUMBER
    at = np.where(no_tensor, 0, p["tensor"]) if len(trace.tensors) else np.zeros(0, np.int64)
    no_op = no_node | (p["op"] >= len(op_code))
    op = op_code[np.where(no_op, 0, p["op"])] if len(op_code) else np.full(len(p), -1)
    no_evaluation = p["evaluation"] >= len(trace.evaluations)
    e = trace.evaluations[np.where(no_evaluation, 0, p["evaluation"])] if len(trace.evaluations) else None
    phase = np.full(len(p), -1) if e is None else np.where(no_evaluation, -1, e["phase"])
    return [
        named("place", p["place"], _abi.PLACES),
        named("during", p["when"], _abi.WHENS),
        number("evaluation", p["evaluation"], no_evaluation),
        named("phase", phase, _abi.PHASES),
        number("token", p["token"], p["token"] == _abi.NO_NUMBER),
        number("node", p["node"], no_node),
        named("op", np.where(no_op, -1, op), ops),
        number("layer", p["layer"], p["layer"] == _abi.NO_LAYER),
        number("tensor_id", p["tensor"], no_tensor),
        named("tensor", np.where(no_tensor, -1, code[at]) if len(code) else np.full(len(p), -1), names),
        named(
            "component",
            np.where(no_tensor, -1, words.component_of[at]) if len(code) else np.full(len(p), -1),
            words.components,
        ),
        number("expert", p["expert"], p["expert"] == _abi.NO_EXPERT),
        number("file", p["file"], p["file"] == 0),
    ]


#: Faults beside their places.
FAULT = np.dtype([("placed", _abi.PLACED), ("fault", _abi.IO_FAULT)])


def placed_faults(s: Storage) -> Records:
    """Each fault with its place, of dtype FAULT."""
    found = np.empty(len(s.placed_faults), FAULT)
    found["placed"] = s.placed_faults
    found["fault"] = s.faults[s.placed_faults["event"]]
    return found


def faults(trace: Trace, words: Vocabulary, found: Records) -> list[Column]:
    """A row for each page fault: columns of what placed_faults gives."""
    p, f = found["placed"], found["fault"]
    lost = f["duration_ns"] == 0
    return [
        number("end_ns", p["end_ns"]),
        number("duration_ns", f["duration_ns"], lost),
        number("stall_ns", f["duration_ns"] - f["preempted_ns"], lost),
        number("pid", f["pid"]),
        number("tid", f["tid"]),
        Column("major", (f["flags"] & _abi.IO_MAJOR) != 0),
        *_places(trace, words, p),
        number("offset", p["offset"], p["file"] == 0),
        number("address", f["address"]),
    ]


def placed(trace: Trace, words: Vocabulary, p: Records) -> list[Column]:
    """A row for each part of a request, or of what came into the page cache."""
    return [
        number("event", p["event"]),
        number("begin_ns", p["begin_ns"]),
        number("end_ns", p["end_ns"]),
        *_places(trace, words, p),
        number("offset", p["offset"]),
        number("bytes", p["bytes"]),
        number("in_vain", p["in_vain"]),
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


def _disk(numbers: npt.NDArray[Any]) -> list[Column]:
    """Device numbers of disks, and as /sys/dev/block and `tat correlate` write them: "254:0". 0: not known."""
    disks, codes = np.unique(numbers, return_inverse=True)
    names, code = unique([f"{os.major(disk)}:{os.minor(disk)}" if disk else "" for disk in map(int, disks)])
    return [number("disk", numbers, numbers == 0), named("disk_name", code[codes], names)]


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
        *_disk(r["disk"]),
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
        *_disk(f["disk"]),
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
    "faults": Table(FAULT, placed_faults, faults),
    "placed_requests": Table(_abi.PLACED, lambda s: s.placed_requests, placed),
    "placed_pages": Table(_abi.PLACED, lambda s: s.placed_pages, placed),
    "requests": Table(_abi.IO_REQUEST, lambda s: s.requests, requests),
    "page_cache": Table(_abi.IO_PAGES, lambda s: s.pages, page_cache),
    "residency": Table(RESIDENCY, lambda s: s.residency, residency),
    "io_files": Table(FILE, lambda s: s.files, io_files),
    "io_extents": Table(EXTENT, lambda s: s.extents, io_extents),
    "io_counters": Table(_abi.IO_COUNTER_VALUE, lambda s: s.counters, io_counters),
    "io_sources": Table(SOURCE, lambda s: s.sources, io_sources),
}
