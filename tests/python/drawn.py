# SPDX-License-Identifier: MIT
"""Plots as they were drawn, and the records to compare them with."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tat
from matplotlib.figure import Figure
from tat.plot import PLOTS, Chart, Source, paint
from tat.plot.chart import Bars, Heat
from tat.plot.paper import SCREEN, Look
from tat.plot.units import scale_of

from conftest import run

NAMES = [plot.name for plot in PLOTS]
MAKE: dict[str, Callable[[Source], Chart]] = {plot.name: plot.make for plot in PLOTS}
INFERENCE = ("prompt", "generate", "mixed", "verify", "unknown")


@cache
def source_of(path: Path) -> Source:
    return Source(tat.TraceAnalyzer(path))


@cache
def records_of(path: Path) -> pd.DataFrame:
    """The records of prompt and generation as `tat export` writes them."""
    out = path / "records.csv"
    run(os.environ["TAT"], "export", "--format", "csv", "-o", out, path)
    records = pd.read_csv(out, keep_default_na=False, na_values={"layer": "", "token": "", "expert": ""})
    return records[records["phase"].isin(INFERENCE)]


def drawn(path: Path, name: str, look: Look = SCREEN) -> tuple[Chart, Figure]:
    source = source_of(path)
    chart = MAKE[name](source)
    return chart, paint.draw(chart, source.footer(), look)


def panels_of(chart: Chart, kind: type[Any]) -> list[Any]:
    return [panel for panel in chart.panels if isinstance(panel, kind)]


def axes_of(figure: Figure) -> list[Any]:
    """Those of the panels, in order, without those of scales."""
    return [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]


def heat_drawn(figure: Figure, number: int, heat: Heat) -> np.ndarray[Any, Any]:
    """The matrix that the axes of this number show, in base units."""
    values = np.ma.filled(axes_of(figure)[number].collections[0].get_array(), np.nan).reshape(heat.values.shape)
    return values * scale_of(heat.value.unit, heat.limits[1]).divisor


def bars_drawn(figure: Figure, number: int, bars: Bars) -> np.ndarray[Any, Any]:
    """Lengths of the bars of the axes of this number, series by bars, in base units."""
    whole = np.sum([v for _, v in bars.series], axis=0) if bars.stacked else np.max([v for _, v in bars.series], axis=0)
    patches = axes_of(figure)[number].patches[: len(bars.series) * len(bars.labels)]
    lengths = [p.get_width() if bars.horizontal else p.get_height() for p in patches]
    divisor = scale_of(bars.value.unit, float(np.nanmax(whole))).divisor
    return np.array(lengths).reshape(len(bars.series), -1) * divisor


def by_token(records: pd.DataFrame, value: pd.Series, rows: pd.Series, names: list[Any]) -> np.ndarray[Any, Any]:
    """Sums per token: one column a token, each token of an evaluation with an even share."""
    first, last = int(records["token"].min()), int((records["token"] + records["tokens"]).max())
    out = np.zeros((len(names), last - first))
    place = {name: i for i, name in enumerate(names)}
    for token, tokens, row, amount in zip(records["token"], records["tokens"], rows, value, strict=True):
        out[place[row], int(token) - first : int(token) - first + tokens] += amount / tokens
    return out
