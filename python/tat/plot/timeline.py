# SPDX-License-Identifier: MIT
"""Where in the model file weights are read, over the run and within one token."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tat.plot.bins import TokenBins
from tat.plot.chart import AbsentError, Axis, Chart, Floats, Heat, Points, finite_limits, floats
from tat.plot.source import Source

Reads = NDArray[np.void]

_ROWS = 256
_MOST_POINTS = 20_000


@dataclass(frozen=True, eq=False)
class Places:
    """Where tensors are on an axis of bytes: in the files, one after the other, or in the order of first use."""

    title: str
    label: str
    shift: Floats
    """By tensor_id: what is added to an offset in its file; NaN where the tensor has no place."""
    end: float

    def spans(self, source: Source, reads: Reads) -> tuple[Floats, Floats]:
        """Begin and end of each read."""
        low = self.shift[reads["tensor"]] + reads["offset"]
        return low, low + source.extents(reads)


def _by_file(source: Source) -> Places:
    sizes = [float(file["bytes"]) for file in source.section("run").values.get("model_files", [])]
    before = np.array([np.nan, *(np.cumsum(sizes) - sizes)])
    number = source.tensors["file"].fillna(0).to_numpy(np.int64)
    shift = np.where(number < len(before), before[np.minimum(number, len(before) - 1)], np.nan)
    label = "offset in the model file" if len(sizes) < 2 else f"offset in the {len(sizes)} model files"
    return Places("In the order of the file", label, shift, sum(sizes))


def _by_use(source: Source, reads: Reads) -> Places:
    """What is read first comes first; what is never read has no place."""
    ids, at = np.unique(reads["tensor"], return_index=True)
    order = ids[np.argsort(at, kind="stable")]
    sizes = floats(source.tensors["bytes"].to_numpy())[order]
    begins = floats(source.tensors["file_offset"].astype("Float64").to_numpy(na_value=np.nan))[order]
    shift = np.full(len(source.tensors), np.nan)
    shift[order] = np.cumsum(sizes) - sizes - begins
    return Places("In the order of first use", "weights, by first use", shift, float(sizes.sum()))


def spread(low: Floats, high: Floats, amount: Floats, group: NDArray[np.int64], groups: int, end: float) -> Floats:
    """Amounts, each spread evenly over [low, high), summed in _ROWS equal parts of [0, end), by group.

    An array of `groups` by _ROWS; the sum of all is the sum of the amounts.
    """
    size = end / _ROWS
    first = np.clip((low / size).astype(np.int64), 0, _ROWS - 1)
    last = np.clip(np.ceil(high / size).astype(np.int64) - 1, first, _ROWS - 1)
    pieces = last - first + 1
    of = np.repeat(np.arange(len(low)), pieces)
    row = first[of] + np.arange(len(of)) - (np.cumsum(pieces) - pieces)[of]
    inside = np.minimum(high[of], (row + 1) * size) - np.maximum(low[of], row * size)
    share = np.where(pieces[of] == 1, 1.0, inside / np.maximum(high - low, 1.0)[of])
    return np.bincount(group[of] * _ROWS + row, amount[of] * share, groups * _ROWS).reshape(groups, _ROWS)


def _whole_run(source: Source, axes: list[Places], weights: NDArray[np.bool_], bins: TokenBins) -> list[Heat]:
    sums = [np.zeros((_ROWS, bins.count)) for _ in axes]
    for chosen, reads in source.records(np.arange(len(source.numbers)), weights):
        group = np.searchsorted(source.numbers[chosen], reads["evaluation"])
        for places, total in zip(axes, sums, strict=True):
            low, high = places.spans(source, reads)
            known = np.isfinite(low)
            parts = spread(
                low[known], high[known], floats(reads["bytes"][known]), group[known], len(chosen), places.end
            )
            total += bins.totals(parts, source.first[chosen], source.count[chosen])
    values = [bins.means(total, source.computed(bins)) for total in sums]
    top = max(finite_limits(one)[1] for one in values)
    return [
        Heat(
            title=f"{places.title}: the run",
            values=np.where(one == 0, np.nan, one),
            x_edges=bins.edges,
            y_edges=np.linspace(0, places.end, _ROWS + 1),
            x=Axis(source.token_label),
            y=Axis(places.label, "bytes"),
            value=Axis(f"bytes read per token, in each of {_ROWS} parts", "bytes"),
            limits=(0.0, top),
            colours="viridis",
            column_names=bins.names,
        )
        for places, one in zip(axes, values, strict=True)
    ]


def _one_token(source: Source, places: Places, reads: Reads, what: str) -> Points:
    low, high = places.spans(source, reads)
    layer = np.where(reads["layer"] == 0xFFFF, np.nan, reads["layer"].astype(np.float64))
    return Points(
        title=f"{places.title}: {what}",
        px=np.arange(len(reads), dtype=np.float64),
        py=low,
        py_end=high,
        pc=layer,
        x=Axis("read of a weight, in order", "count"),
        y=Axis(places.label, "bytes"),
        value=Axis("layer"),
        end=places.end,
        texts=tuple(source.tensors["tensor"].astype(str).to_numpy()[reads["tensor"]]),
    )


def timeline_offset(source: Source) -> Chart:
    """Offsets read over the run, and read by read in one token; in the order of the file and of first use."""
    weights = (source.tensors["kind"] == "weight").to_numpy() & source.tensors["file"].notna().to_numpy()
    middle = source.middle()
    some = np.unique([0, middle, len(source.numbers) - 1])
    reads = np.concatenate([piece for _, piece in source.records(some, weights)])
    if not len(reads):
        raise AbsentError("no weight of a model file was read")
    axes = [_by_file(source), _by_use(source, reads)]
    bins = source.bins()
    runs = _whole_run(source, axes, weights, bins)
    token = reads[reads["evaluation"] == source.numbers[middle]][:_MOST_POINTS]
    first, count = int(source.first[middle]), int(source.count[middle])
    what = f"token {first}" if count == 1 else f"tokens {first} to {first + count - 1}"
    panels = [panel for run, places in zip(runs, axes, strict=True) for panel in (run, _one_token(source, places, token, what))]
    return Chart(
        title=source.headline("order", "tokens"),
        subtitle=f"{bins.say()}Left the whole run, right the weights that {what} read, each a stroke from its first byte to "
        "its last; grey: nothing read. Weights that were copied when they were loaded stand where they came from.",
        panels=tuple(panels),
        columns=2,
        width=15,
        row_height=4.6,
    )
