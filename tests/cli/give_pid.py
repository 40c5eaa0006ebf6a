#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""give_pid.py TRACE PID [HOURS]: lets process PID be the one that wrote a trace, and so many hours earlier."""

import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "format"))
from read_trace import xxh64

HEADER, REALTIME, PID, CHECKSUM = 4096, 32, 72, 4088

path, pid, hours = Path(sys.argv[1]), int(sys.argv[2]), int((sys.argv[3:] or ["0"])[0])
with path.open("r+b") as file:
    header = bytearray(file.read(HEADER))
    (began,) = struct.unpack_from("<Q", header, REALTIME)
    struct.pack_into("<Q", header, REALTIME, began - hours * 3600 * 10**9)
    struct.pack_into("<I", header, PID, pid)
    struct.pack_into("<Q", header, CHECKSUM, xxh64(bytes(header[:CHECKSUM])))
    file.seek(0)
    file.write(header)
