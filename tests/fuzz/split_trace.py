#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Takes a trace apart into what fuzz_trace reads: type, length and payload of each block.

usage: split_trace.py TRACE [EVALUATIONS] > SEED      evaluations: the most that are kept (2)
"""
import struct
import sys

HEADER_BYTES, EVALUATION = 4096, 4

trace = open(sys.argv[1], "rb").read()
left = int(sys.argv[2]) if len(sys.argv) > 2 else 2
at = HEADER_BYTES
while at + 24 <= len(trace) and trace[at : at + 4] == b"TATB":
    kind, size = struct.unpack_from("<HxxI", trace, at + 4)
    left -= kind == EVALUATION
    if (kind != EVALUATION or left >= 0) and size < 65536:
        sys.stdout.buffer.write(struct.pack("<BH", kind, size) + trace[at + 24 : at + 24 + size])
    at += (24 + size + 7) & ~7
