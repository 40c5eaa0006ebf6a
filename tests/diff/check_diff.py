#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_diff.py TAT TRACE TRACE...: every figure that `tat diff --json` gives of these traces, counted again from their records
by the second reader of tests/format, and by the plainest formulas. Each trace must be of another setup, or all of one, so that
each run is a side of its own.

check_diff.py --repeated TAT TRACE...: of two setups, recorded several times each: how they are told apart, and their rates."""

import itertools
import json
import math
import os
import subprocess
import sys
from collections import Counter
from functools import cached_property

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "format"))

from accesses import NO_EXPERT, accesses  # noqa: E402
from names import NO_LAYER, component_of, layer_of, layer_of_result  # noqa: E402
from read_trace import EXPERTS, STATE, WEIGHT, Trace  # noqa: E402
from timeline import GENERATE, INFERENCE, PROMPT, Clock, runs_of  # noqa: E402

OUTSIDE = 1 << 4


class Run:
    """What the figures are made from."""

    def __init__(self, path):
        file = os.path.join(path, "tensor_access.bin") if os.path.isdir(path) else path
        self.trace = Trace(file)
        self.runs = runs_of(self.trace, Clock(self.trace))
        self.records = [a for a in accesses(self.trace) if self.runs[a.evaluation].phase in INFERENCE]

    def full(self, *phases):
        return [r for r in self.runs if r.phase in phases and not r.evaluation.flags & OUTSIDE]

    def tokens(self, *phases):
        return sum(r.n_tokens for r in self.full(*phases))

    def rate(self, phase):
        ns = sum(r.end_ns - r.begin_ns for r in self.full(phase))
        return 1e9 * self.tokens(phase) / ns if ns and self.tokens(phase) else None

    def name(self, tensor):
        return self.trace.tensors[tensor].name

    def kind(self, tensor):
        return self.trace.tensors[tensor].kind

    def by_name(self, phases, kinds):
        """Accesses and bytes: an operand, or an expert of it, is one access, in however many pieces."""
        seen, count, size = set(), Counter(), Counter()
        for a in self.records:
            if self.kind(a.tensor) not in kinds or self.runs[a.evaluation].phase not in phases or not a.bytes:
                continue
            size[self.name(a.tensor)] += a.bytes
            seen.add((a.evaluation, a.node, a.operand, a.expert, self.name(a.tensor)))
        for key in seen:
            count[key[-1]] += 1
        return count, size

    @cached_property
    def stacks(self):
        """How many experts a weight has, by name."""
        found = {}
        for template in filter(None, self.trace.templates):
            for node in template.nodes:
                place = {"MUL_MAT_ID": (0, 2), "ADD_ID": (1, 1)}.get(node.op)
                if place and place[0] in node.src:
                    entry = template.entries[node.src[place[0]]]
                    if entry.ne[place[1]] > 1:
                        found[self.name(entry.tensor)] = entry.ne[place[1]]
        return found

    @cached_property
    def slices(self):
        """Accesses of each weight, or of each of its experts."""
        count = {}
        for tensor in filter(None, self.trace.tensors):
            if tensor.kind == WEIGHT:
                count[tensor.name] = [0] * self.stacks.get(tensor.name, 1)
        seen = {(a.evaluation, a.node, a.operand, a.expert, a.tensor) for a in self.records
                if a.bytes and self.kind(a.tensor) == WEIGHT}  # fmt: skip
        for _, _, _, expert, tensor in seen:
            of = count[self.name(tensor)]
            if len(of) == 1:
                of[0] += 1
            elif expert < len(of):
                of[expert] += 1
        return count

    @cached_property
    def rows(self):
        """By layer: how many experts it has, and the choice of each row, with its token's place in the run. Where a layer has
        fewer rows than tokens, they are the last ones."""
        layers, done = {}, 0
        for run in self.runs:
            if run.phase not in INFERENCE:
                continue
            template = self.trace.templates[run.evaluation.template]
            for capture, values in zip(template.captures, run.evaluation.captures):
                if capture.kind != EXPERTS or not values:
                    continue
                node = template.nodes[capture.node]
                place, dimension = {"ADD_ID": (1, 1)}.get(node.op, (0, 2))
                n = template.entries[node.src[place]].ne[dimension]
                used = template.entries[capture.entry].ne[0]
                choices = [values[i : i + used] for i in range(0, len(values), used)]
                first = done + max(run.n_tokens - len(choices), 0)
                _, rows = layers.setdefault(self.layer_of_node(template, node), (n, []))
                rows += [(first + i, choice) for i, choice in enumerate(choices)]
            done += 0 if run.evaluation.flags & OUTSIDE else run.n_tokens
        return layers

    def counts(self, layer, first=0, end=math.inf):
        n, rows = self.rows[layer]
        count = Counter(expert for token, choice in rows if first <= token < end for expert in choice)
        return [count[expert] for expert in range(n)]

    def layer_of_node(self, template, node):
        layer = layer_of_result(node.name)
        return layer if layer != NO_LAYER else layer_of(self.trace.tensors[template.entries[node.src[0]].tensor])

    @cached_property
    def sequences(self):
        """Of each evaluation that generated: weights in the order in which they are read, and with their experts."""
        found, last = {}, None
        for a in self.records:
            if self.runs[a.evaluation].phase != GENERATE or self.kind(a.tensor) != WEIGHT or not a.bytes:
                continue
            weights, slices = found.setdefault(a.evaluation, ([], []))
            slices.append((self.name(a.tensor), a.expert))
            if last != (a.evaluation, a.node, a.tensor):
                weights.append(self.name(a.tensor))
            last = (a.evaluation, a.node, a.tensor)
        return [found[number] for number in sorted(found)]

    def operations(self, phases):
        """Time of each operation; of two fused ones the first has it."""
        ns, last = Counter(), None
        for a in self.records:
            if self.runs[a.evaluation].phase not in phases:
                continue
            this = (a.evaluation, a.node)
            if this != last:
                template = self.trace.templates[self.runs[a.evaluation].evaluation.template]
                ns[template.nodes[a.node].op] += a.duration_ns
            last = this
        return ns


# ------------------------------------------------------------------------------------------------------------ formulas


def variation(a, b):
    return sum(abs(x / sum(a) - y / sum(b)) for x, y in zip(a, b)) / 2


def divergence(a, b):
    p, q = [x / sum(a) for x in a], [y / sum(b) for y in b]
    m = [(x + y) / 2 for x, y in zip(p, q)]
    return (sum(x * math.log2(x / z) for x, z in zip(p, m) if x) + sum(y * math.log2(y / z) for y, z in zip(q, m) if y)) / 2


def chi_square(a, b):
    used = [(x, y) for x, y in zip(a, b) if x + y]
    total = sum(a) + sum(b)
    value = 0
    for x, y in used:
        for seen, side in ((x, sum(a)), (y, sum(b))):
            expected = (x + y) * side / total
            value += (seen - expected) ** 2 / expected
    return value, len(used) - 1, math.sqrt(value / total)


def ranks(values):
    """Ties get their mean rank."""
    first, count = {}, Counter(values)
    for place, value in enumerate(sorted(values), 1):
        first.setdefault(value, place)
    return [first[v] + (count[v] - 1) / 2 for v in values]


def spearman(x, y):
    x, y = ranks(x), ranks(y)
    if len(set(x)) < 2 or len(set(y)) < 2:
        return None
    mx, my = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / math.sqrt(
        sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y)
    )


def places(run):
    """Reads of a byte by component and tenth of the layers."""
    tensors = [t for t in run.trace.tensors if t and t.kind in (WEIGHT, STATE)]
    layers = 1 + max((layer_of(t) for t in tensors if layer_of(t) != NO_LAYER), default=0)
    _, read = run.by_name(INFERENCE, (WEIGHT,))
    weights = {}
    for tensor in tensors:
        if tensor.kind == WEIGHT and tensor.bytes > getattr(weights.get(tensor.name), "bytes", -1):
            weights[tensor.name] = tensor
    size, touched = Counter(), Counter()
    for name, tensor in weights.items():
        layer = layer_of(tensor)
        place = (component_of(tensor), None if layer == NO_LAYER else layer * 10 // layers)
        size[place] += tensor.bytes
        touched[place] += read[name]
    return {place: touched[place] / size[place] for place in size if size[place]}


# ------------------------------------------------------------------------------------------------------------- checks


class Check:
    def __init__(self):
        self.figures = 0

    def same(self, what, found, expected):
        good = found == expected
        if isinstance(expected, float) and isinstance(found, (int, float)):
            good = math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
        if not good:
            sys.exit(f"{what}: {found!r}, counted again: {expected!r}")
        self.figures += 1


def rows_of(answer, section, table, **wanted):
    rows = answer[section]["tables"][table]["rows"]
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def check_tensors(check, answer, a, b, pair, phases):
    rows = {row["tensor"]: row for row in rows_of(answer, "tensors", "all", **pair)}
    for suffix, run in (("a", a), ("b", b)):
        tokens = max(run.tokens(*phases), 1)
        count, size = run.by_name(phases, (WEIGHT, STATE))
        names = {t.name for t in run.trace.tensors if t and t.kind in (WEIGHT, STATE)}
        check.same("tensors", {name for name, row in rows.items() if f"bytes_{suffix}" in row}, names)
        for name in names:
            check.same(f"accesses of {name}", rows[name][f"accesses_{suffix}"], count[name] / tokens)
            check.same(f"bytes of {name}", rows[name][f"bytes_{suffix}"], size[name] / tokens)


def common_layers(a, b):
    return [layer for layer in a.rows if layer in b.rows and a.rows[layer][0] == b.rows[layer][0]]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def halves_of(runs, layer, half):
    return [(run.counts(layer, 0, half), run.counts(layer, half, 2 * half)) for run in runs]


def check_experts(check, answer, a, b, pair):
    rows = {row["layer"]: row for row in rows_of(answer, "experts", "layers", **pair)}
    both = common_layers(a, b)
    check.same("layers with experts", sorted(rows), sorted(both))
    half = min(run.tokens(*INFERENCE) for run in (a, b)) // 2
    for layer in both:
        row, x, y = rows[layer], a.counts(layer), b.counts(layer)
        value, freedom, v = chi_square(x, y)
        check.same("counts", (row["counts_a"], row["counts_b"]), (x, y))
        check.same("total variation", row["total_variation"], variation(x, y))
        check.same("Jensen-Shannon", row["jensen_shannon_bits"], divergence(x, y))
        check.same("chi-square", row["chi_square"], value)
        check.same("degrees of freedom", row["degrees_of_freedom"], freedom)
        check.same("Cramer's V", row["cramer_v"], v)
        p, q = halves_of((a, b), layer, half)
        check.same("within a run", row["halves_within"], mean(variation(*side) for side in (p, q)))
        check.same("across", row["halves_across"], mean(variation(m, n) for m in p for n in q))


def check_shares(check, answer, runs, labels):
    """Each expert's share in each run; and the ten that are furthest apart."""
    layers = sorted({layer for run in runs for layer in run.rows})
    rows = {(row["layer"], row["expert"]): row for row in rows_of(answer, "experts", "shares")} if layers else {}
    first = {layer: next(run for run in runs if layer in run.rows).rows[layer][0] for layer in layers}
    check.same("rows of shares", sorted(rows), [(layer, e) for layer in layers for e in range(first[layer])])
    apart = {}
    for (layer, expert), row in rows.items():
        shares = []
        for run, label in zip(runs, labels):
            if layer not in run.rows or run.rows[layer][0] != first[layer]:
                check.same("share of another number", f"share_{label}" in row, False)
                continue
            counts = run.counts(layer)
            check.same("count", row[f"count_{label}"], counts[expert])
            check.same("share", row[f"share_{label}"], counts[expert] / sum(counts))
            shares.append(counts[expert] / sum(counts))
        apart[layer, expert] = max(shares) - min(shares)
        check.same("apart", row["apart"], apart[layer, expert])
    shown = [row["apart"] for row in rows_of(answer, "experts", "most_changed")] if rows else []
    most = sorted((a for a in apart.values() if a > 0), reverse=True)[:10]
    check.same("most changed", len(shown), len(most))
    for found, expected in zip(shown, most):
        check.same("most changed", found, expected)


