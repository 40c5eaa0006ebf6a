# SPDX-License-Identifier: MIT
"""A reader of Perfetto traces, from the wire format up, which refuses what its rules forbid.

The rules are those of the comments in perfetto's protos/perfetto/trace/ (trace_packet, interned_data, track_event,
track_descriptor); the numbers are those of the fields there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

VARINT, FIXED64, LENGTH = 0, 1, 2
BEGIN, END, COUNTER = 1, 2, 4
CLEARED, NEEDS_STATE = 1, 2


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            assert shift == 0 or byte, "a varint ends with a needless byte"
            assert value < 1 << 64, "a varint has more than 64 bits"
            return value, at
        shift += 7


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = varint(data, at)
        value: int | bytes
        if tag & 7 == VARINT:
            value, at = varint(data, at)
        elif tag & 7 == FIXED64:
            value, at = int.from_bytes(data[at : at + 8], "little"), at + 8
        else:
            assert tag & 7 == LENGTH, f"wire type {tag & 7}"
            length, at = varint(data, at)
            value, at = data[at : at + length], at + length
            assert len(value) == length, "a field ends behind its message"
        assert at <= len(data), "a field ends behind its message"
        yield tag >> 3, value


def message(data: bytes) -> dict[int, list[int | bytes]]:
    found: dict[int, list[int | bytes]] = defaultdict(list)
    for number, value in fields(data):
        found[number].append(value)
    return found


def number(found: dict[int, list[int | bytes]], name: int) -> int:
    (value,) = found[name]
    assert isinstance(value, int)
    return value


def inner(value: int | bytes) -> dict[int, list[int | bytes]]:
    assert isinstance(value, bytes)
    return message(value)


def text(value: int | bytes) -> str:
    assert isinstance(value, bytes)
    return value.decode()


@dataclass
class Track:
    uuid: int
    parent: int | None
    name: str
    is_counter: bool
    rank: int


Annotations = dict[str, "int | str | list[dict[str, int | str]]"]


@dataclass
class Slice:
    track: Track
    category: str
    name: str
    begin: int
    arguments: Annotations
    flows: list[int]
    end: int = -1
    parent: Slice | None = None


@dataclass
class Event:
    at: int
    kind: int
    track: Track
    slice: Slice | None = None
    arguments: Annotations = field(default_factory=dict)
    counters: list[tuple[Track, int]] = field(default_factory=list)


INTERNED = {1: "category", 2: "name", 3: "annotation", 29: "string"}


class Reader:
    """Reads a file: its tracks, slices and counters."""

    def __init__(self, data: bytes) -> None:
        self.tracks: dict[int, Track] = {}
        self.slices: list[Slice] = []
        self.counters: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self.interned: dict[str, dict[int, str]] = {}
        self.events: list[Event] = []
        self.packets = 0
        for tag, packet in fields(data):
            assert tag == 1, "a trace has packets alone"
            self._packet(inner(packet))
            self.packets += 1
        self._nest()

    def _packet(self, packet: dict[int, list[int | bytes]]) -> None:
        assert number(packet, 10) == 1, "one sequence"
        flags = number(packet, 13)
        assert (flags & CLEARED != 0) == (self.packets == 0), "the first packet clears, and no other"
        if flags & CLEARED:
            self.interned = {kind: {} for kind in INTERNED.values()}
        for data in packet[12]:  # holds for this packet too
            self._intern(inner(data))
        for data in packet[60]:
            self._describe(inner(data))
        for data in packet[11]:
            assert flags & NEEDS_STATE, "it names by number"
            self._event(number(packet, 8), inner(data))

    def _intern(self, data: dict[int, list[int | bytes]]) -> None:
        for tag, entries in data.items():
            known = self.interned[INTERNED[tag]]
            for value in entries:
                entry = inner(value)
                iid = number(entry, 1)
                assert iid > 0 and iid not in known, "said once, and not by 0"
                known[iid] = text(entry[2][0])

    def _describe(self, data: dict[int, list[int | bytes]]) -> None:
        uuid = number(data, 1)
        assert uuid and uuid not in self.tracks, "described once"
        parent = number(data, 5) if data[5] else None
        assert parent is None or parent in self.tracks, "a parent comes first"
        if data[3]:
            name = text(inner(data[3][0])[6][0])
        else:
            assert data[11] == [3] and data[15] == [2], "ordered by rank, never merged"
            name = text(data[2][0])
        rank = number(data, 12) if data[12] else 0
        self.tracks[uuid] = Track(uuid, parent, name, bool(data[8]), rank)

    def _named(self, kind: str, iid: int | bytes) -> str:
        assert isinstance(iid, int)
        return self.interned[kind][iid]

    def _annotation(self, data: dict[int, list[int | bytes]]) -> int | str | list[dict[str, int | str]]:
        values = [value for tag in (3, 17, 12) for value in data[tag]]
        if data[12]:
            assert len(values) == len(data[12])
            return [self._dictionary(inner(element)) for element in data[12]]
        assert len(values) == 1, "one value"
        if data[17]:
            return self._named("string", data[17][0])
        return number(data, 3)

    def _dictionary(self, element: dict[int, list[int | bytes]]) -> dict[str, int | str]:
        assert set(element) == {11}, "entries alone"
        found: dict[str, int | str] = {}
        for value in element[11]:
            entry = inner(value)
            name, what = self._named("annotation", entry[1][0]), self._annotation(entry)
            assert name not in found and not isinstance(what, list)
            found[name] = what
        return found

    def _event(self, at: int, data: dict[int, list[int | bytes]]) -> None:
        track = self.tracks[number(data, 11)]
        kind = number(data, 9)
        assert track.is_counter == (kind == COUNTER), "values stand on tracks of counters, slices on others"
        event = Event(at, kind, track)
        for annotation in map(inner, data[4]):
            name = self._named("annotation", annotation[1][0])
            assert name not in event.arguments
            event.arguments[name] = self._annotation(annotation)
        if kind == COUNTER:
            event.counters.append((track, number(data, 30)))
        assert len(data[31]) == len(data[12]), "a track for each value"
        for uuid, value in zip(data[31], data[12], strict=False):
            assert isinstance(uuid, int) and isinstance(value, int)
            assert self.tracks[uuid].is_counter
            event.counters.append((self.tracks[uuid], value))
        if kind == BEGIN:
            name = self._named("name", data[10][0]) if data[10] else text(data[23][0])
            flows = [flow for flow in data[47] if isinstance(flow, int)]
            (category,) = data[3]
            event.slice = Slice(track, self._named("category", category), name, at, event.arguments, flows)
        else:
            assert not data[47] and not data[3] and not data[10] and not data[23]
        self.events.append(event)

    def _nest(self) -> None:
        """An end ends the innermost slice of its track. Events of one time keep the order of the file."""
        open_slices: dict[int, list[Slice]] = defaultdict(list)
        for event in sorted(self.events, key=lambda e: e.at):
            stack = open_slices[event.track.uuid]
            for track, value in event.counters:
                self.counters[track.uuid].append((event.at, value))
            if event.slice:
                event.slice.parent = stack[-1] if stack else None
                stack.append(event.slice)
                self.slices.append(event.slice)
            elif event.kind == END:
                assert stack, "an end of nothing"
                ended = stack.pop()
                ended.end = event.at
                assert not set(ended.arguments) & set(event.arguments), "said twice"
                ended.arguments |= event.arguments
        assert not any(open_slices.values()), "a slice without an end"
