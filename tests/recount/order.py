#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""order.py TRACE REPORT: every figure of a `tat report --json --section order`, counted again as naively as can be.

The records come from the second reader (tests/format); gaps are lists, predictors dictionaries that see every access,
legal orders are searched through all sets of operations that may have been computed. Says what differs, with status 1.
"""

import json
import re
import sys
from collections import Counter, defaultdict
from itertools import zip_longest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "format"))

from accesses import NO_EXPERT, STRIDED, WRITE, accesses, rows_of, union  # noqa: E402
from names import component_of  # noqa: E402
from read_trace import (  # noqa: E402
    ABORTED, ACTIVATION, COMPUTE, COPY, EMPTY, FILE, MODEL_FILE, UNMATCHED, WEIGHT, Trace,
)  # fmt: skip
from timeline import GENERATE, MIXED, PROMPT, Clock, runs_of  # noqa: E402

NEAR = 128 << 10
SAMPLES, SEARCHED = 16, 10
OUTSIDE = 16  # a flag of an evaluation: its tokens were not asked for
TEXT = {"label", "distance", "kind"}  # of rows: fields that hold no figure


class Model:
    """The trace, and what of its tensors lies in files."""

    def __init__(self, path):
        self.trace = Trace(path)
        self.runs = runs_of(self.trace, Clock(self.trace))
        sizes = [e.values[3] for e in sorted(self.trace.events, key=lambda e: e.tick) if e.type == MODEL_FILE]
        self.base = [0] + [sum(sizes[:i]) for i in range(len(sizes))]
        self.generated = [
            number for number, run in enumerate(self.runs)
            if run.phase == GENERATE and not run.evaluation.flags & (ABORTED | UNMATCHED | OUTSIDE)
        ]  # fmt: skip

    def in_file(self, number):
        t = self.trace.tensors[number]
        return t.kind == WEIGHT and t.memory in (FILE, COPY) and t.file > 0

    def reads(self):
        """(access, first byte, one past the last) of weights, of prompt and generation."""
        for a in accesses(self.trace):
            if self.runs[a.evaluation].phase not in (PROMPT, GENERATE, MIXED):
                continue
            if self.in_file(a.tensor) and a.bytes and not a.flags & WRITE:
                length = a.stride * (a.rows - 1) + a.run_bytes if a.flags & STRIDED else a.bytes
                yield a, a.offset, a.offset + length


# -------------------------------------------------------------------------------------------------------------- gaps


def gaps_of(model, reads):
    """Of a sequence: (gap, bytes), and the bytes of those that have none before them in their file."""
    ends, gaps, first = {}, [], []
    for a, begin, end in reads:
        file = model.trace.tensors[a.tensor].file
        if file in ends:
            gaps.append((begin - ends[file], a.bytes))
        else:
            first.append(a.bytes)
        ends[file] = end
    return gaps, first


def kind_of(gap):
    return "sequential" if gap == 0 else "near" if abs(gap) < NEAR else "random"


def component_row(name, gaps, first):
    row = {"component": name, "accesses": len(gaps) + len(first), "bytes": sum(b for _, b in gaps) + sum(first),
           "first_accesses": len(first), "gap_bytes": sum(abs(g) for g, _ in gaps)}  # fmt: skip
    for kind in ("sequential", "near", "random"):
        sizes = [b for g, b in gaps if kind_of(g) == kind]
        row[f"{kind}_accesses"], row[f"{kind}_bytes"] = len(sizes), sum(sizes)
        if gaps:
            row[kind] = len(sizes) / len(gaps)
            row[f"{kind}_of_bytes"] = sum(sizes) / sum(b for _, b in gaps)
    if gaps:
        row["mean_gap_bytes"] = row["gap_bytes"] / len(gaps)
    return row


def histogram(gaps, more=None):
    rows, bins = [], defaultdict(list)
    for gap, size in gaps:
        bins[abs(gap).bit_length()].append((gap, size))
    for power, found in sorted(bins.items()):
        forward, backward = [b for g, b in found if g >= 0], [b for g, b in found if g < 0]
        rows.append({
            **(more or {}), "from_bytes": 1 << power - 1 if power else 0, "to_bytes": 1 << power,
            "forward": len(forward), "backward": len(backward),
            "forward_bytes": sum(forward), "backward_bytes": sum(backward),
            "share": len(found) / len(gaps), "share_of_bytes": sum(b for _, b in found) / sum(b for _, b in gaps),
        })  # fmt: skip
    return rows


def count_gaps(model, reads, tables):
    gaps, first = gaps_of(model, reads)
    tables["order"], tables["gaps"] = [], histogram(gaps)
    for kind in ("sequential", "near", "random") if gaps else ():
        sizes = [b for g, b in gaps if kind_of(g) == kind]
        tables["order"].append({"accesses": len(sizes), "share": len(sizes) / len(gaps), "bytes": sum(sizes),
                                "share_of_bytes": sum(sizes) / sum(b for _, b in gaps)})  # fmt: skip
    tables["components"] = [component_row("all", gaps, first)]
    tables["gaps_by_component"] = []
    parts = defaultdict(list)
    for read in reads:
        parts[component_of(model.trace.tensors[read[0].tensor])].append(read)
    for name, own in parts.items():
        gaps, first = gaps_of(model, own)
        tables["components"].append(component_row(name, gaps, first))
        tables["gaps_by_component"] += histogram(gaps, {"component": name})


# --------------------------------------------------------------------------------------------------------- sequences


def sequences(model, reads):
    """By evaluation: its steps, each (node, operand, tensor, slices). A slice is (tensor, expert, offset, bytes)."""
    found = {number: [] for number in model.generated}
    for a, _, _ in reads:
        if a.evaluation not in found:
            continue
        rows = model.trace.ops[a.op] == "GET_ROWS"
        piece = (a.tensor, None, None, 0) if rows else (a.tensor, a.expert, a.offset, a.bytes)
        steps = found[a.evaluation]
        if not steps or steps[-1][:2] != (a.node, a.operand):
            steps.append((a.node, a.operand, a.tensor, []))
        if not rows or not steps[-1][3]:
            steps[-1][3].append(piece)
    return {number: steps for number, steps in found.items() if steps}


def tensors_of(steps):
    return [tensor for _, _, tensor, _ in steps]


def slices_of(steps):
    return [piece for step in steps for piece in step[3]]


def shown(model, thing):
    if thing is None:
        return None
    if isinstance(thing, int):
        return {"tensor": model.trace.tensors[thing].name}
    tensor, expert, offset, size = thing
    text = {"tensor": model.trace.tensors[tensor].name}
    if offset is not None:
        text.update({"offset": offset, "bytes": size})
        if expert != NO_EXPERT:
            text["expert"] = expert
    return text


def difference(model, number, access, expected, actual):
    return {"evaluation": number, "token": model.runs[number].token_first, "access": access,
            "expected": shown(model, expected), "actual": shown(model, actual)}  # fmt: skip


def pairs(was, now, name):
    """(number of the access, expected, actual), step by step: of tensors one each, of slices as many as the longer."""
    at = 0
    for old, new in zip_longest(was, now, fillvalue=(None, None, None, [])):
        sides = ([old[2]], [new[2]]) if name == "tensor" else (old[3], new[3])
        for k, (expected, actual) in enumerate(zip_longest(*sides)):
            yield at + k, expected, actual
        at += 1 if name == "tensor" else len(new[3])


def compare(model, found, values):
    """Each evaluation with the one before it in its context."""
    before, counts = {}, Counter()
    for number, steps in found.items():
        context = model.runs[number].context
        for name, of in ("tensor", tensors_of), ("slice", slices_of):
            if context not in before:
                continue
            was, now = of(before[context]), of(steps)
            counts["compared"] += name == "tensor"
            counts[name, "identical"] += was == now
            for at, expected, actual in pairs(before[context], steps, name):
                counts[name, "same"] += expected == actual
                counts[name, "positions"] += 1
                if expected != actual and f"first_different_{name}" not in values:
                    values[f"first_different_{name}"] = difference(model, number, at + 1, expected, actual)
        before[context] = steps
    values["compared_tokens"] = counts["compared"]
    for name in "tensor", "slice":
        values[f"identical_by_{name}"] = counts[name, "identical"]
        values[f"same_{name}s"] = counts[name, "same"] / counts[name, "positions"] if counts["compared"] else 0.0


def layer_kinds(model, found, values, tables):
    """Layers by what the last token reads of them, in order: names behind the layer's number."""
    if not found:
        return
    parts, kinds = defaultdict(list), defaultdict(list)
    for tensor in tensors_of(found[max(found)]):
        name = re.fullmatch(r"blk\.(\d+)\.(.*?)(\.weight)?", model.trace.tensors[tensor].name)
        if name:
            parts[int(name[1])].append(name[2])
    for layer in sorted(parts):
        kinds[tuple(parts[layer])].append(layer)
    if kinds:
        values["layer_kinds"] = len(kinds)
        tables["layer_kinds"] = [{"n_layers": len(layers), "layers": layers, "reads": len(order), "order": ", ".join(order)}
                                 for order, layers in kinds.items()]  # fmt: skip


