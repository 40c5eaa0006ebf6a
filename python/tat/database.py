# SPDX-License-Identifier: MIT
"""Traces as tables to query with SQL or Ibis, on embedded DuckDB or on Spark."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import ibis
import numpy as np
import pandas as pd
import pyarrow as pa
from ibis.expr.types import Table

from tat import arrow, dataset, queries, storage
from tat.columns import ACCESS_COLUMNS, Column, named
from tat.errors import ErrorKind, TatError
from tat.filters import Condition
from tat.trace import Trace

Engine = Literal["duckdb", "spark"]
Rows = tuple[list[str], Iterator[Sequence[Any]]]

TABLES = ("accesses", *arrow.TABLES)
BY_HEAD = "accesses_by_head"  # of traces; a dataset has one of both
_BATCH = 4096


class Database:
    """The tables of some traces or of one dataset: runs, accesses, tensors, evaluations, tokens, routing, events, and
    those of I/O events (tat.storage.TABLES).

    `db["accesses"]` is an Ibis table. The first column of every table is the run's name; the other columns of accesses
    are those of `tat export --format csv`. Traces also have a table accesses_by_head: the same records, those of
    attention split by head, as `tat export --heads` gives them.
    """

    def __init__(
        self,
        *paths: str | os.PathLike[str],
        engine: Engine = "duckdb",
        session: Any = None,
        filters: Mapping[str, Condition] | None = None,
    ) -> None:
        """Open traces, or one dataset of `tat parquet`. If none is named, open the newest trace.

        Spark reads datasets only. `session` is its SparkSession; without one, a local session starts. With `filters`
        (doc/filters.md), the tables of accesses hold those records alone that pass; not for a dataset, whose records
        were chosen when it was written. Raises TatError.
        """
        data = [path for path in paths if dataset.is_dataset(Path(path))]
        if data and len(paths) > 1:
            raise TatError(
                ErrorKind.USAGE, f"{data[0]} is a dataset: name it alone, or add the traces to it with `tat parquet`"
            )
        if data and filters:
            raise TatError(
                ErrorKind.USAGE,
                f"{data[0]} is a dataset: use WHERE, or give the filters to `tat parquet` when it writes the dataset",
            )
        self._traces: dict[str, Trace] = {}
        self._late: list[arrow.AccessDataset | arrow.LateTable] = []
        self._backend: Any
        self._names = _tables_in(Path(data[0])) if data else (*TABLES, BY_HEAD)
        if engine == "spark":
            if not data:
                raise TatError(ErrorKind.USAGE, "Spark needs a dataset: make one with `tat parquet TRACE... -o DIR`")
            self._backend = _spark(Path(data[0]), session)
        else:
            self._backend = ibis.duckdb.connect()
            if data:
                _duckdb_views(self._backend.con, Path(data[0]))
            else:
                self._traces = dataset.names_of([Trace(path) for path in paths or [None]])
                self._late = _register(self._backend.con, self._traces, filters or {})

    def __getitem__(self, name: str) -> Table:
        """A table by its name."""
        if name not in self._names:
            raise KeyError(name)
        table: Table = self._backend.table(name)
        return table

    @property
    def tables(self) -> dict[str, Table]:
        """All tables by name."""
        return {name: self[name] for name in self._names}

    def query(self, name: str) -> pd.DataFrame:
        """What a query template finds (tat.queries.QUERIES). Raises TatError (USAGE) for an unknown name."""
        frame: pd.DataFrame = self._expression(name).to_pandas()
        return frame

    def query_sql(self, name: str) -> str:
        """The SQL of a query template for this engine."""
        return str(self._backend.compile(self._expression(name)))

    def sql(self, text: str) -> pd.DataFrame:
        """What a statement in this engine's SQL finds. Raises TatError (USAGE) with the engine's message."""
        names, rows = self.rows(text)
        return pd.DataFrame(rows, columns=pd.Index(names))

    def rows(self, text: str) -> Rows:
        """The same as names and rows, which are made as they are read. Raises TatError, even while they are read."""
        return (
            _duckdb_rows(self._backend.con, text, self._late)
            if self._backend.name == "duckdb"
            else _spark_rows(self._backend, text)
        )

    def close(self) -> None:
        """Close the traces. A session that the caller gave stays open."""
        self._backend.disconnect()
        for trace in self._traces.values():
            trace.close()

    def __enter__(self) -> Database:
        """Return itself; it is closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def _expression(self, name: str) -> Table:
        if name not in queries.QUERIES:
            raise TatError(ErrorKind.USAGE, f"there is no query '{name}'; choose from {', '.join(queries.QUERIES)}")
        try:
            return queries.QUERIES[name](self.tables)
        except KeyError as error:
            raise TatError(
                ErrorKind.NO, f"{name}: an older tat wrote the dataset, without the table {error}"
            ) from error


