#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads the lines of bench/overhead and prints, for each mode against "off", the median of the paired ratios, round by
round, with a 95 % confidence interval (percentile bootstrap of the median, 10,000 resamples, fixed seed).

    overhead ... | paired.py
"""

import csv
import random
import statistics
import sys

RESAMPLES = 10_000


def interval(values: list[float]) -> tuple[float, float]:
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[int(0.025 * RESAMPLES)], medians[int(0.975 * RESAMPLES)]


def main() -> None:
    rounds: dict[str, dict[str, int]] = {}
    for row in csv.DictReader(sys.stdin):
        rounds.setdefault(row["round"], {})[row["mode"]] = int(row["ns_per_token"])
    off = [r["off"] for r in rounds.values()]
    print(f"{len(rounds)} rounds, off: median {statistics.median(off) / 1e6:.3f} ms a token")
    for mode in ("empty", "record", "eval_callback"):
        ratios = [r[mode] / r["off"] - 1 for r in rounds.values()]
        low, high = interval(ratios)
        print(f"{mode:14} {100 * statistics.median(ratios):+.2f} %   95 % CI [{100 * low:+.2f}, {100 * high:+.2f}]")


if __name__ == "__main__":
    main()