# -------------------------------------------------------------------------------------------------------- prediction


class Learner:
    """What followed what, in the first half and since; of equally frequent ones, what was seen first."""

    def __init__(self):
        self.one, self.two = defaultdict(Counter), defaultdict(Counter)
        self.last, self.frozen = {}, {}

    def learn(self, history, actual):
        if history:
            self.one[history[-1]][actual] += 1
            self.last[history[-1]] = actual
        if len(history) > 1:
            self.two[history[-2], history[-1]][actual] += 1

    @staticmethod
    def most(counter):
        best = None
        for thing, count in counter.items():  # in the order of their first appearance
            if best is None or count > counter[best]:
                best = thing
        return best

    def guesses(self, history):
        if not history:
            return {"last": None, "last_frozen": None, "markov_1": None, "markov_2": None}
        pair = tuple(history[-2:])
        return {
            "last": self.last.get(history[-1]), "last_frozen": self.frozen.get(history[-1]),
            "markov_1": self.most(self.one.get(history[-1], {})),
            "markov_2": self.most(self.two.get(pair, {})),
        }  # fmt: skip


def expected_steps(model, run):
    """What the graph of an evaluation will read: (node, operand, tensor, the slice or None where it varies)."""
    template = model.trace.templates[run.evaluation.template]
    for number, node in enumerate(template.nodes):
        asked = node.facts & COMPUTE or not run.evaluation.rule & 2
        if node.facts & EMPTY or 0 in node.ne or not asked:
            continue
        for place, source in sorted(node.src.items()):
            e = template.entries[source]
            shape_only = place == 0 and node.op in ("IM2COL", "IM2COL_3D", "FILL")
            if not model.in_file(e.tensor) or 0 in e.ne or shape_only:
                continue
            runs = union(rows_of(e, e.ne))
            begin = model.trace.tensors[e.tensor].file_offset + e.offset
            piece = (e.tensor, NO_EXPERT, begin + runs[0][0], runs[0][1])
            if (node.op, place) == ("GET_ROWS", 0):
                piece = (e.tensor, None, None, 0)
            elif (node.op, place) in (("MUL_MAT_ID", 0), ("ADD_ID", 1)) or len(runs) > 1:
                piece = None
            yield number, place + 1, e.tensor, piece


