#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A second reader of I/O events, written from doc/format.md alone: prints what is in the file, a line an event.

It shares no code with the library, only the frame and the encoding with the second reader of traces. io.c prints what
the library finds; both are sorted and compared.
"""

import os
import sys
from dataclasses import dataclass, field

from read_trace import Bytes, Nonsense, each_block, read_header

IO = 9
FAULT, IGNORED, LOST, PARTIAL, END, FILE, EXTENTS, PAGES, REQUEST, COUNTER, RESIDENCY, SOURCE = range(1, 13)
SOURCES = range(1, 6)
MASK32 = (1 << 32) - 1


def least_one(count):
    if count == 0:
        raise Nonsense("no pages, or no bytes")
    return count


@dataclass
class File:
    known: tuple = (0, 0, 0, 0, "", "", "")
    extents: list = field(default_factory=list)


@dataclass
class Differences:
    """What the next event of a kind is a difference from: all 0 at the beginning of a block."""

    fault: tuple = (0, 0)
    pages: tuple = (0, 0)
    request: tuple = (0, 0)
    counter: int = 0


class IoEvents:
    """All that the file of a run's folder, or this file, tells."""

    def __init__(self, path):
        with open(os.path.join(path, "io_events.bin") if os.path.isdir(path) else path, "rb") as file:
            data = file.read()
        self.header = read_header(data, kind=2)
        self.faults, self.pages, self.requests, self.counters, self.residency = [], [], [], [], []
        self.files, self.sources = {}, {}
        self.ignored = self.lost = self.damaged = 0
        self.partial = self.ended = False
        for at, kind, payload in each_block(data):
            if kind is None:
                self.damaged += 8
            elif kind == IO:
                self.read_block(Bytes(payload))

    def read_block(self, b):
        d = Differences()
        try:
            while b.left():
                if not self.read_event(b, d):
                    break
        except Nonsense:
            pass
        self.damaged += b.left()

    def read_event(self, b, d):
        """False: the rest of the block cannot be told apart."""
        kind = b.varint()
        if kind == FAULT:
            self.read_fault(b, d)
        elif kind == IGNORED:
            self.ignored += b.varint()
        elif kind == LOST:
            self.lost += b.varint()
        elif kind == PARTIAL:
            self.partial = True
        elif kind == END:
            self.ended = True
        elif kind >= FILE:
            size = b.varint()
            self.read_fields(kind, Bytes(b.bytes(size)), d, size)
        else:
            return False
        return True

    def read_fault(self, b, d):
        end, duration, preempted = d.fault[0] + b.zigzag(), b.varint(), b.varint()
        address, pid = (d.fault[1] + b.zigzag()) & ((1 << 64) - 1), b.varint()
        tid, flags = (pid + b.zigzag()) & MASK32, b.varint()
        d.fault = end, address
        if not preempted <= duration <= end:
            raise Nonsense("a fault that is longer than time")
        self.faults.append((end, duration, preempted, address, pid, tid, flags))

    def read_fields(self, kind, b, d, size):
        readers = {FILE: self.read_file, EXTENTS: self.read_extents, RESIDENCY: self.read_residency}
        readers |= {SOURCE: self.read_source}
        followed = {PAGES: self.read_pages, REQUEST: self.read_request, COUNTER: self.read_counter}
        try:
            if kind in readers:
                readers[kind](b)
            elif kind in followed:
                followed[kind](b, d)
        except Nonsense:
            self.damaged += size

    def file(self, number):
        if not 1 <= number <= 65536:
            raise Nonsense("a file of no number")
        return self.files.setdefault(number, File())

    @staticmethod
    def text(b):
        size = b.varint()
        if size > 4096:
            raise Nonsense("a text that is too long")
        return b.bytes(size).decode("utf-8", "surrogateescape")

    def read_file(self, b):
        number, device, inode, size, disk = b.varints(5)
        known = device, inode, size, disk, self.text(b), self.text(b), self.text(b)
        self.file(number).known = known

    def read_extents(self, b):
        file, at, place = self.file(b.varint()), 0, 0
        while b.left():
            at += b.varint()
            place += b.zigzag()
            size = least_one(b.varint())
            file.extents.append((at, place, size))
            at, place = at + size, place + size

    def read_pages(self, b, d):
        ns, number, first, count = d.pages[0] + b.zigzag(), b.varint(), d.pages[1] + b.zigzag(), b.varint()
        pid = b.varint()
        tid, flags = (pid + b.zigzag()) & MASK32, b.varint()
        self.file(number)
        least_one(count)
        d.pages = ns, first + count
        self.pages.append((ns, number, first, count, pid, tid, flags & 1))

    def read_request(self, b, d):
        end, duration, disk, place = d.request[0] + b.zigzag(), b.varint(), b.varint(), d.request[1] + b.zigzag()
        size, pid, flags = least_one(b.varint()), b.varint(), b.varint()
        d.request = end, place + size
        self.requests.append((end, duration, disk, place, size, pid, flags))

    def read_counter(self, b, d):
        d.counter += b.zigzag()
        self.counters.append((d.counter, b.varint(), b.varint()))

    def read_residency(self, b):
        ns, number, first, count = b.zigzag(), b.varint(), b.varint(), b.varint()
        self.file(number)
        least_one(count)
        runs, at = [], first
        while b.left():
            at += b.varint()
            runs.append((at, least_one(b.varint())))
            at += runs[-1][1]
            if at > first + count:
                raise Nonsense("a run of pages beyond them")
        self.residency.append((ns, number, first, count, *(value for run in runs for value in run)))

    def read_source(self, b):
        source, why = b.varint(), self.text(b)
        if source in SOURCES:
            self.sources[source] = why

    def lines(self):
        for name in ("fault", "request", "counter"):
            yield from (f"{name} {' '.join(map(str, one))}" for one in getattr(self, f"{name}s"))
        for name in ("pages", "residency"):
            yield from (f"{name} {' '.join(map(str, one))}" for one in getattr(self, name))
        for number in range(1, max(self.files, default=0) + 1):
            file = self.files.get(number, File())
            yield f"file {number} {' '.join(map(str, file.known))}"
            end = 0
            for at, place, size in sorted(file.extents, key=lambda extent: extent[0]):
                if at >= end:  # of two that have a byte, the first counts
                    yield f"extent {number} {at} {place} {size}"
                    end = at + size
        for source, why in self.sources.items():
            yield f"source {source} {int(not why)} {why}"
        yield f"all {self.ignored} {self.lost} {self.damaged} {int(self.partial)} {int(self.ended)}"


if __name__ == "__main__":
    for text in IoEvents(sys.argv[1]).lines():
        print(text)
