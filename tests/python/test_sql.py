# SPDX-License-Identifier: MIT
"""tat sql: over traces and datasets, against pandas."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tat
from tat import arrow
from tat.columns import ACCESS_COLUMNS, Column, access_columns
from tat.database import Database
from tat.errors import ErrorKind, TatError
from tat.queries import QUERIES
from tat.trace import Trace

from conftest import command, run

INFERENCE = ["prompt", "generate", "mixed", "verify", "unknown"]
KV = ["kv_k", "kv_v", "state"]


@pytest.fixture(params=["traces", "dataset"])
def database(request: pytest.FixtureRequest, toy: Path, real: Path) -> Database:
    """The same two runs, as they are and as a dataset."""
    if request.param == "traces":
        return Database(toy, real)
    command("parquet", toy, real, "-o", "data")
    return Database("data")


def accesses(*paths: Path) -> pd.DataFrame:
    frames = []
    for path in paths:
        frame = tat.TraceAnalyzer(path).frame()
        frame.insert(0, "run", path.name)
        frames.append(frame.astype({name: "object" for name in frame.select_dtypes("category")}))
    return pd.concat(frames, ignore_index=True)


def rows(frame: pd.DataFrame) -> list[list[object]]:
    return frame.astype("object").where(frame.notna(), None).to_numpy().tolist()


def test_tables(database: Database, toy: Path, real: Path) -> None:
    for name in ("tensors", "evaluations", "tokens", "routing", "events"):
        expected = [len(getattr(tat.TraceAnalyzer(path), name)()) for path in (real, toy)]
        found = database.sql(f"SELECT run, count(*) AS n FROM {name} GROUP BY run ORDER BY run")
        assert found["run"].tolist() == ["real", "toy"]
        assert found["n"].tolist() == expected


def test_against_pandas(database: Database, toy: Path, real: Path) -> None:
    a = accesses(toy, real)
    for keys in (["run", "layer"], ["run", "phase", "op"], ["run", "tensor", "expert"], ["run", "token", "access"]):
        expected = a.groupby(keys, dropna=False, observed=True)["size"].agg(["count", "sum"]).reset_index()
        expected = expected.sort_values(keys, na_position="first")
        names = ", ".join(keys)
        order = ", ".join(f"{key} NULLS FIRST" for key in keys)
        found = database.sql(f"SELECT {names}, count(*), sum(size) FROM accesses GROUP BY ALL ORDER BY {order}")
        assert rows(found) == rows(expected)


def test_hot_tensors(database: Database, toy: Path, real: Path) -> None:
    a = accesses(toy, real)
    a = a[a["phase"].isin(INFERENCE) & (a["size"] > 0)]
    heat = a.groupby(["run", "tensor_id", "tensor"])["size"].agg(["sum", "count"]).reset_index()
    heat = heat.sort_values(["run", "sum", "tensor_id"], ascending=[True, False, True]).groupby("run").head(20)
    assert rows(database.query("hot-tensors")) == rows(heat)


def test_layers_as_the_section_has_them(database: Database, real: Path) -> None:
    found = database.query("layers")
    found = found[found["run"] == "real"].sort_values("layer", na_position="last").drop(columns="run")
    section = tat.TraceAnalyzer(real).layers()
    columns = ["layer", "weight_bytes", "state_read_bytes", "state_written_bytes", "activation_bytes"]
    assert rows(found) == rows(section[columns])


def test_components_and_tokens(database: Database, real: Path) -> None:
    t = tat.TraceAnalyzer(real)
    found = database.query("components")
    found = found[found["run"] == "real"].set_index("component")["bytes"].to_dict()
    expected = t.matrix(by="component").sum().drop("activations").to_dict()
    assert found == {name: n for name, n in expected.items() if n}
    tokens = database.query("tokens")
    tokens = tokens[tokens["run"] == "real"]
    assert tokens["weights"].tolist() == t.matrix(kinds="weight").sum(axis=1).tolist()
    assert tokens["kv"].tolist() == t.matrix(kinds="state").sum(axis=1).tolist()
    heat = database.query("token-layer")
    heat = heat[heat["run"] == "real"].assign(layer=lambda h: h["layer"].fillna(-1).astype(int))
    expected = t.matrix(kinds="weight").droplevel([1, 2, 3])
    table = heat.pivot_table(index="graph", columns="layer", values="bytes")
    assert (table.fillna(0).to_numpy() == expected[table.columns].to_numpy()).all()


def test_operations_and_phases(database: Database, real: Path) -> None:
    t = tat.TraceAnalyzer(real)
    found = database.query("operations")
    found = found[(found["run"] == "real") & (found["ns"] > 0)].set_index("op")["ns"].to_dict()
    expected = t.matrix(by="operation", value="ns").sum().to_dict()
    assert found == {name: n for name, n in expected.items() if n}
    phases = database.query("phases")
    phases = phases[phases["run"] == "real"].set_index("phase")
    assert phases["tokens"].to_dict() == t.evaluations().groupby("phase", observed=True)["tokens"].sum().to_dict()


def test_experts(database: Database, toy: Path) -> None:
    routing = tat.TraceAnalyzer(toy).routing()
    expected = routing.groupby(["layer", "expert"])["gate"].agg(["count", "mean"]).reset_index()
    found = database.query("experts")
    found = found[found["run"] == "toy"].reset_index(drop=True)
    assert rows(found[["layer", "expert", "selections"]]) == rows(expected[["layer", "expert", "count"]])
    assert found["mean_gate"].to_numpy() == pytest.approx(expected["mean"].to_numpy(float), rel=1e-6)
    assert found.groupby("layer")["share"].sum().to_numpy() == pytest.approx(1)


def test_untouched(toy: Path, outside: Path) -> None:
    weights = tat.TraceAnalyzer(outside).tensors()
    weights = weights[weights["kind"] == "weight"]
    found = Database(toy, outside).query("untouched")
    assert len(weights) > 20
    assert found["run"].unique().tolist() == ["outside"]
    assert found["tensor"].tolist() == weights["tensor"].tolist()


NEEDED = {
    "SELECT sum(size) FROM accesses": {"size"},
    "SELECT run, count(*) FROM accesses GROUP BY run": {"run"},
    "SELECT layer, sum(size) FROM accesses WHERE phase = 'generate' GROUP BY layer": {"layer", "size", "phase"},
    "SELECT op, max(node) FROM accesses WHERE token > 3 AND component IN ('attn_q', 'attn_k') GROUP BY op": {
        "op", "node", "token", "component"
    },
    "SELECT sum(stride) FROM accesses WHERE expert IS NULL OR head = '0' AND NOT access = 'write'": {
        "stride", "expert", "head", "access"
    },
    "SELECT tensor, a.bytes FROM (SELECT run, tensor_id, sum(size) AS bytes FROM accesses GROUP BY ALL) a "
    "JOIN tensors USING (run, tensor_id) WHERE kind = 'weight'": {"run", "tensor_id", "size"},
    "SELECT * FROM accesses WHERE size > 100000": {"run", *ACCESS_COLUMNS},
}  # fmt: skip


@pytest.mark.parametrize("statement", NEEDED)
def test_only_what_a_query_needs_is_made(
    statement: str, toy: Path, real: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of traces; and a table of all columns gives the same answer."""
    with Database(toy, real) as db:
        made = set[str]()

        def spy(*of: Any) -> Iterator[Column]:
            for column in access_columns(*of):
                made.add(column.name)
                yield column

        monkeypatch.setattr(arrow, "access_columns", spy)
        found = db.sql(f"{statement} ORDER BY ALL")
        assert made == NEEDED[statement] - {"run"}
        db.sql("CREATE TABLE whole AS SELECT * FROM accesses")
        expected = db.sql(f"{statement.replace('accesses', 'whole')} ORDER BY ALL")
    assert len(expected) > 0
    pd.testing.assert_frame_equal(found, expected)


