// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import { flow, TIP } from "./flow";
import { bytes, count, csv, exactBytes, percent, time, tokenText } from "./format";
import { verdictOf } from "./verdict";

test("numbers in the units of the other commands", () => {
    expect([bytes(0), bytes(1), bytes(1536), bytes(15998753177)]).toEqual(["0 bytes", "1 byte", "1.50 KiB", "14.9 GiB"]);
    expect(exactBytes(1048576)).toBe("1 MiB (1,048,576 bytes)");
    expect([percent(0.6), percent(0.07), percent(1 / 3)]).toEqual(["60 %", "7 %", "33.3 %"]);
    expect([count(266148), count(0.5), count(12.34)]).toEqual(["266,148", "0.50", "12.3"]);
    expect([time(740), time(54_320), time(12_300_000), time(4_850_000_000), time(112e9), time(135e9), time(179.7e9)]).toEqual(["740 ns", "54.3 us", "12.3 ms", "4.85 s", "112 s", "2 min 15 s", "3 min"]);
    expect(tokenText(" a\n")).toBe("\u00b7a\u21b5");
    expect(tokenText("\u0000\u001b[\u007f\u202ea")).toBe("\u2400\u241b[\u2421\u25afa");
    expect(tokenText("a\u200b\u00ad\u00a0\u3000\u2028\ufeff\u{e0041}b")).toBe("a\u25af\u25af\u2423\u2423\u2423\u25af\u25afb");
    for (const whole of ["\u{1f468}\u200d\u{1f469}", "\u2764\ufe0f", "\u{1f3f3}\ufe0f\u200d\u{1f308}", "\u{1f926}\u{1f3fb}\u200d\u2642\ufe0f"]) expect(tokenText(whole)).toBe(whole);
    expect(["\u200d", "a\u200db", "\ufe0f"].map(tokenText)).toEqual(["\u25af", "a\u25afb", "\u25af"]);
});

test("CSV quotes what needs it, and starts no formula", () => {
    expect(csv(["a", "b"], [[1, 'say "hi", you'], [null, "=1+1"], [-2, "x\ny"]])).toBe("a,b\n1,\"say \"\"hi\"\", you\"\n,'=1+1\n-2,\"x\ny\"\n");
});

test("text flows in lines, and breaks where it breaks", () => {
    const pieces = flow(["ab", "cd", "e\n", "f", null], new Set(), 0, 4, 4, (text) => text.length);
    expect(pieces.map(({ x, y }) => [x, y])).toEqual([[0, 0], [0, 1], [0, 2], [0, 3], [0, 4]]);
    expect(flow(["ab", "cd", "e"], new Set(), 0, 2, 100, (text) => text.length * 10).map(({ x, y }) => [x, y])).toEqual([[0, 0], [20, 0], [40, 0]]);
    expect(flow(["<s>", "cd"], new Set([0]), 0, 1, 100, (text) => text.length * 10).map(({ x, isSpecial }) => [x, isSpecial])).toEqual([[0, true], [30 + 2 * TIP, false]]);
});

test("a verdict is a word, and names what failed", () => {
    expect(verdictOf({ checks: { file: "good", identity: "good" } })).toMatchObject({ kind: "good", word: "nothing missing" });
    expect(verdictOf({ checks: [{ check: "identity", verdict: "FAILED", figures: "3 unmatched" }, { check: "file", verdict: "good" }] }))
        .toMatchObject({ kind: "bad", word: "identity failed", says: "tat verify: identity: FAILED: 3 unmatched" });
    expect(verdictOf(null).kind).toBe("unknown");
});
