# SPDX-License-Identifier: MIT
"""The plainer sections: phases, tokens, components, layers."""

import usual
from accesses import WRITE
from facts import INFERENCE, LOAD_BEGIN, LOAD_END, OUTSIDE, grouped, operands, ratio, unique_bytes
from names import NO_LAYER
from read_trace import STATE, WEIGHT
from timeline import GENERATE, PHASES, PROMPT, VERIFY
from words import in_bytes, in_percent, in_rate, in_time


def bytes_of(accesses):
    return sum(a.bytes for a in accesses)


# ------------------------------------------------------------------------------------------------------------ phases


def loads_of(facts):
    """How long each took; a thread loads one model at a time."""
    loads, since = [], {}
    for event in sorted(facts.trace.events, key=lambda e: e.tick - facts.clock.start):
        if event.type == LOAD_BEGIN:
            since[event.thread] = event.tick
        elif event.type == LOAD_END and event.thread in since:
            loads.append(facts.clock.ns(event.tick) - facts.clock.ns(since.pop(event.thread)))
    return loads


def asked_tokens(program, command):
    """Of the options behind the program's name the last; a test's prompts look like no option."""
    names = [argument.rpartition("/")[2] for argument in command]
    program = program.rpartition("/")[2]
    if not program.startswith("llama-") or program not in names:
        return -1
    own = command[names.index(program) + 1 :]
    asked = [int(value) for option, value in zip(own, own[1:]) if option in ("-n", "--predict", "--n-predict")]
    return asked[-1] if asked else -1


def phases(facts):
    loads, asked = loads_of(facts), asked_tokens(*facts.command)
    values = {"loads": len(loads)} | ({"asked_tokens": asked} if asked > 0 else {})
    rows = [{"phase": "load", "ns": sum(loads)}] if loads else []
    held = grouped((a for step in facts.all_steps for a in step.accesses), lambda a: (a.flags >> 8, facts.holder(a)))
    speeds = {}
    for phase, name in enumerate(PHASES):
        runs = [r for r in facts.runs if r.phase == phase and not r.evaluation.flags & OUTSIDE]
        if not runs:
            continue
        ns, tokens = sum(r.end_ns - r.begin_ns for r in runs), sum(r.n_tokens for r in runs)
        row = {"phase": name, "evaluations": len(runs), "tokens": tokens, "ns": ns}
        row["accesses"] = operands(a for step in facts.all_steps if step.phase == phase for a in step.accesses)
        row |= {f"{what}_bytes": bytes_of(held[phase, what]) for what in ("weight", "state", "activation")}
        if tokens:
            speeds[phase] = row["tokens_per_second"] = 1e9 * (tokens / ns if ns else 0)
        rows.append(row)
    evaluated = sum(r.n_tokens for r in facts.runs if r.phase == GENERATE)
    pace = usual.paces(facts, PHASES)
    single = all(r.n_tokens == 1 for r in facts.runs if r.phase == GENERATE and not r.evaluation.flags & OUTSIDE)
    token = [in_time(row["p50_ns"]) for row in pace if row["phase"] == "generate" and single]
    notes = [str(len(loads))] if len(loads) > 1 else []
    if not any(r.phase == VERIFY for r in facts.runs):  # else neither a draft's tokens nor its target's were asked for
        notes += [str(asked), str(evaluated)] if asked > 0 else ["100", "99"] if evaluated else []
    return {
        "values": values,
        "tables": {"phases": rows, "pace": pace},
        "headline": [in_rate(speeds[p]) for p in (PROMPT, GENERATE) if p in speeds] + token,
        "notes": notes,
    }


# ------------------------------------------------------------------------------------------------------------ tokens


def scope_row(facts, name, accesses, tokens):
    held = grouped(accesses, facts.holder)
    state = grouped(held["state"], lambda a: "written" if a.flags & WRITE else "read")
    row = {
        "weight_bytes": bytes_of(held["weight"]),
        "state_read_bytes": bytes_of(state["read"]),
        "state_written_bytes": bytes_of(state["written"]),
        "activation_bytes": bytes_of(held["activation"]),
    }
    row |= {f"{what}_per_token": count / tokens for what, count in row.items()}
    unique = sum(unique_bytes(some) for some in grouped(held["weight"], facts.space).values())
    in_a_graph = grouped(held["weight"], lambda a: (a.evaluation, facts.space(a)))
    row["distinct_weight_bytes_per_token"] = sum(map(unique_bytes, in_a_graph.values())) / tokens
    if facts.model_bytes:
        row["model_share"] = row["distinct_weight_bytes_per_token"] / facts.model_bytes
    if unique:
        row["reuse_factor"] = row["weight_bytes"] / unique
    return row | {"phase": name, "tokens": tokens, "unique_weight_bytes": unique}


