# SPDX-License-Identifier: MIT
"""Attention: bytes by head, the order of Q, K, V and O, and the growth of the KV cache."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tat.plot.chart import AbsentError, Axis, Bars, Chart, Floats, Heat, Lines, Series, check_room, floats, steps
from tat.plot.source import Source

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


def _heads(table: pd.DataFrame) -> tuple[Bars, ...]:
    sums = _by_head(table)
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


def attention_heads(source: Source) -> Chart:
    """What each head of attention reads and writes for one token."""
    table, sharing = source.table("attention", "head_bytes"), source.table("attention", "sharing")
    groups = sorted({(int(h), int(kv)) for h, kv in zip(sharing["heads"], sharing["kv_heads"], strict=True)})
    words = [
        f"{kv} KV heads serve {heads} query heads, {heads / kv:g} each" if kv < heads else f"{heads} query and KV heads"
        for heads, kv in groups
        if kv
    ]
    n_layers = table["layer"].nunique()
    check_room(max(map(len, table["bytes"]), default=0), "heads")
    return Chart(
        title=f"In each layer {'; in others '.join(words)}." if words else source.section("attention").headline,
        subtitle=f"Bytes for the last token of the run, summed over {n_layers} layers. A query head owns rows of the Q "
        "weights and columns of the output weights. A KV head owns rows of the K and V weights and part of the cache.",
        panels=_heads(table),
        view="all layers",
        views={f"layer {layer}": _heads(rows) for layer, rows in table.groupby("layer")},
        row_height=3.6,
    )


def qkv_order(source: Source) -> Chart:
    """In which order each layer reads Q, K, V and O and its part of the cache."""
    table = source.table("attention", "order_steps")
    kinds = [f"{part} {access}" for part, access in zip(table["part"], table["access"], strict=True)]
    names = tuple(dict.fromkeys(kinds))
    layers = sorted(int(layer) for layer in table["layer"].unique())
    check_room(max(len(layers), int(table["step"].max())), "layers or steps")
    values = np.full((len(layers), int(table["step"].max()) + 1), np.nan)
    rows = np.searchsorted(layers, table["layer"].to_numpy(np.int64))
    values[rows, table["step"].to_numpy(np.int64)] = [names.index(kind) for kind in kinds]
    orders = len({tuple(row) for row in np.nan_to_num(values, nan=-1).tolist()})
    first = " → ".join(names[int(kind)] for kind in values[0] if np.isfinite(kind))
    some = "Every layer" if orders == 1 else f"Layers use {orders} different orders; layer {layers[0]}"
    return Chart(
        title=f"{some}: {first}.",
        subtitle="The order in which a generated token touches the weights and the cache of attention.",
        panels=(
            Heat(
                title="",
                values=values,
                x_edges=steps(values.shape[1], 0.5),
                y_edges=steps(len(layers)),
                x=Axis("step", "count"),
                y=Axis("layer", ticks=tuple((float(i), str(layer)) for i, layer in enumerate(layers))),
                value=Axis("step"),
                names=names,
                row_names=tuple(map(str, layers)),
            ),
        ),
        row_height=6 if len(layers) > 8 else 3.5,
    )


def _growth(rows: pd.DataFrame) -> tuple[Lines, ...]:
    token, tokens = floats(rows["token"]), floats(rows["tokens"])
    seen = (floats(rows["fresh_bytes"]) + floats(rows["cached_bytes"])) / tokens
    read, weights = floats(rows["kv_distinct_bytes"]) / tokens, floats(rows["weight_bytes"]) / tokens
    series = (
        Series("KV cache read", token, read, "steps"),
        Series("cells that the token sees", token, seen),
        Series("weights read", token, weights, "dashes"),
        Series("KV cache written", token, floats(rows["kv_written_bytes"]) / tokens, "dots"),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(weights > 0, read / weights, np.nan)
        seen_share = np.where(weights > 0, seen / weights, np.nan)
    shares = (Series("KV cache read", token, share, "steps"), Series("cells that the token sees", token, seen_share))
    return (
        Lines("Bytes per token", series, Axis("token"), Axis("bytes per token", "bytes", log=True)),
        Lines("Relative to the weights", shares, Axis("token"), Axis("share of the weights' bytes", "share")),
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
    notes = "llama.cpp pads the range of cells that it reads, so reads grow in steps. "
    notes += "The tokens of a prompt share the bytes that it reads."
    if together > 1:
        notes += f" Each point is the mean of {together:,} evaluations."
    if len(contexts) > 1:
        notes += f" Context {most} of {len(contexts)}."
    return Chart(
        title=source.section("attention").headline,
        subtitle=notes,
        panels=_growth(contexts[most]),
        view=f"context {most}",
        views={f"context {context}": _growth(rows) for context, rows in contexts.items() if context != most},
        row_height=3.6,
    )
