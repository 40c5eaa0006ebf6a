# SPDX-License-Identifier: MIT
"""Hot and cold, counted weight by weight."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from accesses import NO_EXPERT
from facts import grouped, operands, ratio, unique_bytes
from names import NO_LAYER
from read_trace import WEIGHT
from timeline import INFERENCE
from words import counted, in_bytes, in_percent

SHOWN = 20


@dataclass
class Slice:
    """A weight, or an expert of one."""

    tensor: int
    expert: int  # or None
    bytes: int
    accesses: int = 0
    touched: int = 0
    ns: int = 0

    @property
    def reads(self):
        """Of each of its bytes, in the mean."""
        return ratio(self.touched, self.bytes)

    @property
    def rank(self):
        """Whole reads; what is gathered beside them makes no difference."""
        return self.reads if self.reads < 1 else floor(self.reads + 0.5)


def experts_of(trace):
    """{tensor: experts in it}: MUL_MAT_ID has a stack of matrices, ADD_ID one of rows."""
    stacks = {}
    for template in trace.templates:
        for node in template.nodes if template else []:
            place, dimension = {"MUL_MAT_ID": (0, 2), "ADD_ID": (1, 1)}.get(node.op, (None, 0))
            if place in node.src:
                stack = template.entries[node.src[place]]
                stacks.setdefault(stack.tensor, stack.ne[dimension])
    return {tensor: n for tensor, n in stacks.items() if n > 1}


def tokens_of(facts):
    return sum(facts.tokens(phase) for phase in INFERENCE)


def times_of(facts):
    """By tensor."""
    times = dict.fromkeys(range(len(facts.tensors)), 0)
    for step in facts.steps:
        times[facts.owner(step)] += step.ns
    return times


def slices_of(facts, read):
    experts = experts_of(facts.trace)
    slices = {}
    for number, tensor in enumerate(facts.tensors):
        n = experts.get(number, 1)
        for expert in range(n) if n > 1 else [None]:
            if tensor.kind == WEIGHT:
                slices[number, expert] = Slice(number, expert, tensor.bytes // n)
    unclear = 0
    for (number, expert), accesses in grouped(read, lambda a: (a.tensor, a.expert)).items():
        if number in experts and expert == NO_EXPERT:
            unclear += operands(accesses)
            continue
        slice = slices[number, expert if number in experts else None]
        slice.accesses += operands(accesses)
        slice.touched += sum(a.bytes for a in accesses)
    times = times_of(facts)
    for slice in slices.values():
        slice.ns = times[slice.tensor]
    return list(slices.values()), unclear


# ------------------------------------------------------------------------------------------------------------ tables


def slice_row(facts, total, slice):
    tensor, layer = facts.tensors[slice.tensor], facts.layers[slice.tensor]
    row = {
        "tensor": tensor.name,
        "tensor_id": slice.tensor,
        "layer": None if layer == NO_LAYER else layer,
        "type": tensor.type_name,
        "slice_bytes": slice.bytes,
        "accesses": slice.accesses,
        "bytes": slice.touched,
        "share": ratio(slice.touched, total),
        "tensor_ns": slice.ns,
        "reads_per_byte": slice.reads,
        "reads_per_token": ratio(slice.reads, tokens_of(facts)),
    }
    return row if slice.expert is None else row | {"expert": slice.expert}


def sum_row(facts, slices, total):
    size, count, touched = (sum(getattr(s, what) for s in slices) for what in ("bytes", "accesses", "touched"))
    return {
        "slices": len(slices),
        "size_bytes": size,
        "accesses": count,
        "bytes": touched,
        "byte_share": ratio(touched, total),
        "reads_per_byte": ratio(touched, size),
        "reads_per_token": ratio(ratio(touched, size), tokens_of(facts)),
    }


def depth_of(layer, layers):
    return 3 if layer == NO_LAYER else layer * 3 // layers


def depths_of(facts, slices, total):
    layers = 1 + max((facts.layers[s.tensor] for s in slices if facts.layers[s.tensor] != NO_LAYER), default=-1)
    rows = {}
    for number, name in enumerate(["early layers", "middle layers", "late layers", "no layer"]):
        inside = [s for s in slices if depth_of(facts.layers[s.tensor], layers) == number]
        if inside:
            rows[name] = {"depth": name} | sum_row(facts, inside, total)
            if number < 3:
                numbers = [layer for layer in range(layers) if depth_of(layer, layers) == number]
                rows[name] |= {"layer_first": numbers[0], "layer_last": numbers[-1]}
    return rows


def untouched_of(facts, by_tensor):
    rows = []
    for number, tensor in enumerate(facts.tensors):
        missing = tensor.bytes - unique_bytes(by_tensor.get(number, []))
        if tensor.kind == WEIGHT and missing:
            rows.append({
                "tensor": tensor.name,
                "tensor_id": number,
                "tensor_bytes": tensor.bytes,
                "untouched_bytes": missing,
                "untouched_share": missing / tensor.bytes,
            })  # fmt: skip
    return rows


def tensor_rows(facts, by_tensor):
    times, rows = times_of(facts), []
    for number, tensor in enumerate(facts.tensors):
        read, layer = by_tensor.get(number, []), facts.layers[number]
        if tensor.kind == WEIGHT:
            rows.append({
                "tensor": tensor.name,
                "tensor_id": number,
                "layer": None if layer == NO_LAYER else layer,
                "component": facts.components[number],
                "type": tensor.type_name,
                "tensor_bytes": tensor.bytes,
                "accesses": operands(read),
                "bytes": sum(a.bytes for a in read),
                "unique_bytes": unique_bytes(read),
                "ns": times[number],
            })  # fmt: skip
    return rows


# ------------------------------------------------------------------------------------------------------------- words


def times(rank):
    return "once" if rank == 1 else f"{rank:.2g} times" if rank < 1 else f"{counted(rank)} times"


def heat_words(facts, ranked, hot, cold, shares):
    """Whether all are alike, and the figures of the sentence that says so."""
    slices, tokens = (ranked[:hot], ranked[cold:]), tokens_of(facts)
    usual, first_cold = slices[0][-1].rank, (slices[1] or ranked[-1:])[0].rank
    name = facts.tensors[ranked[0].tensor].name
    if usual == first_cold:
        more = sum(s.rank > usual for s in ranked)
        less = sum(s.rank < usual for s in ranked)
        words = ["Uniform", str(len(ranked) - more - less), str(len(ranked)), times(usual), str(tokens)]
        words += [str(more), name, times(ranked[0].rank)] if more else []
        return True, words + ([str(less)] if less else [])
    sizes = [sum(s.bytes for s in part) for part in slices]
    reads = [f"{ratio(ratio(sum(s.touched for s in part), size), tokens):.2f}" for part, size in zip(slices, sizes)]
    words = [f"{float(100 * shares[0]):.0f} %", counted(hot), in_bytes(sizes[0]), reads[0]]
    words += [f"{float(100 * shares[1]):.0f} %", reads[1]]
    ties = sum(s.rank == ranked[0].rank for s in ranked)
    if ties == 1:
        return False, [*words, "First is", name, f"{ratio(ranked[0].reads, tokens):.2f}"]
    return False, [*words, counted(ties), "tie", f"{ratio(ranked[0].rank, tokens):.2f}"]


def depth_words(depths):
    if "early layers" not in depths or "late layers" not in depths:
        return []
    reads = {name: row["reads_per_byte"] for name, row in depths.items()}
    early, late, none = reads["early layers"], reads["late layers"], reads.get("no layer", 0)
    apart = max(early, late) / min(early, late) if min(early, late) else float("inf") if early != late else 1
    word = "No:" if apart < 1.05 else "Yes:" if early > late else "Less hot:"
    return [[word, f"{early:.1f}", f"{late:.1f}"] + ([f"{none:.1f}"] if none else [])]


def expected(facts, hot_percent=10, cold_percent=50):
    read = [a for a in facts.accesses if facts.is_weight(a)]
    total, accesses = sum(a.bytes for a in read), operands(read)
    if not accesses:
        return {"headline": []}
    slices, unclear = slices_of(facts, read)
    ranked = sorted(slices, key=lambda s: (-s.rank, -s.ns))
    shares = Fraction(hot_percent, 100), Fraction(cold_percent, 100)
    hot = ceil(shares[0] * len(ranked))
    cold = max(len(ranked) - floor(shares[1] * len(ranked)), hot)
    uniform, words = heat_words(facts, ranked, hot, cold, shares)
    touched = [s for s in ranked if s.accesses]
    sets = {"hot": ranked[:hot], "between": ranked[hot:cold], "cold": ranked[cold:]}
    depths = depths_of(facts, slices, total)

    by_tensor = grouped(read, lambda a: a.tensor)
    once = sum(unique_bytes(some) for some in grouped(read, lambda a: (a.tensor, a.evaluation)).values())
    unique = sum(unique_bytes(some) for some in by_tensor.values())
    untouched = untouched_of(facts, by_tensor)
    values = {
        "uniform": uniform,
        "bytes": total,
        "accesses": accesses,
        "unique_bytes": unique,
        "again_within_bytes": total - once,
        "again_across_bytes": once - unique,
        "weight_bytes": sum(t.bytes for t in facts.tensors if t.kind == WEIGHT),
        "untouched_bytes": sum(row["untouched_bytes"] for row in untouched),
        "untouched_tensors": sum(row["untouched_bytes"] == row["tensor_bytes"] for row in untouched),
        "reuse_factor": total / unique,
    }
    again = [in_bytes(values["again_across_bytes"]), in_bytes(values["again_within_bytes"])]
    reuse = f"{values['reuse_factor']:.1f}"
    missing = [in_bytes(values["untouched_bytes"]), in_bytes(values["weight_bytes"])]
    missing += [in_percent(ratio(values["untouched_bytes"], values["weight_bytes"])), str(values["untouched_tensors"])]
    return {
        "values": values,
        "tables": {
            "sets": [{"set": name} | sum_row(facts, some, total) for name, some in sets.items()],
            "hottest": [slice_row(facts, total, s) for s in touched[:SHOWN]],
            "depths": list(depths.values()),
            "untouched": untouched,
            "tensors": tensor_rows(facts, by_tensor),
        },
        "headline": words,
        "lines": [[again[0], in_bytes(total), again[1], reuse], missing],
        "answers": [words, [in_bytes(total), *again, reuse], missing] + depth_words(depths),
        "notes": [counted(unclear)] if unclear else [],
    }