def graph_guesses(model, number, steps, before):
    """(guess, actual) of each tensor and of each slice of an evaluation."""
    expected = list(expected_steps(model, model.runs[number]))
    tensors, slices, at, late = [], [], 0, None

    def pieces(i, step):
        if i >= len(expected):
            return []
        if expected[i][3]:
            return [expected[i][3]]
        same = before and step < len(before) and before[step][2] == expected[i][2]
        return before[step][3] if same else []

    for i, (node, operand, tensor, actual) in enumerate(steps):
        guess = expected[at][2] if at < len(expected) else None
        tensors.append((guess, tensor))
        mine = pieces(at, i)
        for k, piece in enumerate(actual):
            if k < len(mine):
                here = mine[k]
            else:
                here = (pieces(at + 1, i + 1) or [None])[0] if mine else None
            slices.append((late if k == 0 and late else here, piece))
        late = mine[len(actual)] if len(actual) < len(mine) else None
        while at < len(expected) and expected[at][:2] < (node, operand):
            at += 1
        if at < len(expected) and expected[at][:2] == (node, operand):
            at += 1
    return tensors, slices


def predict(model, found, values, tables):
    half = len(model.generated) // 2
    learners = {"tensor": Learner(), "slice": Learner()}
    histories = {name: defaultdict(list) for name in learners}
    scores, before = defaultdict(Counter), {}
    totals = Counter()
    for number, steps in found.items() if half else ():
        context = model.runs[number].context
        train = model.generated.index(number) < half
        totals["trained" if train else "scored"] += 1
        for name, of in ("tensor", tensors_of), ("slice", slices_of):
            learner, history = learners[name], histories[name][context]
            if not train and not learner.frozen:
                learner.frozen = dict(learner.last)
            for actual in of(steps):
                if train:
                    learner.learn(history, actual)
                else:
                    totals[name] += 1
                    totals["bytes"] += actual[3] if name == "slice" else 0
                    for predictor, guess in learner.guesses(history).items():
                        mark(scores[predictor], name, guess, actual)
                    if history:
                        learner.last[history[-1]] = actual
                history.append(actual)
        if not train:
            for name, pairs in zip(learners, graph_guesses(model, number, steps, before.get(context))):
                for i, (guess, actual) in enumerate(pairs):
                    mark(scores["graph"], name, guess, actual)
                    if guess != actual and f"graph_first_wrong_{name}" not in values:
                        values[f"graph_first_wrong_{name}"] = difference(model, number, i + 1, guess, actual)
        before[context] = steps
    values.update({"trained_tokens": totals["trained"], "scored_tokens": totals["scored"],
                   "scored_tensors": totals["tensor"], "scored_slices": totals["slice"],
                   "scored_slice_bytes": totals["bytes"]})  # fmt: skip
    tables["prediction"] = []
    for predictor in ("last", "last_frozen", "markov_1", "markov_2", "graph") if totals["slice"] else ():
        score, row = scores[predictor], {"predictor": predictor}
        for name in "tensor", "slice":
            row[f"{name}_hits"], row[f"{name}_unknown"] = score[name, "hits"], score[name, "unknown"]
            row[f"{name}_share"] = score[name, "hits"] / totals[name]
            row[f"{name}_met"] = "met" if score[name, "hits"] * 100 >= 95 * totals[name] else "not met"
        row["slice_hit_bytes"] = score["slice", "bytes"]
        row["slice_bytes_share"] = score["slice", "bytes"] / totals["bytes"] if totals["bytes"] else 0.0
        tables["prediction"].append(row)


