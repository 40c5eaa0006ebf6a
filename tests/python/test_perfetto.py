# SPDX-License-Identifier: MIT
"""`tat export --format perfetto`: read with Perfetto's own descriptors, and by a second reader that checks the rules.

Accesses, bytes and times are those of the data frame. Perfetto itself, which would have to be downloaded, is not asked.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tat
from google.protobuf import unknown_fields
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as pb
from tat import _abi
from tat._library import library

from conftest import run
from io_file import copy
from io_run import IoRun
from perfetto_trace import BEGIN, Reader, Slice

CHOOSERS = {"ARGSORT", "TOP_K"}


def export(path: Path, *options: str) -> bytes:
    out = Path.cwd() / "run.perfetto"
    run(os.environ["TAT"], "export", *options, "-o", out, path)
    return out.read_bytes()


def operations(reader: Reader) -> list[Slice]:
    return [s for s in reader.slices if s.category == "operation"]


def accesses(found: Slice) -> list[dict[str, Any]]:
    of = found.arguments["accesses"]
    assert isinstance(of, list)
    return of


def layers_of_nodes(frame: pd.DataFrame) -> dict[tuple[int, int], int | None]:
    """Of a weight or a part of the cache that it touches, or of all that it touches."""
    found: dict[tuple[int, int], int | None] = {}
    for node, of in frame.groupby(["graph", "node"]):
        owners = of.loc[of["component"].notna() & of["layer"].notna(), "layer"]
        every = set(of["layer"].astype(object).where(of["layer"].notna(), None))
        found[node] = owners.iloc[0] if len(owners) else every.pop() if len(every) == 1 else None
    return found


def same_accesses(reader: Reader, frame: pd.DataFrame) -> None:
    """Record for record: what, where, how much, when."""
    found, layers = [], layers_of_nodes(frame)
    for s in sorted(operations(reader), key=lambda s: (s.arguments["graph"], s.arguments["node"])):
        layer = layers.pop((s.arguments["graph"], s.arguments["node"]))
        assert s.track.name == ("no layer" if layer is None else f"layer {layer}")
        for a in accesses(s):
            place = (s.arguments["graph"], s.arguments["node"], a["operand"], a["tensor"], a["offset"], a["bytes"])
            what = (s.name, a["access"], a.get("expert"), a.get("stride"), a.get("rows", 1))
            found.append((*place, *what, s.begin, s.end - s.begin))
    columns = ["graph", "node", "operand", "tensor", "offset", "size", "op", "access", "expert", "stride"]
    expected = frame[[*columns, "count", "start_ns", "duration_ns"]].astype(object)
    expected = expected.where(expected.notna(), None)
    assert len(found) == len(expected) > 0
    assert not layers
    for ours, theirs in zip(found, expected.itertuples(index=False), strict=False):
        strided = theirs.stride is not None
        assert ours == (*theirs[:-3], theirs.count if strided else 1, *theirs[-2:])


def same_graphs(reader: Reader, frame: pd.DataFrame, t: tat.TraceAnalyzer) -> None:
    """A slice for each graph, within one for its phase; what it read, as arguments and as counters."""
    graphs = {s.arguments["graph"]: s for s in reader.slices if s.category == "graph"}
    evaluations = t.evaluations()
    assert set(graphs) == set(frame["graph"])
    read = frame[frame["access"] == "read"]
    for number, of in frame.groupby("graph"):
        s, e = graphs[number], evaluations.loc[number]
        assert (s.begin, s.end) == (e["begin_ns"], e["end_ns"])
        assert s.parent is not None
        assert (s.parent.category, s.parent.name, s.parent.parent) == ("phase", e["phase"], None)
        assert s.arguments["accesses"] == len(of)
        assert s.arguments["bytes_read"] == read.loc[read["graph"] == number, "size"].sum()
        assert s.arguments["bytes_written"] == of.loc[of["access"] == "write", "size"].sum()
    names = {track.uuid: track.name for track in reader.tracks.values()}
    values: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for uuid, counter in reader.counters.items():
        values[names[uuid]] += counter
    by_graph = sorted((s.begin, s.arguments["bytes_read"]) for s in graphs.values())
    assert sorted(values["bytes read"]) == by_graph
    cache = read[read["component"].isin(["kv_k", "kv_v"])].groupby("graph")["size"].sum()
    assert sorted(values["cache read"]) == sorted((s.begin, cache.get(g, 0)) for g, s in graphs.items())
    by_operation = [
        (s.begin, sum(a["bytes"] for a in accesses(s) if a["access"] == "read")) for s in operations(reader)
    ]
    assert Counter(values["bytes read now"]) == Counter(by_operation + [(s.end, 0) for s in graphs.values()])


def flows_pair(reader: Reader) -> int:
    """Each flow goes from the node that chose an expert to those that read it, within one graph. How many there are."""
    ends = defaultdict(list)
    for s in sorted(operations(reader), key=lambda s: (s.begin, s.arguments["node"])):
        for flow in s.flows:
            ends[flow].append(s)
        experts = {a["expert"] for a in accesses(s) if "expert" in a}
        if experts:
            assert len(s.flows) == len(set(s.flows)) == len(experts)
    for chooser, *readers in ends.values():
        assert chooser.name in CHOOSERS
        assert readers
        (graph,) = {s.arguments["graph"] for s in [chooser, *readers]}
        assert graph == chooser.arguments["graph"]
        common = set.intersection(*({a["expert"] for a in accesses(s) if "expert" in a} for s in readers))
        assert common, "one expert that all of them read"
    return len(ends)


def new_experts(frame: pd.DataFrame) -> list[int]:
    """By graph but the first: experts that the graph before did not choose."""
    chosen = frame[frame["expert"].notna() & (frame["op"] == "MUL_MAT_ID")]
    sets = [set(zip(of["layer"], of["expert"], strict=False)) for _, of in chosen.groupby("graph")]
    return [len(now - before) for before, now in pairwise(sets)]


def known_to_perfetto(data: bytes, reader: Reader) -> None:
    """Perfetto's descriptors know every field, and see the same events."""
    trace = pb.Trace.FromString(data)
    assert trace.IsInitialized()
    todo: list[Any] = [trace]
    while todo:
        found = todo.pop()
        assert len(unknown_fields.UnknownFieldSet(found)) == 0
        for descriptor, value in found.ListFields():
            if descriptor.message_type:
                repeated = not hasattr(value, "ListFields")
                todo += list(value) if repeated else [value]
    assert len(trace.packet) == reader.packets
    events = [(p.timestamp, p.track_event) for p in trace.packet if p.HasField("track_event")]
    ours = [(e.at, e.kind, e.track.uuid, e.slice.flows if e.slice else []) for e in reader.events]
    assert [(at, e.type, e.track_uuid, list(e.flow_ids)) for at, e in events] == ours
    tracks = [p.track_descriptor for p in trace.packet if p.HasField("track_descriptor")]
    assert {t.uuid: t.HasField("counter") for t in tracks} == {t.uuid: t.is_counter for t in reader.tracks.values()}
    assert sum(e.type == BEGIN for _, e in events) == len(reader.slices)


