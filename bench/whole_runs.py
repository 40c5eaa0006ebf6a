#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whole runs in turn, untraced, recorded, and recorded with I/O events, in a new order each time: llama.cpp's own figure for
generated tokens a second. The model is in memory, so that what is measured is the recording and not the disk.

    whole_runs.py TAT LLAMA_COMPLETION MODEL THREADS ROUNDS TOKENS
"""

import random
import re
import statistics
import subprocess
import sys
import tempfile

from paired import interval

EVAL = re.compile(r" eval time = +[\d.]+ ms / +\d+ runs .*?([\d.]+) tokens per second")
WAYS = {"off": None, "record": [], "record --io": ["--io"]}


def rate(command: list[str]) -> tuple[float, str]:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
    return float(EVAL.findall(done.stderr)[-1]), done.stdout


def once(tat: str, plain: list[str], options: list[str] | None) -> tuple[float, str]:
    if options is None:
        return rate(plain)
    with tempfile.TemporaryDirectory() as folder:
        return rate([tat, "record", *options, "-o", f"{folder}/run", "--", *plain])


def longer(rounds: list[dict[str, float]], way: str, than: str) -> str:
    ratios = [r[than] / r[way] - 1 for r in rounds]
    low, high = interval(ratios)
    return (f"{way} takes {100 * statistics.median(ratios):+.2f} % longer a token than {than}   "
            f"95 % CI [{100 * low:+.2f}, {100 * high:+.2f}]")


def main() -> None:
    tat, llama, model, threads, count, tokens = sys.argv[1:]
    plain = [llama, "-m", model, "-t", threads, "-n", tokens, "--temp", "0", "-no-cnv", "--ignore-eos",
             "-p", "The three laws of robotics are"]
    shuffled = random.Random(1)
    rounds = []
    for _ in range(int(count)):
        runs = {way: once(tat, plain, WAYS[way]) for way in shuffled.sample(list(WAYS), len(WAYS))}
        if len({text for _, text in runs.values()}) > 1:
            sys.exit("whole_runs: a traced program's text differs")
        rounds.append({way: runs[way][0] for way in WAYS})
    print(f"{count} rounds of {tokens} tokens, untraced: median {statistics.median(r['off'] for r in rounds):.1f} tokens/s; "
          "texts identical")
    print(longer(rounds, "record", "off"))
    print(longer(rounds, "record --io", "record"))


if __name__ == "__main__":
    main()
