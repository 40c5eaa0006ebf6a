# SPDX-License-Identifier: MIT
"""A trace as Arrow tables, and its access records as a stream of batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds

from tat import storage, tables
from tat.columns import ACCESS_COLUMNS, Column, Vocabulary, access_columns, named, number
from tat.errors import ErrorKind, TatError
from tat.filters import Condition, Filter
from tat.trace import Records, Trace

_NAMES = pa.dictionary(pa.int32(), pa.string())


def _names(column: Column) -> pa.Array:
    """Only the names that occur: each row group has a dictionary, whose least and greatest name prune row groups."""
    assert column.names is not None
    codes = np.ascontiguousarray(column.values, np.int32)
    used, where = np.unique(codes, return_inverse=True)
    none = int(np.searchsorted(used, 0))
    chosen = pa.array([column.names[code] for code in used[none:]], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array((where - none).astype(np.int32), mask=codes < 0), chosen)


def array(column: Column) -> pa.Array:
    """A column as Arrow holds it."""
    if column.names is not None:
        return _names(column)
    missing = None if column.missing is None else np.ascontiguousarray(column.missing)
    return pa.array(np.ascontiguousarray(column.values), mask=missing)


def batch(columns: Iterable[Column], leave_out: tuple[str, ...] = ()) -> pa.RecordBatch:
    """Columns of equal length as a record batch."""
    arrays = {column.name: array(column) for column in columns if column.name not in leave_out}
    return pa.RecordBatch.from_pydict(arrays)


def _text(name: str, text: str) -> Column:
    return named(name, np.zeros(1, np.int32) if text else np.full(1, -1), [text])


def about(trace: Trace) -> list[Column]:
    """One row that says what was run."""
    h, files = trace.header, trace.model_files
    paths = trace.texts(files["path"])
    return [
        _text("run_id", bytes(h.run_id).hex()),
        _text("program", h.program.decode("utf-8", "replace")),
        _text("ggml_version", h.ggml_version.decode("utf-8", "replace")),
        _text("producer", h.producer.decode("utf-8", "replace")),
        _text("model", paths[0] if paths else ""),
        number("model_bytes", np.array([files["size"].sum()], np.uint64)),
        number("start_unix_ns", np.array([h.start_realtime_ns], np.uint64)),
        number("evaluations", np.array([len(trace.evaluations)])),
        Column("private", np.array([trace.is_private])),
    ]


def _growing(
    trace: Trace, get: Callable[[int, int], Records], columns: Callable[[Trace, Records], list[Column]]
) -> Iterator[list[Column]]:
    """A table that grows with the run, in at least one piece."""
    yield columns(trace, get(0, 0))
    for records in trace.pieces(get):
        yield columns(trace, records)


def _late(table: storage.Table) -> Callable[[Trace], Iterable[list[Column]]]:
    return lambda trace: [table.of(trace)]


#: The tables beside the access records, by name, each in pieces of rows.
TABLES: dict[str, Callable[[Trace], Iterable[list[Column]]]] = {
    "runs": lambda trace: [about(trace)],
    "tensors": lambda trace: [tables.tensors(trace, Vocabulary(trace))],
    "evaluations": lambda trace: [tables.evaluations(trace)],
    "tokens": lambda trace: _growing(trace, trace.tokens, tables.tokens),
    "routing": lambda trace: _growing(trace, trace.routing, tables.routing),
    "events": lambda trace: [tables.events(trace)],
    **{name: _late(table) for name, table in storage.TABLES.items()},
}


def filters_of(traces: Mapping[str, Trace], conditions: Mapping[str, Condition]) -> dict[str, Filter]:
    """The filter of each trace. Without those that lack a name in the conditions, unless all do."""
    found, lacking = {}, []
    for name, trace in traces.items():
        try:
            found[name] = Filter(trace, conditions)
        except TatError as error:
            if error.kind != ErrorKind.NO:
                raise
            lacking.append(error)
    if lacking and not found:
        raise lacking[0]
    return found


class LateTable(ds.Dataset):  # type: ignore[misc]
    """A table that is made when it is first read. `failure` is what ended that."""

    def __init__(self, schema: pa.Schema, make: Callable[[], pa.Table]) -> None:
        """Keep what makes it, in this schema."""
        self.failure: TatError | None = None
        self._schema, self._make = schema, make
        self._made: pa.Table | None = None

    @property
    def schema(self) -> pa.Schema:
        """The schema of all columns."""
        return self._schema

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> ds.Scanner:
        """A scanner of these columns, for the rows that pass the filter."""
        self.failure = None
        try:
            self._made = self._made or self._make()
        except TatError as error:
            self.failure = error
            raise
        return ds.dataset(self._made).scanner(columns=columns, filter=filter)


class AccessDataset(ds.Dataset):  # type: ignore[misc]
    """The access records of traces as an Arrow dataset, made anew for each scan. `failure` is what ended the last scan.

    With `filters`, those records alone that pass. A trace that lacks a name that another trace has gives no records.

    DuckDB asks a dataset for a scanner of the columns and the filter that a query needs. Only these are made, so a
    table of any size can be queried in the memory of a few batches. The first column is the run's name.
    """

    def __init__(self, traces: dict[str, Trace], filters: Mapping[str, Condition] | None = None) -> None:
        """Keep the traces, by the names of their runs; they must stay open. Raises TatError for a wrong filter."""
        self.failure: TatError | None = None
        self._traces = {name: (trace, Vocabulary(trace)) for name, trace in traces.items()}
        self._passing = filters_of(traces, filters or {})
        trace, words = next(iter(self._traces.values()))
        self._empty = self._batch("", trace, words, np.empty(0, trace.accesses(0, 0).dtype), ("run", *ACCESS_COLUMNS))

    @property
    def schema(self) -> pa.Schema:
        """The schema of all columns."""
        return self._empty.schema

    @staticmethod
    def _batch(name: str, trace: Trace, words: Vocabulary, records: Records, columns: Sequence[str]) -> pa.RecordBatch:
        of_run = [named("run", np.zeros(len(records), np.int32), [name])] if "run" in columns else []
        return batch([*of_run, *access_columns(trace, words, records, [one for one in columns if one != "run"])])

    def _batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        self.failure = None
        try:
            for name, (trace, words) in self._traces.items():
                for records in trace.pieces(self._passing[name].accesses) if name in self._passing else ():
                    yield self._batch(name, trace, words, records, columns)
        except TatError as error:  # who scans passes on its text at best
            self.failure = error
            raise

    def _used(self, filter: Any) -> set[str]:
        """The columns that an expression names, and so needs."""
        used = set()
        for name in self.schema.names if filter is not None else ():
            try:
                ds.dataset(pa.table(self._empty.drop_columns([name]))).scanner(filter=filter)
            except pa.ArrowInvalid:
                used.add(name)
        return used

    def scanner(self, columns: Sequence[str] | None = None, filter: Any = None, **_: Any) -> ds.Scanner:
        """A scanner of these columns, for the records that pass the filter."""
        wanted = list(self.schema.names if columns is None else columns)
        needed = {*(wanted or self.schema.names[:1]), *self._used(filter)}  # no column at all has no rows to count
        made = [name for name in self.schema.names if name in needed]
        return ds.Scanner.from_batches(
            self._batches(made),
            schema=self._empty.select(made).schema,
            columns=wanted,
            filter=filter,
            batch_readahead=1,  # pieces are large
        )
