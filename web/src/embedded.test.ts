// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import { embedded, graphTokens, withoutWindow } from "./embedded";
import type { RecordsPage } from "./types";

const rows = Array.from({ length: 250 }, (_, i) => ({ start_ns: i }));
const source = embedded({
    "api/traces/0/records?count=250": { schema: 1, total: 9000, reachable: 9000, from: 0, rows },
    "api/traces/0/graph?token=12": { token: 12 },
    "api/traces/0/graph?token=6": { token: 6 },
    "api/traces/1/graph?token=3": { token: 3 },
});
const page = async (address: string) => (await source.json(address)).answer as RecordsPage;

test("rows of records are those that are asked for, and end where the file's do", async () => {
    const second = await page("api/traces/0/records?from=100&count=100");
    expect(second.rows.map((row) => row.start_ns)).toEqual(rows.slice(100, 200).map((row) => row.start_ns));
    expect([second.total, second.reachable, second.from]).toEqual([9000, 250, 100]);
    expect((await page("api/traces/0/records?from=200&count=100")).rows.length).toBe(50);
});

test("records that were filtered, sorted or sought are not made up", async () => {
    for (const query of ["layer=3", "lo=0&hi=4096", "t0=5&t1=9", "order=-bytes", "near_token=4"]) {
        await expect(source.json(`api/traces/0/records?${query}&from=0&count=100`)).rejects.toThrow("the first 250 records");
    }
});

test("a file answers any window of what it holds, and says what to do for the rest", async () => {
    const source = embedded({
        "api/traces": { traces: [] },
        "api/traces/0/grid?x=token&y=layer&measure=bytes&x0=0&x1=9&y0=0&y1=3&w=9&h=3": btoa("TATG"),
    });
    expect(withoutWindow("a?y=2&x0=1&x=1")).toBe("a?x=1&y=2");
    expect((await source.json("api/traces")).answer).toEqual({ traces: [] });
    const answer = await source.bytes("api/traces/0/grid?y=layer&x=token&measure=bytes&x0=4&x1=5&w=800&h=600");
    expect([...new Uint8Array(answer)]).toEqual([84, 65, 84, 71]);
    await expect(source.json("api/traces/0/records?from=0")).rejects.toThrow("tat view");
});

test("it tells whose graphs it has", () => {
    expect(graphTokens({ "api/traces/0/graph?token=12": 1, "api/traces/0/graph?token=6": 1, "api/traces/1/graph?token=3": 1 }, 0)).toEqual([6, 12]);
});
