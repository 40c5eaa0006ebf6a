#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What llama.cpp does when its model does not fit in memory: models x memory x ways of loading, each several times, in
random order, traced with --io and --memory. Prints a table; with --out it writes PRESSURE.md, pressure.csv and
pressure.svg into a folder.

    pressure.py [--rounds N] [--shares 100,75,50,35] [--ways mmap,random] [--tokens N] [--out DIR] TAT LLAMA MODEL...

LLAMA is the folder of llama-completion. A limit is a share of the model's bytes plus what a run with enough memory
needs besides: so 100 % holds all of the model. Needs cgroups that the user may make, so mostly root.
"""

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cells import MIB, Row, compiled, conditions, disk_rate, numbers, spread, write_csv

LAST_LINES = 12  # of what a run printed that failed
# name: (explanation, options of llama-completion, MAPPING of bench/mapping.c)
WAYS: dict[str, tuple[str, list[str], str]] = {
    "mmap": ("as llama.cpp does it: mapped, populated", [], ""),
    "no-warmup": ("the same without the warm-up pass", ["--no-warmup"], ""),
    "faults": ("mapped, read when touched, with read-ahead", [], "faults"),
    "random": ("mapped, MADV_RANDOM: read when touched, page by page", [], "random"),
    "read": ("no mapping: read into the program's own memory", ["-lm", "none"], ""),
    "direct": ("the same past the page cache (O_DIRECT)", ["-lm", "dio"], ""),
}
COLUMNS = ["tokens_per_s", "first_token_s", "disk_bytes", "read_amplification", "reread_factor", "sequential_share"]
DIVISORS = [1, 1, MIB, 1, 1, 0.01]
ENDINGS = ("killed", "failed")


def ways_of(llama: Path) -> list[str]:
    """Those that this llama.cpp has options for."""
    told = subprocess.run([llama / "llama-completion", "--help"], check=False, capture_output=True, text=True).stdout
    if "--load-mode" not in told:  # before 2026
        WAYS["read"] = (WAYS["read"][0], ["--no-mmap"], "")
        return [way for way in WAYS if way != "direct"]
    return list(WAYS)


class Bench:
    def __init__(self, tat: Path, llama: Path, tokens: int, context: int, folder: Path) -> None:
        self.tat, self.llama, self.tokens, self.context = tat, llama, tokens, context
        self.folder = folder
        self.library = compiled(folder)

    def record(self, model: Path, way: str, limit: int, trace: Path) -> tuple[int, str, float]:
        """Exit status, what was said, and the seconds until the first token was printed."""
        _, options, mapping = WAYS[way]
        environment = dict(os.environ)
        if mapping:
            environment |= {"MAPPING": mapping, "LD_PRELOAD": str(self.library)}
        command: list[str | Path] = [
            self.tat, "record", "--io", "--memory", str(limit), "-o", trace, "--", self.llama / "llama-completion",
            "-m", model, "-p", "The three laws of robotics are", "-n", str(self.tokens), "-c", str(self.context),
            "--temp", "0", "-no-cnv", "--ignore-eos", "--no-display-prompt", *options]
        with (self.folder / "talk").open("w+") as talk:
            begin = time.monotonic()
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=talk, bufsize=0,
                                  env=environment) as run:
                assert run.stdout
                run.stdout.read(1)
                first = time.monotonic() - begin
                run.stdout.read()
            talk.seek(0)
            return run.returncode, talk.read(), first

    def new_trace(self) -> Path:
        """A path that no run has written to; traces of before are gone, so that they do not fill the disk."""
        trace = self.folder / "run"
        subprocess.run(["rm", "-rf", trace], check=True)
        return trace

    def needs(self, model: Path) -> int:
        """Bytes beside the model's file, of a run with more than enough memory."""
        trace = self.new_trace()
        status, talk, _ = self.record(model, "mmap", 4 * model.stat().st_size + 512 * MIB, trace)
        if status != 0:
            sys.exit(f"pressure: {talk[-2000:]}")
        peak = int(json.loads((trace / "trace_metadata.json").read_text())["pressure"]["peak_bytes"])
        if not peak:
            sys.exit("pressure: this kernel does not tell a cgroup's peak: Linux 5.19 does")
        return max(0, peak - model.stat().st_size)

    def one(self, model: Path, way: str, share: int, limit: int) -> Row:
        trace = self.new_trace()
        status, talk, first = self.record(model, way, limit, trace)
        row: Row = {"model": model.name, "limit_percent": share, "limit_bytes": limit, "way": way,
                    "killed": int("the kernel killed" in talk), "failed": 0}
        rates = re.findall(r" eval time = .*?runs.*?([\d.]+) tokens per second", talk)  # llama.cpp's own
        if status == 0 and rates:
            row |= {"tokens_per_s": float(rates[-1]), "first_token_s": first} | self.storage_of(trace)
        elif not row["killed"]:
            row["failed"] = 1
            why = "it printed no eval time" if status == 0 else f"status {status}"
            last = "\n".join(f"    {line}" for line in talk.splitlines()[-LAST_LINES:])
            print(f"pressure: {model.name}, {share} %, {way} failed: {why}. Its last lines:\n{last}", file=sys.stderr)
        return row

    def storage_of(self, trace: Path) -> Row:
        """What the report says; a figure that this machine cannot tell is not there."""
        told = subprocess.run([self.tat, "report", "--section", "storage", "--json", trace], capture_output=True,
                              text=True, check=True).stdout
        values = json.loads(told)["storage"]["values"]
        values["sequential_share"] = values.get("disk_sequential_share")
        return {name: values.get(name) for name in COLUMNS[2:]}