def check_experts_of_sides(check, answer, sides):
    """Copies count once, and the test is over the runs that are left."""
    sides = [list({str(run.rows): run for run in side}.values()) for side in sides]
    layers = common_layers(sides[0][0], sides[1][0])
    counts = {layer: [run.counts(layer) for side in sides for run in side] for layer in layers}
    n, k = len(sides[0]) + len(sides[1]), len(sides[1])

    def apart(layer, chosen):
        x = [sum(c) for c in zip(*(row for i, row in enumerate(counts[layer]) if i not in chosen))]
        y = [sum(c) for c in zip(*(row for i, row in enumerate(counts[layer]) if i in chosen))]
        return variation(x, y)

    seen = tuple(range(n - k, n))
    for row in rows_of(answer, "experts", "layers"):
        check.same("variation of sides", row["total_variation"], apart(row["layer"], seen))
        check.same("choices", row["selections_a"], sum(map(sum, counts[row["layer"]][: n - k])))
    values, p = answer["experts"]["values"], None
    if min(n - k, k) > 1:
        ways = [mean(apart(layer, w) for layer in layers) for w in itertools.combinations(range(n), k)]
        p = sum(way >= mean(apart(layer, seen) for layer in layers) - 1e-12 for way in ways) / len(ways)
    check.same("runs that count", (values["runs_a"], values["runs_b"]), (n - k, k))
    check.same("p over runs", values.get("p"), p)


