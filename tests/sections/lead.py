# SPDX-License-Identifier: MIT
"""Lead times, counted again: a clock of computing alone, and a disk that reads what is needed next."""

from dataclasses import dataclass
from itertools import groupby

from accesses import WRITE
from facts import ratio
from policies import POLICIES, TITLES
from timeline import GENERATE
from words import in_mean_bytes, in_time

LEADS = [0, 1, 2, 4, 8, 16, 32, None]  # layers; None: as early as possible
IDS = 3


@dataclass
class Timed:
    item: tuple
    at: int
    until: int
    known: int
    operation: int
    graph: int
    layer: int
    missed: int = 0
    before: int = 0
    stage: int = 0


def timed_reads(counted):
    """What generated graphs read whole, and when."""
    facts, found, now, operation, graph, written = counted.facts, [], 0, 0, 0, {}
    generated = (a for a in facts.accesses if a.flags >> 8 == GENERATE)
    for _, of_graph in groupby(generated, key=lambda a: a.evaluation):
        reads_weights = False
        for _, node in groupby(of_graph, key=lambda a: a.node):
            node = list(node)
            until = now + node[0].duration_ns
            ids = [written.get(a.tensor, 0) for a in node if a.operand == IDS]
            for a in node:
                if facts.is_weight(a) and a.bytes:
                    reads_weights = True
                    item = counted.read(a).item
                    known = (ids[-1] if ids else now) if a.tensor in counted.stacks else 0
                    if item:
                        found.append(Timed(item, now, until, known, operation, graph, facts.layers[a.tensor]))
            written[([a.tensor for a in node if a.flags & WRITE] or [node[0].tensor])[-1]] = until
            now, operation = until, operation + 1
        graph += reads_weights
    return found


def reads_of(counted, name, capacity):
    """With what the policy misses, when the slice was used before, and stretches of one layer."""
    string, reads, used, last, stage = counted.string("slice"), timed_reads(counted), {}, None, -1
    policy = POLICIES[name](capacity, string.bytes_of, {i: string.items.count(i) for i in set(string.items)})
    missed = [(string.bytes_of[item] - policy.access(item), generated) for item, generated in string.reads]
    for read, size in zip(reads, [size for size, generated in missed if generated]):
        stage += last != (read.graph, read.layer)
        last = read.graph, read.layer
        read.missed, read.before, read.stage = size, used.get(read.item, 0), stage
        used[read.item] = read.until
    return reads


def begin(reads, starts, read, lead, foreseen):
    if lead == 0:
        return read.at
    stage = starts[read.stage - lead] if lead is not None and lead <= read.stage else 0
    return min(read.at, max(read.before, stage, 0 if foreseen else read.known))


def stalls(reads, lead, foreseen, disk):
    """(wait for each read, most bytes ahead): the disk always goes on with what is needed next."""
    starts = {}
    for read in reads:
        starts.setdefault(read.stage, read.at)
    begins = [begin(reads, starts, read, lead, foreseen) for read in reads]
    coming = sorted((b, i) for i, b in enumerate(begins) if reads[i].missed)[::-1]
    whole = [read.missed * (1e9 / disk) for read in reads]
    left, allowed, waits, now, ahead, most = list(whole), [], [], 0, 0, 0
    for i, read in enumerate(reads):
        while now < read.at or (coming and coming[-1][0] <= now):
            while coming and coming[-1][0] <= now:
                allowed.append(coming.pop()[1])
            allowed.sort(reverse=True)
            until = min(read.at, coming[-1][0]) if coming else read.at
            time, now = until - now, until
            while time > 0 and allowed:
                first = allowed[-1]
                ahead += reads[first].missed if left[first] == whole[first] else 0
                took = min(time, left[first])
                time, left[first] = time - took, left[first] - took
                if not left[first]:
                    allowed.pop()
            most = max(most, ahead)
        waits.append(left[i])
        ahead -= read.missed if left[i] < whole[i] else 0
        allowed = [other for other in allowed if other != i]
    return waits, most


def operations_ahead(reads, read, ns):
    before = [other.operation for other in reads[: reads.index(read) + 1] if other.at + ns <= read.at]
    return read.operation - before[-1] if before else None


def by_layer(reads, waits, tokens, disk, experts):
    rows = []
    for layer in sorted({read.layer for read in reads if read.graph}):
        mine = [i for i, read in enumerate(reads) if read.graph and read.layer == layer]
        size, compute, ahead = sum(reads[i].missed for i in mine), 0, []
        for stage in sorted({reads[i].stage for i in mine}):
            inside = [i for i in mine if reads[i].stage == stage]
            first, after = reads[inside[0]], reads[inside[-1] + 1 :]
            compute += (after[0].at if after else reads[inside[-1]].until) - first.at
            ahead.append(operations_ahead(reads, first, sum(reads[i].missed for i in inside) * (1e9 / disk)))
        row = {"layer": None if layer == 0xFFFF else layer, "bytes": size / tokens, "compute_ns": compute / tokens}
        for name, lead in [("0", 0), ("1", 1), ("2", 2), ("earliest", None)]:
            row[f"stall_{name}_ns"] = sum(waits[lead][i] for i in mine) / tokens
        ahead = [one for one in ahead if one is not None]
        row |= {"operations": ratio(sum(ahead), len(ahead))} if ahead else {}
        known = [reads[i].at - reads[i].known for i in mine if reads[i].known]
        rows.append(row | ({"known_ns": sum(known) / len(known)} if known else {}))
    return rows


def lead(counted, cache, capacity, disk, compute, name):
    """(tables, answers, notes) of the lead times; `name`: the policy."""
    reads = reads_of(counted, name, capacity)
    graphs = reads[-1].graph + 1 if reads else 0
    tokens = sum([run.n_tokens for run in counted.runs if run.phase == GENERATE][1:graphs])
    if not tokens:
        return {}, [], []
    experts, rows, waits = any(read.known for read in reads), [], {}

    def total(of_lead):
        return sum(wait for wait, read in zip(of_lead, reads) if read.graph) / tokens

    for layers in LEADS:
        waits[layers], ahead = stalls(reads, layers, False, disk)
        stall = total(waits[layers])
        rows.append({"layers": "earliest" if layers is None else str(layers), "stall_ns": stall, "ahead_bytes": ahead,
                     "tokens_per_second": 1 / (compute + stall / 1e9)})  # fmt: skip
        if experts:
            rows[-1]["foreseen_stall_ns"] = total(stalls(reads, layers, True, disk)[0])
    tables = {"lead": rows, "lead_by_layer": by_layer(reads, waits, tokens, disk, experts)}
    size = sum(read.missed for read in reads if read.graph) / tokens
    words = [cache, TITLES[name], in_mean_bytes(size), in_time(size * (1e9 / disk)),
             *(in_time(rows[i]["stall_ns"]) for i in (0, 1, -1))]  # fmt: skip
    return tables, [words + ([in_time(rows[-1]["foreseen_stall_ns"])] if experts else [])], [str(graphs), TITLES[name], cache]
