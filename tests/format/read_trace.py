#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A second reader of traces, written from doc/format.md alone: what is in the file, block by block.

It shares no code with the library and makes no attempt to be fast. Run by itself it prints what it found.
"""

import os
import struct
import sys
from collections import Counter
from dataclasses import dataclass, field

MASK64 = (1 << 64) - 1
MASK32 = (1 << 32) - 1

STRING, TENSOR, TEMPLATE, EVALUATION, EVENT, LOSS, END, EVENTS = range(1, 9)
BLOCK_NAMES = ["", "STRING", "TENSOR", "TEMPLATE", "EVALUATION", "EVENT", "LOSS", "END", "EVENTS"]
WEIGHT, STATE, ACTIVATION, INPUT = range(1, 5)
FILE, COPY, KV, BUFFER = range(1, 5)
ROWS, EXPERTS, GATES, POSITIONS, MASK, OFFSET = range(1, 7)
EMPTY, COMPUTE, FUSES_NEXT = 1, 2, 4
ABORTED, UNMATCHED = 1, 2
CLOCK, MAPPING, MODEL_FILE, LOAD_END, MEMORY_CLEAR, WARMUP, CALL_BEGIN = 1, 2, 3, 5, 7, 9, 10

# By event type: how many values there are, which of them are zigzag, whether a text follows.
EVENT_SHAPES = {
    1: (2, (), False), 2: (4, (), False), 3: (9, (4,), True), 4: (0, (), True), 5: (2, (1,), False),
    6: (0, (), True), 7: (2, (1,), False), 8: (2, (1,), False), 9: (2, (1,), False), 10: (2, (1,), False),
    11: (2, (1,), False), 12: (3, (), False), 13: (0, (), True), 14: (2, (1,), False),
    15: (2, (1,), False), 16: (2, (1,), False), 17: (2, (1,), False),
    18: (7, (), False), 19: (7, (), False),
}  # fmt: skip


class NotATrace(Exception):
    """The header is wrong: what, where."""


class Nonsense(Exception):
    """A block with the right checksum but wrong contents."""


def xxh64(data, seed=0):
    """XXH64 as its specification defines it."""
    p1, p2, p3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
    p4, p5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5

    def rotate(x, n):
        return (x << n | x >> (64 - n)) & MASK64

    def mix(accumulator, lane):
        return rotate((accumulator + lane * p2) & MASK64, 31) * p1 & MASK64

    at, length = 0, len(data)
    if length >= 32:
        v = [(seed + p1 + p2) & MASK64, (seed + p2) & MASK64, seed, (seed - p1) & MASK64]
        while at + 32 <= length:
            v = [mix(x, lane) for x, lane in zip(v, struct.unpack_from("<4Q", data, at))]
            at += 32
        h = sum(rotate(x, n) for x, n in zip(v, (1, 7, 12, 18))) & MASK64
        for x in v:
            h = ((h ^ mix(0, x)) * p1 + p4) & MASK64
    else:
        h = (seed + p5) & MASK64
    h = (h + length) & MASK64
    while at + 8 <= length:
        h = (rotate(h ^ mix(0, struct.unpack_from("<Q", data, at)[0]), 27) * p1 + p4) & MASK64
        at += 8
    if at + 4 <= length:
        h = (rotate(h ^ struct.unpack_from("<I", data, at)[0] * p1 & MASK64, 23) * p2 + p3) & MASK64
        at += 4
    for byte in data[at:]:
        h = rotate(h ^ byte * p5 & MASK64, 11) * p1 & MASK64
    h = (h ^ h >> 33) * p2 & MASK64
    h = (h ^ h >> 29) * p3 & MASK64
    return h ^ h >> 32


# ------------------------------------------------------------------------------------------------------- the encoding


class Bytes:
    """A payload, read from front to back."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def left(self):
        return len(self.data) - self.at

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            if self.at == len(self.data):
                raise Nonsense("a varint ends early")
            byte = self.data[self.at]
            self.at += 1
            if shift == 63 and byte > 1:
                break
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise Nonsense("a varint is over 64 bits")

    def varints(self, count):
        return [self.varint() for _ in range(count)]

    def zigzag(self):
        value = self.varint()
        return value >> 1 if value % 2 == 0 else -(value + 1 >> 1)

    def bytes(self, count):
        if count > self.left():
            raise Nonsense("the payload ends early")
        self.at += count
        return self.data[self.at - count : self.at]

    def string(self):
        return self.bytes(self.varint()).decode("utf-8", "surrogateescape")

    def count(self, least=1):
        count = self.varint()
        if count > self.left() // least:
            raise Nonsense(f"{count} things do not fit")
        return count

    def masked(self):
        """A mask of 16 bits, and a varint for each that is set: pairs of bit and value."""
        mask = self.varint()
        if mask >> 16:
            raise Nonsense("a mask of over 16 bits")
        return [(bit, self.varint()) for bit in range(16) if mask >> bit & 1]


