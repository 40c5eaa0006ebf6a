# SPDX-License-Identifier: MIT
"""What a trace holds as pandas data frames."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from tat import _abi
from tat.columns import Column, Vocabulary
from tat.trace import Trace


def series(column: Column) -> Any:
    """A column as pandas holds it: names as a categorical, numbers that may be missing in a nullable dtype."""
    values = np.ascontiguousarray(column.values)
    if column.names is not None:
        return pd.Categorical.from_codes(values, categories=pd.Index(column.names, dtype="str"))
    if column.missing is None:
        return values
    if values.dtype.kind == "f":
        return np.where(column.missing, np.nan, values)
    return pd.arrays.IntegerArray(values, np.array(column.missing, np.bool_))


def frame(columns: Iterable[Column]) -> pd.DataFrame:
    """A data frame of columns of equal length."""
    return pd.DataFrame({column.name: series(column) for column in columns}, copy=False)


def tensors(trace: Trace, words: Vocabulary) -> pd.DataFrame:
    """A row a tensor, in the order of tensor_id."""
    t = trace.tensors
    names, code = words.tensors
    types = list(dict.fromkeys(trace.texts(t["type_name"])))
    type_code = pd.Index(types).get_indexer(pd.Index(trace.texts(t["type_name"])))
    in_file = (t["file"] > 0) & (t["file"] <= len(trace.model_files))
    model = words.model_of
    columns = [
        Column("tensor_id", np.arange(len(t), dtype=np.uint32)),
        Column("tensor", code, names=names),
        Column("model", np.maximum(model, 0).astype(np.uint32), model < 0),
        Column("kind", t["kind"] - 1, names=_abi.KINDS[1:]),
        Column("layer", t["layer"], t["layer"] == _abi.NO_LAYER),
        Column("component", words.component_of, names=words.components),
        Column("role", t["role"] - 1, names=_abi.ROLES[1:]),
        Column("memory", t["memory"] - 1, names=_abi.MEMORIES[1:]),
        Column("type", type_code.astype(np.int32), names=types),
    ]
    table = frame(columns)
    for i in range(4):
        table[f"ne{i}"] = t["ne"][:, i]
    table["file"] = series(Column("file", t["file"], ~in_file))
    table["file_offset"] = series(Column("file_offset", t["file_offset"], ~in_file))
    table["bytes"] = t["bytes"]
    table["address"] = t["address"]
    return table


def evaluations(trace: Trace) -> pd.DataFrame:
    """A row an evaluation, in the order of their beginning."""
    e = trace.evaluations
    counted = (e["phase"] != _abi.PHASES.index("warmup")) & (e["n_tokens"] > 0)
    table = frame(
        [
            Column("evaluation", np.arange(len(e), dtype=np.uint32)),
            Column("context", e["context"]),
            Column("phase", e["phase"], names=_abi.PHASES),
            Column("token", e["token_first"], ~counted),
            Column("tokens", e["n_tokens"]),
            Column("outputs", e["n_outputs"]),
            Column("begin_ns", e["begin_ns"].astype(np.int64)),
            Column("end_ns", e["end_ns"].astype(np.int64)),
            Column("template", e["template_id"]),
            Column("thread", e["thread"]),
            Column("threads", e["n_threads"]),
            Column("callbacks", e["n_callbacks"]),
            Column("status", e["status"]),
        ]
    )
    for bit, name in enumerate(_abi.EVALUATION_FLAGS):
        table[name] = (e["flags"] >> bit & 1).astype(np.bool_)
    return table


def tokens(trace: Trace) -> pd.DataFrame:
    """A row for each row that went into an evaluation."""
    t, e = trace.tokens(), trace.evaluations
    of = e[t["evaluation"]]
    return frame(
        [
            Column("evaluation", t["evaluation"]),
            Column("row", t["row"]),
            Column("context", of["context"]),
            Column("token", t["token"], of["phase"] == _abi.PHASES.index("warmup")),
            Column("position", t["position"], t["position"] == _abi.NO_POSITION),
            Column("id", t["id"], t["id"] == _abi.NO_TOKEN_ID),
            Column("phase", of["phase"], names=_abi.PHASES),
            Column("begin_ns", of["begin_ns"].astype(np.int64)),
            Column("end_ns", of["end_ns"].astype(np.int64)),
        ]
    )


def routing(trace: Trace) -> pd.DataFrame:
    """A row for each expert chosen."""
    r, e = trace.routing(), trace.evaluations
    return frame(
        [
            Column("evaluation", r["evaluation"]),
            Column("phase", e["phase"][r["evaluation"]], names=_abi.PHASES),
            Column("row", r["row"]),
            Column("layer", r["layer"], r["layer"] == _abi.NO_LAYER),
            Column("slot", r["slot"]),
            Column("expert", r["expert"], r["expert"] == _abi.NO_EXPERT),
            Column("gate", r["gate"]),
        ]
    )


def events(trace: Trace) -> pd.DataFrame:
    """A row an event; value0 to value8 are what doc/format.md lists for its type."""
    v = trace.events
    table = frame(
        [
            Column("event", v["type"] - 1, names=_abi.EVENTS[1:]),
            Column("at_ns", v["at_ns"]),
            Column("thread", v["thread"]),
        ]
    )
    table["text"] = pd.array(trace.texts(v["text"]), dtype="str")
    for i in range(v["value"].shape[1]):
        table[f"value{i}"] = v["value"][:, i]
    return table
