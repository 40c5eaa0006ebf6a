# SPDX-License-Identifier: MIT
"""Everything else in a trace as columns, and columns as a pandas data frame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from tat import _abi
from tat.columns import Column, Vocabulary, named, number, unique
from tat.trace import Records, Trace


def series(column: Column) -> Any:
    """A column as pandas holds it: names as a categorical; numbers, if some are missing, in a nullable dtype."""
    values = np.ascontiguousarray(column.values)
    if column.names is not None:
        return pd.Categorical.from_codes(values, categories=pd.Index(list(column.names), dtype="str"))
    if column.missing is None:
        return values
    if values.dtype.kind == "f":
        return np.where(column.missing, np.nan, values)
    return pd.arrays.IntegerArray(values, np.array(column.missing, np.bool_))


def frame(columns: Iterable[Column]) -> pd.DataFrame:
    """A data frame of columns of equal length."""
    return pd.DataFrame({column.name: series(column) for column in columns}, copy=False)


def _phase(numbers: Any) -> Column:
    return named("phase", numbers, _abi.PHASES)


def tensors(trace: Trace, words: Vocabulary) -> list[Column]:
    """A row for each tensor, in the order of tensor_id.

    weight_id is the tensor_id of the first tensor that is the same weight of the same file: there are several if the
    model was loaded again. For every other tensor it is its own tensor_id.
    """
    t = trace.tensors
    names, code = words.tensors
    types, type_code = unique(trace.texts(t["type_name"]))
    in_file = (t["file"] > 0) & (t["file"] <= len(trace.model_files))
    return [
        number("tensor_id", np.arange(len(t))),
        named("tensor", code, names),
        number("model", words.model_of, words.model_of < 0),
        named("kind", t["kind"] - 1, _abi.KINDS[1:]),
        number("layer", t["layer"], t["layer"] == _abi.NO_LAYER),
        named("component", words.component_of, words.components),
        named("role", t["role"] - 1, _abi.ROLES[1:]),
        named("memory", t["memory"] - 1, _abi.MEMORIES[1:]),
        named("type", type_code, types),
        *(number(f"ne{i}", t["ne"][:, i]) for i in range(4)),
        number("file", t["file"], ~in_file),
        number("file_offset", t["file_offset"], ~in_file),
        number("bytes", t["bytes"]),
        number("address", t["address"]),
        number("weight_id", t["weight"]),
    ]


def models(trace: Trace) -> list[Column]:
    """A row for each model, and for what is used with one."""
    m = trace.models
    texts = {field: unique(trace.texts(m[field])) for field in ("name", "architecture", "path")}
    return [
        number("model", m["number"]),
        named("part", m["part"], _abi.PARTS),
        *(named(field, codes, names) for field, (names, codes) in texts.items()),
        number("files", m["n_files"]),
        number("bytes", m["bytes"]),
        number("evaluations", m["n_evaluations"]),
        number("of", m["of"], m["of"] == 0),
    ]


def evaluations(trace: Trace) -> list[Column]:
    """A row for each evaluation, in the order of their beginning."""
    e = trace.evaluations
    counted = (e["phase"] != _abi.PHASES.index("warmup")) & (e["n_tokens"] > 0)
    return [
        number("evaluation", np.arange(len(e))),
        number("context", e["context"]),
        _phase(e["phase"]),
        number("token", e["token_first"], ~counted),
        number("tokens", e["n_tokens"]),
        number("outputs", e["n_outputs"]),
        number("begin_ns", e["begin_ns"]),
        number("end_ns", e["end_ns"]),
        number("template", e["template_id"]),
        number("thread", e["thread"]),
        number("threads", e["n_threads"]),
        number("callbacks", e["n_callbacks"]),
        number("status", e["status"]),
        *(Column(name, (e["flags"] >> bit & 1) != 0) for bit, name in enumerate(_abi.EVALUATION_FLAGS)),
    ]


def waits(trace: Trace, w: Records) -> list[Column]:
    """A row for each node whose wait was recorded: columns of what Trace.waits gives."""
    return [
        number("evaluation", w["evaluation"]),
        _phase(trace.evaluations["phase"][w["evaluation"]]),
        number("node", w["node"]),
        number("wait_ns", w["ns"]),
    ]


def tokens(trace: Trace, t: Records) -> list[Column]:
    """A row for each row that went into an evaluation: columns of what Trace.tokens gives."""
    e = trace.evaluations[t["evaluation"]]
    return [
        number("evaluation", t["evaluation"]),
        number("row", t["row"]),
        number("context", e["context"]),
        number("token", t["token"], e["phase"] == _abi.PHASES.index("warmup")),
        number("position", t["position"], t["position"] == _abi.NO_POSITION),
        number("id", t["id"], t["id"] == _abi.NO_TOKEN_ID),
        _phase(e["phase"]),
        number("begin_ns", e["begin_ns"]),
        number("end_ns", e["end_ns"]),
    ]


def routing(trace: Trace, r: Records) -> list[Column]:
    """A row for each expert chosen: columns of what Trace.routing gives."""
    e = trace.evaluations[r["evaluation"]]
    unknown = r["row"] == _abi.NO_ROW
    token = e["token_first"].astype(np.int64) + r["row"]
    return [
        number("evaluation", r["evaluation"]),
        _phase(e["phase"]),
        number("row", r["row"], unknown),
        number("token", token, unknown | (e["phase"] == _abi.PHASES.index("warmup"))),
        number("layer", r["layer"], r["layer"] == _abi.NO_LAYER),
        number("slot", r["slot"]),
        number("expert", r["expert"], r["expert"] == _abi.NO_EXPERT),
        Column("gate", r["gate"], np.isnan(r["gate"])),
    ]


def events(trace: Trace) -> list[Column]:
    """A row for each event. value0 to value8 are the values that doc/format.md lists for its type."""
    v = trace.events
    texts, code = unique(trace.texts(v["text"]))
    return [
        named("event", v["type"] - 1, _abi.EVENTS[1:]),
        number("at_ns", v["at_ns"]),
        number("thread", v["thread"]),
        named("text", code, texts),
        *(number(f"value{i}", v["value"][:, i]) for i in range(v["value"].shape[1])),
    ]
