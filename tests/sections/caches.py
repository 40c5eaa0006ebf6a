# SPDX-License-Identifier: MIT
"""More of what policies.py begins: caches written from the papers and from what src/policy says of sizes."""


class Cache:
    """What most share: who is held, and room made by evict() for whoever comes."""

    def __init__(self, capacity, bytes_of, uses=None):
        self.capacity, self.bytes_of, self.held, self.used, self.now = capacity, bytes_of, set(), 0, 0
        self.begin()

    def begin(self):
        pass

    def access(self, item):
        size = self.bytes_of[item]
        self.now += 1
        if item in self.held:
            self.hit(item)
            return size
        if size <= self.capacity:
            self.miss(item)
        return 0

    def miss(self, item):
        self.make_room(item)
        self.take(item)
        self.add(item)

    def fits(self, item):
        return self.used + self.bytes_of[item] <= self.capacity

    def make_room(self, item):
        while not self.fits(item):
            self.drop(self.evict())

    def take(self, item):
        self.held.add(item)
        self.used += self.bytes_of[item]

    def drop(self, item):
        self.held.remove(item)
        self.used -= self.bytes_of[item]

    def size(self, items):
        return sum(map(self.bytes_of.__getitem__, items))


class Mru(Cache):
    def begin(self):
        self.order = []

    def hit(self, item):
        self.order.remove(item)
        self.order.append(item)

    def add(self, item):
        self.order.append(item)

    def evict(self):
        return self.order.pop()


class Clock(Cache):
    def begin(self):
        self.queue, self.accessed = [], set()

    def hit(self, item):
        self.accessed.add(item)

    def add(self, item):
        self.queue.append(item)

    def evict(self):
        while self.queue[0] in self.accessed:
            item = self.queue.pop(0)
            self.accessed.remove(item)
            self.queue.append(item)
        return self.queue.pop(0)


class Sieve(Cache):
    def begin(self):
        self.queue, self.visited, self.hand = [], set(), 0  # the oldest first

    def hit(self, item):
        self.visited.add(item)

    def add(self, item):
        self.queue.append(item)

    def evict(self):
        while True:
            item = self.queue[self.hand]
            if item not in self.visited:
                del self.queue[self.hand]
                self.hand = self.hand if self.hand < len(self.queue) else 0
                return item
            self.visited.remove(item)
            self.hand = (self.hand + 1) % len(self.queue)


class Ranked(Cache):
    """The lowest rank goes first."""

    def begin(self):
        self.rank = {}

    def evict(self):
        item = min(self.rank, key=self.rank.get)
        self.evicted(self.rank.pop(item))
        return item

    def evicted(self, rank):
        pass


class Lfu(Ranked):
    def add(self, item):
        self.rank[item] = 1, self.now

    def hit(self, item):
        self.rank[item] = self.rank[item][0] + 1, self.now


class Lfuda(Ranked):
    def begin(self):
        super().begin()
        self.age, self.count = 0, {}

    def add(self, item):
        self.count[item] = 0
        self.hit(item)

    def hit(self, item):
        self.count[item] += 1
        self.rank[item] = self.count[item] + self.age, self.now

    def evicted(self, rank):
        self.age = rank[0]


class Lru2(Ranked):
    """Of all that was ever accessed the last two accesses are known; an item's rank is the earlier one."""

    def begin(self):
        super().begin()
        self.last = {}

    def access(self, item):
        hit = super().access(item)
        self.last[item] = self.now
        return hit

    def add(self, item):
        self.rank[item] = self.last.get(item, 0), self.now

    hit = add


class TwoQueues(Cache):
    def begin(self):
        self.a1_in, self.a1_out, self.am = [], [], []  # the oldest first

    def hit(self, item):
        if item in self.am:
            self.am.remove(item)
            self.am.append(item)

    def miss(self, item):
        into = self.am if item in self.a1_out else self.a1_in
        self.a1_out = [other for other in self.a1_out if other != item]
        self.make_room(item)
        self.take(item)
        into.append(item)

    def evict(self):
        if self.am and self.size(self.a1_in) <= self.capacity // 4:
            return self.am.pop(0)
        item = self.a1_in.pop(0)
        self.a1_out.append(item)
        while self.size(self.a1_out) > self.capacity // 2:
            self.a1_out.pop(0)
        return item


