# SPDX-License-Identifier: MIT
"""make_io.py TRACE FOLDER: I/O events of a run of the toy model, and block traces of the same requests.

Some operations of the run wait for the page of a weight. Each of these pages was read by one request, just before. FOLDER
gets a copy of the trace with the faults in its io_events.bin, and:

    map.json, map.txt  where the model lies on disk 8:0, on a partition that begins at sector 2048: in two extents, the
                       second half first
    blk.txt            the requests as the kernel's blk tracer prints them, on another clock, among others
    biosnoop.txt       the same as biosnoop prints them
    sda.blktrace.N     the same as blktrace keeps them for two processors, by CLOCK_MONOTONIC, with the time of day
    facts.json         what there is: faults, requests, bytes, the clock's offset
"""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(os.environ["SOURCE"], "tests", "python")))

from io_file import IN_FILE, MAJOR, Fault, IoFile, copy

PAGE, SECTOR, PARTITION, HALF = 4096, 512, 2048 * 512, 32 * 4096
SHIFT = 1_234_567_890_123  # nanoseconds by which the block trace's clock is behind


def reads(trace: Path) -> list[dict[str, int]]:
    """The first read of a weight in some of the nodes."""
    lines = subprocess.check_output([os.environ["TAT"], "dump", "--kinds", "weights", "--json", trace], text=True)
    found: list[dict[str, int]] = []
    for line in lines.splitlines():
        a = json.loads(line)
        timed = a["duration_ns"] and a["size"] and a["stride"] is None
        if timed and (not found or found[-1]["start_ns"] < a["start_ns"]):
            found.append(a)
    return found[::11]


def base(trace: Path) -> int:
    """Where the model's file is mapped."""
    with (trace / "tensor_names.txt").open() as names:
        columns = names.readline().rstrip("\n").split("\t")
        for line in names:
            row = dict(zip(columns, line.rstrip("\n").split("\t"), strict=True))
            if row["kind"] == "weight" and row["address"]:
                return int(row["address"], 16) - int(row["file_offset"])
    raise SystemExit("no weight is mapped")


def record(ns: int, sector: int, action: int, category: int, pid: int, data: bytes = b"") -> bytes:
    """struct blk_io_trace of disk 8:0."""
    size = PAGE if sector else 0
    known = 0x65617407, 0, ns, sector, size, category << 16 | action, pid, 8 << 20, 0, 0, len(data)
    return struct.pack("<IIQQIIIIIHH", *known) + data


def main() -> None:
    trace, folder = Path(sys.argv[1]), Path(sys.argv[2])
    header = (trace / "tensor_access.bin").read_bytes()[:4096]
    start, pid = int.from_bytes(header[40:48], "little"), int.from_bytes(header[72:76], "little")
    model = trace.parent / "toy.gguf"
    size = model.stat().st_size
    blocks = -(-size // PAGE)
    run = copy(trace, str(folder.relative_to(trace.parent)))
    file = IoFile()
    realtime = int.from_bytes(header[32:40], "little")
    wall = realtime - 1_000_000  # a millisecond before the trace began
    told = struct.pack("<II", wall // 10**9, wall % 10**9)
    blk, snoop, pages = [], [], set()
    binary = [record(start - 1_000_000, 0, 1, 1 << 10, 0, told), b""]
    address = base(trace)
    for i, a in enumerate(reads(trace)):
        page = a["offset"] // PAGE
        end = start + a["start_ns"] + a["duration_ns"] - 1
        file.faults.append(Fault(end, 400, 0, address + a["offset"], pid, pid, MAJOR | IN_FILE))
        at = page * PAGE
        sector = (PARTITION + (1 << 20) + (at + HALF if at < HALF else at - HALF)) // SECTOR
        done = end - 100 - SHIFT
        blk.append((done - 250, f"{'D':>2} {'R':>3} {sector} + 8 [fake host]"))
        blk.append((done, f"{'C':>2} {'R':>3} {sector} + 8 [0]"))
        snoop.append(f"{done / 1e9:<11.9f} {'fake host':<14} {pid:<7} sda R {sector} {PAGE} 0.00025")
        pages.add(page)
        binary[i % 2] += record(end - 350, sector, 7, 1 | 1 << 6, pid)
        binary[1 - i % 2] += record(end - 100, sector, 8, 1 | 1 << 7, 0)
        if i % 5 == 0:
            blk.append((done - 50, f"{'D':>2} {'WS':>3} 64 + 8 [kworker/0:1H]"))
            blk.append((done - 20, f"{'C':>2} {'WS':>3} 64 + 8 [0]"))
    file.write(run)
    with (run / "blk.txt").open("w") as out:
        out.write("# tracer: blk\n#\n")
        for ns, text in sorted(blk):
            out.write(f"       fake host-{pid}  [001] d..1. {ns // 10**9}.{ns % 10**9:09d}:   8,0   {text}\n")
    header_line = "TIME(s) COMM PID DISK T SECTOR BYTES LAT(ms)"
    (run / "biosnoop.txt").write_text("\n".join([header_line, *snoop, ""]))
    for cpu in range(2):
        (run / f"sda.blktrace.{cpu}").write_bytes(binary[cpu])
    half = HALF // PAGE
    begin = (1 << 20) // PAGE
    extents = [[0, PARTITION + (1 << 20) + HALF, HALF], [HALF, PARTITION + (1 << 20), (blocks - half) * PAGE]]
    described = {"path": str(model), "bytes": size, "disk": "8:0", "disk_name": "sda", "extents": extents}
    (run / "map.json").write_text(json.dumps({"tat_disk_map": 1, "files": [described]}))
    (run / "map.txt").write_text(
        f"File size of {model} is {size} ({blocks} blocks of {PAGE} bytes)\n"
        f"   0: 0.. {half - 1}: {begin + half}.. {begin + 2 * half - 1}: {half}:\n"
        f"   1: {half}.. {blocks - 1}: {begin}.. {begin + blocks - half - 1}: {blocks - half}: last,eof\n"
    )
    facts = {"faults": len(file.faults), "pages": len(pages), "offset_ns": SHIFT, "writes": -(-len(file.faults) // 5)}
    (run / "facts.json").write_text(json.dumps(facts))


main()
