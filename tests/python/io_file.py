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

FAULT, LOST, END = 1, 3, 5
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
class IoFile:
    faults: list[Fault] = field(default_factory=list)
    lost: int = 0

    def payload(self) -> bytes:
        out, ns, address = bytearray(), 0, 0
        for f in self.faults:
            out += varint(FAULT) + zigzag(f.end_ns - ns) + varint(f.duration_ns) + varint(f.preempted_ns)
            out += zigzag(f.address - address) + varint(f.pid) + zigzag(f.tid - f.pid) + varint(f.flags)
            ns, address = f.end_ns, f.address
        if self.lost:
            out += varint(LOST) + varint(self.lost)
        return bytes(out + varint(END))

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
