// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import { lane } from "./lane";

test("so many run at once, in their order, also after one that failed", async () => {
    const inLane = lane(2);
    const began: number[] = [];
    const ends: ((failed: boolean) => void)[] = [];
    const task = (i: number) => () =>
        new Promise<number>((done, fail) => {
            began.push(i);
            ends[i] = (failed) => (failed ? fail(new Error("no")) : done(i));
        });
    const all = [0, 1, 2, 3, 4].map((i) => inLane(task(i)));
    expect(began).toEqual([0, 1]);
    ends[0]!(true);
    await expect(all[0]).rejects.toThrow("no");
    expect(began).toEqual([0, 1, 2]);
    ends[2]!(false);
    expect(await all[2]).toBe(2);
    expect(began).toEqual([0, 1, 2, 3]);
    for (const i of [1, 3]) ends[i]!(false);
    expect(await all[3]).toBe(3);
    ends[4]!(false);
    expect(await Promise.all([all[1], all[4]])).toEqual([1, 4]);
});
