# SPDX-License-Identifier: MIT
"""`tat export --format perfetto`: read with Perfetto's own descriptors, and by a second reader that checks the rules.

Accesses, bytes and times are those of the data frame. Perfetto itself, which would have to be downloaded, is not asked.
"""

from __future__ import annotations

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

from conftest import run
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