# ---------------------------------------------------------------------------------------------------- what is in it


@dataclass
class Tensor:
    name: str
    occurrence: int
    kind: int
    memory: int
    type: int
    type_name: str
    block: int
    block_bytes: int
    ne: list
    nb: list
    bytes: int
    address: int
    buffer: int
    buffer_name: str
    file: int
    file_offset: int


@dataclass
class Entry:
    name: str
    op: str
    type_name: str
    flags: int
    ne: list
    nb: list
    block: int
    block_bytes: int
    tensor: int
    offset: int
    address: int
    facts: int = 0
    src: dict = field(default_factory=dict)  # by place
    params: list = field(default_factory=list)


@dataclass
class Capture:
    kind: int
    entry: int
    node: int
    src: int


@dataclass
class Template:
    context: int
    n_leaves: int
    entries: list
    captures: list

    @property
    def nodes(self):
        return self.entries[self.n_leaves :]


@dataclass
class Evaluation:
    template: int
    flags: int
    rule: int
    status: int
    n_threads: int
    thread: int
    begin_tick: int
    ticks: int
    n_callbacks: int
    stamps: list
    captures: list  # of values; None where there is nothing more
    waits: list


@dataclass
class Event:
    type: int
    tick: int
    thread: int
    values: list
    text: str


HEADER = struct.Struct("<8sIIIIQQQQQIIII16s64s1024s1024s64s1816sQ")
HEADER_FIELDS = (
    "magic version header_bytes byte_order file_kind features start_realtime_ns start_monotonic_ns start_tick "
    "ticks_per_second clock stamp_shift pid page_bytes run_id producer program ggml_path ggml_version zero checksum"
).split()


def read_header(data, kind=1):
    if len(data) < HEADER.size:
        raise NotATrace(f"{len(data)} bytes, but a header has {HEADER.size}")
    h = dict(zip(HEADER_FIELDS, HEADER.unpack_from(data)))
    checks = {
        "magic": h["magic"] == b"TATTRACE",
        "byte_order": h["byte_order"] == 0x01020304,
        "version": h["version"] == 1,
        "header_bytes": h["header_bytes"] == 4096,
        "checksum": h["checksum"] == xxh64(data[:4088]),
        "file_kind": h["file_kind"] == kind,
        "features": h["features"] <= 1,
        "clock": h["clock"] <= 2,
        "stamp_shift": h["stamp_shift"] <= 16,
        "ticks_per_second": 1000 <= h["ticks_per_second"] <= 10**12,
    }
    checks.update({name: 0 in h[name] for name in ("producer", "program", "ggml_path", "ggml_version")})
    for name, good in checks.items():
        if not good:
            raise NotATrace(f"{name} is wrong")
    return h


def block_at(data, at):
    """(type, payload) of the block there, or None."""
    if at + 24 > len(data):
        return None
    magic, kind, _, count, _, checksum = struct.unpack_from("<4sHHIIQ", data, at)
    if magic != b"TATB" or count > 1 << 30 or at + 24 + count > len(data):
        return None
    payload = data[at + 24 : at + 24 + count]
    return (kind, payload) if xxh64(payload, at ^ kind << 48 ^ count << 16) == checksum else None


def each_block(data):
    """(place, type, payload) of each block; where there is none, 8 bytes of damage: no type."""
    at, end = 4096, len(data.rstrip(b"\0"))
    while at < end:
        kind, payload = block_at(data, at) or (None, b"")
        yield at, kind, payload
        at += 8 if kind is None else (24 + len(payload) + 7) // 8 * 8


