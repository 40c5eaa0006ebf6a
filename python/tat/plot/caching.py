# SPDX-License-Identifier: MIT
"""What a cache of the weights would save."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tat.plot.chart import AbsentError, Axis, Bars, Chart, Lines, Series, floats
from tat.plot.source import Source
from tat.plot.units import say

_FAMILIAR = ("lru", "lfu", "s3fifo", "frequency")
"""Policies that the curves always show; of the others only the best, so that lines can be told apart."""


def _distances(table: pd.DataFrame) -> Bars:
    """A bar for each bin that has reads: four bins lie between one power of two and the next."""
    names = tuple(say(float(end), "bytes").replace(".00 ", " ").replace(".0 ", " ") for end in table["up_to_bytes"])
    reads = (("reads", floats(table["accesses"])),)
    return Bars("Reads", names, reads, Axis("reuse distance up to"), Axis("reads", "count"))


def reuse_distance(source: Source) -> Chart:
    """Bytes of other weights between two reads of the same one, and the bytes that a run comes to need."""
    table = source.table("caching", "reuse_distances")
    tables = source.section("caching").tables
    panels: list[Bars | Lines] = [_distances(table)]
    within = np.concatenate([[0.0], floats(table["share_up_to"])])
    reached = Series("", np.concatenate([[0.0], floats(table["up_to_bytes"])]), within, "steps")
    share_axis = Axis("share of the reads", "share")
    panels.append(Lines("Read again within this distance", (reached,), Axis("reuse distance", "bytes"), share_axis))
    if "over_time" in tables and not tables["over_time"].empty:
        over_time = tables["over_time"]
        token = floats(over_time["token"])
        series = (
            Series("different bytes read so far", token, floats(over_time["unique_bytes"]), "steps"),
            Series("bytes read by each graph", token, floats(over_time["bytes"]), "dots"),
        )
        panels.append(Lines("Working set", series, Axis("token"), Axis("bytes", "bytes")))
    share, distance = floats(table["share_up_to"]), floats(table["up_to_bytes"])
    half = int(np.searchsorted(share, 0.5))
    return Chart(
        title=f"Half of the repeated reads come within {say(float(distance[half]), 'bytes')} of other weights, all of "
        f"them within {say(float(distance[-1]), 'bytes')}.",
        subtitle="Reuse distance: bytes of different weights, including the weight itself, before it is read "
        "again. An LRU cache saves the reads whose reuse distance fits in it.",
        panels=tuple(panels),
        row_height=3.2,
    )


def _shown(source: Source, table: pd.DataFrame) -> list[str]:
    """Familiar policies, the best online one, and all that know more than the past."""
    savings = source.table("caching", "savings")
    online = set(savings.loc[savings["knows"] == "the past", "policy"])
    labels = table.attrs["labels"]
    curves = [key for key in labels if key != "cache_bytes" and table[key].notna().any()]
    best = min(
        (key for key in curves if labels[key] in online), key=lambda key: float(floats(table[key]).mean()), default=""
    )
    return [key for key in curves if key in _FAMILIAR or key == best or labels[key] not in online]


def miss_ratio_curves(source: Source) -> Chart:
    """Bytes that a cache of each size reads, of the bytes wanted, by policy."""
    answer, table = source.section("caching"), source.table("caching", "curves")
    labels, size = table.attrs["labels"], floats(table["cache_bytes"])
    series = [
        Series(labels[key], size, floats(table[key]), "dashes" if key in ("min", "pin") else "line")
        for key in _shown(source, table)
    ]
    if not series:
        raise AbsentError("no weight was read twice, so there is nothing to save")
    return Chart(
        title=answer.headline,
        subtitle=f"Every cache keeps {answer.values['unit']}. Dashed: policies that know more than the past. No "
        "policy reads less than MIN (Belady), which knows the future. Of the online policies, the familiar ones and "
        "the best one are shown.",
        panels=(
            Lines("", tuple(series), Axis("cache", "bytes"), Axis("share of the wanted bytes that is read", "share")),
        ),
        row_height=6,
    )
