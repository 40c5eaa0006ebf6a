# SPDX-License-Identifier: MIT
"""What a cache of the weights would save."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tat.plot.chart import AbsentError, Axis, Bars, Chart, Lines, Series, floats
from tat.plot.source import Source
from tat.plot.units import say

_MOST_POINTS = 800
"""Of an exact curve, which has a step for each block."""
_BARS = 10


def _distances(table: pd.DataFrame) -> Bars:
    """A bar for each power of two up to the longest distance, none left out, and at least _BARS of them."""
    power = np.round(np.log2(np.maximum(floats(table["up_to_bytes"]), 1))).astype(int)
    powers = np.arange(max(0, min(power.min(), power.max() + 1 - _BARS)), power.max() + 1)
    reads = np.zeros(len(powers))
    np.add.at(reads, power - powers[0], floats(table["accesses"]))
    names = tuple(say(2.0**p, "bytes").replace(".00 ", " ").replace(".0 ", " ") for p in powers)
    return Bars("Reads", names, (("reads", reads),), Axis("reuse distance up to"), Axis("reads", "count"))


def reuse_distance(source: Source) -> Chart:
    """Bytes of other weights between two reads of the same one, and the bytes that a run comes to need."""
    table = source.table("caching", "reuse_distances")
    tables = source.section("caching").tables
    panels: list[Bars | Lines] = [_distances(table)]
    if "block_curves" in tables and not tables["block_curves"].empty:
        exact = _thinned(tables["block_curves"])
        reached = Series("LRU", floats(exact["cache_bytes"]), 1 - floats(exact["lru_miss_ratio"]), "steps")
        label = Axis("share of the bytes read", "share")
        panels.append(Lines("Read again within this distance", (reached,), Axis("reuse distance", "bytes"), label))
    if "over_time" in tables and not tables["over_time"].empty:
        over_time = tables["over_time"]
        token = floats(over_time["token"])
        series = (
            Series("different bytes read so far", token, floats(over_time["unique_bytes"]), "steps"),
            Series("bytes read by a graph", token, floats(over_time["bytes"]), "dots"),
        )
        panels.append(Lines("Working set", series, Axis("token"), Axis("bytes", "bytes")))
    reads, distances = floats(table["accesses"]), floats(table["up_to_bytes"])
    most = int(reads.argmax())
    share, distance = float(reads[most] / reads.sum()), float(distances[most])
    return Chart(
        title=f"{say(share, 'share')} of what is read again comes after {say(distance / 2, 'bytes')} to "
        f"{say(distance, 'bytes')} of other weights.",
        subtitle="Reuse distance: bytes of different weights until the same one is read again. A cache under LRU saves "
        "the reads whose distance it has room for. A bar stands for distances from half of what it is named after.",
        panels=tuple(panels),
        row_height=3.2,
    )


def _thinned(table: pd.DataFrame) -> pd.DataFrame:
    """At most _MOST_POINTS rows, the first and the last among them."""
    keep = np.unique(np.linspace(0, len(table) - 1, min(len(table), _MOST_POINTS)).round().astype(int))
    return table.iloc[keep]


def miss_ratio_curves(source: Source) -> Chart:
    """Share of the bytes read that a cache of each size would not save, by policy."""
    answer, table = source.section("caching"), source.table("caching", "curves")
    labels = table.attrs["labels"]
    size = floats(table["cache_bytes"])
    series = [
        Series(labels[key], size, floats(table[key]), "dashes" if key in ("min_blocks", "bound") else "line")
        for key in labels
        if key != "cache_bytes" and table[key].notna().any()
    ]
    exact = answer.tables.get("block_curves")
    if exact is not None and not exact.empty:
        points = _thinned(exact)
        by_key = {"lru_blocks": "lru_read_share", "min_blocks": "min_read_share"}
        for i, one in enumerate(series):
            column = next((by_key[key] for key in by_key if labels.get(key) == one.name), None)
            if column in points:
                series[i] = Series(one.name, floats(points["cache_bytes"]), floats(points[column]), one.style)
    if not series:
        raise AbsentError("no weight was read twice, so there is nothing to save")
    return Chart(
        title=answer.headline,
        subtitle="Blocks: equal blocks of 64 KiB, exact at all sizes; no policy on them does better than MIN (Belady), "
        "which knows the future. The others are simulated on whole weights and experts' slices; there no cache goes "
        "below the bound.",
        panels=(
            Lines("", tuple(series), Axis("cache", "bytes"), Axis("miss ratio: share of the bytes read", "share")),
        ),
        row_height=6,
    )
