// SPDX-License-Identifier: MIT
//
// The table of access records: its rows are those that `tat export` writes with the same filters, in any order, from any place on.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { address, asked, eventually, open, picture, recorded, serve, settled, taken } from "./page.mjs";

const at = await serve("experts");
const about = await asked(at, "api/traces/0/about");
const generated = about.phases.find(({ phase }) => phase === "generate").token_first;

/** Rows of the file that `tat export` writes, as the answers have them. */
function exported(...filters) {
    const text = execFileSync(process.env.TAT, ["export", "--format", "jsonl", ...filters, recorded("experts")], {
        encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"],
    });
    return text.trim().split("\n").map((line) => JSON.parse(line));
}

const all = exported();
const records = (query) => asked(at, `api/traces/0/records?${query}`);

/** What the table shows: cells of the rows that are seen, by the number of their row. */
const shown = (view) =>
    view.locator(".rows .row").evaluateAll((rows) =>
        rows.map((row) => ({ number: Number(row.dataset.row), cells: [...row.children].map((cell) => cell.textContent) })));

async function table(tab) {
    const view = await picture(tab, "Access records");
    await view.locator(".rows .row").first().waitFor();
    await settled(view);
    return view;
}

/** Brings a row of a table that is not too long for a scroll bar into sight. */
const scrollTo = (view, number) =>
    view.locator(".rows").evaluate((one, row) => (one.scrollTop = (row - 3) * one.querySelector(".row").offsetHeight), number);

const total = async (view) => Number(await view.locator("[data-total]").getAttribute("data-total"));

test("answers are the exported records, in the order of time", async () => {
    assert.equal(all.length, about.records);
    for (const from of [0, 999, Math.floor(all.length / 2), all.length - 3]) {
        const page = await records(`from=${from}&count=200`);
        assert.equal(page.total, all.length);
        assert.deepEqual(page.rows, all.slice(from, from + 200));
    }
    const back = await records("order=-time&count=5");
    assert.deepEqual(back.rows, all.slice(-5).reverse());
});

test("answers with filters are those of tat export with the same ones", async () => {
    const middle = all[Math.floor(all.length / 2)].start_ns;
    const queries = [
        ["phase=prompt", "--phases", "prompt"],
        ["layer=10&component=expert_down", "--layers", "10", "--components", "expert_down"],
        ["op=MUL_MAT_ID&expert=3", "--ops", "MUL_MAT_ID", "--experts", "3"],
        ["tensor=attn_q", "--tensors", "*attn_q*"],
        ["tokens=7:9&kind=kv", "--tokens", "7:9", "--kinds", "kv"],
        ["lo=40000000&hi=41000000", "--at", "40000000:40999999"],
        [`t0=${middle}&t1=${middle + 1e7}`, "--at-time", `${middle}:${middle + 1e7 - 1}`],
    ];
    for (const [query, ...filters] of queries) {
        const expected = exported(...filters);
        const page = await records(query);
        assert.equal(page.total, expected.length, query);
        assert.deepEqual(page.rows, expected.slice(0, 1000), query);
    }
});

test("durations have the units that tat report has", async (t) => {
    const row = all.findIndex(({ duration_ns }) => duration_ns >= 10_000 && duration_ns < 99_000 && duration_ns % 1000 !== 0);
    const tab = await open(t, at, "view=records");
    const view = await table(tab);
    await view.getByLabel("Go to a token, or to a time").fill(`${all[row].start_ns}ns`);
    await tab.keyboard.press("Enter");
    await view.locator(`[data-row="${row}"]`).getByText(`${(all[row].duration_ns / 1000).toFixed(1)} us`, { exact: true }).waitFor();
});

test("answers are sorted, exactly", async () => {
    const sorted = (list, key, sign) =>
        list.map((row, i) => [row, i]).sort(([a, i], [b, j]) => sign * (a[key] - b[key]) || i - j).map(([row]) => row);
    for (const [order, key, sign] of [["-bytes", "size", -1], ["duration", "duration_ns", 1], ["-offset", "offset", -1]]) {
        const page = await records(`order=${order}&layer=3&count=300`);
        const expected = sorted(all.filter((row) => row.layer === 3), key, sign);
        assert.equal(page.total, expected.length);
        assert.deepEqual(page.rows, expected.slice(0, 300), order);
    }
    const most = await records("order=-bytes&count=300");
    assert.deepEqual(most.rows, sorted(all, "size", -1).slice(0, 300));
    assert.ok(most.reachable <= most.total);
});

test("never more rows than are seen, from the first to the last", async (t) => {
    const tab = await open(t, at, "view=records");
    const view = await table(tab);
    assert.equal(await total(view), all.length);
    const check = async () => {
        const rows = await shown(view);
        assert.ok(rows.length > 10 && rows.length < 80, `${rows.length} rows`);
        for (const { number, cells } of rows) {
            const row = all[number];
            assert.deepEqual([cells[4], cells[5], cells[7], cells[10]], [row.op, row.operand, row.tensor, row.offset.toLocaleString("en-US")]);
        }
        return rows;
    };
    await eventually(async () => assert.equal((await check())[0].number, 0));
    await view.locator(".rows").focus();
    await tab.keyboard.press("End");
    await eventually(async () => assert.equal((await check()).at(-1).number, all.length - 1));
    await view.locator(".rows").evaluate((rows) => (rows.scrollTop = rows.scrollHeight / 2));
    await eventually(async () => {
        const middle = (await check())[0].number;
        assert.ok(Math.abs(middle / all.length - 0.5) < 0.02, String(middle));
    });
});

