# SPDX-License-Identifier: MIT
"""What managing memory was to reach, what it did reach, and the profile of a token where it fell short."""

import statistics
from collections.abc import Callable, Iterator

from cells import MIB, digits
from optimise_table import Cell, lines_of, ms, named

LFU_KEPT = 0.43  # of experts' bytes, by the prototype that kept them by use count, from a cold start over 48 tokens
Pair = tuple[Cell, Cell]


class Target:
    def __init__(self, words: str, cell: Cell, name: str, reached: Callable[[float], bool], figure: str = "",
                 divide: float = 1, allowed: bool = True,
                 open_if: Callable[[float, float], bool] | None = None) -> None:
        self.words, self.cell = words, cell
        value = cell.median(name)
        self.figure = figure or cell.text(name, divide) + " %" * (divide == 0.01) + " times" * (name == "to_mmap")
        self.is_known = value is not None
        self.is_reached = value is not None and reached(value)
        self.is_allowed = allowed
        self.is_open = open_if is not None and value is not None and open_if(*cell.interval(name)[1:])

    @property
    def verdict(self) -> str:
        if not self.is_known:
            return "not measured"
        if self.is_open:
            return "not resolved: runs differ by more"
        return "reached" if self.is_reached else "**not reached**" if self.is_allowed else "not reached: the bound is lower"


def times_allowed(plain: Cell, managed: Cell, bound: str) -> float:
    most, base = managed.median(bound), plain.median("tokens_per_s")
    return most / base if most and base else 0


def of_dense(plain: Cell, managed: Cell) -> Iterator[Target]:
    allowed = times_allowed(plain, managed, "bound_tokens_per_s")
    yield Target("90 % of the bound", managed, "bound_share", lambda v: v >= 0.9, divide=0.01)
    yield Target(f"4 times plain mmap; the bound is {digits(allowed)} times", managed, "to_mmap", lambda v: v >= 4,
                 allowed=allowed >= 4)
    yield Target("bytes read at most 1.05 times the least", managed, "to_least", lambda v: v <= 1.05)


def of_experts(plain: Cell, managed: Cell) -> Iterator[Target]:
    allowed = times_allowed(plain, managed, "policy_bound_tokens_per_s")
    best = managed.text("belady_held_share", 0.01)
    yield Target("90 % of the bound of its policy", managed, "policy_bound_share", lambda v: v >= 0.9, divide=0.01)
    yield Target(f"10 times plain mmap; the bound of its policy is {digits(allowed)} times", managed, "to_mmap",
                 lambda v: v >= 10, allowed=allowed >= 10)
    yield Target("plain mmap reads 6 times as much", managed, "bytes_to_mmap", lambda v: v >= 6)
    yield Target("more than LFU's 43 % of experts' bytes kept", managed, "kept_share", lambda v: v > LFU_KEPT,
                 figure=f"{managed.text('kept_share', 0.01)} %; in hindsight {best} %")


def targets_of(both: list[Pair]) -> list[Target]:
    targets: list[Target] = []
    for plain, managed in both:
        percent = managed.first["memory_percent"]
        if managed.kind == "dense" and percent == 70:
            targets += of_dense(plain, managed)
        if managed.kind == "experts" and percent == 45:
            targets += of_experts(plain, managed)
        if not managed.is_short:
            targets.append(Target("at most 1 % slower than plain mmap", managed, "to_mmap", lambda v: v >= 0.99,
                                  open_if=lambda low, high: low < 0.99 < high))
    return targets


def prediction_rows(both: list[Pair]) -> list[list[str]]:
    errors = {named(managed): abs(error - 1) for _, managed in both
              if managed.is_short and (error := managed.median("predicted_ratio")) is not None}
    if not errors:
        return []
    middle, within = statistics.median(errors.values()), sum(error <= 0.2 for error in errors.values()) / len(errors)
    worst = max(errors, key=lambda name: errors[name])
    verdict = {True: "reached", False: "**not reached**"}
    return [["predicted tokens/s: median error 10 % at most", f"{len(errors)} cells", f"{digits(100 * middle)} %",
             verdict[middle <= 0.1]],
            ["90 % of cells within 20 %", f"worst: {worst}, {digits(100 * errors[worst])} %", f"{digits(100 * within)} %",
             verdict[within >= 0.9]]]


def targets_table(both: list[Pair]) -> list[str]:
    rows = [[t.words, named(t.cell), t.figure, t.verdict] for t in targets_of(both)] + prediction_rows(both)
    if not rows:
        return []
    return ["## What was aimed at", "", *lines_of(["target", "cell", "measured", ""], rows), ""]


# ---- the field's ----


def down(part: float | None, whole: float | None) -> str:
    return f"{digits(100 * (1 - part / whole))} %" if part is not None and whole else "-"


def field_table(both: list[Pair]) -> list[str]:
    """Published prefetchers aim at these."""
    rows = []
    for plain, managed in both:
        if not managed.is_short:
            continue
        factors = [ms(cell.median("reread")) for cell in (plain, managed)]
        rows.append([managed.model, managed.memory, down(managed.median("bytes_per_token"), plain.median("bytes_per_token")),
                     down(managed.latency(50), plain.latency(50)), managed.text("to_mmap"), f"{factors[0]} to {factors[1]}",
                     ms(managed.median("least_reread"))])
    if not rows:
        return []
    head = ["model", "memory", "I/O: 50 to 70 % less", "latency (P50): 40 to 50 % less", "throughput: 1.8 to 2.2 times",
            "re-read: 1.13 to 1.0", "least re-read"]
    return ["## What the field aims at", "",
            "From plain mmap to `tat run`. What does not fit must be read again for each token, so the re-read factor cannot be 1: "
            "the last column is what the bound leaves.", "", *lines_of(head, rows), ""]


# ---- the profile ----


def profile(cell: Cell) -> str:
    """Where a token's time goes."""
    token, wait, rate = (cell.median(name) for name in ("token_ns", "wait_ns", "busy_rate"))
    plenty, disk, read = (cell.median(name) for name in ("plenty_tokens_per_s", "disk_bytes_per_s", "bytes_per_token"))
    if token is None or wait is None or not plenty:
        return f"{named(cell)}: {cell.outcome or 'nothing was managed'}."
    computing = 1e9 / plenty
    words = (f"{named(cell)}: a token takes {digits(token / 1e6)} ms. Computing takes {digits(computing / 1e6)} ms with enough "
             f"memory, waiting for reads {digits(wait / 1e6)} ms; {digits((token - computing - wait) / 1e6)} ms are mapping, page "
             "faults and slower computing.")
    if rate and disk and read is not None:
        words += (f" Reads of {digits(read / MIB)} MiB a token are under way {digits(100 * read / rate / (token / 1e9))} % of the "
                  f"time, at {digits(100 * rate / disk)} % of the disk's rate.")
    if cell.kind == "experts" and disk and read is not None:
        apart = computing + 1e9 * read / disk
        words += (" What is read before its router has chosen is a guess. Without guesses, reading follows computing layer by "
                  f"layer, and a token takes {digits(apart / 1e6)} ms at least, {digits(100 * apart / token)} % of what it takes.")
    return words


def shortfalls(both: list[Pair]) -> list[str]:
    missed: dict[str, list[str]] = {}
    for target in targets_of(both):
        if target.is_known and not (target.is_reached or target.is_open):
            missed.setdefault(profile(target.cell), []).append(target.words)
    if not missed:
        return []
    return ["## What falls short, and why", "", *(f"- {words} Missed: {'; '.join(targets)}." for words, targets in missed.items()),
            ""]
