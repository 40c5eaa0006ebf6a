# SPDX-License-Identifier: MIT
"""Which experts were chosen: by token, by layer, and after which."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tat.plot.bins import TokenBins
from tat.plot.chart import AbsentError, Axis, Chart, Floats, Heat, check_room, finite_limits, steps
from tat.plot.source import Source
from tat.plot.units import say

_MOST_NUMBERS = 1_000_000
"""In all views of a page together: some ten megabytes."""


def _expert_axis(n_experts: int, label: str = "expert") -> Axis:
    return Axis(label, ticks=tuple((float(i), str(i)) for i in range(n_experts)))


def _token_expert(source: Source, chosen: pd.DataFrame, n_experts: int, bins: TokenBins, title: str) -> Heat:
    counts = np.zeros((n_experts, bins.count))
    np.add.at(counts, (chosen["expert"].to_numpy(), (chosen["position"].to_numpy() - bins.first) // bins.width), 1)
    # The last layer has choices of only those tokens whose output was asked for.
    tokens = np.bincount((np.unique(chosen["position"]) - bins.first) // bins.width, minlength=bins.count)
    values = np.where(tokens > 0, counts / np.maximum(tokens, 1), np.nan)
    return Heat(
        title=title,
        values=values,
        x_edges=bins.edges,
        y_edges=steps(n_experts),
        x=Axis(source.token_label),
        y=_expert_axis(n_experts),
        value=Axis("share of the tokens that chose it", "share"),
        limits=(0.0, max(1.0, finite_limits(values)[1])),
        column_names=bins.names,
    )


def _evenness(routing: pd.DataFrame, n_experts: int) -> pd.Series[float]:
    """Entropy of the choices of each layer, over the most that there can be."""
    counts = routing.groupby(["layer", "expert"]).size().unstack(fill_value=0).to_numpy(np.float64)
    share = counts / counts.sum(axis=1, keepdims=True)
    entropy = -(share * np.log(np.where(share > 0, share, 1))).sum(axis=1)
    return pd.Series(entropy / np.log(max(n_experts, 2)), index=sorted(routing["layer"].unique()))


def moe_expert_heatmap(source: Source) -> Chart:
    """Which experts each token chose, in one layer: that whose use is the least even. The others are a choice."""
    whole = source.routing()
    routing = whole[whole["position"] >= 0]
    if routing.empty:
        raise AbsentError("no token of a choice of experts was recorded")
    n_experts, bins = int(whole["expert"].max()) + 1, source.bins()
    check_room(n_experts, "experts")
    unplaced = len(whole) - len(routing)
    left_out = f" Left out: {unplaced:,} selections whose token was not recorded." if unplaced else ""
    evenness = _evenness(routing, n_experts)
    least = int(evenness.index[int(np.argmin(evenness.to_numpy()))])
    numbers = [least, *(int(one) for one in evenness.index if one != least)]
    if n_experts * bins.count * len(numbers) > _MOST_NUMBERS:
        numbers = numbers[:1]
    views = {}
    for layer in sorted(numbers):
        mine = routing[routing["layer"] == layer]
        views[f"layer {layer}"] = (_token_expert(source, mine, n_experts, bins, f"Layer {layer}"),)
    mine = routing[routing["layer"] == least]
    tokens = mine[["evaluation", "position"]].drop_duplicates()
    counts = np.bincount(mine["expert"].to_numpy(), minlength=n_experts)
    most = int(counts.argmax())
    of_all = f"the least even of {len(evenness)} layers, " if len(evenness) > 1 else ""
    never = int((counts == 0).sum())
    none = f"; {never} of {n_experts} experts {'was' if never == 1 else 'were'} never chosen" if never else ""
    return Chart(
        title=f"In layer {least}, {of_all}{say(counts[most] / len(tokens), 'share')} of {len(tokens):,} tokens chose "
        f"expert {most}{none}.",
        subtitle=f"{bins.say()}Prompt and generation. Normalised entropy of the layer's use: "
        f"{float(evenness[least]):.2f} (1: even use). Experts of the same number in other layers are "
        f"other weights, so layers are not added up; `--html` shows each. Grey: no choice of these tokens.{left_out}",
        panels=views.pop(f"layer {least}"),
        view=f"layer {least}",
        views=views,
        row_height=5 if n_experts < 64 else 8,
    )


def _layer_expert(routing: pd.DataFrame, numbers: list[int], n_experts: int, top: float) -> Heat:
    counts = np.zeros((len(numbers), n_experts))
    rows = np.searchsorted(numbers, routing["layer"].to_numpy())
    np.add.at(counts, (rows, routing["expert"].to_numpy()), 1)
    total = counts.sum(axis=1, keepdims=True)
    values = np.where(counts > 0, counts / np.maximum(total, 1), np.nan)
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
    counts = routing.groupby("layer").size()
    least, most = int(counts.min()), int(counts.max())
    choices = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    return Chart(
        title=source.section("experts").headline,
        subtitle=f"Prompt and generation: {choices} choices in each layer. With even use, each expert's share would be "
        f"{100 / n_experts:.3g} %. Grey: never chosen.",
        panels=(whole,),
        view="all phases",
        views=views if len(views) > 1 else {},
        row_height=7,
    )


_MOST_LAYERS = 6
"""In one picture of transitions."""
FEWEST = 10
"""Choices that a row of transitions must rest on to be drawn."""


def _transition(counts: Floats, layer: int, top: float) -> Heat:
    """Shares by row, of rows that rest on enough choices; how many is said beside each."""
    total = counts.sum(axis=1, keepdims=True)
    n_experts = len(counts)
    rows = tuple(f"{expert} ({int(n):,})" for expert, n in enumerate(total[:, 0]))
    return Heat(
        title=f"Layer {layer}",
        values=np.where(total >= FEWEST, counts / np.maximum(total, 1), np.nan),
        x_edges=steps(n_experts),
        y_edges=steps(n_experts),
        x=_expert_axis(n_experts, "next token's expert"),
        y=Axis("a token's expert (choices)", ticks=tuple((float(i), row) for i, row in enumerate(rows))),
        value=Axis("share", "share"),
        limits=(0.0, top),
        row_names=rows,
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
    values = np.concatenate([heat.values.ravel() for heat in shares])
    if not np.isfinite(values).any():
        raise AbsentError(f"no expert of a layer was followed by {FEWEST} choices: the run is too short")
    top = finite_limits(values, 0.002)[1]
    views = {f"layer {layer}": (_transition(matrix, layer, top),) for layer, matrix in counts.items()}
    all_of_them = [panels[0] for panels in views.values()]
    chosen = np.unique(np.linspace(0, len(views) - 1, min(_MOST_LAYERS, len(views))).round().astype(int))
    shown = tuple(all_of_them[i] for i in chosen)
    some = f"Shown: {len(shown)} of {len(views)} layers. " if len(shown) < len(views) else ""
    size = max(len(matrix) for matrix in counts.values())
    return Chart(
        title=_same_as_last(source),
        subtitle=f"{some}Each row shows, for tokens that chose this expert, which experts the next token chose; in "
        f"brackets, how many choices that were. Grey: fewer than {FEWEST}, which tell too little. If the next token's "
        "choice were independent, all rows of a layer would look the same, but for the luck of few choices. "
        f"With even use, each share would be {100 / size:.3g} %.",
        panels=shown,
        columns=min(3, len(shown)),
        view="some layers" if some else "all layers",
        views=views,
        width=15,
        row_height=4.2,
    )


def _same_as_last(source: Source) -> str:
    answer = source.section("experts")
    same, chance = answer.values.get("same_as_last_token"), answer.values.get("same_token_by_chance")
    if same is None or chance is None:
        return answer.headline
    pairs = answer.tables["overlap"]["token_pairs"].max() if "overlap" in answer.tables else 0
    of = f" ({int(pairs):,} pairs of tokens in a layer)" if pairs else ""
    words = f"{say(same, 'share')} of a token's experts were also chosen for the token before{of}"
    return f"{words}; random choices would give {say(chance, 'share')}."
