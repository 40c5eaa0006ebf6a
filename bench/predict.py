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
from typing import Any

TOKENS, CONTEXT = 100, 512
PROMPT = "The history of the world in short: first, there was"
SHARES = (75, 50, 45, 35, 25)  # of the model, in percent, and what the program needs beside it
IN_ALL = {False: 70, True: 45}  # likewise, without and with experts, of all memory
BESIDES = ("kv_bytes", "program_bytes", "library_bytes", "compute_buffer_bytes")
PLAIN_TOKENS = 12  # of plain mmap, which is slow
SAID = re.compile(r"predicted ([\d.,]+) tokens/s, delivered ([\d.,]+)")
RATE = re.compile(r"(?<!prompt )eval time =.*?([\d.]+) tokens per second")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tat", type=Path)
    parser.add_argument("bin", type=Path, help="folder of llama-completion")
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=TOKENS)
    parser.add_argument("--no-plain", action="store_true", help="leave out plain mmap")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def command(args: argparse.Namespace, model: Path, tokens: int) -> list[str]:
    return [str(args.bin / "llama-completion"), "-m", str(model), "-p", PROMPT, "-n", str(tokens), "-c", str(CONTEXT),
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
    """Bytes that the program needs beside the model."""
    run([str(args.tat), "plan", "--memory", "4G", "-o", str(work / "plan.json"), str(trace)], (0, 1, 3))
    assumptions = json.loads((work / "plan.json").read_text())["assumptions"]
    return sum(assumptions[part] for part in BESIDES)


def has_experts(model: Path) -> bool:
    return "x" in model.stem.split("-")[-1]


def plain_rates(args: argparse.Namespace, model: Path, memory: int, tables: dict[str, Any]) -> dict[str, float]:
    """Plain mmap with as much memory: as the plan has it, and as llama.cpp says."""
    expected = [row["tokens_per_second"] for row in tables["times"]["rows"] if row["name"] == "mmap"]
    if args.no_plain or not expected:
        return {}
    with tempfile.TemporaryDirectory() as trace:
        said = run([str(args.tat), "record", "--memory", str(memory), "--cold", "-o", trace, "--", *command(args, model, PLAIN_TOKENS)])
    found = RATE.search(said)
    return {"plain_predicted": expected[0], "plain": float(found[1])} if found else {}


def one_cell(args: argparse.Namespace, model: Path, trace: Path, memory: int, work: Path) -> dict[str, float | str]:
    plan = work / "plan.json"
    run([str(args.tat), "plan", "--memory", str(memory), "-o", str(plan), str(trace)], (0, 1, 3))
    planned = json.loads(plan.read_text())
    cell: dict[str, float | str] = {"gate": planned["values"]["gate"]}
    cell |= plain_rates(args, model, memory, planned["tables"])
    if cell["gate"] != "open":
        return cell
    said = run([str(args.tat), "run", "--memory", str(memory), "--plan", str(plan), "--", *command(args, model, args.tokens)])
    found = SAID.search(said)
    if found:
        predicted, delivered = (float(number.replace(",", "")) for number in found.groups())
        cell |= {"predicted": predicted, "delivered": delivered}
    return cell


def said_of(cells: list[dict[str, float | str]], predicted: str, delivered: str) -> tuple[str, list[float]]:
    """Three columns of the table, and the errors."""
    both = [cell for cell in cells if delivered in cell]
    if not both:
        return "- | - | -", []
    errors = [float(cell[predicted]) / float(cell[delivered]) - 1 for cell in both]
    found = sorted(float(cell[delivered]) for cell in both)
    return (
        f"{statistics.median(float(cell[predicted]) for cell in both):.1f} | {statistics.median(found):.1f} "
        f"({found[0]:.1f} to {found[-1]:.1f}) | {100 * statistics.median(errors):+.1f} %",
        errors,
    )


def summary(what: str, errors: list[list[float]]) -> str:
    medians = [statistics.median(of_cell) for of_cell in errors if of_cell]
    singly = [error for of_cell in errors for error in of_cell]
    if not medians:
        return f"{what}: nothing was measured."
    return (
        f"{what}: the median error of cells is {100 * statistics.median(map(abs, medians)):.1f} %; "
        f"{sum(abs(error) <= 0.2 for error in medians)} of {len(medians)} cells are within 20 %. Of single runs: "
        f"{100 * statistics.median(map(abs, singly)):.1f} %, {sum(abs(error) <= 0.2 for error in singly)} of {len(singly)}."
    )


def table(cells: dict[tuple[str, str, int], list[dict[str, float | str]]], rounds: int) -> str:
    lines = [
        "# Predicted and delivered",
        "",
        f"Tokens a second: what `tat plan` expected, and what came, in {rounds} rounds, all cells in turn",
        "(`bench/predict.sh`). The plan goes by a run that was recorded with enough memory, and by what `tat doctor --disk`",
        "measured at the begin of each round. Medians; in brackets the least and the most.",
        "",
        "| model | memory | | `tat run`: predicted | delivered | error | plain mmap: predicted | delivered | error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    managed, plain = [], []
    for (name, share, memory), found in cells.items():
        text, errors = said_of(found, "predicted", "delivered")
        plain_text, plain_errors = said_of(found, "plain_predicted", "plain")
        gates = sorted({str(cell["gate"]) for cell in found} - {"open"})
        declined = f"{memory / 1e6:.0f} MB" + (f", declined: {', '.join(gates)}" if gates else "")
        lines.append(f"| {name} | {share} | {declined} | {text} | {plain_text} |")
        managed.append(errors)
        plain.append(plain_errors)
    return "\n".join([*lines, "", summary("`tat run`", managed), "", summary("Plain mmap", plain)]) + "\n"


def main() -> None:
    args = parse()
    cells: dict[tuple[str, str, int], list[dict[str, float | str]]] = {}
    with tempfile.TemporaryDirectory(dir=args.models[0].parent) as folder:
        work = Path(folder)
        os.environ |= {"XDG_STATE_HOME": folder, "XDG_CACHE_HOME": folder}
        os.environ.pop("TAT_DIR", None)
        for model in args.models:
            run([str(args.tat), "record", "-o", str(work / model.stem), "--", *command(args, model, args.tokens)])
        for number in range(args.rounds):
            print(f"round {number + 1} of {args.rounds}", file=sys.stderr)
            run([str(args.tat), "doctor", "--disk", str(args.models[-1])])
            for model in args.models:
                size, more = model.stat().st_size, besides(args, work / model.stem, work)
                in_all = IN_ALL[has_experts(model)]
                memories = [(f"{percent} %", size * percent // 100 + more) for percent in SHARES]
                for share, memory in [*memories, (f"{in_all} % in all", size * in_all // 100)]:
                    cell = one_cell(args, model, work / model.stem, memory, work)
                    cells.setdefault((model.stem, share, memory), []).append(cell)
                    print(model.stem, share, cell, file=sys.stderr)
    text = table(cells, args.rounds)
    print(text, end="")
    if args.out:
        args.out.write_text(text)


if __name__ == "__main__":
    main()
