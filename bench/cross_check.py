#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""llama.cpp's own figures against the trace's, of one and the same run; and llama-bench's, untraced and traced in turn.

    cross_check.py TAT LLAMA_BIN MODEL THREADS PAIRS
"""

import json
import re
import statistics
import subprocess
import sys
import tempfile

from paired import interval

FIGURES = {
    "load and warm-up": re.compile(r" load time = +([\d.]+) ms"),
    "prompt": re.compile(r"prompt eval time = +([\d.]+) ms"),
    "generation": re.compile(r" {2,}eval time = +([\d.]+) ms"),
}
PHASES = {"load and warm-up": ("load", "warmup"), "prompt": ("prompt",), "generation": ("generate",)}


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)


def one_run(tat: str, folder: str, model: str, threads: str) -> None:
    """Milliseconds by llama.cpp's log and by the trace; llama.cpp counts the warm-up as loading."""
    with tempfile.TemporaryDirectory() as work:
        done = run([tat, "record", "-o", f"{work}/run", "--", f"{folder}/llama-completion", "-m", model, "-t", threads,
                    "-n", "100", "--temp", "0", "-no-cnv", "--ignore-eos", "--perf", "-p", "The three laws of robotics are"])
        section = json.loads(run([tat, "report", "--json", "--section", "phases", f"{work}/run"]).stdout)["phases"]
    ms = {row["phase"]: row["ns"] / 1e6 for row in section["tables"]["phases"]["rows"]}
    for name, pattern in FIGURES.items():
        theirs, ours = float(pattern.findall(done.stderr)[-1]), sum(ms.get(phase, 0) for phase in PHASES[name])
        print(f"{name:17} {theirs:9.2f} ms in llama.cpp's log, {ours:9.2f} ms in the trace ({100 * (ours / theirs - 1):+.1f} %)")


def bench(command: list[str]) -> dict[str, float]:
    """Tokens a second, by test."""
    tests = json.loads(run(command).stdout)
    return {"prompt" if t["n_prompt"] else "generation": t["avg_ts"] for t in tests}


def llama_bench(tat: str, folder: str, model: str, threads: str, pairs: int) -> None:
    plain = [f"{folder}/llama-bench", "-m", model, "-t", threads, "-p", "64", "-n", "32", "-r", "3", "-o", "json"]
    ratios: dict[str, list[float]] = {"prompt": [], "generation": []}
    for i in range(pairs):
        with tempfile.TemporaryDirectory() as work:
            traced = [tat, "record", "-o", f"{work}/run", "--", *plain]
            found = {name: bench(traced if name == "on" else plain) for name in (("off", "on") if i % 2 else ("on", "off"))}
        for test, all_ratios in ratios.items():
            all_ratios.append(found["off"][test] / found["on"][test] - 1)
    for test, all_ratios in ratios.items():
        low, high = interval(all_ratios)
        print(f"llama-bench {test:11} traced runs take {100 * statistics.median(all_ratios):+.2f} % longer   "
              f"95 % CI [{100 * low:+.2f}, {100 * high:+.2f}], {pairs} pairs")


def main() -> None:
    tat, folder, model, threads, pairs = sys.argv[1:]
    one_run(tat, folder, model, threads)
    llama_bench(tat, folder, model, threads, int(pairs))


if __name__ == "__main__":
    main()
