# SPDX-License-Identifier: MIT
"""Caches, written from what src/policy says of each and to be read, not to be fast: each is told of one read after the
other and answers how many bytes of it were held. Items are compared with < where a policy needs an order."""

from bisect import bisect_left, insort

from caches import Arc, Clock, Cycle, Lfu, Lfuda, Lirs, Lru2, Mru, Sieve, TwoQueues, WTinyLfu

NEVER = float("inf")


class Queue:
    """LRU and FIFO: who has waited longest goes. A hit moves to the end, or not."""

    def __init__(self, capacity, bytes_of, uses):
        self.capacity, self.bytes_of, self.held = capacity, bytes_of, {}  # in the order of waiting

    def access(self, item):
        hit, size = item in self.held, self.bytes_of[item]
        if hit:
            self.touch(item)
        elif size <= self.capacity:
            while sum(self.held.values()) + size > self.capacity:
                del self.held[next(iter(self.held))]
            self.held[item] = size
        return size if hit else 0


class Lru(Queue):
    def touch(self, item):
        self.held[item] = self.held.pop(item)


class Fifo(Queue):
    def touch(self, item):
        pass


class Frequency:
    """Counts all; a newcomer drives out what was used less than it, the least used first, of equals who has waited longest
    since its last use, or nothing at all."""

    def __init__(self, capacity, bytes_of, uses):
        self.capacity, self.bytes_of, self.held, self.used, self.now = capacity, bytes_of, set(), 0, 0
        self.uses = {item: (0, 0) for item in bytes_of}  # how often, when last

    def access(self, item):
        self.now += 1
        self.uses[item] = self.uses[item][0] + 1, self.now
        if item in self.held:
            return self.bytes_of[item]
        size, free, left = self.bytes_of[item], self.capacity - self.used, self.held
        while size > free:
            least = min(left, key=self.uses.get, default=item)
            if self.uses[least][0] >= self.uses[item][0]:
                return 0
            left = left - {least}
            free += self.bytes_of[least]
        self.held = left | {item}
        self.used = self.capacity - free + size
        return 0


class S3Fifo:
    """A small queue of newcomers, a tenth of the cache, a main queue, and a ghost queue of what the small one let go."""

    def __init__(self, capacity, bytes_of, uses):
        self.capacity, self.bytes_of = capacity, bytes_of
        self.small, self.main, self.ghost, self.uses, self.used = [], [], [], {}, 0

    def size(self, queue):
        return sum(map(self.bytes_of.__getitem__, queue))

    def access(self, item):
        if item in self.uses:
            self.uses[item] = min(self.uses[item] + 1, 3)
            return self.bytes_of[item]
        if self.bytes_of[item] > self.capacity:
            return 0
        queue = self.small
        if item in self.ghost:
            self.ghost.remove(item)
            queue = self.main
        while self.used + self.bytes_of[item] > self.capacity:
            self.evict()
        queue.append(item)
        self.uses[item] = 0
        self.used += self.bytes_of[item]
        return 0

    def evict(self):
        if self.small and (self.size(self.small) > self.capacity // 10 or not self.main):
            item = self.small.pop(0)
            if self.uses[item] >= 2:
                self.main.append(item)
                self.uses[item] = 0
                return
            self.ghost.append(item)
            while self.size(self.ghost) > self.capacity - self.capacity // 10:
                self.ghost.pop(0)
        else:
            item = self.main.pop(0)
            if self.uses[item]:
                self.uses[item] -= 1
                self.main.append(item)
                return
        del self.uses[item]
        self.used -= self.bytes_of[item]


class Pin:
    """Chosen beforehand: what is read most often, of equals the smaller, and of the last one what fits."""

    def __init__(self, capacity, bytes_of, uses):
        self.chosen, self.held = {}, set()
        for item in sorted(uses, key=lambda i: (-uses[i], bytes_of[i], i)):
            self.chosen[item] = min(bytes_of[item], capacity)
            capacity -= self.chosen[item]

    def access(self, item):
        held = self.chosen[item] if item in self.held else 0
        self.held.add(item)
        return held


POLICIES = {
    "lru": Lru, "fifo": Fifo, "clock": Clock, "sieve": Sieve, "s3fifo": S3Fifo, "2q": TwoQueues, "arc": Arc, "lirs": Lirs,
    "lru2": Lru2, "lfu": Lfu, "lfuda": Lfuda, "wtinylfu": WTinyLfu, "frequency": Frequency, "mru": Mru, "cycle": Cycle,
    "pin": Pin,
}  # fmt: skip
ONLINE = [name for name in POLICIES if name != "pin"]
TITLES = {
    "lru": "least recently used",
    "fifo": "first in, first out",
    "clock": "CLOCK",
    "sieve": "SIEVE",
    "s3fifo": "S3-FIFO",
    "2q": "2Q",
    "arc": "ARC",
    "lirs": "LIRS",
    "lru2": "LRU-2",
    "lfu": "least frequently used",
    "lfuda": "LFU with dynamic ageing",
    "wtinylfu": "W-TinyLFU",
    "frequency": "frequency with admission",
    "mru": "most recently used",
    "cycle": "next turn in the cycle",
    "pin": "pin the best, stream the rest",
    "min": "MIN (Belady), the optimum",
}


def next_reads(items):
    """When each is read again, as its place in the list."""
    following, coming = [], {}
    for i in range(len(items) - 1, -1, -1):
        following.append(coming.get(items[i], NEVER))
        coming[items[i]] = i
    return following[::-1]


def least_read_again(items, bytes_of, capacity, counts):
    """Bytes that MIN on single bytes reads again, by those reads for which counts[i] holds: after each read, of all bytes
    that are there those stay whose next read that counts comes soonest."""
    following = [i if i != NEVER and counts[i] else NEVER for i in next_reads(items)]
    needs, held, seen, used, again = [], {}, set(), 0, 0  # held: by the read that it is held for
    for now, item in enumerate(items):
        there = held.pop(now, 0)
        if there:
            needs.pop(bisect_left(needs, now))
            used -= there
        again += bytes_of[item] - there if counts[now] and item in seen else 0
        seen.add(item)
        if following[now] == NEVER:
            continue
        insort(needs, following[now])
        held[following[now]] = bytes_of[item]
        used += bytes_of[item]
        while used > capacity:
            cut = min(held[needs[-1]], used - capacity)
            held[needs[-1]] -= cut
            used -= cut
            if not held[needs[-1]]:
                del held[needs.pop()]
    return again
