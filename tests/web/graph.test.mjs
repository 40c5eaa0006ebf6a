// SPDX-License-Identifier: MIT
//
// The graph of a token: its figures are those of the records that `tat export` writes, and it is opened, walked through and followed.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { address, asked, colours, eventually, open, picture, recorded, serve, taken } from "./page.mjs";

const at = await serve("experts");
const about = await asked(at, "api/traces/0/about");
const generated = about.phases.find(({ phase }) => phase === "generate").token_first;
const graph = await asked(at, `api/traces/0/graph?token=${generated}`);

const exported = execFileSync(process.env.TAT, ["export", "--format", "csv", "--evaluations", String(graph.evaluation), recorded("experts")], {
    encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"],
});
const [header, ...lines] = exported.trim().split("\n").map((line) => line.split(","));
const rows = lines.map((line) => Object.fromEntries(header.map((name, i) => [name, line[i]])));

/** Where something is on the screen: the canvas shows a layer that was opened at its top. */
const canvas = (of) => of.getByRole("application");
const figures = (of) =>
    of.locator("aside .facts > div").evaluateAll((all) =>
        Object.fromEntries(all.map((row) => [row.querySelector("dt").textContent, row.querySelector("dd").textContent])));

test("the answer has the figures of the exported records", () => {
    const sums = new Map();
    for (const row of rows) {
        const sum = sums.get(row.node) ?? { bytes: 0, accesses: 0 };
        sum.bytes += Number(row.size);
        sum.accesses += Number(row.size) > 0 ? 1 : 0;
        sum.start = row.start_ns;
        sum.duration = row.duration_ns;
        sums.set(row.node, sum);
    }
    assert.ok(graph.nodes.length > 500);
    for (const node of graph.nodes) {
        const sum = sums.get(String(node.id)) ?? { bytes: 0, accesses: 0 };
        assert.equal(node.bytes, sum.bytes, node.name);
        assert.equal(node.accesses, sum.accesses, node.name);
        assert.equal(node.touches, sum.accesses > 0);
        if (sum.start !== undefined) {
            assert.equal(node.start_ns, Number(sum.start));
            assert.equal(node.duration_ns, Number(sum.duration));
        }
    }
    assert.equal(graph.groups.filter(({ layer }) => layer !== null).length, about.model.layers);
    assert.equal(graph.dangling, 0);
});

test("layers are closed at first, open by a click or by search, and an operation shows its operands", async (t) => {
    const tab = await open(t, at, "view=graph");
    const view = await picture(tab, /^Operations of token/);
    assert.equal(await view.getByRole("button", { name: "Close all" }).isDisabled(), true);
    assert.ok((await figures(view)).operations.startsWith(`${graph.nodes.length.toLocaleString("en-US")}, `));
    assert.ok((await colours(view)) > 10);
    await view.getByRole("searchbox").fill("ffn_moe_down-10");
    await tab.keyboard.press("Enter");
    const node = graph.nodes.find(({ name }) => name === "ffn_moe_down-10");
    const state = await address(tab, { "o.open": "10", "o.node": String(node.id), layer: "10", token: String(generated) });
    assert.ok(Number(state.op) >= 0); // the play head is at it
    await view.locator("aside h2", { hasText: "ffn_moe_down-10" }).waitFor();
    await view.locator("aside .operands tr").first().waitFor();
    const operands = await view.locator("aside .operands tr").evaluateAll((all) => all.map((row) => row.querySelector("th").textContent));
    assert.deepEqual(operands, rows.filter((row) => row.node === String(node.id)).map((row) => row.operand));
    assert.match((await figures(view)).bytes, new RegExp(`${node.bytes.toLocaleString("en-US")} bytes`));
    await view.locator("aside .links button").first().click(); // to what it is computed from
    await tab.waitForFunction((id) => new URLSearchParams(location.hash.slice(1)).get("o.node") !== id, String(node.id));
});

test("a click opens a layer, a click on its heading closes it", async (t) => {
    const tab = await open(t, at, "view=graph");
    const view = await picture(tab, /^Operations of token/);
    await canvas(view).focus();
    await tab.keyboard.press("ArrowDown"); // the first box
    await tab.keyboard.press("Enter");
    await address(tab, { "o.open": "in" });
    await tab.keyboard.press("Enter");
    await address(tab, { "o.open": null });
    await tab.keyboard.press("0");
    const box = await canvas(view).boundingBox();
    // 32 boxes, in 4 columns of 8: the fifth of the second one.
    assert.equal(graph.groups.length, 32);
    const scale = Math.min(1.25, (box.width - 32) / 972, (box.height - 32) / 650);
    await tab.mouse.click(box.x + box.width / 2 + (359 - 486) * scale, box.y + box.height / 2 + (367 - 325) * scale);
    await address(tab, { "o.open": "11" });
    await tab.mouse.click(box.x + box.width / 2, box.y + 22);
    await address(tab, { "o.open": null });
});