def alike(a, b, which):
    n = 0
    for x, y in zip(a.sequences, b.sequences):
        if x[which] != y[which]:
            break
        n += 1
    return n


def check_order(check, answer, a, b, pair):
    (row,) = rows_of(answer, "order", "pairs", **pair)
    tokens = min(len(a.sequences), len(b.sequences))
    check.same("tokens in order", row["tokens"], tokens)
    for which, key in enumerate(("weights", "slices")):
        n = alike(a, b, which)
        check.same(f"{key} alike", row[f"{key}_alike"], n)
        check.same(f"{key} identical", row[f"{key}_identical"], tokens > 0 and n == tokens)
        first = row.get(f"{key}_first")
        if first:
            x, y = a.sequences[n][which], b.sequences[n][which]
            at = next(i for i in range(len(x) + 1) if x[i : i + 1] != y[i : i + 1])
            check.same(f"{key} first", (first["token"], first["read"]), (n, at))
            name = x[at] if which == 0 else x[at][0]
            check.same(f"{key} first", first["a"].endswith(name), True)


def check_time(check, answer, runs, labels, phases):
    for label, run in zip(labels, runs):
        (row,) = rows_of(answer, "time", "runs", run=label)
        for key, phase in (("prompt", PROMPT), ("generate", GENERATE)):
            check.same(f"{key} tokens/s", row.get(f"{key}_tokens_per_second"), run.rate(phase))
    for label, run in zip(labels[1:], runs[1:]):
        found = {row["operation"]: row for row in rows_of(answer, "time", "operations", to=label)}
        first, ns = runs[0].operations(phases), run.operations(phases)
        check.same("operations", set(found), {op for op in first | ns if first[op] + ns[op]})
        for op, row in found.items():
            check.same(f"time of {op}", row["ns_a"], first[op] / runs[0].tokens(*phases))
            check.same(f"time of {op}", row["ns_b"], ns[op] / run.tokens(*phases))


