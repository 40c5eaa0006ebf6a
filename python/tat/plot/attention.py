# SPDX-License-Identifier: MIT
"""Attention: bytes by head, the order of Q, K, V and O, and the growth of the KV cache."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tat.plot.chart import AbsentError, Axis, Bars, Chart, Floats, Heat, Lines, Series, check_room, floats, steps
from tat.plot.source import Source
from tat.plot.units import say

_PARTS = {
    "q_weights": "Q weights",
    "output_weights": "output weights",
    "k_weights": "K weights",
    "v_weights": "V weights",
    "k_cache_read": "K cache read",
    "v_cache_read": "V cache read",
    "k_cache_written": "K cache written",
    "v_cache_written": "V cache written",
}
_QUERY = ("q_weights", "output_weights")


def _by_head(table: pd.DataFrame) -> dict[str, Floats]:
    """Bytes of each part by head, summed over the layers of the table."""
    sums: dict[str, Floats] = {}
    for part, rows in table.groupby("part", sort=False):
        total = np.zeros(max(map(len, rows["bytes"])))
        for values in rows["bytes"]:
            total[: len(values)] += floats(values)
        sums[str(part)] = total
    return sums


def _one_of_all(sums: dict[str, Floats]) -> Bars:
    """What one head touches, where all heads of each part touch as much."""
    each = floats([values[0] for values in sums.values()])
    return Bars(
        title="",
        labels=tuple(_PARTS.get(part, part) for part in sums),
        series=(("bytes of one head", each),),
        label=Axis("part"),
        value=Axis("bytes of one head", "bytes"),
        horizontal=True,
        texts=tuple(
            f"{say(values[0], 'bytes')}, {say(values.sum(), 'bytes')} by all {len(values)} "
            f"{'query' if part in _QUERY else 'KV'} heads"
            for part, values in sums.items()
        ),
    )


def _by_each(sums: dict[str, Floats]) -> tuple[Bars, ...]:
    panels = []
    for title, parts in (
        ("Query heads", [part for part in sums if part in _QUERY]),
        ("KV heads", [part for part in sums if part not in _QUERY]),
    ):
        if parts:
            heads = max(len(sums[part]) for part in parts)
            series = tuple((_PARTS.get(p, p), np.pad(sums[p], (0, heads - len(sums[p])))) for p in parts)
            labels = tuple(map(str, range(heads)))
            panels.append(Bars(title, labels, series, Axis("head"), Axis("bytes", "bytes"), stacked=True))
    return tuple(panels)


def _are_alike(sums: dict[str, Floats]) -> bool:
    return all(np.allclose(values, values[0], rtol=1e-6) for values in sums.values())


def _heads(table: pd.DataFrame) -> tuple[Bars, ...]:
    sums = _by_head(table)
    return (_one_of_all(sums),) if _are_alike(sums) else _by_each(sums)


def _layers_differ(table: pd.DataFrame) -> bool:
    """Whether a part has other bytes in some layers than in others."""
    return bool(table.assign(bytes=table["bytes"].map(tuple)).groupby("part")["bytes"].nunique().max() > 1)


def attention_heads(source: Source) -> Chart:
    """What each head of attention reads and writes for one token."""
    table, sharing = source.table("attention", "head_bytes"), source.table("attention", "sharing")
    groups = sorted({(int(h), int(kv)) for h, kv in zip(sharing["heads"], sharing["kv_heads"], strict=True)})
    words = [
        f"{kv} KV heads serve {heads} query heads, {heads / kv:g} each"
        if kv < heads
        else f"{heads} query heads have a KV head each"
        for heads, kv in groups
        if kv
    ]
    n_layers = table["layer"].nunique()
    check_room(max(map(len, table["bytes"]), default=0), "heads")
    panels = _heads(table)
    alike = " Heads of a kind touch equally many bytes." if _are_alike(_by_head(table)) else ""
    together = f"in {n_layers} layers together" if n_layers > 1 else "in the only layer of attention"
    return Chart(
        title=f"In each layer {'; in others '.join(words)}.{alike}" if words else source.section("attention").headline,
        subtitle=f"Bytes for the last token of the run, {together}. A query head owns rows of the Q weights and "
        "columns of the output weights. A KV head owns rows of the K and V weights and part of the cache.",
        panels=panels,
        view="all layers",
        views={f"layer {layer}": _heads(rows) for layer, rows in table.groupby("layer")}
        if _layers_differ(table)
        else {},
        row_height=3.6,
    )


def ranges(numbers: list[int]) -> str:
    """Numbers as people list them: "0 to 3, 5"."""
    out = []
    for run in np.split(floats(numbers), np.flatnonzero(np.diff(numbers) != 1) + 1):
        first, last = int(run[0]), int(run[-1])
        out.append(f"{first}" if first == last else f"{first}, {last}" if last == first + 1 else f"{first} to {last}")
    return ", ".join(out)


def _orders(table: pd.DataFrame) -> dict[tuple[str, ...], list[int]]:
    """Layers by the order of their steps; that of the most layers first."""
    found: dict[tuple[str, ...], list[int]] = {}
    for layer, rows in table.sort_values("step", kind="stable").groupby("layer"):
        kinds = tuple(f"{part} {access}" for part, access in zip(rows["part"], rows["access"], strict=True))
        found.setdefault(kinds, []).append(int(str(layer)))
    return dict(sorted(found.items(), key=lambda one: -len(one[1])))


def qkv_order(source: Source) -> Chart:
    """In which order layers read Q, K, V and O and their part of the cache: a row for each order."""
    table = source.table("attention", "order_steps")
    orders = _orders(table)
    names = tuple(dict.fromkeys(kind for order in orders for kind in order))
    longest, n_layers = max(map(len, orders)), int(table["layer"].nunique())
    check_room(max(len(orders), longest), "orders or steps")
    values = np.full((len(orders), longest), np.nan)
    for row, order in enumerate(orders):
        values[row, : len(order)] = [names.index(kind) for kind in order]
    rows = tuple(ranges(layers) for layers in orders.values())
    if len(orders) > 1:
        title = f"Layers differ in the order of attention: {len(orders)} orders in {n_layers} layers."
    else:
        who = f"All {n_layers} layers of attention keep" if n_layers > 1 else "The only layer of attention keeps"
        title = f"{who} one order: {' → '.join(next(iter(orders)))}."
    return Chart(
        title=title,
        subtitle="The order in which a generated token touches the weights and the cache of attention. Each row is an "
        "order, with the layers that use it.",
        panels=(
            Heat(
                title="",
                values=values,
                x_edges=steps(values.shape[1], 0.5),
                y_edges=steps(len(orders)),
                x=Axis("step", "count"),
                y=Axis("layers", ticks=tuple((float(i), row) for i, row in enumerate(rows))),
                value=Axis("step"),
                names=names,
                row_names=rows,
            ),
        ),
        row_height=min(6.0, 1.2 + 0.6 * len(orders)),
    )


def _spans(name: str, rows: pd.DataFrame, values: Floats) -> Series:
    """A level for the tokens of each row. Nothing joins different phases, or tokens that do not follow."""
    begin, phase = floats(rows["token"]), rows["phase"].astype(str).to_numpy()
    end = begin + floats(rows["tokens"])
    apart = np.flatnonzero((begin[1:] != end[:-1]) | (phase[1:] != phase[:-1])) + 1
    x, y = [], []
    for piece in np.split(np.arange(len(begin)), apart):
        last = piece[-1]
        x += [*begin[piece], end[last], end[last]]
        y += [*values[piece], values[last], np.nan]
    return Series(name, floats(x), floats(y), "steps")


def _known_spans(rows: pd.DataFrame, named: tuple[tuple[str, Floats], ...]) -> tuple[Series, ...]:
    """Those of which anything is known: without a mask, what is seen is not."""
    positive = ((name, np.where(values > 0, values, np.nan)) for name, values in named)
    return tuple(_spans(name, rows, values) for name, values in positive if np.isfinite(values).any())


def _growth(rows: pd.DataFrame) -> tuple[Lines, ...]:
    graphs = floats(rows["evaluations"])
    read, weights = floats(rows["kv_distinct_bytes"]) / graphs, floats(rows["weight_bytes"]) / graphs
    seen = (floats(rows["fresh_bytes"]) + floats(rows["cached_bytes"])) / graphs
    written = floats(rows["kv_written_bytes"]) / graphs
    with np.errstate(divide="ignore", invalid="ignore"):
        share, seen_share = (np.where(weights > 0, part / weights, np.nan) for part in (read, seen))
    amounts = (
        ("KV cache read", read),
        ("of it seen, not masked", seen),
        ("weights read", weights),
        ("KV cache written", written),
    )
    bytes_axis = Axis("bytes per graph", "bytes", log=True)
    parts = (("KV cache read", share), ("of it seen, not masked", seen_share))
    return (
        Lines("Bytes of each graph", _known_spans(rows, amounts), Axis("token"), bytes_axis),
        Lines(
            "Relative to the weights that the graph reads",
            _known_spans(rows, parts),
            Axis("token"),
            Axis("share of the weights' bytes", "share"),
        ),
    )


def _how_it_grows(rows: pd.DataFrame) -> str:
    """What the first and the last generated token read; "" where none is."""
    rows = rows[(rows["phase"] == "generate") & (rows["weight_bytes"] > 0)]
    if rows.empty:
        return ""
    read = floats(rows["kv_distinct_bytes"]) / floats(rows["tokens"])
    share = floats(rows["kv_distinct_bytes"]) / floats(rows["weight_bytes"])
    if read[0] == read[-1]:
        return (
            f"Each generated token reads {say(read[0], 'bytes')} of KV cache, {say(share[0], 'share')} of what its "
            "weights cost, however much of that it sees."
        )
    return (
        f"A generated token's reads of the KV cache go from {say(read[0], 'bytes')} to {say(read[-1], 'bytes')}, "
        f"from {say(share[0], 'share')} to {say(share[-1], 'share')} of what its weights cost."
    )


def kv_growth(source: Source) -> Chart:
    """What of the KV cache a token reads, against what it reads of weights, over the run."""
    table = source.table("attention", "growth")
    table = table[(table["tokens"] > 0) & ((table["kv_read_bytes"] > 0) | (table["kv_written_bytes"] > 0))]
    if table.empty:
        raise AbsentError("this model has no KV cache")
    contexts = {number: table[table["context"] == number] for number in sorted(set(table["context"].astype(int)))}
    most = max(contexts, key=lambda context: len(contexts[context]))
    together = int(table["evaluations"].max())
    notes = "A graph computes one generated token, or many tokens of a prompt, for which it reads once. llama.cpp pads "
    notes += "the range of cells that it reads, so reads grow in steps; the mask hides what a token may not see."
    if together > 1:
        notes += f" Each point is the mean of {together:,} evaluations."
    if len(contexts) > 1:
        notes += f" Context {most} of {len(contexts)}."
    return Chart(
        title=_how_it_grows(contexts[most]) or source.section("attention").headline,
        subtitle=notes,
        panels=_growth(contexts[most]),
        view=f"context {most}",
        views={f"context {context}": _growth(rows) for context, rows in contexts.items() if context != most},
        row_height=3.6,
    )
