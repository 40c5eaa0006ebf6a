# SPDX-License-Identifier: MIT
"""Plots of several runs: like with like, by name, and what differs is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tat
from tat.plot import AbsentError, Source, cli, paint
from tat.plot.chart import Bars, Heat, Lines
from tat.plot.compare import COMPARED, Run, caveats, footer_of
from tat.plot.paper import PAPERS, SCREEN

from drawn import NAMES, records_of, source_of
from test_plot import check_readable

MAKE = {plot.name: plot.make for plot in COMPARED}
ALONE = sorted(set(NAMES) - set(MAKE))


@pytest.fixture
def runs(toy: Path, other_toy: Path) -> list[Run]:
    return [Run("first", source_of(toy)), Run("second", source_of(other_toy))]


WIDE = [(name, None) for name in MAKE]
NARROW = [(name, "column") for name in ("token_times", "operation_types", "layer_expert", "miss_ratio_curves")]


@pytest.mark.parametrize(("name", "paper"), WIDE + NARROW)
def test_readable(name: str, paper: str | None, runs: list[Run]) -> None:
    look = PAPERS[paper] if paper else SCREEN
    chart = MAKE[name](runs)
    check_readable(chart, paint.draw(chart, footer_of(runs), look), look)


def test_the_command(toy: Path, other_toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([f"a={toy}", str(other_toy), "--format", "svg", "--width", "page", "-o", "out"]) == 0
    said = capsys.readouterr()
    assert sorted(path.stem for path in Path("out").iterdir()) == sorted(MAKE)
    alone = ", ".join(name for name in NAMES if name in ALONE)
    assert said.err == f"tat plot: left out {alone}: it draws one run\n"
    svg = Path("out/layers.svg").read_text(encoding="utf-8")
    assert ">a<" in svg
    assert f">{other_toy.name}<" in svg
    assert str(toy.parent) not in svg


def test_pages(toy: Path, other_toy: Path) -> None:
    copy = Path("run")
    shutil.copytree(toy, copy)
    assert cli.main([str(copy), str(other_toy), "--html", "--only", "layers", "kv_growth", "qkv_order"]) == 0
    names = [path.name for path in (copy / "analysis/compared/html").iterdir()]
    assert sorted(names) == ["index.html", "kv_growth.html", "layers.html", "plotly.min.js"]
    index = (copy / "analysis/compared/html/index.html").read_text()
    assert "No qkv_order: it draws one run." in index


def test_the_numbers_are_those_of_the_records(toy: Path, other_toy: Path, runs: list[Run]) -> None:
    time, size = (panel for panel in MAKE["layers"](runs).panels if isinstance(panel, Lines))
    for path, of_time, of_size in zip((toy, other_toy), time.series, size.series, strict=True):
        records = records_of(path)
        mine = records[(records["phase"] == "generate") & records["layer"].notna()]
        bytes_each = mine.groupby(["graph", "layer"])["size"].sum().unstack()
        nodes = (
            mine.groupby(["graph", "node", "layer"])["duration_ns"].first().groupby(["graph", "layer"]).sum().unstack()
        )
        np.testing.assert_allclose(of_size.y, bytes_each.mean().to_numpy())
        np.testing.assert_allclose(of_time.y, nodes.quantile(0.5, interpolation="lower").to_numpy(), rtol=0.02)
    (bars,) = (panel for panel in MAKE["token_times"](runs).panels if isinstance(panel, Bars))
    assert bars.labels == ("first", "second")
    heats = [panel for panel in MAKE["layer_expert"](runs).panels if isinstance(panel, Heat)]
    assert len({heat.limits for heat in heats}) == 1, "one scale for all"
    for path, heat in zip((toy, other_toy), heats, strict=True):
        routing = source_of(path).routing()
        counts = routing.groupby(["layer", "expert"]).size().unstack(fill_value=0)
        shares = counts.div(counts.sum(axis=1), axis=0)
        np.testing.assert_allclose(heat.values[:, counts.columns], shares.to_numpy())


def test_layers_of_different_models_do_not_stand_side_by_side(toy: Path, exact: Path) -> None:
    runs = [Run("toy", source_of(toy)), Run("exact", source_of(exact))]
    for name in ("layers", "layer_expert"):
        with pytest.raises(AbsentError, match=r"different models \(toy.gguf, random-llama.gguf\)"):
            MAKE[name](runs)
    assert "model (toy.gguf, random-llama.gguf)" in caveats(runs)
    assert "exact times (False, True)" in caveats(runs)
    assert MAKE["token_times"](runs).panels


def test_runs_without_a_phase_in_common(toy: Path, one_token: Path) -> None:
    with pytest.raises(AbsentError, match="no phase in common"):
        MAKE["token_times"]([Run("a", source_of(toy)), Run("b", source_of(one_token))])


def test_what_differs_is_said_without_the_words_of_prompts(toy: Path) -> None:
    made: list[Run] = []
    for name, options in (("a", {"n_threads": 2, "seed": 1}), ("b", {"n_threads": 4, "seed": 1, "prompt": "secret"})):
        shutil.copytree(toy, name)
        Path(name, "trace_metadata.json").write_text(json.dumps({"options": options}))
        made.append(Run(name, Source(tat.TraceAnalyzer(name))))
    assert caveats(made) == "The runs differ in n_threads (2, 4), prompt. "
    assert caveats([made[0], made[0]]) == "The runs were made alike. "
    for damaged in ("[1]", "{", '{"options": 3}', "\xff"):
        Path("a/trace_metadata.json").write_text(damaged, encoding="latin-1")
        again = Run("a", Source(tat.TraceAnalyzer("a")))
        assert caveats([again, again]) == "As far as is known, the runs were made alike. "


def test_names(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Equal ones get a number, and there are no more runs than colours."""
    arguments = ["--only", "layers", "--format", "svg", "-o", "out"]
    assert cli.main([str(toy), str(toy), *arguments]) == 0
    svg = Path("out/layers.svg").read_text(encoding="utf-8")
    assert f">{toy.name} (1)<" in svg
    assert f">{toy.name} (2)<" in svg
    assert cli.main([*[str(toy)] * 9, *arguments]) == 2
    assert "9 runs are more than colours tell apart: 8 at most" in capsys.readouterr().err


def test_a_run_without_tokens(toy: Path, empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(toy), str(empty), "-o", "out"]) == 1
    assert "there is nothing to compare" in capsys.readouterr().err
    assert not Path("out").exists()
