// SPDX-License-Identifier: MIT
//
// What cards say of tokens: their text, in every view that points at some; special tokens; tokens that a run does not have.
import assert from "node:assert/strict";
import { test } from "node:test";

import { address, area, asked, eventually, open, picture, pointAt, serve } from "./page.mjs";

const at = await serve("words", "experts", "dense");
const about = await asked(at, "api/traces/0/about");
const tokens = await asked(at, "api/traces/0/tokens");
const robot = tokens.text.indexOf(" robot");
const prompt = about.phases.find(({ phase }) => phase === "prompt");
const generated = about.phases.find(({ phase }) => phase === "generate").token_first;

/** As the page shows them: spaces of one token are seen, those of several stay. */
const signs = (text) => text.replaceAll("\n", "\u21b5");
const one = (token) => `\u201c${signs(tokens.text[token]).replaceAll(" ", "\u00b7")}\u201d`;
const several = (first, end) => `\u201c${signs(tokens.text.slice(first, end).join(""))}\u201d`;
assert.ok(robot > 0 && several(0, prompt.tokens).length < 60, "the prompt is short enough not to be cut");

const rowsOf = (card) =>
    card.locator("dl > div").evaluateAll((all) =>
        Object.fromEntries(all.map((row) => [row.querySelector("dt").textContent, row.querySelector("dd").textContent])));

/** Waits until what is pointed at has been drawn. */
const drawn = (tab) => tab.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));

test("a cell of the heatmap says the text of its token", async (t) => {
    const tab = await open(t, at, "view=heatmap");
    const heat = await picture(tab, /^Bytes by token and layer/);
    const { width } = await area(heat);
    const share = (52 + ((robot + 0.5) / tokens.phase.length) * (width - 52 - 88)) / width;
    const card = await pointAt(heat, share, 0.5);
    assert.match(card.title, new RegExp(`^token ${robot}, layer`));
    assert.equal(card.rows.text, one(robot));
});

test("offsets over time say which tokens were computed, and their text", async (t) => {
    const tab = await open(t, at, "view=offsets&o.io=none");
    const map = await picture(tab, "Which bytes of the file were read when");
    const tile = Buffer.from(await (await fetch(`${at}api/traces/0/offsets?by=physical&w=900&h=512`)).arrayBuffer());
    const [from, to] = [tile.readBigUInt64LE(16), tile.readBigUInt64LE(24)].map(Number);
    const [columns, high] = [tile.readUInt32LE(8), tile.readUInt32LE(12)];
    // The one that took longest: others may be narrower than a cell, if the machine was busy.
    const token = tokens.duration_ns.reduce((longest, ns, i) => (i >= generated && ns > tokens.duration_ns[longest] ? i : longest), generated);
    const [begin, end] = [tokens.start_ns[token], tokens.start_ns[token] + tokens.duration_ns[token]].map((ns) => ((ns - from) / (to - from)) * columns);
    // When most of the file is read at once, and where.
    const filled = (column) => [...Array(high).keys()].filter((row) => tile.readDoubleLE(64 + 8 * (row * columns + column)) > 0);
    const within = Array.from({ length: Math.floor(end) - Math.ceil(begin) }, (_, i) => Math.ceil(begin) + i);
    const column = within.reduce((most, one) => (filled(one).length > filled(most).length ? one : most));
    const read = filled(column);
    const share = (read[Math.floor(read.length / 2)] + 0.5) / high;
    const { x, y, width, height } = await area(map);
    const across = x + 86 + ((column + 0.5) / columns) * (width - 86 - 14);
    // The legend above the data may take some lines.
    let rows = null;
    for (let top = 6; top < 100 && !rows; top += 3) {
        await tab.mouse.move(across, y + top + share * (height - top - 38));
        await drawn(tab);
        if ((await map.locator(".card").count()) > 0) rows = await rowsOf(map.locator(".card"));
    }
    assert.equal(rows.token, String(token));
    assert.equal(rows.text, one(token));
});

test("an operation of the graph says the text of the tokens that it computed", async (t) => {
    const tab = await open(t, at, `view=graph&token=${generated}`);
    const view = await picture(tab, /^Operations of token/);
    const find = async (name) => {
        await view.getByRole("searchbox").fill(name);
        await tab.keyboard.press("Enter");
        await view.locator("aside h2", { hasText: name }).waitFor();
    };
    // What is found is in the middle.
    const card = async () => {
        const box = await view.getByRole("application").boundingBox();
        await tab.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
        await view.locator(".card").waitFor();
        return rowsOf(view.locator(".card"));
    };
    await find("ffn_out-10");
    assert.equal((await card())[`text of token ${generated}`], one(generated));
    await tab.getByLabel("Token", { exact: true }).focus();
    await tab.keyboard.press("Home");
    await picture(tab, `Operations of tokens 0 to ${prompt.tokens - 1}`);
    assert.equal((await card())[`text of tokens 0 to ${prompt.tokens - 1}`], several(0, prompt.tokens));
    await view.getByRole("button", { name: "Close all" }).click();
});

test("a record says the text of its tokens", async (t) => {
    for (const [phase, expected] of [["prompt", several(0, prompt.tokens)], ["generate", one(generated)]]) {
        const tab = await open(t, at, `view=records&o.phase=${phase}`);
        const row = (await picture(tab, "Access records")).locator('[data-row="3"]');
        await row.getByText(phase, { exact: true }).waitFor();
        await row.hover();
        const card = tab.locator(".records-view > .card");
        await card.waitFor();
        assert.equal((await rowsOf(card)).text, expected);
    }
});

