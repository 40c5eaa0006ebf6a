// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import { byteTicks, inside, roundTicks, ticksOf, timeTicks, zoomed } from "./axes";

test("ticks are at round numbers, and as many as fit", () => {
    expect(roundTicks(0, 100, 10)).toEqual([0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
    expect(roundTicks(3, 47, 5)).toEqual([10, 20, 30, 40]);
    expect(roundTicks(0, 0, 5)).toEqual([]);
});

test("cells have whole numbers, however close the zoom", () => {
    const axis = { label: "token", cells: true, print: String };
    expect(ticksOf(axis, 3, 6, 30)).toEqual([3, 4, 5]);
});

test("ticks of bytes are at powers of two", () => {
    expect(byteTicks(0, 4096, 4)).toEqual([0, 1024, 2048, 3072, 4096]);
});

test("a range stays within bounds, and never gets too short", () => {
    const bounds = { lo: 0, hi: 100 };
    expect(inside({ lo: -20, hi: 10 }, bounds, 4)).toEqual({ lo: 0, hi: 30 });
    expect(inside({ lo: 50, hi: 50 }, bounds, 4)).toEqual({ lo: 48, hi: 52 });
    expect(inside({ lo: -50, hi: 500 }, bounds, 4)).toEqual(bounds);
    expect(inside({ lo: 0, hi: 1 }, { lo: 0, hi: 2 }, 4)).toEqual({ lo: 0, hi: 2 });
});

test("what is zoomed about stays where it is", () => {
    const to = zoomed({ lo: 0, hi: 100 }, 0.5, 25, { lo: 0, hi: 100 }, 4);
    expect(to).toEqual({ lo: 12.5, hi: 62.5 });
    expect((25 - to.lo) / (to.hi - to.lo)).toBe(0.25);
    expect(zoomed(to, 10, 25, { lo: 0, hi: 100 }, 4)).toEqual({ lo: 0, hi: 100 });
});

test("ticks of long times are at whole minutes", () => {
    expect(timeTicks(0, 4e9, 4)).toEqual([0, 1e9, 2e9, 3e9, 4e9]);
    expect(timeTicks(100e9, 3600e9, 8).map((ns) => ns / 60e9)).toEqual([10, 20, 30, 40, 50, 60]);
});
