# SPDX-License-Identifier: MIT
"""Quantities as people read them, and the one unit that an axis is drawn in."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from tat.plot.chart import Axis

Unit = Literal["number", "count", "bytes", "ns", "share", "factor", "per_second"]


class Scale(NamedTuple):
    """What values are divided by before they are drawn, and the name of what comes out ("" where there is none)."""

    divisor: float
    name: str


_STEPS: dict[str, tuple[Scale, ...]] = {
    "bytes": tuple(Scale(1024.0**i, name) for i, name in enumerate(("bytes", "KiB", "MiB", "GiB", "TiB"))),
    "ns": (Scale(1.0, "ns"), Scale(1e3, "us"), Scale(1e6, "ms"), Scale(1e9, "s")),
    "share": (Scale(0.01, "%"),),
    "per_second": (Scale(1.0, "per second"),),
}


def scale_of(unit: Unit, largest: float) -> Scale:
    """The scale in which `largest` has one to four digits before the point."""
    steps = _STEPS.get(unit, (Scale(1.0, ""),))
    fitting = [step for step in steps if largest >= step.divisor]
    return fitting[-1] if fitting else steps[0]


def say(value: float, unit: Unit) -> str:
    """The value with its unit, in three digits: "5.93 MiB", "32.8 %", "1,092"."""
    scale = scale_of(unit, abs(value))
    drawn = value / scale.divisor
    if unit in ("number", "count") or drawn >= 1000:
        text = f"{drawn:,.0f}" if drawn == int(drawn) or abs(drawn) >= 100 else f"{drawn:.1f}"
    elif unit == "share":
        text = f"{drawn:.1f}"
    elif scale.divisor == 1 and drawn == int(drawn):
        text = f"{drawn:.0f}"
    else:
        text = f"{drawn:.2f}" if abs(drawn) < 10 else f"{drawn:.1f}" if abs(drawn) < 100 else f"{drawn:.0f}"
    return f"{text} {scale.name}".rstrip()


def say_bytes(low: float, high: float) -> str:
    """A range as a label of a bar: "1 to 2 MiB", "768 KiB to 1 MiB"."""
    ends = [re.sub(r"\.0+(?= )", "", say(end, "bytes")) for end in (low, high)]
    number, unit = ends[0].split(" ")
    return f"{number if unit == ends[1].split(' ')[1] else ends[0]} to {ends[1]}"


def label_of(axis: Axis, scale: Scale) -> str:
    """What an axis measures, with its unit."""
    return f"{axis.label} ({scale.name})" if scale.name else axis.label


def largest_of(*values: NDArray[np.float64]) -> float:
    """The largest magnitude among all of these, or 0."""
    known = [np.abs(one[np.isfinite(one)]) for one in values]
    return max((float(one.max()) for one in known if one.size), default=0.0)
