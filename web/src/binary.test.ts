// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import { cellAt, decodeTile, greatest, NO_TENSOR } from "./binary";

/** A tile as doc/view.md has it. */
function tile(columns: number, rows: number, magic = "TATG", version = 1): ArrayBuffer {
    const cells = columns * rows;
    const buffer = new ArrayBuffer(64 + cells * 12);
    const head = new DataView(buffer);
    [...magic].forEach((letter, i) => head.setUint8(i, letter.charCodeAt(0)));
    head.setUint32(4, version, true);
    head.setUint32(8, columns, true);
    head.setUint32(12, rows, true);
    [10n, 10n + BigInt(columns) * 2n, 0n, BigInt(rows)].forEach((value, i) => head.setBigUint64(16 + i * 8, value, true));
    head.setUint32(48, 7, true);
    for (let i = 0; i < cells; i++) {
        head.setFloat64(64 + i * 8, i * 1.5, true);
        head.setUint32(64 + cells * 8 + i * 4, i === 0 ? NO_TENSOR : i, true);
    }
    return buffer;
}

test("a tile is read as it was written", () => {
    const read = decodeTile(tile(3, 2), "TATG");
    expect(read).toMatchObject({ columns: 3, rows: 2, x0: 10, x1: 16, y0: 0, y1: 2, revision: 7 });
    expect([...read.value]).toEqual([0, 1.5, 3, 4.5, 6, 7.5]);
    expect([...read.dominant]).toEqual([NO_TENSOR, 1, 2, 3, 4, 5]);
    expect(greatest(read)).toBe(7.5);
});

test("an odd number of cells leaves the second array aligned", () => {
    expect([...decodeTile(tile(1, 3), "TATG").dominant]).toEqual([NO_TENSOR, 1, 2]);
});

test("places fall into cells, and outside into none", () => {
    const read = decodeTile(tile(3, 2), "TATG");
    expect(cellAt(read, 10, 0)).toBe(0);
    expect(cellAt(read, 12.5, 1.9)).toBe(4);
    expect(cellAt(read, 16, 0)).toBe(-1);
    expect(cellAt(read, 9.9, 0)).toBe(-1);
    expect(cellAt(read, 11, 2)).toBe(-1);
});

test("bytes that are not a tile are refused, and says why", () => {
    expect(() => decodeTile(new ArrayBuffer(10), "TATG")).toThrow("cut");
    expect(() => decodeTile(tile(2, 2, "TATO"), "TATG")).toThrow("TATO");
    expect(() => decodeTile(tile(2, 2, "TATG", 2), "TATG")).toThrow("version 2");
    expect(() => decodeTile(tile(2, 2).slice(0, -1), "TATG")).toThrow("2 x 2 cells need");
});
