# SPDX-License-Identifier: MIT
"""Access records, made as doc/format.md says and as naively as possible: each row is written down, or each element if
elements lie apart; what touches is joined; equal runs at equal distances become one record."""

from dataclasses import dataclass, replace
from functools import cached_property

from names import NO_LAYER, ROLES, layer_of, layer_of_result, role_of
from read_trace import COMPUTE, COPY, EMPTY, EXPERTS, FILE, FUSES_NEXT, OFFSET, ROWS, UNMATCHED
from timeline import Clock, runs_of

WRITE, FUSED, STRIDED, APPROXIMATE, UNREAD = 1, 2, 4, 8, 16
NO_EXPERT = NO_HEAD = 65535
MOST = 4096
DST = -1

DIMENSIONS = {"MUL_MAT_ID": 2, "ADD_ID": 1, "SSM_SCAN": 3}  # along which slices are counted

# (operation, operand) -> how, and the source of the ids.
EXCEPTIONS = {
    ("GET_ROWS", 0): ("rows", 1),
    ("SET_ROWS", DST): ("rows", 1),
    ("SET_ROWS", 2): ("nothing", None),
    ("CPY", 1): ("nothing", None),
    ("FILL", 0): ("nothing", None),
    ("IM2COL", 0): ("nothing", None),
    ("IM2COL_3D", 0): ("nothing", None),
    ("MUL_MAT_ID", 0): ("slices", 2),
    ("ADD_ID", 1): ("slices", 2),
    ("SSM_SCAN", 0): ("slices", 6),
    ("SOFT_MAX", 1): ("mask", None),
    ("FLASH_ATTN_EXT", 3): ("mask", None),
}


@dataclass
class Access:
    start_ns: int
    offset: int
    bytes: int
    duration_ns: int
    tensor: int
    evaluation: int
    node: int
    token_first: int
    rows: int
    layer: int
    op: int
    expert: int
    head_first: int
    head_count: int
    operand: int
    kind: int
    flags: int
    run_bytes: int  # of the layout: 0 where contiguous
    stride: int


@dataclass
class Piece:
    offset: int
    run_bytes: int
    stride: int = 0
    count: int = 1


# ------------------------------------------------------------------------------------------------------------- bytes


