// SPDX-License-Identifier: MIT
//
// What a new user asks first, each answered from the first look on within a few clicks; the answers are the report's.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";

import { address, asked, open, picture, recorded, serve } from "./page.mjs";

const at = await serve("experts", "dense");
/** Faults are seen and memory is limited where the system lets tat. */
const starved = existsSync(recorded("starved")) && execFileSync(process.env.TAT, ["report", "--json", "--section", "storage", recorded("starved")], { encoding: "utf8" }).includes('"stall_ns"');
const report = (name, trace = "experts") =>
    JSON.parse(execFileSync(process.env.TAT, ["report", "--json", "--section", name, recorded(trace)], { maxBuffer: 1 << 28 }))[name];
const sliceName = ({ tensor, expert }) => (expert === undefined || expert === null ? tensor : `${tensor}, expert ${expert}`);

test("the hottest expert of layer 10: Experts, then its line", async (t) => {
    const { most_chosen: hottest, most_share: share } = report("experts").tables.experts.rows.find(({ layer }) => layer === 10);
    const tab = await open(t, at);
    await tab.locator("nav a", { hasText: "Experts" }).click();
    const line = tab.getByRole("region", { name: "The most chosen expert of each layer" }).locator("tbody tr").nth(10);
    await line.waitFor();
    const cells = await line.locator("th, td").allTextContents();
    assert.equal(cells[0], "10");
    assert.equal(cells[3], String(hottest));
    assert.equal(Number.parseFloat(cells[4]).toFixed(0), (share * 100).toFixed(0));
    await line.getByRole("button").click();
    await address(tab, { layer: "10", expert: String(hottest) });
    await tab.getByRole("button", { name: `hottest of layer 10: ${hottest}` }).waitFor();
});

test("the first token whose order differs from the one before: it is on the first page, and a click shows it", async (t) => {
    const { first_different_tensor: tensor, first_different_slice: slice } = report("order").values;
    const first = tensor ?? slice;
    assert.ok(first, "tokens of this model choose different experts");
    const tab = await open(t, at);
    const link = tab.getByRole("region", { name: "What the report says" }).getByRole("link", { name: `token ${first.token}, with ${sliceName(first.actual)}` });
    await link.click();
    await address(tab, { view: "heatmap", "o.heat": "token-expert", token: String(first.token), expert: String(first.actual.expert) });
    await picture(tab, /^Accesses by token and expert/);
});

test("a model whose tokens all read the same says so, and names none", async (t) => {
    const { headline, values } = report("order", "dense");
    assert.equal(values.first_different_slice ?? values.first_different_tensor, undefined);
    const tab = await open(t, at, "trace=1");
    await tab.getByText(headline).waitFor();
    assert.equal(await tab.getByRole("link", { name: /^first to differ/ }).count(), 0);
});

test("the tensor that waited longest for the disk: it is on the first page, and a click shows it among all", { skip: !starved && "no run may be kept short of memory here" }, async (t) => {
    const storage = report("storage", "starved");
    const longest = storage.tables.slices.rows[0];
    const other = await serve("starved");
    const tab = await open(t, other);
    const told = tab.getByRole("region", { name: "What the report says" });
    await told.getByText(storage.headline).waitFor();
    const link = told.getByRole("link", { name: /^waited for longest/ });
    assert.ok((await link.textContent()).startsWith(`waited for longest: ${sliceName(longest)}, `), await link.textContent());
    await link.click();
    assert.equal((await address(tab, { view: "storage" })).tensor, String((await asked(other, "api/traces/0/about")).tensors.find(({ name }) => name === longest.tensor).id));
    const waits = await picture(tab, /^Weights that threads waited for longest/);
    assert.ok((await waits.getByRole("application").getAttribute("aria-label")).includes(`The longest: ${sliceName(longest)}, `));
});

test("where nothing waited, nothing is named", async (t) => {
    const storage = report("storage", "dense");
    if (storage.tables.slices.rows.length > 0) return; // it did: the test above has such a run
    const tab = await open(t, at, "trace=1");
    await tab.getByText(storage.headline).waitFor();
    assert.equal(await tab.getByRole("link", { name: /^waited for longest/ }).count(), 0);
});