def measure(bench: Bench, models: list[Path], shares: list[int], ways: list[str], rounds: int) -> list[Row]:
    needs = {model: bench.needs(model) for model in models}
    cells = [(m, s, w) for m in models for s in shares for w in ways]
    rng = random.Random(0)
    rows: list[Row] = []
    for number in range(rounds):
        rates = {model: disk_rate(model) for model in models}
        for model, share, way in rng.sample(cells, len(cells)):
            row = bench.one(model, way, share, model.stat().st_size * share // 100 + needs[model])
            rows.append({"round": number} | row | {"disk_bytes_per_s": rates[model]})
            ended = next((word for word in ENDINGS if row[word]), None) or f"{row['tokens_per_s']} tokens/s"
            print(f"round {number + 1}: {model.name} {share} % {way}: {ended}", file=sys.stderr)
    return rows


# ---- what came of it ----


def table(rows: list[Row]) -> list[str]:
    lines = ["| model | memory | way | tokens/s | first token, s | read, MiB | read/wanted | re-read | in order, % |",
             "|---|---|---|---|---|---|---|---|---|"]
    for key in sorted({(str(r["model"]), -int(str(r["limit_percent"])), str(r["way"])) for r in rows},
                      key=lambda k: (k[0], k[1], list(WAYS).index(k[2]))):
        mine = [r for r in rows if (r["model"], r["limit_percent"], r["way"]) == (key[0], -key[1], key[2])]
        limit = f"{-key[1]} % ({int(str(mine[0]['limit_bytes'])) / MIB:.0f} MiB)"
        alive = [r for r in mine if not any(r[word] for word in ENDINGS)]
        figures = [spread(alive, name, divide) for name, divide in zip(COLUMNS, DIVISORS)]
        counts = {word: sum(bool(r[word]) for r in mine) for word in ENDINGS}
        ends = [f"{word} in {count} of {len(mine)}" for word, count in counts.items() if count]
        figures[0] = "; ".join([figures[0]] * bool(alive) + ends)
        lines.append("| " + " | ".join([key[0], limit, key[2], *figures]) + " |")
    return lines


def report(rows: list[Row], rounds: int) -> str:
    rates = sorted({float(str(r["disk_bytes_per_s"])) / MIB for r in rows})
    how = (f"{conditions('bench/pressure.sh', rounds)} The disk read {rates[0]:.0f} to {rates[-1]:.0f} MiB/s in order past "
           "the page cache, measured in each round.")
    words = ("*Memory* is a share of the model's bytes, and what a run with enough memory needs besides: so 100 % holds all "
             "of the model. *First token* counts from the start of `tat record`. *Read/wanted* is read "
             "amplification: bytes read from disk to bytes that graphs asked for of the file; weights that are read into the "
             "program's own memory count once, when they are loaded, so `read` and `direct` do not compare with the others. "
             "*Re-read* is bytes read to unique bytes "
             "read. *In order* is the share of requests that follow the one before on the disk. A dash: this machine did "
             "not tell. *Killed*: by the kernel, because what the program holds of its own did not fit. "
             "*Failed*: it ended with an error, or without a token.")
    ways = [f"- `{name}`: {told}" for name, (told, _, _) in WAYS.items() if any(r["way"] == name for r in rows)]
    return "\n".join(["# llama.cpp under memory pressure", "", how, "", words, "", *ways, "", *table(rows), ""])


def draw(rows: list[Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    models = sorted({str(r["model"]) for r in rows})
    figure, axes = plt.subplots(len(models), 2, figsize=(10, 3.6 * len(models)), squeeze=False, layout="constrained")
    for row, model in zip(axes, models):
        for axis, name, label, divide in ((row[0], "tokens_per_s", "tokens/s", 1), (row[1], "disk_bytes", "read, MiB", MIB)):
            for way in WAYS:
                points = [(int(str(r["limit_percent"])), float(str(r[name])) / divide) for r in rows
                          if r["model"] == model and r["way"] == way and r.get(name) is not None]
                shares = sorted({share for share, _ in points})
                medians = [statistics.median(v for s, v in points if s == share) for share in shares]
                axis.plot(shares, medians, marker="o", label=way) if points else None
            axis.set(xlabel="memory for weights, % of the model", ylabel=label, title=model, yscale="log")
            axis.invert_xaxis()
        row[0].legend(fontsize="small")
    figure.savefig(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shares", type=numbers, default=[100, 75, 50, 35])
    parser.add_argument("--ways", help="of " + ", ".join(WAYS))
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--out", type=Path)
    parser.add_argument("tat", type=Path)
    parser.add_argument("llama", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    given = parser.parse_args()
    ways = given.ways.split(",") if given.ways else ways_of(given.llama)
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(given.tat, given.llama, given.tokens, given.context, Path(folder))
        rows = measure(bench, given.models, given.shares, ways, given.rounds)
    text = report(rows, given.rounds)
    print(text)
    if given.out:
        (given.out / "PRESSURE.md").write_text(text)
        write_csv(rows, given.out / "pressure.csv")
        draw(rows, given.out / "pressure.svg")


if __name__ == "__main__":
    main()
