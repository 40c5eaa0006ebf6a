# SPDX-License-Identifier: MIT
"""Tensors, layers and operations: who takes the bytes, and who the time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tat import Answer
from tat.plot.chart import AbsentError, Axis, Bars, Chart, Floats, Lines, Series, check_room, floats
from tat.plot.source import Matrix, Source
from tat.plot.typical import Typical
from tat.plot.units import say

_HOTTEST = 20
_OPERATIONS = 8
_STANDS_OUT = 1.1
"""From here on a layer may be a bottleneck, as the report has it."""


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
        f"{say(float(row['reads_per_byte']), 'factor')} reads of each byte, {say(float(row['bytes']), 'bytes')}, "
        f"{say(float(row['tensor_ns']), 'ns')}"
        for _, row in table.iterrows()
    ]
    return _bars(names, floats(table[key]), what, texts)


def slices_of(source: Source, table: pd.DataFrame) -> tuple[Floats, Floats]:
    """Size of each weight, and how often its bytes are read; each expert of a stack by itself, where routing tells."""
    size, reads = [], []
    chosen = source.expert_reads()
    for row in table[table["tensor_bytes"] > 0].to_dict("records"):
        counts = chosen.get(-1 if pd.isna(row["layer"]) else int(row["layer"]), np.zeros(0))
        stacked = source.stack_of(int(row["tensor_id"]))
        if stacked >= len(counts) > 0 and counts.sum() == row["accesses"]:
            size += [row["tensor_bytes"] / stacked] * stacked
            reads += [*counts, *([0.0] * (stacked - len(counts)))]
        else:
            size.append(row["tensor_bytes"])
            reads.append(row["bytes"] / row["tensor_bytes"])
    return floats(size), floats(reads)


def _hotness(source: Source, table: pd.DataFrame) -> Lines:
    """How often the bytes of weights are read, hottest first."""
    size, reads = slices_of(source, table)
    order = np.argsort(-reads, kind="stable")
    end = np.cumsum(size[order])
    tokens = max(1.0, float((source.weight * source.count).sum()))
    x, y = np.concatenate([[0.0], end]), np.append(reads[order], reads[order[-1]]) / tokens
    return Lines(
        "All weights, the hottest first",
        (Series("", x, y, "steps"),),
        Axis("weights, added up", "bytes"),
        Axis("reads of each byte per token", "factor"),
    )


def _by_part(source: Source, table: pd.DataFrame) -> Bars:
    """What a token touches of each part of the model's weights."""
    touched = source.matrix("tensor", "bytes")
    touched = touched.only(touched.kinds == "weight")
    typical = Typical.of(source)
    each = pd.Series(typical.means(touched)).groupby(touched.components.astype(str)).sum()
    whole = {str(part): float(size) for part, size in table.groupby("component")["tensor_bytes"].sum().items()}
    each = each[each > 0].sort_values(ascending=False, kind="stable")
    texts = []
    for part, size in zip(map(str, each.index), floats(each), strict=True):
        of = whole.get(part, 0.0)
        if of <= 0:
            texts.append(say(size, "bytes"))
        elif abs(size - of) <= 0.001 * of:
            texts.append(f"all of {say(of, 'bytes')}")
        else:
            texts.append(f"{say(size, 'bytes')} of {say(of, 'bytes')}, {say(size / of, 'share')}")
    return Bars(
        f"Bytes that a {typical.word} touches of the weights, by part of the model",
        tuple(map(str, each.index)),
        (("bytes touched", floats(each)),),
        Axis("part"),
        Axis("bytes touched", "bytes"),
        horizontal=True,
        texts=tuple(texts),
    )


