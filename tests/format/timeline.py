# SPDX-License-Identifier: MIT
"""What follows from the order of blocks: times, the order of evaluations, tokens, phases, as in doc/format.md."""

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass

from names import component_of
from read_trace import CALL_BEGIN, CLOCK, LOAD_END, MASK, MEMORY_CLEAR, POSITIONS, ROWS, STATE, WARMUP, Evaluation

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
        """How long thread 0 waited after each node, by callback; as many as were recorded."""
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


class Warmup:
    """What was computed since the memory was cleared, and how often each context was warmed up."""

    def __init__(self):
        self.on = self.cleared = self.more = False
        self.contexts, self.times = {}, {}

    def graph(self, run):
        if not run.n_tokens:
            return
        full = run.context not in self.contexts and len(self.contexts) == 2
        if full or run.n_tokens > 2 or self.times.get(run.context, 0) >= 2:
            self.times[run.context] = 255
            self.more = True
            return
        tokens, with_output = self.contexts.get(run.context, (0, 0))
        self.contexts[run.context] = tokens, with_output = tokens + run.n_tokens, with_output + (run.n_outputs > 0)
        self.more |= tokens > 2 or with_output > 1

    def load(self):
        """What was computed before a model was loaded has no part in its warm-up."""
        self.times.update((context, 255) for context in self.contexts)
        self.more, self.contexts = False, {}

    def clear(self):
        """True if what was computed is a warm-up."""
        tokens = {context: n for context, (n, _) in self.contexts.items()}
        warm = not self.more and sum(tokens.values()) <= 3
        warm &= all(self.times.get(c, 0) == 0 or (self.cleared and n == 2) for c, n in tokens.items())
        for context in tokens:
            self.times[context] = self.times.get(context, 0) + 1 if warm else 255
        self.cleared, self.more, self.contexts = True, False, {}
        return warm and bool(tokens)


def mark_warmup(trace, runs):
    warmup, n, since = Warmup(), 0, 0
    for event in sorted(trace.events, key=lambda e: e.tick):
        while n < len(runs) and runs[n].evaluation.begin_tick < event.tick:
            if warmup.on:
                runs[n].phase = WARMUP_PHASE
            else:
                warmup.graph(runs[n])
            n += 1
        if event.type == WARMUP:
            warmup.on = event.values[1] != 0
        elif event.type == LOAD_END:
            warmup.load()
            since = n
        elif event.type == MEMORY_CLEAR:
            if warmup.clear():
                for run in runs[since:n]:
                    run.phase = WARMUP_PHASE
            since = n


NONE = -1  # of positions: unknown
PIECES = 0  # in place of a context


def behind(position):
    return position + 1 if 0 <= position < (1 << 63) - 1 else NONE


@dataclass
class Ubatch:
    """What the graph and the captures of an evaluation show."""

    rows: int
    outputs: int
    has_result: bool
    is_text: bool
    positions: list  # or None
    ids: list  # or None
    stretches: list  # lengths


@dataclass
class Progress:
    """How far a context has come."""

    number: int = -1  # of the ubatch before
    tokens: int = 0
    phase: int = None  # of the ubatch before
    rows: int = 0
    outputs: int = 0
    calls: int = 0
    first: int = NONE
    next: int = NONE
    lowest: int = NONE  # where a generated token may stand
    resume: int = NONE  # behind the last generated token
    several: bool = False
    run: list = None  # ids of tokens that were generated one by one, right before
    run_first: int = NONE
    run_has_ids: bool = True


def captures_of(trace, run, kind):
    t = trace.templates[run.evaluation.template]
    return [(c, values) for c, values in zip(t.captures, run.evaluation.captures) if c.kind == kind]


def positions_of(trace, run, rows):
    for _, values in captures_of(trace, run, POSITIONS):
        return (values or [])[: min(rows, 1 << 20)]
    return []


