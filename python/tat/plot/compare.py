# SPDX-License-Identifier: MIT
"""Plots of several runs in one picture, like with like.

What differs between the runs is said, and what cannot stand side by side is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tat.errors import ErrorKind, TatError
from tat.plot.chart import (
    AbsentError,
    Axis,
    Bars,
    Chart,
    Floats,
    Footer,
    Heat,
    Lines,
    Series,
    check_room,
    floats,
    steps,
)
from tat.plot.source import Source
from tat.plot.typical import Typical
from tat.plot.units import say

MOST_RUNS = 8
"""As many as there are colours for lines."""
_MOST_PANELS = 4
_OPERATIONS = 8
_METADATA_MOST = 1 << 20
_POLICIES = ("lru", "frequency", "min")


@dataclass(frozen=True, eq=False)
class Run:
    """A run and what it is called in legends."""

    name: str
    source: Source

    @cached_property
    def model(self) -> str:
        """The name of the model's file."""
        return self.source.footer().model

    @cached_property
    def hashes(self) -> tuple[int, ...]:
        """What tells models apart, whatever their files are called."""
        return tuple(sorted({int(file["model_hash"]) for file in self.source.trace.trace.model_files}))

    @cached_property
    def setup(self) -> dict[str, Any]:
        """What may explain a difference."""
        values = self.source.section("run").values
        host = values.get("host", {})
        setup = {
            "model": self.model,
            "ggml": values.get("ggml_version"),
            "processor": host.get("cpu"),
            "processors": host.get("cpus"),
            "threads": values.get("threads"),
            "exact times": bool(values.get("exact_evaluations")),
        }
        return setup | {f"option {name}": value for name, value in (self.options or {}).items()}

    @cached_property
    def options(self) -> dict[str, Any] | None:
        """Those of the command line; None where they are not known."""
        return _options(self.source.trace.path)

    @cached_property
    def busy(self) -> str:
        """What others took of the machine meanwhile, as the report tells it; "" where that was little."""
        answer = self.source.section("run")
        if not any(label == "BUSY" for label, _ in answer.lines):
            return ""
        lost = float(answer.values.get("machine", {}).get("lost_share", 0))
        return f"{self.name} ran on a busy machine: others took {say(lost, 'share')} of the time of its threads. "


Runs = Sequence[Run]


def _options(path: Path) -> dict[str, Any] | None:
    """The options of the run as trace_metadata.json has them (doc/format.md); None where it has none."""
    file = (path if path.is_dir() else path.parent) / "trace_metadata.json"
    try:
        with file.open("rb") as opened:
            found = json.loads(opened.read(_METADATA_MOST))
    except (OSError, ValueError):
        return None
    options = found.get("options") if isinstance(found, dict) else None
    return options if isinstance(options, dict) else None


_TEXTS = ("option prompt", "option prompt_file", "option system_prompt")


def differences(runs: Runs) -> str:
    """What differs in how the runs were made, as a sentence; the words of prompts are not told."""
    said = []
    for key in dict.fromkeys(key for run in runs for key in run.setup):
        values = [run.setup.get(key) for run in runs]
        if all(value == values[0] for value in values):
            continue
        name = key.removeprefix("option ")
        shown = ", ".join(dict.fromkeys("not given" if value is None else str(value) for value in values))
        said.append(name if key in _TEXTS else f"{name} ({shown})")
    if said:
        return f"The runs differ in {', '.join(said)}. "
    known = all(run.options is not None for run in runs)
    return "The runs were made alike. " if known else "As far as is known, the runs were made alike. "


def _same_model(runs: Runs, what: str) -> None:
    if len({run.hashes for run in runs}) > 1:
        models = ", ".join(dict.fromkeys(run.model for run in runs))
        raise AbsentError(f"the runs are of different models ({models}), whose {what} are not the same ones")


def _each(runs: Runs, values: Sequence[str]) -> str:
    """A value of each run: "1 s in A, 2 s in B and 3 s in C"."""
    parts = [f"{value} in {run.name}" for run, value in zip(runs, values, strict=True)]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _of_times(runs: Runs) -> str:
    waits = "Times are those of thread 0 and include waiting for the other threads. "
    return "".join(run.busy for run in runs) + waits