test("filters narrow it, by the selection that all views share", async (t) => {
    const tab = await open(t, at, "view=records&layer=10");
    const view = await table(tab);
    assert.equal(await total(view), all.filter((row) => row.layer === 10).length);
    await view.getByLabel("Only this component").selectOption("expert_up");
    await view.getByLabel("Only this expert").selectOption("3");
    await address(tab, { "o.component": "expert_up", expert: "3" });
    const expected = all.filter((row) => row.layer === 10 && row.component === "expert_up" && row.expert === 3);
    await tab.waitForFunction((n) => document.querySelector("[data-total]")?.dataset.total === n, String(expected.length));
    await view.getByLabel("Only tensors with this in their name").fill("no such tensor");
    await view.getByText("No record passes these filters").waitFor();
    await tab.keyboard.press("Escape"); // lets go of the selection
    await address(tab, { layer: null, expert: null });
});

test("a click on a heading sorts", async (t) => {
    const tab = await open(t, at, "view=records&layer=3");
    const view = await table(tab);
    const heading = view.getByRole("columnheader", { name: "bytes" });
    await heading.getByRole("button").click();
    await address(tab, { "o.order": "-bytes" });
    assert.equal(await heading.getAttribute("aria-sort"), "descending");
    const largest = Math.max(...all.filter((row) => row.layer === 3).map((row) => row.size));
    const cell = view.locator('.rows [data-row="0"] > div').nth(11);
    await eventually(async () => assert.match(await cell.getAttribute("title", { timeout: 1000 }), new RegExp(largest.toLocaleString("en-US"))));
});

test("a card and the chosen record show all operands of the operation", async (t) => {
    const tab = await open(t, at, "view=records&layer=10");
    const view = await table(tab);
    const rows = all.filter((row) => row.layer === 10);
    const number = rows.findIndex((row) => row.op === "MUL_MAT_ID");
    const wanted = all.filter((row) => row.graph === rows[number].graph && row.node === rows[number].node).map((row) => row.operand);
    const found = view.locator(`[data-row="${number}"]`);
    await scrollTo(view, number);
    await found.getByText("MUL_MAT_ID").waitFor();
    await found.hover();
    await tab.locator(".card .operands tr").first().waitFor();
    assert.deepEqual(await tab.locator(".card .operands th").allTextContents(), wanted);
    await found.click();
    await view.locator("aside .operands tr").first().waitFor();
    assert.deepEqual(await view.locator("aside .operands th").allTextContents(), wanted);
    if (rows[number].token === null) return;
    await view.getByRole("button", { name: "Show in the graph" }).click();
    await address(tab, { view: "graph", "o.node": String(rows[number].node), layer: "10" });
});

test("it goes to a token and to a time, and follows the play head", async (t) => {
    const tab = await open(t, at, "view=records");
    const view = await table(tab);
    const go = async (text) => {
        await view.getByLabel("Go to a token, or to a time").fill(text);
        await tab.keyboard.press("Enter");
    };
    const chosen = (row) => view.locator(`.row.cursor[data-row="${row}"]`).waitFor();
    const third = all.findIndex((row) => row.token === generated + 3);
    await go(String(generated + 3));
    await chosen(third);
    const ns = all[Math.floor(all.length * 0.7)].start_ns + 1;
    const after = all.findIndex((row) => row.start_ns + row.duration_ns > ns);
    await go(`${ns}ns`);
    await chosen(after);
    await go("what");
    await view.getByText("a token such as 57").waitFor();
    // Sorted otherwise, to a place that is known: by time again, and the row is chosen.
    await view.getByRole("columnheader", { name: "bytes" }).getByRole("button").click();
    await address(tab, { "o.order": "-bytes" });
    await go(String(generated + 3));
    await address(tab, { "o.order": null });
    await chosen(third);
    await view.locator(".rows").focus();
    await tab.keyboard.press("."); // the play head, one token on
    await address(tab, { token: "0" });
    await tab.waitForFunction((n) => document.querySelector(".row.at")?.dataset.row === n, String(all.findIndex((row) => row.token === 0)));
});

test("rows are taken away as CSV", async (t) => {
    const tab = await open(t, at, "view=records&layer=3&o.phase=prompt");
    const view = await table(tab);
    const lines = (await taken(view, "CSV")).bytes.toString().trim().split("\n");
    const expected = all.filter((row) => row.layer === 3 && row.phase === "prompt");
    assert.equal(lines[0], Object.keys(all[0]).join(","));
    assert.equal(lines.length, Math.min(10_000, expected.length) + 1);
});
