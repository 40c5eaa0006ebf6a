# SPDX-License-Identifier: MIT
"""Waiting for the disk: page faults, what is in memory, and how fast the disk is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tat.plot.chart import AbsentError, Axis, Bars, Chart, Floats, Heat, Lines, Series, finite_limits, floats
from tat.plot.places import Files, spread
from tat.plot.source import Source
from tat.plot.typical import Typical
from tat.plot.units import say

PARTS = 256
"""Rows: equal parts of the model files."""
COLUMNS = 240
"""Of equal time."""
_MOST_MARKS = 12
_MOST_BARS = 20
_CLIP = 0.005


# ---------------------------------------------------------------------------------------------------------------- axes


@dataclass(frozen=True, eq=False)
class Time:
    """An axis of time since the first graph began, in columns."""

    edges: Floats
    marks: tuple[tuple[float, str], ...]
    """Where phases begin."""

    @classmethod
    def of(cls, source: Source, *times: Any) -> Time:
        """From the first of these times, or the first graph, to the last."""
        table = source.trace.evaluations()
        ends = [floats(one) for one in (*times, table["begin_ns"], table["end_ns"])]
        known = np.concatenate(ends)
        low, high = float(known.min()), float(known.max())
        changed = table["phase"].astype(str) != table["phase"].astype(str).shift()
        begins = [(float(at), str(name)) for at, name in zip(table["begin_ns"], table["phase"], strict=True)]
        marks = [mark for mark, new in zip(begins, changed, strict=True) if new]
        width = max(high - low, 1.0) / COLUMNS
        return cls(floats(low + width * np.arange(COLUMNS + 1)), tuple(marks) if len(marks) <= _MOST_MARKS else ())

    @property
    def axis(self) -> Axis:
        """Its label."""
        return Axis("time since the first graph began", "ns")

    def column(self, times: Any) -> NDArray[np.int64]:
        """The column of each time."""
        return np.clip(np.searchsorted(self.edges, floats(times), side="right") - 1, 0, COLUMNS - 1)


def layer_marks(source: Source, files: Files) -> tuple[tuple[float, str], ...]:
    """Where layers begin in the files, if one follows the other there."""
    t = source.tensors[source.file_weights & source.tensors["layer"].notna().to_numpy()]
    begin = files.at(t["file"].to_numpy(np.int64)) + floats(t["file_offset"].to_numpy(np.int64))
    spans = pd.DataFrame({"layer": t["layer"].to_numpy(np.int64), "low": begin, "high": begin + floats(t["bytes"])})
    by_layer = spans.groupby("layer").agg(low=("low", "min"), high=("high", "max")).sort_values("low")
    if (by_layer["high"].to_numpy()[:-1] > by_layer["low"].to_numpy()[1:]).any():
        return ()
    return tuple((float(low), f"layer {layer}") for layer, low in by_layer["low"].items())


def _map(source: Source, axes: tuple[Time, Files], title: str, values: Floats, value: Axis) -> Heat:
    time, files = axes
    return Heat(
        title=title,
        values=values,
        x_edges=time.edges,
        y_edges=np.linspace(0, files.end, PARTS + 1),
        x=time.axis,
        y=Axis(files.label, "bytes"),
        value=value,
        limits=finite_limits(values, _CLIP) if value.unit == "count" else (0.0, 1.0),
        x_marks=time.marks,
        y_marks=layer_marks(source, files),
    )


def _marks_said(time: Time) -> str:
    if not time.marks:
        return "Dotted lines are where layers begin. "
    begins = ", ".join(f"{name} at {say(at, 'ns')}" for at, name in time.marks)
    return f"Dotted lines are where layers begin, and phases: {begins}. "


# -------------------------------------------------------------------------------------------------------------- faults


def _counted(of: pd.DataFrame, time: Time, at: Floats, end: float) -> Floats:
    """How many of these faults are in each part and column; NaN for none."""
    row = np.clip((at / (end / PARTS)).astype(np.int64), 0, PARTS - 1)
    cell = row * COLUMNS + time.column(of["end_ns"])
    counts = np.bincount(cell, minlength=PARTS * COLUMNS).reshape(PARTS, COLUMNS)
    return np.where(counts == 0, np.nan, counts.astype(np.float64))


def page_faults(source: Source) -> Chart:
    """Faults on the model files: where, and when."""
    table, files = source.io("faults"), Files.of(source)
    at = files.at(table["file"].fillna(0).to_numpy(np.int64)) + floats(table["offset"].fillna(0))
    mine = np.isfinite(at)
    if not mine.any():
        raise AbsentError("no page fault was in a model's file")
    elsewhere = int((~mine & (table["place"] != "other_process").to_numpy()).sum())
    table, at = table[mine], at[mine]
    time, panels = Time.of(source, table["end_ns"]), []
    for name, chosen in (("Major", table["major"].to_numpy(bool)), ("Minor", ~table["major"].to_numpy(bool))):
        if chosen.any():
            values = _counted(table[chosen], time, at[chosen], files.end)
            waits = "waited for the disk" if name == "Major" else "found their page in memory"
            title = f"{name} faults: {int(chosen.sum()):,} {waits}"
            panels.append(_map(source, (time, files), title, values, Axis("page faults", "count")))
    major = int(table["major"].sum())
    counts = np.sort(np.nansum(panels[0].values, axis=1))[::-1]
    half = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2)) + 1
    words = f"{major:,} page faults that waited for the disk" if major else f"{len(table):,} page faults"
    outside = f"{elsewhere:,} faults outside the model's files are not shown. " if elsewhere else ""
    size, span = say(files.end / PARTS, "bytes"), say(float(time.edges[1] - time.edges[0]), "ns")
    return Chart(
        title=f"Half of the {words} are in {say(half / PARTS, 'share')} of the model.",
        subtitle=f"Each cell is {size} of the file and {span}; grey: no faults. {_marks_said(time)}{outside}",
        panels=tuple(panels),
        row_height=4.2,
    )


# --------------------------------------------------------------------------------------------------------------- stall


def blocked(table: pd.DataFrame) -> dict[int, float]:
    """By evaluation, the time in which any thread was in one of these faults, as the section on storage counts it."""
    of = table[table["evaluation"].notna() & table["stall_ns"].notna()].sort_values(["evaluation", "end_ns"])
    found: dict[int, float] = {}
    for evaluation, rows in of.groupby("evaluation", sort=False):
        end = floats(rows["end_ns"])
        begin = end - floats(rows["stall_ns"].to_numpy(np.int64))
        later = np.append(np.minimum.accumulate(begin[::-1])[::-1][1:], np.inf)
        found[int(str(evaluation))] = float(np.maximum(np.minimum(end, later) - begin, 0).sum())
    return found


def stall_per_token(source: Source) -> Chart:
    """What of each token's time a thread was in a page fault."""
    table, typical = source.io("faults"), Typical.of(source)
    e = source.evaluations
    numbers = source.numbers[typical.chosen]
    tokens = floats(source.first[typical.chosen])
    whole = floats((e["end_ns"] - e["begin_ns"]).to_numpy())[typical.chosen]
    sums = {name: blocked(of) for name, of in (("any", table), ("major", table[table["major"]]))}
    each = {name: floats([one.get(int(number), 0.0) for number in numbers]) for name, one in sums.items()}
    mean, waits = float(whole.mean()), float(each["any"].mean())
    return Chart(
        title=f"A {typical.word} takes {say(mean, 'ns')} on average; in {say(waits, 'ns')} of that, "
        f"{say(waits / max(mean, 1.0), 'share')}, a thread is in a page fault.",
        subtitle="A major fault waits for the disk, or for another thread that does; a minor one finds its page in "
        "memory, where it may have been read ahead. Time in which several threads are in faults counts once.",
        panels=(
            Lines(
                "",
                (
                    Series("time of the token", tokens, whole),
                    Series("a thread in a page fault", tokens, each["any"]),
                    Series("a thread in a major fault", tokens, each["major"]),
                ),
                Axis(source.token_label),
                Axis("time", "ns"),
            ),
        ),
        row_height=4.5,
    )


