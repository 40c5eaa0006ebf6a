#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""rename_string.py IN OUT OLD NEW: a trace in which a name is another of the same length: any bytes, in hexadecimal."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "format"))
from damage import blocks_of, sealed
from read_trace import BLOCK_NAMES, Trace

source, target, old, new = sys.argv[1:]
old, new = old.encode(), bytes.fromhex(new)
assert len(old) == len(new)
trace = Trace(source)
data = bytearray(trace.data)
found = 0
for at, kind, payload in blocks_of(trace):
    if BLOCK_NAMES[kind] == "STRING" and old in payload:
        block = sealed(at, kind, payload.replace(old, new))
        data[at : at + len(block)] = block
        found += 1
assert found == 1
Path(target).write_bytes(data)
