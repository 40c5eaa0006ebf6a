#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""read_export.py FILE...: records, bytes, nanoseconds and the sum of all offsets in exported files, read without the
project's code. They must be the same in all; prints them once."""

import csv
import json
import struct
import sys

RECORD = struct.Struct("<QQQI36x")


def rows_of(path):
    if path.endswith(".csv"):
        with open(path, newline="") as file:
            rows = csv.reader(file)
            names = next(rows)
            at = [names.index(n) for n in ("start_ns", "offset", "size", "duration_ns")]
            for row in rows:
                if len(row) != len(names):
                    sys.exit(f"{path}: {row}")
                yield [int(row[i]) for i in at]
    elif path.endswith(".jsonl"):
        with open(path) as file:
            for line in file:
                a = json.loads(line)
                yield a["start_ns"], a["offset"], a["size"], a["duration_ns"]
    else:
        with open(path, "rb") as file:
            while block := file.read(64 << 14):
                yield from RECORD.iter_unpack(block)


def sums(path):
    count = size = nanoseconds = offsets = 0
    for _, offset, bytes_, duration in rows_of(path):
        count += 1
        size += bytes_
        nanoseconds += duration
        offsets += offset
    return count, size, nanoseconds, offsets


found = {path: sums(path) for path in sys.argv[1:]}
if len(set(found.values())) != 1:
    sys.exit(f"they differ: {found}")
print(*next(iter(found.values())))
