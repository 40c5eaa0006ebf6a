# SPDX-License-Identifier: MIT
"""Each plot is drawn or says why not, and can be read."""

from __future__ import annotations

import html
import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tat
from matplotlib import image
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from tat.plot import AbsentError, Chart, chart, cli, draw, paint
from tat.plot.bins import MOST_COLUMNS, TokenBins
from tat.plot.chart import Heat
from tat.plot.paper import PAPERS, SCREEN, Look
from tat.plot.source import Source
from tat.plot.units import say

from conftest import ALL, Toy, run
from drawn import INFERENCE, MAKE, NAMES, drawn, heat_drawn, source_of

OF_STORAGE = {"page_faults", "stall_per_token", "residency", "read_again", "disk_throughput"}
OF_EXPERTS = {"moe_expert_heatmap", "layer_expert", "transitions"}


@pytest.fixture(scope="session")
def long(toy_maker: Toy) -> Path:
    """10,000 tokens and more."""
    return toy_maker("long", 10_000)


# ------------------------------------------------------------------------------------------------------------ all plots


@dataclass
class Pictures:
    """All plots of a trace, as the command has drawn them."""

    of: str
    folder: Path
    status: int
    stdout: list[str]
    absent: dict[str, str]
    drawn: dict[str, tuple[Chart, Figure]]
    report: Any
    """All sections, those too that take long, as `tat report` had printed them before."""


def pictures_of(trace: Path, of: str, folder: Path, formats: str) -> Pictures:
    figures: list[tuple[Chart, Figure]] = []

    def draw_and_keep(chart: Chart, *how: Any, **more: Any) -> Figure:
        figure = paint_draw(chart, *how, **more)
        figures.append((chart, figure))
        return figure

    sections = [word for name in tat.TraceAnalyzer(trace).sections for word in ("--section", name)]
    report = json.loads(run(os.environ["TAT"], "report", "--json", *sections, trace, statuses=(0, 1)))
    paint_draw, out, err = paint.draw, io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.setattr(paint, "draw", draw_and_keep)
        status = cli.main([str(trace), "--format", formats, "-o", str(folder)])
    stdout = [Path(line).name for line in out.getvalue().splitlines()]
    names = dict.fromkeys(Path(name).stem for name in stdout if not name.endswith(".json"))
    absent = {}
    for line in err.getvalue().splitlines():
        command, left_out, reason = line.split(": ", 2)
        assert command == "tat plot"
        absent.update(dict.fromkeys(left_out.removeprefix("left out ").split(", "), reason))
    return Pictures(of, folder, status, stdout, absent, dict(zip(names, figures, strict=True)), report)