def mark(score, name, guess, actual):
    score[name, "unknown"] += guess is None
    score[name, "hits"] += guess == actual
    if name == "slice" and guess == actual:
        score[name, "bytes"] += actual[3]


# --------------------------------------------------------------------------------------------------------- reordering


def elements_of(model, reads):
    """Of one evaluation: (node, from, end, distance within), in the order of nodes. Files lie end to end."""
    elements = []
    for a, begin, end in reads:
        base = model.base[model.trace.tensors[a.tensor].file]
        begin, end = base + begin, base + end
        if elements and elements[-1][0] == a.node:
            _, first, last, within = elements[-1]
            elements[-1] = (a.node, first, end, within + abs(begin - last))
        else:
            elements.append((a.node, begin, end, 0))
    return elements


def dependencies(model, template, nodes):
    """Bits of the elements that must come before each: through sources, and through what several nodes write."""
    touched = []  # by node: (tensors read, tensors written)
    for node in template.nodes:
        works = not node.facts & EMPTY
        touched.append(({template.entries[s].tensor for s in node.src.values()} if works else set(),
                        {node.tensor} if works else set()))  # fmt: skip
    writers = Counter(t for _, written in touched for t in written)
    kinds = model.trace.tensors
    shared = {t for t, n in writers.items() if n > (1 if kinds[t].kind == ACTIVATION else 0)}
    need, bit = [], {node: i for i, node in enumerate(nodes)}
    for j, node in enumerate(template.nodes):
        before = {s - template.n_leaves for s in node.src.values() if template.n_leaves <= s < template.n_leaves + j}
        for i in range(j):
            mine, others = touched[j], touched[i]
            both = (mine[0] & others[1]) | (mine[1] & others[0]) | (mine[1] & others[1])
            if both & shared:
                before.add(i)
        bits = 0
        for i in before:
            bits |= need[i] | (1 << bit[i] if i in bit else 0)
        need.append(bits)
    return [need[node] for node in nodes]


def best_order(elements, need, ready):
    """The smallest distance over all legal orders: by sets of what has been read, and where the reading stands."""
    states = {(0, None): 0}
    for _ in elements:
        following = {}
        for (done, at), cost in states.items():
            if done not in ready:
                ready[done] = [i for i in range(len(need)) if not done >> i & 1 and not need[i] & ~done]
            for i in ready[done]:
                _, begin, end, within = elements[i]
                key = (done | 1 << i, end)
                total = cost + within + (0 if at is None else abs(begin - at))
                if total < following.get(key, 1 << 70):
                    following[key] = total
        states = following
    return min(states.values())


def blocks_of(need):
    """How many operations each block has: one begins where all before come before all that follow."""
    begins = [p for p in range(len(need)) if all(need[j] & (1 << p) - 1 == (1 << p) - 1 for j in range(p, len(need)))]
    return [b - a for a, b in zip(begins, begins[1:] + [len(need)])]


