// SPDX-License-Identifier: MIT
//
// Heatmaps: cells are what the report says, whatever is zoomed, and what is selected in one is selected in all.
import assert from "node:assert/strict";
import { test } from "node:test";

import { address, area, asked, colours, open, picture, pointAt, serve, taken } from "./page.mjs";

const at = await serve("experts");
const about = await asked(at, "api/traces/0/about");
const kinds = { "token-layer": "layer", "token-tensor": "tensor", "token-component": "component", "layer-expert": "expert", "token-expert": "expert" };

async function tile(query) {
    const bytes = Buffer.from(await (await fetch(`${at}api/traces/0/grid?${query}`)).arrayBuffer());
    const [columns, rows] = [bytes.readUInt32LE(8), bytes.readUInt32LE(12)];
    return { columns, rows, value: (column, row) => bytes.readDoubleLE(64 + 8 * (row * columns + column)) };
}

test("every kind is drawn, in every measure", async (t) => {
    const tab = await open(t, at, "view=heatmap");
    for (const kind of Object.keys(kinds)) {
        await tab.locator(".switches select").first().selectOption(kind);
        for (const measure of kinds[kind] === "expert" ? ["accesses", "bytes"] : ["accesses", "time", "bytes"]) {
            await tab.getByRole("group", { name: "Measure" }).getByRole("button", { name: measure, exact: true }).click();
            assert.ok((await colours(await picture(tab, new RegExp(`^${measure}`, "i")))) > 5, `${kind} ${measure}`);
        }
    }
});

test("of tensors, no more are asked for than from the first weight or cache to the last", async (t) => {
    const tab = await open(t, at, "view=heatmap&o.heat=token-tensor");
    await picture(tab, /^Bytes/);
    const grids = await tab.evaluate(() => performance.getEntriesByType("resource").map(({ name }) => name).filter((name) => name.includes("y=tensor")));
    const shown = about.tensors.filter(({ memory }) => memory !== "buffer" && memory !== "").map(({ id }) => id);
    assert.ok(grids.length > 0 && Math.min(...shown) > 0);
    for (const grid of grids) {
        const { searchParams } = new URL(grid);
        assert.equal(Number(searchParams.get("y0")), Math.min(...shown));
        assert.equal(Number(searchParams.get("y1")), Math.max(...shown) + 1);
    }
});

test("a cell's exact figures are the server's, and the report's", async (t) => {
    const tab = await open(t, at, "view=heatmap&tokens=10-20&o.rows=3-7");
    const heat = await picture(tab, /^Bytes/);
    const whole = await tile(`x=token&y=layer&measure=bytes&x0=0&x1=${about.tokens}&y0=0&y1=${about.model.layers}&w=${about.tokens}&h=${about.model.layers}`);
    const card = await pointAt(heat, 0.5, 0.5);
    const [, token, layer] = /token (\d+), layer (\d+)/.exec(card.title);
    assert.ok(card.rows.bytes.includes(`${whole.value(Number(token), Number(layer)).toLocaleString("en-US")} bytes`), card.rows.bytes);
    assert.ok(about.tensors.some(({ name, layer: its }) => name === card.rows["most of it"] && its === Number(layer)));
    const { layers } = await asked(at, "api/traces/0/sections?names=layers");
    assert.ok(layers);
});

test("what has no layer is a row below the layers, with the report's bytes", async (t) => {
    const { tables } = (await asked(at, "api/traces/0/sections?names=layers")).layers;
    const of = tables.layers.rows.find(({ layer }) => layer === null);
    const n = about.model.layers;
    const row = await tile(`x=token&y=layer&measure=bytes&y0=${n}&w=1&h=${n}`);
    assert.deepEqual([row.columns, row.rows], [1, 1]);
    assert.equal(row.value(0, 0), of.weight_bytes + of.state_read_bytes + of.state_written_bytes + of.activation_bytes);
    const tab = await open(t, at, `view=heatmap&tokens=10-14&o.rows=${n - 1}-${n + 1}`);
    const heat = await picture(tab, /^Bytes/);
    const card = await pointAt(heat, 0.5, 0.75);
    const [, token] = /^token (\d+), no layer$/.exec(card.title);
    const cell = await tile(`x=token&y=layer&measure=bytes&x0=${token}&x1=${Number(token) + 1}&y0=${n}&w=1&h=1`);
    assert.ok(card.rows.bytes.includes(`${cell.value(0, 0).toLocaleString("en-US")} bytes`), card.rows.bytes);
    assert.equal(about.tensors.find(({ name }) => name === card.rows["most of it"]).layer, null);
});

