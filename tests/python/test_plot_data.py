# SPDX-License-Identifier: MIT
"""What plots show, read back from what was drawn, against recounts of `tat export`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tat
from matplotlib.colors import to_rgb
from tat.plot import AbsentError, attention, caching, experts, heatmaps, order, storage, tensors
from tat.plot.chart import EMPTY, Bars, Heat, Lines, Points, Series
from tat.plot.places import Files
from tat.plot.units import say, say_bytes, scale_of

from drawn import MAKE, axes_of, bars_drawn, by_token, drawn, heat_drawn, panels_of, records_of, source_of
from io_run import made


@pytest.fixture(params=["toy", "real"])
def path(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


# ------------------------------------------------------------------------------------------------------------- heatmaps


def test_token_layer(path: Path) -> None:
    chart, figure = drawn(path, "heatmap_token_layer")
    records = records_of(path)
    layer = records["layer"].map(lambda number: "none" if pd.isna(number) else str(int(number)))
    *touched, times = panels_of(chart, Heat)
    sizes = generated(records).pivot_table(index="graph", columns="layer", values="size", aggfunc="sum")
    flat = bool(((sizes.max() - sizes.min()) <= 0.02 * sizes.mean()).all())
    assert flat == (not touched), "a panel of one colour is a sentence"
    assert flat == ("Each generated token touches " in chart.subtitle)
    for heat in touched:
        expected = by_token(records, records["size"], layer, list(heat.row_names))
        np.testing.assert_allclose(heat_drawn(figure, 0, heat), expected, rtol=1e-9)
    nodes = records.assign(row=layer).drop_duplicates(["graph", "node"])
    expected = by_token(nodes, nodes["duration_ns"].astype(float), nodes["row"], list(times.row_names))
    np.testing.assert_allclose(heat_drawn(figure, len(touched), times), expected, rtol=1e-9, atol=1e-6)
    pace = tat.TraceAnalyzer(path).section("phases").tables["pace"].set_index("phase")
    median = say(float(pace.loc["generate", "p50_ns"]), "ns")
    assert chart.title.startswith(f"The median generated token takes {median}")
    assert chart.title != MAKE["layers"](source_of(path)).title


def test_delays_of_a_busy_machine_do_not_set_the_scale() -> None:
    """3 rows that take 100, 200 and 300, and a sixth of all times a thousand times as long."""
    rows = np.repeat([[100.0], [200.0], [300.0]], 60, axis=1)
    rows[:, ::6] *= 1000
    assert 300 <= heatmaps.time_limits(rows)[1] <= 600
    assert heatmaps.time_limits(np.full((2, 3), np.nan)) == (0.0, 1.0)
    assert heatmaps.time_limits(np.array([[1.0, 2.0, 2.0]]))[1] <= 2


def test_token_tensor(path: Path) -> None:
    chart, figure = drawn(path, "heatmap_token_tensor")
    (heat,) = panels_of(chart, Heat)
    records = records_of(path)
    weights = records[records["memory"].isin(["file", "copy"])]
    touched = weights.groupby("tensor")["size"].sum()
    assert set(heat.row_names) == set(touched[touched > 0].index)
    generated = weights[(weights["phase"] == "generate") & (weights["size"] > 0)]
    sizes = generated.groupby(["graph", "tensor"])["size"].sum().unstack(fill_value=0)
    flat = bool(((sizes.max() - sizes.min()) <= 0.02 * sizes.mean()).all())
    assert flat == (heat.value.unit == "ns")
    if flat:
        assert "same number of bytes" in chart.subtitle
        assert "The bytes themselves may differ" in chart.subtitle
        places = generated.groupby("graph")["offset"].agg(frozenset)
        assert places.nunique() > 1  # and they do: each token reads its own row of the embedding
    else:
        expected = by_token(weights, weights["size"], weights["tensor"], list(heat.row_names))
        np.testing.assert_allclose(heat_drawn(figure, 0, heat), expected, rtol=1e-9)


def test_experts_by_token(path: Path) -> None:
    chart, figure = drawn(path, "moe_expert_heatmap")
    (heat,) = panels_of(chart, Heat)
    shown = heat_drawn(figure, 0, heat)
    table = tat.TraceAnalyzer(path).section("experts").tables["experts"]
    least = table.loc[table["normalised_entropy"].idxmin()]
    layer = int(least["layer"])
    assert chart.view == f"layer {layer}", "experts of different layers have nothing in common"
    assert set(chart.views) == {f"layer {other}" for other in table["layer"]} - {chart.view}
    assert f"Normalised entropy of the layer's use: {least['normalised_entropy']:.2f}" in chart.subtitle
    assert f" of {least['tokens']} tokens chose expert {least['most_chosen']}" in chart.title
    # A generated token's selections are the slices that it read of one stack of the layer.
    records = records_of(path)
    single = records[(records["phase"] == "generate") & (records["layer"] == layer) & (records["op"] == "MUL_MAT_ID")]
    one_stack = single[single["expert"].notna()].drop_duplicates(["graph", "expert"])
    first = int(records["token"].min())
    expected = np.zeros_like(shown)
    np.add.at(expected, (one_stack["expert"].astype(int), one_stack["token"].astype(int) - first), 1)
    of_generation = np.unique(one_stack["token"].astype(int)) - first
    assert len(of_generation) > 0
    np.testing.assert_array_equal(shown[:, of_generation], expected[:, of_generation])
    np.testing.assert_array_equal(np.isnan(shown).all(axis=0).sum(), shown.shape[1] - least["tokens"])


def test_experts_by_layer(path: Path) -> None:
    chart, figure = drawn(path, "layer_expert")
    (heat,) = panels_of(chart, Heat)
    table = tat.TraceAnalyzer(path).section("experts").tables["experts"]
    expected = np.full_like(heat.values, np.nan)
    for row, shares in enumerate(table["shares"]):
        expected[row, : len(shares)] = [share if share else np.nan for share in shares]
    np.testing.assert_allclose(heat_drawn(figure, 0, heat), expected, atol=1e-12)
    assert f"{table['selections'].max():,} choices in each layer" in chart.subtitle


def test_transitions(path: Path) -> None:
    chart, figure = drawn(path, "transitions")
    routing = source_of(path).routing()
    assert (routing["position"] >= 0).all()  # also where the last layer routes some of a prompt's rows
    for number, heat in enumerate(panels_of(chart, Heat)):
        layer = int(heat.title.removeprefix("Layer "))
        chosen: dict[int, set[int]] = {}
        for position, expert in routing.loc[routing["layer"] == layer, ["position", "expert"]].to_numpy():
            chosen.setdefault(position, set()).add(expert)
        counts = np.zeros_like(heat.values)
        for position, set_of_one in chosen.items():
            for expert in set_of_one:
                for following in chosen.get(position + 1, ()):
                    counts[expert, following] += 1
        enough = counts.sum(axis=1) >= experts.FEWEST
        shown = heat_drawn(figure, number, heat)
        np.testing.assert_allclose(shown[enough], counts[enough] / counts[enough].sum(axis=1, keepdims=True))
        assert np.isnan(shown[~enough]).all()
        assert heat.row_names == tuple(f"{i} ({int(n):,})" for i, n in enumerate(counts.sum(axis=1)))
    pairs = tat.TraceAnalyzer(path).section("experts").tables["overlap"]["token_pairs"].max()
    assert f"({pairs:,} pairs of tokens in a layer)" in chart.title


# ----------------------------------------------------------------------------------------------------- bars and others


def generated(records: pd.DataFrame) -> pd.DataFrame:
    return records[records["phase"] == "generate"]


def middle_of(values: pd.Series) -> float:
    """The lower median, as the report takes it."""
    return float(np.sort(values.to_numpy(float))[(len(values) - 1) // 2])


def test_layers(path: Path) -> None:
    """Bytes and time of one token: sums would show the slow ones of a busy machine."""
    chart, figure = drawn(path, "layers")
    bars, times = panels_of(chart, Bars)
    records = generated(records_of(path))
    graphs = records["graph"].nunique()
    shown = bars_drawn(figure, 0, bars).sum(axis=0)
    expected = records.groupby("layer")["size"].sum() / graphs
    assert [float(label) for label in bars.labels] == list(expected.index)
    np.testing.assert_allclose(shown, expected.to_numpy(), rtol=1e-9)
    nodes = records.drop_duplicates(["graph", "node"])
    spent = nodes.assign(ns=nodes["duration_ns"].astype(float)).groupby(["layer", "graph"])["ns"].sum()
    medians = [middle_of(spent[layer]) for layer in expected.index]
    np.testing.assert_allclose(bars_drawn(figure, 1, times)[0], medians, rtol=1e-9)
    table = tat.TraceAnalyzer(path).section("layers").tables["token_times"]
    np.testing.assert_allclose(times.series[0][1][table["layer"].astype(int)], table["p50_ns"].to_numpy(float))


@pytest.mark.parametrize(
    ("bottlenecks", "times", "title"),
    [
        ([3], 1.3, "Layer 3 takes longest"),
        (
            [],
            1.06,
            "No layer stands out: compared with the median layer of the same generated token, layer 3 takes longest, "
            "but only 1.06 times as long. By its median time alone, layer 5 leads.",
        ),
        (
            [],
            2.15,
            "No layer stands out from the run's own variation: compared with the median layer of the same generated "
            "token, layer 3 takes longest, 2.15 times as long, but not in enough parts of the run. By its median",
        ),
        ([], 1.0, "No layer stands out: in the median generated token all take equally long."),
    ],
)
def test_noise_is_no_finding(bottlenecks: list[int], times: float, title: str) -> None:
    values = {"slowest_layer": 3, "slowest_of_median": times, "bottlenecks": bottlenecks, "longest_median_layer": 5}
    answer = tat.Answer("layers", "Layers", "Layer 3 takes longest", values)
    assert tensors._which_stands_out(answer, "generated token").startswith(title)


def test_operations(path: Path) -> None:
    """Shares of the median token, the largest first; what is left of them is one bar."""
    chart, _ = drawn(path, "operation_types")
    (bars,) = panels_of(chart, Bars)
    records = generated(records_of(path))
    nodes = records.drop_duplicates(["graph", "node"])
    spent = nodes.assign(ns=nodes["duration_ns"].astype(float)).pivot_table(
        index="graph", columns="op", values="ns", aggfunc="sum", fill_value=0
    )
    touched = records.pivot_table(index="graph", columns="op", values="size", aggfunc="sum", fill_value=0)
    (_, time), (_, size) = bars.series
    kept = [name for name in bars.labels if not name.endswith(" others")]
    for sums, shown in ((spent, time), (touched, size)):
        shares = sums.div(sums.sum(axis=1), axis=0)
        expected = [middle_of(shares[name]) for name in kept]
        np.testing.assert_allclose(shown[: len(kept)], expected, rtol=1e-9)
    assert (np.diff(time[: len(kept)]) <= 0).all()
    table = tat.TraceAnalyzer(path).section("time").tables["token_times"]
    assert kept[0] == table["operation"].iloc[0]
    assert time[0] == pytest.approx(float(table["share"].iloc[0]))
    assert f"{say(time[0], 'share')} of the median generated token's time" in chart.title


def test_hot_tensors(path: Path) -> None:
    chart, figure = drawn(path, "hot_tensors")
    records = records_of(path)
    weights = records[records["memory"].isin(["file", "copy"])]
    by_part = panels_of(chart, Bars)[0]
    sizes = generated(weights).groupby("component")["size"].sum() / generated(weights)["graph"].nunique()
    shown = bars_drawn(figure, len(chart.panels) - 1, by_part)[0]
    assert dict(zip(by_part.labels, shown, strict=True)) == pytest.approx(sizes[sizes > 0].to_dict())
    total = weights.groupby("tensor")["size"].sum()
    (bars,) = chart.views["bytes: weights"]
    assert isinstance(bars, Bars)
    assert len(bars.labels) == min(20, len(total[total > 0]))
    np.testing.assert_array_equal(bars.series[0][1], np.sort(total.to_numpy())[::-1][: len(bars.labels)])
    for label, value in zip(bars.labels, bars.series[0][1], strict=True):
        assert total[label] == value


def test_hotness_of_each_expert(real: Path) -> None:
    """The upper panel has each expert of a stack as a weight of its own: reads counted again from the records."""
    chart, _ = drawn(real, "hot_tensors")
    (lines,) = panels_of(chart, Lines)
    records = records_of(real)
    weights = records[records["memory"].isin(["file", "copy"]) & (records["size"] > 0)]
    table = tat.TraceAnalyzer(real).section("hot").tables["tensors"].set_index("tensor")
    touched = weights.groupby("tensor")["size"].sum()
    assert lines.series[0].x[-1] == pytest.approx(table["tensor_bytes"].sum())
    (curve,) = lines.series
    assert (np.diff(curve.y) <= 0).all()
    source = source_of(real)
    tokens = (source.weight * source.count).sum()
    assert (np.diff(curve.x) * curve.y[:-1]).sum() * tokens == pytest.approx(touched.sum())
    of_experts = weights[weights["expert"].notna()].groupby(["tensor", "expert"])["graph"].count()
    assert set((of_experts / tokens).round(9)) <= set(curve.y.round(9))


def test_hot_tensors_are_those_of_the_section(path: Path) -> None:
    chart, _ = drawn(path, "hot_tensors")
    (bars,) = chart.views["20 most read weights"]
    table = tat.TraceAnalyzer(path).section("hot").tables["hottest"]
    np.testing.assert_allclose(bars.series[0][1], np.sort(table["reads_per_token"].to_numpy(float))[::-1])


def test_timeline(path: Path) -> None:
    chart, figure = drawn(path, "timeline_offset")
    records = records_of(path)
    reads = records[records["memory"].isin(["file", "copy"]) & (records["access"] == "read")]
    per_token = by_token(reads, reads["size"], pd.Series("all", index=reads.index), ["all"])[0]
    heats = panels_of(chart, Heat)
    for number, heat in enumerate(heats):
        part = (heat.y_edges[-1] - heat.y_edges[0]) / len(heat.values)
        shown = heat_drawn(figure, 2 * number, heat)
        np.testing.assert_allclose(np.nansum(shown, axis=0) * part, per_token, rtol=1e-9)
        assert heat.limits[0] == 0 and 1 <= heat.limits[1] < 1.01, "a whole part is the most that a token reads"
    assert len(heats) in (0, 2)
    assert ("All generated tokens read the same parts" in chart.subtitle) == (not heats)
    points, in_order = panels_of(chart, Points)
    middle = reads[reads["graph"] == source_of(path).numbers[source_of(path).middle()]]
    np.testing.assert_array_equal(points.py, middle["offset"].to_numpy(float))
    assert list(points.texts) == list(middle["tensor"])
    order = list(dict.fromkeys(middle["tensor"]))
    begins = [in_order.py[list(in_order.texts).index(name)] for name in order]
    assert begins == sorted(begins)


def test_scales_stand_at_what_they_are_of(real: Path) -> None:
    """Amounts and layers have colours of their own, and no scale stands between two panels."""
    chart, figure = drawn(real, "timeline_offset")
    figure.draw_without_rendering()
    bars = {axes.get_xlabel(): axes for axes in figure.axes if axes.get_label() == "<colorbar>"}
    assert set(bars) == {"share of each of 256 parts that a token reads (%)", "layer (black: none)"}
    left, right = axes_of(figure)[:2]
    for bar, above in zip(bars.values(), (left, right), strict=True):
        box, panel = bar.get_position(), above.get_position()
        assert box.y1 < panel.y0
        assert panel.x0 - 0.01 <= box.x0 and box.x1 <= panel.x1 + 0.01
    assert chart.panels[0].values.shape == (256, 15)
    assert EMPTY != "#ffffff" and to_rgb(EMPTY) == to_rgb(left.get_facecolor())


def gap_bins(reads: pd.DataFrame) -> dict[int, int]:
    """Gaps by power of two: -1 for none, n for 2**n to 2**(n + 1)."""
    counts: dict[int, int] = {}
    end = None
    for offset, size, count, stride in reads[["offset", "size", "count", "stride"]].itertuples(index=False):
        if end is not None:
            gap = abs(offset - end)
            power = int(gap).bit_length() - 1
            counts[power] = counts.get(power, 0) + 1
        end = offset + (stride * (count - 1) + size // count if stride else size)
    return counts


def test_gaps(path: Path) -> None:
    chart, figure = drawn(path, "gap_histogram")
    bars = chart.panels[0]
    assert isinstance(bars, Bars)
    records = records_of(path)
    reads = records[records["memory"].isin(["file", "copy"]) & (records["access"] == "read") & (records["size"] > 0)]
    reads = reads.assign(stride=pd.to_numeric(reads["stride"]).fillna(0).astype(int), count=reads["count"].astype(int))
    expected = gap_bins(reads)
    shown = bars_drawn(figure, 0, bars).sum(axis=0)
    names = {"none" if n < 0 else say_bytes(2.0**n, 2.0 ** (n + 1)): n for n in expected}
    assert {names[label]: int(value) for label, value in zip(bars.labels, shown, strict=True) if value} == expected


def test_bars_are_labelled_by_range() -> None:
    assert say_bytes(2**20, 2**21) == "1 to 2 MiB"
    assert say_bytes(2**19, 2**20) == "512 KiB to 1 MiB"
    assert say_bytes(1.5 * 2**20, 1.75 * 2**20) == "1.50 to 1.75 MiB"
    assert say_bytes(0, 1) == "0 to 1 bytes"


def test_kv_growth(path: Path) -> None:
    try:
        chart, figure = drawn(path, "kv_growth")
    except AbsentError:
        assert not (records_of(path)["memory"] == "kv").any()
        return
    lines = chart.panels[0]
    assert isinstance(lines, Lines)
    records = records_of(path)
    reads = records[records["component"].isin(["kv_k", "kv_v"]) & (records["access"] == "read")]
    expected = reads.groupby("token")["size"].sum()
    line = axes_of(figure)[0].lines[0]
    assert line.get_label() == "KV cache read"
    divisor = scale_of("bytes", max(float(np.nanmax(one.y)) for one in lines.series)).divisor
    shown = dict(zip(np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()) * divisor, strict=True))
    for token, size in expected.items():
        assert shown[float(token)] == pytest.approx(size)


def padded_growth() -> pd.DataFrame:
    """A prompt of 5 tokens and 600 generated ones that read all cells in multiples of 256."""
    token, tokens = np.array([0, *range(5, 605)]), np.array([5, *([1] * 600)])
    cells = -(-(token + tokens) // 256) * 256
    return pd.DataFrame(
        {
            "token": token,
            "tokens": tokens,
            "evaluations": 1,
            "phase": ["prompt", *(["generate"] * 600)],
            "kv_distinct_bytes": cells * 64,
            "kv_written_bytes": tokens * 64,
            "weight_bytes": 1 << 20,
            "fresh_bytes": tokens * 64.0,
            "cached_bytes": token * 64.0,
        }
    )


def level_at(series: Series, x: float) -> float:
    """What is drawn there."""
    at = int(np.searchsorted(series.x, x, side="right")) - 1
    if series.style == "steps":
        return float(series.y[at])
    return float(np.interp(x, series.x, series.y))


def test_no_cell_is_seen_that_is_not_read(real: Path) -> None:
    """Between two tokens neither; and nothing joins the prompt's level to that of the first generated token."""
    for rows in (padded_growth(), source_of(real).table("attention", "growth")):
        for lines in attention._growth(rows):
            read, seen = lines.series[:2]
            for x in np.arange(0.25, float(rows["token"].max()), 0.5):
                assert level_at(seen, x) <= level_at(read, x) * (1 + 1e-9), f"at token {x}"
            first = float(rows.loc[rows["phase"] == "generate", "token"].min())
            for one in (read, seen):
                assert level_at(one, 0.0) == level_at(one, first - 0.25), "the tokens of a prompt share one graph"
                assert np.isnan(one.y[one.x == first]).any(), "a gap ends the prompt"