# ----------------------------------------------------------------------------------------------------------- residency


def _of_model(source: Source, table: pd.DataFrame, files: Files) -> tuple[pd.DataFrame, Floats]:
    """The rows about files of the model, and where each begins on the axis of these files."""
    numbers = {str(file["path"]): i + 1 for i, file in enumerate(source.section("run").values.get("model_files", []))}
    start = files.at(np.array([numbers.get(path, 0) for path in table["path"].astype(str)], np.int64))
    known = np.isfinite(start)
    return table[known], start[known] + floats(table["file_offset"])[known]


def by_events(source: Source, table: pd.DataFrame, at: Floats, files: Files, time: Time) -> Floats:
    """The share of each part that is in memory, by column, from what came and left.

    A page that leaves before it came had been there; one that neither comes nor leaves had not.
    """
    page = int(source.trace.trace.header.page_bytes or 4096)
    pages = (table["bytes"].to_numpy(np.int64) + page - 1) // page
    of = np.repeat(np.arange(len(table)), pages)
    low = at[of] + page * (np.arange(len(of)) - np.repeat(np.cumsum(pages) - pages, pages)).astype(np.float64)
    change = np.where((table["event"] == "evict").to_numpy(), -1.0, 1.0)[of]
    order = np.argsort(low, kind="stable")  # the events of a page stay in the order of time
    new = np.diff(low[order], prepend=np.nan) != 0
    known = new | (np.diff(change[order], prepend=0.0) != 0)  # what comes twice came once: events may be lost
    there, order = order[new & (change[order] < 0)], order[known]
    high = np.minimum(low + page, files.end)
    size, column = high - low, time.column(table["at_ns"])[of]
    spans = (low[order], high[order])
    changes = spread(files.end, spans, (change * size)[order], column[order], (COLUMNS, PARTS))
    nothing = np.zeros(len(there), np.int64)
    before = spread(files.end, (low[there], high[there]), size[there], nothing, (1, PARTS))
    held = np.cumsum(changes, axis=0) + before
    return floats(np.clip(held.T * PARTS / files.end, 0.0, 1.0))