@pytest.mark.parametrize(
    ("fixture", "tokens"), [("toy", "0:8"), ("many_experts", "2:4"), ("cut_off", "3:6"), ("exact", "1:2")]
)
def test_equal_to_the_frame(request: pytest.FixtureRequest, fixture: str, tokens: str | None) -> None:
    path = request.getfixturevalue(fixture)
    with tat.TraceAnalyzer(path) as t:
        data = export(path, *(["--tokens", tokens] if tokens else []))
        reader, frame = Reader(data), t.frame(tokens=tokens) if tokens else t.frame()
        known_to_perfetto(data, reader)
        same_accesses(reader, frame)
        same_graphs(reader, frame, t)
        assert (flows_pair(reader) > 0) == frame["expert"].notna().any()
        counters = {track.name: reader.counters[track.uuid] for track in reader.tracks.values() if track.is_counter}
        assert [value for _, value in counters["new experts"]] == new_experts(frame)


def places_of(found: Slice) -> dict[str, Any]:
    return {name: value for name, value in found.arguments.items() if name != "stall_ns"}


def same_faults(reader: Reader, t: tat.TraceAnalyzer, first: int, last: int) -> None:
    """On a track for each thread, each fault that ended in that time: when, for whom, where."""
    faults = t.faults()
    faults = faults[faults["end_ns"].between(first, last)]
    found = sorted((s for s in reader.slices if s.category == "page fault"), key=lambda s: (s.end, s.track.name))
    assert len(found) == len(faults) > 5
    name_of = library().tat_place_name
    name_of.restype = ctypes.c_char_p
    names = {place: name_of(number).decode() for number, place in enumerate(_abi.PLACES)}
    ordered = faults.sort_values(["end_ns", "tid"]).astype(object)
    for ours, theirs in zip(found, ordered.where(ordered.notna(), None).itertuples(), strict=True):
        assert (ours.end, ours.name) == (theirs.end_ns, "major fault" if theirs.major else "minor fault")
        assert ours.track.name == f"page faults of thread {theirs.tid}"
        assert ours.begin >= theirs.end_ns - (theirs.duration_ns or 0)
        assert ours.arguments["stall_ns"] == (theirs.stall_ns or 0)
        expected = {"tensor": theirs.tensor, "expert": theirs.expert, "offset": theirs.offset, "node": theirs.node}
        expected |= {"graph": theirs.evaluation, "place": names[theirs.place]}
        assert places_of(ours) == {name: value for name, value in expected.items() if value is not None}
    assert sum(s.end - s.begin for s in found) <= faults["duration_ns"].sum()


