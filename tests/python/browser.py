# SPDX-License-Identifier: MIT
"""A page in Debian's chromium: operated as a reader would, and what it then shows as numbers."""

from __future__ import annotations

import math
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from playwright.sync_api import Browser, Page, Request, Route, ViewportSize, sync_playwright

TALL = ViewportSize(width=1280, height=1400)  # all of a page is in reach of the mouse
WIDE, NARROW = ViewportSize(width=1280, height=800), ViewportSize(width=800, height=600)

_MARKS = """() => {
    const chart = document.getElementById("chart"), box = element => {
        const { x, y, width, height } = element.getBoundingClientRect();
        return [x, y, width, height];
    };
    const all = (from, what) => [...from.querySelectorAll(what)];
    const panels = all(chart, ".nsewdrag").map(area => {
        const id = area.dataset.subplot, [x, y] = id.split("y"), plot = chart.querySelector(`.subplot.${id}`);
        const axis = (name, tail) => {
            const { range, type, title } = chart.layout[name + tail];
            return { range, log: type === "log", title: title ? title.text : null };
        };
        return {
            box: box(area), x: axis("xaxis", x.slice(1)), y: axis("yaxis", y),
            image: all(plot, ".heatmaplayer image").map(image => image.href.baseVal),
            texts: all(plot, ".heatmap-label text").map(text => text.textContent),
            bars: all(plot, ".barlayer .trace").map(trace => all(trace, ".point path").map(box)),
            lines: all(plot, ".scatterlayer .trace").map(trace => ({
                path: all(trace, ".js-line").map(box), points: all(trace, ".point").map(box),
                bars: all(trace, ".errorbar path").map(box) })),
        };
    });
    return { panels };
}"""

_TEXTS = """() => {
    const chart = document.getElementById("chart"), get = (what, kind) => [...chart.querySelectorAll(what)].map(one => {
        const { x, y, width, height } = one.getBoundingClientRect();
        return { kind, text: one.textContent, box: [x, y, width, height] };
    });
    return [
        ...get(".infolayer > [class^=g-] text, .infolayer [class*=cbtitle] text", "title"),
        ...get(".infolayer .annotation text", "caption"), ...get(".legendtext", "legend"),
        ...get(".cbaxis text, .xtick text, .ytick text, [class*=tick] text", "tick"), ...get(".bartext", "bar"),
        ...get(".nsewdrag", "panel"), ...get(".cbfills", "scale"),
    ].filter(one => one.box[2] > 0 && one.box[3] > 0);
}"""

