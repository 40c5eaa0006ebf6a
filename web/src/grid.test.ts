// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import type { Tile } from "./binary";
import { differenceOf, extentOf, partOf, pickRows, rowSums, scaleOf, tileWindow, wholes } from "./grid";

const tile = (columns: number, rows: number, value: number[], x1 = columns, y1 = rows): Tile => ({
    columns, rows, x0: 0, x1, y0: 0, y1, revision: 0, flags: 0, value: Float64Array.from(value), dominant: new Uint32Array(value.length),
});

test("a small picture is asked for whole, once, however it is zoomed", () => {
    const pixels = { x: 1280, y: 800 };
    const all = tileWindow({ x0: 0, x1: 1000, y0: 0, y1: 272 }, 1000, 272, pixels);
    expect(all).toEqual({ x0: 0, x1: 1000, y0: 0, y1: 272, w: 1000, h: 272 });
    expect(tileWindow({ x0: 300, x1: 310, y0: 7, y1: 9 }, 1000, 272, pixels)).toEqual(all);
});

test("of a large one, the part that shows is asked for, in about as many cells as pixels", () => {
    const { from, to, cells } = partOf(50_000, 52_000, 1_000_000, 1000);
    expect(from).toBeLessThanOrEqual(50_000);
    expect(to).toBeGreaterThanOrEqual(52_000);
    expect((cells * 2000) / (to - from)).toBeGreaterThan(900);
    expect(cells).toBeLessThanOrEqual(2048);
});

test("the same part serves while a picture is moved a little", () => {
    expect(partOf(50_000, 52_000, 1_000_000, 1000)).toEqual(partOf(50_100, 52_100, 1_000_000, 1000));
});

test("a cell is never less than a token", () => {
    const { from, to, cells } = partOf(500_010, 500_020, 1_000_000, 1000);
    expect(cells).toBeLessThanOrEqual(to - from);
});

test("the scale is by token, so that it is the same when cells hold several", () => {
    expect(scaleOf([tile(4, 1, [1, 1, 3, 3])], false)).toEqual({ lo: 0, hi: 3, log: false });
    expect(scaleOf([tile(2, 1, [2, 6], 4)], false)).toEqual({ lo: 0, hi: 3, log: false });
    expect(scaleOf([tile(2, 1, [1, 1000])], true)).toEqual({ lo: 1, hi: 1000, log: true });
    expect(scaleOf([tile(2, 1, [0, 0])], true)).toEqual({ lo: 0, hi: 1, log: false });
    expect(scaleOf([tile(2, 2, [1, 3, 30, 40])], false, 1)).toEqual({ lo: 0, hi: 3, log: false, over: true });
});

test("a difference is the second less the first, by token, where both are", () => {
    const by = differenceOf(tile(2, 1, [4, 8], 4), tile(4, 1, [1, 2, 3, 7]));
    expect([...by.value]).toEqual([-1, 0, -1, 3]);
    expect(extentOf(by)).toBe(3);
    expect(differenceOf(tile(4, 1, [1, 1, 1, 1]), tile(2, 1, [1, 1])).x1).toBe(2);
});

test("sums of rows are of the columns that show", () => {
    const two = tile(4, 2, [1, 2, 3, 4, 10, 20, 30, 40]);
    expect([...rowSums(two, 0, 4)]).toEqual([10, 100]);
    expect([...rowSums(two, 1, 3)]).toEqual([5, 50]);
    expect([...rowSums(two, -5, 1)]).toEqual([1, 10]);
});

test("rows that are picked are those of the answer", () => {
    const all = tile(2, 4, [1, 2, 3, 4, 5, 6, 7, 8]);
    expect(pickRows(all, [1, 3])).toMatchObject({ rows: 2, y0: 0, y1: 2 });
    expect([...pickRows(all, [1, 3]).value]).toEqual([3, 4, 7, 8]);
    expect([...pickRows(all, [0, 9]).value]).toEqual([1, 2, 0, 0]);
});

test("whole rows of a cell", () => {
    expect(wholes(3, 4)).toEqual([3, 3]);
    expect(wholes(2.9999999999, 6)).toEqual([3, 5]);
});
