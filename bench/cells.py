# SPDX-License-Identifier: MIT
"""What the benchmarks of models that do not fit in memory share: pressure.py and optimise.py."""

import contextlib
import csv
import ctypes
import math
import mmap
import os
import random
import statistics
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MIB = 1 << 20
Row = dict[str, Any]


def compiled(folder: Path) -> Path:
    """bench/mapping.c, to be preloaded."""
    library = folder / "mapping.so"
    source = Path(__file__).parent / "mapping.c"
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


# ---- the disk ----


def disk_rate(model: Path, block: int = MIB, most: int = 256 * MIB) -> float:
    """Bytes a second, read in order past the page cache."""
    buffer = mmap.mmap(-1, block)
    fd = os.open(model, os.O_RDONLY | os.O_DIRECT)
    begin, done = time.monotonic(), 0
    try:
        while done < most and (n := os.readv(fd, [buffer])) > 0:
            done += n
            if n < block:
                break
    finally:
        os.close(fd)
    return done / (time.monotonic() - begin)


def large_pages(size: int) -> memoryview:
    """Memory in large pages, where the kernel has some: a read into it is then one piece of memory."""
    large, collapse = 2 * MIB, 25  # MADV_COLLAPSE
    memory = mmap.mmap(-1, size + 2 * large, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    begin = -ctypes.addressof(ctypes.c_char.from_buffer(memory)) % large
    for advice in (mmap.MADV_HUGEPAGE, collapse):
        with contextlib.suppress(OSError):
            memory.madvise(advice)
        memory[:: mmap.PAGESIZE] = bytes(len(memory) // mmap.PAGESIZE)  # it is there
    return memoryview(memory)[begin : begin + size]


def disk_rate_at_once(model: Path, block: int, at_once: int = 8, most: int = 256 * MIB) -> float:
    """Bytes a second, read past the page cache in blocks anywhere in the file, several at once, into large pages: as
    what manages memory reads."""
    places = [block * i for i in range(model.stat().st_size // block)]
    places = random.Random(0).sample(places, min(len(places), most // block))
    fd = os.open(model, os.O_RDONLY | os.O_DIRECT)
    memory = large_pages(at_once * block)

    def read(thread: int) -> None:
        buffer = memory[thread * block : (thread + 1) * block]
        for place in places[thread::at_once]:
            os.preadv(fd, [buffer], place)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(at_once)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begin
    os.close(fd)
    return block * len(places) / seconds


# ---- figures ----


def digits(value: float) -> str:
    """Three digits, as `tat` writes figures: 1,480; 72.6; 0.51. Less than 0.001 is nothing."""
    return f"{value:,.0f}" if abs(value) >= 99.95 or abs(value) < 0.001 else f"{value:.3g}"


def interval(values: Iterable[float]) -> tuple[float, float, float]:
    """The median, and the interval that holds it with 95 % certainty whatever the distribution: from one value to
    another in their order. Fewer than six values have none; then from the least to the most."""
    ordered = sorted(values)
    n, below, outside = len(ordered), 0, 0.0
    while outside + math.comb(n, below) / 2**n <= 0.025:  # on each side
        outside += math.comb(n, below) / 2**n
        below += 1
    first = max(0, below - 1)
    return statistics.median(ordered), ordered[first], ordered[n - 1 - first]


def spread_of(values: Iterable[float]) -> str:
    """The median with its interval, if there is more than one value."""
    known = list(values)
    if not known:
        return "-"
    median, low, high = (digits(value) for value in interval(known))
    return f"{median} ({low} to {high})" if low != high else median


def spread(rows: list[Row], name: str, divide: float = 1) -> str:
    return spread_of(r[name] / divide for r in rows if r.get(name) is not None)


def conditions(command: str, rounds: int) -> str:
    return (f"`{command}`, {time.strftime('%Y-%m-%d', time.gmtime())}: {rounds} round{'s' * (rounds != 1)}, each in random "
            f"order; {os.cpu_count()} CPUs, Linux {os.uname().release}. {INTERVALS}")


INTERVALS = ("Figures are medians; behind them the interval that holds the median with 95 % certainty or, of fewer than six "
             "runs, the least and the most.")


# ---- rows ----


def write_csv(rows: list[Row], path: Path) -> None:
    new = path.with_name(path.name + ".new")
    with new.open("w", newline="") as file:
        writer = csv.DictWriter(file, list({name: None for row in rows for name in row}))
        writer.writeheader()
        writer.writerows(rows)
    new.replace(path)


def value_of(text: str) -> str | int | float:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text


def read_csv(path: Path, texts: set[str]) -> list[Row]:
    """As written: numbers as numbers, but in the columns of texts; what a row has not got is not there."""
    with path.open(newline="") as file:
        return [{name: text if name in texts else value_of(text) for name, text in row.items() if text}
                for row in csv.DictReader(file)]


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]