@pytest.fixture(scope="module", params=ALL)
def pictures(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Of each kind of trace. The files of two kinds show what each format makes of a plot."""
    trace = request.getfixturevalue(request.param)
    formats = "png,svg" if request.param in ("toy", "real") else "png"
    return pictures_of(trace, request.param, tmp_path_factory.mktemp("pictures") / "out", formats)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_drawn_or_says_why_not(name: str, pictures: Pictures) -> None:
    files = sorted(path.name for path in pictures.folder.glob(f"{name}.*"))
    assert [one for one in pictures.stdout if Path(one).stem == name] == files
    if name in pictures.absent:
        assert pictures.absent[name]
        assert files == []
        return
    assert image.imread(pictures.folder / f"{name}.png").shape[1] in (1800, 2250)
    if pictures.of in ("toy", "real"):
        assert files == [f"{name}.png", f"{name}.svg"]
        assert ET.parse(pictures.folder / f"{name}.svg").getroot().tag.endswith("svg")
    else:
        assert files == [f"{name}.png"]


def test_what_is_left_out(pictures: Pictures) -> None:
    assert pictures.status == (0 if pictures.drawn else 1)
    match pictures.of:
        case "real":
            assert pictures.absent == {}
        case "one_token":
            assert set(pictures.absent) >= OF_EXPERTS
            assert {"heatmap_token_layer", "hot_tensors", "layers", "operation_types"} <= set(pictures.drawn)
            assert "no layer of this model has experts" in pictures.absent["transitions"]
        case "empty":
            assert pictures.stdout == []
            assert list(pictures.absent) == NAMES


def test_the_only_one_left_out(one_token: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(one_token), "--only", "transitions", "-o", "out"]) == 1
    said = capsys.readouterr()
    assert (said.out, list(Path("out").iterdir())) == ("", [])
    assert said.err == "tat plot: left out transitions: no layer of this model has experts\n"


@pytest.mark.parametrize("name", NAMES)
def test_readable(name: str, pictures: Pictures) -> None:
    """As it was saved."""
    if name not in pictures.absent:
        check_readable(*pictures.drawn[name], SCREEN)


def test_statistics_beside_the_pictures(pictures: Pictures) -> None:
    written = pictures.folder / "statistics.json"
    if pictures.status == 1:
        assert not written.exists()
        return
    assert pictures.stdout[-1] == "statistics.json"
    assert json.loads(written.read_text(encoding="utf-8")) == pictures.report


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
    names = ["heatmap_token_layer", "layers", *OF_EXPERTS]
    _, absent = draw(tat.TraceAnalyzer(toy), Path("out"), only=names, formats=["svg"])
    for name in names:
        assert absent[name].endswith("are more than a picture has room for")


def test_into_the_folder_of_the_trace(toy_maker: Toy) -> None:
    trace = toy_maker("beside", 3)
    assert cli.main([str(trace), "--only", "layers", "--format", "svg"]) == 0
    assert [path.name for path in (trace / "analysis").iterdir()] == ["layers.svg"]


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


@pytest.mark.parametrize("pictures", ["toy"], indirect=True)
def test_the_same_twice(pictures: Pictures, toy: Path) -> None:
    assert cli.main([str(toy), "--only", "layers", "timeline_offset", "--format", "png,svg", "-o", "again"]) == 0
    for one in Path("again").iterdir():
        assert one.read_bytes() == (pictures.folder / one.name).read_bytes()
    for folder in ("a", "b"):
        assert cli.main([str(toy), "--only", "timeline_offset", "--format", "pdf", "-o", folder]) == 0
    assert Path("a/timeline_offset.pdf").read_bytes() == Path("b/timeline_offset.pdf").read_bytes()


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


def test_pictures_need_few_packages(other_toy: Path) -> None:
    """All are drawn without what only other commands need, and pages name the command that installs theirs."""
    absent = dict.fromkeys(("duckdb", "ibis", "narwhals", "plotly", "pyarrow", "rich", "sqlglot"))
    pages = "main([*sys.argv[1:3], '--html'])"
    code = f"import sys; sys.modules.update({absent}); from tat.plot.cli import main; sys.exit(main() or {pages})"
    done = subprocess.run(
        (sys.executable, "-c", code, other_toy, "-ohere", "--format=png"),
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "TAT_SETUP_PYTHON": "this"},
    )
    assert done.returncode == 4
    assert len(done.stdout.split()) == len(NAMES) - len(OF_STORAGE) + 1
    left_out, needed = done.stderr.splitlines()
    names = "page_faults, stall_per_token, residency, read_again, disk_throughput"
    assert left_out == f"tat plot: left out {names}: I/O events were not recorded: `tat record --io` does that"
    assert needed == "tat plot: pages need Plotly, which is not installed; this command installs it: this"


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
    [("many_experts", None), ("long", None), ("real", "column"), ("real", "page"), ("many_experts", "column")],
)
def test_readable_in_other_sizes(name: str, trace: str, paper: str | None, request: pytest.FixtureRequest) -> None:
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
    assert say(1500, "ns") == "1.50 us"
    assert say(0.328, "share") == "32.8 %"
    assert say(1092, "count") == "1,092"