def test_heads_that_are_alike_are_one_bar(real: Path) -> None:
    chart, figure = drawn(real, "attention_heads")
    (bars,) = panels_of(chart, Bars)
    records = records_of(real)
    last = records[(records["graph"] == records["graph"].max()) & (records["access"] == "read")]
    sizes = last.groupby("component")["size"].sum()
    shown = dict(zip(bars.labels, bars_drawn(figure, 0, bars)[0], strict=True))
    assert shown["Q weights"] == pytest.approx(sizes["attn_q"] / 9)
    assert shown["K cache read"] == pytest.approx(sizes["kv_k"] / 3)
    assert bars.texts[0].endswith("by all 9 query heads")
    assert not chart.views, "layers that are alike are no choice"


def test_heads_that_differ_have_bars_of_their_own() -> None:
    table = pd.DataFrame(
        {"layer": [0, 1], "part": ["q_weights", "k_cache_read"], "bytes": [[2.0, 2.0, 4.0], [8.0, 8.0]]}
    )
    query, kv = attention._heads(table)
    assert (query.labels, kv.labels) == (("0", "1", "2"), ("0", "1"))
    np.testing.assert_array_equal(query.series[0][1], [2, 2, 4])


def test_order_of_attention(real: Path) -> None:
    """A row for each order that layers have, here one for all 30."""
    chart, _ = drawn(real, "qkv_order")
    (heat,) = panels_of(chart, Heat)
    records = records_of(real)
    middle = records[records["graph"] == source_of(real).numbers[source_of(real).middle()]]
    words = {"attn_q": "Q", "attn_k": "K", "attn_v": "V", "attn_output": "O", "kv_k": "K cache", "kv_v": "V cache"}
    part = middle["component"].map(words)
    assert heat.row_names == ("0 to 29",)
    for layer in range(30):
        mine = (middle["layer"] == layer) & part.notna() & (middle["size"] > 0)
        expected = list(dict.fromkeys(part[mine] + " " + middle.loc[mine, "access"]))
        assert [heat.names[int(kind)] for kind in heat.values[0] if np.isfinite(kind)] == expected


