# SPDX-License-Identifier: MIT
"""Which experts were chosen: by token, by layer, and after which."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tat.plot.bins import TokenBins
from tat.plot.chart import Axis, Chart, Floats, Heat, check_room, finite_limits, steps
from tat.plot.source import Source
from tat.plot.units import say

_MOST_NUMBERS = 1_000_000
"""In all views of a page together: some ten megabytes."""


def _expert_axis(n_experts: int, label: str = "expert") -> Axis:
    return Axis(label, ticks=tuple((float(i), str(i)) for i in range(n_experts)))


def _token_expert(source: Source, chosen: pd.DataFrame, n_experts: int, bins: TokenBins, title: str) -> Heat:
    column = (chosen["position"].to_numpy() - bins.first) // bins.width
    counts = np.zeros((n_experts, bins.count))
    np.add.at(counts, (chosen["expert"].to_numpy(), column), 1)
    tokens = np.minimum(bins.width, bins.last - bins.edges[:-1])
    values = np.where(source.computed(bins) > 0, counts / tokens, np.nan)
    return Heat(
        title=title,
        values=values,
        x_edges=bins.edges,
        y_edges=steps(n_experts),
        x=Axis(source.token_label),
        y=_expert_axis(n_experts),
        value=Axis("selections per token", "count"),
        limits=finite_limits(values),
        column_names=bins.names,
    )


def moe_expert_heatmap(source: Source) -> Chart:
    """How often each token chose each expert, over all layers."""
    whole = source.routing()
    routing = whole[whole["position"] >= 0]
    n_experts, bins = int(whole["expert"].max()) + 1, source.bins()
    check_room(n_experts, "experts")
    unplaced = len(whole) - len(routing)
    left_out = f" Left out: {unplaced:,} selections whose token was not recorded." if unplaced else ""
    numbers = sorted(routing["layer"].unique())
    views = {}
    if n_experts * bins.count * len(numbers) <= _MOST_NUMBERS:
        for layer in numbers:
            mine = routing[routing["layer"] == layer]
            views[f"layer {layer}"] = (_token_expert(source, mine, n_experts, bins, f"Layer {layer}"),)
    title = f"Sum over {len(numbers)} layers"
    return Chart(
        title=source.section("experts").headline,
        subtitle=f"{bins.say()}Selections per token, without warm-up. Experts with the same number in different layers "
        f"are unrelated.{left_out}",
        panels=(_token_expert(source, routing, n_experts, bins, title),),
        view="all layers",
        views=views,
        row_height=5 if n_experts < 64 else 8,
    )


def _layer_expert(routing: pd.DataFrame, numbers: list[int], n_experts: int, top: float) -> Heat:
    counts = np.zeros((len(numbers), n_experts))
    rows = np.searchsorted(numbers, routing["layer"].to_numpy())
    np.add.at(counts, (rows, routing["expert"].to_numpy()), 1)
    total = counts.sum(axis=1, keepdims=True)
    values = np.where(total > 0, counts / np.maximum(total, 1), np.nan)
    return Heat(
        title="",
        values=values,
        x_edges=steps(n_experts),
        y_edges=steps(len(numbers)),
        x=_expert_axis(n_experts),
        y=Axis("layer", ticks=tuple((float(i), str(layer)) for i, layer in enumerate(numbers))),
        row_names=tuple(map(str, numbers)),
        value=Axis("share of the layer's selections", "share"),
        limits=(0.0, top or finite_limits(values)[1]),
    )


def layer_expert(source: Source) -> Chart:
    """Each expert's share of its layer's selections."""
    routing = source.routing()
    numbers, n_experts = sorted(routing["layer"].unique()), int(routing["expert"].max()) + 1
    check_room(max(n_experts, len(numbers)), "experts or layers")
    whole = _layer_expert(routing, numbers, n_experts, 0)
    views = {
        phase: (_layer_expert(routing[routing["phase"] == phase], numbers, n_experts, whole.limits[1]),)
        for phase in source.phases
    }
    return Chart(
        title=source.section("experts").headline,
        subtitle=f"Prompt and generation. With even use, each expert's share would be {100 / n_experts:.3g} %.",
        panels=(whole,),
        view="all phases",
        views=views if len(views) > 1 else {},
        row_height=7,
    )


_MOST_LAYERS = 12
"""In one picture of transitions."""


def _transition(counts: Floats, layer: int, top: float) -> Heat:
    total = counts.sum(axis=1, keepdims=True)
    n_experts = len(counts)
    return Heat(
        title=f"Layer {layer}",
        values=np.where(total > 0, counts / np.maximum(total, 1), np.nan),
        x_edges=steps(n_experts),
        y_edges=steps(n_experts),
        x=_expert_axis(n_experts, "next token's expert"),
        y=_expert_axis(n_experts, "a token's expert"),
        value=Axis("share", "share"),
        limits=(0.0, top),
    )


def transitions(source: Source) -> Chart:
    """Which expert the next token goes to, by layer and this token's expert."""
    source.routing()
    table = source.table("experts", "transition_counts")
    counts = {}
    for layer in sorted(set(table["layer"].astype(int))):
        rows = table[table["layer"] == layer]
        size = max(*map(len, rows["counts"]), int(rows["from"].max()) + 1)
        check_room(size, "experts")
        matrix = np.zeros((size, size))
        for expert, row in zip(rows["from"].astype(int), rows["counts"], strict=True):
            matrix[expert, : len(row)] = row
        counts[layer] = matrix
    shares = [_transition(matrix, layer, 1.0) for layer, matrix in counts.items()]
    top = finite_limits(np.concatenate([heat.values.ravel() for heat in shares]), 0.002)[1]
    views = {f"layer {layer}": (_transition(matrix, layer, top),) for layer, matrix in counts.items()}
    all_of_them = [panels[0] for panels in views.values()]
    chosen = np.unique(np.linspace(0, len(views) - 1, min(_MOST_LAYERS, len(views))).round().astype(int))
    shown = tuple(all_of_them[i] for i in chosen)
    some = f"Shown: {len(shown)} of {len(views)} layers. " if len(shown) < len(views) else ""
    size = max(len(matrix) for matrix in counts.values())
    return Chart(
        title=_same_as_last(source),
        subtitle=f"{some}Each row shows, for tokens that chose this expert, which experts the next token chose. If the "
        "next token's choice were independent, all rows of a layer would look the same. An even share is "
        f"{100 / size:.3g} %.",
        panels=shown,
        columns=min(4, len(shown)),
        view="some layers" if some else "all layers",
        views=views,
        width=15,
        row_height=3.6,
    )


def _same_as_last(source: Source) -> str:
    values = source.section("experts").values
    same, chance = values.get("same_as_last_token"), values.get("same_token_by_chance")
    if same is None or chance is None:
        return source.section("experts").headline
    words = f"{say(same, 'share')} of a token's experts were also chosen for the token before"
    return f"{words}; random choices would give {say(chance, 'share')}."
