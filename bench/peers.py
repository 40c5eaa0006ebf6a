# SPDX-License-Identifier: MIT
"""The same three aggregates by tat, DuckDB and Polars over Parquet, and pandas over the flat records, in turn.

    peers.py TRACE FOLDER ROUNDS

Hottest tensors (20, by bytes), bytes by layer, and bytes by token and layer, of prompt and generation. FOLDER gets the
Parquet file, with just the columns that are needed, and the flat records; what is loaded is in the page cache. Each
answers in tables of its own kind: making them comparable is not timed. Prints a table of medians in seconds, with
loading and without, and fails where the results are not the same.
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
#: The answer as the engine gives it, and what makes it comparable.
Answering = Callable[[], tuple[Any, Any, Any]]
Comparing = Callable[[Any, Any, Any], Answer]


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


def by_tat(trace: Path) -> tuple[object, Answering, Comparing]:
    """Open a trace; the C library multiplies."""
    t = tat.TraceAnalyzer(trace)

    def answer() -> tuple[pd.Series[int], pd.Series[int], pd.DataFrame]:
        cells = t.matrix(by="layer")
        return t.totals(by="tensor").nlargest(HOTTEST), cells.sum(), cells

    def compare(tensors: pd.Series[int], layers: pd.Series[int], cells: pd.DataFrame) -> Answer:
        evaluation, values = cells.index.get_level_values("evaluation").to_numpy(), cells.to_numpy()
        number = [65535 if n == -1 else n for n in map(int, cells.columns.to_list())]
        places = np.argwhere(values).tolist()
        matrix = {(int(evaluation[row]), number[column]): int(values[row, column]) for row, column in places}
        return by_number(tensors), dict(zip(number, layers.to_list(), strict=True)), matrix

    return t, answer, compare


def by_pandas(flat: Path) -> tuple[object, Answering, Comparing]:
    """Read flat records into a data frame."""
    records = np.fromfile(flat, dtype=tat.ACCESS)
    frame = pd.DataFrame({name: records[name] for name in ("evaluation", "tensor", "layer", "bytes")})
    frame["phase"] = records["flags"] >> 8 & 7

    def answer() -> tuple[pd.Series[int], pd.Series[int], pd.Series[int]]:
        used = frame[frame["phase"].isin(INFERENCE) & (frame["bytes"] > 0)]
        tensors, layers = used.groupby("tensor")["bytes"].sum(), used.groupby("layer")["bytes"].sum()
        return tensors.nlargest(HOTTEST), layers, used.groupby(["evaluation", "layer"])["bytes"].sum()

    def compare(tensors: pd.Series[int], layers: pd.Series[int], cells: pd.Series[int]) -> Answer:
        places: list[tuple[int, int]] = cells.index.to_list()
        return by_number(tensors), by_number(layers), dict(zip(places, cells.to_list(), strict=True))

    return frame, answer, compare


def by_polars(parquet: Path) -> tuple[object, Answering, Comparing]:
    """Read Parquet into a data frame."""
    frame = pl.read_parquet(parquet)

    def answer() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        used = frame.lazy().filter(pl.col("phase").is_in(INFERENCE) & (pl.col("bytes") > 0))
        total = pl.col("bytes").sum()
        tensors = used.group_by("tensor").agg(total).sort(["bytes", "tensor"], descending=[True, False]).head(HOTTEST)
        found = pl.collect_all([tensors, used.group_by("layer").agg(total), used.group_by("evaluation", "layer").agg(total)])
        return found[0], found[1], found[2]

    def compare(tensors: pl.DataFrame, layers: pl.DataFrame, cells: pl.DataFrame) -> Answer:
        return dict(tensors.iter_rows()), dict(layers.iter_rows()), {(e, n): b for e, n, b in cells.iter_rows()}

    return frame, answer, compare


def by_duckdb(parquet: Path) -> tuple[object, Answering, Comparing]:
    """Load Parquet into a table in memory."""
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE records AS SELECT * FROM read_parquet('{parquet}')")

    def fetch(keys: str, end: str = "") -> pa.Table:
        sums = f"SELECT {keys}, sum(bytes)::BIGINT AS bytes FROM records WHERE phase IN {INFERENCE} AND bytes > 0"
        return connection.sql(f"{sums} GROUP BY {keys} {end}").to_arrow_table()

    def answer() -> tuple[pa.Table, pa.Table, pa.Table]:
        hottest = fetch("tensor", f"ORDER BY bytes DESC, tensor LIMIT {HOTTEST}")
        return hottest, fetch("layer"), fetch("evaluation, layer")

    def compare(tensors: pa.Table, layers: pa.Table, cells: pa.Table) -> Answer:
        def rows(table: pa.Table) -> Any:
            return zip(*(column.to_pylist() for column in table.columns), strict=True)

        return dict(rows(tensors)), dict(rows(layers)), {(e, n): b for e, n, b in rows(cells)}

    return connection, answer, compare


def by_number(sums: pd.Series) -> dict[int, int]:
    """A series as plain numbers."""
    return {int(key): int(value) for key, value in zip(sums.index.to_list(), sums.to_list(), strict=True)}


def main() -> int:
    """Measure in turn, compare, print."""
    trace, folder, rounds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    flat, parquet = write_files(trace, folder)
    peers: dict[str, Callable[[], tuple[object, Answering, Comparing]]] = {
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
            held, answer, compare = load()
            loaded = time.perf_counter()
            found = answer()
            end = time.perf_counter()
            loading[name].append(loaded - begin)
            answering[name].append(end - loaded)
            if name not in answers:
                answers[name] = compare(*found)
            del held, answer, compare, found
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
