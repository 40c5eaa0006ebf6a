# SPDX-License-Identifier: MIT
"""Cache policies: what they miss, against caches written from the papers and against libCacheSim, a peer."""

from __future__ import annotations

import csv
import importlib
import io
import os
import random
import struct
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import libcachesim_rules
from conftest import needed, run

policies: Any = importlib.import_module("policies")  # in tests/sections, which libcachesim_rules has found


@dataclass
class String:
    sizes: list[int]
    reads: list[int]
    capacities: list[int]

    @property
    def is_uniform(self) -> bool:
        return set(self.sizes) == {1}


def zipf(items: int, reads: int, seed: int) -> list[int]:
    weights = [1 / (rank + 1) ** 0.9 for rank in range(items)]
    return random.Random(seed).choices(range(items), weights, k=reads)


@pytest.fixture(scope="session")
def trace(many_experts: Path) -> String:
    """What a model with 32 experts read of its weights."""
    text = run(os.environ["TAT"], "export", "--references", "--format", "csv", many_experts)
    rows = list(csv.DictReader(io.StringIO(text)))
    sizes = {row["object"]: int(row["bytes"]) for row in rows}
    number = {name: i for i, name in enumerate(sizes)}
    total = sum(sizes.values())
    reads = [number[row["object"]] for row in rows]
    return String(list(sizes.values()), reads[:3000], [total // 4, total * 2 // 3])


@pytest.fixture(params=["loop", "zipf", "trace", "loop_sizes", "zipf_sizes", "trace_sizes"], scope="session")
def string(request: pytest.FixtureRequest) -> String:
    sized = random.Random(1)
    if request.param == "loop":
        return String([1] * 150, [i % 150 for i in range(3000)], [100])
    if request.param == "loop_sizes":
        return String([sized.randint(1, 90) for _ in range(150)], [i % 150 for i in range(3000)], [1000, 5000])
    if request.param == "zipf":
        return String([1] * 200, zipf(200, 5000, 2), [30, 101])
    if request.param == "zipf_sizes":
        return String([sized.randint(1, 90) for _ in range(150)], zipf(150, 4000, 3), [2000, 5000])
    found: String = request.getfixturevalue("trace")
    if request.param == "trace_sizes":
        return found
    n = len(found.sizes)
    return String([1] * n, found.reads, [n // 4, n * 2 // 3])


@pytest.fixture(scope="session")
def ours(string: String, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], tuple[int, int]]:
    """(policy, capacity) -> (misses, bytes missed)"""
    path = tmp_path_factory.mktemp("string") / "string"
    words = [len(string.sizes), *string.sizes, *string.reads]
    path.write_bytes(struct.pack(f"={len(words)}I", *words))
    lines = run(os.environ["SIMULATE"], path, *map(str, string.capacities)).splitlines()
    table = [line.split() for line in lines]
    return {(name, int(capacity)): (int(misses), int(missed)) for name, capacity, misses, missed in table}


def missed_by(cache: Any, string: String) -> tuple[int, int]:
    missed = [string.sizes[item] - cache.access(item) for item in string.reads]
    return sum(map(bool, missed)), sum(missed)


def test_against_the_papers(string: String, ours: dict[tuple[str, int], tuple[int, int]]) -> None:
    uses = Counter(string.reads)
    assert {name for name, _ in ours} == set(policies.POLICIES)
    for (name, capacity), found in ours.items():
        cache = policies.POLICIES[name](capacity, dict(enumerate(string.sizes)), uses)
        assert missed_by(cache, string) == found, (name, capacity)


# ------------------------------------------------------------------------------------------------------------ the peer


@pytest.fixture(scope="session")
def peer() -> Any:
    sys.path.append(str(needed("CACHE", "wheels", "libcachesim-0.3.5", maker="scripts/get-wheels.sh")))
    return importlib.import_module("libcachesim")


def missed_by_peer(name: str, capacity: int, peer: Any, string: String) -> int:
    cache, request, misses = getattr(peer, name)(capacity, hashpower=12), peer.Request(), 0
    for item in string.reads:
        request.obj_id, request.obj_size = item + 1, string.sizes[item]
        misses += not cache.get(request)
    return misses


SAME = {"lru": "LRU", "fifo": "FIFO", "clock": "Clock", "sieve": "Sieve", "lfu": "LFU"}
SAME_IF_UNIFORM = {"2q": "TwoQ", "arc": "ARC"}
DIFFERENT = {
    "2q": ("TwoQ", libcachesim_rules.TwoQueues),
    "arc": ("ARC", libcachesim_rules.Arc),
    "s3fifo": ("S3FIFO", libcachesim_rules.S3Fifo),
    "lru2": ("LRUK", libcachesim_rules.Lru2),
    "lfuda": ("LFUDA", libcachesim_rules.Lfuda),
    "lirs": ("LIRS", libcachesim_rules.Lirs),
}


def test_as_the_peer(string: String, ours: dict[tuple[str, int], tuple[int, int]], peer: Any) -> None:
    for name, theirs in {**SAME, **(SAME_IF_UNIFORM if string.is_uniform else {})}.items():
        for capacity in string.capacities:
            found = missed_by_peer(theirs, capacity, peer, string)
            assert ours[name, capacity][0] == found, (name, capacity)


def test_how_the_peer_differs(string: String, peer: Any) -> None:
    """The rules in libcachesim_rules, and nothing else, are what it does differently."""
    for name, (theirs, rules) in DIFFERENT.items():
        if name == "lirs" and not string.is_uniform:
            continue  # it takes nothing that is larger than 1 % of the cache
        for capacity in string.capacities:
            found = missed_by_peer(theirs, capacity, peer, string)
            assert missed_by(rules(capacity, dict(enumerate(string.sizes)), None), string)[0] == found, (name, capacity)


def test_w_tinylfu_is_near_the_peer(peer: Any) -> None:
    """The peer counts in a sketch, hits in the main part and judgements, not each access: it misses about the same."""
    string = String([1] * 600, zipf(600, 8000, 4), [200])
    cache = policies.POLICIES["wtinylfu"](200, dict(enumerate(string.sizes)), None)
    found = missed_by_peer("WTinyLFU", 200, peer, string)
    assert abs(missed_by(cache, string)[0] / found - 1) < 0.05
