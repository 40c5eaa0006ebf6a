# SPDX-License-Identifier: MIT
"""The picture of bench/optimise.py: tokens/s and bytes read by memory, a line a way."""

import statistics
from pathlib import Path
from typing import Any

from cells import MIB, Row
from optimise_run import WAYS
from optimise_table import Cell, cells_of

LINES = {"mmap": "tab:red", "all": "tab:blue"}  # of these there are enough memories for a line; others are points
COLOURS = ("tab:green", "tab:purple", "tab:brown", "tab:pink", "tab:gray", "tab:olive", "tab:orange", "tab:cyan", "black", "navy",
           "teal", "gold", "crimson", "darkkhaki", "indigo", "lime", "chocolate", "steelblue")
MARKS = "ovs^Dv<>pPX"


def points(cells: list[Cell], name: str, divide: float) -> tuple[list[float], list[float], list[list[float]]]:
    """Memory, medians, and how far their intervals go down and up."""
    have = [c for c in cells if c.values(name)]
    found = [tuple(value / divide for value in c.interval(name)) for c in have]
    memory = [statistics.median(100 * r["left_bytes"] / r["model_bytes"] for r in c.rows) for c in have]
    return memory, [m for m, _, _ in found], [[m - low for m, low, _ in found], [high - m for m, _, high in found]]


def draw_model(axis: Any, cells: list[Cell], name: str, divide: float, bound: str) -> None:
    others = [way for way in WAYS if way not in LINES]
    for way in WAYS:
        x, y, error = points([c for c in cells if c.way == way], name, divide)
        if way in LINES and x:
            label = "tat run" if way == "all" else way
            axis.errorbar(x, y, error, marker="o", markersize=4, capsize=3, label=label, color=LINES[way], linewidth=1.5)
        elif x:
            number = others.index(way)
            axis.errorbar(x, y, error, marker=MARKS[number % len(MARKS)], markersize=5, capsize=3, label=way, linestyle="none",
                          color=COLOURS[number % len(COLOURS)])
    x, y, _ = points([c for c in cells if c.way == "all"], bound, divide)
    if x:
        axis.plot(x, y, "k--", linewidth=1, label="bound")
    axis.set_xlabel("memory for the model, % of it")
    axis.invert_xaxis()


def write_out(axis: Any, first: float) -> None:
    """1, 2, 5, 10 in place of powers; below the first, evenly down to 0."""
    import matplotlib.ticker as ticker

    low, high = axis.get_ylim()
    marks = [first * factor * 10**power for power in range(7) for factor in (1, 2, 5)]
    axis.set_yticks([0, *(mark for mark in marks if mark < high)], minor=False)
    axis.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.yaxis.set_minor_locator(ticker.NullLocator())
    axis.set_ylim(low if axis.get_yscale() == "log" else 0, 1.2 * high)


def draw(rows: list[Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "tat"  # the same rows, the same file
    import matplotlib.pyplot as plt

    cells = cells_of(rows)
    models = list(dict.fromkeys(c.model for c in cells))
    figure, axes = plt.subplots(len(models), 2, figsize=(11, 3.8 * len(models)), squeeze=False, layout="constrained")
    for line, model in zip(axes, models):
        mine = [c for c in cells if c.model == model]
        draw_model(line[0], mine, "tokens_per_s", 1, "bound_tokens_per_s")
        draw_model(line[1], mine, "bytes_per_token", MIB, "missed_bytes")
        line[0].set(title=f"{model}: tokens/s")
        line[0].set_yscale("log")
        line[1].set(title="MiB read from the disk, a token")
        line[1].set_yscale("symlog", linthresh=10)
        for axis, first in zip(line, (0.1, 10)):
            axis.grid(alpha=0.3)
            write_out(axis, first)
        line[1].legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, metadata={"Date": None})
