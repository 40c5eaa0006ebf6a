# SPDX-License-Identifier: MIT
"""Writes io_events.bin from doc/format.md alone, so that a test knows what is in it."""

from __future__ import annotations

import os
import shutil
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["SOURCE"], "tests", "format")))

from read_trace import xxh64

FAULT, LOST, END, FILE, EXTENTS, PAGES, REQUEST, COUNTER, RESIDENCY, SOURCE = 1, 3, 5, *range(6, 13)
MAJOR, IN_FILE = 1, 2


def varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def zigzag(value: int) -> bytes:
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


@dataclass
class Fault:
    """Times are CLOCK_MONOTONIC."""

    end_ns: int
    duration_ns: int
    preempted_ns: int
    address: int
    pid: int
    tid: int
    flags: int


@dataclass
class File:
    number: int
    path: str
    bytes: int
    disk: int = 0
    no_extents: str = ""
    extents: list[tuple[int, int, int]] = field(default_factory=list)
    """Offset in the file, offset on the disk, bytes."""
    device: int = 0
    inode: int = 0
    """0: not known, so that path and size tell which file it is."""

    def put(self) -> bytes:
        texts = [self.path, "ext4", self.no_extents]
        known = [self.number, self.device, self.inode, self.bytes, self.disk]
        out = event(FILE, b"".join([*map(varint, known), *(varint(len(t.encode())) + t.encode() for t in texts)]))
        fields, at, on_disk = varint(self.number), 0, 0
        for offset, place, size in self.extents:
            fields += varint(offset - at) + zigzag(place - on_disk) + varint(size)
            at, on_disk = offset + size, place + size
        return out + (event(EXTENTS, fields) if self.extents else b"")


@dataclass
class Pages:
    ns: int
    file: int
    first: int
    count: int
    pid: int
    tid: int
    left: bool = False


@dataclass
class Request:
    end_ns: int
    duration_ns: int
    disk: int
    disk_offset: int
    bytes: int
    pid: int
    flags: int = 0


@dataclass
class Residency:
    ns: int
    file: int
    first: int
    count: int
    runs: list[tuple[int, int]]
    """First page, pages."""

    def put(self) -> bytes:
        fields, at = b"".join(map(varint, [self.file, self.first, self.count])), self.first
        for first, count in self.runs:
            fields += varint(first - at) + varint(count)
            at = first + count
        return event(RESIDENCY, zigzag(self.ns) + fields)


def event(kind: int, fields: bytes) -> bytes:
    return varint(kind) + varint(len(fields)) + fields


@dataclass
class IoFile:
    faults: list[Fault] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    pages: list[Pages] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    counters: list[tuple[int, int, int]] = field(default_factory=list)
    """Time, number, value."""
    residency: list[Residency] = field(default_factory=list)
    sources: list[tuple[int, str]] = field(default_factory=list)
    lost: int = 0

    def _faults(self) -> bytes:
        out, ns, address = b"", 0, 0
        for f in self.faults:
            out += varint(FAULT) + zigzag(f.end_ns - ns) + varint(f.duration_ns) + varint(f.preempted_ns)
            out += zigzag(f.address - address) + varint(f.pid) + zigzag(f.tid - f.pid) + varint(f.flags)
            ns, address = f.end_ns, f.address
        return out

    def _pages(self) -> bytes:
        out, ns, page = b"", 0, 0
        for p in self.pages:
            fields = zigzag(p.ns - ns) + varint(p.file) + zigzag(p.first - page) + varint(p.count)
            out += event(PAGES, fields + varint(p.pid) + zigzag(p.tid - p.pid) + varint(p.left))
            ns, page = p.ns, p.first + p.count
        return out

    def _requests(self) -> bytes:
        out, ns, at = b"", 0, 0
        for r in self.requests:
            fields = zigzag(r.end_ns - ns) + varint(r.duration_ns) + varint(r.disk) + zigzag(r.disk_offset - at)
            out += event(REQUEST, fields + varint(r.bytes) + varint(r.pid) + varint(r.flags))
            ns, at = r.end_ns, r.disk_offset + r.bytes
        return out

    def _counters(self) -> bytes:
        out, ns = b"", 0
        for at, number, value in self.counters:
            out += event(COUNTER, zigzag(at - ns) + varint(number) + varint(value))
            ns = at
        return out

    def payload(self) -> bytes:
        out = [event(SOURCE, varint(source) + varint(len(why)) + why.encode()) for source, why in self.sources]
        out += [file.put() for file in self.files]
        out += [self._faults(), self._pages(), self._requests(), self._counters()]
        out += [sample.put() for sample in self.residency]
        if self.lost:
            out.append(varint(LOST) + varint(self.lost))
        return b"".join([*out, varint(END)])

    def write(self, trace: Path) -> None:
        """Beside the trace in this folder, whose header it takes over but for the kind."""
        header = bytearray((trace / "tensor_access.bin").read_bytes()[:4096])
        header[20:24] = struct.pack("<I", 2)
        header[4088:] = struct.pack("<Q", xxh64(bytes(header[:4088])))
        payload = self.payload()
        seed = 4096 ^ 9 << 48 ^ len(payload) << 16
        block = struct.pack("<4sHHIIQ", b"TATB", 9, 0, len(payload), 0, xxh64(payload, seed)) + payload
        (trace / "io_events.bin").write_bytes(bytes(header) + block + bytes(-len(block) % 8))


def copy(trace: Path, name: str) -> Path:
    """A copy of a run, to write beside."""
    folder = trace.parent / name
    folder.mkdir()
    shutil.copy(trace / "tensor_access.bin", folder)
    return folder
