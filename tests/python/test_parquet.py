# SPDX-License-Identifier: MIT
"""tat parquet: what goes in comes out, parts can be read alone, and a dataset is whole or not there."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tat
from tat import dataset
from tat.columns import ACCESS_COLUMNS
from tat.database import Database
from tat.trace import Trace

from conftest import Toy, command, run


def same(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    """Equal values, whatever holds them."""
    assert list(ours.columns) == list(theirs.columns)
    assert len(ours) == len(theirs)
    for name in ours.columns:
        a, b = ours[name].astype("object"), theirs[name].astype("object")
        missing = a.isna().to_numpy()
        np.testing.assert_array_equal(missing, b.isna().to_numpy(), name)
        np.testing.assert_array_equal(a[~missing].to_numpy(), b[~missing].to_numpy(), name)


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.astype({name: "object" for name in frame.select_dtypes("category")})  # by name, not by code
    return frame.sort_values(list(frame.columns), na_position="first").reset_index(drop=True)


def test_round_trip(analyzer: tat.TraceAnalyzer) -> None:
    """Every table of every kind of trace, an empty one included."""
    dataset.write([Trace(analyzer.path)], Path("data"))
    tables = {
        "accesses": analyzer.frame(),
        "tensors": analyzer.tensors(),
        "evaluations": analyzer.evaluations(),
        "tokens": analyzer.tokens(),
        "routing": analyzer.routing(),
        "events": analyzer.events(),
    }
    with Database("data") as db:
        for name, expected in tables.items():
            found = db.sql(f"SELECT * FROM {name}")
            assert set(found.pop("run")) <= {analyzer.path.name}
            same(in_order(found), in_order(expected))


def test_partitions_and_order(toy: Path) -> None:
    with_layer = dataset.write([Trace(toy)], Path("data"))
    files = sorted(Path("data/accesses/run=toy").rglob("*.parquet"))
    assert {str(f.relative_to("data/accesses/run=toy").parent) for f in files} == {
        f"phase={phase}/layer={layer}"
        for phase in ("prompt", "generate")
        for layer in (0, 1, 2, "__HIVE_DEFAULT_PARTITION__")
    }
    frame, rows = tat.TraceAnalyzer(toy).frame(), 0
    for file in files:
        table = pq.ParquetFile(file).read().to_pandas()
        assert list(table.columns) == [name for name in ACCESS_COLUMNS if name not in ("phase", "layer")]
        phase, layer = (part.split("=")[1] for part in file.parts[-3:-1])
        expected = frame[frame["phase"] == phase]
        expected = expected[expected["layer"].isna() if layer.startswith("_") else expected["layer"] == int(layer)]
        same(table, expected.drop(columns=["phase", "layer"]).reset_index(drop=True))  # in order of execution
        rows += len(table)
    assert rows == len(frame) == with_layer


def test_names_are_dictionaries_of_what_occurs(toy: Path) -> None:
    dataset.write([Trace(toy)], Path("data"))
    file = pq.ParquetFile("data/accesses/run=toy/phase=generate/layer=1/part-0.parquet")
    columns = {file.metadata.row_group(0).column(i).path_in_schema: i for i in range(file.metadata.num_columns)}
    for name in ("op", "tensor", "component", "memory", "access", "operand"):
        assert "RLE_DICTIONARY" in file.metadata.row_group(0).column(columns[name]).encodings
    statistics = file.metadata.row_group(0).column(columns["tensor"]).statistics
    assert statistics.min <= "blk.1" <= statistics.max  # of this layer's names, not of all
    assert "blk.2" not in file.read()["tensor"].unique().to_pylist()


def test_row_groups_prune(toy_maker: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row group is a range of tokens, so that a query for some reads few."""
    monkeypatch.setattr(dataset, "ROW_GROUP", 1000)
    monkeypatch.setattr(dataset, "_WAITING", 20_000)
    dataset.write([Trace(toy_maker("pruned", 300))], Path("data"))
    groups = pq.ParquetFile("data/accesses/run=pruned/phase=generate/layer=1/part-0.parquet").metadata
    token = [groups.row_group(0).column(i).path_in_schema for i in range(groups.num_columns)].index("token")
    ranges = [groups.row_group(g).column(token).statistics for g in range(groups.num_row_groups)]
    assert len(ranges) > 5
    assert all(a.max <= b.min for a, b in pairwise(ranges))
    assert all(groups.row_group(g).num_rows <= 1000 for g in range(groups.num_row_groups))
    with Database("data") as db:
        plan = db.sql("EXPLAIN ANALYZE SELECT sum(size) FROM accesses WHERE layer = 1 AND phase = 'generate'")
    assert "1/8" in plan.to_csv()  # files read, of all


