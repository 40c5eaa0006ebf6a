#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_attention.py TAT TRACE: every figure of the section "attention", from access records, masks and shapes as a reader has
them that shares no code with the library, as naively as can be."""

import itertools
import sys
from collections import Counter, defaultdict

from compare import Comparison, section_of

from accesses import APPROXIMATE, WRITE, accesses, layers_of  # isort: skip
from names import NO_LAYER, component_of, layer_of  # isort: skip
from questions import plane  # isort: skip
from read_trace import ABORTED, MASK, STATE, UNMATCHED, WEIGHT, Trace  # isort: skip
from timeline import GENERATE, INFERENCE, MIXED, PHASES, PROMPT, UNKNOWN, VERIFY, Clock, runs_of  # isort: skip

AS_PROMPT = (PROMPT, MIXED, VERIFY, UNKNOWN)
OUTSIDE = 16
PARTS = {
    "attn_q": ("Q weights", "Q"), "attn_k": ("K weights", "K"), "attn_v": ("V weights", "V"),
    "attn_qkv": ("Q, K and V weights, fused", "QKV"), "attn_kv": ("K and V weights, fused", "KV"),
    "attn_output": ("output weights", "O"), "kv_k": ("K cache", "K cache"), "kv_v": ("V cache", "V cache"),
    "state": ("recurrent state", "state"),
}  # fmt: skip
CACHES = ("kv_k", "kv_v")
HEAD_PARTS = {
    "q_weights": ("Q weights", True), "k_weights": ("K weights", False), "v_weights": ("V weights", False),
    "output_weights": ("output weights", True), "k_cache_read": ("K cache, read", False),
    "v_cache_read": ("V cache, read", False), "k_cache_written": ("K cache, written", False),
    "v_cache_written": ("V cache, written", False),
}  # fmt: skip


class Facts:
    """The trace's records of weights, cache and state in inference, with what their tensors are."""

    def __init__(self, trace):
        self.trace, self.runs = trace, runs_of(trace, Clock(trace))
        self.component = [component_of(t) for t in trace.tensors]
        self.layer = [layer_of(t) for t in trace.tensors]
        self.layers_of = {i: layers_of(trace, t) for i, t in enumerate(trace.templates) if t}
        self.records = [
            a for a in accesses(trace)
            if trace.tensors[a.tensor].kind in (WEIGHT, STATE) and self.runs[a.evaluation].phase in INFERENCE
        ]  # fmt: skip
        self.generated = sum(r.n_tokens for r in self.runs if r.phase == GENERATE and not r.evaluation.flags & OUTSIDE)

    def template(self, number):
        return self.trace.templates[self.runs[number].evaluation.template]

    def kind(self, a):
        if self.trace.tensors[a.tensor].kind == WEIGHT:
            return "weights"
        return "cache" if self.component[a.tensor] in CACHES else "state"

    def bytes(self, kind, write, where=lambda a: True):
        return sum(a.bytes for a in self.records if bool(a.flags & WRITE) == write and self.kind(a) == kind and where(a))


# -------------------------------------------------------------------------------------------------------------- cells