def ids_of(trace, run):
    t = trace.templates[run.evaluation.template]
    for capture, values in captures_of(trace, run, ROWS):
        node = t.nodes[capture.node]
        table = trace.tensors[t.entries[node.src[0]].tensor] if node.op == "GET_ROWS" and 0 in node.src else None
        if table and component_of(table) == "token_embd":
            return values if values and run.n_tokens <= 65 and len(values) == run.n_tokens else None
    return None


def cells_of(trace, run):
    """The cells that each row sees, and how many rows a stream of the cache has; or None."""
    t = trace.templates[run.evaluation.template]
    for capture, values in captures_of(trace, run, MASK):
        if not values or run.n_tokens > 65 or sum(2 * len(row) + 2 for row in values) > 1 << 12:
            return None
        if len(values) != run.n_tokens:
            return None
        streams = t.entries[capture.entry].ne[3]
        rows = [[(first, first + count) for first, count in row] for row in values]
        return rows, len(values) // streams if 0 < streams <= len(values) else 1
    return None


def sees_all(before, row):
    return all(any(a <= x and y <= b for a, b in row) for x, y in before)


def stretches_of(trace, run, positions, has_result):
    if positions is None or run.n_tokens < 2:
        return [run.n_tokens]
    cells = cells_of(trace, run) if has_result and run.n_outputs == run.n_tokens else None
    lengths = [1]
    for i in range(1, run.n_tokens):
        follows = positions[i] == positions[i - 1] + 1
        if follows and cells:
            follows = i % cells[1] != 0 and sees_all(cells[0][i - 1], cells[0][i])
        if follows:
            lengths[-1] += 1
        else:
            lengths.append(1)
    return lengths


def result_of(trace, t):
    """Whether the graph has a result, and whether that is embeddings."""
    last = t.nodes[-1].name if t.nodes else ""
    if last.startswith("result_embd"):
        return True, True
    if last == "result_norm":
        encodes = all(trace.tensors[e.tensor].kind != STATE for e in t.entries)
        return encodes, encodes
    return any(node.name.startswith("result_output") for node in t.nodes), False


def ubatch_of(trace, run):
    t = trace.templates[run.evaluation.template]
    positions = positions_of(trace, run, run.n_tokens)
    if len(positions) != run.n_tokens:
        positions = None
    has_result, is_text = result_of(trace, t)
    stretches = stretches_of(trace, run, positions, has_result)
    return Ubatch(run.n_tokens, run.n_outputs, has_result, is_text, positions, ids_of(trace, run), stretches)


def phase_of_row(u, p):
    at = u.positions[0] if u.positions else NONE
    if (u.has_result and u.outputs == 0) or at == 0:
        return PROMPT
    if p.phase is None:
        return UNKNOWN if at > 0 else PROMPT
    jumps = at >= 0 and p.next >= 0 and at != p.next
    if p.outputs == 0:
        p.several |= jumps
        return GENERATE if jumps else PROMPT
    p.several |= jumps and at > p.next
    return PROMPT if 0 <= at < p.lowest and at != p.resume and not p.several else GENERATE


def phase_behind_prompt(u, p, calls):
    if u.positions[0] != p.next:
        return VERIFY if p.several else PROMPT
    had_all = p.outputs == p.rows and p.rows > 1
    if p.outputs and not had_all:
        return VERIFY
    if u.rows > p.rows if had_all else u.rows != p.rows:
        return VERIFY
    if calls and calls == p.calls:
        return PROMPT
    return VERIFY if calls and not had_all else UNKNOWN


def phase_of_logits(u, p, calls):
    if p.phase is None:
        return PROMPT
    if not u.positions:
        return PROMPT if u.rows > 65 else UNKNOWN
    at = u.positions[0]
    if at == 0:
        return PROMPT
    if u.rows > 65:
        return UNKNOWN if at == p.next and p.phase != PROMPT else PROMPT
    if p.phase == PROMPT:
        return phase_behind_prompt(u, p, calls)
    within = p.phase in (VERIFY, UNKNOWN) and 0 <= p.first <= at < p.next
    return VERIFY if at == p.next or within or p.several else PROMPT


