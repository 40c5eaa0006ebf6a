# SPDX-License-Identifier: MIT
"""I/O events: tables, filters and SQL, against events that the test wrote itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tat
from tat import storage
from tat.database import Database
from tat.errors import ErrorKind, TatError

from conftest import command
from io_file import IoFile, copy
from io_run import IoRun

COLUMNS = [
    "end_ns", "duration_ns", "stall_ns", "pid", "tid", "major", "place", "during", "evaluation", "phase", "token",
    "node", "op", "layer", "tensor_id", "tensor", "component", "expert", "file", "offset", "address",
]  # fmt: skip


def plain(frame: pd.DataFrame) -> list[list[object]]:
    return frame.astype("object").where(frame.notna(), None).to_numpy().tolist()


def test_faults(recorded: IoRun) -> None:
    with tat.TraceAnalyzer(recorded.path) as t:
        found = t.faults()
    assert list(found.columns) == COLUMNS
    expected = recorded.faults
    for column in expected.columns:
        assert plain(found[[column]]) == plain(expected[[column]]), column
    assert (found.dtypes[["end_ns", "tid", "address"]] == np.int64).all()
    assert found["major"].dtype == bool and found["place"].dtype == "category"


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({"phases": "generate"}, lambda f: f["phase"] == "generate"),
        ({"tokens": "6:9"}, lambda f: f["token"].between(6, 9)),
        ({"layers": "1"}, lambda f: f["layer"] == 1),
        ({"tensors": "blk.*.attn_q.weight"}, lambda f: f["tensor"].str.endswith("attn_q.weight")),
        ({"ops": "mul_mat_id", "experts": [0, 1]}, lambda f: (f["op"] == "MUL_MAT_ID") & f["expert"].isin([0, 1])),
        ({"kinds": "kv"}, lambda f: f["tensor"] == ""),
        ({"at": "8192:65535"}, lambda f: f["tensor"].notna() & f["offset"].between(8192, 65535)),
    ],
)
def test_filters(recorded: IoRun, filters: dict[str, Any], wanted: Callable[[pd.DataFrame], pd.Series]) -> None:
    with tat.TraceAnalyzer(recorded.path) as t:
        every, found = t.faults(), t.faults(**filters)
    flags = wanted(every).fillna(False).astype(bool)
    assert plain(found) == plain(every[flags])
    assert flags.any() or "kinds" in filters


def test_filter_of_times(recorded: IoRun) -> None:
    """A fault belongs to all of the time that it took."""
    with tat.TraceAnalyzer(recorded.path) as t:
        every = t.faults()
        one = every[every["end_ns"] > 0].iloc[3]
        begin = int(one["end_ns"] - one["duration_ns"])
        found = t.faults(at_time=f"{begin}:{begin}")
        assert one["address"] in set(found["address"])
        spans = every["end_ns"] - every["duration_ns"].fillna(0)
        assert len(found) == ((spans <= begin) & ((every["end_ns"] > begin) | (spans == begin)) & (spans >= 0)).sum()


def test_refusals(recorded: IoRun, toy: Path) -> None:
    with tat.TraceAnalyzer(toy) as t:
        with pytest.raises(TatError, match="tat record --io") as none:
            t.faults()
        assert none.value.kind == ErrorKind.NO
    with tat.TraceAnalyzer(recorded.path) as t:
        with pytest.raises(TatError, match="heads") as heads:
            t.faults(heads=True)
        assert heads.value.kind == ErrorKind.USAGE
        t.faults()
    with pytest.raises(TatError, match="closed"):
        t.faults()


def test_damaged(recorded: IoRun) -> None:
    folder = copy(recorded.path, "toy_io_damaged")
    (folder / "io_events.bin").write_bytes(b"not one of ours" * 400)
    with tat.TraceAnalyzer(folder) as t:
        with pytest.raises(TatError) as damaged:
            t.faults()
        assert damaged.value.kind == ErrorKind.INPUT
        assert t.storage().attrs["headline"].startswith("The page faults cannot be read")
    with Database(folder) as db:
        assert db.sql("SELECT count(*) AS n FROM accesses")["n"][0] > 0, "other tables do not read it"
        with pytest.raises(TatError) as damaged:
            db.sql("SELECT count(*) FROM faults")
        assert damaged.value.kind == ErrorKind.INPUT


def test_equal_to_the_section(recorded: IoRun) -> None:
    with tat.TraceAnalyzer(recorded.path) as t:
        values, mine = t.section("storage").values, t.faults()
    mine = mine[mine["place"] != "other_process"]
    assert values["major_faults"] == mine["major"].sum()
    assert values["minor_faults"] == (~mine["major"]).sum()
    assert values["stall_ns"] == mine["stall_ns"].sum()


def test_requests(recorded: IoRun) -> None:
    with tat.TraceAnalyzer(recorded.path) as t:
        found, start = t.requests(), int(t.trace.header.start_monotonic_ns)
    for i, r in enumerate(sorted(recorded.file.requests, key=lambda r: r.end_ns)):
        flags = [bool(r.flags >> bit & 1) for bit in range(4)]
        disk = [r.disk, f"{r.disk >> 8}:{r.disk & 255}", r.disk_offset]
        assert plain(found)[i] == [i, r.end_ns - start, r.duration_ns or None, *disk, r.bytes, r.pid or None, *flags]
    assert list(found.columns[-4:]) == ["write", "read_ahead", "metadata", "failed"]
    assert len(found) == len(recorded.file.requests) > 20


def test_placed_requests(recorded: IoRun) -> None:
    """Extents lead from the disk to the file, which the second half of comes first there."""
    with tat.TraceAnalyzer(recorded.path) as t:
        found, weights, requests = t.placed_requests(), t.tensors(), t.requests()
    weights = weights[weights["file"].notna() & (weights["weight_id"] == weights["tensor_id"])]
    assert found.groupby("event")["bytes"].sum().tolist() == requests["bytes"].tolist()
    assert (found["place"] == "write").sum() == 1
    mine = found[found["file"].notna()]
    starts = {pages.first * 4096 for pages in recorded.file.pages}
    assert set(mine.groupby("event")["offset"].min()) <= starts
    named = mine[mine["tensor_id"].notna()]
    assert len(named) > 20
    for part in named.itertuples():
        inside = weights[
            (weights["file_offset"] <= part.offset) & (part.offset < weights["file_offset"] + weights["bytes"])
        ]
        assert inside["tensor_id"].tolist() == [part.tensor_id]
        assert part.offset + part.bytes <= int((inside["file_offset"] + inside["bytes"]).iloc[0])


def test_page_cache(recorded: IoRun) -> None:
    with tat.TraceAnalyzer(recorded.path) as t:
        found, start = t.page_cache(), int(t.trace.header.start_monotonic_ns)
    path, expected = recorded.file.files[0].path, []
    for p in sorted(recorded.file.pages, key=lambda p: p.ns):
        event = "evict" if p.left else "fill"
        expected.append([p.ns - start, event, 1, path, p.first * 4096, p.count * 4096, p.pid, p.tid])
    assert plain(found) == expected
    assert {"fill", "evict"} == set(found["event"])


def test_residency(recorded: IoRun) -> None:
    """A run for what was in memory, one for what was not; a sample of nothing in memory is one too."""
    with tat.TraceAnalyzer(recorded.path) as t:
        found = t.residency()
    rows = plain(found[["at_ns", "io_file", "file_offset", "bytes", "resident"]])
    pages = [[at, file, offset // 4096, size // 4096, resident] for at, file, offset, size, resident in rows]
    assert pages == [
        [-100, 1, 0, 63, False],
        [100, 1, 0, 3, True],
        [100, 1, 3, 7, False],
        [100, 1, 10, 53, True],
        [100, 2, 2, 3, True],
    ]


def test_files_and_counters(recorded: IoRun) -> None:
    with tat.TraceAnalyzer(recorded.path) as t:
        files, extents, counters, sources = t.io_files(), t.io_extents(), t.io_counters(), t.io_sources()
    assert plain(files[["io_file", "path", "bytes", "disk", "disk_name", "extents", "no_extents"]]) == [
        [1, recorded.file.files[0].path, recorded.file.files[0].bytes, 2048, "8:0", 2, None],
        [2, "/usr/lib/libother.so", 5 * 4096, None, None, 0, "the file system does not tell"],
    ]
    assert plain(extents[["io_file", "file_offset", "disk_offset", "bytes"]]) == [
        [1, *extent] for extent in recorded.file.files[0].extents
    ]
    assert counters["counter"].tolist()[:3] == ["read_bytes", "file_resident_bytes", "group_bytes"]
    start = recorded.file.counters[0][0]
    assert counters["at_ns"].tolist() == [at - start for at, _, _ in recorded.file.counters]
    assert counters["value"].tolist() == [value for _, _, value in recorded.file.counters]
    assert plain(sources) == [
        [name, name != "residency", "not asked for" if name == "residency" else None]
        for name in ("faults", "pages", "requests", "residency", "counters")
    ]


def test_a_file_of_before(toy: Path) -> None:
    """With faults alone, and nothing that says so."""
    folder = copy(toy, "toy_io_before")
    IoFile().write(folder)
    with tat.TraceAnalyzer(folder) as t:
        assert plain(t.io_sources()) == [["faults", True, None]]
        for table in (t.faults(), t.requests(), t.page_cache(), t.residency(), t.io_files(), t.io_extents()):
            assert table.empty


@pytest.mark.parametrize("of", ["traces", "dataset"])
def test_sql(recorded: IoRun, toy: Path, of: str) -> None:
    """The same rows; a run without I/O events has none."""
    if of == "dataset":
        command("parquet", recorded.path, toy, "-o", "data")
    with tat.TraceAnalyzer(recorded.path) as t:
        expected = t.faults()
    with Database("data") if of == "dataset" else Database(recorded.path, toy) as db:
        found = db.sql("SELECT * FROM faults")
        assert list(found.columns) == ["run", *COLUMNS]
        assert set(found["run"]) == {"toy_io"}
        assert plain(found.drop(columns="run")) == plain(expected)
        for name in storage.TABLES:
            with tat.TraceAnalyzer(recorded.path) as t:
                mine = getattr(t, name)()
            assert plain(db.sql(f"SELECT * EXCLUDE (run) FROM {name} WHERE run = 'toy_io'")) == plain(mine), name
            assert db.sql(f"SELECT count(*) AS n FROM {name} WHERE run = 'toy'")["n"][0] == 0
        by_layer = db.sql("SELECT layer, sum(stall_ns) AS ns FROM faults WHERE major GROUP BY layer ORDER BY layer")
        sums = expected[expected["major"]].groupby("layer", dropna=False)["stall_ns"].sum()
        assert [int(ns) for ns in by_layer["ns"]] == [int(ns) for ns in sums]


def test_templates(recorded: IoRun) -> None:
    with tat.TraceAnalyzer(recorded.path) as t, Database(recorded.path) as db:
        faults, pages = t.faults(), t.placed_pages()
        faults = faults[faults["tensor_id"].notna() & (faults["place"] != "other_process")]
        found = db.query("page-faults")
        assert found["stall_ns"].is_monotonic_decreasing
        by_weight = found.groupby("tensor_id")[["major", "minor", "stall_ns"]].sum()
        stalls = faults.groupby("tensor_id")["stall_ns"].sum()
        assert by_weight["stall_ns"].to_dict() == stalls.to_dict()
        assert by_weight["major"].to_dict() == faults.groupby("tensor_id")["major"].sum().to_dict()
        assert by_weight["minor"].sum() == (~faults["major"]).sum()
        read = db.query("disk-reads").groupby(["tensor_id", "place"])["bytes"].sum()
        assert read.to_dict() == pages.groupby(["tensor_id", "place"], observed=True)["bytes"].sum().to_dict()


def test_a_dataset_of_before(recorded: IoRun) -> None:
    """One that was written when there were no such tables can be read, and be added to."""
    command("parquet", recorded.path, "-o", "data")
    shutil.rmtree("data/faults")
    with Database("data") as db:
        assert db.sql("SELECT count(*) AS n FROM tensors")["n"][0] > 0
        assert "faults" not in db.tables
        with pytest.raises(TatError, match="older tat"):
            db.query("page-faults")