def test_orders_of_hybrids_have_rows_of_their_own() -> None:
    steps = {0: "ab", 1: "cde", 2: "cde", 3: "ab", 4: "ab"}
    rows = [(layer, step, part, "read") for layer, parts in steps.items() for step, part in enumerate(parts)]
    orders = attention._orders(pd.DataFrame(rows, columns=["layer", "step", "part", "access"]))
    assert orders == {("a read", "b read"): [0, 3, 4], ("c read", "d read", "e read"): [1, 2]}
    assert attention.ranges([0, 3, 4]) == "0, 3, 4"
    assert attention.ranges([0, 1, 2, 5]) == "0 to 2, 5"


def test_curves_are_those_of_the_section(path: Path) -> None:
    chart, figure = drawn(path, "miss_ratio_curves")
    (lines,) = panels_of(chart, Lines)
    table = tat.TraceAnalyzer(path).section("caching").tables["curves"]
    labels = table.attrs["labels"]
    by_name = {name: line for line in axes_of(figure)[0].lines for name in str(line.get_label()).split(" / ")}
    for key in ("frequency", "pin", "min"):
        shown = np.asarray(by_name[labels[key]].get_ydata()) / 100
        np.testing.assert_allclose(shown, table[key].to_numpy(float), atol=0.002)
    least = np.asarray(by_name[labels["min"]].get_ydata())
    assert (np.diff(least) <= 1e-9).all(), "a larger cache never reads more at the optimum"
    assert all((one.y * 100 >= least - 1e-9).all() for one in lines.series), "no policy reads less than the optimum"
    assert len(lines.series) <= 8, "lines can be told apart"