def blocks_of(entry, ne):
    return -(-ne[0] // entry.block)


def rows_of(entry, ne, start=0):
    """(offset, length) of each row, or of each element if a row's elements do not touch."""
    n = blocks_of(entry, ne)
    for i3 in range(ne[3]):
        for i2 in range(ne[2]):
            for i1 in range(ne[1]):
                at = start + i1 * entry.nb[1] + i2 * entry.nb[2] + i3 * entry.nb[3]
                if entry.nb[0] == entry.block_bytes:
                    yield at, n * entry.block_bytes
                else:
                    yield from ((at + i0 * entry.nb[0], entry.block_bytes) for i0 in range(n))


def union(intervals):
    runs = []
    for at, length in sorted(intervals):
        if runs and at <= runs[-1][1]:
            runs[-1][1] = max(runs[-1][1], at + length)
        else:
            runs.append([at, at + length])
    return [(a, b - a) for a, b in runs]


def pieces_of(runs):
    pieces = []
    for at, length in runs:
        last = pieces[-1] if pieces else None
        distance = at - (last.offset + (last.count - 1) * last.stride) if last else 0
        if last and last.run_bytes == length and (last.count == 1 or last.stride == distance):
            last.stride, last.count = distance, last.count + 1
        else:
            pieces.append(Piece(at, length))
    return pieces


def bounding(access, base, runs):
    return replace(access, offset=base + runs[0][0], bytes=sum(n for _, n in runs), flags=access.flags | APPROXIMATE)


def as_records(access, base, runs, most=MOST):
    pieces = pieces_of(runs)
    if len(pieces) > most:
        return [bounding(access, base, runs)]
    return [
        replace(
            access, offset=base + p.offset, bytes=p.run_bytes * p.count, rows=p.count,
            flags=access.flags | (STRIDED if p.count > 1 else 0),
            run_bytes=p.run_bytes if p.count > 1 else 0, stride=p.stride,
        )
        for p in pieces
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- nodes


def callbacks_of(template, rule):
    """For each callback, the nodes it stands for."""
    groups, i = [], 0
    nodes = template.nodes
    while i < len(nodes):
        facts = nodes[i].facts
        skipped = (rule & 1 and facts & EMPTY) or (rule & 2 and not facts & COMPUTE)
        fused = not skipped and rule & 4 and facts & FUSES_NEXT and i + 1 < len(nodes)
        if not skipped:
            groups.append([i, i + 1] if fused else [i])
        i += 2 if fused else 1
    return groups


def layers_of(trace, template):
    """The layer of each entry. Nodes without a name of their own belong to the layer of what they are made from."""
    layers = []
    for number, entry in enumerate(template.entries):
        found = [layer_of_result(entry.name), layer_of(trace.tensors[entry.tensor])]
        if number >= template.n_leaves and entry.name.startswith("node_"):
            found += [layers[source] for _, source in sorted(entry.src.items()) if source < number]
        layers.append(next((layer for layer in found if layer != NO_LAYER), NO_LAYER))
    return layers


class Operand:
    """One operand of one node: what it touches without and with the ids of an evaluation."""

    def __init__(self, trace, template, layers, node, place, callback, fused):
        self.template = template
        self.node = template.nodes[node]
        self.entry_number = template.n_leaves + node if place == DST else self.node.src[place]
        self.entry = template.entries[self.entry_number]
        self.callback = callback
        tensor = trace.tensors[self.entry.tensor]
        in_file = tensor.memory in (FILE, COPY) and tensor.file
        self.base = self.entry.offset + (tensor.file_offset if in_file else 0)
        layer = layers[template.n_leaves + node]
        layer = layer if layer != NO_LAYER else layer_of(tensor)
        self.idle, self.fused = 0 in self.node.ne, fused
        self.how, ids_place = EXCEPTIONS.get((self.node.op, place), ("all", None))
        self.ids = self.node.src.get(ids_place) if ids_place is not None else None
        if ids_place is not None and self.ids is None:
            self.how = "all"
        self.dimension = DIMENSIONS[self.node.op] if self.how == "slices" else 1
        self.capture = self.find_capture(place)
        self.access = Access(
            0, self.base, 0, 0, self.entry.tensor, 0, node, 0, 1, layer, trace.ops.index(self.node.op),
            NO_EXPERT, NO_HEAD, 0, place + 1, ROLES.index(role_of(tensor)) | tensor.memory << 4,
            WRITE if place == DST else 0, 0, 0,
        )  # fmt: skip
        self.known = {}  # of slices -> records

    def find_capture(self, place):
        kind = {"rows": ROWS, "slices": ROWS if self.node.op == "SSM_SCAN" else EXPERTS}.get(self.how)
        wanted = (self.ids, kind)
        if kind is None:
            if place != DST or self.node.op != "CPY":
                return None
            wanted = (self.entry_number, OFFSET)
        return next((i for i, c in enumerate(self.template.captures) if (c.entry, c.kind) == wanted), None)

    @cached_property
    def fixed(self):
        """Its records if no ids are known."""
        if self.fused or self.idle or self.how == "nothing":
            return [replace(self.access, flags=self.access.flags | (FUSED if self.fused else UNREAD))]
        ne = list(self.entry.ne)
        if self.how == "mask" and 0 in self.node.src:
            ne[1] = min(ne[1], self.template.entries[self.node.src[0]].ne[1])
        runs = union(rows_of(self.entry, ne))
        if self.how in ("all", "mask"):
            return as_records(self.access, self.base, runs) if runs else [self.access]
        n_ids = 1
        for n in self.template.entries[self.ids].ne:
            n_ids *= n
        one = sum(n for _, n in union(rows_of(self.entry, self.one_shape())))
        whole = sum(n for _, n in runs)
        access = replace(self.access, flags=self.access.flags | APPROXIMATE)
        return [replace(access, bytes=min(whole, n_ids * one))]

    def one_shape(self):
        """Of a row or slice."""
        return self.entry.ne[: self.dimension] + [1] * (4 - self.dimension)

    def records(self, captured):
        """The records of an evaluation."""
        if self.fused or self.idle or self.how in ("nothing", "mask"):
            return self.fixed
        if self.how == "all" and self.capture is None:
            return self.fixed
        ids = captured[self.capture] if self.capture is not None else None
        if not ids:
            moved = self.how == "all"
            return [replace(a, flags=a.flags | APPROXIMATE) for a in self.fixed] if moved else self.fixed
        if self.how == "all":
            return [replace(a, offset=a.offset + ids[0] - self.entry.offset) for a in self.fixed]
        return self.rows(ids) if self.how == "rows" else self.slices(ids)

    def rows(self, ids):
        r, m2, m3, m4 = self.template.entries[self.ids].ne
        ne, nb = self.entry.ne, self.entry.nb
        if len(ids) != r * m2 * m3 * m4 or ne[2] * ne[3] == 0 or ne[2] * ne[3] * len(ids) > 1 << 24:
            return self.fixed
        starts = set()
        for i3 in range(max(ne[3], m3 * m4)):
            for i2 in range(max(ne[2], m2)):
                for i in range(r):
                    row = ids[i + r * (i2 % m2 + m2 * (i3 % (m3 * m4)))]
                    if 0 <= row < ne[1]:
                        starts.add(row * nb[1] + i2 % ne[2] * nb[2] + i3 % ne[3] * nb[3])
        if not starts:
            return []
        one = list(rows_of(self.entry, self.one_shape()))
        runs = union((start + at, length) for start in starts for at, length in one)
        pieces = pieces_of(runs)
        if len(pieces) > MOST or len(union(one)) > 1:
            each = sum(n for _, n in union(one))
            return [replace(bounding(self.access, self.base, runs), rows=len(starts), bytes=each * len(starts))]
        return as_records(self.access, self.base, runs)

    def slices(self, ids):
        most = max(1, MOST // len(ids))
        records = []
        for number in sorted(set(ids)):
            if not 0 <= number < self.entry.ne[self.dimension]:
                continue
            if (number, most) not in self.known:
                runs = union(rows_of(self.entry, self.one_shape(), number * self.entry.nb[self.dimension]))
                expert = NO_EXPERT if self.node.op == "SSM_SCAN" else min(number, NO_EXPERT)
                self.known[number, most] = as_records(replace(self.access, expert=expert), self.base, runs, most)
            records += self.known[number, most]
        return records


def operands_of(trace, template, rule):
    operands, layers = [], layers_of(trace, template)
    for callback, group in enumerate(callbacks_of(template, rule)):
        inner = template.n_leaves + group[0] if len(group) == 2 else None
        for node in group:
            n = template.nodes[node]
            if n.facts & EMPTY and len(group) == 1:
                continue
            for place in sorted(n.src) + [DST]:
                entry = template.n_leaves + node if place == DST else n.src[place]
                operands.append(Operand(trace, template, layers, node, place, callback, entry == inner))
    return operands


def timed_accesses(trace):
    """All access records of a trace, in order, each with its callback: (callback, access)."""
    clock, plans = Clock(trace), {}
    for number, run in enumerate(runs_of(trace, clock)):
        e = run.evaluation
        if e.flags & UNMATCHED:
            continue
        key = (e.template, e.rule)
        if key not in plans:
            plans[key] = operands_of(trace, trace.templates[e.template], e.rule)
        times, first = clock.callbacks(run), {}
        for operand in plans[key]:
            if operand.callback >= len(e.stamps):
                break
            begin, end = times[operand.callback : operand.callback + 2]
            # Two fused nodes have one callback: its time is the first's.
            first.setdefault(operand.callback, operand.access.node)
            took = end - begin if operand.access.node == first[operand.callback] else 0
            for access in operand.records(e.captures):
                yield operand.callback, replace(
                    access, start_ns=begin, duration_ns=min(took, 2**32 - 1), evaluation=number,
                    token_first=run.token_first, flags=access.flags | run.phase << 8,
                )  # fmt: skip


def waits(trace):
    """(evaluation, node, ns) of each node that touches anything and whose wait was recorded, in order."""
    clock = Clock(trace)
    for number, run in enumerate(runs_of(trace, clock)):
        e = run.evaluation
        if e.flags & UNMATCHED or not e.waits:
            continue
        first = {}
        for operand in operands_of(trace, trace.templates[e.template], e.rule):
            first.setdefault(operand.callback, operand.access.node)
        for callback, ns in enumerate(clock.waits(run)):
            if callback in first:
                yield number, first[callback], ns


def accesses(trace):
    """All access records of a trace, in order."""
    return (access for _, access in timed_accesses(trace))
