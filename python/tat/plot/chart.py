# SPDX-License-Identifier: MIT
"""What a picture shows, before anything draws it.

A plot makes a `Chart` of plain numbers; `paint` draws it with matplotlib and `page` with Plotly, so both show the same
and a test can look at the numbers. Values are in base units (bytes, nanoseconds, shares of 1); whoever draws them
chooses the scale of an axis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tat.plot.units import Unit

Floats = NDArray[np.float64]


class AbsentError(Exception):
    """The trace has nothing that this plot could show. The text says in a sentence what is missing."""


@dataclass(frozen=True)
class Axis:
    """One axis: what it measures, its unit, and named places where numbers would not help."""

    label: str
    unit: Unit = "number"
    log: bool = False
    ticks: tuple[tuple[float, str], ...] = ()


EMPTY = "#c4c4c4"
"""The colour of an empty cell, which no scale has."""
HEAT, KEY = "YlOrRd", "viridis"
"""The colours of amounts, and those that tell things in an order apart."""


@dataclass(frozen=True)
class Heat:
    """A matrix in colours. `values` is rows by columns, NaN for an empty cell; row 0 is drawn at the top.

    `names` makes it a picture of kinds: values are then indices into it. `limits` are those of the colours; a value
    beyond has the colour of the limit, and the scale says so with an arrow. `row_names` and `column_names` say what
    each row and column is, if the axis' numbers do not.
    """

    title: str
    values: Floats
    x_edges: Floats
    y_edges: Floats
    x: Axis
    y: Axis
    value: Axis
    limits: tuple[float, float] = (0.0, 1.0)
    names: tuple[str, ...] = ()
    row_names: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()
    x_marks: tuple[tuple[float, str], ...] = ()
    """Where on the x axis something begins: a line, and its name if there is room."""
    y_marks: tuple[tuple[float, str], ...] = ()
    """The same on the y axis."""


@dataclass(frozen=True)
class Series:
    """Points in the order of x, and how they are joined."""

    name: str
    x: Floats
    y: Floats
    style: Literal["line", "dashes", "steps", "dots"] = "line"


@dataclass(frozen=True)
class Lines:
    """Several series over one pair of axes."""

    title: str
    series: tuple[Series, ...]
    x: Axis
    y: Axis


@dataclass(frozen=True)
class Points:
    """Strokes from py to py_end, in the order of px, coloured by a third quantity (NaN: black)."""

    title: str
    px: Floats
    py: Floats
    py_end: Floats
    pc: Floats
    x: Axis
    y: Axis
    value: Axis
    end: float
    """The y axis goes from 0 to here."""
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bars:
    """Bars by name. Several series stand on each other or side by side. `texts` has a text a bar, shown at its end."""

    title: str
    labels: tuple[str, ...]
    series: tuple[tuple[str, Floats], ...]
    label: Axis
    value: Axis
    horizontal: bool = False
    stacked: bool = False
    texts: tuple[str, ...] = ()
    goal: float | None = None
    """A line across the bars."""


Panel = Heat | Lines | Points | Bars


@dataclass(frozen=True)
class Chart:
    """One picture: the finding as its title, then panels in `columns` columns.

    `views` are other choices of the same panels, by name: pages offer them as a filter, pictures show `panels`.
    """

    title: str
    panels: tuple[Panel, ...]
    subtitle: str = ""
    columns: int = 1
    view: str = "all"
    views: Mapping[str, tuple[Panel, ...]] = field(default_factory=dict)
    row_height: float = 4.5
    width: float = 12.0


@dataclass(frozen=True)
class Footer:
    """What was run. It stands below every picture and holds nothing private."""

    model: str
    run: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.model} · {self.run}" if self.model else self.run


def finite_limits(values: Floats, clip: float = 0.0) -> tuple[float, float]:
    """0 and the largest value or, if that is lower, the value below which all but the share `clip` of them lie."""
    known = values[np.isfinite(values)]
    if known.size == 0:
        return (0.0, 1.0)
    top = float(np.quantile(known, 1 - clip)) if clip else float(known.max())
    return (0.0, top if top > 0 else 1.0)


MOST_ROWS = 4096
"""Layers, heads or experts side by side: no model has as many, but a damaged trace may name any number."""


def check_room(count: int, what: str) -> None:
    """Raises AbsentError for more rows (or bars) than a picture has room for."""
    if count > MOST_ROWS:
        raise AbsentError(f"{count:,} {what} are more than a picture has room for")


def floats(values: Any) -> Floats:
    """The values as an array of doubles."""
    return np.asarray(values, dtype=np.float64)


def steps(count: int, first: float = -0.5) -> Floats:
    """The edges of `count` rows or columns of width 1, from `first`."""
    return floats(np.arange(count + 1)) + first
