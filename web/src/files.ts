// SPDX-License-Identifier: MIT
/** The bytes of the model's files, one file behind the other: what views show and share. Most models have one. */
import type { Range } from "./state";
import type { About, Tensor } from "./types";

/** Where a file begins. Files are numbered from 1. */
export const beginOf = (run: About, file: number): number => run.model.file_sizes.slice(0, file - 1).reduce((sum, size) => sum + size, 0);

/** Where a tensor's bytes are; null: in no file. */
export function placeOf(run: About, tensor: Tensor | undefined): Range | null {
    if (!tensor || tensor.file === null || tensor.file_offset === null) return null;
    const lo = beginOf(run, tensor.file) + tensor.file_offset;
    return { lo, hi: lo + tensor.bytes };
}

export function tensorAt(run: About, offset: number): Tensor | null {
    return run.tensors.find((one) => {
        const place = placeOf(run, one);
        return place !== null && offset >= place.lo && offset < place.hi;
    }) ?? null;
}

/** Bytes as offsets in the file that has them; null: no one file has all of them. */
export function inFile(run: About, { lo, hi }: Range): (Range & { file: number }) | null {
    const sizes = run.model.file_sizes;
    if (sizes.length < 2) return { file: 1, lo, hi };
    for (let file = 1, begin = 0; file <= sizes.length; begin += sizes[file - 1]!, file++) {
        if (lo >= begin && hi <= begin + sizes[file - 1]!) return { file, lo: lo - begin, hi: hi - begin };
    }
    return null;
}
