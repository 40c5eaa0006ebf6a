#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""damage.py HOW IN OUT: a trace as a crash or a bad disk leaves it. HOW: killed (no END, zeros behind), cut (in the
middle), uncaptured (whole, but no evaluation has captures), or the type of a block whose first payload byte changes."""

import struct
import sys

from read_trace import BLOCK_NAMES, END, EVALUATION, Bytes, Trace, xxh64


def blocks_of(trace):
    at = 4096
    while (block := trace.block_at(at)) is not None:
        yield at, *block
        at += (24 + len(block[1]) + 7) // 8 * 8


def sealed(at, kind, payload):
    checksum = xxh64(payload, at ^ kind << 48 ^ len(payload) << 16)
    return struct.pack("<4sHHIIQ", b"TATB", kind, 0, len(payload), 0, checksum) + payload + bytes(-len(payload) % 8)


def without_captures(payload):
    b = Bytes(payload)
    b.varints(9)
    b.varints(b.varint())
    return payload[: b.at] + b"\0"


def uncaptured(trace):
    data = bytearray(trace.data[:4096])
    for _, kind, payload in blocks_of(trace):
        data += sealed(len(data), kind, without_captures(payload) if kind == EVALUATION else payload)
    return data


def damaged(how, trace):
    if how == "uncaptured":
        return uncaptured(trace)
    data = bytearray(trace.data)
    blocks = list(blocks_of(trace))
    if how == "killed":
        return data[: next(at for at, kind, _ in blocks if kind == END)] + bytes(1 << 20)
    if how == "cut":
        return data[: len(data) * 9 // 10 | 5]
    kind = BLOCK_NAMES.index(how)
    at = [at for at, k, _ in blocks if k == kind][-1]
    data[at + 24] ^= 0x40
    return data


def main():
    how, source, target = sys.argv[1:]
    with open(target, "wb") as file:
        file.write(damaged(how, Trace(source)))


if __name__ == "__main__":
    main()
