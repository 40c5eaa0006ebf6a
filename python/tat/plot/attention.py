# SPDX-License-Identifier: MIT
"""Attention: heads, the order of Q, K, V and O, and the growth of the KV cache."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tat.plot.chart import AbsentError, Axis, Chart, Heat, Lines, Series, floats
from tat.plot.source import Source

STEPS = (
    "Q weights",
    "K weights",
    "V weights",
    "K cache write",
    "V cache write",
    "K cache read",
    "V cache read",
    "O weights",
)
_STEP = {
    ("weight", "q", False): 0,
    ("weight", "k", False): 1,
    ("weight", "v", False): 2,
    ("state", "k", True): 3,
    ("state", "v", True): 4,
    ("state", "k", False): 5,
    ("state", "v", False): 6,
    ("weight", "o", False): 7,
}
_ROLES = ("", "q", "k", "v", "o")
_WRITE = 1


def _steps(source: Source, row: int) -> dict[int, list[int]]:
    """By layer: the steps of attention in the order in which an evaluation took them, each once."""
    t = source.tensors
    wanted = t["kind"].isin(("weight", "state")).to_numpy() & (t["role"].notna() | (t["kind"] == "state")).to_numpy()
    kinds = t["kind"].astype(str).to_numpy()
    found: dict[int, list[int]] = {}
    for _, records in source.records(np.array([row]), wanted):
        for a in records:
            if not a["bytes"] or a["layer"] == 0xFFFF:
                continue
            key = (kinds[a["tensor"]], _ROLES[a["kind"] & 15], bool(a["flags"] & _WRITE))
            steps = found.setdefault(int(a["layer"]), [])
            if key in _STEP and _STEP[key] not in steps:
                steps.append(_STEP[key])
    return {layer: steps for layer, steps in found.items() if steps}


def _as_matrix(found: dict[int, list[int]]) -> tuple[list[int], NDArray[np.float64]]:
    layers = sorted(found)
    width = max(len(steps) for steps in found.values())
    values = np.full((len(layers), width), np.nan)
    for row, layer in enumerate(layers):
        values[row, : len(found[layer])] = found[layer]
    return layers, values


def qkv_order(source: Source) -> Chart:
    """In which order each layer reads Q, K, V and O and its part of the cache."""
    middle = source.middle()
    found = _steps(source, middle)
    if not found:
        raise AbsentError("no layer of this model has attention whose Q, K, V or O are known")
    layers, values = _as_matrix(found)
    orders = {tuple(steps) for steps in found.values()}
    same = "Every layer with attention" if len(orders) == 1 else f"Layers take {len(orders)} different orders; the first"
    words = " → ".join(STEPS[step] for step in found[layers[0]])
    first = int(source.first[middle])
    return Chart(
        title=f"{same}: {words}.",
        subtitle=f"First access of each kind, in the order of execution, while token {first} was evaluated.",
        panels=(
            Heat(
                title="",
                values=values,
                x_edges=np.arange(values.shape[1] + 1) + 0.5,
                y_edges=np.arange(len(layers) + 1) - 0.5,
                x=Axis("step", "count"),
                y=Axis("layer", ticks=tuple((float(i), str(layer)) for i, layer in enumerate(layers))),
                value=Axis("step"),
                names=STEPS,
                row_names=tuple(map(str, layers)),
            ),
        ),
        row_height=6,
    )


def kv_growth(source: Source) -> Chart:
    """What of the KV cache a token reads, against what it reads of weights, over the run."""
    raise AbsentError("not here yet")


def attention_heads(source: Source) -> Chart:
    """Bytes by head."""
    raise AbsentError("not here yet")


__all__ = ["Lines", "Series", "attention_heads", "floats", "kv_growth", "qkv_order"]
