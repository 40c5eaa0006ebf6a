// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import { quoted, textRows } from "./tokens";
import type { Tokens } from "./types";

const tokens = (text: Tokens["text"], each = 1, special: number[] = []): Tokens => ({
    schema: 1, first: 0, tokens_per_entry: each, phase: (text ?? ["", ""]).map(() => "prompt"), start_ns: [], duration_ns: [], bytes: [], accesses: [],
    new_experts: [], text, text_special: text && special,
});

test("cards say the text of one token, with its spaces, and of several, as they stand", () => {
    const all = tokens(["<s>", " a", "\n", "", null, "\u200b"], 1, [0]);
    expect(textRows(all, 1)).toEqual([["text", "\u201c\u00b7a\u201d"]]);
    expect(textRows(all, 0)).toEqual([["text", "\u201c<s>\u201d (special token)"]]);
    expect(textRows(all, 0, 2)).toEqual([["text", "\u201c<s> a\u21b5\u201d"]]);
    expect(quoted(all, 5)).toBe("\u201c\u25af\u201d");
    for (const nothing of [3, 4, 6, -1]) expect(textRows(all, nothing)).toEqual([]);
    expect(textRows(tokens(null), 0)).toEqual([]);
    expect(textRows(null, 0)).toEqual([]);
});

test("what is long is cut between characters, and not read to its end", () => {
    const all = tokens(Array.from({ length: 20_000 }, () => "\u{1f916}"));
    Object.defineProperty(all.text, 200, { get: () => expect.unreachable("text that no card shows") });
    expect(textRows(all, 0, 19_999)).toEqual([["text", `\u201c${"\u{1f916}".repeat(60)}\u2026\u201d`]]);
});

test("in long runs the text of a few tokens is known, and which they are", () => {
    const all = tokens(["abc", "def"], 3);
    expect(textRows(all, 4)).toEqual([["text of tokens 3 to 5", "\u201cdef\u201d"]]);
    expect(textRows(all, 3, 5)).toEqual([["text", "\u201cdef\u201d"]]);
    expect(textRows(all, 1, 4)).toEqual([["text of tokens 0 to 5", "\u201cabcdef\u201d"]]);
});
