#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""caching.py TAT TRACE [-- OPTION...]...: every figure of the section on caching, in values, tables and sentences, against a
count that goes through the access records one by one. The options (--memory, --disk, in bytes) are given to tat report, once
for each --: what does not depend on them is counted once."""

import csv
import io
import json
import os
import struct
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import groupby

from recount import count_figures, differing_section, report  # first: it finds the reader

from accesses import APPROXIMATE, NO_EXPERT, STRIDED
from facts import Facts, grouped, ratio, unique_bytes
from lead import lead
from policies import NEVER, ONLINE, POLICIES, TITLES, least_read_again, next_reads
from read_ahead import read_ahead
from read_trace import COPY, FILE, STATE, WEIGHT
from timeline import GENERATE
from words import in_bytes, in_mean_bytes, in_percent, in_rate, in_time

PARTS = 32
EXPERT = "expert"
NAMES = [*POLICIES, "min"]  # in the order of the tables


@dataclass
class Read:
    item: tuple  # (tensor, expert), or None for rows
    bytes: int
    space: object
    runs: list  # (offset, bytes) of each
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


class Counted:
    """What prompt and generation read of the weights."""

    def __init__(self, facts):
        self.facts = facts
        self.slices = slices_of(facts)
        self.stacks = {tensor for tensor, expert in self.slices if expert}
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
        self.approximate |= bool(a.flags & APPROXIMATE) and not whole
        strided = a.flags & STRIDED
        runs = [(a.offset + a.stride * i, a.run_bytes) for i in range(a.rows)] if strided else [(a.offset, a.bytes)]
        item = (a.tensor, expert) if whole else None
        return Read(item, a.bytes, self.facts.space(a), runs, a.flags >> 8 == GENERATE)

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
    def row_bytes(self):
        return sum(read.bytes for read in self.reads if not read.item)

    def size(self, items):
        return sum(self.slices[item] for item in items)

    @cache
    def string(self, unit):
        return String(self, unit)


class String:
    """What a cache is asked for: (item, by a generated token), in the unit that it keeps."""

    def __init__(self, counted, unit):
        self.counted, self.unit, self.exported = counted, unit, False
        self.stack_size = Counter(tensor for tensor, _ in counted.slices if tensor in counted.stacks)
        self.first_stack = {}  # by layer and number of experts
        for tensor, experts in self.stack_size.items():
            self.first_stack.setdefault((counted.facts.layers[tensor], experts), tensor)
        self.bytes_of, self.reads, self.rows = dict(self.sizes()), [], Counter()
        for graph in counted.graphs:
            self.add(graph)
        self.items = [item for item, _ in self.reads]
        self.generated = [generated for _, generated in self.reads]
        self.first = sum(self.bytes_of[item] for item in set(self.items))
        by_generated = {}  # of each item's first read; another context's prompt may come after it
        for item, generated in self.reads:
            by_generated.setdefault(item, generated)
        self.first_generated = sum(self.bytes_of[item] for item, generated in by_generated.items() if generated)
        self.repeat = sum(self.bytes_of[item] for item in self.items) - self.first
        self.all = max(counted.weight_bytes, self.first if self.is_of_blocks else 0)

    @property
    def is_of_blocks(self):
        return isinstance(self.unit, int)

    def item_of(self, slice_):
        """Of a slice; experts of one layer's stacks that hold as many are one."""
        tensor, expert = slice_
        if self.unit != EXPERT or tensor not in self.counted.stacks:
            return slice_
        return (self.first_stack[self.counted.facts.layers[tensor], self.stack_size[tensor]], expert)

    def sizes(self):
        """(item, bytes), in the order in which equals are chosen."""
        if self.is_of_blocks:
            blocks = {block for read in self.counted.reads for block in self.blocks(read)}
            return {block: self.unit for block in sorted(blocks)}
        sizes = Counter()
        for slice_, size in self.counted.slices.items():
            sizes[self.item_of(slice_)] += size
        return sizes

    def blocks(self, read):
        """Rows that touch the block of the row before do not read it again."""
        last = -1
        for offset, size in read.runs:
            for block in range(max(last + 1, offset // self.unit), (offset + size - 1) // self.unit + 1):
                yield (read.space, block)  # files come before tensors that are in none
                last = block

    def add(self, graph):
        met = set()
        for read in graph:
            if self.is_of_blocks:
                self.reads += [(block, read.generated) for block in self.blocks(read)]
            elif read.item is None:
                self.rows[read.generated] += read.bytes
            elif (item := self.item_of(read.item)) not in met or self.bytes_of[item] == read.bytes:
                met.add(item)
                self.reads.append((item, read.generated))

    @cache
    def outcome(self, name, capacity):
        """(share of the bytes wanted that is saved, bytes read again for a generated token, and of what generated tokens
        want the share that is saved)"""
        if self.is_of_blocks:
            capacity = capacity // self.unit * self.unit
        again, generated = self.least(capacity) if name == "min" else self.simulated(POLICIES[name], capacity)
        read = self.first + again + sum(self.rows.values())
        generated += self.rows[True]
        wanted = sum(read.bytes for read in self.counted.reads if read.generated)
        saved = 1 - ratio(self.first_generated + generated, wanted) if wanted else 0
        return 1 - ratio(read, self.counted.read_bytes), ratio(generated, self.counted.tokens), saved

    def simulated(self, kind, capacity):
        policy = kind(capacity, self.bytes_of, Counter(self.items))
        seen, again = set(), Counter()
        for item, generated in self.reads:
            missed = self.bytes_of[item] - policy.access(item)
            again[generated] += missed if item in seen else 0
            seen.add(item)
        return sum(again.values()), again[True]

    def least(self, capacity):
        everything = [True] * len(self.items)
        return [least_read_again(self.items, self.bytes_of, capacity, c) for c in (everything, self.generated)]


# ------------------------------------------------------------------------------------------------------------- tables


def curves(string, at, shown):
    """Every size, but where `shown` has the rows of the section: some. The others are then taken for right."""
    rows = []
    for part in range(1, PARTS + 1):
        size = string.all * part // PARTS
        if is_taken(string, part, shown):
            rows.append({"cache_bytes": size} | {name: shown[part - 1][name] for name in NAMES})
        else:
            rows.append({"cache_bytes": size} | {name: 1 - at(name, size)[0] for name in NAMES})
    return rows


def is_taken(string, part, shown):
    """Every fourth size is counted again, of long strings every eighth."""
    return shown and part > 1 and part % (8 if len(string.items) > 1000 else 4)


@cache
def distances(string):
    """From the definition: walk back to the last read of the same, and count all that is met once."""
    found = []
    for i, item in enumerate(string.items):
        met = set()
        for other in reversed(string.items[:i]):
            met.add(other)
            if other == item:
                found.append((sum(string.bytes_of[m] for m in met), string.bytes_of[item]))
                break
    return found


def bin_of(distance):
    """The end of its bin: four of them between one power of two and the next."""
    if distance == 1:
        return 1
    power = (distance - 1).bit_length() - 1
    step = max(2**power // 4, 1)
    return 2**power + -(-(distance - 2**power) // step) * step


def reuse_distances(found):
    rows, so_far = [], 0
    for end in sorted({bin_of(distance) for distance, _ in found}):
        bytes_read = [size for distance, size in found if bin_of(distance) == end]
        so_far += len(bytes_read)
        rows.append({
            "up_to_bytes": end, "accesses": len(bytes_read), "bytes": sum(bytes_read),
            "share": ratio(len(bytes_read), len(found)), "share_up_to": ratio(so_far, len(found)),
        })  # fmt: skip
    return rows


@cache
def windows(counted):
    """Length -> (what is read by each window of so many graphs of generated tokens, its bytes)."""
    graphs = [{r.item for r in g if r.item} for g, run in zip(counted.graphs, counted.runs) if run.phase == GENERATE]
    found, length = {}, 1
    while length <= len(graphs):
        unions = [set().union(*graphs[at : at + length]) for at in range(len(graphs) - length + 1)]
        found[length] = unions, [counted.size(union) for union in unions]
        length *= 2
    return found


def working_set(counted):
    rows = []
    for length, (unions, sizes) in windows(counted).items():
        mean = sum(sizes) / len(sizes)
        rows.append({"window": length, "bytes": mean, "share": ratio(mean, counted.weight_bytes), "least_bytes": min(sizes),
                     "median_bytes": sorted(sizes)[(len(sizes) - 1) // 2], "most_bytes": max(sizes)})  # fmt: skip
        pairs = list(zip(unions, unions[length:]))
        if pairs:
            again = sum(counted.size(one & other) for one, other in pairs)
            rows[-1]["next_share"] = ratio(again, sum(counted.size(one) for one, _ in pairs))
            rows[-1]["last_share"] = ratio(counted.size(unions[0] & unions[-1]), counted.size(unions[0]))
    return rows


def working_set_course(counted):
    ends = [run.token_first + max(run.n_tokens, 1) - 1 for run in counted.runs if run.phase == GENERATE]
    return [
        {"token": end} | {f"window_{n}": sizes[at + 1 - n] for n, (_, sizes) in windows(counted).items() if n <= at + 1}
        for at, end in list(enumerate(ends))[:: len(ends) // 512 + 1]
    ]


def working_set_words(sets):
    if not sets:
        return []
    words = [in_mean_bytes(sets[0]["bytes"]), in_percent(sets[0]["share"]), str(sets[-1]["window"])]
    words.append(in_mean_bytes(sets[-1]["bytes"]))
    if len(sets) > 1:
        length = str(sets[-2]["window"])
        words += [length, length, in_percent(sets[-2]["next_share"]), length, length, in_percent(sets[-2]["last_share"])]
    return [words]


class Beside:
    """KV cache and state, which take room from weights; those of layers without a window grow with the context."""

    def __init__(self, facts):
        states = [n for n, tensor in enumerate(facts.tensors) if tensor and tensor.kind == STATE]
        cells = {n: facts.tensors[n].ne[1] if self.is_kv(facts, n) and facts.tensors[n].ne[1] > 1 else 0 for n in states}
        self.cells = max(cells.values(), default=0)
        growing = [n for n in states if self.is_kv(facts, n) and cells[n] == self.cells]
        self.growing = sum(facts.tensors[n].bytes for n in growing)
        self.fixed = sum(facts.tensors[n].bytes for n in set(states) - set(growing))

    @staticmethod
    def is_kv(facts, number):
        return facts.components[number] in ("kv_k", "kv_v")

    def bytes(self, length):
        return self.fixed + length * self.growing

    def name(self, length):
        return str(self.cells * length) if self.cells else f"{length} times" if length > 1 else "as here"


def saved_beside(string, left, shown):
    """(LRU's share, the best online policy's, its name, MIN's) in the largest 32nd of the weights that fits."""
    part = max([part for part in range(PARTS + 1) if string.all * part // PARTS <= left])
    size = string.all * part // PARTS

    def saved(name):
        return 1 - shown[part - 1][name] if is_taken(string, part, shown) else string.outcome(name, size)[0]

    if not part:
        lost = string.first + string.repeat + sum(string.rows.values())
        return [1 - ratio(lost, string.counted.read_bytes)] * 2 + [None, 1 - ratio(lost, string.counted.read_bytes)]
    online = ["lru", *(name for name in NAMES if name in ONLINE)]
    best = max(online, key=saved)
    return [saved("lru"), saved(best), best, saved("min")]


def beside_state(facts, string, memories, shown):
    beside, rows = Beside(facts), []
    for memory in memories:
        for length in [1, 4, 16, 64] if beside.growing else [1]:
            state = beside.bytes(length)
            left = max(memory - state, 0)
            lru, best, policy, least = saved_beside(string, left, shown)
            rows.append({"memory_bytes": memory, "context": beside.name(length), "state_bytes": state, "left_bytes": left,
                         "lru": lru, "best": best, "min": least} | ({"policy": policy} if policy else {}))  # fmt: skip
            if not left:
                break
    return rows


def beside_words(facts, string, memory, shown):
    beside = Beside(facts)
    left = max(memory - beside.bytes(1), 0)
    _, best, policy, _ = saved_beside(string, left, shown)
    most = max(string.outcome(name, memory)[0] for name in ONLINE)
    words = [in_bytes(beside.bytes(1)), in_bytes(memory), in_bytes(left), TITLES[policy or "lru"], in_percent(best), in_percent(most)]
    return words + ([beside.name(64), in_bytes(beside.bytes(64))] if beside.growing else [])


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


def knee_of(string, name):
    """(figures, what the sentence says)"""
    if not string.repeat:
        return {"knee_bytes": None, "cliff_bytes": None}, ["nothing to save"]
    sizes = [0] + [string.all * part // PARTS for part in range(1, PARTS + 1)]
    wanted, rows = string.counted.read_bytes, sum(string.rows.values())
    again = [wanted * (1 - string.outcome(name, size)[0]) - string.first - rows if size else string.repeat for size in sizes]
    left = [one / string.repeat for one in again]
    knee, cliff = (0, 0), (0, 0)
    for part in range(PARTS + 1):
        if 1 - part / PARTS - left[part] > knee[0] + 1e-9:
            knee = 1 - part / PARTS - left[part], part
        if part and left[part - 1] - left[part] > cliff[0] + 1e-9:
            cliff = left[part - 1] - left[part], part
    knee_bytes = sizes[knee[1]] if knee[0] > 0.05 else None
    cliff_bytes = sizes[cliff[1]] if cliff[0] > 0.5 else None
    if cliff_bytes is not None:
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
            metadata = json.load(file)
            return metadata.get("pressure", {}).get("memory_limit") or metadata["host"]["memory_bytes"]
    except (OSError, KeyError):
        return 0


def rate(again):
    return "without limit" if again < 1 else f"R / {in_mean_bytes(again)}"


@cache
def counted_of(facts):
    return Counted(facts)


def unit_words(unit):
    if isinstance(unit, int):
        return f"{in_bytes(unit)} blocks of the model files"
    return "whole experts and other weights" if unit == EXPERT else "whole weights and experts' parts"


def expected(facts, memory=0, disk=0, unit="slice", shown=(), ahead=0):
    counted = counted_of(facts)
    if not counted.reads:
        return {"headline": []}
    string = counted.string(unit)
    at = string.outcome
    asked = {f"at_{quarter * 25}": string.all * quarter // 4 for quarter in (1, 2, 3)}
    asked |= {"at_given": memory} if memory else {}
    told = memory or string.all // 2
    host = memory or host_memory(facts.folder)
    compute = compute_seconds(facts)
    found, sets = distances(string), working_set(counted)

    def overlapped(again):
        return 1 / max(compute, again / disk)

    def by_size(figure):
        return [
            {"policy": TITLES[name], "knows": "the past" if name in ONLINE else "the future" if name == "min" else "use counts"}
            | {label: figure(*at(name, size)) for label, size in asked.items()}
            for name in NAMES
        ]

    def bound_row(size, name):
        again = at(name, size)[1]
        row = {"cache_bytes": size, "name": name, "policy": TITLES[name], "again_bytes_per_token": again}
        if disk:
            row |= {"tokens_per_second": overlapped(again), "tokens_per_second_serial": 1 / (compute + again / disk)}
        return row

    limited, verdict_line, verdict_answer = verdict(counted, host)
    knees = {name: knee_of(string, name) for name in ("lru", "min")}
    values = {
        "weight_bytes": counted.weight_bytes,
        "read_bytes": counted.read_bytes,
        "touched_bytes": counted.touched_bytes,
        "row_bytes": counted.row_bytes,
        "graphs": len(counted.graphs),
        "simulated_graphs": len(counted.graphs),
        "unit": unit_words(unit),
        "unit_bytes": unit if string.is_of_blocks else 0,
        "wanted_bytes": counted.read_bytes,
        "first_bytes": string.first,
        "repeat_bytes": string.repeat,
        "sample": 1,
        "memory_bytes": host,
        "limited": limited,
        "item_reads": len(string.items),
        "item_first_reads": len(set(string.items)),
    }
    values |= {f"{name}_{key}": value for name, (figures, _) in knees.items() for key, value in figures.items()}
    tables = {
        "savings": by_size(lambda saved, again, generated: saved),
        "curves": curves(string, at, shown),
        "reuse_distances": reuse_distances(found),
        "working_set": sets,
        "working_set_course": working_set_course(counted),
        "over_time": over_time(counted),
    }
    if any(read.generated for read in counted.reads):
        tables["generation"] = by_size(lambda saved, again, generated: generated)
    state = sum(tensor.bytes for tensor in facts.tensors if tensor and tensor.kind == STATE)
    values["state_bytes"] = state
    cache = in_bytes(told)
    online = ["lru", *(name for name in NAMES if name in ONLINE)]  # the first of equals, but LRU before all
    best = max(online, key=lambda name: at(name, told)[0])
    saved = [in_percent(at("lru", told)[0]), TITLES[best], in_percent(at(best, told)[0])]
    headline = [cache, *saved, in_percent(at("min", told)[0])]
    if counted.read_bytes - counted.row_bytes == counted.touched_bytes:
        headline = ["No weight is read twice"]
    answers, notes = [verdict_answer, headline], []
    if state:
        tables["beside_state"] = beside_state(facts, string, asked.values(), shown)
        answers.append(beside_words(facts, string, told, shown))
        notes.append("32nd")
    lines = [verdict_line, [unit_words(unit), in_bytes(string.first)], *([[in_bytes(state), "beside the weights"]] if state else []), knees["lru"][1], knees["min"][1]]
    if disk:
        values["first_read_seconds"] = counted.touched_bytes / disk
        time = in_time(1e9 * (counted.touched_bytes / disk))
        lines.insert(-2, [in_bytes(counted.touched_bytes), "whatever the cache", time, f"{in_bytes(disk)}/s"])
    if compute > 0:
        values["compute_tokens_per_second"] = 1 / compute
        tables["again"] = by_size(lambda saved, again, generated: again)
        sizes = [size for size in asked.values()]
        tables["bounds"] = [bound_row(size, name) for size in sizes for name in NAMES]
        fastest = min(online, key=lambda name: at(name, told)[1])
        again = [at(name, told)[1] for name in ("lru", fastest, "min")]
        if disk:
            tables["speed"] = by_size(lambda saved, again, generated: overlapped(again))
            speeds = [in_rate(overlapped(one)) for one in again]
            answers.append([
                cache, speeds[0], in_mean_bytes(again[0]), speeds[1], TITLES[fastest], in_mean_bytes(again[1]), speeds[2],
                in_rate(1 / compute),
            ])  # fmt: skip
            notes.append(in_time(1e9 * compute))
            if unit == "slice":
                lead_tables, lead_answers, lead_notes = lead(counted, cache, told, disk, compute, fastest)
                tables |= lead_tables
                answers += lead_answers
                notes += lead_notes
        else:
            answers.append([
                cache, rate(again[0]), rate(again[1]), TITLES[fastest], rate(again[2]), in_rate(1 / compute), "2G/s"
            ])  # fmt: skip
    if ahead:
        tables["read_ahead"], words = read_ahead(string, asked.values(), ahead, cache, told)
        answers += [words] if words else []
        notes += ["Read-ahead is simple"] if words else []
    answers += working_set_words(sets)
    return {
        "values": values,
        "tables": tables,
        "headline": headline,
        "lines": lines,
        "answers": answers,
        "notes": [*notes, *(["next again"] if sets else []), "--unit"] + ([] if string.is_of_blocks else ["Rows of embeddings"]),
    }


def beaten(section):
    """Whoever does better than the optimum."""
    tables = section.get("tables", {})
    for row in tables.get("curves", {}).get("rows", []):
        for name in POLICIES:
            if row[name] < row["min"] - 1e-9:
                yield f"table curves, cache of {row['cache_bytes']}: {name} has {row[name]}, the optimum is {row['min']}"
    rows = tables.get("savings", {}).get("rows", [])
    for row in rows:
        for size in row.keys() - {"policy", "knows"}:
            if row[size] > rows[-1][size] + 1e-9:
                yield f"table savings: {row['policy']} has {row[size]} {size}, the optimum is {rows[-1][size]}"


def differing_references(tat, trace, string, options):
    """Where `tat export --references` differs from the string, as text and in libCacheSim's oracleGeneral."""
    command = [tat, "export", "--references", *options, trace]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not string.reads:
        if done.returncode != 1:
            yield f"references: status {done.returncode} where there are none"
        return
    if done.returncode:
        yield f"references: status {done.returncode}: {done.stderr}"
        return
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    number, following = {}, [None if i == NEVER else i for i in next_reads(string.items)]
    expected = [
        (number.setdefault(item, len(number)), string.bytes_of[item], next_read, generated)
        for item, next_read, generated in zip(string.items, following, string.generated)
    ]
    number.clear()
    found = [
        (number.setdefault(row["object"], len(number)), int(row["bytes"]), int(row["next"]) if row["next"] else None,
         row["phase"] == "generate")
        for row in rows
    ]  # fmt: skip
    if found != expected:
        yield f"references: {len(found)} of {len(expected)}, which differ"
    binary = subprocess.run([*command, "--format", "oracleGeneral"], capture_output=True, check=True).stdout
    wanted = [(int(r["graph"]), int(r["object"]), int(r["bytes"]), int(r["next"] or -1)) for r in rows]
    if list(struct.iter_unpack("<IQIq", binary)) != wanted:
        yield "references: oracleGeneral differs from the text"


def is_right(tat, trace, facts, options):
    given = {name[2:]: int(value) if value.isdecimal() else value for name, value in zip(options[::2], options[1::2])}
    asked = [word if word.startswith("--") else word + ("/s" if before == "--disk" else "")
             for before, word in zip(["", *options], options)]  # fmt: skip
    found = report(tat, trace, asked, ["caching"])["caching"]
    shown = found.get("tables", {}).get("curves", {}).get("rows", [])
    shown = shown if len(shown) == PARTS and all(row.keys() >= set(NAMES) for row in shown) else ()
    given["ahead"] = given.pop("read-ahead", 0)
    wrong = [*differing_section(found, expected(facts, **given, shown=shown)), *beaten(found)]
    unit = given.get("unit", "slice")
    string = counted_of(facts).string(unit)
    if not string.exported:
        string.exported = True
        wrong += differing_references(tat, trace, string, ["--unit", str(unit)])
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