# ------------------------------------------------------------------------------------------------------------- time


def _token_ns(run: Run) -> tuple[Floats, Floats]:
    """Token and time of each evaluation that is typical."""
    chosen = Typical.of(run.source).chosen
    table = run.source.evaluations
    return floats(run.source.first[chosen]), floats((table["end_ns"] - table["begin_ns"]).to_numpy())[chosen]


def token_times(runs: Runs) -> Chart:
    """How long each generated token takes, and how long the median and slow ones."""
    words = {Typical.of(run.source).word for run in runs}
    if len(words) > 1:
        raise AbsentError(f"the runs have no phase in common: {', '.join(sorted(words))}")
    (word,) = words
    times = [_token_ns(run) for run in runs]
    points = {"median": 0.5, "90 % are faster": 0.9}
    bars = tuple(
        (name, floats([np.quantile(ns, share, method="inverted_cdf") for _, ns in times]))
        for name, share in points.items()
    )
    rates = [f"{1e9 / max(value, 1):,.1f}" for value in bars[0][1]]
    return Chart(
        title=f"Tokens per second at the pace of the median {word}: {_each(runs, rates)}.",
        subtitle=_of_times(runs),
        panels=(
            Lines(
                f"Time of each {word}",
                tuple(Series(run.name, *time) for run, time in zip(runs, times, strict=True)),
                Axis("token"),
                Axis("time", "ns", log=True),
            ),
            Bars("", tuple(run.name for run in runs), bars, Axis("run"), Axis(f"time of a {word}", "ns")),
        ),
        row_height=3.6,
    )


def _by_layer(run: Run, value: str) -> Series:
    matrix, typical = run.source.matrix("layer", value), Typical.of(run.source)
    values = typical.medians(matrix) if value == "ns" else typical.means(matrix)
    known = np.isfinite(matrix.layers)
    order = np.argsort(matrix.layers[known])
    return Series(run.name, floats(matrix.layers[known][order]), floats(values[known][order]))


def layers(runs: Runs) -> Chart:
    """Time and bytes of each layer for one token."""
    _same_model(runs, "layers")
    time, size = [_by_layer(run, "ns") for run in runs], [_by_layer(run, "bytes") for run in runs]
    if not all(len(one.x) for one in time):
        raise AbsentError("no operation names a layer")
    word = Typical.of(runs[0].source).word
    medians = _each(runs, [say(float(np.median(one.y)), "ns") for one in time])
    return Chart(
        title=f"Of the median {word}, the median layer takes {medians}.",
        subtitle=_of_times(runs),
        panels=(
            Lines(f"Time: median {word}", tuple(time), Axis("layer"), Axis("time", "ns")),
            Lines(f"Bytes touched: mean {word}", tuple(size), Axis("layer"), Axis("bytes touched", "bytes")),
        ),
        row_height=3.4,
    )


def operation_types(runs: Runs) -> Chart:
    """Time of each operation in the median token."""
    times = []
    for run in runs:
        matrix = run.source.matrix("operation", "ns")
        times.append(dict(zip(matrix.names, Typical.of(run.source).medians(matrix).tolist(), strict=True)))
    names = sorted({name for one in times for name in one}, key=lambda name: -max(one.get(name, 0) for one in times))
    names = [name for name in names if any(one.get(name) for one in times)][:_OPERATIONS]
    if not names:
        raise AbsentError("no operation took any time")
    word = Typical.of(runs[0].source).word
    first = _each(runs, [say(one.get(names[0], 0.0), "ns") for one in times])
    series = tuple(
        (run.name, floats([one.get(name, 0) for name in names])) for run, one in zip(runs, times, strict=True)
    )
    return Chart(
        title=f"{names[0]} takes {first} of the median {word}.",
        subtitle=f"{_of_times(runs)}Of each operation the median over tokens.",
        panels=(Bars("", tuple(names), series, Axis("operation"), Axis("time", "ns"), horizontal=True),),
        row_height=5.5,
    )


# ---------------------------------------------------------------------------------------------- caches and experts


