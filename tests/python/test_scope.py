# SPDX-License-Identifier: MIT
"""Sections about some layers and tokens alone, against access records and against the sections about all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import tat

from conftest import run

INFERENCE = ("prompt", "generate", "mixed", "verify", "unknown")
#: Sections that are about all layers, whatever is asked for, and the first words of the reason.
ALL_LAYERS = {
    "speed": "a token's time",
    "run": "what was run",
    "phases": "graphs are timed",
    "storage": "memory is shared",
    "managed": "memory is shared",
}


@pytest.fixture(params=["toy", "real"])
def trace(request: pytest.FixtureRequest) -> tat.TraceAnalyzer:
    return tat.TraceAnalyzer(request.getfixturevalue(request.param))


def report(path: Path, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(os.environ["TAT"], "report", "--json", *options, path))
    return found


def records(t: tat.TraceAnalyzer, **filters: Any) -> pd.DataFrame:
    frame = t.frame(phases=INFERENCE, **filters)
    frame["kind"] = frame["tensor_id"].map(t.tensors().set_index("tensor_id")["kind"])
    return frame


def test_all_tokens_are_the_whole(trace: tat.TraceAnalyzer) -> None:
    """Warm-up and loading have no tokens: the section on phases mentions them, and the one on storage, which
    tells what the page cache did of the whole run alone."""
    whole, part = report(trace.path), report(trace.path, "--tokens", "0:")
    assert list(whole) == list(part)
    for name in set(whole) - {"run", "phases", "storage"}:
        assert part[name]["title"] == f"{whole[name]['title']}: tokens from 0 on"
        assert part[name]["values"].pop("of_tokens") == [0, None]
        part[name]["title"] = whole[name]["title"]
        whole[name].setdefault("values", {})  # which a section that has nothing to tell of lacks
        assert part[name] == whole[name], name


def test_all_layers_have_what_they_have_in_the_whole(trace: tat.TraceAnalyzer) -> None:
    whole, part = report(trace.path), report(trace.path, "--layers", "0:")
    assert list(whole) == list(part)
    rows = [row for row in whole["layers"]["tables"]["layers"]["rows"] if row["layer"] is not None]
    for one, other in zip(rows, part["layers"]["tables"]["layers"]["rows"], strict=True):
        assert one | {"share": 0} == other | {"share": 0}
    for name, table in (("experts", "experts"), ("attention", "heads"), ("attention", "head_bytes")):
        assert part[name]["tables"][table]["rows"] == whole[name]["tables"][table]["rows"]
    assert part["layers"]["values"]["of_layers"] == [0, None]


def test_bytes_are_those_of_the_records(trace: tat.TraceAnalyzer) -> None:
    part = report(trace.path, "--layers", "1:2", "--tokens", "6:8")
    chosen = records(trace, layers="1:2", tokens="6:8")
    assert len(chosen) > 0
    weights = chosen[chosen["kind"] == "weight"]
    (tokens,) = part["tokens"]["tables"]["tokens"]["rows"]
    assert (tokens["phase"], tokens["tokens"]) == ("generate", 3)
    assert tokens["weight_bytes"] == weights["size"].sum()
    assert tokens["activation_bytes"] == chosen[chosen["component"].isna()]["size"].sum()
    by_layer = {row["layer"]: row["weight_bytes"] for row in part["layers"]["tables"]["layers"]["rows"]}
    assert by_layer == weights.groupby("layer")["size"].sum().to_dict()
    of_parts = {row["component"]: row["bytes"] for row in part["components"]["tables"]["components"]["rows"]}
    sums = chosen.groupby("component", observed=True)["size"].sum()
    assert {key: n for key, n in of_parts.items() if key != "activations"} == sums[sums > 0].to_dict()
    assert part["hot"]["values"]["bytes"] == weights["size"].sum()
    nodes = chosen.drop_duplicates(["graph", "start_ns"])
    assert part["time"]["values"]["ns"] == part["layers"]["values"]["ns"] == nodes["duration_ns"].sum()


def test_experts_are_those_of_the_layers(trace: tat.TraceAnalyzer) -> None:
    part = trace.section("experts", layers="1:2", tokens="6:8").tables["experts"]
    routed = trace.routing()
    routed = routed[routed["token"].between(6, 8) & routed["layer"].between(1, 2)]
    assert part.set_index("layer")["selections"].to_dict() == routed.groupby("layer").size().to_dict()
    one = trace.section("experts", layers=1).tables["experts"].iloc[0].to_dict()
    whole = trace.section("experts").tables["experts"]
    assert one == whole[whole["layer"] == 1].iloc[0].to_dict()


def test_the_first_line_says_what_it_is_about(trace: tat.TraceAnalyzer) -> None:
    names = [option for name in tat.TraceAnalyzer(trace.path).sections for option in ("--section", name)]
    lines = run(os.environ["TAT"], "report", "--layers", "1:2", "--tokens", "6:8", *names, trace.path).splitlines()
    for name, title in trace.sections.items():
        (first,) = [line for line in lines if line.startswith(f"{title}: ")]
        if name not in ALL_LAYERS:
            assert first == f"{title}: layers 1 to 2, tokens 6 to 8"
        else:
            about = "all of it" if name == "run" else "tokens 6 to 8, all layers"
            assert first.startswith(f"{title}: {about}, because {ALL_LAYERS[name]}")
    answer = trace.section("layers", layers=1)
    assert answer.title == f"{trace.sections['layers']}: layer 1"
    assert answer.headline == "Layer 1 alone: there is no other layer to compare it with."
    together = trace.section("tokens", tokens="1:2")
    assert together.title.endswith(": tokens 1 to 2")
    assert any("count together" in note and "tokens 0 to " in note for note in together.notes)


def test_parts_that_there_are_not(toy: Path) -> None:
    with tat.TraceAnalyzer(toy) as t:
        for wrong, kind, words in (
            ({"layers": "77:"}, tat.ErrorKind.NO, "there is no layer 77; there are layers 0 to 2"),
            ({"tokens": 5000}, tat.ErrorKind.NO, "token 5000 was not evaluated; there are tokens 0 to "),
            ({"layers": "5:3"}, tat.ErrorKind.USAGE, "the range ends before it begins"),
            ({"tokens": "x"}, tat.ErrorKind.USAGE, "must be a number or a range"),
        ):
            with pytest.raises(tat.TatError, match=words) as error:
                t.section("layers", **wrong)
            assert error.value.kind == kind
            (option, value) = next(iter(wrong.items()))
            run(os.environ["TAT"], "report", f"--{option}={value}", toy, statuses=(int(kind),))
