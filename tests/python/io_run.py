# SPDX-License-Identifier: MIT
"""A run of the toy model with I/O events whose places a test knows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import tat

from io_file import IN_FILE, MAJOR, Fault, File, IoFile, Pages, Request, Residency, copy

PAGE = 4096


@dataclass
class IoRun:
    path: Path
    faults: pd.DataFrame
    """What the table should hold, in its columns."""
    file: IoFile


def mapping_of(t: tat.TraceAnalyzer) -> tuple[int, int]:
    """Address and bytes of the model file's mapping."""
    events = t.events()
    one = events[events["event"] == "mapping"].iloc[0]
    return int(one["value1"]), int(one["value2"])


def _reads(t: tat.TraceAnalyzer) -> pd.DataFrame:
    """The first whole read of a weight in some of the operations, in the order of time."""
    frame = t.frame(kinds="weight")
    whole = (frame["access"] == "read") & (frame["size"] > 0) & (frame["duration_ns"] > 0) & frame["stride"].isna()
    return frame[whole].drop_duplicates(["graph", "start_ns"]).iloc[::7]


class _Faults:
    """The faults of a run, and the rows of the table that they should give."""

    def __init__(self, start_ns: int, pid: int) -> None:
        self.start_ns, self.pid = start_ns, pid
        self.faults: list[Fault] = []
        self.rows: list[dict[str, object]] = []

    def add(self, end: int, times: tuple[int, int], address: int, flags: int, **known: object) -> None:
        """`times`: its duration, and how much of that others ran; `known`: further columns."""
        pid = int(str(known.get("pid", self.pid)))
        tid = pid + len(self.faults) % 2
        self.faults.append(Fault(self.start_ns + end, *times, address, pid, tid, flags))
        stall = times[0] - times[1] if times[0] else None
        row = {"end_ns": end, "duration_ns": times[0] or None, "stall_ns": stall, "address": address}
        self.rows.append({**row, "pid": pid, "tid": tid, "major": bool(flags & MAJOR), **known})

    def table(self) -> pd.DataFrame:
        columns = list(dict.fromkeys(key for row in self.rows for key in row))
        return pd.DataFrame({c: pd.array([r.get(c) for r in self.rows], dtype="object") for c in columns})


def _or_none(value: object) -> int | None:
    return None if pd.isna(value) else int(str(value))


DISK, WHERE = 2048, 1 << 40


def _other_events(made: _Faults, model: tuple[str, int], mapped: int) -> IoFile:
    """For each major fault of the model's file: a request for its page and the next, and the pages that came in.

    The model lies in two extents, the second half first. Every third fill leaves again.
    """
    half, start, pid = model[1] // 2 // PAGE * PAGE, made.start_ns, made.pid
    file = IoFile(made.faults, sources=[(source, "") for source in (1, 2, 3, 5)] + [(4, "not asked for")])
    extents = [(0, WHERE + half, half), (half, WHERE, half + 2 * PAGE)]
    file.files.append(File(1, *model, DISK, extents=extents))
    file.files.append(File(2, "/usr/lib/libother.so", 5 * PAGE, no_extents="the file system does not tell"))
    major = [f for f in made.faults if f.flags == MAJOR | IN_FILE and f.pid == pid and f.address >= mapped]
    for i, fault in enumerate(major):
        first = (fault.address - mapped) // PAGE
        at = WHERE + first * PAGE + (half if first * PAGE < half else -half)
        took = 150 + 90_000 * (i % 3)
        file.requests.append(Request(fault.end_ns - 10, took, DISK, at, 2 * PAGE, pid, 2 if i % 2 else 0))
        file.pages.append(Pages(fault.end_ns - 5, 1, first, 2, pid, fault.tid))
        if i % 3 == 0:
            file.pages.append(Pages(fault.end_ns + 1, 1, first, 2, pid, fault.tid, left=True))
    file.requests.append(Request(start + 10, 0, DISK + 16, 0, 512, 0, 1))
    step = max(1000, (made.faults[-1].end_ns - start) // 4)
    file.counters = [(start + step * i, counter, 5000 * i + counter) for i in range(4) for counter in (1, 6, 12)]
    file.residency = [
        Residency(start - 100, 1, 0, 63, []),
        Residency(start + 100, 1, 0, 63, [(0, 3), (10, 53)]),
        Residency(start + 100, 2, 2, 3, [(2, 3)]),
    ]
    return file


def made(trace: Path, name: str) -> IoRun:
    """Events beside a copy of a trace."""
    return beside(copy(trace, name))


def beside(path: Path) -> IoRun:
    """A fault at the end of some operations, of the first byte that each reads, and some of other places."""
    with tat.TraceAnalyzer(path) as t:
        address, _ = mapping_of(t)
        made = _Faults(int(t.trace.header.start_monotonic_ns), int(t.trace.header.pid))
        reads = _reads(t)
        weight_id = t.tensors()["weight_id"]
        model = t.models().iloc[0]
        model_path, model_bytes = str(model["path"]), int(model["bytes"])

    def weight(read: pd.Series) -> dict[str, object]:
        known = {"tensor_id": int(weight_id[read["tensor_id"]]), "tensor": read["tensor"]}
        known |= {"component": read["component"], "file": 1, "offset": int(read["offset"])}
        return known | {"layer": _or_none(read["layer"]), "expert": _or_none(read["expert"])}

    first = reads.iloc[0]
    at = address + int(first["offset"])
    loading = {"during": "loading"}
    made.add(-5_000_000, (900, 0), at, MAJOR, place="outside", **loading, **weight(first))
    made.add(-4_000_000, (800, 0), 0x1000, MAJOR, place="no_file", **loading)
    made.add(-3_000_000, (700, 0), 0x2000, MAJOR | IN_FILE, place="other_file", **loading)
    made.add(-2_000_000, (600, 0), at, MAJOR | IN_FILE, pid=made.pid + 1000, place="other_process", **loading)
    made.add(-1_000_000, (500, 0), address + 16, IN_FILE, place="header", file=1, offset=16, **loading)
    for i, (_, read) in enumerate(reads.iterrows()):
        times = (0, 0) if i % 5 == 4 else (300 + i, i % 3)
        known = {"evaluation": int(read["graph"]), "phase": read["phase"], "token": _or_none(read["token"])}
        known |= {"node": int(read["node"]), "during": read["phase"]}
        made.add(
            int(read["start_ns"] + read["duration_ns"]),
            times,
            address + int(read["offset"]),
            IN_FILE | (MAJOR if i % 2 else 0),
            **{"place": "operation", "op": read["op"], **known, **weight(read)},
        )
    file = _other_events(made, (model_path, model_bytes), address)
    file.write(path)
    return IoRun(path, made.table(), file)
