#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""storage.py TAT TRACE [SEED...]: what `tat report --section storage` says was read, counted again page by page with nothing but
lists. For each SEED, I/O events made up at random are recounted beside a copy of the trace; without one, those that
were recorded with it, read as doc/format.md says."""

import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "python"))
os.environ.setdefault("SOURCE", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

from compare import Comparison, section_of  # noqa: E402, puts the reader on the path too
from facts import Facts, intervals  # noqa: E402
from io_file import END, EXTENTS, FAULT, FILE, IoFile, LOST, PAGES, REQUEST, Fault, File, Pages, Request  # noqa: E402
from read_trace import FILE as IN_FILE_MEMORY  # noqa: E402
from read_trace import MAPPING, MODEL_FILE, WEIGHT  # noqa: E402
from timeline import PHASES  # noqa: E402

PAGE, NEVER, MAJOR, WRITE = 4096, float("inf"), 1, 1


# ---------------------------------------------------------------------------------------------------------- reading


class Fields:
    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def signed(self):
        value = self.number()
        return value >> 1 if value % 2 == 0 else -(value + 1 >> 1)

    def text(self):
        size = self.number()
        self.at += size
        return self.data[self.at - size : self.at].decode()

    def __bool__(self):
        return self.at < len(self.data)


def read_block(data, io):
    b = Fields(data)
    fault, pages, request = [0, 0], [0, 0], [0, 0]
    while b:
        kind = b.number()
        if kind == FAULT:
            fault = [fault[0] + b.signed(), fault[1]]
            duration, preempted = b.number(), b.number()
            fault[1] += b.signed()
            pid = b.number()
            io.faults.append(Fault(fault[0], duration, preempted, fault[1], pid, pid + b.signed(), b.number()))
            continue
        if kind in (2, LOST):
            io.lost += b.number() * (kind == LOST)
            continue
        if kind < FILE:
            io.ended |= kind == END
            continue
        size = b.number()
        e = Fields(data[b.at : b.at + size])
        b.at += size
        if kind == FILE:
            number, _, _, size, disk = (e.number() for _ in range(5))
            io.files.append(File(number, e.text(), size, disk))
        elif kind == EXTENTS:
            number, at, on_disk = e.number(), 0, 0
            while e:
                at += e.number()
                on_disk += e.signed()
                size = e.number()
                io.files[number - 1].extents.append((at, on_disk, size))
                at, on_disk = at + size, on_disk + size
        elif kind == PAGES:
            pages[0] += e.signed()
            number = e.number()
            first = pages[1] + e.signed()
            count, pid = e.number(), e.number()
            io.pages.append(Pages(pages[0], number, first, count, pid, pid + e.signed(), bool(e.number() & 1)))
            pages[1] = first + count
        elif kind == REQUEST:
            request[0] += e.signed()
            duration, disk = e.number(), e.number()
            at = request[1] + e.signed()
            size = e.number()
            io.requests.append(Request(request[0], duration, disk, at, size, e.number(), e.number()))
            request[1] = at + size


@dataclass
class Recorded:
    faults: list = field(default_factory=list)
    files: list = field(default_factory=list)
    pages: list = field(default_factory=list)
    requests: list = field(default_factory=list)
    lost: int = 0
    ended: bool = False


def read_io(path):
    data, io, at = Path(path, "io_events.bin").read_bytes(), Recorded(), 4096
    while at + 24 <= len(data) and data[at : at + 4] == b"TATB":
        size = struct.unpack_from("<I", data, at + 8)[0]
        read_block(data[at + 24 : at + 24 + size], io)
        at += 24 + size + -size % 8
    io.faults.sort(key=lambda f: f.end_ns)
    io.pages.sort(key=lambda p: p.ns)
    return io


# ---------------------------------------------------------------------------------------------------------- the model


class Model:
    """The first model file, as the second reader knows it."""

    def __init__(self, path):
        self.facts = Facts(path)
        self.trace, header = self.facts.trace, self.facts.trace.header
        self.start, self.pid = header["start_monotonic_ns"], header["pid"]
        event = next(e for e in self.trace.events if e.type == MODEL_FILE)
        self.path, self.size = event.text, event.values[3]
        self.mappings = [e.values for e in self.trace.events if e.type == MAPPING and e.values[0] == 1]
        whole = [
            (t.file_offset, t.bytes, i) for i, t in enumerate(self.facts.tensors) if t.kind == WEIGHT and t.file == 1
        ]
        self.weights = sorted(whole)
        self.mapped = {self.facts.weight_of[i] for i, t in enumerate(self.trace.tensors) if t.memory == IN_FILE_MEMORY}
        self.runs = sorted(self.facts.runs, key=lambda r: r.begin_ns)

    def number(self, io):
        """In the file of I/O events."""
        return next(f.number for f in io.files if f.path == self.path)

    def address(self, offset):
        return next((m[1] + offset - m[3] for m in reversed(self.mappings) if m[3] <= offset < m[3] + m[2]), None)

    def offset(self, address):
        return next((address - m[1] + m[3] for m in reversed(self.mappings) if m[1] <= address < m[1] + m[2]), None)

    def weight_of_page(self, page):
        """The first weight that has a byte in it."""
        begin, end = page * PAGE, (page + 1) * PAGE
        return next((i for at, size, i in self.weights if at < end and at + size > begin), None)

    def when(self, ns):
        run = next((r for r in reversed(self.runs) if r.begin_ns <= ns <= r.end_ns), None)
        if run:
            return PHASES[run.phase]
        return "loading" if ns < self.runs[0].begin_ns else "no graph is computed"

    def operations(self):
        """(begin, end, byte ranges of mapped weights), in order."""
        found = []
        for step in self.facts.all_steps:
            first = step.accesses[0]
            ranges = []
            for a in step.accesses:
                memory = a.kind >> 4
                if memory == IN_FILE_MEMORY and a.bytes:
                    ranges += intervals(a)
            begin, end = first.start_ns, first.start_ns + first.duration_ns
            found.append((step.evaluation, begin, end, ranges))
        return found


# ------------------------------------------------------------------------------------------------------- made up


def make_up(model, seed):
    """Pages come, leave and are waited for at random, more often than in any program."""
    rng, io = random.Random(seed), IoFile()
    end = model.runs[-1].end_ns
    times = iter(sorted(rng.sample(range(-end // 8, end + end // 16), 6000)))
    on_disk = 1 << 30
    cut = model.size // 2 // PAGE * PAGE
    io.files = [
        File(1, model.path, model.size, 77, "", [(0, on_disk, cut), (cut, on_disk + 2 * cut, model.size - cut)])
    ]
    pages = [rng.randrange(model.size // PAGE) for _ in range(12)]  # so that each has a history
    for ns in times:
        page = rng.choice(pages) + rng.randrange(4)
        what = rng.random()
        if what < 0.45:
            io.pages.append(Pages(model.start + ns, 1, page, rng.randrange(1, 6), model.pid, model.pid))
        elif what < 0.75:
            io.pages.append(Pages(model.start + ns, 1, page, rng.randrange(1, 6), model.pid, model.pid, True))
        elif what < 0.9:
            at = model.address(page * PAGE + rng.randrange(PAGE))
            if at is not None:
                took = rng.randrange(1, 10 ** rng.randrange(3, 8))
                io.faults.append(Fault(model.start + ns, took, 0, at, model.pid, model.pid + 1, rng.choice([2, 3, 3])))
        else:
            at, size = on_disk + rng.randrange(4 * cut), PAGE * rng.randrange(1, 64)
            io.requests.append(
                Request(
                    model.start + ns,
                    rng.randrange(1, 10**6),
                    rng.choice([77, 77, 77, 5]),
                    at,
                    size,
                    0,
                    rng.choice([0, 0, 0, 1]),
                )
            )
    return io


# ------------------------------------------------------------------------------------------------------- counting


def uses_of(operations):
    """By page, the operations that touch it: (begin, end)."""
    uses = defaultdict(list)
    for _, begin, end, ranges in operations:
        for page in {p for first, past in ranges for p in range(first // PAGE, (past - 1) // PAGE + 1)}:
            uses[page].append((begin, end))
    return uses


def wanted_by_phase(model, operations):
    wanted, graphs = Counter(), defaultdict(list)
    for evaluation, _, _, ranges in operations:
        graphs[evaluation] += ranges
    for evaluation, ranges in graphs.items():
        to = 0
        for first, past in sorted(ranges):
            wanted[PHASES[model.facts.runs[evaluation].phase]] += max(past - max(first, to), 0)
            to = max(to, past)
    return wanted


class Fates:
    """What became of each page that came, by what happens to it until it leaves or comes again."""

    def __init__(self, model, io, uses):
        self.model, self.uses = model, uses
        self.came, self.left, self.faults = defaultdict(list), defaultdict(list), defaultdict(list)
        for e in (e for e in io.pages if e.file == model.number(io)):
            for page in range(e.first, e.first + e.count):
                (self.left if e.left else self.came)[page].append(e.ns - model.start)
        for f in io.faults:
            offset = model.offset(f.address)
            if f.pid == model.pid and offset is not None:
                end = f.end_ns - model.start
                self.faults[offset // PAGE].append((end - f.duration_ns, end, f.flags & MAJOR))

    def touched(self, page, since, until, again):
        """By a fault or an operation, before `until`, when it leaves or comes again. What leaves during an operation that
        touches it was touched, unless it came again before that ended."""
        ends = [(end, major) for _, end, major in self.faults[page] if since <= end <= until]
        for begin, end in self.uses[page]:
            if since <= end and (end < until or (begin < until <= end and again > end)):
                ends.append((end, 0))
        return min(ends) if ends else None

    def of(self, page, number):
        since = self.came[page][number]
        again = self.came[page][number + 1] if number + 1 < len(self.came[page]) else NEVER
        left = next((ns for ns in self.left[page] if ns > since), NEVER)
        weight = self.model.weight_of_page(page)
        if weight is None:
            return "header" if page * PAGE < self.model.weights[0][0] else "beside"
        if any(begin <= since <= end and major for begin, end, major in self.faults[page]):
            return "demanded"
        # A fault that begins before the page leaves and ends later finds that it left.
        first = self.touched(page, since, min(left, again), again)
        if first:
            return "late" if first[1] else "ahead"
        if weight not in self.model.mapped:
            return "loaded"
        return "evicted" if min(left, again) < NEVER else "unused"


def came_in(model, io, operations):
    fates, found = Fates(model, io, uses_of(operations)), []
    for page, times in fates.came.items():
        found += [(page, number, fates.of(page, number), model.when(ns)) for number, ns in enumerate(times)]
    return found


def read_by_requests(io, model):
    """(bytes, distinct bytes) of the model's file."""
    file = io.files[model.number(io) - 1]
    pieces, disk = file.extents, file.disk
    ranges = []
    for r in io.requests:
        for at, on_disk, size in pieces if r.disk == disk and not r.flags & (WRITE | 4 | 8) else []:
            first, past = max(r.disk_offset, on_disk), min(r.disk_offset + r.bytes, on_disk + size)
            if first < past:
                ranges.append((first - on_disk + at, past - on_disk + at))
    total = distinct = to = 0
    for first, past in sorted(ranges):
        total += past - first
        distinct += max(past - max(first, to), 0)
        to = max(to, past)
    return total, distinct


