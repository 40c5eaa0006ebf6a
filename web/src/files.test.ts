// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import { inFile, placeOf, tensorAt } from "./files";
import type { About, Tensor } from "./types";

const tensor = (id: number, file: number | null, file_offset: number | null) => ({ id, file, file_offset, bytes: 20 }) as Tensor;
const run = { model: { file_sizes: [100, 50] }, tensors: [tensor(0, null, null), tensor(1, 1, 30), tensor(2, 2, 30)] } as About;

test("tensors of a second file lie behind the first", () => {
    expect(placeOf(run, run.tensors[1])).toEqual({ lo: 30, hi: 50 });
    expect(placeOf(run, run.tensors[2])).toEqual({ lo: 130, hi: 150 });
    expect(placeOf(run, run.tensors[0])).toBeNull();
    expect(tensorAt(run, 30)?.id).toBe(1);
    expect(tensorAt(run, 149)?.id).toBe(2);
    expect(tensorAt(run, 60)).toBeNull();
});

test("bytes are in one file, or in none", () => {
    expect(inFile(run, { lo: 30, hi: 50 })).toEqual({ file: 1, lo: 30, hi: 50 });
    expect(inFile(run, { lo: 100, hi: 150 })).toEqual({ file: 2, lo: 0, hi: 50 });
    expect(inFile(run, { lo: 90, hi: 110 })).toBeNull();
    const one = { model: { file_sizes: [100] } } as About;
    expect(inFile(one, { lo: 90, hi: 110 })).toEqual({ file: 1, lo: 90, hi: 110 });
});