def test_reuse_distances_are_those_of_the_section(path: Path) -> None:
    chart, figure = drawn(path, "reuse_distance")
    bars = chart.panels[0]
    assert isinstance(bars, Bars)
    table = tat.TraceAnalyzer(path).section("caching").tables["reuse_distances"]
    shown = {label: value for label, value in zip(bars.labels, bars_drawn(figure, 0, bars)[0], strict=True) if value}
    ends = [int(end) for end in table["up_to_bytes"]]
    ranges = {high: say_bytes(low, high) for low, high in caching.bins_of(ends)}
    assert shown == {ranges[bound]: reads for bound, reads in zip(ends, table["accesses"], strict=True)}
    within = chart.panels[1]
    assert isinstance(within, Lines)
    np.testing.assert_allclose(within.series[0].y[1:], table["share_up_to"].to_numpy(float))


def test_bins_of_distances() -> None:
    """Four between one power of two and the next, and those without reads between others that have some."""
    assert caching.bins_of([96, 160]) == [(80, 96), (96, 112), (112, 128), (128, 160)]
    assert caching.bins_of([1, 4]) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    assert caching.bins_of([128 << 20]) == [(112 << 20, 128 << 20)]
    only = pd.DataFrame({"up_to_bytes": [96 << 20], "accesses": [5], "share_up_to": [1.0]})
    assert caching._when_read_again(only) == "All repeated reads come after 80 to 96 MiB of other weights."
    two = pd.DataFrame({"up_to_bytes": [96 << 20, 192 << 20], "accesses": [1, 5], "share_up_to": [1 / 6, 1.0]})
    assert caching._when_read_again(two).startswith("Half of the repeated reads come within 192 MiB")


