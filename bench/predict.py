#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""predict.py TAT BIN MODEL...: what `tat plan` expects beside what `tat run` delivers.

The plan goes by one trace for each model, recorded with all memory, and by the disk's rate, measured anew in each round.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TOKENS, CONTEXT = 100, 512
PROMPT = "The history of the world in short: first, there was"
SHARES = {False: (75, 50, 35), True: (75, 45, 35)}  # of the model, in percent, without and with experts
BESIDES = ("kv_bytes", "program_bytes")  # what a small model's program needs, too
SAID = re.compile(r"predicted ([\d.,]+) tokens/s, delivered ([\d.,]+)")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tat", type=Path)
    parser.add_argument("bin", type=Path, help="folder of llama-completion")
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def command(args: argparse.Namespace, model: Path) -> list[str]:
    return [str(args.bin / "llama-completion"), "-m", str(model), "-p", PROMPT, "-n", str(args.tokens), "-c", str(CONTEXT),
            "-t", "2", "--temp", "0", "--ignore-eos", "-no-cnv"]  # fmt: skip


def run(words: list[str], good: tuple[int, ...] = (0,)) -> str:
    """What a command says on stderr."""
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=False
    )
    if done.returncode not in good:
        sys.exit(f"{' '.join(words)}: status {done.returncode}\n{done.stderr}")
    return done.stderr


def besides(args: argparse.Namespace, trace: Path, work: Path) -> int:
    """Bytes that a dense model's program needs: of a model with experts, they are part of the share."""
    run([str(args.tat), "plan", "--memory", "4G", "-o", str(work / "plan.json"), str(trace)], (0, 1, 3))
    assumptions = json.loads((work / "plan.json").read_text())["assumptions"]
    return sum(assumptions[part] for part in BESIDES)


def has_experts(model: Path) -> bool:
    return "x" in model.stem.split("-")[-1]


def one_cell(args: argparse.Namespace, model: Path, trace: Path, memory: int, work: Path) -> dict[str, float | str]:
    plan = work / "plan.json"
    run([str(args.tat), "plan", "--memory", str(memory), "-o", str(plan), str(trace)], (0, 1, 3))
    values = json.loads(plan.read_text())["values"]
    if values["gate"] != "open":
        return {"gate": values["gate"]}
    said = run([str(args.tat), "run", "--memory", str(memory), "--plan", str(plan), "--", *command(args, model)])
    found = SAID.search(said)
    if not found:
        return {"gate": values["gate"]}
    predicted, delivered = (float(number.replace(",", "")) for number in found.groups())
    return {"gate": values["gate"], "predicted": predicted, "delivered": delivered}


def row_of(name: str, percent: int, memory: int, cells: list[dict[str, float | str]]) -> tuple[str, list[float]]:
    both = [cell for cell in cells if "delivered" in cell]
    if not both:
        gates = ", ".join(sorted({str(cell["gate"]) for cell in cells}))
        return f"| {name} | {percent} % | {memory / 1e6:.0f} MB | - | - | declined: {gates} |", []
    errors = [float(cell["predicted"]) / float(cell["delivered"]) - 1 for cell in both]
    predicted = statistics.median(float(cell["predicted"]) for cell in both)
    delivered = sorted(float(cell["delivered"]) for cell in both)
    return (
        f"| {name} | {percent} % | {memory / 1e6:.0f} MB | {predicted:.1f} | {statistics.median(delivered):.1f} "
        f"({delivered[0]:.1f} to {delivered[-1]:.1f}) | {100 * statistics.median(errors):+.1f} % |",
        errors,
    )


def table(cells: dict[tuple[str, int, int], list[dict[str, float | str]]], rounds: int) -> str:
    lines = [
        "# Predicted and delivered",
        "",
        f"Tokens a second: what `tat plan` expected and `tat run` delivered, in {rounds} rounds, all cells in turn",
        "(`bench/predict.sh`). Medians; in brackets the least and the most. Of a dense model, memory is so much of the file,",
        "and what the program needs beside it.",
        "",
        "| model | memory | | predicted | delivered | error |",
        "|---|---|---|---|---|---|",
    ]
    medians, all_errors = [], []
    for (name, percent, memory), found in cells.items():
        text, errors = row_of(name, percent, memory, found)
        lines.append(text)
        all_errors += errors
        if errors:
            medians.append(statistics.median(errors))
    if medians:
        within = sum(abs(error) <= 0.2 for error in medians)
        lines += [
            "",
            f"Median error of cells: {100 * statistics.median(map(abs, medians)):.1f} %; {within} of {len(medians)} cells",
            f"are within 20 %. Of single runs: {100 * statistics.median(map(abs, all_errors)):.1f} %,",
            f"{sum(abs(error) <= 0.2 for error in all_errors)} of {len(all_errors)}.",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    args = parse()
    cells: dict[tuple[str, int, int], list[dict[str, float | str]]] = {}
    with tempfile.TemporaryDirectory(dir=args.models[0].parent) as folder:
        work = Path(folder)
        os.environ |= {"XDG_STATE_HOME": folder, "XDG_CACHE_HOME": folder}
        os.environ.pop("TAT_DIR", None)
        for model in args.models:
            run([str(args.tat), "record", "-o", str(work / model.stem), "--", *command(args, model)])
        for number in range(args.rounds):
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
            run([str(args.tat), "doctor", "--disk", str(args.models[-1])])
            for model in args.models:
                size, more = model.stat().st_size, 0 if has_experts(model) else besides(args, work / model.stem, work)
                for percent in SHARES[has_experts(model)]:
                    memory = size * percent // 100 + more
                    cell = one_cell(args, model, work / model.stem, memory, work)
                    cells.setdefault((model.stem, percent, memory), []).append(cell)
                    print(model.stem, f"{percent} %", cell, file=sys.stderr)
    text = table(cells, args.rounds)
    print(text, end="")
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
