# SPDX-License-Identifier: MIT
"""TraceAnalyzer: a trace in a notebook."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from tat import _abi, answers, matrices, tables
from tat.answers import Answer
from tat.columns import Vocabulary, access_columns
from tat.errors import ErrorKind, TatError
from tat.filters import Condition, Filter
from tat.trace import Flags, Records, Trace

Names = str | Iterable[str] | None


class TraceAnalyzer:
    """A trace to ask: its records as arrays and data frames, and the sections of `tat report`.

    Each section is also a method of that name, which returns its main table: `t.layers()`, `t.experts()`. One name is
    taken: `t.tokens()` is the table of tokens. For the section, use `t.section("tokens")` or `t.token_costs()`.

    `accesses` and `frame` take the filters of `tat dump` and `tat export` (doc/filters.md). A value is a number, a
    name, a range as the commands take it ("3:8", both ends included), a slice, or a collection of these. A record has
    to meet one value of each filter:

    * tokens: evaluations that computed any of these tokens; they are counted from 0, without warm-up
    * phases: evaluations in these phases: warmup, prompt, generate, verify, mixed, other, unknown
    * evaluations, contexts, model: these alone; evaluations are the column graph, contexts count from 1
    * layers, experts: records of these; records without a layer or expert are left out
    * tensors: names, with * and ?
    * components: parts of the model ("attn_q", ...); "activations" are those outside the model
    * kinds: weight, state (KV cache), activation, input
    * ops: names of operations, in upper or lower case
    * heads: True splits records of attention by head; numbers are heads to keep, too
    * files, at: model files, and bytes of them that are touched
    * at_time: nanoseconds since the trace began, or "20ms:1.5s": nodes that ran then
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        """Open a trace: its folder or file, or a name under TAT_DIR or ./traces. None is the newest trace.

        Raises TatError: INPUT if the trace does not exist, SYSTEM if the C library is missing.
        """
        self.trace = Trace(path)
        self._words = Vocabulary(self.trace)

    def __enter__(self) -> TraceAnalyzer:
        """Return itself; the trace is closed at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the trace."""
        self.close()

    def __repr__(self) -> str:
        """The expression that opens it again."""
        return f"TraceAnalyzer({str(self.path)!r})"

    def close(self) -> None:
        """Close the trace. What its methods returned stays valid."""
        self.trace.close()

    @property
    def path(self) -> Path:
        """The trace's folder, or its file if it is not in the folder of a run."""
        return self.trace.path

    # ------------------------------------------------------------------------------------------------ records

    def accesses(self, **filters: Condition) -> Records:
        """Access records in the order of execution: a structured array of dtype `tat.ACCESS`, 64 bytes each.

        start_ns counts from the beginning of the trace, in nanoseconds as duration_ns; offset and bytes are in bytes;
        layer, expert and head_first are 65535 if there is none. include/tat/trace.h describes all fields. Raises
        TatError: USAGE for an invalid filter, NO for a name that nothing in the trace has, SYSTEM if the records do not
        fit in memory.
        """
        return Filter(self.trace, filters).accesses()

    def frame(self, **filters: Condition) -> pd.DataFrame:
        """The same records with the columns of `tat export --format csv`: names as categoricals, NA where missing."""
        return tables.frame(access_columns(self.trace, self._words, self.accesses(**filters)))

    # ------------------------------------------------------------------------------------------------- tables

    def tensors(self) -> pd.DataFrame:
        """All tensors, a row each: tensor_id, name, kind, layer, component, shape (ne0 to ne3), place in the file.

        If a model was loaded again, its weights have further tensors. weight_id is the first tensor of each weight.
        """
        return tables.frame(tables.tensors(self.trace, self._words))

    def models(self) -> pd.DataFrame:
        """Models and what is used with them, a row each.

        part is model, draft, adapter, control vector, projector or unknown format. of is the model that a draft, an
        adapter or a control vector is used with. evaluations counts those of graphs with its weights.
        """
        return tables.frame(tables.models(self.trace))

    def evaluations(self) -> pd.DataFrame:
        """All evaluations of graphs, a row each: phase, tokens, begin and end in nanoseconds, flags."""
        return tables.frame(tables.evaluations(self.trace))

    def waits(self) -> pd.DataFrame:
        """How long thread 0 waited at the barrier behind each node until all threads had finished it, in nanoseconds.

        The node's duration_ns includes the wait. Of two fused nodes, the first has it. Only runs that were recorded
        with `tat record --exact-time` have waits.
        """
        return tables.frame(tables.waits(self.trace, self.trace.waits()))

    def tokens(self) -> pd.DataFrame:
        """All tokens that were evaluated, a row each.

        token counts the tokens of a context from 0 and is NA in warm-up. id is NA in a private trace. begin_ns and
        end_ns are the evaluation's, which all tokens of a ubatch share.
        """
        return tables.frame(tables.tokens(self.trace, self.trace.tokens()))

    def routing(self) -> pd.DataFrame:
        """All experts that were chosen: evaluation, phase, row, token, layer, slot, expert and gate weight, a row each.

        row and token are those of `tokens()`, even in the last layer of a prompt, which routes only the rows whose
        output is asked for. row is NA if the trace does not say which rows those are; token is NA then, and in
        warm-up. slot counts a token's experts in a layer from 0. gate is NaN if it was not recorded.
        """
        return tables.frame(tables.routing(self.trace, self.trace.routing()))

    def events(self) -> pd.DataFrame:
        """Other events, a row each: mappings, model files, loading, calls."""
        return tables.frame(tables.events(self.trace))

    # ------------------------------------------------------------------------------------------------ storage

    def faults(self, **filters: Condition) -> pd.DataFrame:
        """Page faults of a run that `tat record --io` recorded, a row each, by their ends.

        end_ns, in nanoseconds as all times, counts from the beginning of the trace: what was before is negative.
        duration_ns is how long the thread was in the fault, and stall_ns how long without what other threads ran in its
        place; both are NA if the beginning was lost. A major fault waited for the disk, or for a thread that did.

        place says what it was for: operation (op touches the page, and ran when the fault ended), outside (a weight,
        while no graph was computed), unwanted (a weight that no operation touched then), header and no_weight (in the
        model's file, before its weights or in no tensor), other_file, no_file, other_process. during is the phase of
        the graph that was computed when it ended, or loading, or between. evaluation, phase, token (the first, if
        several were computed together), node and op are those that waited. layer, tensor and expert are those of the
        weight; file is the number of the model file, and offset the byte in it; address is the one that was used.

        Filters are those of accesses(), without heads. A fault meets no condition on what it lacks. Raises TatError:
        NO if there are no I/O events, INPUT if they cannot be read, and for filters as accesses().
        """
        return self._placed("faults", lambda found: found["placed"], filters)

    def placed_requests(self, **filters: Condition) -> pd.DataFrame:
        """What each request to a disk was for: a row for each part, in the order of requests and of their bytes.

        event is the number of the request in requests(), which may have parts of several weights; offset and bytes are
        those of the part in its file or, if that is not known, on the disk; in_vain is how many of the bytes were not
        touched before they left memory. begin_ns and end_ns are the request's. The other columns are those of faults();
        place can also be ahead (read before anything waited for it), loaded (for a weight that is copied), in_vain,
        unknown, elsewhere (on the model's disk, in no file of this run), other_disk, metadata, write and failed.
        Filters and errors are those of faults().
        """
        return self._placed("placed_requests", lambda found: found, filters)

    def placed_pages(self, **filters: Condition) -> pd.DataFrame:
        """What came into the page cache, and what for: a row for each piece with one fate, as page_cache() is ordered.

        event is the number of the row in page_cache(). The other columns are those of placed_requests().
        """
        return self._placed("placed_pages", lambda found: found, filters)

    def requests(self) -> pd.DataFrame:
        """Requests to disks while the run lasted, of all who used them, a row each, by their ends.

        end_ns, in nanoseconds since the trace began, is when all of it was complete, and duration_ns how long that took
        from when it was given to the driver for the first time; NA if that was not seen. disk is the device number of a
        whole disk, which disk_name writes as "254:0", and disk_offset and bytes are what was read or written of it. pid
        is of who gave it to the driver, which may be a worker of the kernel. Flags: write (else it read), read_ahead,
        metadata, failed. Raises TatError: NO if there are no I/O events, INPUT if they cannot be read; so do the
        methods below.
        """
        return self._stored("requests")

    def page_cache(self) -> pd.DataFrame:
        """What came into the page cache, or left it, a row for each run of neighbouring pages, by time.

        at_ns counts nanoseconds since the trace began; event is fill or evict; io_file is the number of the file in
        io_files(), and file_offset and bytes are what of it came or left. pid and tid are the thread in which that
        happened: one that was in a fault or read the file, or one that needed memory, which may be anybody's.
        """
        return self._stored("page_cache")

    def residency(self) -> pd.DataFrame:
        """Samples of which bytes of files were in memory, a row for each run of pages, by time and offset.

        at_ns counts nanoseconds since the trace began; io_file is the number of the file in io_files(). Of the bytes at
        file_offset, resident says whether they were in memory. The runs of a sample do not overlap.
        """
        return self._stored("residency")

    def io_files(self) -> pd.DataFrame:
        """Files that the run mapped as data, or read pages of, a row each.

        bytes is the file's size; device and inode are those of the page cache; disk is the device number of the whole
        disk that its extents are on, which disk_name writes as "254:0". no_extents is the reason if they are not known.
        """
        return self._stored("io_files")

    def io_extents(self) -> pd.DataFrame:
        """Where bytes of these files are, a row for each extent: file_offset, disk_offset on the whole disk, bytes."""
        return self._stored("io_extents")

    def io_counters(self) -> pd.DataFrame:
        """What counters of the kernel said, a row for each value, by time: at_ns, counter, value.

        Names that end with _bytes and _ns have those units. All but file_resident_bytes, anon_resident_bytes,
        locked_bytes, swap_bytes, group_bytes and group_limit_bytes, which are amounts, only grow: differences tell.
        Those that begin with group_ are of the memory cgroup, with pressure_ of the whole machine, disk_ of the model's
        disk, tracer_ of tat itself, run_ of all processes of the run that have ended; all others are of the traced
        process.
        """
        return self._stored("io_counters")

    def io_sources(self) -> pd.DataFrame:
        """Which kinds of I/O events were recorded, and why others are missing, a row each."""
        return self._stored("io_sources")

    def _placed(
        self, name: str, places: Callable[[Records], Records], filters: Mapping[str, Condition]
    ) -> pd.DataFrame:
        from tat import storage  # noqa: PLC0415  (which few need)

        table, of = storage.TABLES[name], self.trace.storage
        found = table.get(of)
        if filters:
            found = found[of.chosen(places(found), Filter(self.trace, filters))]
        return tables.frame(table.columns(self.trace, self._words, found))

    def _stored(self, name: str) -> pd.DataFrame:
        from tat import storage  # noqa: PLC0415

        table = storage.TABLES[name]
        return tables.frame(table.columns(self.trace, self._words, table.get(self.trace.storage)))

    # ------------------------------------------------------------------------------------------------ sums

    def matrix(
        self,
        by: matrices.By = "layer",
        value: matrices.Value = "bytes",
        phases: Names = _abi.INFERENCE,
        kinds: Names = None,
    ) -> pd.DataFrame:
        """One row for each evaluation (index: evaluation, token, tokens, phase), one column for each key it touched.

        value is bytes (touched), accesses (records that touch anything) or ns (thread 0's time, with the wait at the
        barrier before a node or, in an exact recording, behind it). By tensor and component, a time goes to the first
        weight that the operation reads, or else to the first part of the KV cache, or else to its result. Experts have
        no time. Columns are layer numbers (-1: no layer), tensor_ids, component names ("activations": outside the
        model), operation names or expert numbers (over all layers). kinds chooses tensors: weight, state (KV cache),
        activation, input; not with ns. Raises TatError (USAGE) for anything else.
        """
        return matrices.matrix(self.trace, self._words, by, value, wanted=self._in_phases(phases), kinds=kinds or ())

    def totals(
        self,
        by: matrices.By = "layer",
        value: matrices.Value = "bytes",
        phases: Names = _abi.INFERENCE,
        kinds: Names = None,
    ) -> pd.Series[int]:
        """The sum over all evaluations for each key that any of them touched: matrix().sum(), without the matrix.

        Arguments, units and errors are those of matrix().
        """
        return matrices.totals(self.trace, self._words, by, value, wanted=self._in_phases(phases), kinds=kinds or ())

    # ------------------------------------------------------------------------------------------------ answers

    @cached_property
    def sections(self) -> dict[str, str]:
        """Names and titles of all sections."""
        return answers.sections()

    def section(self, name: str, **options: float | str) -> Answer:
        """What a section of `tat report` finds.

        Options are those of struct tat_analysis_options: hot_share, cold_share, memory_bytes, disk_bytes_per_second and
        model. If there are several models, model is its number, its file's name or a piece of it, or its part
        ("draft"). tokens and layers, a number or a range ("3:8"), are what alone the answer is about. Raises TatError:
        USAGE for an unknown section or option, NO if there are no such tokens or layers.
        """
        return answers.analyze(self.trace, [name], options)[name]

    def report(self, *names: str, **options: float | str) -> dict[str, Answer]:
        """Several sections in one pass. If none is named, all except slow ones."""
        return answers.analyze(self.trace, list(names), options)

    def token_costs(self, **options: float | str) -> pd.DataFrame:
        """The main table of the section "tokens"."""
        return self.section("tokens", **options).frame

    def __getattr__(self, name: str) -> Callable[..., pd.DataFrame]:
        """A section as a method: its main table, with title, headline, values, answers and notes in `attrs`."""
        if name.startswith("_") or name not in self.sections:
            raise AttributeError(f"a TraceAnalyzer has neither a method nor a section '{name}'")

        def ask(**options: float | str) -> pd.DataFrame:
            return self.section(name, **options).frame

        ask.__name__, ask.__doc__ = name, f"The main table of the section: {self.sections[name]}."
        return ask

    def __dir__(self) -> list[str]:
        """Also list the sections."""
        return sorted({*super().__dir__(), *self.sections})

    # ------------------------------------------------------------------------------------------------ filters

    def _in_phases(self, phases: Names) -> Flags:
        if phases is None:
            return _all(self.trace)
        return np.isin(self.trace.evaluations["phase"], [_named(name, _abi.PHASES, "phase") for name in _list(phases)])


def _all(trace: Trace) -> Flags:
    return np.ones(len(trace.evaluations), np.bool_)


def _list(names: str | Iterable[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _named(name: str, known: Iterable[str], what: str) -> int:
    numbers = {one: i for i, one in enumerate(known)}
    if name not in numbers:
        raise TatError(ErrorKind.USAGE, f"no {what} '{name}'; there are {', '.join(numbers)}")
    return numbers[name]
