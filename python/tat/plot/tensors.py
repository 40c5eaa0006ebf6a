# SPDX-License-Identifier: MIT
"""Tensors, layers and operations: who takes the bytes, and who the time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tat.plot.chart import Axis, Bars, Chart, Floats, Pie, check_room, floats
from tat.plot.source import Source
from tat.plot.units import say

_HOTTEST = 20
_SLICES = 7


def _bars(names: list[str], values: Floats, what: Axis, texts: list[str]) -> Bars:
    order = np.argsort(-values, kind="stable")[:_HOTTEST]
    return Bars(
        title="",
        labels=tuple(names[i] for i in order),
        series=((what.label, values[order]),),
        label=Axis("weight"),
        value=what,
        horizontal=True,
        texts=tuple(texts[i] for i in order),
    )


def _of_table(table: pd.DataFrame, key: str, what: Axis) -> Bars:
    """Rows of a table of the section "hot", in the order of one of its columns."""
    experts = (
        [None] * len(table) if "expert" not in table else [None if pd.isna(e) else int(e) for e in table["expert"]]
    )
    names = [f"{t}, expert {e}" if e is not None else str(t) for t, e in zip(table["tensor"], experts, strict=True)]
    texts = [
        f"{int(row['accesses']):,} accesses, {say(float(row['bytes']), 'bytes')}, {say(float(row['tensor_ns']), 'ns')}"
        for _, row in table.iterrows()
    ]
    return _bars(names, floats(table[key]), what, texts)


def hot_tensors(source: Source) -> Chart:
    """The weights that were touched most; where all were touched alike, those that took longest."""
    answer, table = source.section("hot"), source.table("hot", "hottest")
    by_accesses = _of_table(table, "accesses", Axis("accesses", "count"))
    views = {
        "accesses": (by_accesses,),
        "time of these": (_of_table(table, "tensor_ns", Axis("time of the tensor", "ns")),),
    }
    if "densest" in answer.tables:
        densest = answer.tables["densest"]
        views["accesses per KiB"] = (_of_table(densest, "accesses_per_kib", Axis("accesses per KiB", "factor")),)
    touched = source.matrix("tensor", "bytes")
    total = touched.values.sum(axis=0)
    for name, kind in (
        ("bytes: weights", "weight"),
        ("bytes: KV cache", "state"),
        ("bytes: activations", "activation"),
    ):
        mine = np.flatnonzero((touched.kinds == kind) & (total > 0))
        if len(mine):
            names, texts = [touched.names[i] for i in mine], [say(total[i], "bytes") for i in mine]
            views[name] = (_bars(names, total[mine], Axis("bytes touched", "bytes"), texts),)
    tied = answer.values.get("uniform") or table["accesses"].nunique() == 1
    first = "time of these" if tied else "accesses"
    notes = (
        "Weights, and single experts of stacked weights, in prompt and generation. Of weights with equal accesses, the "
        "slowest come first."
    )
    if first != "accesses":
        notes = f"The number of accesses hardly differs, so this shows time. {notes}"
    panels = views.pop(first)
    return Chart(title=answer.headline, subtitle=notes, panels=panels, view=first, views=views, row_height=7)


def layers(source: Source) -> Chart:
    """Bytes and time of each layer."""
    answer, table = source.section("layers"), source.table("layers", "layers")
    check_room(len(table), "layers")
    rest = table[table["layer"].isna()]
    table = table[table["layer"].notna()] if len(rest) < len(table) else table
    names = tuple("none" if pd.isna(layer) else str(layer) for layer in table["layer"])
    parts = (
        ("weights", "weight_bytes"),
        ("KV cache read", "state_read_bytes"),
        ("KV cache written", "state_written_bytes"),
        ("activations", "activation_bytes"),
    )
    series = tuple((name, floats(table[key].fillna(0))) for name, key in parts if key in table)
    outside = ""
    if len(rest) and len(rest) < len(table):
        size = float(rest[["weight_bytes", "activation_bytes"]].fillna(0).sum().sum())
        outside = (
            f"Not shown: what belongs to no layer (token embedding, final norm, output), {say(size, 'bytes')} and "
            f"{say(float(rest['ns'].sum()), 'ns')}. "
        )
    return Chart(
        title=answer.headline,
        subtitle=f"Prompt and generation. {outside}Times are those of thread 0, from the end of one operation to the "
        "end of the next. They include waiting for the other threads.",
        panels=(
            Bars("Bytes touched", names, series, Axis("layer"), Axis("bytes touched", "bytes"), stacked=True),
            Bars("Time", names, (("time", floats(table["ns"])),), Axis("layer"), Axis("time", "ns")),
        ),
        row_height=3.4,
    )


def _pie(title: str, table: pd.DataFrame, kept: list[str], key: str, what: Axis) -> Pie:
    """The same operations in the same colours in all pies, and what is left of the whole."""
    values = floats(table[key].fillna(0))
    mine = {str(name): value for name, value in zip(table["operation"], values, strict=True)}
    labels, shown = list(kept), [mine[name] for name in kept]
    if len(kept) < len(mine):
        labels.append(f"{len(mine) - len(kept)} others")
        shown.append(sum(value for name, value in mine.items() if name not in kept))
    return Pie(title, tuple(labels), floats(shown), what)


def operation_types(source: Source) -> Chart:
    """Shares of the operations in time and in bytes."""
    answer, table = source.section("time"), source.table("time", "operations")
    weight = sum(floats(table[key].fillna(0)) / max(float(table[key].sum()), 1.0) for key in ("ns", "bytes"))
    order = np.argsort(-np.asarray(weight), kind="stable")
    most = _SLICES if len(order) > _SLICES + 1 else _SLICES + 1
    kept = [str(table["operation"].iloc[i]) for i in order[:most]]
    return Chart(
        title=answer.headline,
        subtitle="Prompt and generation. Times are those of thread 0 and include waiting for the other threads.",
        panels=(
            _pie("Time", table, kept, "ns", Axis("time", "ns")),
            _pie("Bytes touched", table, kept, "bytes", Axis("bytes touched", "bytes")),
        ),
        row_height=4,
        columns=2,
        width=15,
    )
