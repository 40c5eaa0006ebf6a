# SPDX-License-Identifier: MIT
"""Each plot is drawn or says why not, and can be read."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tat
from matplotlib import image
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from tat.plot import AbsentError, Chart, chart, cli, draw
from tat.plot.bins import MOST_COLUMNS, TokenBins
from tat.plot.chart import Heat
from tat.plot.paper import PAPERS, SCREEN, Look
from tat.plot.source import Source
from tat.plot.units import say

from conftest import Toy, run
from drawn import INFERENCE, MAKE, NAMES, drawn, heat_drawn, source_of

OF_EXPERTS = {"moe_expert_heatmap", "layer_expert", "transitions"}


@pytest.fixture(scope="session")
def long(toy_maker: Toy) -> Path:
    """10,000 tokens and more."""
    return toy_maker("long", 10_000)


# ------------------------------------------------------------------------------------------------------------ all plots


@pytest.mark.parametrize("name", NAMES)
def test_each_is_drawn_or_says_why_not(name: str, any_trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main([str(any_trace), "--only", name, "--format", "png,svg", "-o", "out"])
    said = capsys.readouterr()
    files = sorted(path.name for path in Path("out").glob("*")) if Path("out").exists() else []
    if status == 0:
        assert files == [f"{name}.png", f"{name}.svg"]
        assert sorted(Path(line).name for line in said.out.splitlines()) == files
        assert image.imread(f"out/{name}.png").shape[1] in (1800, 2250)
        assert ET.parse(f"out/{name}.svg").getroot().tag.endswith("svg")
        assert said.err == ""
    else:
        assert (status, said.out, files) == (1, "", [])
        assert said.err.startswith(f"tat plot: left out {name}: ")


def test_all_plots_of_a_real_run(real: Path) -> None:
    written, absent = draw(tat.TraceAnalyzer(real), Path("out"), formats=["png"])
    assert sorted(written) == sorted(NAMES)
    assert absent == {}


def test_experts_of_a_dense_model_are_left_out(one_token: Path) -> None:
    written, absent = draw(tat.TraceAnalyzer(one_token), Path("out"), formats=["png"])
    assert set(absent) >= OF_EXPERTS
    assert {"heatmap_token_layer", "hot_tensors", "layers", "operation_types"} <= set(written)
    assert "no layer of this model has experts" in absent["transitions"]


def test_what_figures_are_subject_to_stands_in_every_plot(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert source_of(toy).caveats() == ""
    monkeypatch.setattr(Source, "caveats", lambda _: "Another backend computed parts.")
    trace = tat.TraceAnalyzer(toy)
    for name in ("layers", "timeline_offset"):
        said = [text.get_text() for text in cli.figure(trace, name).findobj(Text)]
        assert any("Another backend computed parts." in " ".join(text.split()) for text in said)
    written, _ = draw(trace, Path("out"), only=["layers"], formats=["html"])
    assert "Another backend computed parts." in written["layers"][0].read_text(encoding="utf-8")


def test_no_room(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chart, "MOST_ROWS", 1)
    _, absent = draw(tat.TraceAnalyzer(toy), Path("out"), formats=["svg"])
    for name in ("heatmap_token_layer", "layers", *OF_EXPERTS):
        assert absent[name].endswith("are more than a picture has room for")


def test_into_the_folder_of_the_trace(toy_maker: Toy) -> None:
    trace = toy_maker("beside", 3)
    assert cli.main([str(trace), "--only", "layers", "--format", "svg"]) == 0
    assert [path.name for path in (trace / "analysis").iterdir()] == ["layers.svg"]


def test_statistics_beside_the_pictures(
    any_trace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All sections, those too that take long, as `tat report` prints them."""
    names = [word for name in tat.TraceAnalyzer(any_trace).sections for word in ("--section", name)]
    report = run(os.environ["TAT"], "report", "--json", *names, any_trace, statuses=(0, 1))
    monkeypatch.setattr(cli, "PLOTS", [plot for plot in cli.PLOTS if plot.name == "layers"])
    if cli.main([str(any_trace), "--format", "svg", "-o", "out"]) == 1:
        assert not Path("out/statistics.json").exists()
        return
    assert capsys.readouterr().out.splitlines()[-1] == "out/statistics.json"
    assert json.loads(Path("out/statistics.json").read_text(encoding="utf-8")) == json.loads(report)


