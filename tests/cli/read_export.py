#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""read_export.py FILE...: records, bytes and the sum of all offsets in exported files, read without the project's code.
They must be the same in all; prints them once."""

import csv
import json
import struct
import sys

RECORD = struct.Struct("<8xQQ40x")


def read_csv(path):
    with open(path, newline="") as file:
        rows = csv.reader(file)
        names = next(rows)
        offset, size = names.index("offset"), names.index("size")
        return [(int(row[offset]), int(row[size])) for row in rows if row[len(names) - 1] and len(row) == len(names)]


def read_jsonl(path):
    with open(path) as file:
        return [(a["offset"], a["size"]) for a in map(json.loads, file)]


def read_bin(path):
    with open(path, "rb") as file:
        return list(RECORD.iter_unpack(file.read()))


def sums(path):
    read = {"csv": read_csv, "jsonl": read_jsonl, "bin": read_bin}[path.rsplit(".", 1)[1]]
    offsets, sizes = zip(*read(path))
    return len(sizes), sum(sizes), sum(offsets)


found = {path: sums(path) for path in sys.argv[1:]}
if len(set(found.values())) != 1:
    sys.exit(f"they differ: {found}")
print(*next(iter(found.values())))
