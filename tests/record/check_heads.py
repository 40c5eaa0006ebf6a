#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_heads.py TAT TRACE [COMPONENT=HEADS...]: attention split by head is what it was whole. For every operand of every
node the bytes are as many; in the first two evaluations they are the same bytes, none twice. The components named must
have been split into so many heads, wherever they are read by a product or flash attention, or written."""

import csv
import subprocess
import sys
from collections import Counter, defaultdict

ACCESSED_BY = {"MUL_MAT", "FLASH_ATTN_EXT"}
SEEN_CLOSELY = 2


def records(*arguments):
    process = subprocess.Popen([tat, "export", *arguments, trace], stdout=subprocess.PIPE, text=True)
    yield from csv.DictReader(process.stdout)
    assert process.wait() == 0


def runs_of(record):
    count, size = int(record["count"]), int(record["size"])
    for i in range(count):
        first = int(record["offset"]) + i * int(record["stride"] or 0)
        yield first, first + size // count


def merged(runs):
    runs = sorted(runs)
    out = []
    for first, last in runs:
        if out and first <= out[-1][1]:
            assert first == out[-1][1], f"twice: {first}"
            out[-1][1] = last
        elif first < last:
            out.append([first, last])
    return out


def collect(*arguments):
    sizes, runs, heads = Counter(), defaultdict(list), defaultdict(set)
    for record in records(*arguments):
        key = record["graph"], record["node"], record["operand"]
        sizes[key] += int(record["size"])
        if int(record["graph"]) < SEEN_CLOSELY and record["count"]:
            runs[key] += runs_of(record)
        if int(record["size"]) and (record["op"] in ACCESSED_BY or record["access"] == "write"):
            heads[record["component"]].add(record["head"])
    return sizes, {key: merged(all_of) for key, all_of in runs.items()}, heads


tat, trace, *expected = sys.argv[1:]
sizes, runs, _ = collect()
part_sizes, part_runs, heads = collect("--heads")
assert sizes and sizes == part_sizes, "sizes differ"
assert runs == part_runs, "bytes differ"
for component, count in (pair.split("=") for pair in expected):
    wanted = {str(head) for head in range(int(count))}
    assert heads[component] == wanted, f"{component}: heads {sorted(heads[component])}"
split = {component: len(names) for component, names in heads.items() if names != {""}}
print(f"{len(sizes)} operands, {sum(sizes.values())} bytes; split: {split}")