def test_a_working_set_that_never_changes_is_a_sentence() -> None:
    over_time = pd.DataFrame({"token": [0, 5, 6], "unique_bytes": [100.0, 100.1, 100.2], "bytes": [100.0] * 3})
    panel, words = caching._working_set(over_time)
    assert panel is None and words == " Each graph reads the same 100 bytes: that is the working set."
    panel, words = caching._working_set(over_time.assign(unique_bytes=[100.0, 120.0, 130.0]))
    assert panel is not None and not words


def test_lines_that_hide_each_other_are_one() -> None:
    x = np.array([1.0, 2.0])
    one, two, other = (
        Series(name, x, np.array(y)) for name, y in (("a", [1, 0.5]), ("b", [1, 0.501]), ("c", [1, 0.6]))
    )
    hindsight = Series("d", x, one.y, "dashes")
    assert [line.name for line in caching._one_for_each_line([one, two, other, hindsight])] == ["a / b", "c", "d"]


def test_no_predictor_is_best_where_several_are() -> None:
    table = pd.DataFrame({"label": ["last", "order-1", "order-2"], "share": [0.99999, 1.0, 0.5]})
    assert order._best(table, "share", "label", "it") == (
        "Order-1 and one other predict it equally well: 100.0 %, which meets the goal of 95 %."
    )
    assert order._best(table[2:], "share", "label", "it").startswith("Order-2 predicts it best: 50.0 %, less than")