def reorder(model, reads, values, tables):
    every = -(-len(model.generated) // SAMPLES) if model.generated else 1
    samples, known, totals, largest = set(model.generated[::every]), {}, Counter(), 0
    by_evaluation = defaultdict(list)
    for read in reads:
        by_evaluation[read[0].evaluation].append(read)
    for number in sorted(samples & by_evaluation.keys()):
        own = by_evaluation[number]
        elements = elements_of(model, own)
        nodes = [e[0] for e in elements]
        template = model.runs[number].evaluation.template
        key = (template, tuple(nodes))
        if key not in known:
            need = dependencies(model, model.trace.templates[template], nodes)
            known[key] = (need, blocks_of(need), {})
        need, blocks, ready = known[key]
        assert max(blocks) <= SEARCHED, "a block too large to be searched: no case of this test"
        totals["tokens"] += 1
        totals["operations"] += len(elements)
        totals["blocks"] += len(blocks)
        largest = max(largest, *blocks)
        totals["actual"] += sum(e[3] for e in elements) + sum(abs(b[1] - a[2]) for a, b in zip(elements, elements[1:]))
        totals["best"] += best_order(elements, need, ready)
        bases = [model.base[model.trace.tensors[a.tensor].file] for a, _, _ in own]
        runs = union((base + begin, end - begin) for base, (_, begin, end) in zip(bases, own))
        totals["pass"] += runs[-1][0] + runs[-1][1] - runs[0][0] - sum(n for _, n in runs)
    values.update({
        "reordered_tokens": totals["tokens"], "reorder_actual_bytes": totals["actual"],
        "reorder_best_bytes": totals["best"], "reorder_one_pass_bytes": totals["pass"], "reorder_exact": True,
        "reorder_operations": totals["operations"], "reorder_blocks": totals["blocks"],
        "reorder_largest_block": largest,
    })  # fmt: skip
    tables["reorder"] = [
        {"order": name, "gap_bytes": totals[key] / totals["tokens"],
         "share": totals[key] / totals["actual"] if totals["actual"] else 0.0}
        for name, key in (("actual", "actual"), ("best", "best"), ("one_pass", "pass")) if totals["tokens"]
    ]  # fmt: skip


# -------------------------------------------------------------------------------------------------------- comparison


def recount(path):
    model, values, tables = Model(path), {}, {}
    reads = list(model.reads())
    found = sequences(model, reads)
    values["generated_evaluations"] = len(model.generated)
    count_gaps(model, reads, tables)
    compare(model, found, values)
    layer_kinds(model, found, values, tables)
    predict(model, found, values, tables)
    reorder(model, reads, values, tables)
    return values, tables


def differences(path, ours, theirs):
    """Every figure that one has and the other has not, or as another."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(ours.keys() | theirs.keys()):
            yield from differences(f"{path}.{key}", ours.get(key), theirs.get(key))
    elif isinstance(ours, list) and isinstance(theirs, list):
        if len(ours) != len(theirs):
            yield f"{path}: {len(ours)} rows counted, {len(theirs)} reported"
        for i, pair in enumerate(zip(ours, theirs)):
            yield from differences(f"{path}[{i}]", *pair)
    elif isinstance(ours, float) and isinstance(theirs, float):
        if abs(ours - theirs) > 1e-12 * max(abs(ours), 1):
            yield f"{path}: {ours} counted, {theirs} reported"
    elif type(ours) is not type(theirs) or ours != theirs:
        yield f"{path}: {ours} counted, {theirs} reported"


def figures(thing):
    if isinstance(thing, (dict, list)):
        return sum(figures(x) for x in (thing.values() if isinstance(thing, dict) else thing))
    return isinstance(thing, (int, float))


def rows_of_tables(section):
    """Without fields that hold no figure."""
    tables = {}
    for name, table in section.get("tables", {}).items():
        tables[name] = [{k: v for k, v in row.items() if k not in TEXT} for row in table["rows"]]
    return tables


def by_component(tables):
    """Parts of a model have no order."""
    for name in "components", "gaps_by_component":
        tables[name].sort(key=lambda row: (row["component"], row.get("from_bytes", 0)))
    return tables


def main():
    path, report = sys.argv[1:]
    section = json.loads(Path(report).read_text())["order"]
    values, tables = recount(path)
    wrong = list(differences("values", values, section.get("values", {})))
    wrong += differences("tables", by_component(tables), by_component(rows_of_tables(section)))
    for line in wrong[:20]:
        print(line)
    print(f"{path}: {figures(values) + figures(tables)} figures counted, {len(wrong)} different")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