class Arc(Cache):
    def begin(self):
        self.t1, self.t2, self.b1, self.b2, self.p = [], [], [], [], 0.0  # the oldest first

    def hit(self, item):
        (self.t1 if item in self.t1 else self.t2).remove(item)
        self.t2.append(item)

    def step(self, item):
        return self.bytes_of[item]

    def miss(self, item):
        into = self.t1
        if item in self.b1 + self.b2:
            own, other = (self.b1, self.b2) if item in self.b1 else (self.b2, self.b1)
            delta = self.step(item) * max(self.size(other) / self.size(own), 1)
            self.p = min(self.p + delta, self.capacity) if own is self.b1 else max(self.p - delta, 0)
            own.remove(item)
            while not self.fits(item):
                self.replace(own is self.b2)
            into = self.t2
        else:
            self.forget(self.bytes_of[item])
            while not self.fits(item):
                self.replace(False)
            self.trim(self.bytes_of[item])
        self.take(item)
        into.append(item)

    def forget(self, coming):
        while self.size(self.t1 + self.b1) + coming > self.capacity:
            if self.b1:
                self.b1.pop(0)
            else:
                self.drop(self.t1.pop(0))

    def trim(self, coming):
        while self.b2 and self.size(self.t1 + self.b1 + self.t2 + self.b2) + coming > 2 * self.capacity:
            self.b2.pop(0)

    def replace(self, in_b2):
        t1 = self.size(self.t1)
        first = self.t1 and (t1 > self.p or (in_b2 and t1 == self.p))
        held, ghosts = (self.t1, self.b1) if first or not self.t2 else (self.t2, self.b2)
        item = held.pop(0)
        ghosts.append(item)
        self.drop(item)