def test_scores_are_those_of_the_section(path: Path) -> None:
    chart, figure = drawn(path, "prediction_scores")
    bars = chart.panels[0]
    assert isinstance(bars, Bars)
    table = tat.TraceAnalyzer(path).section("order").tables["prediction"]
    expected = table[["tensor_share", "slice_share", "slice_bytes_share"]].to_numpy(float).T
    np.testing.assert_allclose(bars_drawn(figure, 0, bars), expected, rtol=1e-9)


# ------------------------------------------------------------------------------------------------------------- storage


def counted_cells(rows: pd.DataFrame, at: str, heat: Heat) -> np.ndarray:
    """How many rows are in each cell, one by one."""
    out = np.zeros(heat.values.shape)
    for time, offset in zip(rows[at], rows["offset"], strict=True):
        column = min(int(np.searchsorted(heat.x_edges, time, side="right")) - 1, out.shape[1] - 1)
        out[int(offset / (heat.y_edges[1] - heat.y_edges[0])), column] += 1
    return out


def test_page_faults(real: Path) -> None:
    """Each fault of the model's file is in the cell of its time and its byte."""
    chart, figure = drawn(real, "page_faults")
    faults = tat.TraceAnalyzer(real).faults()
    faults = faults[faults["file"].notna()]
    for number, (heat, major) in enumerate(zip(panels_of(chart, Heat), (True, False), strict=True)):
        shown = np.nan_to_num(heat_drawn(figure, number, heat))
        np.testing.assert_array_equal(shown, counted_cells(faults[faults["major"] == major], "end_ns", heat))
        assert shown.sum() == (faults["major"] == major).sum() > 100
        assert heat.x_edges[0] <= faults["end_ns"].min() < 0
    starts = tat.TraceAnalyzer(real).tensors().groupby("layer")["file_offset"].min()
    assert {int(name.removeprefix("layer ")): at for at, name in heat.y_marks} == starts.to_dict()
    phases = tat.TraceAnalyzer(real).evaluations().groupby("phase", observed=True)["begin_ns"].min()
    assert {name: at for at, name in heat.x_marks} == phases.to_dict()
    axes = axes_of(figure)[0]
    divisor = scale_of("ns", heat.x_edges[-1]).divisor
    lines = [line.get_xdata()[0] * divisor for line in axes.lines if len(set(line.get_xdata())) == 1]
    assert {round(at) for at in lines} == {int(at) for at in phases}


def in_faults(faults: pd.DataFrame) -> float:
    """The length of the union of what each took."""
    moments = sorted([(end - stall, 1) for end, stall in faults] + [(end, -1) for end, _ in faults])
    total, depth, since = 0.0, 0, 0.0
    for at, step in moments:
        total += at - since if depth else 0
        depth, since = depth + step, at
    return total


