// SPDX-License-Identifier: MIT
//
// The text of tokens: next to what the program wrote, in the page, and in files that are sent to somebody.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { area, asked, open, picture, pointAt, recorded, serve } from "./page.mjs";

const at = await serve("words", "experts", "dense", "private");
const tokensOf = (trace) => asked(at, `api/traces/${trace}/tokens`);

/** What was written: special tokens are not. */
const written = ({ text, text_special }) => text.filter((_, i) => !text_special.includes(i)).join("");

test("the text of the tokens is what the program wrote", async () => {
    for (const [trace, name] of ["words", "experts", "dense"].entries()) {
        const text = written(await tokensOf(trace));
        const printed = readFileSync(`${recorded(name)}.txt`, "utf8");
        assert.ok(text.length > 40, text);
        const [some, more] = printed.length < text.length ? [printed, text] : [text, printed]; // on a busy machine it may end before it has printed all
        assert.ok(some.length > 0 && more.startsWith(some), `${JSON.stringify(some)} is not the beginning of ${JSON.stringify(more)}`);
        assert.ok(printed.length - text.length < 40, "the last token alone is not in the trace: it was never read");
    }
});

test("characters of several tokens are whole, and special tokens are marked", async () => {
    const { text, text_special } = await tokensOf(0);
    assert.deepEqual(text_special, [0]);
    assert.equal(text[0], "<|im_start|>");
    assert.ok(text.includes("\u{1f916}"));
    assert.ok(text.includes(""), "a token that is only a part of a character");
});

test("of two models, each token is a piece of its own model's vocabulary", async () => {
    const { text, text_special, phase } = await asked(await serve("drafted"), "api/traces/0/tokens");
    assert.deepEqual(text_special.map((token) => text[token]).toSorted(), ["<|IM_START|>", "<|im_start|>"]);
    assert.ok(text_special.every((token) => phase[token] === "prompt"));
    assert.equal(text.filter((piece) => piece === " robot").length >= 2, true, "both have read the prompt");
});

test("the card of a token says its text", async (t) => {
    const tab = await open(t, at, "trace=0");
    const { text, phase } = await tokensOf(0);
    const bars = await picture(tab, /^Tokens by/);
    const { width } = await area(bars);
    const token = text.indexOf(" robot");
    const share = (76 + ((token + 0.5) / phase.length) * (width - 76 - 14)) / width;
    const card = await pointAt(bars, share, 0.6);
    assert.equal(card.title, `token ${token} \u201c\u00b7robot\u201d`);
});

test("a private run has no text, and the page says why", async (t) => {
    const about = await asked(at, "api/traces/3/about");
    assert.equal(about.has.text, false);
    assert.match(about.no_text, /--private/);
    const { text, text_special } = await tokensOf(3);
    assert.equal(text, null);
    assert.equal(text_special, null);
    const server = await serve("private");
    const tab = await open(t, server);
    await tab.getByText(about.no_text).waitFor();
    assert.equal(await tab.locator(".flow").count(), 0);
});

test("a file for others has no piece of the text unless it was asked for", async (t) => {
    const [without, withText] = ["without.html", "with.html"].map((name) => join(process.cwd(), name));
    execFileSync(process.env.TAT, ["export", "-o", without, recorded("words")], { stdio: "ignore" });
    execFileSync(process.env.TAT, ["export", "--with-text", "-o", withText, recorded("words")], { stdio: "ignore" });
    const { text } = await tokensOf(0);
    const [redacted, whole] = [readFileSync(without, "utf8"), readFileSync(withText, "utf8")];
    const list = JSON.stringify(text).replaceAll("<", "\\u003c");
    assert.ok(whole.includes(list), "all of it is there");
    assert.ok(!redacted.includes(list));
    for (const piece of ["\u{1f916}", "\u00efve", "\u673a", " robot", "im_start"]) {
        assert.ok(list.includes(piece), piece);
        assert.ok(!redacted.includes(piece), `${piece} is in the file`);
    }
    const tab = await open(t, `file://${without}`, "", { offline: true });
    await tab.getByText("Text was left out of this file").first().waitFor();
});
