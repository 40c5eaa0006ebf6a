#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""write_io.py FILE: a file of I/O events of every kind, written from doc/format.md alone, in two blocks."""

import struct
import sys

from read_io import COUNTER, END, EXTENTS, FAULT, FILE, IGNORED, IO, LOST, PAGES, PARTIAL, REQUEST, RESIDENCY, SOURCE
from read_trace import HEADER, xxh64

START = 10**9


def varint(value):
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def zigzag(value):
    return varint(value << 1 if value >= 0 else (-value << 1) - 1)


def text(value):
    return varint(len(value.encode())) + value.encode()


def event(kind, *fields):
    """From FILE on: with its length."""
    return varint(kind) + varint(sum(map(len, fields))) + b"".join(fields)


def fault(end, duration, preempted, address, tid, flags):
    times = zigzag(end) + varint(duration) + varint(preempted)
    return varint(FAULT) + times + zigzag(address) + varint(77) + zigzag(tid - 77) + varint(flags)


FIRST = b"".join(
    [
        event(SOURCE, varint(1), text("")),
        event(SOURCE, varint(2), text("no permission")),
        event(SOURCE, varint(99), text("of a later version")),
        event(FILE, *map(varint, (1, 2049, 131, 1 << 33, 2048)), text("/models/größe.gguf"), text("ext4"), text("")),
        event(FILE, *map(varint, (3, 0, 0, 5, 0)), text(""), text("tmpfs"), text("it has no disk"), b"more fields"),
        event(EXTENTS, varint(1), *(varint(0), zigzag(1 << 30), varint(8192)), *(varint(4096), zigzag(-65536), varint(1))),
        fault(START, 900, 100, 1 << 47, 78, 3),
        fault(500, 0, 0, -4096, 77, 2),
        event(PAGES, zigzag(START), varint(1), zigzag(40), varint(32), varint(77), zigzag(1), varint(0)),
        event(PAGES, zigzag(-3), varint(1), zigzag(-72), varint(2), varint(77), zigzag(-7), varint(1)),
        event(200, b"a kind that is not known yet"),
        event(REQUEST, zigzag(START), *map(varint, (1000, 2048)), zigzag(1 << 30), *map(varint, (131072, 77, 2))),
        event(REQUEST, zigzag(9), *map(varint, (0, 2048)), zigzag(-512), *map(varint, (512, 0, 9))),
        event(COUNTER, zigzag(START), varint(1), varint(1 << 40)),
        event(COUNTER, zigzag(10), varint(77), varint(3)),
        varint(IGNORED) + varint(7),
        varint(PARTIAL),
    ]
)
SECOND = b"".join(
    [
        fault(START + 10**6, 2, 2, 0x1000, 4000000000, 1),
        event(PAGES, zigzag(START + 1), varint(2), zigzag(0), varint(1), varint(0), zigzag(0), varint(0)),
        event(COUNTER, zigzag(START + 20), varint(1), varint(0)),
        event(EXTENTS, varint(1), varint(4096), zigzag(1 << 31), varint(8192)),  # these bytes are said to be elsewhere
        event(RESIDENCY, zigzag(START), *map(varint, (1, 0, 100, 3, 4, 0, 5, 80, 8))),
        event(RESIDENCY, zigzag(START), *map(varint, (1, 100, 28))),
        event(RESIDENCY, zigzag(START), *map(varint, (2, 5, 9, 0, 9))),
        varint(LOST) + varint(5),
        varint(END),
    ]
)


def main(path):
    fields = [b"TATTRACE", 1, 4096, 0x01020304, 2, 0, 0, START, 0, 10**9, 0, 0, 77, 4096, bytes(16)]
    data = HEADER.pack(*fields, b"test", b"", b"", b"", b"", 0)[:4088]
    data += struct.pack("<Q", xxh64(data))
    for payload in (FIRST, SECOND):
        seed = len(data) ^ IO << 48 ^ len(payload) << 16
        data += struct.pack("<4sHHIIQ", b"TATB", IO, 0, len(payload), 0, xxh64(payload, seed)) + payload
        data += bytes(-len(data) % 8)
    with open(path, "wb") as file:
        file.write(data)


if __name__ == "__main__":
    main(sys.argv[1])
