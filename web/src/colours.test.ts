// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import { componentColour, heat, heatTable, place } from "./colours";
import { theme } from "./state";

const lightness = (hex: string): number => {
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as [number, number, number];
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};

test.each(["light", "dark"] as const)("on %s paper, heat goes away from it all the way, so it is read without colour vision too", (paper) => {
    theme.value = paper;
    expect(heatTable.value).toHaveLength(256);
    const sign = paper === "light" ? -1 : 1;
    for (let i = 1; i <= 64; i++) expect(sign * lightness(heat(i / 64))).toBeGreaterThan(sign * lightness(heat((i - 1) / 64)));
    expect(heat(7)).toBe(heat(1));
    expect(heat(-1)).toBe(heat(0));
});

test("places on a scale", () => {
    const linear = { lo: 0, hi: 200, log: false };
    expect([-5, 0, 50, 200, 999].map((value) => place(linear, value))).toEqual([0, 0, 0.25, 1, 1]);
    const log = { lo: 1, hi: 10000, log: true };
    expect([0, 1, 100, 10000].map((value) => place(log, value))).toEqual([0, 0, 0.5, 1]);
    expect(place({ lo: 0, hi: 0, log: false }, 0)).toBe(0);
});

test("members of a family of components are told apart, and families too", () => {
    const names = [
        "token_embd", "attn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "router",
        "expert_gate", "expert_up", "expert_down", "output", "kv_k", "kv_v", "activations", "other",
    ];
    expect(new Set(names.map(componentColour)).size).toBe(names.length);
});