test("a curve over tokens says the text of the one that is pointed at", async (t) => {
    for (const [view, title] of [["attention", /^KV cache read for a token/], ["caching", /^Working set/]]) {
        const tab = await open(t, at, `view=${view}`);
        const card = await pointAt(await picture(tab, title), 0.8, 0.5);
        assert.equal(card.rows.text, one(Number(/token (\d+)/.exec(card.title)[1])), view);
    }
});

test("the slider says the text of a token before it is gone to, and after", async (t) => {
    const tab = await open(t, at);
    const slider = tab.getByLabel("Token", { exact: true });
    const box = await slider.boundingBox();
    const across = box.x + 8 + ((box.width - 16) * robot) / (about.tokens - 1);
    await tab.mouse.move(across, box.y + box.height / 2);
    const card = tab.locator(".player .card");
    await card.waitFor();
    const said = await card.textContent();
    assert.ok(said.startsWith(`token ${robot} ${one(robot)}, prompt`), said);
    await tab.mouse.click(across, box.y + box.height / 2);
    await address(tab, { token: String(robot) });
    assert.ok((await tab.locator(".where").textContent()).startsWith(said.slice(0, 20)));
});

test("where two runs are compared, cards say the text of both", async (t) => {
    const tab = await open(t, at, "view=compare&trace=0,2");
    const other = await asked(at, "api/traces/2/tokens");
    const difference = await picture(tab, /^Difference/);
    const card = await pointAt(difference, 0.12, 0.5);
    const token = Number(/^token (\d+)/.exec(card.title)[1]);
    assert.equal(card.rows["text, words"], `${one(token)}${tokens.text_special.includes(token) ? " (special token)" : ""}`);
    assert.equal(card.rows["text, dense"], `\u201c${other.text[token].replaceAll(" ", "\u00b7").replaceAll("\n", "\u21b5")}\u201d`);
});

test("special tokens have a shape of their own in the text, in light and dark", async (t) => {
    for (const colorScheme of ["light", "dark"]) {
        const tab = await open(t, at, "", { colorScheme });
        await tab.getByText("special token: a sign for the model").waitFor();
        const text = tab.locator(".flow canvas");
        await text.scrollIntoViewIfNeeded();
        const { x, y } = await text.boundingBox();
        await tab.mouse.move(x + 20, y + 8);
        await tab.waitForFunction(() => document.querySelector(".flow canvas").title.startsWith("special token 0, prompt: "));
        // Opaque or not, from the left: a tag begins with its tip, other tokens with a whole side.
        const sides = await text.evaluate((canvas) => {
            const context = canvas.getContext("2d");
            const opaque = (from, row) => {
                const { data } = context.getImageData(from, row, canvas.width - from, 1);
                let at = 0;
                while (data[4 * at + 3] < 128) at++;
                return from + at;
            };
            return [2, 8, 14].map((row) => opaque(0, row));
        });
        assert.ok(sides[0] > sides[1] + 2 && sides[2] > sides[1] + 2, `${colorScheme}: ${sides}`);
    }
    const tab = await open(t, at, "trace=1"); // a run without any
    await tab.locator(".flow canvas").waitFor();
    assert.equal(await tab.getByText("special token: a sign").count(), 0);
});

test("the card of a special token says what it is", async (t) => {
    const tab = await open(t, at);
    const bars = await picture(tab, /^Tokens by/);
    const { width } = await area(bars);
    const card = await pointAt(bars, (76 + (0.5 / tokens.phase.length) * (width - 76 - 14)) / width, 0.6);
    assert.equal(card.title, "token 0 \u201c<|im_start|>\u201d (special token)");
});

test("a token behind the end is the last one, in any view", async (t) => {
    for (const view of ["heatmap", "graph", "records", "offsets", "file", "buffers", "attention"]) {
        const tab = await open(t, at, `view=${view}&token=1000&tokens=3-2000`);
        await address(tab, { token: String(about.tokens - 1), tokens: `3-${about.tokens}` });
        await eventually(async () => assert.match(await tab.locator(".where").textContent(), new RegExp(`^token ${about.tokens - 1} `)));
        assert.equal(await tab.locator('main [role="alert"]').count(), 0);
    }
    const tab = await open(t, at, "view=heatmap&tokens=500-600");
    await address(tab, { tokens: null });
});

test("in a shorter run that is compared no token is marked that it does not have", async (t) => {
    const longer = await asked(at, "api/traces/1/about");
    const tab = await open(t, at, `view=compare&trace=1,0&token=${longer.tokens - 1}`);
    const marked = async (title) =>
        (await picture(tab, title)).locator("canvas").first().evaluate((canvas) => {
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let red = 0;
            for (let i = 0; i < data.length; i += 4) red += data[i] - data[i + 1] > 80 && data[i] - data[i + 2] > 40 ? 1 : 0;
            return red;
        });
    assert.ok((await marked("experts")) > 20);
    assert.equal(await marked("words"), 0);
    // From the other side, the first run's last token is chosen.
    const back = await open(t, at, `view=compare&trace=0,1&token=${longer.tokens - 1}&tokens=0-${longer.tokens - 1}`);
    await address(back, { token: String(about.tokens - 1), tokens: `0-${longer.tokens - 1}` });
});
