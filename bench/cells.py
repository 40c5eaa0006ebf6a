# SPDX-License-Identifier: MIT
"""What the benchmarks of models that do not fit in memory share: pressure.py and optimise.py."""

import csv
import mmap
import os
import random
import statistics
import subprocess
import threading
import time
from pathlib import Path

MIB = 1 << 20
Row = dict[str, object]


def compiled(folder: Path) -> Path:
    """bench/mapping.c, to be preloaded."""
    library = folder / "mapping.so"
    source = Path(__file__).parent / "mapping.c"
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


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


def disk_rate_at_once(model: Path, block: int, at_once: int = 8, most: int = 256 * MIB) -> float:
    """Bytes a second, read past the page cache in blocks anywhere in the file, several at once."""
    places = [block * i for i in range(model.stat().st_size // block)]
    places = random.Random(0).sample(places, min(len(places), most // block))
    fd = os.open(model, os.O_RDONLY | os.O_DIRECT)

    def read(mine: list[int]) -> None:
        buffer = mmap.mmap(-1, block)
        for place in mine:
            os.preadv(fd, [buffer], place)

    threads = [threading.Thread(target=read, args=(places[i::at_once],)) for i in range(at_once)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begin
    os.close(fd)
    return block * len(places) / seconds


def digits(value: float) -> str:
    """Three digits, as `tat` writes figures: 1,480; 72.6; 0.51."""
    return f"{value:,.0f}" if abs(value) >= 99.95 else f"{value:.3g}"


def spread(rows: list[Row], name: str, divide: float = 1) -> str:
    """The median, and from the least to the most where there are several."""
    values = sorted(float(r[name]) / divide for r in rows if r.get(name) is not None)  # type: ignore[arg-type]
    if not values:
        return "-"
    median, least, most = (digits(value) for value in (statistics.median(values), values[0], values[-1]))
    return f"{median} ({least} to {most})" if least != most else median


def conditions(command: str, rounds: int) -> str:
    return (f"`{command}`, {time.strftime('%Y-%m-%d', time.gmtime())}: {rounds} round{'s' * (rounds != 1)}, each in random "
            f"order; {os.cpu_count()} CPUs, Linux {os.uname().release}. Figures are medians, with the least and the most.")


def write_csv(rows: list[Row], path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list({name: None for row in rows for name in row}))
        writer.writeheader()
        writer.writerows(rows)


def numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]
