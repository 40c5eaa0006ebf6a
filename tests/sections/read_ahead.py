# SPDX-License-Identifier: MIT
"""Read-ahead, counted again: a block that is missing brings in its window."""

from collections import Counter

from facts import ratio
from policies import POLICIES, TITLES
from read_trace import MODEL_FILE
from words import counted as in_count
from words import in_bytes, in_mean_bytes

KINDS = ["lru", "clock", "2q"]


def file_end(facts, space):
    kind, number = space
    if kind == "tensor":
        return facts.tensors[number].file_offset + facts.tensors[number].bytes
    return [event.values[3] for event in facts.trace.events if event.type == MODEL_FILE][number - 1]


def windows_of(string, blocks):
    """Item -> all blocks of its window, within the file."""
    found = {}
    for space, block in string.bytes_of:
        first = block // blocks * blocks
        end = -(-file_end(string.counted.facts, space) // string.unit)
        found[space, block] = [(space, b) for b in range(first, first + blocks) if b < end or b == block]
    return found


def simulated(string, name, capacity, blocks):
    """(bytes read, in vain, requests), each by whether a generated token was computed."""
    windows, unit = windows_of(string, blocks), string.unit
    bytes_of = dict.fromkeys(sorted({block for window in windows.values() for block in window}), unit)
    policy = POLICIES[name](capacity // unit * unit, bytes_of, Counter())
    read, vain, requests, unasked, generated = Counter(), Counter(), Counter(), set(), False

    def fetch(item, asked):
        read[generated] += unit
        before = set(policy.held)
        policy.access(item)
        if not asked:
            unasked.add(item)
        for gone in {*before, item} - set(policy.held):
            vain[generated] += unit if gone in unasked else 0
            unasked.discard(gone)

    for item, generated in string.reads:
        unasked.discard(item)
        if item in policy.held:
            policy.access(item)
            continue
        for other in windows[item]:
            if other != item and other not in policy.held:
                fetch(other, False)
        fetch(item, True)
        requests[generated] += 1
    vain[generated] += unit * len(unasked)
    return read, vain, requests


def read_ahead(string, sizes, blocks, cache, told):
    """(table, words): with read-ahead and without."""
    rows, words, counted = [], [], string.counted
    for name in KINDS:
        for capacity in sizes:
            both = []
            for window in (1, blocks):
                read, vain, requests = simulated(string, name, capacity, window)
                rows.append({
                    "cache_bytes": capacity, "policy": TITLES[name], "blocks": window,
                    "saved": 1 - ratio(sum(read.values()), counted.read_bytes),
                    "read_bytes": ratio(read[True], counted.tokens), "vain_bytes": ratio(vain[True], counted.tokens),
                    "requests": ratio(requests[True], counted.tokens),
                })  # fmt: skip
                both.append(rows[-1])
            if name == "lru" and capacity == told and counted.tokens:
                without, ahead = both
                words = [cache, str(blocks), in_bytes(blocks * string.unit), in_mean_bytes(ahead["read_bytes"]),
                         in_count(int(ahead["requests"] + 0.5)), in_mean_bytes(ahead["vain_bytes"]),
                         in_mean_bytes(without["read_bytes"]), in_count(int(without["requests"] + 0.5))]  # fmt: skip
    return rows, words
