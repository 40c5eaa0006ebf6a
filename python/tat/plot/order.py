# SPDX-License-Identifier: MIT
"""The order of reads: gaps in the file, and how well the next one is predicted."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tat.plot.chart import AbsentError, Axis, Bars, Chart, floats
from tat.plot.source import Source
from tat.plot.units import say, say_bytes


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
        labels=tuple(say_bytes(2.0 ** (n - 1), 2.0**n) if n else "none" for n in bins),
        series=tuple((word, counts[key]) for word, key in zip(("forwards", "backwards"), ends, strict=True)),
        label=Axis("gap since the end of the previous access"),
        value=Axis(
            "accesses" if of == "accesses" else "bytes read after the gap", "count" if of == "accesses" else "bytes"
        ),
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
        subtitle="Accesses to weights in prompt and generation. Forwards: it begins behind the end of the last one.",
        panels=(_gaps("Accesses", table, "accesses"), _gaps("Bytes", table, "bytes")),
        view="all weights",
        views=views,
        row_height=3.6,
    )


_GOAL = 0.95


def _shares(title: str, names: list[str], table: pd.DataFrame, columns: dict[str, str]) -> Bars:
    series = tuple((label, floats(table[key])) for key, label in columns.items() if key in table)
    return Bars(
        title, tuple(names), series, Axis("predictor"), Axis("right predictions", "share"), horizontal=True, goal=_GOAL
    )


def prediction_scores(source: Source) -> Chart:
    """How often each predictor names the next access, and each guess the next experts."""
    panels = []
    titles = []
    try:
        table = source.table("order", "prediction")
        columns = {
            "tensor_share": "next tensor",
            "slice_share": "next slice",
            "slice_bytes_share": "next slice, by bytes",
        }
        panels.append(_shares("The next read of a weight", [str(name) for name in table["label"]], table, columns))
        titles.append(_best(table, "slice_share", "label", "the next slice of weights"))
    except AbsentError as error:
        titles.append(str(error))
    try:
        table = source.table("experts", "prediction")
        names = [f"{predicted}: {guess}" for predicted, guess in zip(table["predicted"], table["guess"], strict=True)]
        columns = {"first_right": "the first guess", "set_right": "all guesses"}
        panels.append(_shares("The experts of the next token, and of the next layer", names, table, columns))
    except AbsentError:
        pass
    if not panels:
        raise AbsentError(titles[0].rstrip("."))
    return Chart(
        title=titles[0],
        subtitle="Predictors learn from the first half of the tokens and are tested on the second. The dashed line is "
        "the goal, 95 %.",
        panels=tuple(panels),
        row_height=4.6,
    )


def _best(table: pd.DataFrame, key: str, label: str, what: str) -> str:
    """Which guesses best; several, where the figures that are shown are the same."""
    scores = floats(table[key])
    best = int(np.nanargmax(scores))
    met = "which meets the goal of 95 %" if scores[best] >= _GOAL else "less than the goal of 95 %"
    name = str(table[label].iloc[best])
    name = f"{name[:1].upper()}{name[1:]}"
    score = say(scores[best], "share")
    equal = sum(say(one, "share") == score for one in scores) - 1
    if equal:
        others = "one other" if equal == 1 else f"{equal} others"
        return f"{name} and {others} predict {what} equally well: {score}, {met}."
    return f"{name} predicts {what} best: {score}, {met}."
