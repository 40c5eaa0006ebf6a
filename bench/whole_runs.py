#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Whole runs in turn, untraced and traced, order changed each time: llama.cpp's own figure for generated tokens a second.

    whole_runs.py TAT LLAMA_COMPLETION MODEL THREADS PAIRS TOKENS
"""

import re
import statistics
import subprocess
import sys
import tempfile

from paired import interval

EVAL = re.compile(r" eval time = +[\d.]+ ms / +\d+ runs .*?([\d.]+) tokens per second")


def rate(command: list[str]) -> tuple[float, str]:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
    return float(EVAL.findall(done.stderr)[-1]), done.stdout


def main() -> None:
    tat, llama, model, threads, pairs, tokens = sys.argv[1:]
    plain = [llama, "-m", model, "-t", threads, "-n", tokens, "--temp", "0", "-no-cnv", "--ignore-eos",
             "-p", "The three laws of robotics are"]
    ratios, off = [], []
    for i in range(int(pairs)):
        with tempfile.TemporaryDirectory() as folder:
            traced = [tat, "record", "-o", f"{folder}/run", "--", *plain]
            runs = {}
            for name in (("off", "on") if i % 2 else ("on", "off")):
                runs[name] = rate(plain if name == "off" else traced)
        if runs["on"][1] != runs["off"][1]:
            sys.exit("whole_runs: the traced program's text differs")
        off.append(runs["off"][0])
        ratios.append(runs["off"][0] / runs["on"][0] - 1)
    low, high = interval(ratios)
    print(f"{pairs} pairs of {tokens} tokens, untraced: median {statistics.median(off):.1f} tokens/s")
    print(f"traced runs take {100 * statistics.median(ratios):+.2f} % longer a token   "
          f"95 % CI [{100 * low:+.2f}, {100 * high:+.2f}]; text identical")


if __name__ == "__main__":
    main()
