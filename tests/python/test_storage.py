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
from tat.database import Database
from tat.errors import ErrorKind, TatError

from conftest import command
from io_file import copy
from io_run import IoRun, made

COLUMNS = [
    "end_ns", "duration_ns", "stall_ns", "pid", "tid", "major", "place", "evaluation", "phase", "token", "op", "layer",
    "tensor_id", "tensor", "component", "expert", "file", "file_offset", "address",
]  # fmt: skip


@pytest.fixture(scope="module")
def recorded(toy: Path) -> IoRun:
    return made(toy, "toy_io")


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
        ({"at": "8192:65535"}, lambda f: f["tensor"].notna() & f["file_offset"].between(8192, 65535)),
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
    mine = mine[mine["place"] != "other process"]
    assert values["major_faults"] == mine["major"].sum()
    assert values["minor_faults"] == (~mine["major"]).sum()
    assert values["stall_ns"] == mine["stall_ns"].sum()


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
        by_layer = db.sql("SELECT layer, sum(stall_ns) AS ns FROM faults WHERE major GROUP BY layer ORDER BY layer")
        sums = expected[expected["major"]].groupby("layer", dropna=False)["stall_ns"].sum()
        assert [int(ns) for ns in by_layer["ns"]] == [int(ns) for ns in sums]


def test_a_dataset_of_before(recorded: IoRun) -> None:
    """One that was written when there were no such tables can be read, and be added to."""
    command("parquet", recorded.path, "-o", "data")
    shutil.rmtree("data/faults")
    with Database("data") as db:
        assert db.sql("SELECT count(*) AS n FROM tensors")["n"][0] > 0
        assert "faults" not in db.tables
