#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_experts.py TAT TRACE: every figure of the section "experts", counted again from the trace's captures by a reader that
shares no code with the library, as naively as can be."""

import itertools
import math
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass

from compare import Comparison, section_of
from vocabulary import KINDS, kind_of, vocabulary_of

from accesses import layers_of  # isort: skip
from names import component_of  # isort: skip
from read_trace import ACTIVATION, EXPERTS, GATES, MODEL_FILE, POSITIONS, ROWS, Trace  # isort: skip
from timeline import GENERATE, INFERENCE, PROMPT, Clock, runs_of  # isort: skip

OUTSIDE = 16


@dataclass
class Choice:
    """What one layer chose for one row."""

    phase: int
    token: tuple  # (evaluation, its row), or None where it cannot be told
    ids: list
    gates: list  # or None


@dataclass
class Layer:
    experts: int
    used: int
    slice_bytes: int
    above: int  # the layer routed before, or None
    choices: list


# ----------------------------------------------------------------------------------------------------- what was chosen


def stack_of(template, node):
    place, dimension = (1, 1) if node.op == "ADD_ID" else (0, 2)
    return template.entries[node.src[place]], dimension


def slice_bytes(template, ids):
    total = 0
    for node in template.nodes:
        if node.op in ("MUL_MAT_ID", "ADD_ID") and node.src.get(2) == ids:
            stack, dimension = stack_of(template, node)
            rows = stack.ne[1] if dimension == 2 else 1
            total += stack.ne[0] // stack.block * stack.block_bytes * rows
    return total


def output_rows(trace, template, captures):
    """The tokens whose output is asked for."""
    for capture, values in zip(template.captures, captures):
        node = template.nodes[capture.node]
        if capture.kind == ROWS and capture.entry < template.n_leaves and node.op == "GET_ROWS":
            if trace.tensors[template.entries[node.src[0]].tensor].kind == ACTIVATION:
                return values
    return None


def read_layers(trace, runs):
    layers = {}
    for number, run in enumerate(runs):
        if run.phase not in INFERENCE or run.evaluation.flags & OUTSIDE:
            continue
        template = trace.templates[run.evaluation.template]
        captures = run.evaluation.captures
        numbers = layers_of(trace, template)
        out = output_rows(trace, template, captures)
        before, met = None, set()
        for capture, values in zip(template.captures, captures):
            layer = numbers[template.n_leaves + capture.node]
            if capture.kind != EXPERTS or not values or layer in met:
                continue
            met.add(layer)
            k = template.entries[capture.entry].ne[0]
            rows = [values[i : i + k] for i in range(0, len(values), k)]
            tokens = range(run.n_tokens) if len(rows) == run.n_tokens else out if out and len(out) == len(rows) else None
            gates = None
            for c, v in zip(template.captures, captures):
                if c.kind == GATES and numbers[template.n_leaves + c.node] == layer and len(v or []) == len(values):
                    gates = v
                    break
            if layer not in layers:
                stack, dimension = stack_of(template, template.nodes[capture.node])
                layers[layer] = Layer(stack.ne[dimension], k, slice_bytes(template, capture.entry), before, [])
            for i, ids in enumerate(rows):
                token = (number, tokens[i]) if tokens is not None else None
                layers[layer].choices.append(Choice(run.phase, token, ids, gates and gates[i * k : i * k + k]))
            before = layer
    return dict(sorted(layers.items()))


def order_tokens(trace, runs):
    """For each token the one before it in its sequence; and which are in the first half of their context."""
    previous, contexts, last = {}, defaultdict(list), {}
    for number, run in enumerate(runs):
        if run.phase not in INFERENCE or run.evaluation.flags & OUTSIDE:
            continue
        template = trace.templates[run.evaluation.template]
        positions = next((v for c, v in zip(template.captures, run.evaluation.captures) if c.kind == POSITIONS), None)
        positions = (positions or [])[: run.n_tokens]
        one = all(b == a + 1 for a, b in zip(positions, positions[1:]))
        tokens = [(number, i) for i in range(run.n_tokens)]
        contexts[run.context] += tokens
        if one:
            previous.update(zip(tokens[1:], tokens))
        before = last.get(run.context)
        if one and before and bool(before[1]) == bool(positions):
            if not positions or positions[0] == before[1][-1] + 1:
                previous[tokens[0]] = before[0]
        last[run.context] = (tokens[-1], positions) if one and tokens else None
    first_half = {t for tokens in contexts.values() for t in tokens[: (len(tokens) + 1) // 2]}
    return previous, first_half


# ------------------------------------------------------------------------------------------------------------ figures


def counts_of(layer, *phases):
    counts = Counter(e for c in layer.choices if not phases or c.phase in phases for e in c.ids)
    return [counts[e] for e in range(layer.experts)]


def gini(counts):
    """The mean difference of all pairs, over twice the mean."""
    differences = sum(abs(a - b) for a in counts for b in counts)
    return differences / (2 * len(counts) ** 2 * (sum(counts) / len(counts)))


def use_row(number, layer):
    counts = counts_of(layer)
    total = sum(counts)
    gates = defaultdict(list)
    for c in layer.choices:
        for expert, gate in zip(c.ids, c.gates or []):
            gates[expert].append(gate)
    ranking = sorted(range(layer.experts), key=lambda e: (-counts[e], e))
    entropy = -sum(n / total * math.log2(n / total) for n in counts if n)
    return {
        "layer": number, "experts": layer.experts, "used": layer.used, "tokens": len(layer.choices),
        "selections": total, "never": counts.count(0), "most_chosen": ranking[0], "most_share": max(counts) / total,
        "least_share": min(counts) / total, "entropy_bits": entropy, "normalised_entropy": entropy / math.log2(layer.experts),
        "gini": gini(counts), "expert_bytes": layer.slice_bytes, "counts": counts, "shares": [n / total for n in counts],
        "prompt_counts": counts_of(layer, PROMPT), "generate_counts": counts_of(layer, GENERATE),
        "mean_gates": [sum(gates[e]) / len(gates[e]) if gates[e] else None for e in range(layer.experts)],
        "ranking": ranking,
    }  # fmt: skip


def top_rows(use):
    all_experts = [(row, e) for row in use for e in row["ranking"][:10] if row["counts"][e]]
    return [
        {
            "layer": row["layer"], "expert": e, "selections": row["counts"][e], "share": row["shares"][e],
            "times_even": row["shares"][e] * row["experts"], "mean_gate": row["mean_gates"][e],
        }
        for row, e in sorted(all_experts, key=lambda x: -x[0]["counts"][x[1]])[:10]
    ]  # fmt: skip


class Pairs:
    """Choices compared: how much of the later is in the earlier, and how much would be by chance."""

    def __init__(self, before, layer, pairs):
        self.pairs = pairs  # of (earlier choice, later choice)
        rate = [n / len(before.choices) for n in counts_of(before)]
        here = [n / len(layer.choices) for n in counts_of(layer)]
        self.chance = sum(p * q for p, q in zip(rate, here)) / sum(here)
        self.same = sum(len(set(a.ids) & set(b.ids)) for a, b in pairs)
        self.chosen = sum(len(b.ids) for _, b in pairs)

    def row(self, keys):
        return dict(zip(keys, (len(self.pairs), self.same / self.chosen, self.chance))) if self.pairs else {}


def mean_values(all_pairs, keys):
    chosen = sum(p.chosen for p in all_pairs)
    if not chosen:
        return {}
    chance = sum(p.chance * p.chosen for p in all_pairs) / chosen
    return dict(zip(keys, (sum(p.same for p in all_pairs) / chosen, chance)))


def contingency(table):
    """Chi-square of a table of counts, without rows and columns of nothing; None where fewer than two are left."""
    table = [row for row in table if sum(row)]
    table = list(zip(*[column for column in zip(*table) if sum(column)]))
    if len(table) < 2 or len(table[0]) < 2:
        return None
    total, columns = sum(map(sum, table)), [sum(column) for column in zip(*table)]
    expected = [[sum(row) * column / total for column in columns] for row in table]
    pairs = [(n, x) for row, wanted in zip(table, expected) for n, x in zip(row, wanted)]
    chi = sum((n - x) ** 2 / x for n, x in pairs)
    freedom, most = (len(table) - 1) * (len(columns) - 1), total * (min(len(table), len(columns)) - 1)
    few = sum(x < 5 for _, x in pairs)
    corrected = corrected_v(chi, total, len(table), len(columns))
    needed = (2**i for i in range(21) if 5 * sum(x * 2**i < 5 for _, x in pairs) <= len(pairs))
    return {
        "chi_square": chi, "degrees_of_freedom": freedom, "cramers_v": math.sqrt(chi / most),
        "v_by_chance": math.sqrt(freedom / most), "v_corrected": corrected, "cells_below_five": few / len(pairs),
        "times_needed": next(needed, 0), "answer": verdict_of(5 * few <= len(pairs), corrected),
    }  # fmt: skip


def compare_rows(table):
    """With experts that are expected fewer than five times in some row in one column, unless that leaves too little."""
    total, columns = sum(map(sum, table)), list(zip(*table))
    least = min((sum(row) / total for row in table if sum(row)), default=1)
    often = [c for c in columns if least * sum(c) >= 5]
    rest = [sum(c) for c in zip(*(c for c in columns if least * sum(c) < 5))] or [0] * len(table)
    pooled = contingency(list(zip(*often, rest)))
    return pooled if pooled and pooled["answer"] != "too few choices" else contingency(table)


def corrected_v(chi, total, rows, columns):
    """W. Bergsma, A bias-correction for Cramer's V and Tschuprow's T, 2013."""
    if total < 2:
        return 0
    phi = max(0, chi / total - (rows - 1) * (columns - 1) / (total - 1))
    least = min(rows - (rows - 1) ** 2 / (total - 1), columns - (columns - 1) ** 2 / (total - 1)) - 1
    return min(1, math.sqrt(phi / least)) if least > 0 else 0


def verdict_of(enough, corrected):
    steps = ((0.1, "no"), (0.3, "a little"), (0.5, "yes"), (math.inf, "strongly"))
    return next(word for most, word in steps if corrected < most) if enough else "too few choices"


def mean_tests(rows, prefix=""):
    """What the rows of a table of tests say together."""
    means = ("cramers_v", "cramers_v"), ("cramers_v_by_chance", "v_by_chance"), ("cramers_v_corrected", "v_corrected")
    values = {prefix + name: sum(row[key] for row in rows) / len(rows) for name, key in means}
    for name, word in (("too_few", "too few choices"), ("no", "no"), ("a_little", "a little"), ("yes", "yes"),
                       ("strongly", "strongly")):  # fmt: skip
        values[f"{prefix}layers_{name}"] = sum(row["answer"] == word for row in rows)
    return values


def never_rows(use):
    return [
        {
            "layer": row["layer"], "tokens": row["tokens"], "never": row["never"], "of": row["experts"],
            "experts": [e for e, n in enumerate(row["counts"]) if n == 0],
            "by_chance": (1 - row["used"] / row["experts"]) ** row["tokens"],
        }
        for row in use if row["never"]
    ]  # fmt: skip


def phase_row(number, layer):
    table = [counts_of(layer, PROMPT), counts_of(layer, GENERATE)]
    test = compare_rows(table)
    return test and {"layer": number, "prompt": sum(table[0]), "generate": sum(table[1]), **test}


# ------------------------------------------------------------------------------------------------------ kinds of tokens


def kinds_of(trace, runs):
    """By token (evaluation, row): what kind it is, as far as the trace and the model file tell."""
    path = next((e.text for e in trace.events if e.type == MODEL_FILE), "")
    texts, kinds = vocabulary_of(path), {}
    for number, run in enumerate(runs if texts else []):
        template = trace.templates[run.evaluation.template]
        for capture, values in zip(template.captures, run.evaluation.captures):
            node = template.nodes[capture.node]
            if capture.kind == ROWS and node.op == "GET_ROWS" and capture.entry < template.n_leaves:
                table = trace.tensors[template.entries[node.src[0]].tensor]
                if component_of(table) == "token_embd" and len(values or []) == run.n_tokens:
                    kinds.update({(number, i): kind_of(texts[v]) for i, v in enumerate(values)})
    return kinds


def kind_tables(layers, kinds, routed):
    """The tables of kinds: tests by layer, counts, and by kind the highest figure that any expert has."""
    tests, counts, favourites = [], [], {}
    for number, layer in layers.items():
        table = {kind: Counter(e for c in layer.choices if kinds.get(c.token) == kind for e in c.ids) for kind in KINDS}
        rows = [[table[kind][e] for e in range(layer.experts)] for kind in KINDS]
        compared = [row for row in rows if sum(row) >= 5 * layer.experts]  # kinds that are not too rare
        compared = compared if contingency(compared) else rows
        test = compare_rows(compared)
        if test:
            tests.append({"layer": number, "selections": sum(map(sum, compared)), **test})
        counts += [{"layer": number, "kind": kind, "counts": row} for kind, row in zip(KINDS, rows) if sum(row)]
        for kind, row in zip(KINDS, rows) if test else []:
            for e in range(layer.experts):
                expected = sum(row) * sum(r[e] for r in rows) / sum(map(sum, rows))
                if expected >= 5 and row[e]:
                    favourites.setdefault(kind, []).append((row[e] / expected, number, e, row[e]))
    tokens = Counter(kind for token, kind in kinds.items() if token[0] in routed)
    return tests, counts, favourites, tokens


def check_favourites(c, shown, favourites, tokens):
    """Of equal ones any may be shown: the figure must be the highest, and the row one that has it."""
    c.check("favourites.kind", [row["kind"] for row in shown], [kind for kind in KINDS if tokens[kind]])
    for row in shown:
        best = max((f[0] for f in favourites.get(row["kind"], [])), default=None)
        c.check("favourites.tokens", row["tokens"], tokens[row["kind"]])
        c.check("favourites.times_others", row.get("times_others"), best)
        same = (row.get("layer"), row.get("expert"), row.get("selections"))
        c.check("favourites.row", best is None or same in [f[1:] for f in favourites[row["kind"]]], True)


def together_of(layer):
    together = Counter()
    for c in layer.choices:
        together.update(itertools.permutations(c.ids, 2))
    return together


def transitions_of(pairs):
    return Counter(itertools.chain.from_iterable(itertools.product(a.ids, b.ids) for a, b in pairs))


def matrix_rows(number, layer, cells):
    rows = [[cells[a, b] for b in range(layer.experts)] for a in range(layer.experts)]
    return [{"layer": number, "from": a, "counts": row} for a, row in enumerate(rows) if any(row)]


def lifts(number, layer):
    """The pairs above chance: (lift, row)."""
    counts, together = counts_of(layer), together_of(layer)
    pairs = list(itertools.combinations(range(layer.experts), 2))
    total, products = sum(together[p] for p in pairs), sum(counts[a] * counts[b] for a, b in pairs)
    for a, b in pairs:
        expected = total * counts[a] * counts[b] / products
        if expected >= 5 and together[a, b] > expected:
            yield {"layer": number, "expert": a, "with": b, "tokens": together[a, b], "expected": expected,
                   "lift": together[a, b] / expected}  # fmt: skip


# --------------------------------------------------------------------------------------------------------- prediction


class Predictor:
    """Guesses the later choice of pairs, trained on those whose later token is in the first half."""

    def __init__(self, layer, pairs, first_half):
        self.k = layer.used
        self.trained = Counter(e for c in layer.choices if c.token in first_half for e in c.ids)
        self.follows = Counter(transitions_of((a, b) for a, b in pairs if b.token in first_half))
        self.experts = range(layer.experts)

    def ranked(self, points):
        return sorted(self.experts, key=lambda e: (-points[e], -self.trained[e], e))[: self.k]

    def guess(self, method, before):
        if method == "last":
            return before.ids
        points = {e: 0.0 for e in self.experts}
        for a in before.ids if method == "markov" else []:
            all_that_follow = sum(self.follows[a, e] for e in self.experts)
            for e in self.experts if all_that_follow else []:
                points[e] += self.follows[a, e] / all_that_follow
        return self.ranked(points)


NAMES = {"last": "the last one's", "frequent": "the most frequent", "markov": "Markov chain", "random": "at random"}


def prediction_rows(layers, pairs_of, first_half):
    by_layer, totals = [], []
    scores = defaultdict(list)  # (predicted, method) -> (layer, tested, first, right, chosen)
    for number, layer in layers.items():
        for predicted, methods in (("next token", ("last", "frequent", "markov")), ("next layer", ("frequent", "markov"))):
            pairs = pairs_of[predicted].get(number, [])
            predictor = Predictor(layer, pairs, first_half)
            tests = [(a, b) for a, b in pairs if b.token not in first_half]
            for method in methods if tests else []:
                guesses = [(predictor.guess(method, a), set(b.ids)) for a, b in tests]
                first = sum(g[0] in chosen for g, chosen in guesses)
                right = sum(len(set(g) & chosen) for g, chosen in guesses)
                chosen = sum(len(c) for _, c in guesses)
                useful = right / len(tests) * layer.slice_bytes
                wrong = (chosen - right) / len(tests) * layer.slice_bytes
                scores[predicted, method].append((layer, len(tests), first, right, chosen, wrong, useful))
                by_layer.append({
                    "layer": number, "predicted": predicted, "method": method, "tested": len(tests),
                    "first_right": first / len(tests), "set_right": right / chosen, "right_bytes_per_token": useful, "wrong_bytes_per_token": wrong,
                })  # fmt: skip
    for predicted in ("next token", "next layer"):
        for method in ("last", "frequent", "markov"):
            s = scores[predicted, method]
            if s:
                totals.append(total_row(predicted, method, sum(x[1] for x in s), sum(x[2] for x in s) / sum(x[1] for x in s),
                                        sum(x[3] for x in s) / sum(x[4] for x in s), sum(x[6] for x in s), sum(x[5] for x in s)))  # fmt: skip
        s = scores[predicted, "markov"]
        if s:
            chance = sum(x[4] * x[0].used / x[0].experts for x in s) / sum(x[4] for x in s)
            wrong = sum(x[0].used * (1 - x[0].used / x[0].experts) * x[0].slice_bytes for x in s)
            useful = sum(x[0].used * x[0].used / x[0].experts * x[0].slice_bytes for x in s)
            totals.append(total_row(predicted, "random", sum(x[1] for x in s), chance, chance, useful, wrong))
    return by_layer, totals


def total_row(predicted, method, tested, first, right, useful, wrong):
    return {"predicted": predicted, "guess": NAMES[method], "method": method, "tested": tested, "first_right": first,
            "set_right": right, "right_bytes_per_token": useful, "wrong_bytes_per_token": wrong}  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- all


def expected_of(trace):
    runs = runs_of(trace, Clock(trace))
    layers = read_layers(trace, runs)
    if not layers:
        return {"selections": 0}, {}, [], {}, Counter()
    previous, first_half = order_tokens(trace, runs)
    at = {number: {c.token: c for c in layer.choices if c.token} for number, layer in layers.items()}
    pairs_of = {"next token": {}, "next layer": {}}
    for number, layer in layers.items():
        mine, above = at[number], at.get(layer.above, {})
        pairs_of["next token"][number] = [(mine[previous[t]], c) for t, c in mine.items() if previous.get(t) in mine]
        pairs_of["next layer"][number] = [(above[t], c) for t, c in mine.items() if t in above]
    token = {n: Pairs(layer, layer, pairs_of["next token"][n]) for n, layer in layers.items()}
    below = {n: Pairs(layers[layer.above], layer, pairs_of["next layer"][n]) for n, layer in layers.items()
             if layer.above is not None}  # fmt: skip
    token_keys = ("token_pairs", "same_as_last_token", "same_token_by_chance")
    layer_keys = ("layer_pairs", "same_as_last_layer", "same_layer_by_chance")
    use = [use_row(n, layer) for n, layer in layers.items()]
    phases = [row for row in (phase_row(n, layer) for n, layer in layers.items()) if row]
    by_layer, totals = prediction_rows(layers, pairs_of, first_half)
    routed = {c.token[0] for layer in layers.values() for c in layer.choices if c.token}
    tests, kind_counts, favourites, tokens = kind_tables(layers, kinds_of(trace, runs), routed)
    overlap = [{"layer": n, **token[n].row(token_keys), **(below[n].row(layer_keys) if n in below else {})} for n in layers]
    tables = {
        "experts": use, "never": never_rows(use), "top_experts": top_rows(use), "phases": phases, "prediction": totals, "prediction_layers": by_layer,
        "overlap": [row for row in overlap if len(row) > 1],
        "kinds": tests, "kind_counts": kind_counts if tests else [],
        "together_counts": [r for n, layer in layers.items() for r in matrix_rows(n, layer, together_of(layer))],
        "transition_counts": [r for n, layer in layers.items()
                              for r in matrix_rows(n, layer, transitions_of(pairs_of["next token"][n]))],
    }  # fmt: skip
    values = {
        "selections": sum(r["selections"] for r in use), "layers": len(use), "experts": sum(r["experts"] for r in use),
        "never": sum(r["never"] for r in use),
        "never_by_chance": sum(r["experts"] * (1 - r["used"] / r["experts"]) ** r["tokens"] for r in use),
        "mean_normalised_entropy": sum(r["normalised_entropy"] for r in use) / len(use),
        "mean_gini": sum(r["gini"] for r in use) / len(use),
        "expert_bytes_per_token": sum(r["expert_bytes"] * r["used"] for r in use),
        "expert_bytes": sum(r["expert_bytes"] * r["experts"] for r in use),
        **mean_values(list(token.values()), token_keys[1:]), **mean_values(list(below.values()), layer_keys[1:]),
    }  # fmt: skip
    if phases:
        values.update(mean_tests(phases))
    if tests:
        values.update(mean_tests(tests, "kinds_"))
    above_chance = [row for n, layer in layers.items() for row in lifts(n, layer)]
    above_chance.sort(key=lambda row: -row["lift"])
    return values, tables, above_chance, favourites, tokens if tests else Counter()


def numbers_of(text):
    """Those of "0 to 3, 7 and 12"; None stands for what "and 12 more" leaves out."""
    found = []
    for part in text.replace(" and ", ", ").split(", "):
        if part.endswith(" more"):
            return found + [None] * int(part.split()[0])
        first, _, last = part.partition(" to ")
        found += range(int(first), int(last or first) + 1)
    return found


def main(tat, path):
    trace, section, c = Trace(path), section_of(tat, path, "experts"), Comparison()
    values, tables, above_chance, favourites, tokens = expected_of(trace)
    # Pairs of equal lift may come in any order: the lifts must be the highest, and each row right.
    shown = section.get("tables", {}).pop("together", {}).get("rows", [])
    known = {(row["layer"], row["expert"], row["with"]): row for row in above_chance}
    c.check("together.lift", [row["lift"] for row in shown], [row["lift"] for row in above_chance[:10]])
    for i, row in enumerate(shown):
        c.check(f"together[{i}]", row, known.get((row["layer"], row["expert"], row["with"]), {}))
    for row in section.get("tables", {}).get("never", {}).get("rows", []):
        names = numbers_of(row.pop("names"))
        c.check("never.names", [e if n is not None else n for n, e in zip(names, row["experts"])], names)
        c.check("never.names: length", len(names), row["never"])
    check_favourites(c, section.get("tables", {}).pop("favourites", {}).get("rows", []), favourites, tokens)
    c.check("absent", section.get("absent", False), not tables)
    c.check_section(section, values, tables)
    c.end("experts")


if __name__ == "__main__":
    main(*sys.argv[1:])