_BYTES = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
_DIVISORS = {"": 1, "%": 0.01, "per second": 1, "ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9, **_BYTES}
_PREFIXES = {"": 1.0, "n": 1e-9, "µ": 1e-6, "\u03bc": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9}


def unit_of(title: str | None) -> float:
    """What the unit in an axis' title stands for: 2**20 for "bytes touched (MiB)"."""
    found = re.search(r"\(([^()]*)\)$", title or "")
    return _DIVISORS[found[1]] if found else 1.0


def number_in(text: str) -> float:
    """The number that Plotly wrote: "3.98", "12.3k", "-5" with a minus of its own."""
    found = re.search(r"(-?\d[\d,]*\.?\d*)([nµ\u03bcmkMG]?)", text.replace("\u2212", "-"))
    assert found, text
    return float(found[1].replace(",", "")) * _PREFIXES[found[2]]


class Area(NamedTuple):
    """Where a panel is, and what its axes show."""

    box: tuple[float, float, float, float]
    x: dict[str, Any]
    y: dict[str, Any]

    def place(self, x: float, y: float) -> tuple[float, float]:
        """In pixels of the window, of a point in units of the axes."""
        left, top, width, height = self.box
        return left + width * _share(self.x, x), top + height * (1 - _share(self.y, y))

    def value(self, right: float, down: float) -> tuple[float, float]:
        """What is at these shares of width and height, in numbers as ranges have them."""
        (x0, x1), (y0, y1) = self.x["range"], self.y["range"]
        return x0 + right * (x1 - x0), y1 + down * (y0 - y1)


def _share(axis: dict[str, Any], value: float) -> float:
    first, last = axis["range"]
    return float(((math.log10(value) if axis["log"] else value) - first) / (last - first))


class Opened:
    """A page that is open; what went wrong in it is in `wrong`."""

    def __init__(self, page: Page, path: Path) -> None:
        """Opens it in a tab, which may have shown another one: what both load is then compiled once."""
        self.page, self.wrong, self._url = page, list[str](), path.as_uri()
        self._listeners: dict[Any, Callable[[Any], None]] = {
            "pageerror": lambda error: self.wrong.append(f"exception: {error}"),
            "console": lambda said: self.wrong.append(f"console: {said.type}: {said.text}"),
            "popup": lambda other: self.wrong.append(f"opened another page: {other.url}"),
            "request": self._asked,
        }
        for event, listener in self._listeners.items():
            page.on(event, listener)
        page.route("**/*", self._only_the_page)
        page.set_viewport_size(TALL)
        page.goto(self._url)

    def leave(self) -> None:
        """The tab is as it was before."""
        self.page.unroute("**/*", self._only_the_page)
        for event, listener in self._listeners.items():
            self.page.remove_listener(event, listener)

    def _is_own(self, url: str) -> bool:
        library = self._url.rpartition("/")[0] + "/plotly.min.js"
        return url in (self._url, library) or url.startswith(("data:", "blob:"))

    def _asked(self, request: Request) -> None:
        if not self._is_own(request.url):
            self.wrong.append(f"request: {request.url}")

    def _only_the_page(self, route: Route) -> None:
        if self._is_own(route.request.url):
            route.continue_()
        else:
            route.abort()

    def settle(self) -> None:
        """Wait until what was asked for is drawn."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def resize(self, size: ViewportSize) -> None:
        self.page.set_viewport_size(size)
        self.page.wait_for_function(
            "() => { const svg = document.querySelector('.main-svg').getBoundingClientRect(),"
            " chart = document.getElementById('chart').getBoundingClientRect();"
            " return Math.abs(svg.width - chart.width) < 2 && svg.right <= window.innerWidth; }"
        )
        self.settle()

    def views(self) -> list[str]:
        """What there is to choose from; one name where the choice is not shown."""
        return self.page.locator("#view option").all_text_contents()

    def choose(self, number: int) -> None:
        self.page.select_option("#view", index=number)
        self.settle()

    def marks(self) -> dict[str, Any]:
        """What is drawn, panel by panel, in pixels of the window."""
        found: dict[str, Any] = self.page.evaluate(_MARKS)
        return found

    def areas(self) -> list[Area]:
        return [Area(tuple(one["box"]), one["x"], one["y"]) for one in self.marks()["panels"]]

    def texts(self) -> list[dict[str, Any]]:
        """Titles, captions, legends, ticks, with the panels and scales that they must not lie on."""
        found: list[dict[str, Any]] = self.page.evaluate(_TEXTS)
        return found

    def hover(self, x: float, y: float) -> list[str]:
        """The lines of the label that is shown where the mouse is."""
        label = self.page.locator(".hoverlayer .hovertext").first
        self.page.mouse.move(0, 0)  # labels follow the mouse a little later: first that of the place before has to go
        label.wait_for(state="detached")
        self.page.mouse.move(x, y)
        label.wait_for(state="attached")
        lines = label.locator("tspan.line").all_text_contents()
        return lines or label.locator("text").all_text_contents()

    def save(self, button: str, folder: Path) -> Path:
        """What a button saves."""
        with self.page.expect_download() as waiting:
            self.page.click(f"#{button}")
        path = folder / waiting.value.suggested_filename
        waiting.value.save_as(path)
        return path


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's, headless and without a network; the test is skipped where there is none."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium: scripts/install-deps.sh test installs it")
    # The sandbox wants what root in a container lacks; all that is opened are pages of our own, without a network.
    options = ["--no-sandbox", "--host-resolver-rules=MAP * ~NOTFOUND", "--force-color-profile=srgb"]
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=options)
        try:
            yield browser
        finally:
            browser.close()
