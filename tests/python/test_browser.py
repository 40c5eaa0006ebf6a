# SPDX-License-Identifier: MIT
"""Every page in a browser: drawn as the data says, zoomed, hovered over, filtered, exported, and nothing loaded."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page
from tat.plot import Chart, cli
from tat.plot.chart import HEAT, Bars, Heat, Lines, Panel, Points

from browser import NARROW, TALL, WIDE, Area, Opened, chromium, number_in, unit_of
from drawn import MAKE, NAMES, source_of

Marks = dict[str, Any]


class Shown(Opened):
    """A page, and the chart that it is of."""

    chart: Chart
    name: str

    def panels(self) -> list[tuple[Panel, Area, Marks]]:
        """Panels of the view that pictures show, each with what is drawn of it."""
        return together(self.chart.panels, self.marks())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def pages(real: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    assert cli.main([str(real), "--html", "-o", str(folder)]) == 0
    files = {path.name for path in folder.iterdir()}
    assert files == {f"{name}.html" for name in NAMES} | {"index.html", "plotly.min.js", "statistics.json"}
    return folder


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport=TALL, offline=True, color_scheme="light", accept_downloads=True) as made:
        yield made


@pytest.fixture(scope="module")
def tab(context: BrowserContext) -> Iterator[Page]:
    with context.new_page() as page:
        yield page


@pytest.fixture(scope="module", params=NAMES)
def shown(request: pytest.FixtureRequest, pages: Path, real: Path, tab: Page) -> Iterator[Shown]:
    """Each page, opened once: what a test does to it, it undoes."""
    opened = Shown(tab, pages / f"{request.param}.html")
    opened.name, opened.chart = request.param, MAKE[request.param](source_of(real))
    yield opened
    opened.leave()


@pytest.fixture(autouse=True)
def _nothing_wrong(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "shown" in request.fixturenames:
        assert request.getfixturevalue("shown").wrong == []


# ------------------------------------------------------------------------------------------------------------- drawn


def together(panels: tuple[Panel, ...], marks: Marks) -> list[tuple[Panel, Area, Marks]]:
    """Panels with what is drawn of them; an inner one without a title has that of the one to the left."""
    areas = iter(marks["panels"])
    out: list[tuple[Panel, Area, Marks]] = []
    before = None
    for panel in panels:
        one = next(areas)
        before = one["y"]["title"] = one["y"]["title"] or before
        out.append((panel, Area(tuple(one["box"]), one["x"], one["y"]), one))
    assert next(areas, None) is None
    return out


def check(panels: tuple[Panel, ...], marks: Marks) -> None:
    """What is drawn is what the panels say."""
    for panel, area, drawn in together(panels, marks):
        match panel:
            case Heat():
                check_heat(panel, drawn)
            case Bars():
                check_bars(panel, area, drawn)
            case Lines():
                check_lines(panel, area, drawn)
            case Points():
                check_points(panel, area, drawn)


def check_heat(heat: Heat, drawn: Marks) -> None:
    """The colour in the middle of each cell, or its name."""
    if heat.names:
        assert drawn["texts"] == [heat.names[int(v)] for v in heat.values.ravel() if np.isfinite(v)]
        return
    (address,) = drawn["image"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.split(",", 1)[1]))).convert("RGBA"))
    rows, columns = heat.values.shape
    at_y = ((np.arange(rows) + 0.5) / rows * pixels.shape[0]).astype(int)
    at_x = ((np.arange(columns) + 0.5) / columns * pixels.shape[1]).astype(int)
    found = pixels[np.ix_(at_y, at_x)].astype(float)
    known = np.isfinite(heat.values)
    assert (found[~known][:, 3] == 0).all()
    low, high = heat.limits
    wanted = colormaps[HEAT]((np.clip(heat.values[known], low, high) - low) / (high - low)) * 255
    assert np.abs(found[known] - wanted).max(initial=0) < 16  # between 17 steps of the scale Plotly goes straight


def check_bars(bars: Bars, area: Area, drawn: Marks) -> None:
    """The length of each bar."""
    side, axis = (2, area.x) if bars.horizontal else (3, area.y)
    pixels = area.box[side] / (axis["range"][1] - axis["range"][0]) / unit_of(axis["title"])
    assert len(drawn["bars"]) == len(bars.series)
    for boxes, (_, values) in zip(drawn["bars"], bars.series, strict=True):
        assert len(boxes) == len(bars.labels)
        np.testing.assert_allclose([box[side] for box in boxes], np.nan_to_num(values) * pixels, atol=2)
    assert max(box[side] for boxes in drawn["bars"] for box in boxes) > area.box[side] / 10


def check_lines(lines: Lines, area: Area, drawn: Marks) -> None:
    """From where to where each line goes, and how many points there are."""
    assert len(drawn["lines"]) == len(lines.series)
    for found, series in zip(drawn["lines"], lines.series, strict=True):
        x, y = series.x / unit_of(area.x["title"]), series.y / unit_of(area.y["title"])
        known = np.isfinite(x) & np.isfinite(y) & ((y > 0) | (not lines.y.log)) & ((x > 0) | (not lines.x.log))
        places = np.array([area.place(a, b) for a, b in zip(x[known], y[known], strict=True)])
        if series.style == "dots" or (series.style == "line" and len(x) <= 40):
            assert len(found["points"]) in (known.sum(), len(x))
        if series.style == "dots":
            boxes = np.array(found["points"])[: len(places)]
            np.testing.assert_allclose(boxes[:, :2] + boxes[:, 2:] / 2, places, atol=2)
        else:
            boxes = np.array(found["path"])  # one for each piece without a gap
            ends = [*places.min(0), *places.max(0)]
            drawn_ends = [*boxes[:, :2].min(0), *(boxes[:, :2] + boxes[:, 2:]).max(0)]
            np.testing.assert_allclose(drawn_ends, ends, atol=2.5)


def check_points(points: Points, area: Area, drawn: Marks) -> None:
    """The place of each, those with a colour first."""
    boxes = np.array([box for trace in drawn["lines"] for box in trace["points"]])
    known = np.isfinite(points.pc)
    order = np.concatenate([np.flatnonzero(known), np.flatnonzero(~known)])
    y = points.py / unit_of(area.y["title"])
    wanted = [area.place(points.px[i], y[i]) for i in order]
    np.testing.assert_allclose(boxes[:, :2] + boxes[:, 2:] / 2, wanted, atol=2)


# ------------------------------------------------------------------------------------------------------------- tests


def test_filter(shown: Shown) -> None:
    """Each view shows its own numbers; the first, which is shown at once, is that of the picture."""
    views = [(shown.chart.view, shown.chart.panels), *shown.chart.views.items()]
    assert shown.views() == [name for name, _ in views]
    check(shown.chart.panels, shown.marks())
    assert shown.page.locator("#view").is_visible() == (len(views) > 1)
    for number, (_, panels) in list(enumerate(views))[1:]:
        shown.choose(number)
        check(panels, shown.marks())
    if len(views) > 1:
        shown.choose(0)
        check(shown.chart.panels, shown.marks())


def test_zoom(shown: Shown) -> None:
    """A box that is drawn becomes what the axes show, and a double click brings all back."""
    areas = shown.areas()
    before = areas[-1]
    left, top, width, height = before.box
    shown.page.mouse.move(left + 0.2 * width, top + 0.3 * height)
    shown.page.mouse.down()
    shown.page.mouse.move(left + 0.7 * width, top + 0.8 * height, steps=4)
    shown.page.mouse.up()
    shown.settle()
    after = shown.areas()[-1]
    (x0, y1), (x1, y0) = before.value(0.2, 0.3), before.value(0.7, 0.8)
    np.testing.assert_allclose(after.x["range"], [x0, x1], atol=abs(x1 - x0) / 50)
    np.testing.assert_allclose(after.y["range"], [y0, y1], atol=abs(y1 - y0) / 50)
    for _ in range(10):  # of the two clicks on a busy machine, the second may come too late to be one with the first
        shown.page.wait_for_timeout(400)  # or the drag would be the first of the two: Plotly waits for 300 ms
        shown.page.mouse.dblclick(left + width / 2, top + height / 2)
        shown.settle()
        restored = shown.areas()[-1]
        if np.allclose(restored.x["range"], before.x["range"], rtol=1e-3):
            break
    np.testing.assert_allclose(restored.x["range"], before.x["range"], rtol=1e-3)
    np.testing.assert_allclose(restored.y["range"], before.y["range"], rtol=1e-3)
    check(shown.chart.panels, shown.marks())


def test_hover(shown: Shown) -> None:
    """In each panel, over what is largest."""
    for panel, area, drawn in shown.panels()[:4]:
        match panel:
            case Heat():
                check_hover_heat(shown, panel, area)
            case Bars():
                series = int(np.argmax([np.nanmax(values) for _, values in panel.series]))
                name, values = panel.series[series]
                bar = int(np.nanargmax(values))
                left, top, width, height = drawn["bars"][series][bar]
                label, value = shown.hover(left + width / 2, top + height / 2)
                unit = unit_of((area.x if panel.horizontal else area.y)["title"])
                assert label.startswith(panel.labels[bar])
                assert value.startswith(f"{name}: ")
                assert number_in(value.removeprefix(f"{name}: ")) == pytest.approx(values[bar] / unit, rel=0.01)
            case Lines():
                one = panel.series[0]
                at = len(one.x) // 2
                x, y = one.x[at] / unit_of(area.x["title"]), one.y[at] / unit_of(area.y["title"])
                _, shown_x, shown_y = shown.hover(*area.place(x, y))
                near = abs(np.diff(area.x["range"])[0]) / 100
                assert number_in(shown_x.removeprefix(panel.x.label)) == pytest.approx(x, abs=near)
                assert number_in(shown_y) == pytest.approx(y, rel=0.02)
            case Points():
                at = int(np.argmax(np.where(np.isfinite(panel.pc), panel.px, -1)))
                unit = unit_of(area.y["title"])
                text, place = shown.hover(*area.place(panel.px[at], panel.py[at] / unit))
                assert not panel.texts or text in panel.texts
                assert number_in(place.split("from ")[1]) == pytest.approx(panel.py[at] / unit, rel=0.01)


def check_hover_heat(shown: Shown, heat: Heat, area: Area) -> None:
    row, column = np.unravel_index(int(np.nanargmax(heat.values)), heat.values.shape)
    rows, columns = heat.values.shape
    left, top, width, height = area.box
    lines = shown.hover(left + (column + 0.5) / columns * width, top + (row + 0.5) / rows * height)
    if heat.row_names:
        assert lines[1].startswith(f"{heat.y.label} {heat.row_names[row]}")
    if heat.names:
        assert lines[2] == heat.names[int(heat.values[row, column])]
        return
    label, value = lines[2].rsplit(": ", 1)
    unit = value.split(" ")[1] if " " in value else ""
    assert label == heat.value.label
    beside = 0 if height / rows > 3 else 1  # the mouse may be a pixel off
    near = heat.values[max(row - beside, 0) : row + beside + 1, column] / unit_of(f"({unit})")
    known = near[np.isfinite(near)]
    if value == "NaN":  # of the empty cell beside
        assert len(known) < len(near)
        return
    assert number_in(value) == pytest.approx(min(known, key=lambda one: abs(one - number_in(value))), rel=0.01)


def test_export(shown: Shown, tmp_path: Path) -> None:
    """Numbers as CSV, pictures as PNG and SVG, of the size that is shown."""
    path = shown.save("table", tmp_path)
    assert path.name == f"{shown.name}.csv"
    with path.open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["series", "x", "y", "value"]
    check_rows(shown, rows)

    path = shown.save("svg", tmp_path)
    svg = ElementTree.parse(path).getroot()
    assert (path.name, svg.tag) == (f"{shown.name}.svg", "{http://www.w3.org/2000/svg}svg")
    texts = {"".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {panel.title for panel in shown.chart.panels} - {""} <= texts

    path = shown.save("png", tmp_path)
    picture = Image.open(path)
    assert (path.name, picture.format) == (f"{shown.name}.png", "PNG")
    assert picture.size == pytest.approx((float(svg.attrib["width"]), float(svg.attrib["height"])), abs=1)
    assert picture.width > WIDE["width"] - 100
    assert len(picture.convert("RGB").getcolors(1 << 24) or ()) > 20


def check_rows(shown: Shown, rows: list[list[str]]) -> None:
    """As many rows as there are numbers, and the numbers."""
    left = iter(rows)
    for panel, _, _ in shown.panels():
        match panel:
            case Heat():
                found = [next(left) for _ in range(panel.values.size)]
                numbers, wanted = [row[3] for row in found], panel.values.ravel()
            case Bars():
                found = [next(left) for _, values in panel.series for _ in values]
                numbers, wanted = (
                    [row[1 if panel.horizontal else 2] for row in found],
                    np.concatenate([values for _, values in panel.series]),
                )
            case Lines():
                found = [next(left) for series in panel.series for _ in series.x]
                numbers, wanted = [row[2] for row in found], np.concatenate([series.y for series in panel.series])
            case Points():
                found = [next(left) for _ in panel.px]
                known = np.isfinite(panel.pc)
                numbers, wanted = [row[2] for row in found], np.concatenate([panel.py[known], panel.py[~known]])
        got = np.array([float(number) if number else np.nan for number in numbers])
        largest = np.nanmax(np.abs(wanted), initial=0)
        if largest > 0:  # in the unit of the panel, whichever it is
            np.testing.assert_allclose(got / np.nanmax(np.abs(got)), wanted / largest, rtol=1e-4, atol=1e-9)
    assert next(left, None) is None


def test_nothing_is_offered_that_sends(shown: Shown) -> None:
    titles = [one.get_attribute("data-title") or "" for one in shown.page.locator(".modebar-btn").all()]
    assert not [title for title in titles if "hare" in title or "loud" in title or "dit" in title]


@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["800x600", "1280x800"])
def test_nothing_overlaps(shown: Shown, size: Any) -> None:
    """No title lies on another text, a panel or a scale, and no text is cut off."""
    shown.resize(size)
    texts = shown.texts()
    frame = shown.page.locator("#chart").bounding_box()
    assert frame
    for one in texts:
        x, y, width, height = one["box"]
        inside = x >= frame["x"] - 1 and x + width <= frame["x"] + frame["width"] + 1
        assert inside and y >= frame["y"] - 1 and y + height <= frame["y"] + frame["height"] + 1, f"cut off: {one}"
    for i, one in enumerate(texts):
        for other in texts[i + 1 :]:
            if {one["kind"], other["kind"]} & {"title", "caption", "legend"}:
                assert not overlap(one["box"], other["box"]), f"{one} lies on {other}"


def overlap(a: list[float], b: list[float]) -> bool:
    """By more than a line's edge."""
    return all(min(a[i] + a[i + 2], b[i] + b[i + 2]) - max(a[i], b[i]) > 2 for i in (0, 1))


def test_the_index_leads_to_each_page(pages: Path, context: BrowserContext) -> None:
    with context.new_page() as page:
        page.goto((pages / "index.html").as_uri())
        assert page.locator("li strong").count() == page.locator("li img").count() == len(NAMES)
        broken = page.evaluate("() => [...document.images].filter(one => !one.complete || !one.naturalWidth).length")
        assert broken == 0
        for size in (NARROW, WIDE):
            page.set_viewport_size(size)
            assert page.evaluate("() => document.documentElement.scrollWidth") <= size["width"]
        page.locator("li a").nth(NAMES.index("layers")).click()
        page.wait_for_selector(".main-svg")
        assert page.url == (pages / "layers.html").as_uri()
        page.locator("nav a").click()
        assert page.url == (pages / "index.html").as_uri()