def test_stall_per_token(real: Path) -> None:
    chart, figure = drawn(real, "stall_per_token")
    (lines,) = panels_of(chart, Lines)
    faults = tat.TraceAnalyzer(real).faults(phases="generate")
    faults = faults[faults["stall_ns"].notna()]
    divisor = scale_of("ns", max(float(one.y.max()) for one in lines.series)).divisor
    whole, any_fault, major = (np.asarray(line.get_ydata()) * divisor for line in axes_of(figure)[0].lines[:3])
    evaluations = tat.TraceAnalyzer(real).evaluations()
    evaluations = evaluations[evaluations["phase"] == "generate"]
    np.testing.assert_allclose(whole, evaluations["end_ns"] - evaluations["begin_ns"])
    for shown, of in ((any_fault, faults), (major, faults[faults["major"]])):
        by_token = [of[of["evaluation"] == number][["end_ns", "stall_ns"]] for number in evaluations["evaluation"]]
        np.testing.assert_allclose(shown, [in_faults(one.to_numpy(np.int64).tolist()) for one in by_token])
        assert shown.max() > 0
    values = tat.TraceAnalyzer(real).section("storage").values
    assert np.quantile(any_fault, 0.5, method="inverted_cdf") == pytest.approx(values["token_blocked_p50_ns"])


def test_stalls_that_overlap_count_once() -> None:
    times = [(10, 5), (12, 9), (20, 3), (21, 1), (30, 30)]
    table = pd.DataFrame({"evaluation": 1, "end_ns": [e for e, _ in times], "stall_ns": [s for _, s in times]})
    assert storage.blocked(table) == {1: 30.0}
    assert storage.blocked(table[:4]) == {1: 9.0 + 4.0}


