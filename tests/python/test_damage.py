# SPDX-License-Identifier: MIT
"""Traces that are well-formed, but say anything: everything answers, or says why not."""

from __future__ import annotations

import json
import os
import random
import sys
from pathlib import Path

import pytest
import tat
from tat import dataset
from tat.database import Database
from tat.trace import Trace

from conftest import Toy, command

sys.path.insert(0, str(Path(os.environ["SOURCE"], "tests/format")))
import damage
import read_trace


@pytest.fixture(scope="session")
def short(toy_maker: Toy) -> Path:
    return toy_maker("short", 4) / "tensor_access.bin"


def ask_all(path: Path) -> None:
    t = tat.TraceAnalyzer(path)
    for table in (t.tensors, t.evaluations, t.events, t.tokens, t.routing, t.frame):
        table()
    for by in ("layer", "tensor", "component", "operation", "expert"):
        t.matrix(by=by)
    t.matrix(by="tensor", value="ns")
    t.report()
    dataset.write([Trace(path)], Path("data"))
    with Database(path) as direct, Database("data") as written:
        for name in ("accesses", "tensors", "evaluations", "tokens", "routing", "events"):
            statement = f"SELECT count(*) AS n, min(run) AS run FROM {name}"
            assert direct.sql(statement).equals(written.sql(statement)), name


@pytest.mark.parametrize("seed", range(40))
def test_any_bytes(short: Path, seed: int) -> None:
    """Some bytes of some blocks are others, and the blocks are sealed anew."""
    chance = random.Random(seed)

    def change(_: int, payload: bytes) -> bytes:
        changed = bytearray(payload)
        while changed and chance.random() < 0.4:
            changed[chance.randrange(len(changed))] = chance.choice([0, 1, 0x7F, 0xFF, chance.randrange(256)])
        return bytes(changed)

    Path("damaged.bin").write_bytes(damage.rewritten(read_trace.Trace(str(short)), change))
    try:
        ask_all(Path("damaged.bin"))
    except tat.TatError as error:
        assert error.kind in (tat.ErrorKind.INPUT, tat.ErrorKind.SYSTEM)
        assert str(error)


@pytest.mark.parametrize("how", ["killed", "cut", "TEMPLATE", "STRING", "uncaptured", "lost", "moved"])
def test_as_a_crash_leaves_it(short: Path, how: str) -> None:
    Path("damaged.bin").write_bytes(damage.damaged(how, read_trace.Trace(str(short))))
    ask_all(Path("damaged.bin"))
    if how == "uncaptured":
        tokens = tat.TraceAnalyzer("damaged.bin").tokens()
        assert len(tokens) > 0
        assert tokens[["id", "position"]].isna().all(axis=None)


def test_names_of_any_bytes(short: Path) -> None:
    old, new = b"blk.0.attn_q.weight", b"blk.0.\xff'\"\n,\x1b[1m\xc3wei"
    assert len(old) == len(new)

    def change(_: int, payload: bytes) -> bytes:
        return payload.replace(old, new)

    Path("named.bin").write_bytes(damage.rewritten(read_trace.Trace(str(short)), change))
    ask_all(Path("named.bin"))
    name = new.decode("utf-8", "replace")
    t = tat.TraceAnalyzer("named.bin")
    assert name in t.tensors()["tensor"].cat.categories
    assert name in t.frame()["tensor"].cat.categories
    statement = "SELECT DISTINCT tensor FROM accesses"
    assert name in [row["tensor"] for row in json.loads(command("sql", "--json", statement, "named.bin").stdout)]
    assert "\x1b" not in command("sql", statement, "named.bin").stdout
