// SPDX-License-Identifier: MIT
import { describe, expect, it } from "vitest";

import { nextOrder, parseBytes, parseJump } from "./query";
import { ROW, scrolled, scrollTo, SLOTS, slotsFor } from "./scroll";

const HEIGHT = 600;
const MANY = 100_136_334;
const rowAt = ({ base, top }: { base: number; top: number }): number => base + top / ROW;
const most = (total: number): number => slotsFor(total) * ROW - HEIGHT;

describe("scrolling", () => {
    it("is plain where all rows fit", () => {
        expect(scrollTo(500, 5000, HEIGHT)).toEqual({ base: 0, top: 500 * ROW });
        expect(scrolled(0, 0, 4321, 5000, HEIGHT)).toEqual({ base: 0, top: 4321 });
        expect(scrollTo(10, 5, HEIGHT)).toEqual({ base: 0, top: 0 });
    });

    it("keeps the element below what browsers can show", () => {
        expect(slotsFor(MANY) * ROW).toBeLessThan(8_000_000);
    });

    it("reaches any row of a hundred million", () => {
        for (const row of [0, 1, 17, SLOTS, 12_345_678, MANY / 2, MANY - SLOTS, MANY - 26]) {
            const at = scrollTo(row, MANY, HEIGHT);
            expect(rowAt(at)).toBeCloseTo(row, 3);
            expect(at.base).toBeGreaterThanOrEqual(0);
            expect(at.base).toBeLessThanOrEqual(MANY - SLOTS);
            expect(at.top).toBeGreaterThanOrEqual(0);
            expect(at.top).toBeLessThanOrEqual(most(MANY));
        }
        expect(rowAt(scrollTo(MANY, MANY, HEIGHT)) + HEIGHT / ROW).toBeCloseTo(MANY, 3); // the last row is at the bottom
    });

    it("takes a dragged bar for a share of all rows", () => {
        expect(rowAt(scrolled(0, 0, most(MANY), MANY, HEIGHT)) + HEIGHT / ROW).toBeCloseTo(MANY, 0);
        const middle = rowAt(scrolled(0, 0, most(MANY) / 2, MANY, HEIGHT));
        expect(Math.abs(middle / MANY - 0.5)).toBeLessThan(0.001);
        expect(rowAt(scrolled(MANY - SLOTS, most(MANY), 0, MANY, HEIGHT))).toBe(0);
    });

    it("moves by rows with the wheel, without an end before the first and the last row", () => {
        for (const [start, step] of [[3_000, -1], [MANY - 3_000, 1], [50_000_000, 1], [50_000_000, -1]] as const) {
            let at = scrollTo(start, MANY, HEIGHT);
            let row = rowAt(at);
            for (let i = 0; i < 4000; i++) {
                const wanted = Math.max(0, Math.min(most(MANY), at.top + step * 100));
                const next = scrolled(at.base, at.top, wanted, MANY, HEIGHT);
                const to = rowAt(next);
                expect(Math.abs(to - row)).toBeLessThanOrEqual(100 / ROW + 1e-3);
                [at, row] = [next, to];
            }
            if (start === 3_000) expect(row).toBe(0);
            if (start === MANY - 3_000) expect(row + HEIGHT / ROW).toBeCloseTo(MANY, 1);
            if (start === 50_000_000) expect(Math.abs(row - start)).toBeGreaterThan(16_000);
        }
    });
});

describe("what is typed", () => {
    it("is a token or a time", () => {
        expect(parseJump("57")).toEqual({ near_token: 57 });
        expect(parseJump(" token 1,057 ")).toEqual({ near_token: 1057 });
        expect(parseJump("1.5s")).toEqual({ near: 1_500_000_000 });
        expect(parseJump("300 us")).toEqual({ near: 300_000 });
        for (const text of ["", "x", "-5", "1h", "1.5", "5 s s"]) expect(parseJump(text)).toBeNull();
    });

    it("is a range of bytes", () => {
        expect(parseBytes("4096")).toEqual({ lo: 4096, hi: 4097 });
        expect(parseBytes("0x1000-0x1FFF")).toEqual({ lo: 4096, hi: 8192 });
        expect(parseBytes("1,000 \u2013 1,999")).toEqual({ lo: 1000, hi: 2000 });
        for (const text of ["", "5-4", "4K", "-5", "1-2-3"]) expect(parseBytes(text)).toBeNull();
    });
});

describe("orders", () => {
    it("go round", () => {
        expect(nextOrder("time", "time")).toBe("-time");
        expect(nextOrder("time", "-time")).toBe("time");
        expect(nextOrder("bytes", "time")).toBe("-bytes");
        expect(nextOrder("bytes", "-bytes")).toBe("bytes");
        expect(nextOrder("bytes", "bytes")).toBe("time");
        expect(nextOrder("offset", "-bytes")).toBe("-offset");
    });
});
