# SPDX-License-Identifier: MIT
"""Where libCacheSim departs from the papers: its rules, on top of the caches in tests/sections."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

sys.path.insert(0, os.path.join(os.environ["SOURCE"], "tests/sections"))
caches: Any = importlib.import_module("caches")


class Lfuda(caches.Ranked):
    """A hit adds the cache's age to the rank, not 1 to the count."""

    def begin(self) -> None:
        super().begin()
        self.age = 0

    def add(self, item: int) -> None:
        self.rank[item] = self.age + 1, self.now

    def hit(self, item: int) -> None:
        old = self.rank.pop(item)[0]
        new = old + self.age
        self.grow_older(old, new)
        self.rank[item] = new, self.now

    def evicted(self, rank: tuple[int, int]) -> None:
        self.age = rank[0]
        self.grow_older(rank[0], 0)

    def grow_older(self, old: int, new: int) -> None:
        """When the last one of the cache's age is gone, the cache is as old as the next."""
        ranks = {rank for rank, _ in self.rank.values()}
        if old == self.age and old not in ranks:
            self.age = min((rank for rank in ranks if rank > old), default=self.age)


class Lru2(caches.Lru2):
    """What is evicted is forgotten."""

    def drop(self, item: int) -> None:
        super().drop(item)
        del self.last[item]


class TwoQueues(caches.TwoQueues):
    """What is larger than A1in is passed by, and Am is held to three quarters of the cache by itself."""

    def miss(self, item: int) -> None:
        size = self.bytes_of[item]
        known = item in self.a1_out
        self.a1_out = [other for other in self.a1_out if other != item]
        if size > self.capacity // 4:
            return
        self.make_room(item)
        while known and self.size(self.am) + size > self.capacity - self.capacity // 4:
            self.drop(self.am.pop(0))
        self.take(item)
        (self.am if known else self.a1_in).append(item)


class Arc(caches.Arc):
    """A step is not as large as the item, and ghosts are let go one at a time, when something is evicted."""

    def step(self, item: int) -> int:
        return 1

    def forget(self, coming: int) -> None:
        while self.used + coming > self.capacity:
            if self.size(self.t1 + self.b1) + coming > self.capacity:
                if not self.b1:
                    self.drop(self.t1.pop(0))
                    continue
                self.b1.pop(0)
            elif self.b2 and self.size(self.t1 + self.b1 + self.t2 + self.b2) >= 2 * self.capacity:
                self.b2.pop(0)
            self.replace(False)

    def trim(self, coming: int) -> None:
        pass


class S3Fifo(caches.Cache):
    """Until something is evicted, the main queue takes newcomers once the small one is full. The main queue lets go
    if it is over its own nine tenths, else the small one. What is as large as the small queue is passed by."""

    def begin(self) -> None:
        self.small: list[int] = []
        self.main: list[int] = []
        self.ghost: list[int] = []
        self.freq: dict[int, int] = {}
        self.small_most = self.capacity // 10
        self.filling = True

    def hit(self, item: int) -> None:
        self.freq[item] += 1

    def miss(self, item: int) -> None:
        size, known = self.bytes_of[item], item in self.ghost
        self.ghost = [other for other in self.ghost if other != item]
        if size > self.small_most:
            return
        while not self.fits(item):
            self.filling = False
            if self.small and self.size(self.main) <= self.capacity - self.small_most:
                self.evict_small()
            else:
                self.evict_main()
        if not known and size >= self.small_most:
            return
        self.take(item)
        self.freq[item] = 0
        to_main = known or (self.filling and self.size(self.small) >= self.small_most)
        (self.main if to_main else self.small).append(item)

    def evict_small(self) -> None:
        while self.small:
            item = self.small.pop(0)
            if self.freq[item] < 2:
                self.drop(item)
                most = int(self.capacity * 0.9)
                while self.size(self.ghost) + self.bytes_of[item] > most:
                    self.ghost.pop(0)
                self.ghost.append(item)
                return
            self.freq[item] = 0
            self.main.append(item)

    def evict_main(self) -> None:
        while self.main:
            item = self.main.pop(0)
            if not self.freq[item]:
                self.drop(item)
                return
            self.freq[item] = min(self.freq[item], 3) - 1
            self.main.append(item)


class Lirs(caches.Cache):
    """For items of size 1. The stack is cut at twice the cache. When an HIR item that is not in the stack is accessed,
    an LIR item becomes HIR and takes its room in the queue, which is held to 1 % of the cache; the item still counts as
    held."""

    def begin(self) -> None:
        self.stack: list[int] = []
        self.queue: list[int] = []
        self.gone: list[int] = []  # in the stack and not held, in the order of leaving
        self.lir: set[int] = set()
        self.resident: set[int] = set()  # of the stack
        self.queue_most = max(1, self.capacity // 100)
        self.lir_most = self.capacity - self.queue_most

    def access(self, item: int) -> int:
        hit = item in self.queue or (item in self.stack and item in self.resident)
        if hit:
            self.hit(item)
        else:
            self.miss(item)
        while len(self.stack) > 2 * self.capacity and self.gone:
            self.stack.remove(self.gone.pop(0))
        return int(hit)

    def push(self, item: int) -> None:
        self.stack = [other for other in self.stack if other != item] + [item]

    def hit(self, item: int) -> None:
        waiting = item in self.queue
        if item not in self.stack:
            self.queue.remove(item)
            self.queue.append(item)
            self.demote_for_one()
            self.push(item)
            self.resident.add(item)
            return
        self.push(item)
        if item in self.lir:
            self.prune()
            return
        if waiting:
            self.queue.remove(item)
        self.demote_for_one()
        self.lir.add(item)

    def miss(self, item: int) -> None:
        known = item in self.stack
        if known:
            self.push(item)
            self.demote_for_one()
            if item in self.gone:
                self.gone.remove(item)
        elif len(self.lir) == self.lir_most:
            self.leave_queue()
        if known or len(self.lir) < self.lir_most:
            self.lir.add(item)
        else:
            self.queue.append(item)
        self.push(item)
        self.resident.add(item)

    def demote_for_one(self) -> None:
        while len(self.lir) + 1 > self.lir_most:
            item = self.stack.pop(0)
            self.lir.discard(item)
            self.resident.discard(item)
            self.leave_queue()
            self.queue.append(item)
            self.prune()

    def leave_queue(self) -> None:
        while len(self.queue) + 1 > self.queue_most:
            item = self.queue.pop(0)
            if item in self.stack:
                self.resident.discard(item)
                self.gone.append(item)

    def prune(self) -> None:
        while self.stack[0] != self.stack[-1] and self.stack[0] not in self.lir:
            item = self.stack.pop(0)
            if item in self.gone:
                self.gone.remove(item)
            self.resident.discard(item)
