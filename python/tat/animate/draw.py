# SPDX-License-Identifier: MIT
"""Draws the frames of a film. What never changes is drawn once."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
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


class _Panel:
    """An image whose lights go up at once and fade over some frames."""

    def __init__(self, figure: Figure, place: tuple[float, float, float, float], shape: tuple[int, int], title: str):
        self.axes = figure.add_axes(place)
        self.axes.set_title(title, loc="left", fontsize=11)
        self.axes.tick_params(labelsize=8)
        self.light = np.zeros(shape)
        self.image: AxesImage = self.axes.imshow(
            self.light, cmap="viridis", vmin=0, vmax=1, aspect="auto", interpolation="nearest", animated=True
        )

    def step(self, now: Floats) -> None:
        """Lights what is lit now, 0 to 1, and lets the rest fade."""
        self.light = np.maximum(self.light * _FADE, now)
        self.image.set_data(self.light)


def _share(values: Floats) -> Floats:
    """Of the largest that each place ever has in a frame."""
    top = values.max(axis=0)
    return values / np.where(top > 0, top, 1)


def _layer_ticks(panel: _Panel, names: tuple[str, ...]) -> None:
    ticks = thinned(tuple((float(i), name) for i, name in enumerate(names[:-1])), 16) + ((len(names) - 1.0, names[-1]),)
    panel.axes.set_yticks([at for at, _ in ticks], [name for _, name in ticks])


def _file_map(figure: Figure, s: Steps, right: float) -> _Panel:
    rows = CELLS // _ACROSS
    title = f"Model file, {say(s.places.end, 'bytes')}: a cell is {say(s.cell_bytes, 'bytes')}, read along the rows"
    panel = _Panel(figure, (0.06, 0.17, right - 0.1, 0.68), (rows, _ACROSS), title)
    panel.axes.set_xticks([])
    ticks = np.arange(0, rows, 6)
    panel.axes.set_yticks(ticks, [say(float(t) * _ACROSS * s.cell_bytes, "bytes") for t in ticks])
    return panel


def _panels(figure: Figure, s: Steps) -> list[tuple[_Panel, Floats]]:
    """Each panel with what lights it, frame by frame."""
    n_experts = s.experts.shape[2]
    right = 0.58 if n_experts else 0.78
    full = np.minimum(s.cells / s.cell_bytes, 1.0).reshape(len(s.cells), -1, _ACROSS)
    out = [(_file_map(figure, s, right), full)]
    shape = (len(s.layer_names), len(COLUMNS))
    layers = _Panel(figure, (right + 0.03, 0.17, 0.14, 0.68), shape, "Layers")
    layers.axes.set_xticks(range(len(COLUMNS)), ["weights", "KV", "activ."])
    _layer_ticks(layers, s.layer_names)
    out.append((layers, _share(s.layers)))
    if n_experts:
        place = (right + 0.22, 0.17, 0.98 - right - 0.22, 0.68)
        experts = _Panel(figure, place, (len(s.layer_names), n_experts), "Experts, by layer")
        experts.axes.set_xlabel("expert", fontsize=9)
        ticks = thinned(tuple((float(i), str(i)) for i in range(n_experts)), 8)
        experts.axes.set_xticks([at for at, _ in ticks], [name for _, name in ticks])
        _layer_ticks(experts, s.layer_names)
        out.append((experts, _share(s.experts)))
    return out


def _caption(source: Source, row: int) -> str:
    first, count = int(source.first[row]), int(source.count[row])
    what = f"token {first}" if count == 1 else f"tokens {first} to {first + count - 1}"
    begin = float(source.evaluations["begin_ns"].iloc[row] - source.evaluations["begin_ns"].iloc[0])
    phase = {"generate": "generation"}.get(str(source.phase[row]), str(source.phase[row]))
    return f"{phase}: {what} · {say(begin, 'ns')} after the first"


def frames(source: Source, s: Steps, title: str) -> Iterator[NDArray[np.uint8]]:
    """Pictures of HEIGHT x WIDTH x 3 bytes, red, green, blue."""
    figure = Figure(figsize=(WIDTH / _DOTS, HEIGHT / _DOTS), dpi=_DOTS)
    canvas = FigureCanvasAgg(figure)
    figure.text(0.02, 0.95, title, size=14, weight="bold")
    panels = _panels(figure, s)
    bar = figure.add_axes((0.06, 0.06, 0.92, 0.025))
    bar.set_xlim(0, 1)
    bar.set_xticks([])
    bar.set_yticks([])
    done = bar.add_patch(Rectangle((0, 0), 0, 1, color="#0072B2", animated=True))
    text = figure.text(0.06, 0.1, "", size=11, animated=True)
    figure.text(0.06, 0.02, str(source.footer()), size=9, color="#555555")
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    for i, row in enumerate(s.row.tolist()):
        canvas.restore_region(background)
        for panel, lights in panels:
            panel.step(lights[i])
            panel.axes.draw_artist(panel.image)
        done.set_width((i + 1) / len(s.row))
        bar.draw_artist(done)
        text.set_text(_caption(source, row))
        figure.draw_artist(text)
        yield np.asarray(canvas.buffer_rgba())[:, :, :3]
