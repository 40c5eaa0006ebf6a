// SPDX-License-Identifier: MIT
/** The model's files as one strip of bytes, folded into rows; numbers only, no drawing. */
import type { Box } from "./axes";
import type { Range } from "./state";

/** As the server sends it. */
export interface FileBlock {
    tensor: number | string;
    expert: number | null;
    file: number;
    offset: number;
    bytes: number;
    accesses: number;
    read_bytes: number;
}

export interface FileAnswer {
    files: { name: string; bytes: number }[];
    blocks: FileBlock[];
    merged: boolean;
    left_out?: number;
}

/** A block where it lies on the strip. */
export interface Block extends FileBlock {
    at: number;
    end: number;
}

export interface Strip {
    blocks: Block[];
    bytes: number;
}

/** Files lie one behind the other, as their numbers say. */
export function asInFile({ files, blocks }: FileAnswer): Strip {
    const begins: number[] = [];
    let bytes = 0;
    for (const file of files) {
        begins.push(bytes);
        bytes += file.bytes;
    }
    const placed = blocks.map((block) => {
        const at = (begins[block.file] ?? 0) + block.offset;
        return { ...block, at, end: at + block.bytes };
    });
    return { blocks: placed.sort((a, b) => a.at - b.at), bytes };
}

/** Blocks side by side in an order of their own, without what lies between them. */
export function inOrder(blocks: Block[], compare: (a: Block, b: Block) => number): Strip {
    let bytes = 0;
    const placed = [...blocks].sort(compare).map((block) => {
        const at = bytes;
        bytes += block.bytes;
        return { ...block, at, end: bytes };
    });
    return { blocks: placed, bytes };
}

/** The index of the first block that ends behind a byte. */
export function firstBehind(blocks: Block[], byte: number): number {
    let lo = 0;
    let hi = blocks.length;
    while (lo < hi) {
        const middle = (lo + hi) >> 1;
        if (blocks[middle]!.end <= byte) lo = middle + 1;
        else hi = middle;
    }
    return lo;
}

/** The block that a byte belongs to; null: it is of no tensor. */
export function blockAt(blocks: Block[], byte: number): Block | null {
    const block = blocks[firstBehind(blocks, byte)];
    return block && block.at <= byte ? block : null;
}

/** So many rows that a block is neither a hair nor a screen: a power of two. */
export function rowsFor(blocks: Block[], shown: Range): number {
    const count = firstBehind(blocks, shown.hi - 1) - firstBehind(blocks, shown.lo) + 1;
    return Math.max(1, Math.min(32, 2 ** Math.ceil(Math.log2(Math.max(1, count / 24)))));
}

/** Rows of bytes, one below the other. */
export interface Layout {
    /** The first byte of the first row. */
    lo: number;
    perRow: number;
    rows: number;
}

/** Rows begin at round bytes, and so hold a little more than what shows. A single row holds just that. */
export function layoutOf(blocks: Block[], shown: Range): Layout {
    const length = shown.hi - shown.lo;
    const most = rowsFor(blocks, shown);
    if (most === 1) return { lo: shown.lo, perRow: length, rows: 1 };
    const perRow = 2 ** Math.ceil(Math.log2(length / most));
    const lo = Math.floor(shown.lo / perRow) * perRow;
    return { lo, perRow, rows: Math.ceil((shown.hi - lo) / perRow) };
}

/** All bytes that rows have room for. */
export const heldBy = ({ lo, perRow, rows }: Layout): Range => ({ lo, hi: lo + rows * perRow });

/** What of the rows a stretch of bytes takes: [row, from, to], in bytes of a row. */
export function piecesOf(from: number, to: number, shown: Range, perRow: number): [number, number, number][] {
    const pieces: [number, number, number][] = [];
    const [lo, hi] = [Math.max(from, shown.lo) - shown.lo, Math.min(to, shown.hi) - shown.lo];
    for (let row = Math.floor(lo / perRow); row * perRow < hi; row++) {
        const left = Math.max(lo - row * perRow, 0);
        const right = Math.min(hi - row * perRow, perRow);
        if (right > left) pieces.push([row, left, right]);
    }
    return pieces;
}

/** How far beyond its rows a picture may be zoomed out or moved, in pictures. */
const BEYOND = 4;

/** All that a picture of the rows may ask for. Nothing beyond them if they show the whole strip. */
export function boundsOf(isWhole: boolean, perRow: number, rows: number): Box {
    if (isWhole) return { x0: 0, x1: perRow, y0: 0, y1: rows };
    return { x0: -BEYOND * perRow, x1: (BEYOND + 1) * perRow, y0: -BEYOND * rows, y1: (BEYOND + 1) * rows };
}

/**
 * The bytes that are meant by a window that a picture of rows was zoomed or moved to; null: all of them. A wheel scales both
 * sides alike, about a point; a rectangle that was drawn means the rows that it touches, or a part of one row.
 */
export function rangeOf(window: Box, shown: Range, layout: Layout, all: number, least: number): Range | null {
    const { perRow, rows } = layout;
    const wide = (window.x1 - window.x0) / perRow;
    const high = (window.y1 - window.y0) / rows;
    const fitted = (lo: number, length: number): Range | null => {
        const kept = Math.max(Math.min(least, all), length);
        if (kept >= all) return null;
        const begin = Math.max(0, Math.min(all - kept, lo));
        return { lo: Math.round(begin), hi: Math.round(begin + kept) };
    };
    const length = shown.hi - shown.lo;
    if (wide > 2 * BEYOND && high > 2 * BEYOND) return null;
    if (Math.abs(wide - 1) < 1e-6 && Math.abs(high - 1) < 1e-6) return fitted(shown.lo + window.x0 + window.y0 * perRow, length);
    if (Math.abs(wide - high) < 1e-3 * wide) {
        const x = Math.max(0, Math.min(perRow, window.x0 / (1 - wide)));
        const y = Math.max(0, Math.min(rows - 1e-9, window.y0 / (1 - high)));
        const about = layout.lo + Math.floor(y) * perRow + x;
        const share = (about - shown.lo) / length;
        return fitted(about - share * length * wide, length * wide);
    }
    const first = Math.max(0, Math.floor(window.y0));
    const last = Math.min(rows - 1, Math.ceil(window.y1) - 1);
    const [from, to] = first === last ? [window.x0, window.x1] : [0, perRow];
    const lo = layout.lo + first * perRow + from;
    return fitted(lo, layout.lo + last * perRow + to - lo);
}
