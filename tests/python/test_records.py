# SPDX-License-Identifier: MIT
"""Access records and their data frame, against what `tat export` writes."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tat
from tat import runs

from conftest import Toy, run

COLUMNS_WITH_NAMES = ["phase", "op", "operand", "tensor", "component", "role", "head", "access", "memory"]


def export(path: Path, kind: str, *options: str) -> Path:
    out = Path.cwd() / f"export.{kind}"
    run(os.environ["TAT"], "export", "--format", kind, *options, "-o", out, path)
    return out


def has_records(t: tat.TraceAnalyzer) -> bool:
    """`tat export` has nothing to say of a trace without."""
    return len(t.accesses()) > 0


def test_equal_to_the_binary_export(analyzer: tat.TraceAnalyzer) -> None:
    if not has_records(analyzer):
        assert analyzer.evaluations()["outside"].all()  # or there are none
        return
    exported = np.fromfile(export(analyzer.path, "bin"), tat.ACCESS)
    records = analyzer.accesses()
    assert len(records) == len(exported) > 0
    for name in tat.ACCESS.names or ():
        if name != "layout":  # the export numbers layouts anew
            np.testing.assert_array_equal(records[name], exported[name], name)


def same_frame(frame: pd.DataFrame, path: Path) -> None:
    table = pd.read_csv(path, dtype={name: "str" for name in COLUMNS_WITH_NAMES}, keep_default_na=False, na_values={})
    assert list(frame.columns) == list(table.columns)
    assert len(frame) == len(table) > 0
    for name in table.columns:
        if name in COLUMNS_WITH_NAMES:
            ours = frame[name].astype("object").where(frame[name].notna(), "").to_numpy()
            theirs = table[name].to_numpy()
        else:
            ours = frame[name].astype("Int64").to_numpy()
            theirs = pd.to_numeric(table[name].replace("", None)).astype("Int64").to_numpy()
        missing = pd.isna(ours)
        np.testing.assert_array_equal(missing, pd.isna(theirs), name)
        np.testing.assert_array_equal(ours[~missing], theirs[~missing], name)


def test_frame_equal_to_the_csv_export(analyzer: tat.TraceAnalyzer) -> None:
    frame = analyzer.frame()
    if has_records(analyzer):
        same_frame(frame, export(analyzer.path, "csv"))
    else:
        assert list(frame.columns)[:3] == ["start_ns", "duration_ns", "graph"]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"tokens": "3:6"}, ["--tokens", "3:6"]),
        ({"tokens": slice(3, 7)}, ["--tokens", "3:6"]),
        ({"tokens": 2}, ["--tokens", "2"]),
        ({"layers": "1:"}, ["--layers", "1:"]),
        ({"layers": [1, 2], "phases": "generate"}, ["--layers", "1:2", "--phases", "generate"]),
        ({"phases": ["prompt", "generate"]}, ["--phases", "prompt", "--phases", "generate"]),
        ({"components": ["attn_q", "attn_k"]}, ["--tensors", "blk.*.attn_[qk].weight"]),
    ],
)
@pytest.mark.parametrize("name", ["toy", "real"])
def test_filters(name: str, ours: dict, theirs: list[str], request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(name)
    same_frame(tat.TraceAnalyzer(path).frame(**ours), export(path, "csv", *theirs))


def test_filters_by_expert_and_activations(toy: Path) -> None:
    t = tat.TraceAnalyzer(toy)
    records = t.accesses()
    np.testing.assert_array_equal(t.accesses(experts=[1, 3]), records[np.isin(records["expert"], [1, 3])])
    frame = t.frame()
    assert t.frame(components="activations").equals(frame[frame["component"].isna()].reset_index(drop=True)) or (
        len(t.frame(components="activations")) == frame["component"].isna().sum()
    )
    assert len(t.accesses(tokens=[])) == len(t.accesses(layers=99)) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"tokens": "x"}, {"tokens": ":"}, {"tokens": "5:3"}, {"tokens": [-1]}, {"layers": [0.5]}, {"phases": "load"},
        {"components": ["attn"]},
    ],
)  # fmt: skip
def test_filters_that_are_none(toy: Path, wrong: dict) -> None:
    with pytest.raises(tat.TatError) as error:
        tat.TraceAnalyzer(toy).accesses(**wrong)
    assert error.value.kind == tat.ErrorKind.USAGE


def test_a_million_records(toy_maker: Toy) -> None:
    """That many come as a data frame; how fast is for bench/ to say, but not slower than anyone would bear."""
    t = tat.TraceAnalyzer(toy_maker("long", 4100))
    begin = time.monotonic()
    frame = t.frame()
    assert len(frame) > 1_000_000
    assert time.monotonic() - begin < 10
    assert frame["size"].sum() == t.accesses()["bytes"].sum()
    pieces = list(t.trace.pieces(records=10_000))
    assert len(pieces) > 50
    np.testing.assert_array_equal(np.concatenate(pieces), t.accesses())


def test_newest_trace_elsewhere(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `tat record -o` wrote is the newest, here and by `tat`, beside the folder of traces it was recorded from."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("TAT_DIR", "./traces/")
    monkeypatch.chdir(tmp_path)
    host, model = os.environ["HOST"], str(tmp_path / "toy.gguf")
    run(host, "--write", model)
    run(os.environ["TAT"], "record", "-o", "a\tb\nc\\n", "--", host, "-g", "2", model)
    assert runs.newest() == tmp_path / "a\tb\nc\\n"
    shutil.rmtree("a\tb\nc\\n")
    run(os.environ["TAT"], "record", "-o", "else/where", "--", host, "-g", "2", model)
    shutil.copytree(toy, tmp_path / "traces/run_20260101_000000")
    assert runs.newest() == tmp_path / "else/where"
    assert run(os.environ["TAT"], "list", "--names").splitlines()[0] == str(tmp_path / "else/where")
    shutil.rmtree("else")
    assert runs.newest().name == "run_20260101_000000"
    monkeypatch.chdir(tmp_path / "traces")
    with pytest.raises(tat.TatError, match="no trace"):
        runs.newest()


def test_newest_trace_and_names(toy: Path, other_toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    traces = Path.cwd() / "traces"
    traces.mkdir()
    with pytest.raises(tat.TatError, match="tat record") as error:
        tat.TraceAnalyzer()
    assert error.value.kind == tat.ErrorKind.INPUT
    for name, source in {
        "run_20260101_000000": toy,
        "run_20260102_000000": other_toy,
        "run_20260102_000000_77": toy,  # a further process of the same run
        "run_20260102_000000-x": toy,
    }.items():
        (traces / name).symlink_to(source)
    with pytest.raises(tat.TatError):
        tat.TraceAnalyzer()  # links are not runs
    for link in list(traces.iterdir()):
        source = link.readlink()
        link.unlink()
        link.mkdir()
        (link / "tensor_access.bin").write_bytes((source / "tensor_access.bin").read_bytes())
    assert tat.TraceAnalyzer().path.name == "run_20260102_000000"
    assert tat.TraceAnalyzer("run_20260101_000000").path == Path("traces/run_20260101_000000")
    assert repr(tat.TraceAnalyzer("run_20260101_000000")) == "TraceAnalyzer('traces/run_20260101_000000')"
    monkeypatch.setenv("TAT_DIR", str(traces))
    monkeypatch.chdir("/")
    assert tat.TraceAnalyzer().path == traces / "run_20260102_000000"
    assert tat.TraceAnalyzer(traces / "run_20260101_000000/tensor_access.bin").path.name == "run_20260101_000000"


@pytest.mark.parametrize("content", [b"", b"GGUF", b"x" * 5000])
def test_what_is_no_trace(content: bytes) -> None:
    Path("none.bin").write_bytes(content)
    for path in ("none.bin", "nowhere"):
        with pytest.raises(tat.TatError) as error:
            tat.TraceAnalyzer(path)
        assert error.value.kind == tat.ErrorKind.INPUT


def test_what_was_returned_outlives_the_trace(toy: Path) -> None:
    with tat.TraceAnalyzer(toy) as t:
        records, frame = t.accesses(), t.frame()
    assert records["bytes"].sum() == frame["size"].sum() > 0
    with pytest.raises(tat.TatError):
        t.accesses()
