// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import { type Access, liveBytes, livesOf } from "./buffers";

const row = (start: number, tensor: number, access: string, size: number, op = "MUL"): Access =>
    ({ start_ns: start, duration_ns: 10, layer: 0, op, tensor_id: tensor, tensor: `t${tensor}`, size, count: 1, access });

test("an activation lives from the operation that writes it to the last that reads it", () => {
    const lives = livesOf([row(0, 1, "write", 64, "NORM"), row(10, 1, "read", 64), row(10, 2, "write", 32), row(20, 1, "read", 64, "ADD"), row(20, 2, "read", 32)]);
    expect(lives).toMatchObject([{ tensor_id: 1, bytes: 64, from: 0, to: 30, writer: "NORM", reader: "ADD" }, { tensor_id: 2, bytes: 32, from: 10, to: 30 }]);
});

test("what is fused has no buffer, and what is only read is no activation of this graph", () => {
    expect(livesOf([row(0, 1, "write", 0), row(10, 1, "read", 0), row(10, 5, "read", 64)])).toEqual([]);
});

test("bytes that are needed at once", () => {
    const lives = livesOf([row(0, 1, "write", 64), row(10, 2, "write", 32), row(20, 1, "read", 64), row(40, 2, "read", 32)]);
    expect(liveBytes(lives)).toEqual({ at: [0, 10, 30, 50], bytes: [64, 96, 32, 0], most: 96 });
    // What is read last as another one is written is not needed at the same time.
    expect(liveBytes(livesOf([row(0, 1, "write", 64), row(10, 1, "read", 64), row(20, 2, "write", 32)])).most).toBe(64);
    expect(liveBytes([]).most).toBe(0);
});
