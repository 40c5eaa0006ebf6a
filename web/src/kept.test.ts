// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import { Kept } from "./kept";

const sized = (bytes: number) => async () => ({ answer: bytes, bytes });

test("a question is asked once", async () => {
    const kept = new Kept(8, 100);
    let asked = 0;
    const ask = async () => ({ answer: ++asked, bytes: 1 });
    expect(await Promise.all([kept.once("a", ask), kept.once("a", ask)])).toEqual([1, 1]);
    expect(await kept.once("a", ask)).toBe(1);
});

test("what was asked for longest ago goes first, by number and by size", async () => {
    const kept = new Kept(3, 100);
    for (const key of ["a", "b", "c"]) await kept.once(key, sized(10));
    await kept.once("a", sized(10));
    await kept.once("d", sized(10));
    expect(kept.keys()).toEqual(["c", "a", "d"]);
    await kept.once("e", sized(85));
    expect(kept.keys()).toEqual(["d", "e"]);
});

test("one that is larger than all there may be is kept alone", async () => {
    const kept = new Kept(3, 100);
    await kept.once("a", sized(10));
    expect(await kept.once("b", sized(500))).toBe(500);
    expect(kept.keys()).toEqual(["b"]);
    await kept.once("c", sized(10));
    expect(kept.keys()).toEqual(["c"]);
});

test("what failed is asked again, and what was forgotten on its way counts for nothing", async () => {
    const kept = new Kept(3, 100);
    await expect(kept.once("a", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await kept.once("a", sized(1))).toBe(1);
    const late = kept.once("b", sized(100));
    kept.forget("b");
    await late;
    await kept.once("c", sized(99));
    expect(kept.keys()).toEqual(["a", "c"]);
});
