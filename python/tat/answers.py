# SPDX-License-Identifier: MIT
"""The sections of `tat report`, answered by the C library."""

from __future__ import annotations

import ctypes as c
import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from tat import _abi
from tat._library import failure, library, text
from tat.errors import ErrorKind, TatError
from tat.trace import Trace


@dataclass(frozen=True, eq=False)
class Answer:
    """What a section finds (src/analysis/result.h)."""

    name: str
    title: str
    headline: str  #: the answer in a sentence
    values: dict[str, Any] = field(default_factory=dict)  #: its figures by name
    lines: list[tuple[str, str]] = field(default_factory=list)  #: further facts: label, text
    answers: list[tuple[str, str]] = field(default_factory=list)  #: questions as people put them, with their answers
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)  #: `attrs` of each: title, units by column, labels
    notes: list[str] = field(default_factory=list)  #: how to read it
    absent: bool = False  #: the trace has nothing of the kind
    json: dict[str, Any] = field(default_factory=dict)  #: all of this as `tat report --json` has it

    @property
    def frame(self) -> pd.DataFrame:
        """The main table or, if the section has none, its values as one row.

        Its `attrs` hold title, headline, values, answers and notes, in plain types.
        """
        shown = [t for t in self.tables.values() if t.attrs["show"] == "always"] or list(self.tables.values())
        table = shown[0].copy() if shown else pd.DataFrame([self.values])
        table.attrs |= {"section": self.name, "title": self.title, "headline": self.headline, "values": self.values}
        table.attrs |= {"answers": self.answers, "notes": self.notes}
        return table


#: Options for which part of the trace the answers are about.
_SCOPE = ("tokens", "layers")


def sections() -> dict[str, str]:
    """Names and titles of all sections, in the order of `tat report`."""
    lib = library()
    names = itertools.takewhile(bool, map(lib.tat_analysis_name, itertools.count()))
    return {text(name): text(lib.tat_analysis_title(i)) for i, name in enumerate(names)}


def _table(json_table: dict[str, Any], name: str) -> pd.DataFrame:
    columns = {column["key"]: column for column in json_table.get("columns", [])}
    rows = json_table.get("rows", [])
    keys = dict.fromkeys([*columns, *(key for row in rows for key in row)])
    table = pd.DataFrame({key: _column([row.get(key) for row in rows]) for key in keys})
    table.attrs = {
        "table": name,
        "title": json_table.get("title", ""),
        "show": json_table.get("show", "asked"),
        "units": {key: column.get("unit", "text") for key, column in columns.items()},
        "labels": {key: column.get("label", key) for key, column in columns.items()},
    }
    return table


def _column(values: list[Any]) -> Any:
    """Whole numbers stay whole even if some are missing."""
    if any(value is None for value in values) and all(value is None or type(value) is int for value in values):
        return pd.array(values, dtype="Int64")
    return values


def _answer(name: str, found: dict[str, Any]) -> Answer:
    return Answer(
        name=name,
        title=found.get("title", name),
        headline=found.get("headline", ""),
        values=found.get("values", {}),
        lines=[(line.get("label", ""), line.get("text", "")) for line in found.get("lines", [])],
        answers=[(a.get("question", ""), a.get("answer", "")) for a in found.get("answers", [])],
        tables={key: _table(table, key) for key, table in found.get("tables", {}).items()},
        notes=found.get("notes", []),
        absent=found.get("absent", False),
        json=found,
    )


def _range(name: str, value: float | str) -> list[tuple[str, int]]:
    """The ends of tokens or layers, as struct tat_scope has them, of "3:8" or a number."""
    error = _abi.Error()
    words = str(value)
    if library().tat_filter_check(name.encode(), words.encode(), c.byref(error)) != 0:
        raise failure(error)
    first, colon, last = words.partition(":")
    most = 2**32 - 1
    end = int(last) + 1 if last else most if colon else int(first) + 1
    return [(f"{name[:-1]}_first", min(int(first or 0), most)), (f"{name[:-1]}_end", min(end, most))]


def _options(trace: Trace, options: Mapping[str, float | str]) -> _abi.AnalysisOptions:
    fields = {name: kind for name, kind, *_ in _abi.AnalysisOptions._fields_ if name != "scope"}
    unknown = sorted(set(options) - set(fields) - {*_SCOPE})
    if unknown:
        raise TatError(ErrorKind.USAGE, f"no option '{unknown[0]}'; there are {', '.join([*fields, *_SCOPE])}")
    numbers = {name: value for name, value in options.items() if name not in _SCOPE}
    ends = {field: end for name in _SCOPE if name in options for field, end in _range(name, options[name])}
    if isinstance(numbers.get("model"), str):
        numbers["model"] = trace.find_model(str(numbers["model"]))
    whole = {name: value if fields[name] is c.c_double else int(value) for name, value in numbers.items()}
    return _abi.AnalysisOptions(**whole, scope=_abi.Scope(**ends))


def analyze(trace: Trace, names: list[str], options: Mapping[str, float | str]) -> dict[str, Answer]:
    """Answers sections in one pass; if none is named, all except slow ones. Options: struct tat_analysis_options."""
    lib, error = library(), _abi.Error()
    known = sections()
    for name in names:
        if name not in known:
            raise TatError(ErrorKind.USAGE, f"no section '{name}'; there are {', '.join(known)}")
    wanted = (c.c_char_p * max(len(names), 1))(*(name.encode() for name in names))
    raw = lib.tat_analyze(trace.handle, wanted, len(names), c.byref(_options(trace, options)), c.byref(error))
    if not raw:
        raise failure(error)
    try:
        found = json.loads(c.string_at(raw))
    finally:
        _free(raw)
    return {name: _answer(name, answer) for name, answer in found.items()}


def _free(address: int) -> None:
    libc = c.CDLL(None)
    libc.free.argtypes = [c.c_void_p]
    libc.free(address)