def kv_growth(runs: Runs) -> Chart:
    """What of the KV cache each generated token reads."""
    series = []
    for run in runs:
        table = run.source.table("attention", "growth")
        table = table[(table["phase"] == "generate") & (table["kv_distinct_bytes"] > 0) & (table["tokens"] > 0)]
        if table.empty:
            raise AbsentError(f"{run.name} has no generated token that reads a KV cache")
        table = table[table["context"] == table["context"].mode().iloc[0]]
        each = floats(table["kv_distinct_bytes"]) / floats(table["tokens"])
        series.append(Series(run.name, floats(table["token"]), each, "steps"))
    last = _each(runs, [say(float(one.y[-1]), "bytes") for one in series])
    return Chart(
        title=f"Of the KV cache the last generated token reads {last}.",
        subtitle="llama.cpp pads the range of cells that it reads, so reads grow in steps. ",
        panels=(Lines("", tuple(series), Axis("token"), Axis("KV cache read per token", "bytes")),),
        row_height=4.5,
    )


def _shares(run: Run, shape: tuple[int, int]) -> Floats:
    routing = run.source.routing()
    counts = np.zeros(shape)
    np.add.at(counts, (routing["layer"].to_numpy(), routing["expert"].to_numpy()), 1)
    total = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, counts / np.maximum(total, 1), np.nan))


def layer_expert(runs: Runs) -> Chart:
    """How often each layer chooses each expert, the runs side by side."""
    _same_model(runs, "experts")
    if len(runs) > _MOST_PANELS:
        raise AbsentError(f"no more than {_MOST_PANELS} runs have room side by side")
    tables = [run.source.routing() for run in runs]
    shape = (max(int(t["layer"].max()) for t in tables) + 1, max(int(t["expert"].max()) for t in tables) + 1)
    check_room(max(shape), "layers or experts")
    shares = [_shares(run, shape) for run in runs]
    kept = [i for i in range(shape[0]) if any(np.isfinite(one[i]).any() for one in shares)]
    top = max(float(np.nanmax(one)) for one in shares)
    ticks = tuple((float(i), str(layer)) for i, layer in enumerate(kept))
    apart = [float(np.nanmean(np.nansum(np.abs(one - shares[0]), axis=1)[kept] / 2)) for one in shares[1:]]
    moved = _each(runs[1:], [say(value, "share") for value in apart])
    heats = tuple(
        Heat(
            title=f"{run.name}: {len(table):,} selections",
            values=one[kept],
            x_edges=steps(shape[1]),
            y_edges=steps(len(kept)),
            x=Axis("expert", ticks=tuple((float(i), str(i)) for i in range(shape[1]))),
            y=Axis("layer", ticks=ticks),
            value=Axis("share of the layer's selections", "share"),
            limits=(0.0, top),
            row_names=tuple(map(str, kept)),
        )
        for run, one, table in zip(runs, shares, tables, strict=True)
    )
    return Chart(
        title=f"Selections that go to other experts of their layer than in {runs[0].name}: {moved}.",
        subtitle="Half the sum of the differences of shares, the mean over layers. Few selections differ by chance "
        "alone: `tat diff --section experts` tests it over runs. ",
        panels=heats,
        columns=2,
        row_height=5 if len(kept) > 12 else 3.6,
    )


def miss_ratio_curves(runs: Runs) -> Chart:
    """What a cache of each size reads, by policy, the runs over each other."""
    units = {str(run.source.section("caching").values["unit"]) for run in runs}
    if len(units) > 1:
        raise AbsentError(f"the caches of the runs keep different units: {', '.join(sorted(units))}")
    tables = [run.source.table("caching", "curves") for run in runs]
    panels = []
    for key in _POLICIES:
        series = tuple(
            Series(run.name, floats(table["cache_bytes"]), floats(table[key]))
            for run, table in zip(runs, tables, strict=True)
            if key in table and table[key].notna().any()
        )
        if len(series) == len(runs):
            label = str(tables[0].attrs["labels"][key])
            share = Axis("share of the wanted bytes that is read", "share")
            panels.append(Lines(f"{label[:1].upper()}{label[1:]}", series, Axis("cache", "bytes"), share))
    if not panels:
        raise AbsentError("no weight was read twice, so there is nothing to save")
    savings = [run.source.table("caching", "savings").iloc[0] for run in runs]
    half = _each(runs, [say(float(one["at_50"]), "share") for one in savings])
    return Chart(
        title=f"With half of the weights in memory, {savings[0]['policy']} saves of the bytes read {half}.",
        subtitle=f"Every cache keeps {units.pop()}. ",
        panels=tuple(panels),
        row_height=3.6,
    )


