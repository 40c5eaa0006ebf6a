#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""damage.py HOW IN OUT: writes a trace as a crash, a bad disk or a faulty agent would leave it. HOW: killed (no END, zeros at
the end), cut (in the middle), or the type of a block whose first payload byte changes. Or the trace is well-formed but
wrong: uncaptured (no evaluation has captures), gathered (a block holds many events), lost (one evaluation is missing),
moved (a weight is one byte further on in its file)."""

import struct
import sys

from read_trace import BLOCK_NAMES, END, EVALUATION, EVENT, EVENTS, TENSOR, WEIGHT, Bytes, Trace, block_at, xxh64


def blocks_of(trace):
    at = 4096
    while (block := block_at(trace.data, at)) is not None:
        yield at, *block
        at += (24 + len(block[1]) + 7) // 8 * 8


def sealed(at, kind, payload):
    checksum = xxh64(payload, at ^ kind << 48 ^ len(payload) << 16)
    return struct.pack("<4sHHIIQ", b"TATB", kind, 0, len(payload), 0, checksum) + payload + bytes(-len(payload) % 8)


def varint(value):
    low = bytearray()
    while value > 0x7F:
        low.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(low) + bytes([value])


def without_captures(payload):
    b = Bytes(payload)
    b.varints(9)
    b.varints(b.varint())
    return payload[: b.at] + b"\0"


def first_weight_moved(payload):
    """Adds one to the file offset, the last of the 22 numbers, of the first weight that is in a file. None: there is none."""
    b = Bytes(payload)
    _, count = b.varints(2)
    for _ in range(count):
        *fields, file = b.varints(21)
        before = b.at
        offset = b.varint()
        if fields[2] == WEIGHT and file:
            return payload[:before] + varint(offset + 1) + payload[b.at :]
    return None


def rewritten(trace, change):
    """Writes all blocks with the payloads that change(kind, payload) returns; leaves out those for which it returns none."""
    data = bytearray(trace.data[:4096])
    for _, kind, payload in blocks_of(trace):
        payload = change(kind, payload)
        if payload is not None:
            data += sealed(len(data), kind, payload)
    return data


def uncaptured(trace):
    return rewritten(trace, lambda kind, payload: without_captures(payload) if kind == EVALUATION else payload)


def gathered(trace):
    """Puts events that follow each other into one block, and with each of them one of an unknown type."""
    data, events = bytearray(trace.data[:4096]), []

    def flush():
        if events:
            payload = varint(len(events)) + b"".join(varint(len(e)) + e for e in events)
            data.extend(sealed(len(data), EVENTS, payload))
            events.clear()

    for _, kind, payload in blocks_of(trace):
        if kind == EVENT:
            events.extend([payload, varint(5000) + payload[1:]])
            continue
        flush()
        data.extend(sealed(len(data), kind, payload))
    flush()
    return data


def lost(trace):
    """Leaves out the second evaluation, whose loss nobody counted."""
    _, second, *_ = [payload for _, kind, payload in blocks_of(trace) if kind == EVALUATION]
    return rewritten(trace, lambda kind, payload: None if kind == EVALUATION and payload == second else payload)


def moved(trace):
    done = False

    def change(kind, payload):
        nonlocal done
        changed = first_weight_moved(payload) if kind == TENSOR and not done else None
        done = done or changed is not None
        return payload if changed is None else changed

    return rewritten(trace, change)


def damaged(how, trace):
    whole = {"uncaptured": uncaptured, "gathered": gathered, "lost": lost, "moved": moved}
    if how in whole:
        return whole[how](trace)
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
