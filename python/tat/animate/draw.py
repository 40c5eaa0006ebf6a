# SPDX-License-Identifier: MIT
"""Draws the frames of a film. What never changes is drawn once."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tat.animate.steps import CELLS, COLUMNS, Steps
from tat.plot.chart import Floats
from tat.plot.paint import thinned
from tat.plot.source import Source
from tat.plot.units import say

WIDTH, HEIGHT = 1280, 720
_DOTS = 100
_ACROSS = 64
_FADE = 0.75
"""What is left of a light in the next frame."""
_SHADES = (colormaps["viridis"](np.arange(256)) * 255).round().astype(np.uint8).view(np.uint32).ravel()
_BAR = (0x00, 0x72, 0xB2, 0xFF)
_HOW = (
    "What is touched lights up and fades. The light of a file cell is the share of it that is read; that of a layer "
    "or expert is relative to its peak."
)

Picture = NDArray[np.uint8]


class _Panel:
    """A matrix whose lights go up at once and fade over some frames."""

    def __init__(self, figure: Figure, place: tuple[float, float, float, float], lights: Floats, title: str):
        """`lights` is frames x rows x columns, 0 to 1."""
        self.lights = lights
        self.light = np.zeros(lights.shape[1:])
        self.axes = figure.add_axes(place)
        self.axes.set_title(title, loc="left", fontsize=11)
        self.axes.tick_params(labelsize=8)
        self.axes.set_xlim(-0.5, lights.shape[2] - 0.5)
        self.axes.set_ylim(lights.shape[1] - 0.5, -0.5)

    def find_pixels(self) -> None:
        """Once the axes are drawn: which pixels they take, and which row and column each of them shows."""
        box = self.axes.get_window_extent()
        self.left, self.right = round(box.x0) + 1, round(box.x1)
        self.top, self.bottom = HEIGHT - round(box.y1) + 1, HEIGHT - round(box.y0)
        rows, columns = self.lights.shape[1:]
        self.rows = np.arange(self.bottom - self.top) * rows // (self.bottom - self.top)
        self.columns = np.arange(self.right - self.left) * columns // (self.right - self.left)

    def paint(self, picture: Picture, frame: int) -> None:
        """Lights what is lit in this frame and lets the rest fade."""
        self.light = np.maximum(self.light * _FADE, self.lights[frame])
        shades = _SHADES[(self.light * 255).astype(np.uint8)]
        pixels = picture.view(np.uint32)[:, :, 0]
        pixels[self.top : self.bottom, self.left : self.right] = shades[self.rows][:, self.columns]


def _share(values: Floats) -> Floats:
    """Of the largest that each place ever has in a frame."""
    top = values.max(axis=0)
    return values / np.where(top > 0, top, 1)


def _layer_ticks(panel: _Panel, names: tuple[str, ...]) -> None:
    numbered = tuple((float(i), name) for i, name in enumerate(names[:-1]))
    ticks = (*thinned(numbered, 16), (len(names) - 1.0, names[-1]))
    panel.axes.set_yticks([at for at, _ in ticks], [name for _, name in ticks])


def _file_map(figure: Figure, s: Steps, right: float) -> _Panel:
    rows = CELLS // _ACROSS
    title = f"Model file, {say(s.places.end, 'bytes')}: each cell is {say(s.cell_bytes, 'bytes')}, row by row"
    lights = np.minimum(s.cells / s.cell_bytes, 1.0).reshape(len(s.cells), rows, _ACROSS)
    panel = _Panel(figure, (0.07, 0.17, right - 0.11, 0.66), lights, title)
    panel.axes.set_xticks([])
    ticks = np.arange(0, rows, 6)
    panel.axes.set_yticks(ticks, [say(float(t) * _ACROSS * s.cell_bytes, "bytes") for t in ticks])
    return panel


def _panels(figure: Figure, s: Steps) -> list[_Panel]:
    n_experts = s.experts.shape[2]
    right = 0.58 if n_experts else 0.78
    layers = _Panel(figure, (right + 0.03, 0.17, 0.14, 0.66), _share(s.layers), "Layers")
    layers.axes.set_xticks(range(len(COLUMNS)), ["weights", "KV", "activ."])
    _layer_ticks(layers, s.layer_names)
    panels = [_file_map(figure, s, right), layers]
    if n_experts:
        place = (right + 0.22, 0.17, 0.98 - right - 0.22, 0.66)
        experts = _Panel(figure, place, _share(s.experts), "Experts, by layer")
        experts.axes.set_xlabel("expert", fontsize=9)
        ticks = thinned(tuple((float(i), str(i)) for i in range(n_experts)), 8)
        experts.axes.set_xticks([at for at, _ in ticks], [name for _, name in ticks])
        _layer_ticks(experts, s.layer_names)
        panels.append(experts)
    return panels


def _caption(source: Source, row: int) -> str:
    first, count = int(source.first[row]), int(source.count[row])
    what = f"token {first}" if count == 1 else f"tokens {first} to {first + count - 1}"
    begin = float(source.evaluations["begin_ns"].iloc[row] - source.evaluations["begin_ns"].iloc[0])
    phase = {"generate": "generation"}.get(str(source.phase[row]), str(source.phase[row]))
    return f"{phase}: {what} · {say(begin, 'ns')} after the start"


class _Captions:
    """The line that says which token it is: drawn once for each."""

    def __init__(self, figure: Figure, canvas: Any):
        self.figure, self.canvas = figure, canvas
        self.text = figure.text(0.07, 0.1, "", size=11, animated=True)
        self.top, self.bottom = round(HEIGHT * 0.865), round(HEIGHT * 0.912)
        canvas.draw()
        self.empty = canvas.copy_from_bbox(figure.bbox)
        self.row = -1
        self.strip = np.zeros(0, np.uint8)

    def paint(self, picture: Picture, source: Source, row: int) -> None:
        if row != self.row:
            self.canvas.restore_region(self.empty)
            self.text.set_text(_caption(source, row))
            self.figure.draw_artist(self.text)
            self.strip = np.asarray(self.canvas.buffer_rgba())[self.top : self.bottom].copy()
            self.row = row
        picture[self.top : self.bottom] = self.strip


def frames(source: Source, s: Steps, title: str) -> Iterator[Picture]:
    """Pictures of HEIGHT x WIDTH x 4 bytes, red, green, blue and 255; each is gone when the next is asked for."""
    figure = Figure(figsize=(WIDTH / _DOTS, HEIGHT / _DOTS), dpi=_DOTS)
    canvas: Any = FigureCanvasAgg(figure)
    figure.text(0.02, 0.95, "\n".join(textwrap.wrap(title, 110)[:1]), size=14, weight="bold")
    below = "\n".join(textwrap.wrap(source.caveats(), 220)) or _HOW
    figure.text(0.02, 0.915, below, size=8 if "\n" in below else 9, color="#444444", va="bottom")
    panels = _panels(figure, s)
    bar = figure.add_axes((0.07, 0.06, 0.91, 0.025))
    bar.set_xticks([])
    bar.set_yticks([])
    figure.text(0.07, 0.02, str(source.footer()), size=9, color="#555555")
    captions = _Captions(figure, canvas)
    picture = np.asarray(canvas.buffer_rgba()).copy()
    for panel in panels:
        panel.find_pixels()
    box = bar.get_window_extent()
    low, high = HEIGHT - round(box.y1) + 1, HEIGHT - round(box.y0)
    left, right = round(box.x0) + 1, round(box.x1)
    for i, row in enumerate(s.row.tolist()):
        for panel in panels:
            panel.paint(picture, i)
        captions.paint(picture, source, row)
        picture[low:high, left : left + round((right - left) * (i + 1) / len(s.row))] = _BAR
        yield picture
