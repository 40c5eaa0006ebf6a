// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import { asInFile, blockAt, boundsOf, heldBy, inOrder, layoutOf, piecesOf, rangeOf, rowsFor } from "./filemap";

const block = (tensor: number, file: number, offset: number, bytes: number) => ({ tensor, expert: null, file, offset, bytes, accesses: 1, read_bytes: bytes });
const files = [{ name: "a", bytes: 100 }, { name: "b", bytes: 50 }];

test("files lie one behind the other, and what is of no tensor is nobody's", () => {
    const strip = asInFile({ files, merged: false, blocks: [block(2, 1, 10, 40), block(0, 0, 20, 30), block(1, 0, 50, 50)] });
    expect(strip.bytes).toBe(150);
    expect(strip.blocks.map(({ tensor, at, end }) => [tensor, at, end])).toEqual([[0, 20, 50], [1, 50, 100], [2, 110, 150]]);
    expect([0, 20, 49, 50, 99, 105, 110, 149].map((byte) => blockAt(strip.blocks, byte)?.tensor ?? null)).toEqual([null, 0, 0, 1, 1, null, 2, 2]);
    expect(blockAt(strip.blocks, 150)).toBe(null);
});

test("another order closes the gaps", () => {
    const strip = inOrder(asInFile({ files, merged: false, blocks: [block(0, 0, 20, 30), block(1, 0, 60, 40)] }).blocks, (a, b) => Number(b.tensor) - Number(a.tensor));
    expect([strip.bytes, ...strip.blocks.map(({ tensor, at }) => [tensor, at])]).toEqual([70, [1, 0], [0, 40]]);
});

test("a stretch of bytes is folded into rows", () => {
    expect(piecesOf(5, 25, { lo: 0, hi: 40 }, 10)).toEqual([[0, 5, 10], [1, 0, 10], [2, 0, 5]]);
    expect(piecesOf(5, 25, { lo: 10, hi: 20 }, 5)).toEqual([[0, 0, 5], [1, 0, 5]]);
    expect(piecesOf(0, 5, { lo: 10, hi: 20 }, 5)).toEqual([]);
});

test("the fewer blocks show, the fewer rows", () => {
    const blocks = asInFile({ files: [{ name: "", bytes: 1000 }], merged: false, blocks: Array.from({ length: 1000 }, (_, i) => block(i, 0, i, 1)) }).blocks;
    expect([rowsFor(blocks, { lo: 0, hi: 1000 }), rowsFor(blocks, { lo: 0, hi: 90 }), rowsFor(blocks, { lo: 5, hi: 7 })]).toEqual([32, 4, 1]);
});

test("a wheel zooms about a byte, a drag takes rows or a part of one, and far out is all", () => {
    const shown = { lo: 0, hi: 100 };
    const rows = { lo: 0, perRow: 10, rows: 10 };
    const later = { lo: 20, perRow: 2, rows: 10 };
    // About the middle of the second of ten rows: byte 15 stays where it is.
    const zoomed = rangeOf({ x0: 2.5, x1: 7.5, y0: 0.75, y1: 5.75 }, shown, rows, 100, 1)!;
    expect(zoomed.hi - zoomed.lo).toBe(50);
    expect((15 - zoomed.lo) / 50).toBeCloseTo(0.15, 1);
    expect(rangeOf({ x0: 2, x1: 6, y0: 1.2, y1: 1.9 }, shown, rows, 100, 1)).toEqual({ lo: 12, hi: 16 });
    expect(rangeOf({ x0: 2, x1: 6, y0: 1.2, y1: 3.9 }, shown, rows, 100, 1)).toEqual({ lo: 10, hi: 40 });
    expect(rangeOf({ x0: 0, x1: 10, y0: 2, y1: 12 }, { lo: 20, hi: 40 }, later, 100, 1)).not.toBe(null);
    expect(rangeOf(boundsOf(false, 2, 10), { lo: 20, hi: 40 }, later, 100, 1)).toBe(null);
    expect(rangeOf({ x0: 0, x1: 2, y0: 3, y1: 13 }, { lo: 20, hi: 40 }, later, 100, 1)).toEqual({ lo: 26, hi: 46 });
    expect(rangeOf({ x0: 0, x1: 0.1, y0: 0.2, y1: 0.4 }, shown, rows, 100, 8)).toEqual({ lo: 0, hi: 8 });
    // Rows begin before what shows: a byte is where it is drawn.
    expect(rangeOf({ x0: 2, x1: 6, y0: 1.2, y1: 1.9 }, { lo: 7, hi: 38 }, { lo: 0, perRow: 8, rows: 5 }, 100, 1)).toEqual({ lo: 10, hi: 14 });
    // Small moves add up.
    let moved: { lo: number; hi: number } | null = { lo: 20, hi: 40 };
    for (let i = 0; i < 8; i++) moved = rangeOf({ x0: 0, x1: 10, y0: 0.25, y1: 10.25 }, moved!, { ...rows, lo: 20 }, 100, 1);
    expect(moved!.lo).toBeGreaterThanOrEqual(36);
});

test("rows begin at round bytes", () => {
    const blocks = asInFile({ files: [{ name: "", bytes: 1000 }], merged: false, blocks: Array.from({ length: 1000 }, (_, i) => block(i, 0, i, 1)) }).blocks;
    expect(layoutOf(blocks, { lo: 0, hi: 1000 })).toEqual({ lo: 0, perRow: 32, rows: 32 });
    expect(layoutOf(blocks, { lo: 333, hi: 433 })).toEqual({ lo: 320, perRow: 16, rows: 8 });
    expect(heldBy(layoutOf(blocks, { lo: 333, hi: 433 }))).toEqual({ lo: 320, hi: 448 });
    expect(layoutOf(blocks, { lo: 7, hi: 12 })).toEqual({ lo: 7, perRow: 5, rows: 1 });
});