class Lirs(Cache):
    def begin(self):
        self.stack, self.queue, self.lir = [], [], set()  # the bottom, and who goes first, first
        self.most = self.capacity - max(self.capacity // 100, min(self.capacity - 1, 1))

    def push(self, item):
        self.stack = [other for other in self.stack if other != item] + [item]

    def prune(self):
        while self.stack and self.stack[0] not in self.lir:
            self.stack.pop(0)

    def demote(self):
        item = self.stack.pop(0)
        self.lir.remove(item)
        self.queue.append(item)
        self.prune()

    def promote(self, item):
        self.push(item)
        self.lir.add(item)
        while self.size(self.lir) > self.most and self.stack[0] != item:
            self.demote()
        self.prune()

    def hit(self, item):
        if item in self.lir:
            self.push(item)
            self.prune()
        else:
            self.queue.remove(item)
            if item in self.stack:
                self.promote(item)
            else:
                self.push(item)
                self.queue.append(item)

    def evict(self):
        if not self.queue:
            self.demote()
        return self.queue.pop(0)

    def add(self, item):
        if item in self.stack or self.size(self.lir) + self.bytes_of[item] <= self.most:
            self.promote(item)
        else:
            self.queue.append(item)
            self.push(item)
            self.prune()


class WTinyLfu(Cache):
    def begin(self):
        self.window, self.probation, self.protected = [], [], []  # the oldest first
        self.count, self.sample = dict.fromkeys(self.bytes_of, 0), 0
        self.window_most = self.capacity // 100
        self.main_most = self.capacity - self.window_most

    def access(self, item):
        if self.bytes_of[item] <= self.capacity:
            self.count[item] = min(self.count[item] + 1, 15)
            self.sample += self.bytes_of[item]
            if self.sample >= 10 * self.capacity:
                self.sample //= 2
                self.count = {one: count // 2 for one, count in self.count.items()}
        return super().access(item)

    def hit(self, item):
        if item in self.window:
            self.window.remove(item)
            self.window.append(item)
            return
        (self.probation if item in self.probation else self.protected).remove(item)
        self.protected.append(item)
        while self.size(self.protected) > self.main_most // 5 * 4:
            self.probation.append(self.protected.pop(0))

    def miss(self, item):
        size = self.bytes_of[item]
        if size > self.window_most:
            if not self.fits(item) and not self.beats(item, self.used + size - self.capacity):
                return
            into = self.probation
        else:
            while self.size(self.window) + size > self.window_most:
                self.leave_window(item)
            while not self.fits(item):
                self.drop((self.probation or self.protected).pop(0))
            into = self.window
        self.take(item)
        into.append(item)

    def leave_window(self, newcomer):
        item = self.window.pop(0)
        over = self.size([*self.probation, *self.protected, item]) - self.main_most
        if over <= 0 or self.fits(newcomer) or self.beats(item, over):
            self.probation.append(item)
        else:
            self.drop(item)

    def worth(self, items):
        return sum(self.count[item] * self.bytes_of[item] for item in items)

    def beats(self, item, need):
        queue, victims = self.probation + self.protected, []
        while self.size(victims) < need:
            if not queue:
                return False
            victims.append(queue.pop(0))
        if self.worth(victims) >= self.worth([item]):
            return False
        for victim in victims:
            (self.probation or self.protected).pop(0)
            self.drop(victim)
        return True


class Cycle(Cache):
    """A cycle ends before an item that it has had. What an item is worth: the chance that its next turn wants it, over
    the way until then. The chance follows from its count and, until then, from whether its last turn wanted it."""

    PARTS, BEFORE, LATE, UNIT = 16, 2, 4, 1024

    def begin(self):
        self.cycle, self.position, self.length = 0, 0, 0
        self.seen, self.same, self.expected = 0, 0, 0.0
        self.count, self.last, self.place = {}, {}, {}  # by item: uses; (cycle, position) last; part of the cycle
        self.rank = {}  # of what is held: (chance, access)
        self.recent = []  # what is held and was wanted by its last turn

    def access(self, item):
        if self.last.get(item, (-1, 0))[0] == self.cycle:
            self.cycle, self.length, self.position = self.cycle + 1, self.position, 0
        self.learn(item)
        for other in list(self.recent):
            cycle, position = self.last[other]
            if cycle == self.cycle or (cycle == self.cycle - 1 and position + self.LATE >= self.position):
                break
            self.recent.remove(other)
            self.rank[other] = self.count[other] * self.UNIT, self.rank[other][1]
        self.count[item] = self.count.get(item, 0) + 1
        self.last[item] = self.cycle, self.position
        self.part = min(self.position * self.PARTS // self.length, self.PARTS - 1) if self.length else 0
        self.position += 1
        return super().access(item)

    def learn(self, item):
        if item in self.last:
            self.seen += 1
            self.same += self.last[item][0] == self.cycle - 1
            self.expected += min(self.count[item] / self.cycle, 1)

    def fresh(self, item):
        more = (self.same - self.expected) / (self.seen - self.same + 1)
        bonus = int(max(more, 0) * (self.cycle + 1) * self.UNIT)
        return self.count[item] * self.UNIT + bonus, self.now

    def worth(self, chance, turns, steps):
        return chance * (1 / (max(turns, 1) * (self.BEFORE + steps / self.PARTS)))

    def order(self, item):
        steps = (self.place[item] - self.part) % self.PARTS
        turns = self.cycle + (self.place[item] < self.part)
        return self.worth(self.rank[item][0], turns, steps), -steps, self.rank[item][1]

    def hit(self, item):
        self.rank[item] = self.fresh(item)
        self.place[item] = self.part
        self.recent = [other for other in self.recent if other != item] + [item]

    def miss(self, item):
        free, out, left = self.capacity - self.used, [], sorted(self.rank, key=self.order)
        worth = self.worth(self.fresh(item)[0], self.cycle + 1, self.PARTS)
        while free < self.bytes_of[item]:
            if not left or self.order(left[0])[0] >= worth:
                return
            free += self.bytes_of[left[0]]
            out.append(left.pop(0))
        for other in out:
            self.drop(other)
            del self.rank[other]
            self.recent = [one for one in self.recent if one != other]
        self.take(item)
        self.hit(item)