def by_samples(table: pd.DataFrame, at: Floats, files: Files, time: Time) -> Floats:
    """The same from samples: the last one in a column; between two samples what both say, NaN where they differ.

    Before the first sample of a part of the file and after its last one, nothing is known: NaN.
    """
    moments = np.unique(table["at_ns"].to_numpy(np.int64))
    group = np.searchsorted(moments, table["at_ns"].to_numpy(np.int64))
    there, high = table["resident"].to_numpy(bool), np.minimum(at + floats(table["bytes"]), files.end)

    def total(of: NDArray[np.bool_]) -> Floats:
        shape = (len(moments), PARTS)
        return spread(files.end, (at[of], high[of]), (high - at)[of], group[of], shape) * PARTS / files.end

    sampled = total(np.ones(len(table), np.bool_))
    shares = np.where(sampled > 0, np.clip(total(there) / np.maximum(sampled, 1e-9), 0.0, 1.0), np.nan)
    held = pd.DataFrame(np.vstack([np.full((1, PARTS), np.nan), shares, np.full((1, PARTS), np.nan)]))
    before, after = floats(held.ffill()), floats(held.bfill())
    columns, every = time.column(moments), np.arange(COLUMNS)
    last = np.searchsorted(columns, every, side="right")  # as numbers of rows of `held`
    inside = np.searchsorted(columns, every) < last
    last_of, next_of = before[last], after[np.minimum(last + 1, len(moments) + 1)]
    agree = np.isclose(last_of, next_of, rtol=0, atol=1e-9)
    seen = inside[:, None] & np.isfinite(floats(held)[last])
    return floats(np.where(seen | agree, last_of, np.nan).T)


def _while_typical(source: Source, time: Time) -> slice:
    """The columns from the first typical token to the last."""
    e = source.evaluations[Typical.of(source).chosen]
    first, last = time.column([e["begin_ns"].min(), e["end_ns"].max()])
    return slice(int(first), int(last) + 1)