def hot_tensors(source: Source) -> Chart:
    """How often the bytes of weights are read, and what a token touches of each part; by weight as a choice."""
    answer, table, all_of_them = source.section("hot"), source.table("hot", "hottest"), source.table("hot", "tensors")
    touched = source.matrix("tensor", "bytes")
    touched = touched.only(touched.values.sum(axis=0) > 0)
    views: dict[str, tuple[Bars, ...]] = {
        "20 most read weights": (_of_table(table, "reads_per_token", Axis("reads of a byte per token", "factor")),)
    }
    typical = Typical.of(source)
    views["20 slowest weights"] = (_slowest(source, typical),)
    total = touched.values.sum(axis=0)
    for name, kind in (
        ("bytes: weights", "weight"),
        ("bytes: KV cache", "state"),
        ("bytes: activations", "activation"),
    ):
        mine = np.flatnonzero(touched.kinds == kind)
        if len(mine):
            names, texts = [touched.names[i] for i in mine], [say(total[i], "bytes") for i in mine]
            views[name] = (_bars(names, total[mine], Axis("bytes touched", "bytes"), texts),)
    panels: tuple[Bars | Lines, ...] = (_by_part(source, all_of_them),)
    notes = "All weights are read equally often, so only their bytes tell them apart."
    if not answer.values.get("uniform"):
        panels = (_hotness(source, all_of_them), *panels)
        notes = (
            "Prompt and generation; the tokens of a prompt share each read. Each expert counts as a weight of its own."
        )
    return Chart(title=answer.headline, subtitle=notes, panels=panels, view="all weights", views=views, row_height=4.4)


def _slowest(source: Source, typical: Typical) -> Bars:
    times = source.matrix("tensor", "ns")
    times = times.only(times.kinds == "weight")
    median = typical.medians(times)
    texts = [say(value, "ns") for value in median]
    return _bars(list(times.names), median, Axis(f"time in the median {typical.word}", "ns"), texts)


_KINDS = (
    ("weights", ("weight",)),
    ("KV cache and state", ("state",)),
    ("activations", ("activation", "input")),
)


def _rows(matrix: Matrix, values: Floats, names: tuple[str, ...]) -> Floats:
    """Values of a matrix by layer, in the order of these names; 0 where it has none."""
    mine = {f"{layer:.0f}": value for layer, value in zip(matrix.layers, values, strict=True)}
    return floats([mine.get(name, 0.0) for name in names])


def _of_a_token(source: Source, typical: Typical, names: tuple[str, ...]) -> tuple[Bars, Bars]:
    """Bytes and time of each layer for one token."""
    series = []
    for name, kinds in _KINDS:
        matrix = source.matrix("layer", "bytes", kinds)
        values = _rows(matrix, typical.means(matrix), names)
        if values.any():
            series.append((name, values))
    times = source.matrix("layer", "ns")
    return (
        Bars(
            f"Bytes touched: mean {typical.word}",
            names,
            tuple(series),
            Axis("layer"),
            Axis("bytes touched", "bytes"),
            stacked=True,
        ),
        Bars(
            f"Time: median {typical.word}",
            names,
            (("time", _rows(times, typical.medians(times), names)),),
            Axis("layer"),
            Axis("time", "ns"),
        ),
    )


def _of_the_run(table: pd.DataFrame, names: tuple[str, ...]) -> tuple[Bars, Bars]:
    """Bytes and time of each layer in prompt and generation together."""
    parts = (
        ("weights", "weight_bytes"),
        ("KV cache read", "state_read_bytes"),
        ("KV cache written", "state_written_bytes"),
        ("activations", "activation_bytes"),
    )
    series = tuple((name, floats(table[key].fillna(0))) for name, key in parts if key in table)
    return (
        Bars("Bytes touched: whole run", names, series, Axis("layer"), Axis("bytes touched", "bytes"), stacked=True),
        Bars("Time: whole run", names, (("time", floats(table["ns"])),), Axis("layer"), Axis("time", "ns")),
    )


def _which_stands_out(answer: Answer, word: str) -> str:
    """The slowest layer, as far as it is more than chance: the report's rule."""
    slowest, times = answer.values.get("slowest_layer"), answer.values.get("slowest_of_median")
    if slowest is None or times is None or answer.values.get("bottlenecks"):
        return answer.headline
    if times < 1.005:
        return f"No layer stands out: in the median {word} all take equally long."
    against = f"compared with the median layer of the same {word}, layer {slowest} takes longest"
    longest = answer.values.get("longest_median_layer", slowest)
    tallest = "" if longest == slowest else f" By its median time alone, layer {longest} leads."
    if times < _STANDS_OUT:
        return f"No layer stands out: {against}, but only {times:.2f} times as long.{tallest}"
    return (
        f"No layer stands out from the run's own variation: {against}, {times:.2f} times as long, but not in enough "
        f"parts of the run.{tallest}"
    )