class Trace:
    """The file, or that of a run's folder, decoded, with nothing derived yet."""

    def __init__(self, path):
        with open(os.path.join(path, "tensor_access.bin") if os.path.isdir(path) else path, "rb") as file:
            self.data = file.read()
        self.header = read_header(self.data)
        self.strings, self.tensors, self.templates = [], [], []
        self.types = {}  # name -> (block, block bytes)
        self.ops = []  # in the order of their first entry
        self.evaluations, self.events = [], []  # in the order of the file
        self.n_files = 0
        self.losses, self.end = [], None
        self.blocks, self.damaged, self.nonsense, self.orphans, self.unknown = Counter(), 0, [], 0, 0
        self.read_blocks()

    # -------------------------------------------------------------------------------------------------------- blocks

    def read_blocks(self):
        decoders = {
            STRING: self.read_strings, TENSOR: self.read_tensors, TEMPLATE: self.read_template,
            EVALUATION: self.read_evaluation, EVENT: self.read_event, LOSS: self.read_loss, END: self.read_end,
            EVENTS: self.read_events,
        }  # fmt: skip
        for at, kind, payload in each_block(self.data):
            if kind is None:
                self.damaged += 8
                continue
            self.blocks[kind] += 1
            try:
                if kind in decoders:
                    decoders[kind](Bytes(payload))
                else:
                    self.unknown += 1
            except Nonsense as reason:
                self.nonsense.append((at, kind, str(reason)))

    def string(self, number):
        return self.strings[number] if number < len(self.strings) else ""

    def fill_up(self, things, first, nothing, most):
        if not len(things) <= first <= most:
            raise Nonsense(f"number {first} after {len(things)}")
        things.extend([nothing] * (first - len(things)))

    # -------------------------------------------------------------------------------------------------------- tables

    def read_strings(self, b):
        first, count = b.varint(), b.count()
        texts = [b.string() for _ in range(count)]
        self.fill_up(self.strings, first, "", len(self.data))
        self.strings.extend(texts)

    def read_tensors(self, b):
        first, count = b.varint(), b.count()
        tensors = [self.read_tensor(b) for _ in range(count)]
        self.fill_up(self.tensors, first, None, len(self.data) // 20)
        self.tensors.extend(tensors)
        self.types.update({t.type_name: (t.block, t.block_bytes) for t in tensors})

    def read_tensor(self, b):
        name, occurrence, kind, memory, type_, type_name, block, block_bytes = b.varints(8)
        ne, nb = b.varints(4), b.varints(4)
        count, address, buffer, buffer_name, file, file_offset = b.varints(6)
        if not (1 <= kind <= 4 and 1 <= memory <= 4 and 1 <= block <= 4096 and block_bytes <= 4096):
            raise Nonsense("a tensor of no kind")
        return Tensor(self.string(name), occurrence, kind, memory, type_, self.string(type_name), block, block_bytes,
                      ne, nb, count, address, buffer, self.string(buffer_name), file, file_offset)  # fmt: skip

    def read_template(self, b):
        number, context, n_leaves, n_nodes = b.varints(4)
        if max(n_leaves, n_nodes) > 1 << 24 or n_leaves + n_nodes > b.left() // 12 + 1:
            raise Nonsense("more entries than fit")
        entries, address = [], 0
        for i in range(n_leaves + n_nodes):
            entry = self.read_entry(b, address)
            address = entry.address
            if i >= n_leaves:
                entry.facts = b.varint()
                entry.src = dict(b.masked())
                if any(source >= n_leaves + n_nodes for source in entry.src.values()):
                    raise Nonsense("a source that is not an entry")
                words = dict(b.masked())
                entry.params = [words.get(word, 0) & MASK32 for word in range(16)]
            entries.append(entry)
        captures = [Capture(*b.varints(4)) for _ in range(b.count(4))]
        for before, c in zip([None] + captures, captures):
            if not (1 <= c.kind <= 6 and c.entry < len(entries) and c.node < n_nodes and c.src < 16):
                raise Nonsense("a capture of nothing")
            if before and c.node < before.node:
                raise Nonsense("captures out of order")
        self.fill_up(self.templates, number, None, len(self.data) // 24)
        self.templates.append(Template(context, n_leaves, entries, captures))

    def read_entry(self, b, address):
        name, op, type_, flags = b.varints(4)
        ne = b.varints(4)
        if op >= len(self.strings) or self.string(type_) not in self.types:
            raise Nonsense("an unknown operation or type")
        if self.string(op) not in self.ops:
            self.ops.append(self.string(op))
        block, block_bytes = self.types[self.string(type_)]
        elements = 1
        for n in ne:
            elements *= n or 1
        if b.varint():
            nb = [block_bytes, block_bytes * (ne[0] // block)]
            nb += [nb[1] * ne[1], nb[1] * ne[1] * ne[2]]
        else:
            nb = b.varints(4)
            if any(n * stride > 1 << 60 for n, stride in zip(ne, nb)):
                raise Nonsense("a shape without end")
        tensor, offset, difference = b.varint(), b.zigzag(), b.zigzag()
        if elements > 1 << 48 or tensor >= len(self.tensors) or self.tensors[tensor] is None:
            raise Nonsense("an entry without end or owner")
        return Entry(self.string(name), self.string(op), self.string(type_), flags & MASK32, ne, nb, block, block_bytes,
                     tensor, offset, (address + difference) & MASK64)  # fmt: skip

    # ----------------------------------------------------------------------------------------------- what happened

    def read_evaluation(self, b):
        template, flags, rule = b.varints(3)
        status = b.zigzag()
        n_threads, thread, begin, ticks, n_callbacks = b.varints(5)
        differences = b.varints(b.count())
        captured = Bytes(b.bytes(b.varint()))
        waits = b.varints(b.count()) if b.left() else []
        if len(waits) > len(differences) or any(wait > within for wait, within in zip(waits, differences)):
            raise Nonsense("a wait of no node, or longer than its node")
        if rule > 7 or begin + ticks > MASK64:
            raise Nonsense("no such rule or time")
        if template >= len(self.templates) or self.templates[template] is None:
            self.orphans += 1
            return
        stamps, stamp = [], begin >> self.header["stamp_shift"]
        for difference in differences:
            stamp += difference
            stamps.append(stamp)
        captures = read_captures(captured, self.templates[template].captures)
        self.evaluations.append(
            Evaluation(template, flags, rule, status, n_threads, thread, begin, ticks, n_callbacks, stamps, captures,
                       waits)
        )  # fmt: skip

    def read_event(self, b):
        kind, tick, thread = b.varints(3)
        if kind == 0:
            raise Nonsense("no such event")
        if kind not in EVENT_SHAPES:
            self.unknown += 1
            return
        count, signed, has_text = EVENT_SHAPES[kind]
        values = [b.zigzag() if i in signed else b.varint() for i in range(count)]
        text = b.string() if has_text else ""
        if kind == MODEL_FILE:
            if values[0] != self.n_files + 1:
                raise Nonsense("a model file out of order")
            self.n_files += 1
        if kind == CLOCK and abs(values[1] - self.header["start_monotonic_ns"]) > 1 << 60:
            raise Nonsense("an anchor out of all time")
        self.events.append(Event(kind, tick, thread, values, text))

    def read_events(self, b):
        """Many events together: all of them, or none."""
        before = len(self.events), self.n_files, self.unknown
        try:
            for _ in range(b.count(2)):
                self.read_event(Bytes(b.bytes(b.varint())))
        except Nonsense:
            del self.events[before[0] :]
            _, self.n_files, self.unknown = before
            raise

    def read_loss(self, b):
        reason, evaluations, events = b.varints(3)
        if not 1 <= reason <= 5:
            raise Nonsense("no such reason")
        self.losses.append((reason, evaluations, events))

    def read_end(self, b):
        self.end = b.varints(12)

    def totals(self):
        """Evaluations emitted, stored, filtered; lost, by reason from 1 on; events emitted, stored, lost."""
        if self.end:
            emitted, stored, filtered, _, _, events, events_stored, *lost = self.end
            return emitted, stored, filtered, lost, events, events_stored, events - events_stored
        stored, events = len(self.evaluations) + self.orphans, len(self.events)
        lost = [sum(count for reason, count, _ in self.losses if reason == number) for number in range(1, 6)]
        events_lost = sum(count for *_, count in self.losses)
        return stored + sum(lost), stored, 0, lost, events + events_lost, events, events_lost


def read_series(b, count):
    values = [b.zigzag()]
    while len(values) < count:
        difference, length = b.zigzag(), b.varint()
        if not 1 <= length <= count - len(values):
            raise Nonsense("a series too long")
        values += [values[-1] + difference * i for i in range(1, length + 1)]
    return values


def read_mask_row(b):
    """The runs of visible cells: (first, count)."""
    runs, at = [], 0
    while True:
        skipped, seen = b.varints(2)
        if seen == 0:
            return runs
        runs.append((at + skipped, seen))
        at += skipped + seen


def read_capture(b, kind):
    """The values; for masks, a list of runs for each row. None: the bytes have ended or make no sense."""
    if b.left() == 0:
        return None
    try:
        count = b.varint()
        if count > 1 << 24:
            raise Nonsense("too many values")
        if count == 0:
            return []
        if kind in (ROWS, POSITIONS, OFFSET):
            return read_series(b, count)
        if kind == EXPERTS:
            return b.varints(count)
        if kind == GATES:
            return list(struct.unpack(f"<{count}f", b.bytes(4 * count)))
        return [read_mask_row(b) for _ in range(count)]
    except Nonsense:
        b.at = len(b.data)
        return None


def read_captures(b, captures):
    """Their values. A series with more values than its few bytes may stand for counts as not captured."""
    left = min((1 << 18) + (1 << 12) * b.left(), 1 << 24)
    everything = []
    for capture in captures:
        values = read_capture(b, capture.kind)
        if capture.kind in (ROWS, POSITIONS, OFFSET) and values:
            if len(values) > left:
                values = []
            left -= len(values)
        everything.append(values)
    return everything


def main():
    trace = Trace(sys.argv[1])
    for kind, count in sorted(trace.blocks.items()):
        print(f"{count:8} {BLOCK_NAMES[kind] if kind < len(BLOCK_NAMES) else kind}")
    print(f"{trace.damaged:8} bytes of damage, {len(trace.nonsense)} blocks without sense, {trace.orphans} orphans")
    for at, kind, reason in trace.nonsense:
        print(f"byte {at}, block of type {kind}: {reason}")


if __name__ == "__main__":
    main()
