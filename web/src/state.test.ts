// SPDX-License-Identifier: MIT
import { beforeEach, expect, test } from "vitest";

import {
    byteRange, clearSelection, decodeState, encodeState, layer, measure, memory, option, options, tensor, theme, timeRange, token, tokens,
    traces, view,
} from "./state";

beforeEach(() => decodeState(""));

test("what is as always is not in the address", () => {
    expect(encodeState()).toBe("");
});

test("a link is a bookmark: what is encoded is decoded the same", () => {
    view.value = "heatmap";
    traces.value = [2, 0];
    tokens.value = { lo: 3, hi: 40 };
    token.value = 0;
    layer.value = 10;
    tensor.value = 271;
    byteRange.value = { lo: 0, hi: 447283424 };
    timeRange.value = { lo: 5, hi: 4850000000 };
    measure.value = "time";
    memory.value = 8 * 2 ** 30;
    theme.value = "dark";
    option("heat", "token-layer").value = "layer-expert";
    const link = encodeState();
    const before = [view, traces, tokens, token, layer, tensor, byteRange, timeRange, measure, memory, theme, options].map((one) => one.value);
    decodeState("");
    expect(encodeState()).toBe("");
    decodeState(`#${link}`);
    expect([view, traces, tokens, token, layer, tensor, byteRange, timeRange, measure, memory, theme, options].map((one) => one.value)).toEqual(before);
    expect(encodeState()).toBe(link);
});

test("a range that is being dragged is whole in the address, and holds all that showed", () => {
    tokens.value = { lo: 3.6, hi: 9.2 };
    expect(encodeState()).toBe("tokens=3-10");
});

test.each([
    "tokens=9-3", "tokens=a-b", "tokens=5", "token=-1", "token=1e9", "token=99999999999999999", "layer=x", "measure=weight", "theme=pink",
    "trace=", "trace=a,b", "view=<script>", "bytes=1-", "%%%", "tokens=3-3",
])("%s is as if it were not there", (hash) => {
    decodeState(hash);
    expect(encodeState()).toBe("");
});

test("traces that are named twice are one", () => {
    decodeState("trace=1,1,3");
    expect(traces.value).toEqual([1, 3]);
});

test("an option that is set to its default leaves the address", () => {
    const scale = option("scale", "auto");
    scale.value = "log";
    expect(encodeState()).toBe("o.scale=log");
    scale.value = "auto";
    expect(encodeState()).toBe("");
});

test("letting go of what is selected keeps the view, its traces and its looks", () => {
    decodeState("view=heatmap&trace=1&tokens=1-5&token=2&layer=3&bytes=1-2&measure=time&theme=dark");
    clearSelection();
    expect(encodeState()).toBe("view=heatmap&trace=1&measure=time&theme=dark");
});
