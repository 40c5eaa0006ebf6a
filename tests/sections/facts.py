# SPDX-License-Identifier: MIT
"""A trace as the second reader of tests/format finds it, laid out for counting: nothing here asks the library."""

import json
import os
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property

from accesses import STRIDED, WRITE, timed_accesses
from names import component_of, layer_of
from read_trace import ACTIVATION, MODEL_FILE, STATE, WEIGHT, Trace
from timeline import GENERATE, INFERENCE, Clock, runs_of

HEADER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "include", "tat", "gguf.h")
LOAD_BEGIN, LOAD_END = 4, 5
OUTSIDE = 16


def part_order():
    """Parts that tie stand as the public header has them; activations come last."""
    with open(HEADER) as header:
        *names, _ = re.findall(r"^ +TAT_COMPONENT_(\w+)", header.read(), re.MULTILINE)
    return [name.lower() for name in names] + ["activations"]


def one_of_each(tensors):
    """Of a weight that is mapped and copied, or loaded twice: the number of its first tensor. The others are no weights then."""
    first, found, left = {}, [], []
    for number, t in enumerate(tensors):
        of_file = t is not None and t.kind == WEIGHT and t.file
        place = (t.file, t.file_offset, t.bytes, t.type, t.name) if of_file else number
        found.append(first.setdefault(place, number))
        left.append(t if found[number] == number else replace(t, kind=ACTIVATION))
    return found, left


@dataclass
class Step:
    """One callback: an operation, or two fused ones, with all that it touches."""

    evaluation: int
    phase: int
    ns: int
    wait_ns: int | None  # None: not recorded
    accesses: list

    @cached_property
    def nodes(self):
        """The records of each node, in order."""
        nodes = defaultdict(list)
        for access in self.accesses:
            nodes[access.node].append(access)
        return list(nodes.values())


class Facts:
    def __init__(self, path):
        self.folder = path
        self.trace = Trace(os.path.join(path, "tensor_access.bin"))
        self.clock = Clock(self.trace)
        self.runs = list(runs_of(self.trace, self.clock))
        self.weight_of, self.tensors = one_of_each(self.trace.tensors)
        self.components = [component_of(t) for t in self.tensors]
        self.layers = [layer_of(t) for t in self.tensors]
        self.part_order = part_order()
        self.model_bytes = sum(e.values[3] for e in self.trace.events if e.type == MODEL_FILE)

    @cached_property
    def all_steps(self):
        steps, last, waits = [], None, [self.clock.waits(run) for run in self.runs]
        for callback, access in timed_accesses(self.trace):
            access.tensor = self.weight_of[access.tensor]
            if last != (access.evaluation, callback):
                known = waits[access.evaluation]
                wait_ns = known[callback] if callback < len(known) else None
                steps.append(Step(access.evaluation, access.flags >> 8, access.duration_ns, wait_ns, []))
                last = access.evaluation, callback
            steps[-1].accesses.append(access)
        return steps

    @cached_property
    def steps(self):
        """Those of prompt and generation."""
        return [step for step in self.all_steps if step.phase in INFERENCE]

    @cached_property
    def accesses(self):
        return [access for step in self.steps for access in step.accesses]

    @property
    def command(self):
        """The program that computed, and the command line as given; both empty where nobody knows."""
        try:
            with open(os.path.join(self.folder, "trace_metadata.json")) as file:
                metadata = json.load(file)
                return metadata["program"], metadata["command"]
        except (OSError, KeyError):
            return "", []

    def is_weight(self, access):
        return self.tensors[access.tensor].kind == WEIGHT

    def is_state(self, access):
        return self.tensors[access.tensor].kind == STATE

    def holder(self, access):
        return "weight" if self.is_weight(access) else "state" if self.is_state(access) else "activation"

    def space(self, access):
        """Where its offsets count: a file, or a tensor that is in none."""
        file = self.tensors[access.tensor].file
        return ("file", file) if file else ("tensor", access.tensor)

    def part(self, tensor):
        """The component of what is kept; the rest is activations."""
        return self.components[tensor] if self.tensors[tensor].kind in (WEIGHT, STATE) else "activations"

    def tokens(self, phase):
        """Evaluated and recorded."""
        return sum(r.n_tokens for r in self.runs if r.phase == phase and not r.evaluation.flags & OUTSIDE)

    def owner(self, step):
        """The tensor that has the time of an operation: the first weight, else the first part of the cache, else the
        result."""
        of_kind = [a for a in step.accesses if self.is_weight(a)] or [a for a in step.accesses if self.is_state(a)]
        return (of_kind or [a for a in step.accesses if a.flags & WRITE])[0].tensor


def operands(accesses):
    """How many operands were touched: an expert of one counts as one, and a piece of one does not."""
    return len({(a.evaluation, a.node, a.operand, a.expert) for a in accesses if a.bytes})


def intervals(access):
    """(first byte, one past the last) of each run."""
    if not access.flags & STRIDED:
        return [(access.offset, access.offset + access.bytes)]
    starts = (access.offset + i * access.stride for i in range(access.rows))
    return [(start, start + access.run_bytes) for start in starts]


def unique_bytes(accesses):
    """Bytes that any of them touches; all are of one tensor, or of one file."""
    different = {(a.offset, a.bytes, a.rows, a.run_bytes, a.stride): a for a in accesses if a.bytes}
    total = end = 0
    for first, past in sorted(run for access in different.values() for run in intervals(access)):
        if past > end:
            total += past - max(first, end)
            end = past
    return total


def grouped(accesses, key):
    groups = defaultdict(list)
    for access in accesses:
        groups[key(access)].append(access)
    return groups


def ratio(a, b):
    return a / b if b else 0.0

