# SPDX-License-Identifier: MIT
"""The order of reads: gaps in the file, and how well the next one is predicted."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tat.plot.chart import AbsentError, Axis, Bars, Chart, floats
from tat.plot.source import Source
from tat.plot.units import say


def _gaps(title: str, table: pd.DataFrame, of: str) -> Bars:
    """A bar for each power of two from the smallest gap to the largest, none left out."""
    ends = ("forward", "backward") if of == "accesses" else ("forward_bytes", "backward_bytes")
    place = np.frexp(floats(table["from_bytes"]))[1]  # 0 for no gap, n + 1 for 2**n bytes
    found = place[place > 0]
    bins = [0, *range(int(found.min()), int(found.max()) + 1)] if found.size else [0]
    counts = {key: np.zeros(len(bins)) for key in ends}
    for key, values in counts.items():
        np.add.at(values, np.searchsorted(bins, place), floats(table[key]))
    return Bars(
        title=title,
        labels=tuple("none" if not n else say(2.0 ** (n - 1), "bytes").replace(".0 ", " ").replace(".00 ", " ") for n in bins),
        series=tuple((word, counts[key]) for word, key in zip(("forwards", "backwards"), ends, strict=True)),
        label=Axis("gap to the end of the access before, from"),
        value=Axis("accesses" if of == "accesses" else "bytes read after it", "count" if of == "accesses" else "bytes"),
        stacked=True,
    )


def gap_histogram(source: Source) -> Chart:
    """How far the next access is from where the last one ended, in the file."""
    table = source.table("order", "gaps")
    parts = source.section("order").tables.get("gaps_by_component")
    views = {}
    if parts is not None and not parts.empty:
        for component, mine in parts.groupby("component", sort=False):
            views[str(component)] = (_gaps(f"{component}: accesses", mine, "accesses"), _gaps("Bytes", mine, "bytes"))
    return Chart(
        title=source.section("order").headline,
        subtitle="Accesses to weights in prompt and generation. A bar stands for gaps from the one it is named after up to twice that.",
        panels=(_gaps("Accesses", table, "accesses"), _gaps("Bytes", table, "bytes")),
        view="all weights",
        views=views,
        row_height=3.6,
    )


def prediction_scores(source: Source) -> Chart:
    """How often each predictor names the next access."""
    raise AbsentError("not here yet")
