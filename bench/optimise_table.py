# SPDX-License-Identifier: MIT
"""The rows of bench/optimise.py as cells: what follows from each, and all runs of a model, so much memory, and a way."""

import statistics
from collections.abc import Iterable
from typing import Any

from cells import MIB, Row, digits, interval, spread_of
from optimise_run import ERRORS, WAYS

TEXTS = {"sitting", "kernel", "cpu", "llama", "commit", "model", "kind", "memory_of", "way", "note", "why", "reader", "token_ms",
         "text"}  # columns that are not numbers


# ---- what follows from a row ----


def quotient(a: Any, b: Any) -> float | None:
    return float(a) / float(b) if a is not None and b else None


def bound(row: Row, missed: float) -> float:
    return float(1 / max(missed / row["disk_bytes_per_s"], 1 / row["plenty_tokens_per_s"]))


def derive(row: Row) -> None:
    """Ratios. The bound is the larger of computing and of reading what must be read."""
    row["left_bytes"] = row["limit_bytes"] - row["own_bytes"]
    if row.get("tokens_per_s") is None:
        return
    row["bound_tokens_per_s"] = bound(row, row["missed_bytes"])
    row["bound_share"] = row["tokens_per_s"] / row["bound_tokens_per_s"]
    if row.get("policy_missed_bytes") is not None:
        dense_missed = max(0, row["dense_bytes"] - row["left_bytes"])
        row["policy_bound_tokens_per_s"] = bound(row, row["policy_missed_bytes"] + dense_missed)
        row["policy_bound_share"] = row["tokens_per_s"] / row["policy_bound_tokens_per_s"]
    row["wait_share"] = quotient(row.get("wait_ns"), row.get("token_ns"))
    row["predicted_ratio"] = quotient(row.get("predicted_tokens_per_s"), row["tokens_per_s"])
    row["amplification"] = quotient(row["bytes_per_token"], row.get("wanted_bytes"))
    row["to_least"] = quotient(row["bytes_per_token"], row["missed_bytes"])


def derive_reread(row: Row, tokens: int) -> None:
    """Of so many tokens: each reads again, so runs of different lengths do not compare."""
    if not row.get("unique_bytes") or row.get("tokens_per_s") is None:
        return
    row["reread"] = (row["read_bytes"] + row["bytes_per_token"] * (tokens - row["tokens"])) / row["unique_bytes"]
    row["least_reread"] = 1 + row["missed_bytes"] * (tokens - 1) / row["unique_bytes"]


def place_of(row: Row) -> tuple[Any, ...]:
    return row["model"], row["memory_of"], row["memory_percent"]


def derived(rows: list[Row]) -> list[Row]:
    """Copies, with what follows from each and from plain mmap in the same round."""
    rows = [dict(row) for row in rows]
    most: dict[tuple[Any, ...], int] = {}
    for row in rows:
        most[place_of(row)] = max(most.get(place_of(row), 0), row["tokens"])
    for row in rows:
        derive(row)
        derive_reread(row, most[place_of(row)])
    plain = {(r["sitting"], r["round"], place_of(r)): r for r in rows if r["way"] == "mmap" and r.get("tokens_per_s")}
    for row in rows:
        base = plain.get((row["sitting"], row["round"], place_of(row)))
        if base and row.get("tokens_per_s"):
            row["to_mmap"] = row["tokens_per_s"] / base["tokens_per_s"]
            if row["left_bytes"] < row["model_bytes"]:
                row["bytes_to_mmap"] = quotient(base["bytes_per_token"], row["bytes_per_token"])
    return rows


class Cell:
    """All runs of a model, so much memory, and a way."""

    def __init__(self, rows: list[Row]) -> None:
        self.rows = rows
        self.first = rows[0]
        self.model, self.way, self.kind = (str(rows[0][name]).removesuffix(".gguf") for name in ("model", "way", "kind"))

    def values(self, name: str) -> list[float]:
        return [float(r[name]) for r in self.rows if r.get(name) is not None]

    def median(self, name: str) -> float | None:
        values = self.values(name)
        return statistics.median(values) if values else None

    def interval(self, name: str) -> tuple[float, float, float]:
        return interval(self.values(name))

    def text(self, name: str, divide: float = 1) -> str:
        return spread_of(value / divide for value in self.values(name))

    def latency(self, percent: int) -> float | None:
        """Of the tokens of all runs, in ms."""
        values = sorted(float(v) for r in self.rows for v in str(r.get("token_ms", "")).split())
        return values[min(len(values) - 1, len(values) * percent // 100)] if values else None

    @property
    def memory(self) -> str:
        of_all = " in all" * (self.first["memory_of"] == "all")
        limit = statistics.median(r["limit_bytes"] for r in self.rows)
        return f"{self.first['memory_percent']} %{of_all} ({limit / MIB:.0f} MiB)"

    @property
    def is_short(self) -> bool:
        """Of memory: the model does not fit beside what the program holds of its own."""
        return bool(statistics.median(r["left_bytes"] for r in self.rows) < self.first["model_bytes"])

    @property
    def outcome(self) -> str:
        """What a reader must know beside the figures."""
        n, found = len(self.rows), []
        for name, words in (*ERRORS.items(), ("text_differs", "**WRONG TEXT**"), ("text_short", "text cut short at its end"),
                            ("handed_back", "stopped managing")):
            those = [r for r in self.rows if r.get(name)]
            whys = sorted({str(r["why"]) for r in those if r.get("why")}) if name == "failed" else []
            if those:
                found.append(f"{words}{': ' * bool(whys)}{', '.join(whys)} ({len(those)} of {n})".replace("|", "/"))
        return "; ".join(found + sorted({str(r["note"]).replace("|", "/") for r in self.rows if r.get("note")}))


def cells_of(rows: list[Row]) -> list[Cell]:
    """By model; of one, the most memory first; of one memory, in the order of WAYS."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in derived(rows):
        groups.setdefault((*place_of(row), row["way"]), []).append(row)
    cells = [Cell(group) for group in groups.values()]
    return sorted(cells, key=lambda c: (c.kind, c.first["model_bytes"], c.model, -statistics.median(
        r["left_bytes"] for r in c.rows), c.first["memory_of"], [*WAYS, c.way].index(c.way)))


def pairs(cells: Iterable[Cell]) -> list[tuple[Cell, Cell]]:
    """Plain mmap and all of tat run, in the same memory."""
    plain = {place_of(c.first): c for c in cells if c.way == "mmap" and c.values("tokens_per_s")}
    return [(plain[place_of(c.first)], c) for c in cells
            if c.way == "all" and place_of(c.first) in plain and c.values("tokens_per_s")]


# ---- words ----


def lines_of(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows)]


def named(cell: Cell) -> str:
    return f"{cell.model}, {cell.memory}"


def ms(value: float | None) -> str:
    return "-" if value is None else digits(value)
