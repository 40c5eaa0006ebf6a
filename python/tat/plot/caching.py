# SPDX-License-Identifier: MIT
"""What a cache of the weights would save."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from tat.plot.chart import AbsentError, Axis, Bars, Chart, Lines, Series, floats
from tat.plot.source import Source
from tat.plot.units import say, say_bytes

_FAMILIAR = ("lru", "lfu", "s3fifo", "frequency")
"""Policies that the curves always show; of the others only the best, so that lines can be told apart."""
_APART = 0.002
"""Miss ratios that differ by less are the same line to the eye."""


_STEPS = 4
"""Bins between one power of two and the next, as the section makes them."""


def _step(bound: int) -> int:
    """How wide the bin is that ends there."""
    return max(1, 1 << max(0, (bound - 1).bit_length() - 1)) // _STEPS or 1


def bins_of(bounds: list[int]) -> list[tuple[int, int]]:
    """From where to where each bin goes, from the first of those with reads to the last, the empty ones between too."""
    out = [(bounds[0] - _step(bounds[0]), bounds[0])]
    while out[-1][1] < bounds[-1]:
        end = out[-1][1]
        out.append((end, end + _step(end + 1)))
    return out


def _distances(table: pd.DataFrame) -> Bars:
    bounds = [int(bound) for bound in table["up_to_bytes"]]
    reads = dict(zip(bounds, floats(table["accesses"]), strict=True))
    bins = bins_of(bounds)
    names = tuple(say_bytes(float(low), float(high)) for low, high in bins)
    shown = floats([reads.get(high, 0.0) for _, high in bins])
    return Bars("Reads", names, (("reads", shown),), Axis("reuse distance"), Axis("reads", "count"))


def _when_read_again(table: pd.DataFrame) -> str:
    share, bounds = floats(table["share_up_to"]), [int(bound) for bound in table["up_to_bytes"]]
    if len(bounds) == 1:
        return f"All repeated reads come after {say_bytes(*map(float, bins_of(bounds)[0]))} of other weights."
    half = bounds[int(np.searchsorted(share, 0.5))]
    return (
        f"Half of the repeated reads come within {say(float(half), 'bytes')} of other weights, all of them within "
        f"{say(float(bounds[-1]), 'bytes')}."
    )


def _working_set(over_time: pd.DataFrame) -> tuple[Lines | None, str]:
    """The bytes that a run comes to need, as a panel or, where all graphs need the same, as a sentence."""
    token, all_of_them = floats(over_time["token"]), floats(over_time["unique_bytes"])
    each = floats(over_time["bytes"])
    if all_of_them[-1] <= 1.005 * all_of_them[0] and each.max() <= 1.02 * each.min():
        return None, f" Each graph reads the same {say(all_of_them[-1], 'bytes')}: that is the working set."
    series = (
        Series("different bytes read so far", token, all_of_them, "steps"),
        Series("bytes read by each graph", token, each, "steps"),
    )
    return Lines("Working set", series, Axis("token"), Axis("bytes", "bytes")), ""


def reuse_distance(source: Source) -> Chart:
    """Bytes of other weights between two reads of the same one, and the bytes that a run comes to need."""
    table = source.table("caching", "reuse_distances")
    tables = source.section("caching").tables
    panels: list[Bars | Lines] = [_distances(table)] if len(table) > 1 else []
    within = np.concatenate([[0.0], floats(table["share_up_to"])])
    reached = Series("", np.concatenate([[0.0], floats(table["up_to_bytes"])]), within, "steps")
    share_axis = Axis("share of the reads", "share")
    panels.append(Lines("Read again within this distance", (reached,), Axis("reuse distance", "bytes"), share_axis))
    words = ""
    if "over_time" in tables and not tables["over_time"].empty:
        panel, words = _working_set(tables["over_time"])
        panels += [panel] if panel else []
    return Chart(
        title=_when_read_again(table),
        subtitle="Reuse distance: bytes of different weights, including the weight itself, before it is read "
        f"again. An LRU cache saves the reads whose reuse distance fits in it.{words}",
        panels=tuple(panels),
        row_height=3.2 if len(panels) > 1 else 4,
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


def _one_for_each_line(series: list[Series]) -> list[Series]:
    """Series that would hide each other, as one with all their names."""
    out: list[Series] = []
    for one in series:
        for i, other in enumerate(out):
            if other.style == one.style and np.allclose(other.y, one.y, atol=_APART, rtol=0, equal_nan=True):
                out[i] = replace(one, name=f"{other.name} / {one.name}")
                break
        else:
            out.append(one)
    return out


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
    lines = tuple(_one_for_each_line(series))
    return Chart(
        title=answer.headline,
        subtitle=f"Every cache keeps {answer.values['unit']}. Dashed: policies that know more than the past. No "
        "policy reads less than MIN (Belady), which knows the future. Of the online policies, the familiar ones and "
        "the best one are shown.",
        panels=(Lines("", lines, Axis("cache", "bytes"), Axis("share of the wanted bytes that is read", "share")),),
        row_height=6,
    )
