# SPDX-License-Identifier: MIT
"""What follows from the order of things: times, the order of evaluations, tokens, phases, as doc/format.md has it."""

from dataclasses import dataclass

from names import component_of
from read_trace import CLOCK, MEMORY_CLEAR, PERF_RESET, POSITIONS, WARMUP, Evaluation

WARMUP_PHASE, PROMPT, GENERATE, MIXED, OTHER, VERIFY, UNKNOWN = range(7)
PHASES = ["warmup", "prompt", "generate", "mixed", "other", "verify", "unknown"]
INFERENCE = (PROMPT, GENERATE, MIXED, VERIFY, UNKNOWN)  # what warm-up and graphs without tokens never mix into


@dataclass
class Run:
    """An evaluation with its place in the run."""

    evaluation: Evaluation
    context: int
    begin_ns: int
    end_ns: int
    n_tokens: int
    n_outputs: int
    phase: int = OTHER
    token_first: int = 0


def signed(difference):
    return (difference + (1 << 63)) % (1 << 64) - (1 << 63)


def cut(ns):
    return int(max(-(2.0**60), min(2.0**60, ns)))


class Clock:
    def __init__(self, trace):
        h = trace.header
        self.start, self.rate = h["start_tick"], float(h["ticks_per_second"])
        self.shift = h["stamp_shift"]
        anchors = [e.values for e in trace.events if e.type == CLOCK]
        self.anchors = sorted(((tick, ns - h["start_monotonic_ns"]) for tick, ns in anchors), key=lambda a: a[0])

    def ns(self, tick):
        anchors = self.anchors
        if len(anchors) < 2 or anchors[0][0] == anchors[-1][0]:
            return cut(float(signed(tick - self.start)) * 1e9 / self.rate)
        before = [i for i, anchor in enumerate(anchors) if anchor[0] <= tick]
        low = min(before[-1] if before else 0, len(anchors) - 2)
        a, b = anchors[low], anchors[low + 1]
        if a[0] == b[0]:
            a, b = anchors[0], anchors[-1]
        return a[1] + cut(float(b[1] - a[1]) / float(b[0] - a[0]) * float(signed(tick - a[0])))

    def callbacks(self, run):
        """When each node began, by callback, and when the last one ended."""
        e = run.evaluation
        rate = float(run.end_ns - run.begin_ns) / float(e.ticks) if e.ticks else 0.0
        times = [run.begin_ns]
        for stamp in e.stamps:
            ticks = min(max(signed((stamp << self.shift) - e.begin_tick), 0), e.ticks)
            times.append(run.begin_ns + int(float(ticks) * rate))
        return times

    def waits(self, run):
        """How long thread 0 waited behind each node, by callback; as many as were recorded."""
        e, times = run.evaluation, self.callbacks(run)
        rate = float(run.end_ns - run.begin_ns) / float(e.ticks) if e.ticks else 0.0
        lasted = [min(end - begin, 2**32 - 1) for begin, end in zip(times, times[1:])]
        return [min(int(rate * float(wait << self.shift)), node) for wait, node in zip(e.waits, lasted)]


def tokens_in(trace, template):
    for entry in template.entries[: template.n_leaves]:
        if entry.name == "inp_embd" and entry.ne[1]:
            return entry.ne[1]
    for node in template.nodes:
        if node.op == "GET_ROWS" and 0 in node.src and 1 in node.src:
            table, ids = template.entries[node.src[0]], template.entries[node.src[1]]
            if component_of(trace.tensors[table.tensor]) == "token_embd" and ids.ne[0]:
                return ids.ne[0]
    return 0


def make_run(trace, clock, evaluation):
    template = trace.templates[evaluation.template]
    begin = max(clock.ns(evaluation.begin_tick), 0)
    end = max(clock.ns(evaluation.begin_tick + evaluation.ticks), begin)
    rows_out = template.nodes[-1].ne[1] if template.nodes else 0
    return Run(evaluation, template.context, begin, end, tokens_in(trace, template), rows_out)


def mark_warmup(trace, runs):
    n = tokens = 0
    warming = cleared = settled = False
    for event in sorted(trace.events, key=lambda e: e.tick):
        while n < len(runs) and runs[n].evaluation.begin_tick < event.tick:
            tokens += runs[n].n_tokens
            cleared = False
            if warming:
                runs[n].phase = WARMUP_PHASE
            n += 1
        if event.type == WARMUP:
            warming = event.values[1] != 0
        elif event.type == MEMORY_CLEAR:
            cleared = True
        elif event.type == PERF_RESET and n and not settled:
            settled = True
            if cleared and tokens <= 2:
                for run in runs[:n]:
                    run.phase = WARMUP_PHASE


def positions_of(trace, run):
    for capture, values in zip(trace.templates[run.evaluation.template].captures, run.evaluation.captures):
        if capture.kind == POSITIONS:
            return (values or [])[: min(run.n_tokens, 1 << 20)]
    return []


def phase_of(run, positions, had_output, following):
    if run.n_tokens == 0:
        return OTHER
    if run.n_tokens == 1:
        is_other = positions and positions[0] and following is not None and positions[0] != following
        return GENERATE if had_output or is_other else PROMPT
    if all(b == a + 1 for a, b in zip(positions, positions[1:])):
        return PROMPT
    return GENERATE if run.n_outputs == run.n_tokens else MIXED


def runs_of(trace, clock):
    """All evaluations whose template is known, in the order of their beginning."""
    runs = [make_run(trace, clock, e) for e in sorted(trace.evaluations, key=lambda e: e.begin_tick)]
    if max((run.context for run in runs), default=0) > len(trace.data) // 8:
        return runs
    mark_warmup(trace, runs)
    tokens, had_output, following = {}, {}, {}
    for run in runs:
        if run.phase == WARMUP_PHASE:
            continue
        positions = positions_of(trace, run)
        run.phase = phase_of(run, positions, had_output.get(run.context, False), following.get(run.context))
        run.token_first = tokens.get(run.context, 0)
        tokens[run.context] = run.token_first + run.n_tokens
        if run.n_tokens:
            had_output[run.context] = run.n_outputs > 0
            following[run.context] = positions[-1] + 1 if positions and -1 <= positions[-1] < (1 << 63) - 1 else None
    return runs