def _held_said(values: Floats) -> str:
    """How much is in memory in the columns of which all is known."""
    known = values[:, np.isfinite(values).all(axis=0)].mean(axis=0)
    if not known.size:
        return "How much of the model is in memory while tokens are generated is not known."
    low, high = float(known.min()), float(known.max())
    words = say(low, "share") if high - low < 0.005 else f"{say(low, 'share')} to {say(high, 'share')}"
    return f"While tokens are generated, {words} of the model is in memory."


def residency(source: Source) -> Chart:
    """Which of the model's bytes are in memory, over time."""
    files = Files.of(source)
    events, at = _of_model(source, source.io("page_cache"), files)
    samples, at_sample = _of_model(source, source.io("residency"), files)
    if events.empty and samples.empty:
        raise AbsentError(source.why_no_io("pages", "residency"))
    time = Time.of(source, (samples if events.empty else events)["at_ns"])
    if events.empty:
        values, how = (
            by_samples(samples, at_sample, files, time),
            "It was sampled. Grey: not known, as the samples before and after differ, or one of them is missing. ",
        )
    else:
        values = by_events(source, events, at, files, time)
        how = "Pages that neither came nor left while it was recorded count as not in memory. "
    return Chart(
        title=_held_said(values[:, _while_typical(source, time)]),
        subtitle=f"Each cell is {say(files.end / PARTS, 'bytes')} of the file. {_marks_said(time)}{how}",
        panels=(_map(source, (time, files), "", values, Axis("share that is in memory", "share")),),
        row_height=5.5,
    )


# ----------------------------------------------------------------------------------------------------------- read again


def _slice_name(row: Any) -> str:
    return str(row.tensor) if pd.isna(row.expert) else f"{row.tensor}, expert {int(row.expert)}"


def read_again(source: Source) -> Chart:
    """Which weights came from the disk more than once."""
    source.io("io_sources")  # raises if nothing was recorded
    table = source.section("storage").tables.get("read_slices", pd.DataFrame())
    if table.empty or not table["read_bytes"].any():
        raise AbsentError(source.why_no_io("pages", "requests"))
    table = table.assign(expert=table.get("expert", np.nan))
    again, read = float(table["again_bytes"].sum()), float(table["read_bytes"].sum())
    shown = table[table["read_bytes"] > 0].sort_values("read_bytes", ascending=False, kind="stable").head(_MOST_BARS)
    twice = floats(shown["again_bytes"])
    texts = tuple(f"{say(float(n), 'bytes')}" for n in shown["read_bytes"])
    most = f" Of {len(table[table['read_bytes'] > 0]):,} weights these are the {len(shown)} with the most bytes."
    return Chart(
        title=f"{say(again / read, 'share')} of the {say(read, 'bytes')} that were read of the weights had been read "
        "before.",
        subtitle="Pages that came into memory from the disk, by the weight that they are of, experts each by itself."
        + (most if len(shown) == _MOST_BARS else ""),
        panels=(
            Bars(
                "",
                tuple(_slice_name(row) for row in shown.itertuples()),
                (("for the first time", floats(shown["read_bytes"]) - twice), ("again", twice)),
                Axis("weight"),
                Axis("read from the disk", "bytes"),
                horizontal=True,
                stacked=True,
                texts=texts,
            ),
        ),
        row_height=6.5,
    )


# ---------------------------------------------------------------------------------------------------------- throughput