def phase_of_stretch(u, p, calls):
    if not u.has_result:
        follows = u.positions and u.positions[0] == p.next and u.rows <= 65
        return UNKNOWN if p.phase in (GENERATE, VERIFY) and follows else PROMPT
    if u.outputs == u.rows:
        return phase_of_logits(u, p, calls)
    if (
        u.outputs == 1 and u.positions and p.phase == GENERATE and p.run
        and u.positions[0] == p.run_first and u.rows - len(p.run) in (0, 1)
    ):  # fmt: skip
        if not p.run_has_ids or u.ids is None:
            return UNKNOWN
        return VERIFY if u.ids[: len(p.run)] == p.run else PROMPT
    return MIXED if u.outputs > 1 and not u.positions else PROMPT


def phase_of(u, p, calls):
    if u.is_text:
        return PROMPT
    if u.rows == 1:
        return phase_of_row(u, p)
    if u.has_result and u.outputs == 0:
        return PROMPT
    if len(u.stretches) == 1:
        return phase_of_stretch(u, p, calls)
    p.several = True
    if not u.has_result:
        return UNKNOWN
    if u.outputs < u.rows:
        return MIXED
    return GENERATE if max(u.stretches) == 1 else VERIFY


def advance(p, u, phase, calls):
    first, last = (u.positions[0], u.positions[-1]) if u.positions else (NONE, NONE)
    if phase == GENERATE and u.rows == 1:
        if not p.run or first != p.next:
            p.run, p.run_first, p.run_has_ids = [], first, True
        if len(p.run) < 65:
            p.run_has_ids = p.run_has_ids and u.ids is not None
            p.run.append(u.ids[0] if u.ids else None)
        p.resume = behind(first)
    else:
        p.run = None
    if phase == PROMPT:
        p.lowest = behind(last)
    elif phase in (VERIFY, UNKNOWN):
        p.lowest = behind(first)
    p.phase, p.first, p.next, p.rows, p.calls = phase, first, behind(last), u.rows, calls
    p.outputs = u.outputs if u.has_result else u.rows


def go_on(p, pieces, u):
    """A graph continues where pieces of a ubatch ended whose contexts are not known."""
    if pieces.phase is None or pieces.number <= p.number or not u.positions or u.positions[0] != pieces.next:
        return
    for field in ("phase", "rows", "outputs", "calls", "first", "next", "lowest", "resume", "number"):
        setattr(p, field, getattr(pieces, field))
    p.run = None


def set_phase(trace, run, number, p, pieces, calls):
    run.token_first, run.phase = p.tokens, OTHER
    if not run.n_tokens:
        p.lowest = p.resume = NONE
        positions = positions_of(trace, run, pieces.rows)
        if pieces.phase is not None and pieces.first < 0 and len(positions) == pieces.rows:
            pieces.first, pieces.next = positions[0], behind(positions[-1])
            if pieces.phase == PROMPT:
                pieces.lowest = pieces.next
        return
    u = ubatch_of(trace, run)
    of = p if u.has_result else pieces
    if u.has_result:
        go_on(p, pieces, u)
    run.phase = phase_of(u, of, calls)
    p.tokens += run.n_tokens
    advance(of, u, run.phase, calls)
    of.number = number


def runs_of(trace, clock):
    """All evaluations whose template is known, in the order in which they begin."""
    runs = [make_run(trace, clock, e) for e in sorted(trace.evaluations, key=lambda e: e.begin_tick)]
    if max((run.context for run in runs), default=0) > len(trace.data) // 64:
        return runs
    mark_warmup(trace, runs)
    begins = sorted(e.tick for e in trace.events if e.type == CALL_BEGIN)
    progress = defaultdict(Progress)
    for i, run in enumerate(runs):
        if run.phase != WARMUP_PHASE:
            calls = bisect_right(begins, run.evaluation.begin_tick)
            set_phase(trace, run, i, progress[run.context], progress[PIECES], calls)
    return runs