def check_patterns(check, answer, runs):
    matrices = answer["patterns"]["values"]["matrices"]
    for i, a in enumerate(runs):
        for j, b in enumerate(runs):
            if i == j:
                continue
            common = [n for n in a.slices if n in b.slices and len(a.slices[n]) == len(b.slices[n])]
            x = [value for name in common for value in a.slices[name]]
            y = [value for name in common for value in b.slices[name]]
            check.same("hotness by name", matrices["hotness_by_name"][i][j], spearman(x, y) if x else None)
            p, q = places(a), places(b)
            both = [place for place in p if place in q]
            check.same("hotness by depth", matrices["hotness_by_depth"][i][j],
                       spearman([p[k] for k in both], [q[k] for k in both]))  # fmt: skip
            distances = [variation(a.counts(layer), b.counts(layer)) for layer in common_layers(a, b)]
            check.same("expert variation", matrices["expert_variation"][i][j],
                       sum(distances) / len(distances) if distances else None)  # fmt: skip
            tokens = min(len(a.sequences), len(b.sequences))
            check.same("identical order", matrices["identical_order"][i][j],
                       float(alike(a, b, 0) == tokens) if tokens else None)  # fmt: skip


def rank_test(x, y):
    """Two-sided, by every way of taking as many values as y has."""

    def u(y, x):
        return sum((b > a) + (b == a) / 2 for a in x for b in y)

    both, mean = x + y, len(x) * len(y) / 2
    ways = [
        u([both[i] for i in chosen], [both[i] for i in range(len(both)) if i not in chosen])
        for chosen in itertools.combinations(range(len(both)), len(y))
    ]
    return sum(abs(way - mean) >= abs(u(y, x) - mean) for way in ways) / len(ways)


