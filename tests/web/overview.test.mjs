// SPDX-License-Identifier: MIT
//
// Overview: the report's own sentences, each token as a bar, the text.
import assert from "node:assert/strict";
import { test } from "node:test";

import { address, area, asked, colours, open, picture, pointAt, serve, taken } from "./page.mjs";

const at = await serve("experts");
const about = await asked(at, "api/traces/0/about");
const tokens = await asked(at, "api/traces/0/tokens");
const LEFT = 76; // of the plot, in Timeline.tsx
const RIGHT = 14;

/** The share of the canvas at which a token's middle is. */
async function shareOf(of, token, from = 0, to = about.tokens) {
    const { width } = await area(of);
    return (LEFT + ((token + 0.5 - from) / (to - from)) * (width - LEFT - RIGHT)) / width;
}

test("the report's headlines are told as the report tells them", async (t) => {
    const tab = await open(t, at);
    const { speed } = await asked(at, "api/traces/0/sections?names=speed");
    await tab.getByText(speed.headline).waitFor();
});

test("a token's figures are the server's", async (t) => {
    const tab = await open(t, at);
    const bars = await picture(tab, /^Tokens by/);
    assert.ok((await colours(bars)) > 20);
    for (const token of [0, 20, about.tokens - 1]) {
        const card = await pointAt(bars, await shareOf(bars, token), 0.6);
        assert.ok(card.title.startsWith(`token ${token}`), card.title);
        assert.ok(card.rows.bytes.includes(`(${tokens.bytes[token].toLocaleString("en-US")})`), card.rows.bytes);
        assert.equal(card.rows.phase, tokens.phase[token]);
        assert.equal(card.rows.accesses, tokens.accesses[token].toLocaleString("en-US"));
    }
});

test("a click chooses a token, dragging zooms, a double click shows all", async (t) => {
    const tab = await open(t, at);
    const bars = await picture(tab, /^Tokens by/);
    const { x, y, width, height } = await area(bars);
    await tab.mouse.click(x + width * (await shareOf(bars, 12)), y + height / 2);
    await address(tab, { token: "12" });
    await tab.mouse.move(x + width * (await shareOf(bars, 9.7)), y + height / 2);
    await tab.mouse.down();
    await tab.mouse.move(x + width * (await shareOf(bars, 19.3)), y + height / 2, { steps: 4 });
    await tab.mouse.up();
    await address(tab, { tokens: "10-20" });
    const card = await pointAt(bars, await shareOf(bars, 15, 10, 20), 0.6);
    assert.ok(card.title.startsWith("token 15"), card.title);
    await tab.mouse.dblclick(x + width / 2, y + height / 2);
    await address(tab, { tokens: null });
});

test("each measure has its bars", async (t) => {
    const tab = await open(t, at);
    for (const name of ["accesses", "time", "new experts", "bytes"]) {
        await tab.getByRole("group", { name: "Measure" }).getByRole("button", { name, exact: true }).click();
        const bars = await picture(tab, /^Tokens by/);
        assert.ok((await colours(bars)) > 5, name);
    }
});

test("PNG, SVG and CSV are of what shows", async (t) => {
    const tab = await open(t, at);
    const bars = await picture(tab, /^Tokens by/);
    const png = await taken(bars, "PNG");
    assert.ok(png.name.endsWith("-tokens.png"));
    assert.equal(png.bytes.subarray(1, 4).toString(), "PNG");
    const svg = (await taken(bars, "SVG")).bytes.toString();
    assert.match(svg, /^<svg [^]*<\/svg>\n$/);
    assert.ok(svg.includes(about.model.name));
    // The last cell is the token's text, in quotes if it has a line's end.
    const lines = (await taken(bars, "CSV")).bytes.toString().replace(/"(?:[^"]|"")*"/g, "").trim().split("\n");
    assert.equal(lines.length, 1 + tokens.phase.length);
    assert.equal(lines[21].split(",")[5], String(tokens.bytes[20]));
});

test("the text flows, and a click on it chooses its token", { skip: !about.has.text && "the trace has no text" }, async (t) => {
    const tab = await open(t, at);
    const text = tab.locator(".flow canvas");
    await text.waitFor();
    await text.click({ position: { x: 4, y: 6 } });
    await address(tab, { token: "0" });
});