def _rates(time: Time, times: Floats, amounts: Floats) -> Floats:
    """Amounts by the second, in each column."""
    sums = np.bincount(time.column(times), amounts, COLUMNS)
    return np.asarray(sums / (np.diff(time.edges) / 1e9))


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read from the disk, as far as it was recorded."""

    name: str
    times: Floats
    amounts: Floats
    """Bytes at these times or, of a counter, since the time before: it tells only how many came between."""
    counts: bool = False

    def rates(self, time: Time) -> Floats:
        """Bytes by the second in each column. What a counter grew by is spread evenly; NaN where it was not read."""
        if not self.counts:
            return _rates(time, self.times, self.amounts)
        total = np.interp(time.edges, self.times, np.cumsum(self.amounts))
        known = (time.edges[1:] > self.times[0]) & (time.edges[:-1] < self.times[-1])
        return floats(np.where(known, np.diff(total) / (np.diff(time.edges) / 1e9), np.nan))


def counted(table: pd.DataFrame, name: str) -> tuple[Floats, Floats]:
    """When a counter was read, and by how much it had grown since the time before."""
    of = table[table["counter"] == name]
    at, value = floats(of["at_ns"]), floats(of["value"])
    return at, np.maximum(np.diff(value, prepend=value[:1]), 0.0)


def model_disks(source: Source) -> set[int]:
    """The disks that the model's files are on."""
    files = source.io("io_files")
    paths = {str(file["path"]) for file in source.section("run").values.get("model_files", [])}
    return {int(disk) for disk in files[files["path"].astype(str).isin(paths)]["disk"].dropna()}


def disk_rates(source: Source) -> dict[str, float]:
    """What the disk gives at best, as `tat doctor --disk` measured it; nothing if it did not."""
    values = source.section("storage").values
    names = {
        "disk_best_bytes_per_second": "what the disk gives at best",
        "disk_mapped_bytes_per_second": "what page faults get of it at best",
    }
    return {name: float(values[key]) for key, name in names.items() if key in values}


def _readings(source: Source) -> list[Reading]:
    """What was read from the disk; the last one is drawn over the others."""
    requests = source.io("requests")
    requests = requests[~requests["write"] & ~requests["failed"]]
    disks = model_disks(source)
    requests = requests[requests["disk"].isin(disks)] if disks else requests
    if requests.empty:
        at, grown = counted(source.io("io_counters"), "read_bytes")
        return [Reading("for this process", at, grown, counts=True)] if len(at) > 1 else []
    parts = source.io("placed_requests")
    parts = parts[parts["file"].notna() & (parts["place"] != "write")]
    found = [("by all who use the disk", requests), ("of the model", parts)]
    return [Reading(name, floats(of["end_ns"]), floats(of["bytes"])) for name, of in found if len(of)]


def disk_throughput(source: Source) -> Chart:
    """What is read from the disk in each moment, beside what it can give."""
    readings, limits = _readings(source), disk_rates(source)
    if not readings:
        raise AbsentError(source.why_no_io("requests", "counters"))
    time = Time.of(source, *(one.times for one in readings))
    middle = (time.edges[1:] + time.edges[:-1]) / 2
    series = [Series(one.name, middle, one.rates(time)) for one in readings]
    mean = _mean_of(source, series[-1])
    series += [Series(name, time.edges[[0, -1]], floats([rate, rate]), "dashes") for name, rate in limits.items()]
    beside = f", {say(mean / max(limits.values()), 'share')} of what the disk gives at best" if limits and mean else ""
    how = "" if limits else " `tat doctor --disk MODEL` measures what the disk can give."
    if readings[-1].counts:
        apart = say(float(np.diff(readings[-1].times).max()), "ns")
        points = (
            f"Requests were not recorded. This is a counter of the process, read at most {apart} apart; "
            "what it grew by is spread evenly over the time between two readings."
        )
    else:
        points = f"Each point is the mean of {say(float(time.edges[1] - time.edges[0]), 'ns')}."
    return Chart(
        title=f"While tokens are generated, {say(mean, 'bytes')} a second are read {readings[-1].name}{beside}.",
        subtitle=f"{points}{how}",
        panels=(Lines("", tuple(series), time.axis, Axis("bytes read per second", "bytes")),),
        row_height=4.5,
    )


def _mean_of(source: Source, series: Series) -> float:
    """While typical tokens were computed."""
    chosen = Typical.of(source).chosen
    begins, ends = (floats(source.evaluations[name])[chosen] for name in ("begin_ns", "end_ns"))
    inside = (series.x >= begins.min()) & (series.x <= ends.max()) & np.isfinite(series.y)
    return float(series.y[inside].mean()) if inside.any() else 0.0