def tables_of(found, wanted, model):
    phases, tensors = defaultdict(Counter), defaultdict(Counter)
    names = {"demanded": "demanded", "ahead": "ahead", "late": "ahead", "evicted": "in_vain", "unused": "in_vain"}
    for page, number, fate, when in found:
        weight = model.weight_of_page(page)
        for row in [phases[when]] + ([tensors[model.facts.tensors[weight].name]] if weight is not None else []):
            row["read"] += PAGE
            row["again"] += PAGE * (number > 0)
            row[names.get(fate, "other")] += PAGE
    for when, size in wanted.items():
        phases[when]["wanted"] = size
    return phases, tensors


def rows_of(section, table, key, columns):
    sums = defaultdict(Counter)
    for row in section["tables"].get(table, {"rows": []})["rows"]:
        for column in columns:
            sums[row[key]][column] += row.get(f"{column}_bytes", 0)
    return sums


def compare_requests(tat, path, io, section, compare):
    """A request counts once, where most of its bytes are, in the report and in tat correlate."""
    correlated = json.loads(subprocess.check_output([tat, "correlate", "--json", path]))["requests"]["rows"]
    reported = section["tables"].get("requests", {"rows": []})["rows"]
    compare.check("requests", sum(row["requests"] for row in reported), len(io.requests))
    for place in sorted({row["place"] for row in correlated + reported}):
        for name, other in (("requests", "count"), ("parts", "parts"), ("bytes", "bytes")):
            compare.check(
                f"requests, {place}, {name}",
                sum(row[name] for row in reported if row["place"] == place),
                sum(row[other] for row in correlated if row["place"] == place),
            )


