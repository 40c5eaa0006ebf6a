# SPDX-License-Identifier: MIT
"""What bench/optimise.py makes of its runs: the page, from made-up rows."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(os.environ["SOURCE"], "bench")))

from cells import interval, read_csv, write_csv
from optimise_model import Model, belady, kind_of, least_missed, taken
from optimise_page import page
from optimise_plot import draw
from optimise_table import TEXTS

MIB = 1 << 20
SITTING = {"sitting": "2026-01-02T03:04:05Z", "kernel": "6.1", "cpu": "One", "cpus": 2, "llama": "l-1", "commit": "abc"}


def made(way: str, rate: float | None, **more: Any) -> dict[str, Any]:
    """A run of a model of 100 MiB that tokens want all of, in 45 % of it: at least 55 MiB a token at 1,000 MiB/s."""
    row: dict[str, Any] = {"model": "m.gguf", "kind": "dense", "way": way, "round": 0, "tokens": 5}
    row |= {"memory_percent": 45, "memory_of": "weights", "limit_bytes": 65 * MIB, "own_bytes": 20 * MIB}
    row |= dict.fromkeys(("model_bytes", "wanted_bytes", "dense_bytes", "unique_bytes"), 100 * MIB)
    row |= {"disk_bytes_per_s": 1000 * MIB, "plenty_tokens_per_s": 100.0, "missed_bytes": 55 * MIB}
    row |= {"killed": 0, "failed": 0, "read_bytes": 400 * MIB}
    if rate:
        row |= {"tokens_per_s": rate, "first_token_s": 1.0, "bytes_per_token": 100 * MIB, "text_differs": 0}
        row |= {"token_ms": " ".join([f"{1000 / rate:.2f}"] * 4)}
    return SITTING | row | more


def line(text: str, *begin: str) -> list[str]:
    """The cells of the one line of a table that begins so."""
    found = [row for row in text.splitlines() if row.startswith("| " + " | ".join(begin) + " |")]
    assert len(found) == 1, found
    return [cell.strip() for cell in found[0].strip("|").split("|")]


def test_answer_comes_first_and_says_where() -> None:
    text = page([made("mmap", 2.0), made("all", 10.0)])
    said = "Where the model does not fit, `tat run` generates 5 to 5 times as many tokens/s as plain mmap: "
    assert text.splitlines()[2].startswith(said)
    assert "All 2 texts were those of runs with enough memory" in text
    assert line(text, "m", "45 % (65 MiB)", "2", "10", "5")[5:7] == ["500, 500", "100, 100"]
    # 55 MiB take 55 ms, longer than computing: 18.2 tokens/s
    assert line(text, "45 % (65 MiB)", "all", "1")[8] == "55"


def test_targets_and_why_they_were_missed() -> None:
    where = {"memory_percent": 70, "limit_bytes": 90 * MIB, "missed_bytes": 30 * MIB}
    profile = {"token_ns": 1e8, "wait_ns": 8e7, "busy_rate": 500 * MIB, "bytes_per_token": 40 * MIB}
    text = page([made("mmap", 2.0, **where), made("all", 10.0, **where, **profile)])
    cell = "m, 70 % (90 MiB)"
    assert line(text, "90 % of the bound", cell)[2:] == ["30 %", "**not reached**"]
    assert line(text, "4 times plain mmap; the bound is 16.7 times", cell)[2:] == ["5 times", "reached"]
    assert line(text, "bytes read at most 1.05 times the least", cell)[2:] == ["1.33", "**not reached**"]
    assert "a token takes 100 ms. Computing takes 10 ms with enough memory, waiting for reads 80 ms; 10 ms are" in text
    assert "under way 80 % of the time, at 50 % of the disk's rate. Missed: 90 % of the bound; bytes read" in text


def test_noise_is_no_verdict() -> None:
    where = {"memory_percent": 100, "limit_bytes": 130 * MIB}
    rows = [
        made(way, rate, round=n, **where)
        for n, managed in ((1, 9.0), (2, 12.0))
        for way, rate in (("mmap", 10.0), ("all", managed))
    ]
    found = line(page(rows), "at most 1 % slower than plain mmap", "m, 100 % (130 MiB)")
    assert found[3] == "not resolved: runs differ by more"


def test_runs_of_fewer_tokens_are_not_said_to_read_less_again() -> None:
    """5 tokens read 400 MiB, so 9 would read 800 MiB: 8 times the 100 MiB of weights."""
    text = page([made("mmap", 2.0), made("all", 10.0, tokens=9, bytes_per_token=30 * MIB, read_bytes=350 * MIB)])
    assert line(text, "m", "45 % (65 MiB)", "70 %")[5:] == ["8 to 3.5", "5.4"]
    assert line(text, "45 % (65 MiB)", "mmap", "100")[5] == "8"


def test_what_was_read_ahead_is_not_put_beside_policies() -> None:
    where = {
        "kind": "experts",
        "kept_share": 0.4,
        "held_share": 0.6,
        "belady_held_share": 0.5,
        "policy_missed_bytes": 20 * MIB,
    }
    text = page([made("mmap", 2.0), made("all", 10.0, **where)])
    found = line(text, "more than LFU's 43 % of experts' bytes kept", "m, 45 % (65 MiB)")
    assert found[2:] == ["40 %; in hindsight 50 %", "**not reached**"]
    assert line(text, "45 % (65 MiB)", "all", "100")[-2:] == ["40", "50"]


def test_a_cell_that_cannot_run_says_why() -> None:
    rows = [
        made("mmap", 2.0),
        made("read", None, killed=1),
        made("direct", None, failed=1, why="error: no O_DIRECT"),
        made("all", 2.0, note="declined: the model fits"),
        made("pin", 3.0, text_differs=1),
    ]
    text = page(rows)
    assert line(text, "45 % (65 MiB)", "read", "1")[3:] == ["-"] * 9 + ["killed: out of memory (1 of 1)"]
    assert line(text, "45 % (65 MiB)", "direct", "1")[-1] == "failed: error: no O_DIRECT (1 of 1)"
    assert line(text, "45 % (65 MiB)", "all", "1")[-1] == "declined: the model fits"
    assert line(text, "45 % (65 MiB)", "pin", "1")[-1] == "**WRONG TEXT** (1 of 1)"
    assert "**In 1 of 3 runs the text differed" in text


def test_only_runs_of_one_round_of_one_sitting_are_compared() -> None:
    rows = [made("mmap", 1.0), made("all", 10.0)]
    rows += [made("mmap", 4.0, sitting="2026-01-03T00:00:00Z"), made("all", 8.0, sitting="2026-01-03T00:00:00Z")]
    text = page(rows)
    assert line(text, "45 % (65 MiB)", "all", "2")[4] == "6 (2 to 10)"
    assert "2026-01-02 to 2026-01-03: 4 runs in 2 rounds" in text


def test_page_and_picture_are_those_of_the_csv_alone(tmp_path: Path) -> None:
    rows = [made("mmap", 2.0), made("random", 0.5), made("read", None, killed=1)]
    more = {"held_share": 0.5, "policy_missed_bytes": 20 * MIB, "predicted_tokens_per_s": 11.0, "text": "12e45"}
    rows += [made("all", 10.0, **more), made("of-another-version", 1.0)]
    write_csv(rows, tmp_path / "optimise.csv")
    again = read_csv(tmp_path / "optimise.csv", TEXTS)
    assert again == rows
    assert page(again) == page(rows)
    draw(again, tmp_path / "optimise.svg")
    assert "</svg>" in (tmp_path / "optimise.svg").read_text()


def test_least_that_must_be_read() -> None:
    """Of experts, by what is used again last; what each token reads has the memory first."""
    slices = [{"size": 10}, {"size": 4, "rows": True}]
    slices += [{"size": 2, "layer": 0, "expert": e} for e in (0, 0, 1, 1, 2, 2)]  # two tensors each
    orders = [[0, 1, 2, 3], [0, 1, 4, 5], [0, 1, 6, 7], [0, 1, 2, 3], [0, 1, 4, 5]]
    model = Model(Path("m"), "experts", 100)
    taken(model, {"slices": slices, "tokens": [{"order": order} for order in orders]})
    assert (model.dense, model.wanted) == (10, 14)
    assert [least_missed(model, left) for left in (7, 14, 18, 22)] == [7, 12 / 5, 4 / 5, 0]
    string = [[(0, e)] for e in (0, 1, 2, 0, 1)]
    assert belady(string, dict.fromkeys([(0, 0), (0, 1), (0, 2)], 4), 8) == 4


@pytest.mark.parametrize(
    ("n", "low", "high"), [(1, 1, 1), (3, 1, 3), (5, 1, 5), (6, 1, 6), (9, 2, 8), (10, 2, 9), (20, 6, 15)]
)
def test_interval_of_a_median(n: int, low: int, high: int) -> None:
    """The published ranks of the sign test at 95 %."""
    assert interval(range(n, 0, -1))[1:] == (low, high)


def test_experts_are_found_behind_a_long_vocabulary(tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(bytes(3 * MIB))
    assert kind_of(model) == "dense"
    model.write_bytes(bytes(3 * MIB) + b"llama.expert_used_count")
    assert kind_of(model) == "experts"
