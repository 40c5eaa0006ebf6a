# SPDX-License-Identifier: MIT
"""Tables, matrices and sections, against the commands and naive recounts."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tat
from tat import _abi

from conftest import run

KEYS = ["layer", "tensor", "component", "operation", "expert"]


def test_models_are_those_of_the_report(toy: Path) -> None:
    t = tat.TraceAnalyzer(toy)
    models, files = t.models(), t.section("run").values["model_files"]
    assert models["part"].tolist() == [file["part"] for file in files] == ["model"]
    assert models["bytes"].tolist() == [file["bytes"] for file in files]
    pd.testing.assert_frame_equal(t.layers(model="1"), t.layers(model=1))
    with pytest.raises(tat.TatError, match="no model of the trace is called 'draft'"):
        t.layers(model="draft")


def test_tensors_are_those_beside_the_trace(toy: Path, real: Path) -> None:
    for path in (toy, real):
        run(os.environ["TAT"], "report", path)  # seals the run
        with (path / "tensor_names.txt").open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        table = tat.TraceAnalyzer(path).tensors()
        assert len(table) == len(rows) > 50
        for ours, theirs in {"tensor": "name", "kind": "kind", "component": "component", "type": "type"}.items():
            names = table[ours].astype("object").where(table[ours].notna(), "").tolist()
            assert names == [row[theirs] for row in rows], ours
        for ours, theirs in {"layer": "layer", "bytes": "bytes", "file": "file", "file_offset": "file_offset"}.items():
            assert ["" if pd.isna(v) else str(v) for v in table[ours]] == [row[theirs] for row in rows], ours
        shapes = ["x".join(map(str, shape)) for shape in table[["ne0", "ne1", "ne2", "ne3"]].to_numpy()]
        assert shapes == [row["shape"] for row in rows]


def test_tokens(real: Path) -> None:
    t = tat.TraceAnalyzer(real)
    tokens, evaluations = t.tokens(), t.evaluations()
    assert len(tokens) == evaluations["tokens"].sum()
    assert tokens["token"].dropna().tolist() == list(range(len(tokens) - 2))  # 2 of warm-up
    assert tokens["position"].dropna().tolist()[2:] == list(range(len(tokens) - 2))
    assert tokens["id"].notna().all()
    prompt = tokens[tokens["phase"] == "prompt"]
    assert len(prompt) == 6
    assert prompt["begin_ns"].nunique() == 1
    assert (tokens["end_ns"] > tokens["begin_ns"]).all()


def test_ids_of_tokens_are_the_rows_of_the_embedding(real: Path, toy: Path) -> None:
    """One record of the embedding per generated token, at the offset of the token's row."""
    for path in (real, toy):
        t = tat.TraceAnalyzer(path)
        frame = t.frame(phases="generate", components="token_embd")
        frame = frame[frame["op"] == "GET_ROWS"].set_index("graph")
        weights = t.tensors().set_index("tensor_id")
        tokens = t.tokens()
        tokens = tokens[tokens["phase"] == "generate"].set_index("evaluation")
        assert len(frame) == len(tokens) > 5
        base = weights.loc[frame["tensor_id"], "file_offset"].to_numpy(dtype=np.int64)
        row = frame["size"].to_numpy()
        assert ((frame["offset"].to_numpy() - base) // row == tokens.loc[frame.index, "id"].to_numpy(np.int64)).all()


def test_a_private_trace_has_no_ids(private_toy: Path) -> None:
    t = tat.TraceAnalyzer(private_toy)
    assert t.trace.is_private
    assert t.tokens()["id"].isna().all()
    assert t.tokens()["position"].notna().all()


def test_routing_is_what_the_records_show(toy: Path, real: Path) -> None:
    """The experts whose slices were read are those that were chosen; gate weights are weights."""
    for path in (toy, real):
        t = tat.TraceAnalyzer(path)
        routing = t.routing()
        chosen = routing.groupby(["evaluation", "layer"])["expert"].agg(lambda e: tuple(sorted(set(e))))
        read = t.frame(components=["expert_up"]).dropna(subset="expert")
        touched = read.groupby(["graph", "layer"])["expert"].agg(lambda e: tuple(sorted(set(e))))
        assert len(chosen) > 20
        assert chosen.to_dict() == touched.to_dict()
        assert routing["slot"].max() == 1
        assert routing["gate"].between(0, 1).all()
        if path == real:  # its router's weights are normalised
            sums = routing.groupby(["evaluation", "layer", "row"])["gate"].sum()
            np.testing.assert_allclose(sums, 1, rtol=1e-5)


def test_waits_are_within_their_nodes(exact: Path, real: Path) -> None:
    t = tat.TraceAnalyzer(exact)
    waits = t.waits().set_index(["evaluation", "node"])["wait_ns"]
    lasted = t.frame(phases=_abi.PHASES).groupby(["graph", "node"])["duration_ns"].first()
    assert waits.index.is_unique
    assert len(waits) > 100
    assert waits.sum() > 0
    assert (waits <= lasted.loc[waits.index]).all()
    assert waits.groupby("evaluation").size().index.tolist() == t.evaluations()["evaluation"].tolist()
    section = t.section("time").values
    counted = t.waits()["phase"].isin(_abi.INFERENCE)
    assert section["wait_ns"] == t.waits().loc[counted, "wait_ns"].sum()
    assert tat.TraceAnalyzer(real).waits().empty


def test_routing_of_some_rows(real: Path) -> None:
    """The last layer of a prompt goes on with the rows whose output is asked for alone: here its last token."""
    t = tat.TraceAnalyzer(real)
    routing, evaluations = t.routing(), t.evaluations().set_index("evaluation")
    prompt = routing[routing["phase"] == "prompt"]
    (evaluation,) = prompt["evaluation"].unique()
    count = evaluations.loc[evaluation, "tokens"]
    assert evaluations.loc[evaluation, "outputs"] == 1 < count
    last = prompt["layer"].max()
    for layer, chosen in prompt.groupby("layer"):
        rows = [count - 1] if layer == last else list(range(count))
        assert chosen["row"].drop_duplicates().tolist() == rows
        assert (chosen["token"] == evaluations.loc[evaluation, "token"] + chosen["row"]).all()
    known = routing.dropna(subset="token").merge(t.tokens()[["evaluation", "row", "token"]], on=["evaluation", "row"])
    assert len(known) == (routing["phase"] != "warmup").sum()
    assert (known["token_x"] == known["token_y"]).all()


def test_events(real: Path) -> None:
    events = tat.TraceAnalyzer(real).events()
    assert (events["at_ns"].diff().dropna() >= 0).all()
    assert {"load_begin", "load_end", "model_file"} <= set(events["event"])
    assert events["text"].str.endswith("SmolLM2-8x2.gguf").any()


# ---------------------------------------------------------------------------------------------------------- matrices


def naive(t: tat.TraceAnalyzer, by: str, value: str) -> dict[tuple[int, object], int]:
    """The sums by evaluation and key, record by record."""
    tensors, ops = t.tensors(), t.trace.ops
    component = tensors["component"].astype("object").where(tensors["component"].notna(), "activations").tolist()
    kind = tensors["kind"].tolist()
    sums: dict[tuple[int, object], int] = {}

    def key(a: np.void) -> object:
        if by == "layer":
            return -1 if a["layer"] == tat.NO_LAYER else int(a["layer"])
        if by == "component":
            return component[a["tensor"]]
        return ops[a["op"]] if by == "operation" else int(a["tensor" if by == "tensor" else "expert"])

    def add(a: np.void, amount: int) -> None:
        phase = a["flags"] >> _abi.ACCESS_PHASE_SHIFT & 7
        if amount and _abi.PHASES[phase] in _abi.INFERENCE:
            if by == "expert" and a["expert"] == tat.NO_EXPERT:
                return
            cell = (int(a["evaluation"]), key(a))
            sums[cell] = sums.get(cell, 0) + amount

    def rank(a: np.void) -> int:
        is_write = bool(a["flags"] & _abi.ACCESS_WRITE)
        if kind[a["tensor"]] == "weight" and not is_write:
            return 0
        return 1 if kind[a["tensor"]] == "state" else 2 if is_write else 3

    if value != "ns":
        for a in t.accesses():
            if a["bytes"]:
                add(a, int(a["bytes"]) if value == "bytes" else 1)
        return sums
    groups: list[list[np.void]] = []
    for a in t.accesses():
        last = groups[-1][-1] if groups else None
        same = last is not None and a["evaluation"] == last["evaluation"]
        if same and last is not None:
            # The second of two fused nodes has no time of its own.
            same = a["node"] == last["node"] or (a["start_ns"] == last["start_ns"] and a["duration_ns"] == 0)
        if not same:
            groups.append([])
        groups[-1].append(a)
    for group in groups:
        owner = min(group, key=rank) if by in ("tensor", "component") else group[0]
        add(owner, int(group[0]["duration_ns"]))
    return sums


@pytest.mark.parametrize("value", ["bytes", "accesses", "ns"])
@pytest.mark.parametrize("by", KEYS)
def test_matrix(analyzer: tat.TraceAnalyzer, by: str, value: str) -> None:
    if by == "expert" and value == "ns":
        with pytest.raises(tat.TatError):
            analyzer.matrix(by="expert", value="ns")
        return
    table = analyzer.matrix(by=by, value=value)
    found = table.droplevel(["token", "tokens", "phase"]).stack() if table.size else pd.Series(dtype="int64")
    assert {cell: n for cell, n in found.items() if n} == naive(analyzer, by, value)
    e = analyzer.evaluations()
    chosen = e[e["phase"].isin(_abi.INFERENCE)]
    assert table.index.get_level_values("evaluation").tolist() == chosen["evaluation"].tolist()
    assert table.index.get_level_values("tokens").tolist() == chosen["tokens"].tolist()


@pytest.mark.parametrize("by", KEYS)
def test_matrix_in_bands(analyzer: tat.TraceAnalyzer, by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = analyzer.matrix(by=by)
    monkeypatch.setattr("tat.matrices.BAND", 1)  # one evaluation at a time
    pd.testing.assert_frame_equal(analyzer.matrix(by=by), whole)
    pd.testing.assert_series_equal(analyzer.totals(by=by), whole.sum().rename("bytes"), check_dtype=whole.size > 0)
    monkeypatch.setattr("tat.matrices.BAND_TO_ADD", 1)
    pd.testing.assert_series_equal(analyzer.totals(by=by), whole.sum().rename("bytes"), check_dtype=whole.size > 0)
    monkeypatch.setattr("tat.matrices.SUMS_MOST", 0)
    if whole.size:
        with pytest.raises(tat.TatError, match="too many"):
            analyzer.matrix(by=by)


def test_matrix_of_kinds_and_phases(toy: Path) -> None:
    t = tat.TraceAnalyzer(toy)
    whole, parts = t.matrix(), [t.matrix(kinds=kind) for kind in ("weight", "state", "activation", "input")]
    assert sum(part.to_numpy().sum() for part in parts) == whole.to_numpy().sum() > 0
    assert len(t.matrix(phases="prompt")) == 1
    pd.testing.assert_series_equal(t.totals(phases="prompt"), t.matrix(phases="prompt").sum().rename("bytes"))
    assert t.totals(kinds="weight").to_dict() == t.matrix(kinds="weight").sum().to_dict()
    for wrong in ({"by": "token"}, {"value": "time"}, {"phases": "load"}, {"kinds": "weights"}):
        with pytest.raises(tat.TatError):
            t.matrix(**wrong)


# ---------------------------------------------------------------------------------------------------------- sections


def there(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Cells that are not there may be missing or null."""
    return [{key: value for key, value in row.items() if value is not None} for row in rows]


def test_sections_are_those_of_the_report(analyzer: tat.TraceAnalyzer) -> None:
    report = json.loads(run(os.environ["TAT"], "report", "--json", analyzer.path, statuses=(0, 1)))  # 1: no graph
    answers = analyzer.report()
    assert list(answers) == list(report)
    assert set(report) <= set(analyzer.sections)
    for name, answer in answers.items():
        theirs = report[name]
        assert answer.title == theirs["title"] == analyzer.sections[name]
        assert answer.headline == theirs.get("headline", "")
        assert answer.values == theirs.get("values", {})
        assert [f"{q} {a}" for q, a in answer.answers] == [
            f"{a['question']} {a['answer']}" for a in theirs.get("answers", [])
        ]
        assert list(answer.tables) == list(theirs.get("tables", {}))
        for key, table in answer.tables.items():
            rows = there(json.loads(table.to_json(orient="records", double_precision=15)))
            expected = there(theirs["tables"][key]["rows"])
            assert len(rows) == len(expected)
            for row, wanted in zip(rows, expected, strict=True):
                assert row.keys() == wanted.keys()
                for k, v in wanted.items():
                    assert row[k] == (pytest.approx(v) if isinstance(v, (float, list)) else v)


def test_every_section_is_a_method(toy: Path) -> None:
    t = tat.TraceAnalyzer(toy)
    clashing = {"tokens": t.token_costs}
    for name, title in t.sections.items():
        frame = clashing.get(name, getattr(t, name))()
        assert frame.attrs["title"] == title if frame.attrs.get("table") is None else frame.attrs["section"] == name
        assert frame.attrs["headline"]
        json.dumps(frame.attrs)  # plain: pandas writes them beside Parquet
        assert name in dir(t)
    with pytest.raises(AttributeError, match="no_such"):
        t.no_such()


def test_options_of_sections(toy: Path) -> None:
    t = tat.TraceAnalyzer(toy)
    assert t.section("layers", hot_share=0.2).headline
    for wrong in (lambda: t.section("nothing"), lambda: t.section("layers", cache="8G")):
        with pytest.raises(tat.TatError) as error:
            wrong()
        assert error.value.kind == tat.ErrorKind.USAGE