def same_requests(reader: Reader, t: tat.TraceAnalyzer) -> None:
    """Slices that do not overlap on a track, and how many there are at once."""
    requests = t.requests()
    begins = requests["end_ns"] - requests["duration_ns"].fillna(0).astype(int)
    spans = list(zip(begins, requests["end_ns"], strict=True))
    found = [s for s in reader.slices if s.category == "request"]
    rows = zip(spans, requests["write"], requests["disk"], requests["disk_offset"], requests["bytes"], strict=True)
    expected = Counter((*span, "write" if write else "read", *what) for span, write, *what in rows)
    assert Counter((s.begin, s.end, s.name, *s.arguments.values()) for s in found) == expected
    assert len({s.track.uuid for s in found}) > 1, "some are there at once"
    depth = counter_of(reader, "requests at once")
    for at in sorted({moment for span in spans for moment in span}):
        assert dict(depth)[at] == sum(begin <= at < end for begin, end in spans)
    assert depth[-1][1] == 0


def counter_of(reader: Reader, name: str) -> list[tuple[int, int]]:
    (uuid,) = (track.uuid for track in reader.tracks.values() if track.name == name)
    return reader.counters[uuid]


def test_storage(recorded: IoRun) -> None:
    """Faults, requests, what is in memory, and counters, from the first graph to the last."""
    with tat.TraceAnalyzer(recorded.path) as t:
        data = export(recorded.path)
        reader = Reader(data)
        known_to_perfetto(data, reader)
        same_faults(reader, t, 0, 2**63 - 1)
        same_requests(reader, t)
        cache, held = [], 0
        for row in t.page_cache().itertuples():
            held += row.bytes if row.event == "fill" else -row.bytes
            cache.append((row.at_ns, held))
        assert counter_of(reader, "page cache growth, the run's files") == cache
        samples = t.residency()
        sampled = samples[samples["resident"] & (samples["at_ns"] >= 0)].groupby("at_ns")["bytes"].sum()
        assert counter_of(reader, "in memory, sampled") == list(sampled.items())
        for name, of in t.io_counters().groupby("counter", observed=True):
            assert counter_of(reader, str(name)) == list(zip(of["at_ns"], of["value"], strict=True))


def test_storage_of_some_tokens(recorded: IoRun) -> None:
    """What was from the beginning of the first of these graphs to the end of the last."""
    with tat.TraceAnalyzer(recorded.path) as t:
        reader = Reader(export(recorded.path, "--tokens", "8:20"))
        e = t.evaluations()
        e = e[(e["token"] >= 8) & (e["token"] <= 20)]
        same_faults(reader, t, e["begin_ns"].min(), e["end_ns"].max())


def test_storage_that_cannot_be_read(recorded: IoRun) -> None:
    """The records are written, and why nothing else is."""
    folder = copy(recorded.path, "perfetto_damaged")
    (folder / "io_events.bin").write_bytes(b"not one of ours" * 400)
    out = Path.cwd() / "run.perfetto"
    done = subprocess.run([os.environ["TAT"], "export", "-o", out, folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "warning: no I/O events: " in done.stderr
    assert {s.category for s in Reader(out.read_bytes()).slices} == {"phase", "graph", "operation"}


def test_too_large(toy: Path) -> None:
    """Nothing is written, and the tokens that are said to fit do."""
    out, most = Path.cwd() / "large.perfetto", 150_000
    whole = [os.environ["TAT"], "export", "--max-size", str(most), "-o", out, toy]
    done = subprocess.run(whole, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert not out.exists()
    fits = re.search(r"--tokens 0:(\d+) fits", done.stderr)
    assert fits
    first_names = 20_000  # which are said once, not in each graph
    assert len(export(toy, "--tokens", f"0:{fits[1]}")) <= most + first_names
    assert len(export(toy, "--tokens", f"0:{int(fits[1]) + 1}")) > most
    done = subprocess.run([*whole, "--tokens", "0:0"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr  # the prompt alone is small enough
    assert out.exists()
