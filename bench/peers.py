# SPDX-License-Identifier: MIT
"""The same three aggregates by tat, DuckDB and Polars over Parquet, and pandas over the flat records, in turn.

    peers.py TRACE FOLDER ROUNDS

Hottest tensors (20, by bytes), bytes by layer, and bytes by token and layer, of prompt and generation. FOLDER gets the
Parquet file, with just the columns that are needed, and the flat records; what is loaded is in the page cache. Prints a
table of medians in seconds, with loading and without, and fails where the results are not the same.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

import tat

HOTTEST = 20
INFERENCE = (1, 2, 3, 5, 6)  # enum tat_phase
CHUNK = 500  # evaluations made into records at a time

#: Bytes of the hottest tensors, by layer, and by evaluation and layer: dictionaries, so that they compare.
Answer = tuple[dict[int, int], dict[int, int], dict[tuple[int, int], int]]


def columns_of(records: npt.NDArray[np.void]) -> pa.Table:
    """The columns that the aggregates need."""
    return pa.table(
        {
            "evaluation": records["evaluation"],
            "tensor": records["tensor"],
            "layer": records["layer"],
            "phase": (records["flags"] >> 8 & 7).astype(np.uint8),
            "bytes": records["bytes"],
        }
    )


def write_files(trace: Path, folder: Path) -> tuple[Path, Path]:
    """Write the records of a trace as Parquet and flat."""
    flat, parquet = folder / "records.bin", folder / "records.parquet"
    with tat.TraceAnalyzer(trace) as t, flat.open("wb") as out:
        count, writer = len(t.trace.evaluations), None
        for first in range(0, count, CHUNK):
            wanted = np.zeros(count, dtype=bool)
            wanted[first : first + CHUNK] = True
            records = t.trace.accesses(evaluations=wanted)
            table = columns_of(records)
            writer = writer or pq.ParquetWriter(parquet, table.schema, compression="zstd")
            writer.write_table(table)
            records.tofile(out)
        if writer:
            writer.close()
    return flat, parquet


def by_tat(trace: Path) -> tuple[object, Callable[[], Answer]]:
    """Open a trace; the C library multiplies."""
    t = tat.TraceAnalyzer(trace)

    def answer() -> Answer:
        cells = t.matrix(by="layer", value="bytes", phases=tat._abi.INFERENCE)
        tensors = t.matrix(by="tensor", value="bytes", phases=tat._abi.INFERENCE).sum()
        evaluation = cells.index.get_level_values("evaluation").to_numpy()
        values, names = cells.to_numpy(), [65535 if c == -1 else c for c in map(int, cells.columns.to_list())]
        rows, places = np.nonzero(values)
        matrix = {
            (int(evaluation[r]), names[p]): int(v) for r, p, v in zip(rows, places, values[rows, places], strict=True)
        }
        layers = {name: int(v) for name, v in zip(names, values.sum(axis=0), strict=True)}
        return top(by_number(tensors)), layers, matrix

    return t, answer


def by_pandas(flat: Path) -> tuple[object, Callable[[], Answer]]:
    """Read flat records into a data frame."""
    records = np.fromfile(flat, dtype=tat.ACCESS)
    frame = pd.DataFrame({name: records[name] for name in ("evaluation", "tensor", "layer", "bytes")})
    frame["phase"] = records["flags"] >> 8 & 7

    def answer() -> Answer:
        used = frame[frame["phase"].isin(INFERENCE) & (frame["bytes"] > 0)]
        tensors = used.groupby("tensor")["bytes"].sum()
        layers = used.groupby("layer")["bytes"].sum()
        matrix = used.groupby(["evaluation", "layer"])["bytes"].sum()
        cells = zip(matrix.index.to_list(), matrix.to_list(), strict=True)
        return top(by_number(tensors)), by_number(layers), {(e, n): b for (e, n), b in cells}

    return frame, answer


def by_polars(parquet: Path) -> tuple[object, Callable[[], Answer]]:
    """Read Parquet into a data frame."""
    frame = pl.read_parquet(parquet)

    def answer() -> Answer:
        used = frame.filter(pl.col("phase").is_in(INFERENCE) & (pl.col("bytes") > 0))
        total = pl.col("bytes").sum()
        tensors = used.group_by("tensor").agg(total)
        layers = used.group_by("layer").agg(total)
        matrix = used.group_by("evaluation", "layer").agg(total)
        return top(dict(tensors.iter_rows())), dict(layers.iter_rows()), {(e, n): b for e, n, b in matrix.iter_rows()}

    return frame, answer


def by_duckdb(parquet: Path) -> tuple[object, Callable[[], Answer]]:
    """Load Parquet into a table in memory."""
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE records AS SELECT * FROM read_parquet('{parquet}')")

    def fetch(keys: str) -> list[Any]:
        sums = f"SELECT {keys}, sum(bytes)::BIGINT FROM records WHERE phase IN {INFERENCE} AND bytes > 0 GROUP BY {keys}"
        return connection.execute(sums).fetchall()

    def answer() -> Answer:
        tensors: dict[int, int] = dict(fetch("tensor"))
        layers: dict[int, int] = dict(fetch("layer"))
        return top(tensors), layers, {(e, n): b for e, n, b in fetch("evaluation, layer")}

    return connection, answer


def by_number(sums: pd.Series) -> dict[int, int]:
    """A series as plain numbers."""
    return {int(key): int(value) for key, value in zip(sums.index.to_list(), sums.to_list(), strict=True)}


def top(tensors: dict[int, int]) -> dict[int, int]:
    """The hottest tensors; where bytes tie, the lowest number."""
    return dict(sorted(tensors.items(), key=lambda item: (-item[1], item[0]))[:HOTTEST])


def main() -> int:
    """Measure in turn, compare, print."""
    trace, folder, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    flat, parquet = write_files(trace, folder)
    peers: dict[str, Callable[[], tuple[object, Callable[[], Answer]]]] = {
        "tat, its trace": lambda: by_tat(trace),
        "Polars, Parquet": lambda: by_polars(parquet),
        "DuckDB, Parquet": lambda: by_duckdb(parquet),
        "pandas, flat records": lambda: by_pandas(flat),
    }
    loading: dict[str, list[float]] = {name: [] for name in peers}
    answering: dict[str, list[float]] = {name: [] for name in peers}
    answers: dict[str, Answer] = {}
    for _ in range(rounds):
        for name, load in peers.items():
            begin = time.perf_counter()
            held, answer = load()
            loaded = time.perf_counter()
            found = answer()
            end = time.perf_counter()
            loading[name].append(loaded - begin)
            answering[name].append(end - loaded)
            answers.setdefault(name, found)
            del held
    print(f"{'':22} {'loading':>9} {'answering':>10} {'together':>9}   seconds, medians of {rounds}")
    for name in peers:
        alone, answered = statistics.median(loading[name]), statistics.median(answering[name])
        both = statistics.median(a + b for a, b in zip(loading[name], answering[name], strict=True))
        print(f"{name:22} {alone:9.3f} {answered:10.3f} {both:9.3f}")
    first = next(iter(answers.values()))
    different = [name for name, found in answers.items() if found != first]
    print("the results are the same" if not different else f"DIFFERENT RESULTS: {', '.join(different)}")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
