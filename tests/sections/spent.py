# SPDX-License-Identifier: MIT
"""Time: each operation's goes to its name, to a part of the model, to a phase, to a tensor; and what of it was waiting."""

from collections import defaultdict
from dataclasses import dataclass

import usual
from accesses import FUSED, WRITE
from facts import INFERENCE, ratio
from names import NO_LAYER
from read_trace import WEIGHT
from timeline import PHASES
from words import counted, in_percent

SHOWN = 20


@dataclass
class Spent:
    count: int = 0
    ns: int = 0
    bytes: int = 0
    fused: int = 0


def row_of(spent, total, rate=True):
    row = {"count": spent.count, "ns": spent.ns, "share": ratio(spent.ns, total), "bytes": spent.bytes}
    if spent.count:
        row["ns_each"] = spent.ns // spent.count
    if rate and spent.ns and spent.bytes:
        row |= {"bytes_per_second": 1e9 * (spent.bytes / spent.ns), "ns_per_byte": spent.ns / spent.bytes}
    return row


def ranked(sums, order):
    """Longest first; where that ties most often, then in the given order."""
    return sorted(sums.items(), key=lambda item: (-item[1].ns, -item[1].count, order(item[0])))


def counts(facts):
    operations, parts, phases, tensors = (defaultdict(Spent) for _ in range(4))
    for step in facts.steps:
        owner = facts.owner(step)
        first = operations[step.accesses[0].op]
        for spent in (first, phases[step.phase], tensors[owner], parts[facts.part(owner)]):
            spent.ns += step.ns
        tensors[owner].count += 1
        parts[facts.part(owner)].count += 1
        for node in step.nodes:
            operations[node[0].op].count += 1
            phases[step.phase].count += 1
            operations[node[0].op].fused += any(a.flags & FUSED and a.flags & WRITE for a in node)
        for a in step.accesses:
            for spent in (operations[a.op], phases[step.phase], tensors[a.tensor], parts[facts.part(a.tensor)]):
                spent.bytes += a.bytes
    return operations, parts, phases, tensors


def waiting(facts):
    """Values, tables and words of what thread 0 waited at barriers."""
    steps = [step for step in facts.steps if step.wait_ns is not None and step.ns]
    several = any(run.evaluation.n_threads > 1 for run in facts.runs if run.phase in INFERENCE)
    ns, wait_ns = sum(step.ns for step in steps), sum(step.wait_ns for step in steps)
    if not steps:
        return {}, {}, [], []

    def rows(name, key):
        sums = {}
        for step in steps:
            of = sums.setdefault(key(step), [0, 0])
            of[0], of[1] = of[0] + step.ns, of[1] + step.wait_ns
        return [
            {name: at, "ns": own, "wait_ns": wait, "wait_share": ratio(wait, own), "share": ratio(wait, wait_ns)}
            for at, (own, wait) in sorted(sums.items())
        ]

    operations = rows("operation", lambda step: step.accesses[0].op)
    operations.sort(key=lambda row: (-row["wait_ns"], -row["ns"], row["operation"]))
    operations = [row | {"operation": facts.trace.ops[row["operation"]]} for row in operations]
    phases = [row | {"phase": PHASES[row["phase"]]} for row in rows("phase", lambda step: step.phase)]
    layers = rows("layer", lambda step: step.accesses[0].layer)
    layers = [row | {"layer": None if row["layer"] == NO_LAYER else row["layer"]} for row in layers]
    values = {"wait_ns": wait_ns, "wait_share": ratio(wait_ns, ns), "wait_of_ns": ns}
    words = [in_percent(values["wait_share"])]
    if several and wait_ns:
        words += [operations[0]["operation"], in_percent(operations[0]["share"])]
    unknown = sum(step.ns for step in facts.steps) - ns
    notes = [in_percent(ratio(unknown, unknown + ns))] if unknown else []
    return values, {"waits": operations, "phase_waits": phases, "layer_waits": layers}, words, notes


def expected(facts):
    operations, parts, phases, tensors = counts(facts)
    total = sum(step.ns for step in facts.steps)
    weights = {facts.part(number) for number, t in enumerate(facts.tensors) if t.kind == WEIGHT}
    place = {name: number for number, name in enumerate(facts.part_order)}

    def operation(op, spent):
        row = {"operation": facts.trace.ops[op]} | row_of(spent, total)
        return row | {"fused": spent.fused} if spent.fused else row

    def tensor(number, spent):
        t, layer = facts.tensors[number], facts.layers[number]
        row = {"tensor": t.name, "tensor_id": number, "layer": None if layer == NO_LAYER else layer}
        return row | row_of(spent, total, t.kind == WEIGHT)

    by_operation = ranked(operations, lambda op: op)
    by_part = [(name, spent) for name, spent in ranked(parts, lambda name: place[name]) if spent.ns]
    tables = {
        "operations": [operation(op, spent) for op, spent in by_operation],
        "components": [{"component": n} | row_of(s, total, n in weights) for n, s in by_part],
        "phases": [{"phase": PHASES[p]} | row_of(phases[p], total) for p in sorted(phases)],
        "slowest": [tensor(n, s) for n, s in ranked(tensors, lambda n: n) if s.ns][:SHOWN],
    }
    wait_values, wait_tables, words, notes = waiting(facts)
    answer = {"values": {"ns": total} | wait_values, "tables": tables | wait_tables, "headline": []}
    if not by_operation:
        return answer
    fused = sum(spent.fused for spent in operations.values())
    leads = usual.leading_operation(facts)
    answer["values"] |= leads.pop("values", {})
    answer["tables"] |= leads.pop("tables", {})
    return answer | {
        "headline": leads["headline"],
        "lines": [words],
        "answers": [*leads.get("answers", []), words],
        "notes": ["90", "99", *notes] + ([counted(fused)] if fused else []),
    }