def test_several_runs_and_adding(toy: Path, other_toy: Path, private_toy: Path) -> None:
    command("parquet", toy, other_toy, toy, "-o", "data")
    with Database("data") as db:
        assert sorted(db.sql("SELECT run FROM runs")["run"]) == ["other", "toy"]
    said = command("parquet", private_toy, toy, "-o", "data").stderr
    assert "2 runs" in said
    with Database("data") as db:
        runs = db.sql("SELECT run, private FROM runs ORDER BY run")
        assert runs.to_numpy().tolist() == [["other", False], ["private", True], ["toy", False]]
        counts = db.sql("SELECT run, count(*) AS n FROM accesses GROUP BY run ORDER BY run")["n"].tolist()
    assert counts == [len(tat.TraceAnalyzer(path).accesses()) for path in (other_toy, private_toy, toy)]
    assert sorted(os.listdir()) == ["data"]


def test_status_without_a_record(empty: Path, outside: Path, toy: Path) -> None:
    """As of `tat export`: the answer is no, and nothing is written."""
    for paths in ([empty], [outside], [empty, outside]):
        for path in paths:
            run(os.environ["TAT"], "export", "-o", "out.csv", path, statuses=(1,))
        said = command("parquet", *paths, "-o", "data", status=1).stderr
        assert "no access record" in said
        assert len(paths) > 1 or str(paths[0]) in said
        assert os.listdir() == []
    command("parquet", outside, toy, "-o", "data")
    with Database("data") as db:
        assert sorted(db.sql("SELECT run FROM runs")["run"]) == ["outside", "toy"]


def test_two_runs_of_one_name(toy: Path, other_toy: Path) -> None:
    Path("b").mkdir()
    (Path("b") / "toy").symlink_to(other_toy)
    (Path("c")).mkdir()
    (Path("c") / "toy").mkdir()
    (Path("c/toy/tensor_access.bin")).write_bytes((other_toy / "tensor_access.bin").read_bytes())
    assert "rename" in command("parquet", toy, "c/toy", "-o", "data", status=2).stderr
    assert not Path("data").exists()


def test_what_is_in_the_way_stays(toy: Path) -> None:
    Path("mine").mkdir()
    Path("mine/file").write_text("kept")
    assert "not a dataset" in command("parquet", toy, "-o", "mine", status=2).stderr
    Path("mine.txt").write_text("kept")
    command("parquet", toy, "-o", "mine.txt", status=2)
    assert Path("mine/file").read_text() == Path("mine.txt").read_text() == "kept"
    Path("empty").mkdir()
    command("parquet", toy, "-o", "empty")
    assert dataset.is_dataset(Path("empty"))


def test_standing_alone(toy: Path) -> None:
    arguments = [sys.executable, "-m", "tat.parquet", toy, "-o"]
    assert subprocess.run([*arguments, "data"], check=True, capture_output=True, text=True).stdout == ""
    assert dataset.is_dataset(Path("data"))
    assert subprocess.run([*arguments, "/proc/data"], check=False, capture_output=True).returncode == 4


def test_status_of_errors(toy: Path) -> None:
    command("parquet", status=2)
    assert "tat list" in command("parquet", "nowhere", "-o", "data", status=3).stderr
    Path("none.bin").write_bytes(b"x" * 5000)
    command("parquet", "none.bin", "-o", "data", status=3)
    command("parquet", toy, "-o", "/proc/data", status=4)
    assert os.listdir() == ["none.bin"]


def test_never_half_a_dataset(toy_maker: Toy) -> None:
    """However it ends: a signal in the middle, a limit to the size of files."""
    trace = toy_maker("endless", 4000)
    process = subprocess.Popen([sys.executable, "-m", "tat.parquet", trace, "-o", "data"])
    while process.poll() is None and not any(Path().glob(".data.*/new/accesses")):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 128 + signal.SIGTERM
    assert os.listdir() == []

    limited = subprocess.run(
        [sys.executable, "-m", "tat.parquet", trace, "-o", "data"],
        check=False,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert limited.returncode == 4, limited.stderr
    assert os.listdir() == []


def pieces(trace: Trace, get: Callable[[int, int], np.ndarray] | None = None) -> Iterator[np.ndarray]:
    """Smaller ones than the method gives."""
    count = len(trace.evaluations)
    return ((get or trace.accesses)(at, min(at + 50, count)) for at in range(0, count, 50))


def test_memory_does_not_grow_with_the_records(toy_maker: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than the limit waits, whatever the trace's length."""
    monkeypatch.setattr(dataset, "_WAITING", 30_000)
    seen = []
    put = dataset._Partitions.put

    def watched(self: dataset._Partitions, records: np.ndarray) -> None:
        put(self, records)
        seen.append(sum(self._rows.values()))

    monkeypatch.setattr(dataset._Partitions, "put", watched)
    trace = Trace(toy_maker("streamed", 2000))
    monkeypatch.setattr(Trace, "pieces", pieces)
    total = dataset.write([trace], Path("data"))
    assert total > 400_000
    assert max(seen) <= 30_000