def test_what_fails_while_records_are_made(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace's own error, with its status; the next query finds no trace of it."""

    def pieces(*_: Any) -> Iterator[Any]:
        raise TatError(ErrorKind.SYSTEM, "no memory")
        yield

    with Database(toy) as db:
        with monkeypatch.context() as patch, pytest.raises(TatError, match=r"^no memory$") as raised:
            patch.setattr(Trace, "pieces", pieces)
            db.sql("SELECT sum(size) FROM accesses")
        assert raised.value.kind == ErrorKind.SYSTEM
        assert len(db.sql("SELECT sum(size) FROM accesses")) == 1
        with pytest.raises(TatError, match="no_such"):
            db.sql("SELECT no_such FROM accesses")


def test_rows_are_counted_without_columns(toy: Path) -> None:
    with Database(toy) as db:
        assert db.sql("SELECT count(*) FROM accesses").iloc[0, 0] == len(tat.TraceAnalyzer(toy).accesses())


# ---------------------------------------------------------------------------------------------------------- command


def test_formats(toy: Path) -> None:
    statement = "SELECT layer, op, avg(size) AS mean, count(*) AS n FROM accesses GROUP BY ALL ORDER BY ALL"
    objects = json.loads(command("sql", "--json", statement, toy).stdout)
    table = list(csv.DictReader(io.StringIO(command("sql", "--csv", statement, toy).stdout)))
    assert len(objects) == len(table) > 10
    for a, b in zip(objects, table, strict=True):
        assert {key: "" if value is None else str(value) for key, value in a.items()} == b
    lines = command("sql", statement, toy).stdout.splitlines()
    assert lines[0].split() == ["LAYER", "OP", "MEAN", "N"]
    assert len(lines) == 1 + len(objects)
    assert json.loads(command("sql", "--json", "SELECT 1 AS a WHERE false", toy).stdout) == []


def test_templates(toy: Path) -> None:
    listed = command("sql", "--list").stdout
    for name in QUERIES:
        assert name in listed
        shown = command("sql", "--query", name, "--show", toy).stdout
        assert command("sql", "--csv", shown, toy).stdout == command("sql", "--csv", "-q", name, toy).stdout


def test_traces_of_every_kind(any_trace: Path) -> None:
    with Database(any_trace) as db:
        for name in QUERIES:
            db.query(name)
        count = db.sql("SELECT count(*) FROM accesses").iloc[0, 0]
    assert count == len(tat.TraceAnalyzer(any_trace).accesses())


def test_status_of_errors(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert "SELEC" in command("sql", "SELEC 1", toy, status=2).stderr
    assert "no_such" in command("sql", "SELECT no_such FROM accesses", toy, status=2).stderr
    command("sql", status=2)
    command("sql", "--query", "nothing", status=2)
    command("sql", "--query", "layers", "nowhere", status=3)
    command("sql", "SELECT 1", status=3)  # no trace here
    command("sql", "--engine", "spark", "SELECT 1", toy, status=2)
    command("parquet", toy, "-o", "data")
    assert "alone" in command("sql", "SELECT 1", "data", toy, status=2).stderr


@pytest.mark.parametrize("module", ["sql", "parquet", "plot.cli", "animate.cli"])
def test_help_fits_a_terminal(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = command(module, "--help").stdout.splitlines()
    assert [line for line in lines if len(line) > 80] == []
    assert len(lines) > 10


def test_as_a_subcommand(toy: Path) -> None:
    """Found by `tat` in the build tree."""
    found = run(os.environ["TAT"], "sql", "--csv", "SELECT count(*) AS n FROM accesses", toy)
    assert found.split() == ["n", str(len(tat.TraceAnalyzer(toy).accesses()))]
    for nothing in ("", ";;", "-- only words"):
        run(os.environ["TAT"], "sql", nothing, toy, statuses=(2,))
    run(os.environ["TAT"], "parquet", toy, "-o", "data")
    assert {"parquet", "sql"} <= set(re.findall(r"^  (\w+) ", run(os.environ["TAT"], "--help"), re.MULTILINE))