def diff(tat, paths):
    return json.loads(subprocess.run([tat, "diff", "--json", *paths], check=True, stdout=subprocess.PIPE).stdout)


def check_repeated(tat, paths):
    answer, check = diff(tat, paths), Check()
    setups = [row["setup"] for row in answer["runs"]["tables"]["runs"]["rows"]]
    commands = []
    for path in paths:
        with open(os.path.join(path, "trace_metadata.json"), encoding="utf-8") as file:
            command = json.load(file)["command"]
            commands.append([a for i, a in enumerate(command) if i == 0 or command[i - 1] != "-s"])
    check.same("setups", setups, [commands.index(c) > 0 and commands[0] != c and 2 or 1 for c in commands])
    runs = [Run(path) for path in paths]
    for name, phase in (("prompt", PROMPT), ("generation", GENERATE)):
        (row,) = rows_of(answer, "time", "rates", phase=name)
        x, y = ([run.rate(phase) for run, s in zip(runs, setups) if s == setup] for setup in (1, 2))
        check.same("mean", row["mean_a"], sum(x) / len(x))
        check.same("mean", row["mean_b"], sum(y) / len(y))
        check.same("p", row["p"], rank_test(x, y))
        check.same("interval", row["difference_low"] < row["mean_b"] - row["mean_a"] < row["difference_high"], True)
    check.same("order", answer["order"]["values"]["differs"], len({str(run.sequences) for run in runs}) > 1)
    if runs[0].rows:
        check_experts_of_sides(check, answer, [[run for run, s in zip(runs, setups) if s == setup] for setup in (1, 2)])
        check_shares(check, answer, runs, [row["run"] for row in answer["runs"]["tables"]["runs"]["rows"]])
    print(f"{check.figures} figures of {len(runs)} runs, counted again")


def main(tat, paths):
    answer = diff(tat, paths)
    runs = [Run(path) for path in paths]
    labels = [row["run"] for row in answer["runs"]["tables"]["runs"]["rows"]]
    phases = (GENERATE,) if all(run.tokens(GENERATE) for run in runs) else INFERENCE
    check = Check()
    for label, run in zip(labels[1:], runs[1:]):
        pair = {"from": labels[0], "to": label}
        check_tensors(check, answer, runs[0], run, pair, phases)
        check_experts(check, answer, runs[0], run, pair)
        check_order(check, answer, runs[0], run, pair)
    if "shares" in answer["experts"].get("tables", {}):
        check_shares(check, answer, runs, labels)
    else:
        check.same("no layer in common", any(common_layers(runs[0], run) for run in runs[1:]), False)
    check_time(check, answer, runs, labels, phases)
    if len(runs) > 2:
        check_patterns(check, answer, runs)
    print(f"{check.figures} figures of {len(runs)} runs, counted again")


if sys.argv[1] == "--repeated":
    check_repeated(sys.argv[2], sys.argv[3:])
else:
    main(sys.argv[1], sys.argv[2:])