test("the wheel zooms about the pointer, Shift and drag moves, the keys do too", async (t) => {
    const tab = await open(t, at, "view=heatmap");
    const heat = await picture(tab, /^Bytes/);
    const box = await area(heat);
    await tab.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await tab.mouse.wheel(0, -400);
    const zoomed = await tab.waitForFunction(() => /tokens=(\d+)-(\d+)/.exec(location.hash)?.slice(1).map(Number)).then((found) => found.jsonValue());
    assert.ok(zoomed[1] - zoomed[0] < about.tokens);
    const before = new URL(tab.url()).hash;
    await tab.keyboard.down("Shift");
    await tab.mouse.down();
    await tab.mouse.move(box.x + box.width / 2 + 120, box.y + box.height / 2, { steps: 3 });
    await tab.mouse.up();
    await tab.keyboard.up("Shift");
    await tab.waitForFunction((hash) => location.hash !== hash, before);
    await heat.getByRole("application").focus();
    await tab.keyboard.press("0");
    await address(tab, { tokens: null, "o.rows": null });
    await tab.keyboard.press("+");
    await tab.waitForFunction(() => location.hash.includes("tokens="));
});

test("the cursor is moved by arrows, and its figures are read out", async (t) => {
    const tab = await open(t, at, "view=heatmap");
    const heat = await picture(tab, /^Bytes/);
    await heat.getByRole("application").focus();
    await tab.keyboard.press("ArrowRight");
    const first = await heat.locator("[aria-live]").textContent();
    await tab.keyboard.press("ArrowDown");
    await tab.waitForFunction((text) => document.querySelector(".picture [aria-live]").textContent !== text, first);
    assert.match(await heat.locator("[aria-live]").textContent(), /^token \d+, layer \d+/);
    await tab.keyboard.press("Enter");
    await tab.waitForFunction(() => /[#&]token=\d+(&|$)/.test(location.hash));
});

test("what is selected in one is selected in all", async (t) => {
    const tab = await open(t, at, "view=heatmap&o.heat=layer-expert");
    const heat = await picture(tab, /^Bytes/);
    const { x, y, width, height } = await area(heat);
    const card = await pointAt(heat, 0.5, 0.5);
    const [, layer, expert] = /layer (\d+), expert (\d+)/.exec(card.title);
    await tab.mouse.click(x + width / 2, y + height / 2);
    await address(tab, { layer, expert });
    await tab.locator(".switches select").first().selectOption("token-expert");
    await picture(tab, new RegExp(`layer ${layer}$`));
    await tab.locator("nav a", { hasText: "Overview" }).click();
    await tab.getByRole("button", { name: `Let go of layer ${layer}` }).waitFor();
});

test("the scale stays while the picture is zoomed", async (t) => {
    const tab = await open(t, at, "view=heatmap");
    const heat = await picture(tab, /^Bytes/);
    const legend = () => heat.locator("canvas").first().evaluate((canvas) => {
        const ratio = canvas.width / canvas.clientWidth;
        const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 20 * ratio);
        return new Uint32Array(data.buffer).reduce((sum, value) => (Math.imul(sum, 31) + value) >>> 0, 7);
    });
    const before = await legend();
    await heat.getByRole("application").focus();
    for (let i = 0; i < 4; i++) await tab.keyboard.press("+");
    await tab.waitForFunction(() => location.hash.includes("tokens="));
    assert.equal(await legend(), before);
});

test("CSV has the cells, PNG and SVG the picture", async (t) => {
    const tab = await open(t, at, "view=heatmap");
    const heat = await picture(tab, /^Bytes/);
    const lines = (await taken(heat, "CSV")).bytes.toString().trim().split("\n");
    assert.equal(lines[0], "token_first,token_last,layer,bytes,dominant_tensor");
    const whole = await tile(`x=token&y=layer&measure=bytes&x0=0&x1=${about.tokens}&y0=0&y1=${about.model.layers}&w=${about.tokens}&h=${about.model.layers}`);
    const row = lines.find((line) => line.startsWith("12,12,layer 5,"));
    assert.equal(Number(row.split(",")[3]), whole.value(12, 5));
    assert.match((await taken(heat, "SVG")).bytes.toString(), /<image /);
    assert.equal((await taken(heat, "PNG")).bytes.subarray(1, 4).toString(), "PNG");
});