def layers(source: Source) -> Chart:
    """Bytes and time of each layer, for one token; for the whole run as a choice."""
    answer, table = source.section("layers"), source.table("layers", "layers")
    check_room(len(table), "layers")
    table = table[table["layer"].notna()]
    if table.empty:
        raise AbsentError("no operation names a layer")
    typical = Typical.of(source)
    names = tuple(map(str, table["layer"].astype(int)))
    outside = _outside(source, typical)
    return Chart(
        title=_which_stands_out(answer, typical.word),
        subtitle=f"{outside}Times are those of thread 0, from the end of one operation to the end of the next. They "
        "include waiting for the other threads.",
        panels=_of_a_token(source, typical, names),
        view=f"one {typical.word}",
        views={"the whole run": _of_the_run(table, names)},
        row_height=3.4,
    )


def _outside(source: Source, typical: Typical) -> str:
    """What belongs to no layer, as a sentence; "" where nothing does."""
    touched, times = source.matrix("layer", "bytes"), source.matrix("layer", "ns")
    size = float(typical.means(touched)[np.isnan(touched.layers)].sum())
    time = float(typical.medians(times)[np.isnan(times.layers)].sum())
    if not size:
        return ""
    return (
        f"Not shown: what belongs to no layer (token embedding, final norm, output), {say(size, 'bytes')} and "
        f"{say(time, 'ns')}. "
    )


def _by_operation(matrix: Matrix, names: list[str]) -> Matrix:
    """These operations, then all others as one."""
    out = np.zeros((len(matrix.values), len(names) + 1))
    for column, name in enumerate(matrix.names):
        out[:, names.index(name) if name in names else len(names)] += matrix.values[:, column]
    empty = np.full(len(names) + 1, "", dtype=object)
    none = np.full(len(names) + 1, np.nan)
    return Matrix(out, np.arange(len(names) + 1), (*names, ""), none, empty, empty)


def operation_types(source: Source) -> Chart:
    """The operations' shares in the time of the median token and in its bytes, the largest first."""
    times, touched = source.matrix("operation", "ns"), source.matrix("operation", "bytes")
    typical = Typical.of(source)
    share = dict.fromkeys(touched.names, 0.0) | dict(zip(times.names, typical.shares(times), strict=True))
    of_bytes = dict(zip(touched.names, typical.shares(touched), strict=True))
    names = sorted(share, key=lambda name: (-share[name], -of_bytes.get(name, 0.0)))
    if not names:
        raise AbsentError("no operation was recorded")
    kept = names if len(names) <= _OPERATIONS + 1 else names[:_OPERATIONS]
    times, touched = _by_operation(times, kept), _by_operation(touched, kept)
    labels = kept if len(kept) == len(names) else [*kept, f"{len(names) - len(kept)} others"]
    shown = slice(0, len(labels))
    time, size = typical.shares(times)[shown], typical.shares(touched)[shown]
    texts = tuple(f"{say(one, 'share')}, {say(other, 'share')}" for one, other in zip(time, size, strict=True))
    return Chart(
        title=f"{labels[0]} takes {say(time[0], 'share')} of the median {typical.word}'s time and "
        f"{say(size[0], 'share')} of its bytes.",
        subtitle="Times are those of thread 0 and include waiting for the other threads. Of two fused operations the "
        "first has the time of both. Bytes are those of weights, KV cache and activations.",
        panels=(
            Bars(
                "",
                tuple(labels),
                (("of the time", time), ("of the bytes touched", size)),
                Axis("operation"),
                Axis(f"share of the median {typical.word}", "share"),
                horizontal=True,
                texts=texts,
            ),
        ),
        row_height=5.5,
    )
