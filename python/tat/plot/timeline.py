# SPDX-License-Identifier: MIT
"""Where in the model file weights are read, over the run and within one token."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tat.plot.bins import TokenBins
from tat.plot.chart import AbsentError, Axis, Chart, Heat, Panel, Points, finite_limits, floats
from tat.plot.heatmaps import is_flat
from tat.plot.places import Places, Reads, by_file, by_use, spread
from tat.plot.source import Source

_ROWS = 256
_MOST_POINTS = 20_000


def _whole_run(source: Source, axes: list[Places], weights: NDArray[np.bool_], bins: TokenBins) -> list[Heat]:
    sums = [np.zeros((_ROWS, bins.count)) for _ in axes]
    for chosen, reads in source.records(np.arange(len(source.numbers)), weights):
        group = np.searchsorted(source.numbers[chosen], reads["evaluation"])
        for places, total in zip(axes, sums, strict=True):
            low, high = places.spans(source, reads)
            known = np.isfinite(low)
            shape = (len(chosen), _ROWS)
            spans, sizes = (low[known], high[known]), floats(reads["bytes"][known])
            parts = spread(places.end, spans, sizes, group[known], shape)
            np.add(total, bins.totals(parts, source.first[chosen], source.count[chosen]), out=total)
    shares = [
        bins.means(total, source.computed(bins)) * _ROWS / places.end for places, total in zip(axes, sums, strict=True)
    ]
    top = max(1.0, *(finite_limits(one)[1] for one in shares))
    return [
        Heat(
            title=f"{places.title}: whole run",
            values=np.where(one == 0, np.nan, one),
            x_edges=bins.edges,
            y_edges=np.linspace(0, places.end, _ROWS + 1),
            x=Axis(source.token_label),
            y=Axis(places.label, "bytes"),
            value=Axis(f"share of each of {_ROWS} parts that a token reads", "share"),
            limits=(0.0, top),
            column_names=bins.names,
        )
        for places, one in zip(axes, shares, strict=True)
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
    weights = source.file_weights
    middle = source.middle()
    some = np.unique([0, middle, len(source.numbers) - 1])
    reads = np.concatenate([piece for _, piece in source.records(some, weights)])
    if not len(reads):
        raise AbsentError("no weight of a model file was read")
    axes = [by_file(source), by_use(source, reads)]
    bins = source.bins()
    runs = _whole_run(source, axes, weights, bins)
    token = reads[reads["evaluation"] == source.numbers[middle]][:_MOST_POINTS]
    first, count = int(source.first[middle]), int(source.count[middle])
    what = f"token {first}" if count == 1 else f"tokens {first} to {first + count - 1}"
    by_read = [_one_token(source, places, token, what) for places in axes]
    notes = f"{what[0].upper()}{what[1:]}: each read is drawn from its first byte to its last."
    if all(is_flat(np.nan_to_num(run.values), source.generated(bins)) for run in runs):
        panels: list[Panel] = [*by_read]
        notes = f"All generated tokens read the same parts of the file. {notes}"
    else:
        panels = [panel for both in zip(runs, by_read, strict=True) for panel in both]
        notes = f"{bins.say()}Whole run: grey parts were not read. {notes}"
    return Chart(
        title=source.headline("tokens", "order"),
        subtitle=f"{notes} Weights that were copied at load time are shown at their place in the file.",
        panels=tuple(panels),
        columns=2,
        width=15,
        row_height=4.6,
    )
