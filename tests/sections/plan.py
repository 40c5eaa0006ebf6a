#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""plan.py TAT TRACE RATE MEMORY|+LEFT...: the plan of tat plan, counted again from the access records by what doc/plan.md says: pieces
and their order, what becomes of each, what a token reads under every strategy, hits of experts, and the bounds."""

import json
import math
import os
import subprocess
import sys
import tempfile
from collections import Counter as Count
from itertools import groupby

from recount import same  # first: it finds the reader

from caching import Counted
from facts import Facts
from policies import POLICIES, least_read_again
from read_trace import FILE
from timeline import GENERATE

PAGE, PIECE_MOST, RUN_LEAST = 4096, 1 << 20, 256 << 10
PIN, STREAM, CACHE = 1, 2, 4
RING_LEAST, PAUSES = 4 << 20, 768 << 10
STRATEGIES = {
    "pin": (PIN, None), "stream": (STREAM, None), "pin+stream": (PIN | STREAM, None),
    "cache-frequency": (CACHE, "frequency"), "cache-cycle": (CACHE, "cycle"), "all-lru": (7, "lru"),
    "all-frequency": (7, "frequency"), "all-cycle": (7, "cycle"), "all-min": (7, "min"),
}  # fmt: skip


def cut(tensors):
    """[(offset, bytes, experts)] in the order of the file -> [(first page, end page, tensor or None, expert)]."""
    out, run, own = (
        [],
        None,
        None,
    )  # own: the page behind a slice that shares its last page

    def end_run():
        if run and not (run[2] and run[1] - run[0] == 1):
            first, pages = run[0], run[1] - run[0]
            for parts in range(math.ceil(pages * PAGE / PIECE_MOST), 0, -1):
                now = math.ceil(pages / parts)
                out.append((first, first + now, None, None))
                first, pages = first + now, pages - now

    for number, (offset, size, experts) in enumerate(tensors):
        each = size // experts if experts else 0
        if each >= 2 * PAGE:
            end_run()
            run = None
            for e in range(experts):
                begin = offset + e * each
                out.append((begin // PAGE, math.ceil((begin + each) / PAGE), number, e))
            own = out[-1][1] if (offset + size) % PAGE else None
            continue
        first, end = offset // PAGE, math.ceil((offset + size) / PAGE)
        if run and (run[1] - run[0]) * PAGE < RUN_LEAST and first <= run[1]:
            run[1] = end
        else:
            shares = first < run[1] if run else own is not None and first < own
            end_run()
            run, own = [first, end, shares], None
    end_run()
    return out


class Planned:
    """What the tokens of a trace need."""

    def __init__(self, facts):
        self.facts, self.counted = facts, Counted(facts)
        c = self.counted
        self.graphs = [
            (facts.runs[accesses[0].evaluation], list(zip(accesses, reads)))
            for accesses, reads in zip(
                [list(g) for _, g in groupby(c.accesses, key=lambda a: a.evaluation)],
                c.graphs,
            )
        ]
        self.generated = [graph for run, graph in self.graphs if run.phase == GENERATE]
        self.tokens = [run.n_tokens for run, _ in self.graphs if run.phase == GENERATE]
        self.experts = Count(tensor for tensor, _ in c.slices)
        self.find_pieces()
        self.find_order()
        self.find_experts()

    def find_pieces(self):
        wanted = {read.item[0] for graph in self.generated for _, read in graph if read.item}
        self.pieces_of = {}  # slice -> keys
        for file in sorted({self.facts.tensors[t].file for t in wanted}):
            inside = [t for t in wanted if self.facts.tensors[t].file == file and self.facts.tensors[t].memory == FILE]
            inside.sort(key=lambda t: (self.facts.tensors[t].file_offset, t))
            stacked = {t: self.experts[t] if self.experts[t] > 1 else 0 for t in inside}
            sizes = [
                (
                    self.facts.tensors[t].file_offset,
                    self.facts.tensors[t].bytes,
                    stacked[t],
                )
                for t in inside
            ]
            pieces = cut(sizes) if file else []
            for number, t in enumerate(inside):
                for e in range(self.experts[t]):
                    self.pieces_of[t, e] = self.touched(file, pieces, number, e, sizes[number])

    def touched(self, file, pieces, number, expert, tensor):
        """Of an expert its own; else no more than it takes: a page may be in two of them."""
        offset, size, experts = tensor
        if experts and size // experts >= 2 * PAGE:
            return [(file, first, end, e) for first, end, of, e in pieces if (of, e) == (number, expert)]
        inside = [
            (file, first, end, None)
            for first, end, of, _ in pieces
            if of is None and first * PAGE < offset + size and offset < end * PAGE
        ]
        if len(inside) > 1 and inside[1][1] <= offset // PAGE:
            inside.pop(0)
        if len(inside) > 1 and inside[-2][2] > (offset + size - 1) // PAGE:
            inside.pop()
        return inside

    def find_order(self):
        self.order, self.together = (
            [],
            {},
        )  # together: with the one before it, of one operation
        for graph in self.generated:
            for _, read in graph:
                pieces = self.pieces_of.get(read.item, [])
                if not pieces or (pieces[0] in self.together and pieces[-1] in self.together):
                    continue
                begun = False
                for e in range(self.experts[read.item[0]]):
                    for piece in self.pieces_of[read.item[0], e]:
                        if piece not in self.together:
                            self.order.append(piece)
                            self.together[piece] = begun
                            begun = True

    @staticmethod
    def size(piece):
        return (piece[2] - piece[1]) * PAGE

    def bytes(self, experts):
        return sum(self.size(piece) for piece in self.order if (piece[3] is not None) == experts)

    def needs(self, graph):
        """(node, piece), each once an operation."""
        for node, reads in groupby(graph, key=lambda pair: pair[0].node):
            met = set()
            for _, read in reads:
                for piece in self.pieces_of.get(read.item, []):
                    if piece not in met or piece[3] is not None:
                        met.add(piece)
                        yield node, piece

    # ---- what becomes of them

    def place(self, budget, may):
        """({piece: class}, pinned, ring, cache)"""
        dense, experts = self.bytes(False), self.bytes(True)
        share = budget
        if experts and may & CACHE and dense + budget // 4 > budget:
            share = budget - min(budget // 4, experts)
        classes, pinned, ring = {}, 0, 0
        if dense:
            if may & STREAM and not may & PIN:
                ring = min(share, dense)
            elif may & STREAM and dense > share:
                root = math.isqrt((dense - share) * PAUSES)
                ring = min(max(min(root, share // 4), RING_LEAST) // 4096 * 4096, share, dense)
            room = 0 if not may & PIN else dense if dense <= share else share - ring
            pinned = self.spread(room, ring, STREAM if may & STREAM else 0, classes)
        left = budget - pinned - ring
        for piece in self.order:
            if piece[3] is None:
                continue
            if may & PIN and (experts <= budget - pinned - ring or not may & CACHE) and self.size(piece) <= left:
                classes[piece] = PIN
                left -= self.size(piece)
            else:
                classes[piece] = CACHE if may & CACHE and left > 0 else 0
        cached = sum(self.size(piece) for piece in self.order if classes[piece] == CACHE)
        return classes, ring, min(left, cached) if cached else 0

    def spread(self, room, ring, other, classes):
        groups = []
        for piece in self.order:
            if not groups or not self.together[piece]:
                groups.append([])
            groups[-1].append(piece)
        groups = [[piece for piece in group if piece[3] is None] for group in groups]
        sizes = [sum(map(self.size, group)) for group in groups]

        def share_of(size, even, whole):
            most = ring // 4 * 3
            return 1 if whole and size > ring else max(even, 1 - most / size if most and size > most else 0)

        # What is larger than the ring is pinned as a whole, if there is memory for it.
        whole = sum(size * share_of(size, 0, True) for size in sizes) <= room
        low, high = 0.0, 1.0
        for _ in range(40):
            even = (low + high) / 2
            if sum(size * share_of(size, even, whole) for size in sizes) > room:
                high = even
            else:
                low = even
        due, pinned = 0.0, 0
        for group, size in zip(groups, sizes):
            for piece in group:
                due += self.size(piece) * share_of(size, low, whole)
                pin = pinned + self.size(piece) <= min(due + 0.5, room)
                pinned += self.size(piece) if pin else 0
                classes[piece] = PIN if pin else other
        return pinned

    # ---- what is read

    def streamed(self, classes, ring):
        """By generated graph: read, and given up. What is there from its last use is not read again. What one operation
        needs beyond the ring is given up."""
        so_far, last, read = 0, {}, []
        for graph in self.generated:
            before, given_up, in_ring, operation = so_far, 0, 0, None
            for node, piece in self.needs(graph):
                if classes[piece] != STREAM:
                    continue
                in_ring, operation = in_ring if node == operation else 0, node
                if in_ring + self.size(piece) > ring:
                    given_up += self.size(piece)
                    continue
                in_ring += self.size(piece)
                if piece not in last or so_far - last[piece] + self.size(piece) > ring:
                    so_far += self.size(piece)
                last[piece] = so_far
            read.append((so_far - before, given_up))
        return read

    def left(self, classes):
        """By generated graph: each page once, as no two tensors of a piece share it."""
        return [
            sum(self.size(piece) for piece in {piece for _, piece in self.needs(graph)} if not classes[piece]) for graph in self.generated
        ]

    def find_experts(self):
        """(layer, how many, which) -> bytes of its pieces in all stacks of the layer; the largest stack"""
        self.expert_bytes, stacks = Count(), Count()
        for (tensor, e), pieces in self.pieces_of.items():
            if pieces and pieces[0][3] is not None:
                self.expert_bytes[self.expert(tensor, e)] += self.size(pieces[0])
                stacks[tensor] += self.size(pieces[0])
        self.largest = max(stacks.values(), default=0)
        self.chosen = max((self.most_chosen(graph, stacks) for graph in self.generated), default=0)

    def most_chosen(self, graph, stacks):
        """Bytes of all experts that one layer chooses."""
        by_layer = Count()
        for expert in {self.expert(*read.item) for _, read in graph if read.item and read.item[0] in stacks}:
            by_layer[expert[0]] += self.expert_bytes[expert]
        return max(by_layer.values(), default=0)

    def expert(self, tensor, e):
        return (self.facts.layers[tensor], self.experts[tensor], e)

    def string(self):
        """(expert, by a generated token) of all that were chosen, once a graph, each router's in order."""
        stacks = {tensor for (tensor, _), pieces in self.pieces_of.items() if pieces and pieces[0][3] is not None}
        for run, graph in self.graphs:
            chosen = [read.item for _, read in graph if read.item and read.item[0] in stacks]
            met = set()
            for _, items in groupby(chosen, key=lambda item: item[0]):
                for expert in sorted({self.expert(*item) for item in items} - met, key=lambda x: x[2]):
                    met.add(expert)
                    yield expert, run.phase == GENERATE

    def hits(self, name, capacity):
        """(bytes wanted, bytes missed) by generated tokens"""
        string, sizes = list(self.string()), dict(self.expert_bytes)
        items = [item for item, _ in string]
        wanted = sum(sizes[item] for item, generated in string if generated)
        if name == "min":
            firsts = dict(reversed(string))  # another context's prompt may come later
            first = sum(sizes[item] * generated for item, generated in firsts.items())
            return wanted, first + least_read_again(items, sizes, capacity, [generated for _, generated in string])
        policy, missed = POLICIES[name](capacity, sizes, Count(items)), 0
        for item, generated in string:
            missed += (sizes[item] - policy.access(item)) * generated
        return wanted, missed

    def outcome(self, budget, may, policy):
        """What a row of the bounds has, and the classes."""
        classes, ring, cache = self.place(budget, may)
        tokens = sum(self.tokens[1:])
        per_token, given_up = (sum(column) / tokens for column in zip(*self.streamed(classes, ring)[1:]))
        if given_up <= self.spare:
            given_up = 0  # it stays in the page cache
        left = sum(self.left(classes)[1:]) / tokens
        row, missed = {}, 0
        if cache:
            wanted, missed = self.hits(policy, cache - min(2 * self.largest, self.chosen, cache // 4))
            row["hit_share"] = 1 - missed / wanted if wanted else 0
            missed /= sum(self.tokens)
        return (
            classes,
            row | {"read_bytes_per_token": per_token + left + missed + given_up},
            (per_token, missed, left, given_up),
        )


def times(reads, a):
    """Of a token: the disk's, and with and without overlap."""
    rates = (
        a["stream_bytes_per_second"],
        a["expert_bytes_per_second"],
        a["fault_bytes_per_second"],
        a["given_up_bytes_per_second"],
    )
    streamed, missed, *faults = (1e9 * size / rate for size, rate in zip(reads, rates))
    left = sum(faults)
    compute = a["compute_ns_per_token"] + (reads[0] + reads[1]) * a["map_ns_per_byte"]
    return {
        "disk_ns": streamed + missed + left,
        "compute_ns": compute,
        "tokens_per_second_overlapped": 1e9 / (left + max(streamed + missed, compute)),
        "tokens_per_second_serial": 1e9 / (streamed + missed + left + compute),
    }


def close(found, expected):
    return isinstance(found, (int, float)) and math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-6)


def differing(plan, planned, budget):
    """What of the plan is not as it has to be; the number of figures that were compared is the last."""
    planned.spare = plan["assumptions"]["compute_buffer_bytes"] + plan["assumptions"]["kernel_bytes"]
    count = 0
    for key, expected in (
        ("dense_bytes", planned.bytes(False)),
        ("expert_bytes", planned.bytes(True)),
    ):
        count += 1
        if plan["values"][key] != expected:
            yield f"{key}: found {plan['values'][key]}, expected {expected}"
    if not planned.order:
        if plan["values"]["gate"] != "unsupported" or plan["pieces"]:
            yield "nothing is needed, and yet there is a plan"
        yield count
        return
    rows = {row["name"]: row for row in plan["tables"]["bounds"]["rows"]}
    for name, (may, policy) in STRATEGIES.items():
        if policy and not planned.bytes(True):
            continue
        classes, expected, reads = planned.outcome(budget, may, policy)
        expected |= times(reads, plan["assumptions"])
        for key, value in expected.items():
            count += 1
            if not (close(rows[name].get(key, 0), value) or same(rows[name].get(key), value)):
                yield f"{name}, {key}: found {rows[name].get(key)}, expected {value}"
        if name != plan["values"]["strategy"]:
            continue
        found = [(p["file"] + 1, p["offset"], p["bytes"], p.get("expert"), p["class"]) for p in plan["pieces"]]
        names = {0: "leave", PIN: "pin", STREAM: "stream", CACHE: "cache"}
        wanted = [(f, a * PAGE, (b - a) * PAGE, e, names[classes[f, a, b, e]]) for f, a, b, e in planned.order]
        count += len(wanted)
        yield from (f"piece {i}: found {x}, expected {y}" for i, (x, y) in enumerate(zip(found, wanted)) if x != y)
        if len(found) != len(wanted) or [p for p in plan["pieces"] if p["class"] == "pin"] != plan["pin_list"]:
            yield "the lists of pieces differ"
    yield count


def planned(tat, trace, memory, rate):
    """What is printed, and must be the same in the file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "plan.json")
        command = [tat, "plan", "--memory", str(memory), "--disk", rate, "--json", "-o", path, trace]
        done = subprocess.run(command, stdout=subprocess.PIPE)
        assert done.returncode in (0, 1), done
        plan = json.loads(done.stdout)
        assert done.returncode == (plan["values"]["gate"] != "open")
        with open(path) as file:
            assert plan == json.load(file)
        return plan


def memory_for(tat, trace, bytes_left):
    """How much memory leaves that for the model, or a little more."""
    a = planned(tat, trace, 1 << 30, "1G/s")["assumptions"]
    return (a["besides_bytes"] - a["kernel_bytes"] + (6 << 20) + bytes_left) * 64 // 63 + 1


def main():
    tat, trace, rate, *memories = sys.argv[1:]
    needed, good, besides = Planned(Facts(trace)), True, None
    for memory in memories:
        if memory.startswith("+"):
            besides = besides or memory_for(tat, trace, 0)
            memory = besides + int(memory) * 64 // 63
        plan = planned(tat, trace, memory, rate)
        *wrong, count = differing(plan, needed, plan["values"]["budget_bytes"])
        for line in wrong[:30]:
            print(line)
        print(f"{memory}: {count} figures compared, {len(wrong)} differ")
        good = good and count and not wrong
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
