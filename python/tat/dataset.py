# SPDX-License-Identifier: MIT
"""Traces as one Parquet dataset: a folder for each table, in it one for each run; accesses also by phase and layer.

    DIR/accesses/run=NAME/phase=generate/layer=12/part-0.parquet
    DIR/{runs,tensors,evaluations,tokens,routing,events}/run=NAME/part-0.parquet

Any reader of Hive partitions can read it. Rows are in the order of execution, so a row group is a range of tokens.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tat import _abi, arrow, output
from tat.columns import Vocabulary, access_columns
from tat.errors import ErrorKind, TatError
from tat.filters import Condition, Filter
from tat.trace import Records, Trace

NULL = "__HIVE_DEFAULT_PARTITION__"  # as all readers of Hive partitions know it
FILE = "part-0.parquet"

ROW_GROUP = 1 << 17  # rows, at most
_WAITING = 1 << 21  # records that wait for their row group: 128 MiB of them, in all partitions together

Progress = Callable[[int], None]


def run_name(trace: Trace) -> str:
    """The name of a trace in a dataset: its folder's or, if it was moved out, its file's."""
    path = trace.path.resolve()
    return path.name if path.is_dir() else path.stem


class _Partitions:
    """Access records on their way into files, one a partition. Few wait at a time, yet row groups are large."""

    def __init__(self, trace: Trace, folder: Path) -> None:
        self._trace, self._words, self._folder = trace, Vocabulary(trace), folder
        self._writers: dict[int, pq.ParquetWriter] = {}
        self._waiting: dict[int, list[Records]] = {}
        self._rows: dict[int, int] = {}

    def put(self, records: Records) -> None:
        phase = (records["flags"] >> _abi.ACCESS_PHASE_SHIFT & 7).astype(np.int64)
        keys = phase << 16 | records["layer"]
        order = np.argsort(keys, kind="stable")
        found, at = np.unique(keys[order], return_index=True)
        for key, part in zip(found.tolist(), np.split(records[order], at[1:]), strict=True):
            self._waiting.setdefault(key, []).append(part.copy())  # or each would keep its whole piece
            self._rows[key] = self._rows.get(key, 0) + len(part)
        if sum(self._rows.values()) > _WAITING:
            self._write_largest()

    def _write_largest(self) -> None:
        for key in sorted(self._rows, key=self._rows.__getitem__, reverse=True):
            self._write(key)
            if sum(self._rows.values()) <= _WAITING // 2:
                break

    def _write(self, key: int) -> None:
        records = np.concatenate(self._waiting.pop(key))
        del self._rows[key]
        for at in range(0, len(records), ROW_GROUP):
            piece = access_columns(self._trace, self._words, records[at : at + ROW_GROUP])
            batch = arrow.batch(piece, leave_out=("phase", "layer"))
            self._writer(key, batch.schema).write_batch(batch, row_group_size=ROW_GROUP)

    def _writer(self, key: int, schema: pa.Schema) -> pq.ParquetWriter:
        if key not in self._writers:
            layer = key & 0xFFFF
            of_layer = "layer=" + (NULL if layer == _abi.NO_LAYER else str(layer))
            folder = self._folder / f"phase={_abi.PHASES[key >> 16]}" / of_layer
            folder.mkdir(parents=True)
            self._writers[key] = _open(folder / FILE, schema)
        return self._writers[key]

    def end(self) -> None:
        for key in list(self._rows):
            self._write(key)
        if not self._writers:  # a table without rows is a table nevertheless
            empty = arrow.batch(access_columns(self._trace, self._words, self._trace.accesses(0, 0)))
            self._writer(
                _abi.PHASES.index("other") << 16 | _abi.NO_LAYER, empty.drop_columns(["phase", "layer"]).schema
            )
        self.close()

    def close(self) -> None:
        while self._writers:
            self._writers.popitem()[1].close()


def _open(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    names = [field.name for field in schema if pa.types.is_dictionary(field.type)]
    return pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=names, write_page_index=True)


def _write_all(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    first = next(batches)
    with _open(path, first.schema) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch, row_group_size=ROW_GROUP)


def write_run(
    trace: Trace, folder: Path, name: str, progress: Progress | None = None, passing: Filter | None = None
) -> int:
    """Write all tables of a trace into a folder without that run; returns the number of access records written.

    Of accesses, only records that pass the filter.
    """
    run = f"run={quote(name, safe='')}"
    count = 0
    for table, pieces in arrow.TABLES.items():
        (folder / table / run).mkdir(parents=True)
        _write_all(folder / table / run / FILE, map(arrow.batch, pieces(trace)))
    (folder / "accesses").mkdir(exist_ok=True)
    partitions = _Partitions(trace, folder / "accesses" / run)
    try:
        for records in trace.pieces(passing.accesses if passing else None):
            partitions.put(records)
            count += len(records)
            if progress:
                progress(count)
        partitions.end()
    finally:
        partitions.close()
    return count


def is_dataset(path: Path) -> bool:
    """Whether `write` made this folder."""
    return (path / "runs").is_dir() and (path / "accesses").is_dir()


def names_of(traces: list[Trace]) -> dict[str, Trace]:
    """Traces by the names of their runs. Raises TatError (USAGE) if two different runs have the same name."""
    names: dict[str, Trace] = {}
    for trace in traces:
        name = run_name(trace)
        same = names.setdefault(name, trace)
        if bytes(same.header.run_id) != bytes(trace.header.run_id):
            raise TatError(
                ErrorKind.USAGE,
                f"{same.path} and {trace.path} are different runs of the same name, which the dataset goes by: "
                "rename one of the folders",
            )
    return names


def write(
    traces: list[Trace], target: Path, progress: Progress | None = None, filters: Mapping[str, Condition] | None = None
) -> int:
    """Write traces into the dataset `target`: make it, or add runs to it. A run that it already has is replaced.

    With `filters` (doc/filters.md), access records that do not pass are left out.

    The dataset is made beside `target` and takes its place at the end, so it is written whole or not at all. Returns
    the number of access records written. Raises TatError: USAGE if `target` is something else, SYSTEM if it cannot be
    written.
    """
    names = names_of(traces)
    passing = arrow.filters_of(names, filters or {})
    exists = target.exists()
    if exists and not is_dataset(target) and (not target.is_dir() or any(target.iterdir())):
        raise TatError(ErrorKind.USAGE, f"{target} exists and is not a dataset of `tat parquet`: name another")
    try:
        with _beside(target) as new:
            if exists:
                _link(target, new, {f"run={quote(name, safe='')}" for name in names})
            count = sum(write_run(trace, new, name, progress, passing.get(name)) for name, trace in names.items())
            _replace(new, target, exists)
        return count
    except OSError as error:
        raise TatError(ErrorKind.SYSTEM, f"{target}: cannot write the dataset: {error}") from error


@contextmanager
def _beside(target: Path) -> Iterator[Path]:
    """A folder in the same file system, which is deleted at the end unless it was moved away."""
    target.parent.mkdir(parents=True, exist_ok=True)
    holder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))

    def undo() -> None:
        for _ in range(100):  # a thread that still writes makes new files while others are deleted
            shutil.rmtree(holder, ignore_errors=True)
            if not holder.exists():
                break

    with output.unfinished(undo):
        (holder / "new").mkdir()
        yield holder / "new"


def _link(old: Path, new: Path, without: set[str]) -> None:
    """Link all files of a dataset except those of some runs. Links suffice, because the files never change."""

    def copy(source: str, destination: str) -> None:
        try:
            os.link(source, destination)
        except OSError:
            shutil.copy2(source, destination)

    shutil.copytree(
        old, new, copy_function=copy, dirs_exist_ok=True, ignore=lambda _, names: [n for n in names if n in without]
    )


def _replace(new: Path, target: Path, exists: bool) -> None:
    """Readers see the old dataset or the new one or, if the file system cannot exchange names, none for a moment."""
    if not exists:
        new.rename(target)
    elif not _exchange(new, target):
        target.rename(new.parent / "old")
        new.rename(target)


def _exchange(a: Path, b: Path) -> bool:
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    return renameat2 is not None and renameat2(here, os.fsencode(a), here, os.fsencode(b), exchange) == 0