def cells_seen(facts, number):
    """By layer of an evaluation: (cells read, cells that each query sees), as sets; the latter None where unknown."""
    template, run = facts.template(number), facts.runs[number]
    names, numbers, found = facts.component, facts.layers_of[run.evaluation.template], {}
    masks = {c.entry: (v, template.entries[c.entry]) for c, v in zip(template.captures, run.evaluation.captures)
             if c.kind == MASK}  # fmt: skip

    def queries_of(entry):
        rows, mask = masks.get(entry, (None, None))
        if not rows:
            return None
        each = len(rows) // mask.ne[3]
        return [{i // each * mask.ne[0] + at + n for at, count in row for n in range(count)} for i, row in enumerate(rows)]

    last = None
    for i, node in enumerate(template.nodes):
        place = {"FLASH_ATTN_EXT": 1, "MUL_MAT": 0}.get(node.op)
        k = template.entries[node.src[place]] if place in node.src else None
        if k and names[k.tensor] == "kv_k" and facts.trace.tensors[k.tensor].kind == STATE:
            last = numbers[template.n_leaves + i]
            found[last] = (k.ne[1] * k.ne[3], queries_of(node.src.get(3)) if node.op == "FLASH_ATTN_EXT" else None)
        elif node.op == "SOFT_MAX" and last is not None and found[last][1] is None and 1 in node.src:
            found[last] = (found[last][0], queries_of(node.src[1]))
    return found


def mean(values):
    values = list(values)
    return sum(values) / len(values) if values else 0


def runs_of_bytes(a):
    step = a.stride if a.rows > 1 else 0
    return [(a.offset + i * step, a.offset + i * step + (a.run_bytes or a.bytes)) for i in range(a.rows)]


def distinct_bytes(records):
    """Bytes of the cache that these read, each once: V may be a view of K."""
    ends, total = Counter(), 0
    for tensor, begin, end in sorted((a.tensor, *run) for a in records for run in runs_of_bytes(a)):
        total += max(end - max(begin, ends[tensor]), 0)
        ends[tensor] = max(ends[tensor], end)
    return total


class Step:
    """One evaluation: bytes by kind, and whose cells it read."""

    def __init__(self, facts, number, records):
        run = facts.runs[number]
        self.run, self.cells = run, cells_seen(facts, number)
        self.sums = Counter()
        by_layer, known = {}, []
        for a in records:
            self.sums[facts.kind(a), bool(a.flags & WRITE)] += a.bytes
            if facts.kind(a) == "cache" and not a.flags & WRITE:
                by_layer.setdefault(a.layer, []).append(a)
        cache_reads = [a for a in records if facts.kind(a) == "cache" and not a.flags & WRITE]
        self.sums["distinct", False] = distinct_bytes(cache_reads)
        self.known = bool(self.cells) and all(q is not None for _, q in self.cells.values())
        self.fresh = self.cached = self.hidden = 0
        for layer, some in by_layer.items():  # a layer that reads another's cache after it reads nothing new
            by_layer[layer] = distinct_bytes(known + some) - distinct_bytes(known)
            known += some
        for layer, (n, queries) in self.cells.items():
            if queries is not None:
                each, seen = by_layer.get(layer, 0) / n, len(set().union(*queries))
                fresh = min(run.n_tokens, seen)
                self.fresh += each * fresh
                self.cached += each * (seen - fresh)
                self.hidden += each * (n - seen)

    def mean_cells(self):
        return mean(n for n, _ in self.cells.values())

    def mean_seen(self):
        return mean(mean(map(len, q)) if q is not None else 0 for _, q in self.cells.values())


def growth_rows(steps, most):
    """Each row so many evaluations that follow each other; and how many."""
    together = -(-len(steps) // most)
    rows = []
    for i in range(0, len(steps), together or 1):
        some = steps[i : i + together]
        total = sum((s.sums for s in some), Counter())
        tokens, phases, contexts = sum(s.run.n_tokens for s in some), {s.run.phase for s in some}, {s.run.context for s in some}
        row = {
            "token": some[0].run.token_first, "tokens": tokens, "evaluations": len(some),
            "context": contexts.pop() if len(contexts) == 1 else None,
            "phase": PHASES[phases.pop()] if len(phases) == 1 else "several", "layers": max(len(s.cells) for s in some),
            "cells": mean(s.mean_cells() for s in some), "kv_read_bytes": total["cache", False],
            "kv_distinct_bytes": total["distinct", False], "kv_written_bytes": total["cache", True], "weight_bytes": total["weights", False],
            "state_read_bytes": total["state", False], "state_written_bytes": total["state", True],
            "kv_read_bytes_per_token": total["cache", False] / tokens,
            "kv_distinct_bytes_per_token": total["distinct", False] / tokens,
            "kv_of_weights": total["distinct", False] / total["weights", False],
        }  # fmt: skip
        if all(s.known for s in some):
            row.update(
                visible_cells=mean(s.mean_seen() for s in some), fresh_bytes=sum(s.fresh for s in some),
                cached_bytes=sum(s.cached for s in some), hidden_bytes=sum(s.hidden for s in some),
                cached_bytes_per_token=sum(s.cached for s in some) / tokens,
                hidden_bytes_per_token=sum(s.hidden for s in some) / tokens,
            )  # fmt: skip
        rows.append(row)
    return rows, together


# ------------------------------------------------------------------------------------------------------------- tables


def part_rows(facts):
    rows = []
    for component, (label, _) in PARTS.items():
        def total(write, *phases):
            return sum(a.bytes for a in facts.records if facts.component[a.tensor] == component
                       and bool(a.flags & WRITE) == write and facts.runs[a.evaluation].phase in phases)  # fmt: skip

        read, written = total(False, GENERATE), total(True, GENERATE)
        row = {
            "part": label, "component": component, "prompt_read_bytes": total(False, *AS_PROMPT),
            "prompt_written_bytes": total(True, *AS_PROMPT), "generate_read_bytes": read, "generate_written_bytes": written,
        }  # fmt: skip
        if not any(v for k, v in row.items() if k.endswith("bytes")):
            continue
        if facts.generated:
            row.update(read_bytes_per_token=read / facts.generated, written_bytes_per_token=written / facts.generated)
        rows.append(row)
    return rows


def windows_of(steps):
    """By layer: the most cells that a query saw, and whether another layer's query saw more in the same evaluation."""
    most, narrower = Counter(), set()
    for step in steps:
        here = {layer: max(map(len, q)) for layer, (_, q) in step.cells.items() if q is not None}
        for layer, n in here.items():
            most[layer] = max(most[layer], n)
            if n < max(here.values()):
                narrower.add(layer)
    return most, narrower


def layer_rows(facts, steps):
    most, narrower = windows_of(steps)
    sums, cells, seen, reads = Counter(), defaultdict(list), defaultdict(list), defaultdict(list)
    for a in facts.records:
        if facts.runs[a.evaluation].phase == GENERATE:
            sums[facts.layer[a.tensor], facts.kind(a), bool(a.flags & WRITE)] += a.bytes
            if facts.kind(a) == "cache" and not a.flags & WRITE:
                reads[a.evaluation, facts.layer[a.tensor]].append(a)
    for (_, layer), some in reads.items():
        sums[layer, "distinct", False] += distinct_bytes(some)
    for step in steps:
        for layer, (n, queries) in step.cells.items() if step.run.phase == GENERATE else []:
            cells[layer].append(n)
            if queries is not None:
                seen[layer].append(mean(map(len, queries)))
    room = {facts.layer[i]: t.ne[1] * t.ne[2] for i, t in reversed(list(enumerate(facts.trace.tensors)))
            if t and t.kind == STATE and facts.component[i] == "kv_k" and t.ne[1] > 1}  # fmt: skip
    rows = []
    for layer in sorted({layer for layer, kind, _ in sums if kind != "weights"} | set(cells)):
        row = {"layer": layer}
        if layer in cells:
            row.update(cells=mean(cells[layer]), slides=layer in narrower, most_visible_cells=most[layer])
            if layer in room:
                row["room_cells"] = room[layer]
        if layer in seen:
            row["visible_cells"] = mean(seen[layer])
        for key, kind, write in (("kv_read", "cache", False), ("kv_written", "cache", True), ("state_read", "state", False),
                                 ("state_written", "state", True), ("weight", "weights", False),
                                 ("kv_distinct", "distinct", False)):  # fmt: skip
            row[f"{key}_bytes_per_token"] = sums[layer, kind, write] / facts.generated
        if sums[layer, "cache", False]:
            row["kv_of_weights"] = sums[layer, "distinct", False] / sums[layer, "weights", False]
        rows.append(row)
    return rows if facts.generated else []


def order_of(facts, sample):
    """The steps of each layer, and the kinds of layers: {order: layers}."""
    touched = [(facts.layer[a.tensor], facts.component[a.tensor], bool(a.flags & WRITE), a.bytes) for a in sample
               if a.bytes and facts.layer[a.tensor] != NO_LAYER and facts.component[a.tensor] in PARTS]  # fmt: skip
    steps = defaultdict(list)
    for (layer, component, write), some in itertools.groupby(touched, key=lambda x: x[:3]):
        steps[layer].append((component, write, sum(x[3] for x in some)))
    rows, kinds = [], defaultdict(list)
    for layer in sorted(steps):
        words = []
        for i, (component, write, count) in enumerate(steps[layer]):
            part, verb = PARTS[component][1], "write" if write else "read"
            rows.append({"layer": layer, "step": i, "part": part, "component": component, "access": verb, "bytes": count})
            words.append(f"{verb} {part}" if component in (*CACHES, "state") else part)
        kinds[", ".join(words)].append(layer)
    return rows, kinds


# -------------------------------------------------------------------------------------------------------------- heads


def shapes_of(facts, number):
    """By layer: heads, KV heads, elements of a head of K and of V."""
    template, run, shapes = facts.template(number), facts.runs[number], {}
    for i, node in enumerate(template.nodes):
        layer = facts.layers_of[run.evaluation.template][template.n_leaves + i]
        e = {place: template.entries[source] for place, source in node.src.items()}
        shape = shapes.setdefault(layer, {}) if layer != NO_LAYER else {}
        if node.op == "FLASH_ATTN_EXT":
            shape.update(heads=e[0].ne[2], kv_heads=e[1].ne[2], k=e[1].ne[0], v=e[2].ne[0])
        elif node.op == "MUL_MAT" and facts.trace.tensors[e[0].tensor].kind == STATE:
            if facts.component[e[0].tensor] == "kv_k" and "k" not in shape:  # V may be a view of K, and comes second
                shape.update(heads=e[1].ne[2], kv_heads=e[0].ne[2], k=e[0].ne[0])
            elif facts.component[e[0].tensor] == "kv_v":
                shape.update(heads=e[1].ne[2], kv_heads=e[0].ne[2], v=e[0].ne[1])
    return {layer: s for layer, s in sorted(shapes.items()) if s}


def weight_heads(entry, component, shape):
    """Bytes of a weight by head, block by block; None where its shape has no heads, or V is a view of K."""
    heads = shape["heads" if component in ("attn_q", "attn_output") else "kv_heads"]
    size = shape.get("v" if component in ("attn_v", "attn_output") else "k", 0)
    along = 0 if component == "attn_output" else 1
    if entry.ne[2] * entry.ne[3] != 1 or entry.ne[along] != heads * size:
        return None
    found = [0.0] * heads
    if along == 1:
        return [size * entry.ne[0] // entry.block * entry.block_bytes] * heads
    together = next(n for n in range(1, heads + 1) if n * size % entry.block == 0)
    for block in range(entry.ne[0] // entry.block):
        first = block * entry.block // size // together * together
        for head in range(first, first + together):
            found[head] += entry.block_bytes / together * entry.ne[1]
    return found


def head_rows(facts, number, sample):
    template, shapes = facts.template(number), shapes_of(facts, number)
    sums = {}

    def add(layer, part, heads):
        before = sums.setdefault((layer, part), [0.0] * len(heads))
        sums[layer, part] = [a + b for a, b in zip(before, heads)]

    written = Counter()
    for a in sample:
        component, node = facts.component[a.tensor], template.nodes[a.node]
        if a.layer in shapes and component in CACHES and a.flags & WRITE and not a.flags & APPROXIMATE:
            written[a.layer, component] += a.bytes
    for (layer, component), count in written.items():
        n = shapes[layer]["kv_heads"]
        add(layer, f"{component[-1]}_cache_written", [count / n] * n)
    for i, node in enumerate(template.nodes):
        layer = facts.layers_of[facts.runs[number].evaluation.template][template.n_leaves + i]
        if layer not in shapes or node.op not in ("MUL_MAT", "FLASH_ATTN_EXT"):
            continue
        for place in (1, 2) if node.op == "FLASH_ATTN_EXT" else (0,):
            entry = template.entries[node.src[place]]
            component, kind = facts.component[entry.tensor], facts.trace.tensors[entry.tensor].kind
            if kind == STATE and component in CACHES:
                planes = [sum(r[1] * r[3] for r in plane(entry, head)) for head in range(shapes[layer]["kv_heads"])]
                add(layer, f"{component[-1]}_cache_read", planes)
            elif kind == WEIGHT and component in ("attn_q", "attn_k", "attn_v", "attn_output"):
                heads = weight_heads(entry, component, shapes[layer])
                if heads:
                    add(layer, "output_weights" if component == "attn_output" else f"{component[-1]}_weights", heads)
    names = list(HEAD_PARTS)
    by_layer = [{"layer": layer, "part": part, "bytes": sums[layer, part]}
                for layer, part in sorted(sums, key=lambda x: (x[0], names.index(x[1])))]  # fmt: skip
    parts = []
    for part, (label, of_query) in HEAD_PARTS.items():
        some = [row["bytes"] for row in by_layer if row["part"] == part]
        if some:
            total, heads = sum(map(sum, some)), sum(map(len, some))
            parts.append({"part": label, "key": part, "of": "query heads" if of_query else "KV heads", "layers": len(some),
                          "heads": heads / len(some), "bytes": total, "bytes_per_head": total / heads})  # fmt: skip
    sharing = [{"layer": layer, "heads": s["heads"], "kv_heads": s["kv_heads"]} for layer, s in shapes.items()]
    return by_layer, parts, sharing


# ---------------------------------------------------------------------------------------------------------------- all


def sample_of(facts):
    whole = [i for i, r in enumerate(facts.runs) if not r.evaluation.flags & (OUTSIDE | UNMATCHED | ABORTED)]
    for phases in ((GENERATE,), INFERENCE):
        some = [i for i in whole if facts.runs[i].phase in phases]
        if some:
            return some[-1]
    return None


def values_of(facts, steps, kinds, together):
    def generated(kind, write=False):
        return facts.bytes(kind, write, lambda a: facts.runs[a.evaluation].phase == GENERATE) / (facts.generated or 1)

    attention = sum(a.bytes for a in facts.records if facts.runs[a.evaluation].phase == GENERATE
                    and facts.component[a.tensor] in PARTS and facts.kind(a) == "weights")  # fmt: skip
    values = {
        "kv_cache_bytes": sum(t.bytes for i, t in enumerate(facts.trace.tensors)
                              if t.kind == STATE and facts.component[i] in CACHES),
        "kv_read_bytes_per_token": generated("cache"), "kv_written_bytes_per_token": generated("cache", True),
        "state_read_bytes_per_token": generated("state"), "state_written_bytes_per_token": generated("state", True),
        "weight_bytes_per_token": generated("weights"),
        "kv_distinct_bytes_per_token": sum(s.sums["distinct", False] for s in steps if s.run.phase == GENERATE)
        / (facts.generated or 1),
        "attention_weight_bytes_per_token": attention / (facts.generated or 1),
        "evaluations_per_growth_row": together,
    }  # fmt: skip
    if kinds:
        values["layer_orders"] = len(kinds)
    most, narrower = windows_of(steps)
    if most:
        values["sliding_layers"] = len(narrower)
    some = [s for s in steps if s.run.phase == GENERATE]
    if some and generated("cache"):
        tokens = sum(s.run.n_tokens for s in some)
        values["read_cells_per_layer"] = mean(s.mean_cells() for s in some)
        if all(s.known for s in some):
            values["visible_cells_per_query"] = mean(s.mean_seen() for s in some)
            for key in ("fresh", "cached", "hidden"):
                values[f"{key}_bytes_per_token"] = sum(getattr(s, key) for s in some) / tokens
        if not narrower and some[-1].run.n_tokens == 1:
            last = some[-1]
            each = last.sums["distinct", False] / last.mean_cells()
            values["cells_that_cost_the_weights"] = int(last.sums["weights", False] / each)
    return values


def main(tat, path):
    facts, section, c = Facts(Trace(path)), section_of(tat, path, "attention"), Comparison()
    by_step = defaultdict(list)
    for a in facts.records:
        by_step[a.evaluation].append(a)
    steps = [Step(facts, number, records) for number, records in sorted(by_step.items())]
    number = sample_of(facts)
    sample = by_step.get(number, [])
    growth, together = growth_rows(steps, 4096)
    order_steps, kinds = order_of(facts, sample)
    by_head, heads, sharing = head_rows(facts, number, sample) if number is not None else ([], [], [])
    generated = [s for s in steps if s.run.phase == GENERATE]
    kinds_rows = [{"layers": len(layers), "first_layer": layers[0], "order": order} for order, layers in
                  sorted(kinds.items(), key=lambda x: -len(x[1]))]  # fmt: skip
    tables = {
        "attention": part_rows(facts), "growth": growth, "layers": layer_rows(facts, steps), "order_steps": order_steps,
        "growth_of_generation": growth_rows(generated, 12)[0] if any(s.cells for s in generated) else [],
        "order": kinds_rows if len(kinds) > 1 else [], "head_bytes": by_head, "heads": heads, "sharing": sharing,
    }  # fmt: skip
    c.check_section(section, values_of(facts, steps, kinds, together), tables)
    c.end("attention")


if __name__ == "__main__":
    main(*sys.argv[1:])
