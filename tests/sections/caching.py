#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""caching.py TAT TRACE [-- OPTION...]...: every figure of the section on caching, in values, tables and sentences, against a
count that goes through the access records one by one. The options (--memory, --disk, in bytes) are given to tat report, once
for each --: what does not depend on them is counted once."""

import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby

from recount import count_figures, differing_section, report  # first: it finds the reader

from accesses import APPROXIMATE, NO_EXPERT, STRIDED
from facts import Facts, grouped, ratio, unique_bytes
from policies import POLICIES, least_read_again, lru_depths, min_depths, min_misses
from read_trace import COPY, FILE, WEIGHT
from timeline import GENERATE
from words import in_bytes, in_percent, in_rate, in_time

SIZES = 64
KIB = 1024
TITLES = {
    "lru_blocks": "LRU (page cache)",
    "lru": "LRU of whole weights and experts",
    "fifo": "first in, first out",
    "frequency": "frequency with admission",
    "s3fifo": "S3-FIFO",
    "pin": "pin the best, stream the rest",
    "min_blocks": "MIN, blocks",
    "bound": "the bound",
}
REAL_POLICIES = [name for name in TITLES if name not in ("min_blocks", "bound")]


@dataclass
class Read:
    item: tuple  # (tensor, expert), or None for rows
    bytes: int
    blocks: list
    generated: bool


def stacks_of(facts):
    """Tensor -> experts in it."""
    stacks = {}
    for template in facts.trace.templates:
        for node in template.nodes if template else []:
            place, dimension = {"MUL_MAT_ID": (0, 2), "ADD_ID": (1, 1)}.get(node.op, (None, None))
            if place is not None and place in node.src:
                entry = template.entries[node.src[place]]
                if 2 <= entry.ne[dimension] <= NO_EXPERT and facts.tensors[entry.tensor].kind == WEIGHT:
                    stacks.setdefault(entry.tensor, entry.ne[dimension])
    return stacks


def slices_of(facts):
    """(tensor, expert) -> bytes; the expert is 0 where there is no stack."""
    stacks = stacks_of(facts)
    weights = [n for n, tensor in enumerate(facts.tensors) if tensor and tensor.kind == WEIGHT]
    return {(n, e): facts.tensors[n].bytes // stacks.get(n, 1) for n in weights for e in range(stacks.get(n, 1))}


def block_bytes_of(slices):
    block = 64 * KIB
    while sum(slices.values()) // block > 1 << 14:
        block *= 2
    return block


class Counted:
    """What prompt and generation read of the weights."""

    def __init__(self, facts):
        self.facts = facts
        self.slices = slices_of(facts)
        self.stacks = {tensor for tensor, expert in self.slices if expert}
        self.block_bytes = block_bytes_of(self.slices)
        weights = [a for a in facts.accesses if facts.is_weight(a) and a.bytes]
        self.accesses, self.approximate = weights, False
        graphs = [list(graph) for _, graph in groupby(weights, key=lambda a: a.evaluation)]
        self.runs = [facts.runs[graph[0].evaluation] for graph in graphs]
        self.graphs = [[self.read(access) for access in graph] for graph in graphs]
        self.reads = [read for graph in self.graphs for read in graph]
        self.wholes = [read for read in self.reads if read.item]
        self.items = [read.item for read in self.wholes]
        self.tokens = sum(run.n_tokens for run in self.runs if run.phase == GENERATE)

    def read(self, a):
        tensor = self.facts.tensors[a.tensor]
        expert = a.expert if a.tensor in self.stacks else 0
        size = self.slices.get((a.tensor, expert))
        base = tensor.file_offset if tensor.file and tensor.memory in (FILE, COPY) else 0
        whole = size == a.bytes and a.offset == base + expert * size
        span = a.stride * (a.rows - 1) + a.run_bytes if a.flags & STRIDED else a.bytes
        first, last = a.offset // self.block_bytes, (a.offset + span - 1) // self.block_bytes
        self.approximate |= bool(a.flags & APPROXIMATE) and not whole
        blocks = [(self.facts.space(a), block) for block in range(first, last + 1)]
        return Read((a.tensor, expert) if whole else None, a.bytes, blocks, a.flags >> 8 == GENERATE)

    @cached_property
    def weight_bytes(self):
        return sum(self.slices.values())

    @cached_property
    def read_bytes(self):
        return sum(read.bytes for read in self.reads)

    @cached_property
    def touched_bytes(self):
        return sum(self.slices[item] for item in set(self.items))

    @cached_property
    def unique_bytes(self):
        """Likewise, with rows; but not those whose record tells of several runs."""
        whole = [a for a, read in zip(self.accesses, self.reads) if read.item or not a.flags & STRIDED]
        return sum(unique_bytes(some) for some in grouped(whole, self.facts.space).values())

    @cached_property
    def row_bytes(self):
        return sum(read.bytes for read in self.reads if not read.item)

    # ------------------------------------------------------------------------------------------------------- blocks

    @cached_property
    def blocks(self):
        """(block, by a generated token) for each time one is read."""
        return [(block, read.generated) for read in self.reads for block in read.blocks]

    @cached_property
    def n_blocks(self):
        return len({block for block, _ in self.blocks})

    def again_by_size(self, depths):
        """[(blocks read again, those by generated tokens)] by cache size in blocks."""
        counts = [[0, 0] for _ in range(self.n_blocks + 2)]
        for depth, (_, generated) in zip(depths, self.blocks):
            if depth is not None:
                counts[depth - 1][0] += 1
                counts[depth - 1][1] += generated
        for size in range(self.n_blocks, -1, -1):
            counts[size] = [a + b for a, b in zip(counts[size], counts[size + 1])]
        return counts[: self.n_blocks + 1]

    @cached_property
    def lru(self):
        return self.again_by_size(lru_depths([block for block, _ in self.blocks]))

    @cached_property
    def min(self):
        blocks = [block for block, _ in self.blocks]
        curve = self.again_by_size(min_depths(blocks))
        for size in range(1, self.n_blocks + 1, self.n_blocks // 50 + 1):  # the naive stack, against Belady's rule
            assert curve[size][0] + self.n_blocks == min_misses(blocks, size), size
        return curve

    def bytes_from_disk(self, again):
        return min((self.n_blocks + again) * self.block_bytes, self.read_bytes)

    # ------------------------------------------------------------------------------------------------------ outcomes

    @cache
    def outcome(self, name, capacity):
        """(share of the bytes that is saved, bytes read again for a generated token)"""
        if name in ("lru_blocks", "min_blocks"):
            curve = self.lru if name == "lru_blocks" else self.min
            again, generated = curve[min(capacity // self.block_bytes, self.n_blocks)]
            return 1 - ratio(self.bytes_from_disk(again), self.read_bytes), self.block_bytes * ratio(generated, self.tokens)
        again = self.least(capacity) if name == "bound" else self.simulated(POLICIES[name], capacity)
        saved = self.read_bytes - (self.unique_bytes if name == "bound" else self.touched_bytes) - again[0]
        return ratio(saved, self.read_bytes), ratio(again[1], self.tokens)

    def simulated(self, kind, capacity):
        uses = Counter(self.items)
        policy = kind(capacity, {item: self.slices[item] for item in self.slices}, uses)
        seen, again = set(), [0, 0]
        for read in self.reads:
            missed = read.bytes - (policy.access(read.item) if read.item else 0)
            if read.item is None or read.item in seen:
                again[0] += missed
                again[1] += missed if read.generated else 0
            seen.add(read.item)
        return again

    def least(self, capacity):
        everything = [True] * len(self.wholes)
        generated = [read.generated for read in self.wholes]
        return [least_read_again(self.items, self.slices, capacity, counts) for counts in (everything, generated)]


# ------------------------------------------------------------------------------------------------------------- tables


def curves(counted, at):
    rows = []
    for part in range(1, SIZES + 1):
        size = counted.weight_bytes * part // SIZES
        rows.append({"cache_bytes": size} | {name: 1 - at(name, size)[0] for name in TITLES})
    return rows


def block_curves(counted):
    rows = []
    for size in range(counted.n_blocks + 1):
        again = counted.lru[size][0], counted.min[size][0]
        if size in (0, counted.n_blocks) or again != (counted.lru[size - 1][0], counted.min[size - 1][0]):
            ratios = [ratio(counted.n_blocks + n, len(counted.blocks)) for n in again]
            read = [ratio(counted.bytes_from_disk(n), counted.read_bytes) for n in again]
            rows.append({
                "cache_bytes": size * counted.block_bytes,
                "lru_miss_ratio": ratios[0], "min_miss_ratio": ratios[1],
                "lru_read_share": read[0], "min_read_share": read[1],
            })  # fmt: skip
    return rows


@cache
def distances(counted):
    """From the definition: walk back to the last read of the same, and count all that is met once."""
    found = []
    for i, item in enumerate(counted.items):
        met = set()
        for other in reversed(counted.items[:i]):
            met.add(other)
            if other == item:
                found.append((sum(counted.slices[m] for m in met), counted.slices[item]))
                break
    return found


def reuse_distances(found):
    rows, so_far = [], 0
    for power in range(64):
        bytes_read = [size for distance, size in found if (distance - 1).bit_length() == power]
        so_far += len(bytes_read)
        if bytes_read:
            rows.append({
                "up_to_bytes": 2**power, "accesses": len(bytes_read), "bytes": sum(bytes_read),
                "share": ratio(len(bytes_read), len(found)), "share_up_to": ratio(so_far, len(found)),
            })  # fmt: skip
    return rows


def working_set(counted):
    graphs = [{r.item for r in g if r.item} for g, run in zip(counted.graphs, counted.runs) if run.phase == GENERATE]
    rows, window = [], 1
    while window <= len(graphs):
        unions = [set().union(*graphs[at : at + window]) for at in range(len(graphs) - window + 1)]
        mean = sum(counted.slices[item] for union in unions for item in union) / len(unions)
        rows.append({"window": window, "bytes": mean, "share": ratio(mean, counted.weight_bytes)})
        window *= 2
    return rows


def over_time(counted):
    rows, seen, step = [], set(), len(counted.graphs) // 512 + 1
    for at in range(0, len(counted.graphs), step):
        some = counted.graphs[at : at + step]
        new = {read.item for graph in some for read in graph if read.item} - seen
        seen |= new
        rows.append({
            "token": counted.runs[at].token_first,
            "graphs": len(some),
            "bytes": ratio(sum(read.bytes for graph in some for read in graph), len(some)),
            "new_bytes": sum(counted.slices[item] for item in new),
            "unique_bytes": sum(counted.slices[item] for item in seen),
        })  # fmt: skip
    return rows


# -------------------------------------------------------------------------------------------------------------- knees


def knee_of(counted, curve):
    """(figures, what the sentence says)"""
    least = counted.bytes_from_disk(curve[-1][0])
    left = [ratio(counted.bytes_from_disk(again) - least, counted.read_bytes - least) for again, _ in curve]
    n, knee, cliff = counted.n_blocks, (0, 0), (0, 0)
    for size in range(n + 1):
        if left[0] > 0 and 1 - size / n - left[size] > knee[0]:
            knee = 1 - size / n - left[size], size
        if size and left[size - 1] - left[size] > cliff[0]:
            cliff = left[size - 1] - left[size], size
    knee_bytes = knee[1] * counted.block_bytes if knee[0] > 0.05 else None
    cliff_bytes = cliff[1] * counted.block_bytes if cliff[0] > 0.5 else None
    if left[0] <= 0:
        words = ["nothing to save"]
    elif cliff_bytes is not None:
        words = ["cliff", in_percent(cliff[0]), in_bytes(cliff_bytes)]
    elif knee_bytes is not None:
        words = ["knee", in_bytes(knee_bytes), in_percent(1 - left[knee[1]])]
    else:
        words = ["no knee"]
    return {"knee_bytes": knee_bytes, "cliff_bytes": cliff_bytes}, words


# ------------------------------------------------------------------------------------------------------------ section


def verdict(counted, memory):
    """(limited, the line, the answer)"""
    touched, kept = in_bytes(counted.touched_bytes), in_bytes(memory)
    if counted.read_bytes - counted.row_bytes == counted.touched_bytes:
        return False, ["not limited", "no weight is read twice"], ["No: no weight is read twice."]
    if not memory:
        return None, ["memory limits", touched], ["Where less than", touched]
    if memory >= counted.touched_bytes:
        return False, ["not limited", touched, "fit in", kept], ["No", touched, kept]
    return True, ["limited", touched, "do not fit in", kept], ["Yes", touched, kept]


def compute_seconds(facts):
    runs = [run for run in facts.runs if run.phase == GENERATE and not run.evaluation.flags & 16]
    return ratio(sum(run.end_ns - run.begin_ns for run in runs), sum(run.n_tokens for run in runs)) / 1e9


def host_memory(folder):
    try:
        with open(os.path.join(folder, "trace_metadata.json")) as file:
            return json.load(file)["host"]["memory_bytes"]
    except (OSError, KeyError):
        return 0


def rate(again):
    return "without limit" if again < 1 else f"R / {in_bytes(again)}"


@cache
def counted_of(facts):
    return Counted(facts)


def expected(facts, memory=0, disk=0):
    counted = counted_of(facts)
    if not counted.reads:
        return {"headline": []}
    at = counted.outcome
    asked = [("given", memory)] if memory else []
    asked += [(f"{quarter * 25} %", counted.weight_bytes * quarter // 4) for quarter in (1, 2, 3)]
    told = memory or counted.weight_bytes // 2
    host = memory or host_memory(facts.folder)
    compute = compute_seconds(facts)
    found, sets = distances(counted), working_set(counted)

    def overlapped(again):
        return 1 / max(compute, again / disk)

    def by_size(figure):
        return [
            {"size": label, "cache_bytes": size} | {name: figure(*at(name, size)) for name in TITLES}
            for label, size in asked
        ]

    def bound_row(size, name):
        again = at(name, size)[1]
        row = {"cache_bytes": size, "name": name, "strategy": TITLES[name], "again_bytes_per_token": again}
        if disk:
            row |= {"tokens_per_second": overlapped(again), "tokens_per_second_serial": 1 / (compute + again / disk)}
        return row

    limited, verdict_line, verdict_answer = verdict(counted, host)
    knees = {name: knee_of(counted, curve) for name, curve in (("lru", counted.lru), ("min", counted.min))}
    values = {
        "weight_bytes": counted.weight_bytes,
        "read_bytes": counted.read_bytes,
        "touched_bytes": counted.touched_bytes,
        "row_bytes": counted.row_bytes,
        "graphs": len(counted.graphs),
        "block_bytes": counted.block_bytes,
        "blocks": counted.n_blocks,
        "block_reads": len(counted.blocks),
        "block_graphs": len(counted.graphs),
        "simulated_graphs": len(counted.graphs),
        "memory_bytes": host,
        "limited": limited,
        "slice_reads": len(counted.items),
        "slice_first_reads": len(set(counted.items)),
    }
    values |= {f"{name}_{key}": value for name, (figures, _) in knees.items() for key, value in figures.items()}
    tables = {
        "savings": by_size(lambda saved, again: saved),
        "curves": curves(counted, at),
        "block_curves": block_curves(counted),
        "reuse_distances": reuse_distances(found),
        "working_set": sets,
        "over_time": over_time(counted),
    }
    cache = in_bytes(told)
    best = max(REAL_POLICIES, key=lambda name: at(name, told)[0])  # the first of equals
    saved = [in_percent(at("lru_blocks", told)[0]), TITLES[best], in_percent(at(best, told)[0])]
    headline = [cache, *saved, in_percent(at("bound", told)[0])]
    if counted.read_bytes - counted.row_bytes == counted.touched_bytes:
        headline = ["No weight is read twice"]
    answers, notes, lines = [verdict_answer, headline], [], [verdict_line, knees["lru"][1], knees["min"][1]]
    if disk:
        values["first_read_seconds"] = counted.touched_bytes / disk
        lines.insert(1, [in_bytes(counted.touched_bytes), "whatever the cache", in_time(1e9 * (counted.touched_bytes / disk)), f"{in_bytes(disk)}/s"])
    if compute > 0:
        values["compute_tokens_per_second"] = 1 / compute
        tables["again"] = by_size(lambda saved, again: again)
        tables["bounds"] = [bound_row(size, name) for _, size in asked for name in TITLES]
        fastest = min(REAL_POLICIES, key=lambda name: at(name, told)[1])
        again = [at(name, told)[1] for name in ("lru_blocks", fastest, "bound")]
        if disk:
            tables["speed"] = by_size(lambda saved, again: overlapped(again))
            speeds = [in_rate(overlapped(one)) for one in again]
            answers.append([
                cache, speeds[0], in_bytes(again[0]), speeds[1], TITLES[fastest], in_bytes(again[1]), speeds[2],
                in_rate(1 / compute),
            ])  # fmt: skip
            notes.append(in_time(1e9 * compute))
        else:
            answers.append([
                cache, rate(again[0]), rate(again[1]), TITLES[fastest], rate(again[2]), in_rate(1 / compute), "2G/s"
            ])  # fmt: skip
    if sets:
        answers.append([in_bytes(sets[0]["bytes"]), in_percent(sets[0]["share"])])
        if len(sets) > 1:
            answers[-1] += [str(sets[-1]["window"]), in_bytes(sets[-1]["bytes"])]
    return {
        "values": values,
        "tables": tables,
        "headline": headline,
        "lines": lines,
        "answers": answers,
        "notes": [*notes, in_bytes(counted.block_bytes), "S3-FIFO", str(SIZES)],
    }


def beaten(section):
    """Whoever does better than the bound."""
    for name in ("savings", "curves"):
        for row in section.get("tables", {}).get(name, {}).get("rows", []):
            sign = -1 if name == "curves" else 1
            for key in TITLES:
                if sign * (row[key] - row["bound"]) > 1e-9:
                    yield f"table {name}, cache of {row['cache_bytes']}: {key} has {row[key]}, the bound is {row['bound']}"


def is_right(tat, trace, facts, options):
    given = {option[2:]: int(value) for option, value in zip(options[::2], options[1::2])}
    asked = [word if word.startswith("--") else word + ("/s" if before == "--disk" else "")
             for before, word in zip(["", *options], options)]  # fmt: skip
    found = report(tat, trace, asked, ["caching"])["caching"]
    wrong = [*differing_section(found, expected(facts, **given)), *beaten(found)]
    for difference in wrong[:40]:
        print(f"{trace}: section caching, {difference}")
    figures = count_figures([found.get(part, {}) for part in ("values", "tables")])
    print(f"{trace}: {len(facts.accesses)} accesses, {figures} figures, {len(wrong)} wrong")
    return not wrong


def main():
    tat, trace, *rest = sys.argv[1:]
    ends = [at for at, word in enumerate(rest) if word == "--"] + [len(rest)]
    facts, sets = Facts(trace), [rest[first + 1 : last] for first, last in zip(ends, ends[1:])] or [[]]
    return 0 if all([is_right(tat, trace, facts, options) for options in sets]) else 1


if __name__ == "__main__":
    sys.exit(main())