def recount(tat, model, path, io, ended=True):
    section, operations, compare = section_of(tat, path, "storage"), model.operations(), Comparison()
    wanted, found = wanted_by_phase(model, operations), came_in(model, io, operations)
    copied = sum(size for _, size, i in model.weights if i not in model.mapped)
    fates = Counter(fate for _, _, fate, _ in found)
    total, distinct = read_by_requests(io, model)
    if not io.files[model.number(io) - 1].extents:
        total, distinct = len(found) * PAGE, sum(number == 0 for _, number, _, _ in found) * PAGE
    values = {
        "wanted_bytes": sum(wanted.values()) + copied,
        "disk_bytes": total,
        "unique_bytes": distinct,
        "demanded_bytes": fates["demanded"] * PAGE,
        "ahead_used_bytes": (fates["ahead"] + fates["late"]) * PAGE,
        "ahead_late_bytes": fates["late"] * PAGE,
        "evicted_before_use_bytes": fates["evicted"] * PAGE,
        "never_used_bytes": fates["unused"] * PAGE,
    }
    for name, value in values.items():
        compare.check(name, section["values"].get(name), value)
    compare.check("reread_factor", section["values"].get("reread_factor"), total / distinct if distinct else None)
    compare_requests(tat, path, io, section, compare)
    phases, tensors = tables_of(found, wanted, model)
    columns = ["read", "again", "demanded", "ahead", "in_vain"]
    for table, key, rows in (("reading", "phase", phases), ("read_slices", "tensor", tensors)):
        reported = rows_of(section, table, key, columns + (["wanted"] if key == "phase" else []))
        for name in sorted(set(reported) | set(rows)):
            for column in columns + (["wanted"] if key == "phase" else []):
                compare.check(f"{table}, {name}, {column}", reported[name][column], rows[name][column])
    for line in compare.wrong[:20]:
        print(f"{path}: {line}")
    print(f"{path}: {len(found)} pages, {dict(fates)}, {compare.count} figures, {len(compare.wrong)} wrong")
    return not compare.wrong and compare.count > 20


def main():
    tat, path, *seeds = sys.argv[1:]
    model = Model(path)
    good = seeds or recount(tat, model, path, read_io(path))
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(Path(path, "tensor_access.bin"), folder)
            io = make_up(model, int(seed))
            io.write(Path(folder))
            good = recount(tat, model, folder, io) and good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
