# SPDX-License-Identifier: MIT
"""Query templates: Ibis expressions over the tables of runs, the same on every engine."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import ibis
from ibis import _
from ibis.expr.types import Table

from tat import _abi

Tables = Mapping[str, Table]
Query = Callable[[Tables], Table]

_KV = ("kv_k", "kv_v", "state")

#: All templates by name, with what each tells in its docstring.
QUERIES: dict[str, Query] = {}


def _query(function: Query) -> Query:
    QUERIES[function.__name__.replace("_", "-")] = function
    return function


def _accesses(t: Tables) -> Table:
    return t["accesses"].filter(_.phase.isin(_abi.INFERENCE))


def _weights(t: Tables) -> Table:
    """Accesses to weights: what has a component, but for the KV cache and recurrent state."""
    return _accesses(t).filter(_.component.notnull() & _.component.notin(_KV) & (_.size > 0))


def _by_weight(t: Tables, accesses: Table) -> Table:
    """With the number of the first of several tensors that are one weight, as after a model was loaded again."""
    numbers = t["tensors"].select("run", "tensor_id", "weight_id")
    return accesses.join(numbers, ["run", "tensor_id"]).mutate(tensor_id=_.weight_id)


@_query
def hot_tensors(t: Tables) -> Table:
    """The 20 most touched tensors of each run, by bytes."""
    heat = (
        _by_weight(t, _accesses(t).filter(_.size > 0))
        .group_by("run", "tensor_id", "tensor")
        .agg(bytes=_.size.sum().cast("int64"), accesses=_.count())
    )
    place = ibis.row_number().over(group_by="run", order_by=[ibis.desc("bytes"), "tensor_id"])
    return heat.mutate(place=place).filter(_.place < 20).order_by("run", "place").drop("place")


@_query
def layers(t: Tables) -> Table:
    """Bytes that each layer touched: weights, KV cache read and written, activations."""

    def bytes_of(chosen: ibis.Value) -> ibis.Value:
        return ibis.cases((chosen, _.size), else_=0).sum().cast("int64")

    is_kv, is_write = _.component.isin(_KV).fill_null(False), _.access == "write"
    return (
        _accesses(t)
        .group_by("run", "layer")
        .agg(
            weights=bytes_of(_.component.notnull() & ~is_kv),
            kv_read=bytes_of(is_kv & ~is_write),
            kv_written=bytes_of(is_kv & is_write),
            activations=bytes_of(_.component.isnull()),
        )
        .order_by("run", ibis.asc("layer", nulls_first=True))
    )


@_query
def components(t: Tables) -> Table:
    """Bytes touched in each part of the model, and how often."""
    return (
        _by_weight(t, _accesses(t).filter(_.component.notnull() & (_.size > 0)))
        .group_by("run", "component")
        .agg(tensors=_.tensor_id.nunique(), accesses=_.count(), bytes=_.size.sum().cast("int64"))
        .order_by("run", ibis.desc("bytes"), "component")
    )


@_query
def operations(t: Tables) -> Table:
    """Time of each operation on thread 0, with its wait at the barrier; two fused ones count as the first."""
    first = ibis.row_number().over(group_by=["run", "graph", "start_ns"], order_by="node")
    return (
        _accesses(t)
        .filter(_.operand == "dst")
        .mutate(place=first)
        .filter(_.place == 0)
        .group_by("run", "op")
        .agg(operations=_.count(), ns=_.duration_ns.sum().cast("int64"))
        .order_by("run", ibis.desc("ns"), "op")
    )


@_query
def phases(t: Tables) -> Table:
    """Tokens and time of each phase, and tokens per second of computing."""
    return (
        t["evaluations"]
        .group_by("run", "phase")
        .agg(
            evaluations=_.count(),
            tokens=_.tokens.sum().cast("int64"),
            ns=(_.end_ns - _.begin_ns).sum().cast("int64"),
        )
        .mutate(tokens_per_second=_.tokens * 1e9 / _.ns.nullif(0))
        .order_by("run", "phase")
    )


@_query
def tokens(t: Tables) -> Table:
    """Bytes of weights and of KV cache that each evaluation touched, with the tokens it computed."""
    kv = _.component.isin(_KV).fill_null(False)
    return (
        _accesses(t)
        .group_by("run", "graph", "token", "tokens", "phase")
        .agg(
            weights=ibis.cases((_.component.notnull() & ~kv, _.size), else_=0).sum().cast("int64"),
            kv=ibis.cases((kv, _.size), else_=0).sum().cast("int64"),
        )
        .order_by("run", "graph")
    )


@_query
def token_layer(t: Tables) -> Table:
    """Bytes of weights by token and layer, as in a heatmap."""
    return (
        _weights(t)
        .group_by("run", "graph", "token", "layer")
        .agg(bytes=_.size.sum().cast("int64"))
        .order_by("run", "graph", ibis.asc("layer", nulls_first=True))
    )


@_query
def experts(t: Tables) -> Table:
    """How often each layer chose each expert, its share of the layer's choices, and its mean gate weight."""
    share = _.selections / _.selections.sum().over(group_by=["run", "layer"])
    return (
        t["routing"]
        .filter(_.phase.isin(_abi.INFERENCE) & _.expert.notnull())
        .group_by("run", "layer", "expert")
        .agg(selections=_.count(), mean_gate=_.gate.cast("float64").mean())
        .mutate(share=share)
        .order_by("run", "layer", "expert")
    )


@_query
def untouched(t: Tables) -> Table:
    """Weights in the model's graph that neither the prompt nor a generated token touched."""
    touched = _by_weight(t, _weights(t)).select("run", "tensor_id").distinct()
    return (
        t["tensors"]
        .filter((_.kind == "weight") & (_.weight_id == _.tensor_id))
        .anti_join(touched, ["run", "tensor_id"])
        .select("run", "tensor_id", "tensor", "layer", "component", "bytes")
        .order_by("run", "tensor_id")
    )


@_query
def page_faults(t: Tables) -> Table:
    """Time that threads spent in page faults, by weight and expert, the longest first; as `tat record --io` saw it."""
    return (
        t["faults"]
        .filter((_.place != "other_process") & _.tensor_id.notnull())
        .group_by("run", "tensor_id", "tensor", "expert")
        .agg(
            major=ibis.cases((_.major, 1), else_=0).sum().cast("int64"),
            minor=ibis.cases((_.major, 0), else_=1).sum().cast("int64"),
            stall_ns=_.stall_ns.fill_null(0).sum().cast("int64"),
        )
        .order_by("run", ibis.desc("stall_ns"), "tensor_id", ibis.asc("expert", nulls_first=True))
    )


@_query
def disk_reads(t: Tables) -> Table:
    """Bytes that came into memory for each weight, by whether they were waited for, read ahead or read in vain."""
    return (
        t["placed_pages"]
        .filter(_.tensor_id.notnull())
        .group_by("run", "tensor_id", "tensor", "place")
        .agg(bytes=_.bytes.sum().cast("int64"), in_vain=_.in_vain.sum().cast("int64"))
        .order_by("run", ibis.desc("bytes"), "tensor_id", "place")
    )