test("arrow keys go through operations, and what is chosen is read out", async (t) => {
    const tab = await open(t, at, "view=graph&o.open=3&layer=3");
    const view = await picture(tab, /^Operations of token/);
    await canvas(view).focus();
    const said = () => view.locator("[aria-live]").textContent();
    assert.match(await said(), /^Layer 3\. operations: /);
    await tab.keyboard.press("ArrowDown");
    await tab.waitForFunction(() => location.hash.includes("o.node="));
    const first = await said();
    await tab.keyboard.press("ArrowDown");
    await tab.waitForFunction((text) => document.querySelector(".graph-view [aria-live]").textContent !== text, first);
});

test("the wheel zooms, a drag moves, 0 shows all", async (t) => {
    const tab = await open(t, at, "view=graph&o.open=5");
    const view = await picture(tab, /^Operations of token/);
    const pixels = () => view.locator("canvas").first().evaluate((one) => one.toDataURL());
    const differs = async (from) => {
        await tab.waitForFunction((before) => document.querySelector(".graph-view canvas").toDataURL() !== before, from);
        return pixels();
    };
    const box = await canvas(view).boundingBox();
    const whole = await pixels();
    await tab.mouse.move(box.x + 300, box.y + 200);
    await tab.mouse.wheel(0, -600);
    const zoomed = await differs(whole);
    await tab.mouse.down();
    await tab.mouse.move(box.x + 200, box.y + 150, { steps: 4 });
    await tab.mouse.up();
    const moved = await differs(zoomed);
    await tab.mouse.move(box.x - 40, box.y + 10);
    await canvas(view).focus();
    await tab.keyboard.press("0");
    await differs(moved);
});

test("the operation at the play head is lit, and the next one after a step", async (t) => {
    const tab = await open(t, at, `view=graph&token=${generated}&op=200&o.open=all&theme=light`);
    const view = await picture(tab, /^Operations of token/);
    /** How many pixels have the colour of the play head. */
    const lit = () =>
        view.locator("canvas").first().evaluate((one) => {
            const copy = new OffscreenCanvas(one.width, one.height).getContext("2d", { willReadFrequently: true });
            copy.drawImage(one, 0, 0);
            const { data } = copy.getImageData(0, 0, one.width, one.height);
            let n = 0;
            for (let i = 0; i < data.length; i += 4) n += data[i] === 0xd5 && data[i + 1] === 0x30 && data[i + 2] === 0x5c ? 1 : 0;
            return n;
        });
    const pixels = () => view.locator("canvas").first().evaluate((one) => one.toDataURL());
    await eventually(async () => assert.ok((await lit()) > 20));
    const before = await pixels();
    await tab.keyboard.press("]");
    await address(tab, { op: "201" });
    await tab.waitForFunction((from) => document.querySelector(".graph-view canvas").toDataURL() !== from, before);
    await eventually(async () => assert.ok((await lit()) > 20));
});

test("with all layers open, each operation is drawn, and fewer of them from near", async (t) => {
    const tab = await open(t, at, "view=graph&o.open=all");
    const view = await picture(tab, /^Operations of token/);
    const drawn = async () => (await taken(view, "SVG")).bytes.toString().match(/<rect /g).length;
    const all = await drawn();
    assert.ok(all >= graph.nodes.length, `${all} of ${graph.nodes.length}`);
    const box = await canvas(view).boundingBox();
    await tab.mouse.move(box.x + 300, box.y + 200);
    for (let i = 0; i < 8; i++) await tab.mouse.wheel(0, -200);
    await eventually(async () => {
        const near = await drawn();
        assert.ok(near < all, `${near} of ${all}`);
    });
    assert.ok((await colours(view)) > 5);
});

test("it is taken away as PNG, SVG and CSV", async (t) => {
    const tab = await open(t, at, "view=graph&o.open=2");
    const view = await picture(tab, /^Operations of token/);
    assert.deepEqual([...(await taken(view, "PNG")).bytes.subarray(1, 4)], [0x50, 0x4e, 0x47]);
    assert.match((await taken(view, "SVG")).bytes.toString(), /Operations of token/);
    const table = (await taken(view, "CSV")).bytes.toString().trim().split("\n");
    assert.equal(table.length, graph.nodes.length + 1);
});

test("any graph of the trace can be chosen, also one of a warm-up, and a token brings back its own", async (t) => {
    const first = await asked(at, "api/traces/0/graph?evaluation=0");
    assert.equal(first.phase, "warmup");
    const tab = await open(t, at, "view=graph");
    const number = tab.getByRole("spinbutton", { name: "graph" });
    await number.waitFor();
    assert.equal(await number.inputValue(), String(graph.evaluation));
    await number.fill("0");
    await number.press("Enter");
    await address(tab, { "o.graph": "0" });
    const view = tab.getByRole("region", { name: "Operations of graph 0, warmup" });
    await view.waitFor();
    assert.match((await figures(view)).operations, new RegExp(`^${first.nodes.length.toLocaleString("en-US")}`));
    await tab.getByRole("button", { name: "The next graph" }).click();
    await address(tab, { "o.graph": "1" });
    await tab.getByLabel("Token", { exact: true }).focus();
    await tab.keyboard.press("End");
    await address(tab, { "o.graph": null });
    await tab.getByRole("region", { name: `Operations of token ${about.tokens - 1}` }).waitFor();
});
