# SPDX-License-Identifier: MIT
"""Tensors, layers and operations: who takes the bytes, and who the time."""

from __future__ import annotations

import numpy as np

from tat.plot.chart import AbsentError, Axis, Bars, Chart, Pie, floats
from tat.plot.source import Matrix, Source
from tat.plot.units import say

_HOTTEST = 20
_SLICES = 7


def _hottest(touched: Matrix, accesses: Matrix) -> Bars:
    total, counts = touched.values.sum(axis=0), accesses.values.sum(axis=0)
    order = np.lexsort((touched.ids, -total))[:_HOTTEST]
    return Bars(
        title="",
        labels=tuple(touched.names[i] for i in order),
        series=(("bytes touched", total[order]),),
        label=Axis("tensor"),
        value=Axis("bytes touched", "bytes"),
        horizontal=True,
        texts=tuple(f"{say(total[i], 'bytes')}, {say(counts[i], 'count')} accesses" for i in order),
    )


def hot_tensors(source: Source) -> Chart:
    """The tensors of which most bytes were touched."""
    touched, accesses = source.matrix("tensor", "bytes"), source.matrix("tensor", "accesses")
    some = touched.values.sum(axis=0) > 0
    if not some.any():
        raise AbsentError("no tensor was touched by prompt or generation")
    touched, accesses = touched.only(some), accesses.only(some)
    kinds = {"weights": "weight", "KV cache and state": "state", "activations": "activation"}
    views = {
        name: (_hottest(touched.only(mine), accesses.only(mine)),)
        for name, kind in kinds.items()
        if (mine := touched.kinds == kind).any()
    }
    total = touched.values.sum(axis=0)
    last = np.sort(total)[::-1][: _HOTTEST][-1]
    ties = int((total == last).sum() - (np.sort(total)[::-1][:_HOTTEST] == last).sum())
    notes = f"The {min(_HOTTEST, len(total))} of {len(total):,} tensors touched; prompt and generation."
    if ties:
        notes += f" {ties:,} more have as many bytes as the last one."
    return Chart(
        title=source.section("tensors").headline,
        subtitle=notes,
        panels=(_hottest(touched, accesses),),
        view="all tensors",
        views=views,
        row_height=7,
    )


def layers(source: Source) -> Chart:
    """Bytes and time of each layer."""
    answer, table = source.section("layers"), source.table("layers", "layers")
    names = tuple("none" if np.isnan(layer) else f"{layer:.0f}" for layer in floats(table["layer"].astype("Float64").to_numpy(na_value=np.nan)))
    parts = (
        ("weights", "weight_bytes"),
        ("KV cache read", "state_read_bytes"),
        ("KV cache written", "state_written_bytes"),
        ("activations", "activation_bytes"),
    )
    series = tuple((name, floats(table[key].fillna(0))) for name, key in parts if key in table)
    return Chart(
        title=answer.headline,
        subtitle="Prompt and generation. Layer none: token embedding, final norm, output. Time is thread 0's, from one "
        "operation's end to the next's: it includes waiting for the other threads.",
        panels=(
            Bars("Bytes touched", names, series, Axis("layer"), Axis("bytes touched", "bytes"), stacked=True),
            Bars("Time", names, (("time", floats(table["ns"])),), Axis("layer"), Axis("time", "ns")),
        ),
        row_height=3.4,
    )


def _pie(title: str, names: list[str], values: list[float], unit: Axis) -> Pie:
    order = sorted((i for i in range(len(names)) if values[i] > 0), key=lambda i: -values[i])
    kept, rest = order[:_SLICES], order[_SLICES:]
    labels, shown = [names[i] for i in kept], [values[i] for i in kept]
    if rest:
        labels.append(names[rest[0]] if len(rest) == 1 else f"{len(rest)} others")
        shown.append(sum(values[i] for i in rest))
    return Pie(title, tuple(labels), floats(shown), unit)


def operation_types(source: Source) -> Chart:
    """Shares of the operations in time and in bytes."""
    answer, table = source.section("operations"), source.table("operations", "operations")
    names = list(table["operation"])
    return Chart(
        title=answer.headline,
        subtitle="Prompt and generation. Time is thread 0's: it includes waiting for the other threads.",
        panels=(
            _pie("Time", names, list(floats(table["ns"])), Axis("time", "ns")),
            _pie("Bytes touched", names, list(floats(table["bytes"].fillna(0))), Axis("bytes touched", "bytes")),
        ),
        row_height=3.6,
        columns=1,
    )