def test_residency(real: Path) -> None:
    """Page by page: what came and did not leave is in memory."""
    chart, figure = drawn(real, "residency")
    (heat,) = panels_of(chart, Heat)
    shown = heat_drawn(figure, 0, heat)
    events = tat.TraceAnalyzer(real).page_cache()
    size = heat.y_edges[1] - heat.y_edges[0]
    for column in (0, 100, 180, heat.values.shape[1] - 1):
        pages: set[int] = set()
        for row in events[events["at_ns"] < heat.x_edges[column + 1]].itertuples():
            span = range(row.file_offset, row.file_offset + row.bytes, 4096)
            pages = pages | set(span) if row.event == "fill" else pages - set(span)
        held = np.zeros(len(shown))
        for page in pages:  # a page may lie in two parts
            for part in {int(page // size), min(int((page + 4095) // size), len(held) - 1)}:
                end = min(page + 4096, heat.y_edges[part + 1], heat.y_edges[-1])
                held[part] += max(0.0, end - max(page, heat.y_edges[part]))
        np.testing.assert_allclose(shown[:, column], held / size, atol=1e-9)
    assert shown[:, -1].sum() > 0


def test_residency_from_samples() -> None:
    """Known between two samples that agree; unknown between others, before the first and after the last."""
    files = Files("", np.array([np.nan, 0.0]), 256.0 * 8192)
    time = storage.Time(np.linspace(0, 240, 241), ())
    rows = [(60, 0, 8192, True), (60, 8192, 255 * 8192, False), (120, 0, 4096, True), (120, 4096, 8192, False)]
    table = pd.DataFrame(rows, columns=["at_ns", "at", "bytes", "resident"])
    values = storage.by_samples(table, table["at"].to_numpy(float), files, time)
    assert np.isnan(values[:, :60]).all()
    assert values[0, 60] == 1 and np.isnan(values[0, 61:120]).all(), "half of it left, nobody knows when"
    assert (values[1, 60:121] == 0).all(), "both samples say so"
    assert values[0, 120] == 0.5
    assert np.isnan(values[:, 121:]).all()
    assert (values[2:, 60] == 0).all() and np.isnan(values[2:, 61:]).all(), "the second sample is not of these"


def test_what_left_before_it_came_had_been_there(real: Path) -> None:
    source, files = source_of(real), Files("", np.array([np.nan, 0.0]), 256.0 * 4096)
    time = storage.Time(np.linspace(0, 240, 241), ())
    table = pd.DataFrame({"at_ns": [100, 150], "event": ["evict", "fill"], "bytes": [8192, 4096]})
    values = storage.by_events(source, table, np.array([0.0, 0.0]), files, time)
    assert values[0].tolist() == [1.0] * 100 + [0.0] * 50 + [1.0] * 90
    assert values[1].tolist() == [1.0] * 100 + [0.0] * 140
    assert not values[2:].any()


def test_read_again(real: Path) -> None:
    """By weight and expert, from pages that came: a byte that came before came again."""
    chart, figure = drawn(real, "read_again")
    (bars,) = panels_of(chart, Bars)
    pages = tat.TraceAnalyzer(real).placed_pages()
    pages = pages[pages["tensor_id"].notna()]
    came: dict[str, int] = {}
    once: dict[str, set[int]] = {}
    for row in pages.itertuples():
        name = row.tensor if pd.isna(row.expert) else f"{row.tensor}, expert {row.expert}"
        came[name] = came.get(name, 0) + row.bytes
        once.setdefault(name, set()).update(range(row.offset // 512, (row.offset + row.bytes) // 512))
    first, again = bars_drawn(figure, 0, bars)
    assert len(bars.labels) == 20
    for label, new, old in zip(bars.labels, first, again, strict=True):
        assert abs(came[label] - new - old) <= 2 * 4096, "pages on the border of two weights"
        assert abs(512 * len(once[label]) - new) <= 2 * 4096
    assert again.sum() > 0


def test_disk_throughput(real: Path) -> None:
    """What was read of the model, and by all; where nobody saw requests, what the process' own counter says."""
    chart, figure = drawn(real, "disk_throughput")
    (lines,) = panels_of(chart, Lines)
    parts, requests = tat.TraceAnalyzer(real).placed_requests(), tat.TraceAnalyzer(real).requests()
    parts, requests = parts[parts["file"].notna()], requests[~requests["write"]]
    divisor = scale_of("bytes", max(float(one.y.max()) for one in lines.series)).divisor
    by_all, of_model = (np.asarray(line.get_ydata()) * divisor for line in axes_of(figure)[0].lines[:2])
    width = np.diff(lines.series[0].x)[0] / 1e9
    assert of_model.sum() * width == pytest.approx(parts["bytes"].sum())
    assert by_all.sum() * width == pytest.approx(requests["bytes"].sum())
    edges = lines.series[0].x - width * 5e8
    assert set(np.flatnonzero(by_all)) == set(np.searchsorted(edges, requests["end_ns"], side="right") - 1)
    at, grown = storage.counted(tat.TraceAnalyzer(real).io_counters(), "read_bytes")
    assert grown.tolist() == [0.0, *[5000.0] * 3]
    assert (np.diff(at) > 0).all()


def test_growth_of_a_counter_is_spread_over_the_time_between_two_readings() -> None:
    """It says how much was read, not when: no column may have more than the mean of the time between."""
    time = storage.Time(np.linspace(0, 240e9, 241), ())
    rates = storage.Reading("", np.array([10e9, 110e9, 210e9]), np.array([0.0, 1000.0, 0.0]), counts=True).rates(time)
    assert np.isnan(rates[:10]).all() and np.isnan(rates[210:]).all()
    np.testing.assert_allclose(rates[10:210], [10.0] * 100 + [0.0] * 100)


def test_titles_say_figures_that_belong_together(real: Path) -> None:
    """The share in a title is one of its figures divided by the other."""
    title = drawn(real, "stall_per_token")[0].title
    found = re.search(r"takes (.* .?s) on average; in (.* .?s) of that, (.*) %", title)
    assert found
    whole, part, share = found.groups()
    units = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
    ns = [float(text.split()[0]) * units[text.split()[1]] for text in (part, whole)]
    assert float(share) == pytest.approx(100 * ns[0] / ns[1], abs=0.051, rel=0.01)
    evaluations = tat.TraceAnalyzer(real).evaluations()
    times = (evaluations["end_ns"] - evaluations["begin_ns"])[evaluations["phase"] == "generate"]
    assert say(float(times.mean()), "ns") == whole
    assert say(middle_of(times), "ns") in drawn(real, "heatmap_token_layer")[0].title


def test_beside_what_the_disk_can_do(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "disk_rates", lambda _: {"at best": 5e9})
    chart, _ = drawn(real, "disk_throughput")
    (lines,) = panels_of(chart, Lines)
    assert (lines.series[-1].name, set(lines.series[-1].y)) == ("at best", {5e9})
    assert "of what the disk gives at best" in chart.title and "doctor" not in chart.subtitle


def test_without_requests(toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As without root: what `tat doctor --disk` measured is used all the same."""
    disks = sorted(Path("/sys/dev/block").glob("*:*"))
    if not disks:
        pytest.skip("/sys names no disk")
    run = made(toy, "toy_counters")
    run.file.requests, run.file.files[0].disk = [], os.makedev(*map(int, disks[0].name.split(":")))
    run.file.write(run.path)
    (tmp_path / "tat").mkdir()
    measured = (("direct", 5e9), ("mapped", 2e9))
    rates = [{"how": how, "order": "sequential", "per_second": rate} for how, rate in measured]
    kept = tmp_path / "tat" / f"disk-{disks[0].resolve().name}.json"
    kept.write_text(json.dumps({"rates": rates}), encoding="utf-8")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    chart, _ = drawn(run.path, "disk_throughput")
    (lines,) = panels_of(chart, Lines)
    assert [(one.name, float(one.y[0])) for one in lines.series[1:]] == [
        ("what the disk gives at best", 5e9),
        ("what page faults get of it at best", 2e9),
    ]
    assert "doctor" not in chart.subtitle and "counter" in chart.subtitle


def test_without_events(toy: Path) -> None:
    for name in ("page_faults", "stall_per_token", "residency", "read_again", "disk_throughput"):
        with pytest.raises(AbsentError, match="tat record --io"):
            MAKE[name](source_of(toy))


# -------------------------------------------------------------------------------------------------------------- titles


def test_no_plot_has_the_title_of_another(real: Path) -> None:
    titles = [make(source_of(real)).title for make in MAKE.values()]
    assert len(set(titles)) == len(titles)
