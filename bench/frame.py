# SPDX-License-Identifier: MIT
"""How long access records take to become a data frame: frame.py TRACE RECORDS ROUNDS."""

from __future__ import annotations

import statistics
import sys
import time

import tat


def main() -> None:
    """Take tokens from the first until there are enough records; measure making them and naming what they name."""
    path, wanted, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with tat.TraceAnalyzer(path) as t:
        each = len(t.accesses(tokens="10:10"))
        tokens = f"0:{wanted // each + 1}"
        arrays, frames = [], []
        for _ in range(rounds):
            begin = time.perf_counter()
            records = t.accesses(tokens=tokens)
            made = time.perf_counter()
            frame = t.frame(tokens=tokens)
            frames.append(time.perf_counter() - made)
            arrays.append(made - begin)
    print(f"{len(records):,} records as an array {statistics.median(arrays):.3f} s")
    print(f"{len(frame):,} rows of {frame.shape[1]} columns with names {statistics.median(frames):.3f} s")


if __name__ == "__main__":
    main()
