# SPDX-License-Identifier: MIT
"""Tokens against layers and against tensors: bytes touched, and time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tat.plot.bins import TokenBins
from tat.plot.chart import AbsentError, Axis, Chart, Floats, Heat, check_room, finite_limits, steps
from tat.plot.source import Matrix, Source
from tat.plot.typical import Typical
from tat.plot.units import Unit, say

SHARED = "The tokens of a prompt share each pass over the weights; each token counts an even part of it."
CLIP = 0.01
"""Share of the values that may lie beyond a scale of times: one page fault would make all else pale."""
_MOST_ROWS = 600
_ENOUGH = 20
"""Tokens of which a tenth is said."""


def rows_of(matrix: Matrix, source: Source, bins: TokenBins, phase: str = "") -> Floats:
    """Values a token, rows by columns of tokens; NaN in columns that no evaluation (of the phase) computed."""
    chosen = source.of_phase(phase)
    first, count = source.first[chosen], source.count[chosen]
    return bins.means(bins.totals(matrix.values[chosen], first, count), source.computed(bins, phase))


def is_flat(values: Floats, generated: NDArray[np.bool_]) -> bool:
    """Each row has (to 2 %) the same value in all columns of generated tokens: a picture would have nothing to tell."""
    known = values[:, generated] if generated.any() else values
    known = known[:, np.isfinite(known).all(axis=0)]
    if known.size == 0:
        return True
    spread = known.max(axis=1) - known.min(axis=1)
    return bool((spread <= 0.02 * np.maximum(known.mean(axis=1), 1e-12)).all())


def time_limits(rows: Floats) -> tuple[float, float]:
    """From 0 to twice what the slowest rows typically take, or less: what a busy machine delays goes beyond."""
    with np.errstate(all="ignore"):
        known = rows[np.isfinite(rows).any(axis=1)]
        typical = np.nanmedian(known, axis=1) if known.size else np.zeros(1)
    top = min(finite_limits(rows, CLIP)[1], 2 * float(np.quantile(typical, 1 - CLIP)))
    return (0.0, top if top > 0 else finite_limits(rows, CLIP)[1])


def _layer_heat(source: Source, value: str, bins: TokenBins, phase: str = "") -> Heat:
    matrix = source.matrix("layer", value)
    order = np.argsort([np.inf if np.isnan(layer) else layer for layer in matrix.layers], kind="stable")
    check_room(len(order), "layers")
    names = ["none" if np.isnan(matrix.layers[i]) else f"{matrix.layers[i]:.0f}" for i in order]
    values = rows_of(matrix, source, bins, phase)[order]
    inside = np.array([name != "none" for name in names])
    measured = values[inside] if inside.any() else values
    unit: Unit = "bytes" if value == "bytes" else "ns"
    label = "bytes touched per token" if value == "bytes" else "time per token"
    return Heat(
        title="Bytes touched: weights, KV cache, activations" if value == "bytes" else "Time of thread 0",
        values=values,
        x_edges=bins.edges,
        y_edges=steps(len(names)),
        x=Axis(source.token_label),
        y=Axis("layer", ticks=tuple((float(i), name) for i, name in enumerate(names))),
        value=Axis(label, unit),
        limits=finite_limits(measured) if value == "bytes" else time_limits(measured),
        row_names=tuple(names),
        column_names=bins.names,
    )


def _flat_bytes(source: Source, heat: Heat, bins: TokenBins) -> str:
    """A sentence where all generated tokens touch as many bytes in a layer, which a picture need not say; else ""."""
    generated = source.generated(bins)
    inside = np.array([name != "none" for name in heat.row_names])
    if not generated.any() or not inside.any() or not is_flat(heat.values[inside], generated):
        return ""
    each = np.nanmean(heat.values[inside][:, generated], axis=1)
    low, high = say(float(each.min()), "bytes"), say(float(each.max()), "bytes")
    return f"Each generated token touches {low if low == high else f'{low} to {high}'} in each layer (to 2 %). "


def _spread(source: Source) -> str:
    """How the times of tokens differ, as the section on phases has it: from the beginning of a graph to its end. Which
    layer is slow is said by the plot of layers."""
    typical = Typical.of(source)
    pace = source.table("phases", "pace").set_index("phase")
    if typical.phase not in pace.index:
        return source.section("layers").headline
    graphs = pace.loc[typical.phase].to_dict()
    half, most = (say(float(graphs[key]), "ns") for key in ("p50_ns", "p90_ns"))
    tail = f", the slowest tenth {most} or more" if graphs["evaluations"] >= _ENOUGH else ""
    return f"The median {typical.word} takes {half}{tail}."


def token_layer(source: Source) -> Chart:
    """What each token touched in each layer, and how long that took."""
    bins = source.bins()
    flat = _flat_bytes(source, _layer_heat(source, "bytes", bins), bins)
    shown = ("ns",) if flat else ("bytes", "ns")
    views = {phase: tuple(_layer_heat(source, v, bins, phase) for v in shown) for phase in source.phases}
    panels = tuple(_layer_heat(source, value, bins) for value in shown)
    notes = f"{bins.say()}{flat}{SHARED} "
    notes += (
        'The row "none" is what belongs to no layer: token embedding, final norm, output. '
        "Colour scales cover the layers; an arrow marks values beyond the scale."
    )
    return Chart(
        title=_spread(source),
        subtitle=notes,
        panels=panels,
        view="all phases",
        views=views if len(views) > 1 else {},
        row_height=3.6,
    )


def _tensor_ticks(layers: Floats, names: list[str]) -> tuple[tuple[float, str], ...]:
    """All names where there is room for them, else where layers begin."""
    if len(names) <= 40:
        return tuple((float(i), name) for i, name in enumerate(names))
    begins = np.flatnonzero(np.diff(np.nan_to_num(layers, nan=-1), prepend=-2))
    return tuple((float(i), "no layer" if np.isnan(layers[i]) else f"layer {layers[i]:.0f}") for i in begins)


def token_tensor(source: Source) -> Chart:
    """What each token touched of each weight; time, where the number of bytes is the same for all."""
    matrix = source.matrix("tensor", "bytes")
    matrix = matrix.only((matrix.kinds == "weight") & (matrix.values.sum(axis=0) > 0))
    if not matrix.names:
        raise AbsentError("neither the prompt nor generation touched a weight")
    bins = source.bins()
    flat = is_flat(rows_of(matrix, source, bins), source.generated(bins))
    if flat:
        times = source.matrix("tensor", "ns")
        matrix = times.only(np.isin(times.ids, matrix.ids))
    order = np.lexsort((matrix.ids, np.nan_to_num(matrix.layers, nan=np.inf)))
    matrix = matrix.only(order)
    views = {
        component: (_tensor_heat(matrix.only(matrix.components == component), source, bins, flat),)
        for component in sorted(set(matrix.components))
    }
    notes = f"{bins.say()}{SHARED}"
    if flat:
        typical = Typical.of(source)
        share = typical.shares(matrix)
        slowest = int(share.argmax())
        title = (
            f"{matrix.names[slowest]} takes the most time of all weights: {say(share[slowest], 'share')} of what they "
            f"take in the median {typical.word}."
        )
        notes = (
            "All generated tokens touch the same number of bytes of each weight (to 2 %), so this shows time; an arrow "
            "marks values beyond the scale. "
            f"The bytes themselves may differ: other rows of the embedding, other experts. {notes}"
        )
    else:
        values, generated = rows_of(matrix, source, bins), source.generated(bins)
        differ = sum(not is_flat(row[None], generated) for row in values)
        title = f"Tokens differ in the number of bytes that they touch of {differ:,} of {len(values):,} weights."
    return Chart(
        title=title,
        subtitle=notes,
        panels=(_tensor_heat(matrix, source, bins, flat),),
        view="all weights",
        views=views if len(views) > 1 else {},
        row_height=8,
    )


def _tensor_heat(matrix: Matrix, source: Source, bins: TokenBins, flat: bool) -> Heat:
    values, names, layers = rows_of(matrix, source, bins), list(matrix.names), matrix.layers
    together = -(-len(names) // _MOST_ROWS)
    title = "Weights, by layer"
    if together > 1:
        starts = np.arange(0, len(names), together)
        values, layers = np.add.reduceat(values, starts, axis=0), layers[starts]
        names = [names[i] for i in starts]
        title += f"; each row is the sum of {together} weights"
    return Heat(
        title=title,
        values=values,
        x_edges=bins.edges,
        y_edges=steps(len(names)),
        x=Axis(source.token_label),
        y=Axis("weight", ticks=_tensor_ticks(layers, names)),
        value=Axis("time per token" if flat else "bytes touched per token", "ns" if flat else "bytes"),
        limits=time_limits(values) if flat else finite_limits(values, CLIP),
        row_names=tuple(names),
        column_names=bins.names,
    )
