# SPDX-License-Identifier: MIT
"""Times token by token: medians, percentiles, and which of several things stands out. Of the records, one by one."""

from collections import defaultdict
from math import comb

from facts import INFERENCE, OUTSIDE, ratio
from names import NO_LAYER
from timeline import GENERATE
from words import in_percent, in_time

ABORTED, UNMATCHED = 1, 2
USAGE, MACHINE = 18, 19
FACTOR, PARTS_OF_RUN = 1.1, 10


def nearest_rank(values, percent):
    values = sorted(values)
    return values[max(-(-len(values) * percent // 100), 1) - 1] if values else 0


def median(values):
    return nearest_rank(values, 50)


def spread(values):
    return {f"p{percent}_ns": nearest_rank(values, percent) for percent in (50, 90, 99)}


def is_whole(run):
    e = run.evaluation
    every = e.stamps and len(e.stamps) == e.n_callbacks and run.n_tokens
    return bool(every) and not e.flags & (ABORTED | UNMATCHED | OUTSIDE)


def chosen(facts):
    """(phase, numbers of the evaluations that are looked at, what one of them is called)."""
    whole = defaultdict(list)
    for number, run in enumerate(facts.runs):
        if is_whole(run):
            whole[run.phase].append(number)
    phase = GENERATE
    if not whole[GENERATE]:
        phase = max([GENERATE, *sorted(INFERENCE)], key=lambda p: (len(whole[p]), p == GENERATE, -p))
    single = all(facts.runs[number].n_tokens == 1 for number in whole[phase])
    unit = "generated token" if whole[phase] and single and phase == GENERATE else "graph"
    return whole[phase], unit


def times_by(facts, key, numbers):
    """{key: [ns, one for each evaluation]}"""
    times, place = defaultdict(lambda: [0] * len(numbers)), {number: i for i, number in enumerate(numbers)}
    for step in facts.all_steps:
        if step.evaluation in place:
            times[key(step)][place[step.evaluation]] += step.ns
    return dict(times)


# --------------------------------------------------------------------------------------------------------- the machine


def lost_to_others(facts):
    """Of the threads' time, the share that others took."""
    used, machine = ([e for e in facts.trace.events if e.type == kind] for kind in (USAGE, MACHINE))
    used, machine = (sorted(events, key=lambda e: e.tick - facts.clock.start) for events in (used, machine))
    seconds = [(facts.clock.ns(e[-1].tick) - facts.clock.ns(e[0].tick)) / 1e9 if e else 0 for e in (used, machine)]
    threads = max((run.evaluation.n_threads for run in facts.runs), default=0)
    if seconds[0] <= 0 or seconds[1] < 0.5 or not threads:
        return 0
    grown = [new - old for old, new in zip(machine[0].values, machine[-1].values)]
    own = sum(new - old for old, new in zip(used[0].values[:2], used[-1].values[:2])) / 1e6 / seconds[0]
    count = machine[-1].values[0]
    if not count or not machine[-1].values[1]:
        return 0
    busy, stolen, throttled = (max(grown[i], 0) / 1e6 / seconds[1] for i in (1, 3, 4))
    wanted = threads + max(busy - own, 0) + stolen - count
    expected = threads * (sum(run.end_ns - run.begin_ns for run in facts.runs) / 1e9 / seconds[0])
    missing = max(1 - own / expected, 0) if expected > 0 else 0
    return min(max(wanted / threads, stolen / count, throttled, 0), missing)


# ------------------------------------------------------------------------------------------------------ the bottleneck


def stretches(values):
    parts = min(len(values), PARTS_OF_RUN)
    return [values[len(values) * p // parts : len(values) * (p + 1) // parts] for p in range(parts)]


def is_beyond_chance(slow, n):
    return sum(comb(n, k) for k in range(slow, n + 1)) / 2**n < 0.05


def standings(times, tokens):
    """Rows (layer, times the median layer, votes for it, votes, whether it is a bottleneck): bottlenecks first, then the
    slowest."""
    used = {layer: values for layer, values in times.items() if sum(values)}
    typical = [median(values[i] for values in used.values()) for i in range(tokens)]
    rows = []
    for layer, values in used.items():
        ratios = [value / usual if usual else 1.0 for value, usual in zip(values, typical)]
        votes = [median(part) >= FACTOR for part in stretches(ratios)]
        slow, of = sum(votes), median(ratios)
        rows.append((layer, of, slow, len(votes), of >= FACTOR and is_beyond_chance(slow, len(votes))))
    return sorted(rows, key=lambda row: (not row[4], -row[1], -sum(used[row[0]]), row[0]))


def excess_of(times, tokens):
    """(layer of the largest sum, that by the average sum, fewest tokens that have half of the excess)."""
    sums = {layer: sum(values) for layer, values in sorted(times.items()) if sum(values)}
    layer = max(sums, key=sums.get)
    n = len(sums)
    over = sorted((times[layer][i] * n - sum(v[i] for v in times.values()) for i in range(tokens)), reverse=True)
    total, half, count = sum(over), 0, 0
    while total > 0 and count < tokens and half < total / 2:
        half, count = half + over[count], count + 1
    return layer, sums[layer] / (sum(sums.values()) / len(sums)), count


def difference_of(facts, layer, n_layers, numbers):
    """(part whose time in this layer is most above the average layer's, by how much: the median over tokens)."""
    own = times_by(facts, lambda step: (facts.layers[facts.owner(step)], facts.part(facts.owner(step))), numbers)
    most = (facts.part_order[0], -1)
    for part in facts.part_order:
        of_part = [(of, values) for (of, name), values in own.items() if name == part and of != NO_LAYER]
        over = [
            sum((v[i] * n_layers if of == layer else 0) - v[i] for of, v in of_part) for i in range(len(numbers))
        ]
        if median(over) / n_layers > most[1]:
            most = part, median(over) / n_layers
    return most


def words_of(facts, unit, numbers, rows, excess, touched, longest):
    """`longest`: the layer with the longest median time."""
    first, of, slow, parts, is_bottleneck = rows[0]
    by_time = [str(longest)] if longest != first else []
    others = [str(row[0]) for row in rows[1:] if row[4]]
    noise = []
    if excess[1] >= FACTOR:
        noise = [str(excess[0]), f"{excess[1]:.2f}", str(excess[2]), str(len(numbers))]
    if is_bottleneck:
        named = [count for count in touched.values() if count]
        more = touched.get(first, 0) / (sum(named) / len(named)) if named else 0
        part, ns = difference_of(facts, first, len(rows), numbers)
        lost = lost_to_others(facts)
        busy = [in_percent(lost)] if lost >= 0.05 else []
        return [str(first), f"{of:.2f}", str(slow), str(parts), "1.1", *others, f"{more:.2f}",
                "do not" if more < FACTOR else "may", part, in_time(max(ns, 0)), *by_time, *busy]  # fmt: skip
    if of < FACTOR:
        return ["None", str(first), f"{of:.2f}", unit, *by_time, *noise]
    if len(numbers) < PARTS_OF_RUN / 2:
        return ["Too few", str(first), f"{of:.2f}", *by_time]
    return ["None", str(first), f"{of:.2f}", unit, "1.1", str(slow), str(parts), *by_time, *noise]


def slowest_layers(facts, touched):
    """Headline, values, table, words of the layers' times; `touched`: bytes by layer."""
    numbers, unit = chosen(facts)
    times = times_by(facts, lambda step: step.accesses[0].layer, numbers)
    times.pop(NO_LAYER, None)
    rows = standings(times, len(numbers)) if numbers else []
    if not rows:
        return {"headline": []}
    first, of = rows[0][:2]
    excess = excess_of(times, len(numbers))
    medians = {row[0]: median(times[row[0]]) for row in rows}
    longest = max(medians, key=medians.get)  # of equals, the one that stands first
    values = {"tokens": len(numbers), "slowest_layer": first, "slowest_of_median": of,
              "longest_median_layer": longest, "longest_median_ns": medians[longest],
              "bottlenecks": [row[0] for row in rows if row[4]], "largest_sum_layer": excess[0],
              "largest_sum_of_average": excess[1], "excess_tokens": excess[2]}  # fmt: skip
    headline = [str(first), in_time(medians[first]), unit, f"{of:.2f}"]
    if longest != first:
        headline = [unit, str(first), f"{of:.2f}", in_time(medians[first]), str(longest), in_time(medians[longest])]
    table = [
        {"layer": layer} | spread(times[layer]) | {"times": ratio_, "slow_parts": slow}
        for layer, ratio_, slow, _, _ in sorted(rows)
    ]
    return {
        "headline": headline,
        "values": values,
        "tables": {"token_times": table},
        "answers": [words_of(facts, unit, numbers, rows, excess, touched, longest)],
        "notes": ["90", "99", "90", "99", "1.1", "0.05"],
    }


# ---------------------------------------------------------------------------------------------------------- what leads


def leading(times, order, tokens):
    """(key, median share, tokens in which nothing took longer), and all shares."""
    wholes = [sum(values[i] for values in times.values()) for i in range(tokens)]
    most = [max(values[i] for values in times.values()) for i in range(tokens)]
    shares = {key: median(ratio(value, whole) for value, whole in zip(times[key], wholes)) for key in times}
    key = max(times, key=lambda key: (shares[key], -order(key)))
    return (key, shares[key], sum(value == top for value, top in zip(times[key], most))), shares


def leading_operation(facts):
    """Headline, values, table, words of what takes most of a token's time."""
    numbers, unit = chosen(facts)
    operations = times_by(facts, lambda step: step.accesses[0].op, numbers)
    parts = times_by(facts, lambda step: facts.part(facts.owner(step)), numbers)
    if not operations or not any(map(sum, operations.values())):
        return {"headline": []}
    (op, share, tokens), shares = leading(operations, lambda op: op, len(numbers))
    (part, of_part, part_tokens), _ = leading(parts, facts.part_order.index, len(numbers))
    name = facts.trace.ops[op]
    rows = [{"operation": facts.trace.ops[o]} | spread(operations[o]) | {"share": shares[o]}
            for o in sorted(operations, key=lambda o: (-shares[o], -median(operations[o]), o))]  # fmt: skip
    return {
        "headline": [name, in_percent(share), unit, part, in_percent(of_part)],
        "values": {"tokens": len(numbers), "leading_operation": name, "leading_operation_share": share,
                   "leading_operation_tokens": tokens, "leading_component": part,
                   "leading_component_share": of_part, "leading_component_tokens": part_tokens},
        "tables": {"token_times": [row for row in rows if row["p99_ns"]]},
        "answers": [[unit, in_percent(share), name, str(tokens), str(len(numbers)), in_percent(of_part), part,
                     str(part_tokens)]],
    }  # fmt: skip


def paces(facts, names):
    """How long the graphs of each phase took."""
    rows = []
    for phase in sorted(INFERENCE):
        ns = [run.end_ns - run.begin_ns for run in facts.runs if run.phase == phase and is_whole(run)]
        if ns:
            rows.append({"phase": names[phase], "evaluations": len(ns)} | spread(ns) | {"most_ns": max(ns)})
    return rows

