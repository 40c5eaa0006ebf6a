# SPDX-License-Identifier: MIT
"""The order of reads: gaps in the file, and how well the next one is predicted."""

from __future__ import annotations

import pandas as pd

from tat.plot.chart import AbsentError, Axis, Bars, Chart, floats
from tat.plot.source import Source
from tat.plot.units import say


def _distance(row: pd.Series) -> str:
    return "none" if not row["from_bytes"] else say(float(row["from_bytes"]), "bytes")


def _gaps(title: str, table: pd.DataFrame, of: str) -> Bars:
    ends = ("forward", "backward") if of == "accesses" else ("forward_bytes", "backward_bytes")
    return Bars(
        title=title,
        labels=tuple(_distance(row) for _, row in table.iterrows()),
        series=tuple((word, floats(table[key])) for word, key in zip(("forwards", "backwards"), ends, strict=True)),
        label=Axis("gap to the end of the access before: at least"),
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
        subtitle="Accesses to weights in prompt and generation. A bar reaches up to twice the gap it is named after.",
        panels=(_gaps("Accesses", table, "accesses"), _gaps("Bytes", table, "bytes")),
        view="all weights",
        views=views,
        row_height=3.6,
    )


def prediction_scores(source: Source) -> Chart:
    """How often each predictor names the next access."""
    raise AbsentError("not here yet")
