# SPDX-License-Identifier: MIT
"""What bench/optimise.py knows of a model before it is short of memory: what tokens read, the least that must be read with
so much memory, and what `tat plan` expects."""

import json
import mmap
import os
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cells import MIB

Expert = tuple[int, int]  # layer, number


@dataclass
class Model:
    """`wanted`: what a generated token reads on average, `dense` that of it which each token reads. `unique`: each byte
    once that the run reads, prompt included. `own`: what a run holds beside the model. All in bytes."""

    path: Path
    kind: str  # "dense" or "experts"
    bytes: int
    wanted: float = 0
    dense: int = 0
    unique: int = 0
    own: int = 0
    slice_bytes: int = MIB  # of an expert in one tensor; of a model without experts, what is read at once
    expert_bytes: dict[Expert, int] = field(default_factory=dict)
    tokens: list[list[Expert]] = field(default_factory=list)  # what each chose, in order
    trace: Path | None = None


def kind_of(path: Path) -> str:
    """By its metadata, which stands behind a vocabulary of some MiB if it was added later."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as model:
        return "dense" if model.find(b".expert_used_count", 0, 64 * MIB) < 0 else "experts"


def taken(model: Model, pattern: dict[str, Any]) -> None:
    """From the access pattern that `tat plan` writes."""
    slices = pattern["slices"]
    dense: dict[int, int] = {}
    orders: list[list[int]] = []
    for token in pattern["tokens"]:
        orders.append(orders[-1] if token.get("same_as_before") else list(dict.fromkeys(token["order"])))
    of_expert: dict[Expert, set[int]] = defaultdict(set)
    sizes = []
    for order in orders:
        chosen: dict[Expert, None] = {}
        for number in order:
            one = slices[number]
            if one.get("rows"):
                continue
            if "expert" not in one:
                dense[number] = one["size"]
                continue
            expert = (one["layer"], one["expert"])
            chosen[expert] = None
            of_expert[expert].add(number)
            sizes.append(one["size"])
        model.tokens.append(list(chosen))
    model.dense = sum(dense.values())
    model.expert_bytes = {expert: sum(slices[n]["size"] for n in numbers) for expert, numbers in of_expert.items()}
    experts = sum(model.expert_bytes[expert] for token in model.tokens for expert in token)
    model.wanted = model.dense + experts / max(1, len(model.tokens))
    if sizes:
        model.slice_bytes = sum(sizes) // len(sizes) // 4096 * 4096


def examined(tat: Path, command: list[str | Path], path: Path, folder: Path) -> Model:
    """By a recorded run with enough memory, of the tokens that the others generate too."""
    model = Model(path, kind_of(path), path.stat().st_size)
    trace, pattern = folder / f"{path.stem}.trace", folder / f"{path.stem}.json"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TAT_")}
    subprocess.run([tat, "record", "-o", trace, "--", *command], check=True, capture_output=True, stdin=subprocess.DEVNULL,
                   env=environment)
    plan: list[str | Path] = [tat, "plan", "--json", "--memory", str(model.bytes), "--disk", "1G/s", "--access-pattern", pattern, trace]
    subprocess.run(plan, check=False, capture_output=True)
    if pattern.exists():
        taken(model, json.loads(pattern.read_text()))
        model.trace = trace
    told = subprocess.run([tat, "report", "--json", "--section", "hot", trace], check=True, capture_output=True).stdout
    model.unique = int(json.loads(told)["hot"]["values"].get("unique_bytes", 0))
    return model


def belady(tokens: list[list[Expert]], sizes: dict[Expert, int], capacity: float) -> float:
    """Bytes that must be read, whatever policy there is: what is used again last goes first, or is not kept at all. What
    fits at the beginning is there already: the prompt may have brought it."""
    string = [expert for token in tokens for expert in token]
    never = len(string)
    following = [never] * len(string)
    last: dict[Expert, int] = {}
    for i in range(len(string) - 1, -1, -1):
        following[i] = last.get(string[i], never)
        last[string[i]] = i
    held: dict[Expert, int] = {}  # and when it is used again
    used, missed, is_filling = 0, 0, True
    for expert, again in zip(string, following):
        if expert in held:
            held[expert] = again
            continue
        size = sizes[expert]
        if is_filling and used + size <= capacity:
            held[expert] = again
            used += size
            continue
        is_filling = False
        missed += size
        while used + size > capacity and held and max(held.values()) > again:
            gone = max(held, key=lambda e: held[e])
            used -= sizes[gone]
            del held[gone]
        if used + size <= capacity:
            held[expert] = again
            used += size
    return missed


def least_missed(model: Model, left: int) -> float:
    """Bytes that a generated token must read on average where `left` is for the model: what each token reads is worth
    most, then come experts."""
    if not model.tokens:
        return 0
    if left <= model.dense:
        return model.wanted - left
    return belady(model.tokens, model.expert_bytes, left - model.dense) / len(model.tokens)


def measure_disk(tat: Path, model: Model, folder: Path) -> None:
    """For `planned`: kept in the folder, and not in place of what the user measured."""
    subprocess.run([tat, "doctor", "--disk", model.path], check=False, capture_output=True,
                   env=os.environ | {"XDG_STATE_HOME": str(folder)})


def planned(tat: Path, model: Model, limit: int, folder: Path) -> dict[str, float]:
    """What `tat plan` expects of `tat run`, by what measure_disk has found: tokens/s, and shares of expert bytes that are
    held by its policy and, in hindsight, by the best."""
    if not model.trace:
        return {}
    command: list[str | Path] = [tat, "plan", "--json", "--memory", str(limit), model.trace]
    told = subprocess.run(command, check=False, capture_output=True, text=True,
                          env=os.environ | {"XDG_STATE_HOME": str(folder)})
    try:
        tables = json.loads(told.stdout)["tables"]
    except (ValueError, KeyError):
        return {}
    rows: dict[str, dict[str, Any]] = defaultdict(dict)
    for table in ("bounds", "times"):
        for row in tables.get(table, {}).get("rows", []):
            rows[row["name"]] |= row
    all_of_it = rows["all-cycle" if model.kind == "experts" else "pin+stream"]
    found = {"predicted_tokens_per_s": all_of_it.get("tokens_per_second"),
             "predicted_held_share": all_of_it.get("hit_share"), "belady_held_share": rows["all-min"].get("hit_share")}
    return {name: value for name, value in found.items() if value is not None}