def _tables_in(folder: Path) -> tuple[str, ...]:
    """Those of a dataset. One of an older version has no I/O events."""
    return tuple(table for table in TABLES if table not in storage.TABLES or (folder / table).exists())


# ------------------------------------------------------------------------------------------------------------ DuckDB


def _register(
    connection: Any, traces: dict[str, Trace], filters: Mapping[str, Condition]
) -> list[arrow.AccessDataset | arrow.LateTable]:
    """Tables of traces as they are. Returns those that are made as they are read: access records, I/O events."""

    def of_run(name: str, columns: list[Column]) -> pa.RecordBatch:
        return arrow.batch([named("run", np.zeros(len(columns[0].values), np.int32), [name]), *columns])

    def whole(table: str) -> pa.Table:
        return pa.Table.from_batches(
            [of_run(name, columns) for name, trace in traces.items() for columns in arrow.TABLES[table](trace)]
        )

    late: dict[str, arrow.AccessDataset | arrow.LateTable] = {
        "accesses": arrow.AccessDataset(traces, filters),
        BY_HEAD: arrow.AccessDataset(traces, {"heads": True, **filters}),
    }
    for name in arrow.TABLES:
        if name in storage.TABLES:
            empty = of_run("", storage.TABLES[name].empty(next(iter(traces.values()))))
            late[name] = arrow.LateTable(empty.schema, partial(whole, name))
        else:
            connection.register(name, whole(name))
    for name, table in late.items():
        connection.register(name, table)
    return list(late.values())


def _duckdb_views(connection: Any, folder: Path) -> None:
    for table in _tables_in(folder):
        files = str(folder.resolve() / table / "**" / dataset.FILE).replace("'", "''")
        types = "{'run': VARCHAR, 'phase': VARCHAR, 'layer': INTEGER}" if table == "accesses" else "{'run': VARCHAR}"
        source = f"read_parquet('{files}', hive_partitioning = true, hive_types = {types})"
        columns = ", ".join(_columns(table))
        connection.execute(f"CREATE VIEW {table} AS SELECT {columns} FROM {source}")


def _columns(table: str) -> list[str]:
    """The run first, then the table's own columns in their order."""
    return ["run", *(f'"{name}"' for name in ACCESS_COLUMNS)] if table == "accesses" else ["run", "* EXCLUDE (run)"]


def _duckdb_rows(connection: Any, text: str, late: list[arrow.AccessDataset | arrow.LateTable]) -> Rows:
    import duckdb  # noqa: PLC0415  (Ibis has loaded it)

    def fail(error: duckdb.Error) -> TatError:
        for table in late:
            if table.failure:
                return table.failure
        refused = isinstance(error, (duckdb.IOException, duckdb.OutOfMemoryException))
        return TatError(ErrorKind.SYSTEM if refused else ErrorKind.USAGE, str(error))

    def rows(cursor: Any) -> Iterator[Sequence[Any]]:
        try:
            while batch := cursor.fetchmany(_BATCH):
                yield from batch
        except duckdb.Error as error:
            raise fail(error) from error

    try:
        cursor = connection.execute(text)
    except duckdb.Error as error:
        raise fail(error) from error
    return [column[0] for column in cursor.description or []], rows(cursor)


# ------------------------------------------------------------------------------------------------------------- Spark


def _spark(folder: Path, session: Any) -> Any:
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415  (heavy, and few have it)
        from pyspark.sql import functions as f  # noqa: PLC0415
    except ImportError as error:
        raise TatError(ErrorKind.SYSTEM, "Spark is not installed: pip install 'ibis-framework[pyspark]'") from error
    if session is None:
        builder = SparkSession.builder.appName("tat").master("local[*]")
        settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false"}
        settings |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
        for key, value in settings.items():
            builder = builder.config(key, value)
        session = builder.getOrCreate()
    session.conf.set("spark.sql.sources.partitionColumnTypeInference.enabled", "false")  # a run may be called 1
    for table in _tables_in(folder):
        frame = session.read.parquet(str(folder.resolve() / table))
        if table == "accesses":
            columns = [
                f.col("layer").cast("int").alias("layer") if name == "layer" else name for name in ACCESS_COLUMNS
            ]
            frame = frame.select("run", *columns)
        else:
            frame = frame.select("run", *(name for name in frame.columns if name != "run"))
        frame.createOrReplaceTempView(table)
    return ibis.pyspark.connect(session)


def _spark_rows(backend: Any, text: str) -> Rows:
    from pyspark.errors import PySparkException  # noqa: PLC0415

    def rows(frame: Any) -> Iterator[Sequence[Any]]:
        try:
            yield from frame.toLocalIterator()
        except PySparkException as error:
            raise TatError(ErrorKind.SYSTEM, str(error)) from error

    try:
        frame = backend._session.sql(text)
    except PySparkException as error:
        raise TatError(ErrorKind.USAGE, str(error)) from error
    return list(frame.columns), rows(frame)