def tokens(facts):
    scopes = [(PHASES[p], (p,)) for p in INFERENCE if facts.tokens(p)]
    if len(scopes) > 1:
        scopes.append(("together", INFERENCE))
    rows = []
    for name, of in scopes:
        accesses = [a for a in facts.accesses if a.flags >> 8 in of]
        rows.append(scope_row(facts, name, accesses, sum(facts.tokens(p) for p in of)))
    generated = next((row["distinct_weight_bytes_per_token"] for row in rows if row["phase"] == "generate"), None)
    headline = [] if generated is None else [in_bytes(generated)]
    if headline and facts.model_bytes:
        headline += [in_percent(generated / facts.model_bytes), in_bytes(facts.model_bytes)]
    return {"values": {"model_bytes": facts.model_bytes}, "tables": {"tokens": rows}, "headline": headline}


# -------------------------------------------------------------------------------------------------------- components


def components(facts):
    total, generated = bytes_of(facts.accesses), facts.tokens(GENERATE)
    by_part = grouped(facts.accesses, lambda a: facts.part(a.tensor))
    rows = []
    for name, accesses in by_part.items():
        tensors = [t for number, t in enumerate(facts.tensors) if facts.weight_of[number] == number and facts.part(number) == name]
        row = {
            "component": name,
            "tensors": len(tensors),
            "accesses": operands(accesses),
            "bytes": bytes_of(accesses),
            "share": ratio(bytes_of(accesses), total),
        }
        if tensors[0].kind in (WEIGHT, STATE):
            row["tensor_bytes"] = sum(t.bytes for t in tensors)
        if generated:
            row["bytes_per_token"] = bytes_of(a for a in accesses if a.flags >> 8 == GENERATE) / generated
        if row["bytes"]:
            rows.append(row)
    rows.sort(key=lambda row: (-row["bytes"], facts.part_order.index(row["component"])))
    headline = [rows[0]["component"], in_percent(rows[0]["share"])] if rows else []
    return {"values": {"bytes": total}, "tables": {"components": rows}, "headline": headline}


# ------------------------------------------------------------------------------------------------------------ layers


def layers(facts):
    """An operation's time belongs to the layer of the first thing it touches."""
    times = {}
    for step in facts.steps:
        times[step.accesses[0].layer] = times.get(step.accesses[0].layer, 0) + step.ns
    total, rows = sum(times.values()), []
    by_layer = grouped(facts.accesses, lambda a: a.layer)
    for layer in sorted(by_layer):
        held = grouped(by_layer[layer], lambda a: (facts.holder(a), bool(a.flags & WRITE)))
        rows.append({
            "layer": None if layer == NO_LAYER else layer,
            "accesses": operands(by_layer[layer]),
            "weight_bytes": bytes_of(held["weight", False] + held["weight", True]),
            "state_read_bytes": bytes_of(held["state", False]),
            "state_written_bytes": bytes_of(held["state", True]),
            "activation_bytes": bytes_of(held["activation", False] + held["activation", True]),
            "ns": times.get(layer, 0),
            "share": ratio(times.get(layer, 0), total),
        })  # fmt: skip
    numbered = [row for row in rows if row["layer"] is not None]
    answer = {"values": {"layers": len(numbered), "ns": total},
              "tables": {"layers": rows, "parts": layer_parts(facts)}, "headline": []}  # fmt: skip
    if not total or not numbered:
        return answer
    touched = {row["layer"]: sum(row[key] for key in row if key.endswith("_bytes")) for row in numbered}
    slowest = usual.slowest_layers(facts, touched)
    answer["values"] |= slowest.pop("values", {})
    answer["tables"] |= slowest.pop("tables", {})
    return answer | slowest


def layer_parts(facts):
    """Time and bytes of each part of the model in each layer."""
    sums = {}
    for step in facts.steps:
        owner = facts.owner(step)
        layer = next(a.layer for a in step.accesses if a.tensor == owner)
        sums.setdefault((layer, facts.part(owner)), [0, 0])[0] += step.ns
        for a in step.accesses:
            sums.setdefault((a.layer, facts.part(a.tensor)), [0, 0])[1] += a.bytes
    return [
        {"layer": layer, "component": part, "ns": ns, "bytes": count}
        for (layer, part), (ns, count) in sorted(sums.items(), key=lambda i: (i[0][0], facts.part_order.index(i[0][1])))
        if layer != NO_LAYER and ns + count
    ]