def test_without_a_title(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the title and the footer would say is a caption on stdout, and in the file."""
    assert cli.main([str(toy), "--only", "layers", "--format", "png,svg,pdf", "--no-title", "-o", "out"]) == 0
    lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [path for path, _ in lines] == ["out/layers.png", "out/layers.svg", "out/layers.pdf"]
    (caption,) = {caption for _, caption in lines}
    title = MAKE["layers"](source_of(toy)).title
    assert caption.startswith(title)
    assert caption.endswith("generated tokens · Tensor Access Tracker.")
    svg = Path("out/layers.svg").read_text(encoding="utf-8")
    shown = " ".join("".join(one.itertext()) for one in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text"))
    assert "layer" in shown
    assert title[:20] not in shown
    assert "Tracker" not in shown
    assert html.escape(caption, quote=False) in svg
    png = Image.open("out/layers.png")
    assert (png.info["Title"], png.info["Description"]) == (title, caption)


def test_pdf(toy: Path) -> None:
    """Vectors with TrueType fonts in it, of the width that was asked for."""
    assert cli.main([str(toy), "--only", "layers", "--format", "pdf", "--width", "column", "-o", "out"]) == 0
    pdf = Path("out/layers.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert b"CreationDate" not in pdf
    box = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ", pdf)
    assert box
    assert float(box[1]) / 72 * 25.4 == pytest.approx(84, abs=0.1)


def test_the_same_twice(toy: Path) -> None:
    for folder in ("a", "b"):
        arguments = ["--only", "layers", "timeline_offset", "--format", "png,svg,pdf", "-o", folder]
        assert cli.main([str(toy), *arguments]) == 0
    for one in Path("a").iterdir():
        assert one.read_bytes() == Path("b", one.name).read_bytes()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--only", "nonsense"], 2, "there is no plot 'nonsense'; choose from heatmap_token_layer, "),
        (["--only", "layers", "file"], 2, "there is no plot 'file'; traces go before --only"),
        (["--format", "jpg"], 2, "choose from png, svg, pdf"),
        (["--format", ""], 2, "choose from png, svg"),
        (["-o", "file/out"], 4, "file/out: Not a directory"),
    ],
)
def test_used_wrongly(
    arguments: list[str], status: int, words: str, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    assert cli.main([str(toy), *arguments]) == status
    assert words in capsys.readouterr().err


def test_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["nowhere"]) == 3
    assert "nowhere" in capsys.readouterr().err
    Path("no.bin").write_bytes(b"no trace" * 1000)
    assert cli.main(["no.bin"]) == 3


def test_the_command(toy: Path) -> None:
    out = run(
        os.environ["TAT"],
        "plot",
        toy,
        "--only",
        "layers",
        "--format",
        "png",
        "-o",
        "here",
        TAT_PYTHON=str(Path(sys.executable)),
    )
    assert out.split() == ["here/layers.png"]


def test_pictures_need_few_packages(toy: Path) -> None:
    """All are drawn without what only other commands need, and pages name the command that installs theirs."""
    absent = dict.fromkeys(("duckdb", "ibis", "narwhals", "plotly", "pyarrow", "rich", "sqlglot"))
    code = f"import sys; sys.modules.update({absent}); from tat.plot.cli import main; sys.exit(main(sys.argv[1:]))"
    python = (sys.executable, "-c", code, toy, "-o", "here")
    assert len(run(*python, "--format", "png").split()) == len(NAMES) + 1
    setup = {**os.environ, "TAT_SETUP_PYTHON": "this"}
    done = subprocess.run([*python, "--html"], check=False, capture_output=True, text=True, env=setup)
    assert done.returncode == 4
    assert done.stderr == "tat plot: pages need Plotly, which is not installed; this command installs it: this\n"


# ------------------------------------------------------------------------------------------------- readable pictures


def ticks_of(axis: Any) -> list[Any]:
    """The labels of ticks that are in view."""
    low, high = sorted(axis.get_view_interval())
    ticks = [tick for tick in axis.get_major_ticks() if low - 1e-9 <= tick.get_loc() <= high + 1e-9]
    return [tick.label1 for tick in ticks if tick.label1.get_text()]


def texts_of(figure: Figure) -> Iterator[tuple[str, Any]]:
    both = [axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    all_ticks = {id(tick.label1) for axis in both for tick in axis.get_major_ticks()}
    for axes in figure.axes:
        for label in (*ticks_of(axes.xaxis), *ticks_of(axes.yaxis)) if axes.get_frame_on() else ():
            yield label.get_text(), label.get_window_extent()
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text().strip() and id(text) not in all_ticks:
            yield text.get_text(), text.get_window_extent()


def overlaps(boxes: list[Any]) -> bool:
    return any(a.x1 > b.x0 + 1 and b.x1 > a.x0 + 1 and a.y1 > b.y0 + 1 and b.y1 > a.y0 + 1
               for i, a in enumerate(boxes) for b in boxes[i + 1 :])  # fmt: skip


def check_readable(chart: Chart, figure: Figure, look: Look) -> None:
    figure.draw_without_rendering()
    assert chart.title
    width, height = figure.bbox.width, figure.bbox.height
    for words, box in texts_of(figure):
        assert box.x0 >= -1 and box.x1 <= width + 1 and box.y0 >= -1 and box.y1 <= height + 1, f"{words!r} is cut off"
    for axes in figure.axes:
        if axes.get_frame_on() and axes.get_label() != "<colorbar>":
            assert axes.get_xlabel() and axes.get_ylabel(), "an axis without a label"
        for axis in (axes.xaxis, axes.yaxis):
            labels = ticks_of(axis)
            if not any(label.get_rotation() for label in labels):
                assert not overlaps([label.get_window_extent() for label in labels]), "labels overlap"
        legend = axes.get_legend()
        if legend is not None:
            mine, data = legend.get_window_extent(), axes.get_window_extent()
            assert mine.x0 >= data.x1 - 1 or mine.y0 >= data.y1 - 1 or mine.y1 <= data.y0 + 1, "a legend covers data"
            assert not overlaps([mine, axes._left_title.get_window_extent()]), "a legend covers the title"
    if look.width:
        assert figure.get_figwidth() == look.width
        assert figure.get_figheight() < 11, "higher than a page"
        texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
        assert min(text.get_size() for text in texts) >= 6
        labels = [axis.label.get_window_extent() for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
        labels += [axes._left_title.get_window_extent() for axes in figure.axes]
        assert not overlaps([box for box in labels if box.width and box.height]), "titles and labels overlap"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("trace", "paper"),
    [(trace, None) for trace in ("toy", "real", "many_experts", "one_token", "long")]
    + [("real", "column"), ("real", "page"), ("many_experts", "column")],
)
def test_readable(name: str, trace: str, paper: str | None, request: pytest.FixtureRequest) -> None:
    look = PAPERS[paper] if paper else SCREEN
    try:
        chart, figure = drawn(request.getfixturevalue(trace), name, look)
    except AbsentError as error:
        assert str(error)
        return
    check_readable(chart, figure, look)


# ----------------------------------------------------------------------------------------------------------- long runs


@pytest.mark.parametrize("last", [1, 399, 400, 401, 10_000, 12_345])
def test_bins(last: int) -> None:
    bins = TokenBins.of(0, last)
    assert bins.count <= MOST_COLUMNS
    assert len(bins.edges) == bins.count + 1
    assert (bins.edges[0], bins.edges[-1]) == (0, last)
    random = np.random.default_rng(last)
    cuts = np.unique(np.concatenate([[0, last], random.integers(0, last, 50)]))
    first, count = cuts[:-1], np.diff(cuts)
    values = random.random((len(first), 3))
    naive = np.zeros((3, bins.count))
    for evaluation, (begin, tokens) in enumerate(zip(first, count, strict=True)):
        for token in range(begin, begin + tokens):
            naive[:, token // bins.width] += values[evaluation] / tokens
    np.testing.assert_allclose(bins.totals(values, first, count), naive, rtol=1e-9)
    assert bins.totals(values, first, count).sum() == pytest.approx(values.sum())


@pytest.mark.parametrize("name", ["heatmap_token_layer", "timeline_offset", "moe_expert_heatmap"])
def test_long_runs_are_gathered_and_say_so(name: str, long: Path) -> None:
    chart, figure = drawn(long, name)
    heat = chart.panels[0]
    assert isinstance(heat, Heat)
    assert 100 < heat.values.shape[1] <= MOST_COLUMNS
    assert "Each column is the mean of 26 tokens." in chart.subtitle
    tokens = np.diff(heat.x_edges)
    shown = np.nansum(heat_drawn(figure, 0, heat) * tokens)
    source = source_of(long)
    table = source.table("tokens", "tokens")
    rows = table[table["phase"].isin(INFERENCE)]
    if name == "moe_expert_heatmap":
        assert shown == pytest.approx((source.routing()["layer"] == int(chart.view.removeprefix("layer "))).sum())
    elif name == "timeline_offset":
        size = (heat.y_edges[-1] - heat.y_edges[0]) / len(heat.values)
        assert shown * size == pytest.approx(rows["weight_bytes"].sum())
    else:
        layers = source.table("layers", "layers")
        keys = ["ns"] if heat.value.unit == "ns" else [key for key in layers if str(key).endswith("_bytes")]
        assert shown == pytest.approx(layers[keys].fillna(0).to_numpy(float).sum())


def test_units() -> None:
    assert say(5.93 * 2**20, "bytes") == "5.93 MiB"
    assert say(92.1 * 2**20, "bytes") == "92.1 MiB"
    assert say(583 * 2**20, "bytes") == "583 MiB"
    assert say(512, "bytes") == "512 bytes"
    assert say(0, "bytes") == "0 bytes"
    assert say(1500, "ns") == "1.50 µs"
    assert say(0.328, "share") == "32.8 %"
    assert say(1092, "count") == "1,092"