def reuse_distance(runs: Runs) -> Chart:
    """Within how many other bytes what share of the repeated reads comes."""
    series: list[Series] = []
    half: list[str] = []
    for run in runs:
        table = run.source.table("caching", "reuse_distances")
        share, distance = floats(table["share_up_to"]), floats(table["up_to_bytes"])
        series.append(Series(run.name, np.concatenate([[0.0], distance]), np.concatenate([[0.0], share]), "steps"))
        half.append(say(float(distance[int(np.searchsorted(share, 0.5))]), "bytes"))
    return Chart(
        title=f"Half of the repeated reads come within this many bytes of other weights: {_each(runs, half)}.",
        subtitle="",
        panels=(Lines("", tuple(series), Axis("reuse distance", "bytes"), Axis("share of the reads", "share")),),
        row_height=4.5,
    )


def prediction_scores(runs: Runs) -> Chart:
    """How often each predictor names the next slice of weights."""
    tables = [run.source.table("order", "prediction").set_index("label")["slice_share"] for run in runs]
    names = [str(name) for name in tables[0].index if all(name in table for table in tables)]
    series = tuple((run.name, floats(table[names])) for run, table in zip(runs, tables, strict=True))
    best = _each(runs, [say(float(np.nanmax(values)), "share") for _, values in series])
    return Chart(
        title=f"The best predictor is right about the next slice of weights {best}.",
        subtitle="Predictors learn from the first half of the tokens and are tested on the second. ",
        panels=(
            Bars("", tuple(names), series, Axis("predictor"), Axis("right predictions", "share"), horizontal=True),
        ),
        row_height=4.6,
    )


# --------------------------------------------------------------------------------------------------------- all of them


class Compared(NamedTuple):
    """A plot of several runs. `make` raises AbsentError where they have nothing to compare."""

    name: str
    question: str
    make: Callable[[Runs], Chart]


COMPARED = (
    Compared("token_times", "How fast is each run, and how evenly?", token_times),
    Compared("layers", "In which layers do the runs differ?", layers),
    Compared("operation_types", "Which operations take longer?", operation_types),
    Compared("kv_growth", "Which run reads more of the KV cache?", kv_growth),
    Compared("layer_expert", "Do the runs use the same experts?", layer_expert),
    Compared("reuse_distance", "Which run reads its weights again sooner?", reuse_distance),
    Compared("miss_ratio_curves", "In which run does a cache save more?", miss_ratio_curves),
    Compared("prediction_scores", "Which run is easier to predict?", prediction_scores),
)


def footer_of(runs: Runs) -> Footer:
    """The models, and the tokens of each run."""
    models = ", ".join(dict.fromkeys(run.model for run in runs if run.model))
    tool = " · Tensor Access Tracker"
    return Footer(models, "; ".join(f"{r.name}: {r.source.footer().run.removesuffix(tool)}" for r in runs) + tool)


def caveats(runs: Runs) -> str:
    """What the figures of each are subject to, and what differs between the runs."""
    said = [f"{run.name}: {run.source.caveats()} " for run in runs if run.source.caveats()]
    return "".join(said) + differences(runs)


def named(names: Sequence[str]) -> list[str]:
    """Names for legends: those that occur twice get a number."""
    if len(names) > MOST_RUNS:
        raise TatError(ErrorKind.USAGE, f"{len(names)} runs are more than colours tell apart: {MOST_RUNS} at most")
    return [f"{name} ({names[: i + 1].count(name)})" if names.count(name) > 1 else name for i, name in enumerate(names)]
