#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What managing memory gains where a model does not fit: models x memory x ways, each several times, in random order,
beside what llama.cpp does of itself. Prints a page; with --out it writes OPTIMISE.md, optimise.csv and optimise.svg into
a folder.

    optimise.py [OPTIONS] TAT LIBRARY LLAMA MODEL...
    optimise.py --only-page --out DIR

LIBRARY is libtat_manage.so, LLAMA the folder of llama-completion. Memory is a share of the model's bytes, in percent:
--shares has that much for the model, beside what a run with enough memory holds of its own, so 100 holds all of it, and
what tat needs; --totals has that much for all. An item may be for models of one kind: dense:70, experts:45.

With --append, runs are added to those of optimise.csv, so that many rounds can be had in several sittings; each run
carries its date, machine, llama.cpp and commit. --only-page makes the page of optimise.csv alone.

Needs cgroups that the user may make, so mostly root. Ends with status 1 if a text differs from that of a run with enough
memory.
"""

import argparse
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cells import MIB, Row, disk_rate_at_once, read_csv, write_csv
from optimise_model import Model, examined, kind_of, least_missed, measure_disk, planned
from optimise_page import page
from optimise_plot import draw
from optimise_run import WAYS, Runner, Texts, plenty, text_figures
from optimise_table import TEXTS

WHOLE = ["mmap", "all"]
TAT_OWN = 4 * MIB  # `tat run` and what it adds to the program take 1.5 MiB
LAST_LINES = 12  # of what a run printed that failed


@dataclass(frozen=True)
class Cell:
    model: int
    percent: int
    of: str  # "weights": beside what the program holds of its own; "all"
    way: str


def shares_for(text: str, kind: str) -> list[int]:
    """Of "100,75,dense:70", those for models of a kind."""
    parts = [part.rpartition(":") for part in text.split(",") if part]
    return [int(percent) for only, _, percent in parts if only in ("", kind)]


def chosen(models: list[Path], words: str) -> list[Path]:
    """Those with one of the words in their names, or of one of these kinds."""
    wanted = [word for word in words.split(",") if word]
    return [m for m in models if not wanted or any(word in m.name or word == kind_of(m) for word in wanted)]


def cells_of(models: list[Model], ways: Iterable[str], given: argparse.Namespace) -> list[Cell]:
    """Where a model has no experts, what is done with them changes nothing: pattern is all. Where all fits, managing
    has nothing to do, whatever its strategy."""
    cells = []
    for number, model in enumerate(models):
        kind = model.kind
        totals = shares_for(given.totals, kind)
        for way in ways:
            if kind == "dense" and (way == "pattern" or WAYS[way].foresee):
                continue
            whole, part, peer = (shares_for(text, kind) for text in (given.shares, given.part_shares, given.peer_shares))
            shares = whole if way in WHOLE else peer if WAYS[way].is_peer else [s for s in part if s < 100]
            cells += [Cell(number, share, "weights", way) for share in shares]
            cells += [Cell(number, total, "all", way) for total in totals if not WAYS[way].is_peer]
    return cells


def sitting(llama: Path) -> Row:
    """What is the same for all runs of one start of this program."""
    found = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.M)
    version = re.search(r"llama\.cpp-[\w.]+", str(llama.resolve()))
    commit = subprocess.run(["git", "-C", Path(__file__).parent, "describe", "--always", "--dirty"], check=False,
                            capture_output=True, text=True).stdout.strip()
    return {"sitting": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "kernel": os.uname().release,
            "cpu": found[1].strip() if found else os.uname().machine, "cpus": os.cpu_count(),
            "llama": version[0] if version else str(llama), "commit": commit}


class Bench:
    def __init__(self, given: argparse.Namespace, folder: Path) -> None:
        self.given, self.tat, self.folder = given, given.tat.resolve(), folder
        self.runner = Runner(given.library.resolve(), given.llama, given.context, folder)
        self.texts = Texts(self.runner)
        self.common = sitting(given.llama)
        self.models = [self.prepare(path, folder) for path in chosen(given.models_given, given.models)]
        self.rows: list[Row] = []

    def prepare(self, path: Path, folder: Path) -> Model:
        tokens = self.given.tokens
        model = examined(self.tat, self.runner.command(path, tokens), path, folder)
        row, _, _ = self.runner.run(path, "mmap", tokens, plenty(path))
        self.texts.of(model, tokens)
        model.own = max(0, row["peak_bytes"] - model.bytes)
        return model

    def tokens_of(self, cell: Cell) -> int:
        """More where they come quickly; fewer where the kernel reads what does not fit, and fewest page by page."""
        way = WAYS[cell.way]
        if cell.percent >= 100 and cell.of == "weights":
            return int(4 * self.given.tokens)
        if way.strategy and not (way.leaves_experts and self.models[cell.model].kind == "experts") and not way.leaves_rest:
            return int(self.given.tokens)
        return max(2, self.given.slow_tokens // 2) if cell.way == "random" else int(self.given.slow_tokens)

    def limit_of(self, cell: Cell) -> int:
        model = self.models[cell.model]
        fits = cell.percent >= 100 and cell.of == "weights"
        return model.bytes * cell.percent // 100 + (model.own if cell.of == "weights" else 0) + (TAT_OWN if fits else 0)

    def one(self, cell: Cell, plain_rate: float) -> Row:
        model, limit, tokens = self.models[cell.model], self.limit_of(cell), self.tokens_of(cell)
        rate = disk_rate_at_once(model.path, model.slice_bytes)
        row: Row = {"model": model.path.name, "kind": model.kind, "model_bytes": model.bytes, "own_bytes": model.own,
                    "wanted_bytes": model.wanted, "dense_bytes": model.dense, "unique_bytes": model.unique,
                    "memory_percent": cell.percent, "memory_of": cell.of, "limit_bytes": limit, "way": cell.way,
                    "tokens": tokens, "disk_bytes_per_s": rate, "plenty_tokens_per_s": plain_rate,
                    "missed_bytes": least_missed(model, limit - model.own)}
        if cell.way == "all":
            row |= planned(self.tat, model, limit, self.folder)
        for _attempt in range(2):  # on a busy machine llama-completion may end before it has printed all
            figures, text, said = self.runner.run(model.path, cell.way, tokens, limit, rate)
            compared = {} if figures["killed"] or figures["failed"] else text_figures(self.texts, model, tokens, text)
            if not compared.get("text_short"):
                break
        self.complain(row | figures | compared, text, said, self.texts.of(model, tokens))
        return row | figures | compared

    def complain(self, row: Row, text: bytes, said: str, wanted: bytes) -> None:
        where = f"optimise: {row['model']}, {row['memory_percent']} % of {row['memory_of']}, {row['way']}"
        if row["failed"]:
            last = "\n".join(f"    {line}" for line in said.splitlines()[-LAST_LINES:])
            print(f"{where} failed. Its last lines:\n{last}", file=sys.stderr)
        if row.get("text_differs"):
            print(f"{where}: ERROR: WRONG TEXT:\n    {text!r}\nin place of\n    {wanted!r}", file=sys.stderr)

    def round(self, number: int, cells: list[Cell], until: float) -> None:
        """Until then, no other cell is begun; the rest of the round is left out."""
        used = sorted({cell.model for cell in cells})
        plain = {m: self.runner.run(self.models[m].path, "mmap", 4 * self.given.tokens, plenty(self.models[m].path))[0]
                 for m in used}
        if used:
            measure_disk(self.tat, self.models[used[-1]], self.folder)
        for cell in cells:
            if time.monotonic() > until:
                return
            row = self.common | {"round": number} | self.one(cell, plain[cell.model]["tokens_per_s"])
            self.rows.append(row)
            ended = next((word for word in ("killed", "failed") if row[word]), None) or f"{row['tokens_per_s']} tokens/s"
            print(f"round {number + 1}: {row['model']} {cell.percent} % of {cell.of}, {cell.way}: {ended}"
                  f"{'; ' if 'note' in row else ''}{row.get('note', '')}", file=sys.stderr)

    def measure(self) -> None:
        rng = random.Random()
        ways = [way for way in self.given.ways.split(",") if self.runner.can(way)]
        cells = cells_of(self.models, ways, self.given)
        until = time.monotonic() + 60 * self.given.minutes if self.given.minutes else float("inf")
        for number in range(self.given.rounds):
            self.round(number, rng.sample(cells, len(cells)), until)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, help="begin no run after so many")
    parser.add_argument("--models", default="", help="only those with one of these in their names, or of these kinds")
    parser.add_argument("--shares", default="100,75,50,45,35,25,dense:70", help="for " + " and ".join(WHOLE))
    parser.add_argument("--totals", default="dense:70,experts:45", help="for all ways but peers")
    parser.add_argument("--part-shares", default="50,dense:70,experts:45", help="for strategies and readers apart")
    parser.add_argument("--peer-shares", default="100,50", help="for other ways without tat")
    parser.add_argument("--ways", default=",".join(w for w in WAYS if not w.startswith("all-")), help="of " + ", ".join(WAYS))
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--slow-tokens", type=int, default=16, help="where the kernel reads what does not fit")
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--append", action="store_true")
    parser.add_argument("--only-page", action="store_true")
    parser.add_argument("--out", type=Path)
    parser.add_argument("tat", type=Path, nargs="?")
    parser.add_argument("library", type=Path, nargs="?")
    parser.add_argument("llama", type=Path, nargs="?")
    parser.add_argument("models_given", metavar="MODEL", type=Path, nargs="*")
    given = parser.parse_args()
    if (given.append or given.only_page) and not given.out:
        parser.error("--append and --only-page need --out, where optimise.csv is")
    if not given.only_page and not given.models_given:
        parser.error("name TAT, LIBRARY, LLAMA and a MODEL")
    if unknown := [way for way in given.ways.split(",") if way not in WAYS]:
        parser.error(f"no such way: {', '.join(unknown)}")
    return given


def main() -> None:
    given = parse()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    before = read_csv(given.out / "optimise.csv", TEXTS) if given.append or given.only_page else []
    rows = before
    if not given.only_page:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(given, Path(folder))
            try:
                bench.measure()
            except KeyboardInterrupt:
                print("optimise: interrupted: the page is of what was measured until then", file=sys.stderr)
            rows = before + bench.rows
            if given.out and rows:
                write_csv(rows, given.out / "optimise.csv")
    if not rows:
        sys.exit("optimise: nothing was measured")
    text = page(rows)
    print(text)
    if given.out:
        (given.out / "OPTIMISE.md").write_text(text)
        draw(rows, given.out / "optimise.svg")
    sys.exit(1 if any(row.get("text_differs") for row in rows) else 0)


if __name__ == "__main__":
    main()
