// SPDX-License-Identifier: MIT
/** Grids as pictures: what their rows and columns are, and how cells become pixels. */
import type { Axis, Box } from "./axes";
import { cellAt, NO_TENSOR, type Tile } from "./binary";
import { difference, heatTable, place, type Scale } from "./colours";
import { bytes, count, exactBytes, time } from "./format";
import type { Frame } from "./frame";
import type { Pen } from "./pen";
import type { About, Measure, Tensor } from "./types";

export type Along = "token" | "layer";
export type Across = "layer" | "tensor" | "expert" | "component";

export interface Kind {
    id: string;
    title: string;
    x: Along;
    y: Across;
    /** One layer's experts: it asks for a layer. */
    ofLayer?: boolean;
    needsExperts?: boolean;
}

export const KINDS: Kind[] = [
    { id: "token-layer", title: "token \u00d7 layer", x: "token", y: "layer" },
    { id: "token-tensor", title: "token \u00d7 tensor", x: "token", y: "tensor" },
    { id: "token-component", title: "token \u00d7 component", x: "token", y: "component" },
    { id: "layer-expert", title: "layer \u00d7 expert", x: "layer", y: "expert", needsExperts: true },
    { id: "token-expert", title: "token \u00d7 expert of a layer", x: "token", y: "expert", ofLayer: true, needsExperts: true },
];

const kept = new WeakMap<About, { tensors: Tensor[]; components: number[] }>();

/** Tensors that are rows: weights and caches, not results. Components that are: those that these have, and activations. */
export function rowsOf(run: About): { tensors: Tensor[]; components: number[] } {
    let rows = kept.get(run);
    if (!rows) {
        const tensors = run.tensors.filter(({ memory }) => memory !== "buffer" && memory !== "");
        const named = new Set(tensors.map(({ component }) => component));
        const components = [...run.components.keys()].filter((i) => named.has(run.components[i]!));
        rows = { tensors, components: [...components, run.components.length] };
        kept.set(run, rows);
    }
    return rows;
}

/** Rows of the answer that are shown, by their numbers there; null: all of them. */
export function picked(across: Across, run: About): number[] | null {
    if (across === "component") return rowsOf(run).components;
    return across === "tensor" ? rowsOf(run).tensors.map(({ id }) => id) : null;
}

/** A tile of these rows alone. */
export function pickRows(tile: Tile, rows: number[]): Tile {
    const { columns } = tile;
    const value = new Float64Array(rows.length * columns);
    const dominant = new Uint32Array(rows.length * columns).fill(NO_TENSOR);
    rows.forEach((row, i) => {
        const from = Math.floor(((row - tile.y0) * tile.rows) / (tile.y1 - tile.y0));
        if (from < 0 || from >= tile.rows) return;
        value.set(tile.value.subarray(from * columns, (from + 1) * columns), i * columns);
        dominant.set(tile.dominant.subarray(from * columns, (from + 1) * columns), i * columns);
    });
    return { ...tile, rows: rows.length, y0: 0, y1: rows.length, value, dominant };
}

/** The columns there are. */
export const columnsOf = (of: Kind, run: About): number => (of.x === "token" ? run.tokens : run.model.layers);

/** The rows there are. Below the layers is one for what has none, such as the embedding and the output. */
export function heightOf(of: Kind, run: About): number {
    switch (of.y) {
        case "layer": return run.model.layers + 1;
        case "tensor": return rowsOf(run).tensors.length;
        case "component": return rowsOf(run).components.length;
        case "expert": return run.model.experts;
    }
}

/** What a row or column is called. */
export function nameOf(along: Along | Across, index: number, run: About): string {
    switch (along) {
        case "tensor": return rowsOf(run).tensors[index]?.name ?? "";
        case "component": return run.components[rowsOf(run).components[index] ?? -1] ?? "activations";
        case "layer": return index < run.model.layers ? `layer ${count(index)}` : "no layer";
        default: return `${along} ${count(index)}`;
    }
}

export function axisOf(along: Along | Across, run: About): Axis {
    const isNumber = (value: number) => along === "token" || along === "expert" || (along === "layer" && value < run.model.layers);
    return {
        label: along,
        cells: true,
        print: (value) => (isNumber(value) ? count(value) : along === "layer" ? "none" : nameOf(along, value, run)),
    };
}

/** Pixels that the longest name takes, about. */
export function roomFor(across: Across, run: About): number {
    if (across === "layer" || across === "expert") return 52;
    const { tensors, components } = rowsOf(run);
    const names = Array.from({ length: (across === "tensor" ? tensors : components).length }, (_, i) => nameOf(across, i, run));
    return Math.min(210, 34 + 6.2 * Math.max(4, ...names.map((name) => name.length)));
}

// ---- measures ----

export const MEASURES: { id: Measure; title: string; unit: string; print(value: number): string; exact(value: number): string }[] = [
    { id: "bytes", title: "bytes", unit: "bytes touched", print: bytes, exact: exactBytes },
    { id: "accesses", title: "accesses", unit: "accesses", print: count, exact: count },
    { id: "time", title: "time", unit: "time of operations, thread 0", print: time, exact: (ns) => `${time(ns)} (${count(ns)} ns)` },
];

export const measureOf = (id: Measure) => MEASURES.find((one) => one.id === id)!;

// ---- cells ----

/** Rows and columns that a cell stands for, at least one of each. */
export function spanOf(tile: Tile): { x: number; y: number } {
    return { x: Math.max(1, (tile.x1 - tile.x0) / tile.columns), y: Math.max(1, (tile.y1 - tile.y0) / tile.rows) };
}

/** A cell of several tokens shows their mean, so that the scale is the same however far a picture is zoomed. */
export const perToken = (tile: Tile): number => spanOf(tile).x;

/**
 * The scale of a whole picture: it begins at the smallest value that is there if it is logarithmic, else at 0. Only the first `rows`
 * count: the embedding and the output, which are in no layer, would make all layers alike.
 */
export function scaleOf(tiles: Tile[], log: boolean, rows = Infinity): Scale {
    let hi = 0;
    let lo = Infinity;
    let all = 0;
    for (const tile of tiles) {
        const by = perToken(tile);
        const high = (tile.y1 - tile.y0) / tile.rows;
        tile.value.forEach((value, cell) => {
            if (!(value > 0)) return;
            all = Math.max(all, value / by);
            if (tile.y0 + Math.floor(cell / tile.columns) * high >= rows) return;
            hi = Math.max(hi, value / by);
            lo = Math.min(lo, value / by);
        });
    }
    if (hi === 0) return { lo: 0, hi: all || 1, log: false };
    const isLog = log && hi / lo > 3;
    return { lo: isLog ? lo : 0, hi, log: isLog, ...(all > hi ? { over: true } : {}) };
}

/** Rows that the scale is made of. */
export const scaledRows = (across: Across, run: About): number => (across === "layer" ? run.model.layers : Infinity);

/** A pixel for each cell. */
export function imageOf(tile: Tile, scale: Scale, by = perToken(tile)): HTMLCanvasElement {
    const colours = heatTable.value;
    return pixels(tile, (i) => {
        const value = tile.value[i]! / by;
        return value > 0 ? colours[Math.round(place(scale, value) * 255)]! : 0;
    });
}

function pixels(tile: Tile, colourOf: (cell: number) => number): HTMLCanvasElement {
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, tile.columns);
    canvas.height = Math.max(1, tile.rows);
    const context = canvas.getContext("2d")!;
    const data = context.createImageData(canvas.width, canvas.height);
    const rgba = new Uint32Array(data.data.buffer);
    for (let i = 0; i < tile.value.length; i++) rgba[i] = colourOf(i);
    context.putImageData(data, 0, 0);
    return canvas;
}

/** Differences of two tiles: a tile of b less a, per token, on the cells of the finer one. Both count rows alike. */
export function differenceOf(a: Tile, b: Tile): Tile {
    const x0 = Math.max(a.x0, b.x0);
    const x1 = Math.min(a.x1, b.x1);
    const y0 = Math.max(a.y0, b.y0);
    const y1 = Math.min(a.y1, b.y1);
    const fine = (from: Tile, length: number) => Math.max(1, Math.round((length * from.columns) / Math.max(1, from.x1 - from.x0)));
    const columns = Math.min(4096, Math.max(fine(a, x1 - x0), fine(b, x1 - x0)));
    const rows = Math.max(1, Math.min(a.rows, b.rows, y1 - y0));
    const value = new Float64Array(columns * rows);
    const [shareA, shareB] = [perToken(a), perToken(b)];
    for (let row = 0; row < rows; row++) {
        const y = y0 + ((row + 0.5) * (y1 - y0)) / rows;
        for (let column = 0; column < columns; column++) {
            const x = x0 + ((column + 0.5) * (x1 - x0)) / columns;
            const [inA, inB] = [cellAt(a, x, y), cellAt(b, x, y)];
            value[row * columns + column] = (inB < 0 ? 0 : b.value[inB]! / shareB) - (inA < 0 ? 0 : a.value[inA]! / shareA);
        }
    }
    return {
        columns, rows, x0, x1, y0, y1, revision: b.revision, flags: 0, value,
        dominant: new Uint32Array(columns * rows).fill(NO_TENSOR),
    };
}

/** The greatest difference either way. */
export function extentOf(tile: Tile): number {
    let most = 0;
    for (const value of tile.value) most = Math.max(most, Math.abs(value));
    return most;
}

export function differenceImageOf(tile: Tile, most: number): HTMLCanvasElement {
    const table = Uint32Array.from({ length: 256 }, (_, i) => {
        const hex = difference((i - 127.5) / 127.5);
        const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as [number, number, number];
        return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
    });
    return pixels(tile, (i) => table[Math.round((most > 0 ? tile.value[i]! / most : 0) * 127.5 + 127.5)]!);
}

/** Draws a tile where its cells are, whatever part of it the frame shows. */
export function paintTile(pen: Pen, frame: Frame, tile: Tile, image: HTMLCanvasElement): void {
    const [left, right] = [frame.x(tile.x0), frame.x(tile.x1)];
    const [a, b] = [frame.y(tile.y0), frame.y(tile.y1)];
    pen.image(image, left, Math.min(a, b), right - left, Math.abs(b - a));
}

/** By row of the tile, the sum of its cells in these columns of the data. */
export function rowSums(tile: Tile, x0: number, x1: number): Float64Array {
    const wide = (tile.x1 - tile.x0) / tile.columns;
    const first = Math.max(0, Math.floor((x0 - tile.x0) / wide + 1e-6));
    const end = Math.min(tile.columns, Math.ceil((x1 - tile.x0) / wide - 1e-6));
    const sums = new Float64Array(tile.rows);
    for (let row = 0; row < tile.rows; row++) {
        for (let column = first; column < end; column++) sums[row]! += tile.value[row * tile.columns + column]!;
    }
    return sums;
}

/** Where a cell is in the data. */
export function boxOfCell(tile: Tile, cell: number): Box {
    const row = Math.floor(cell / tile.columns);
    const column = cell % tile.columns;
    const [wide, high] = [(tile.x1 - tile.x0) / tile.columns, (tile.y1 - tile.y0) / tile.rows];
    return {
        x0: tile.x0 + column * wide, x1: tile.x0 + (column + 1) * wide,
        y0: tile.y0 + row * high, y1: tile.y0 + (row + 1) * high,
    };
}

/** The whole rows or columns from lo up to hi: [first, last]. */
export const wholes = (lo: number, hi: number): [number, number] => {
    const first = Math.floor(lo + 1e-6);
    return [first, Math.max(first, Math.ceil(hi - 1e-6) - 1)];
};

// ---- which tile to ask for ----

export interface TileWindow {
    x0: number;
    x1: number;
    y0: number;
    y1: number;
    w: number;
    h: number;
}

const MOST_CELLS = 2048; // along an axis
const MOST_AT_ONCE = 1_500_000; // cells of a picture that is asked for whole

/**
 * The part of an axis to ask for, and in how many cells. It begins and ends at even places and is longer than what shows, so the
 * same one serves while a picture is moved a little.
 */
export function partOf(lo: number, hi: number, all: number, pixels: number): { from: number; to: number; cells: number } {
    const whole = { from: 0, to: all, cells: Math.min(all, pixels) };
    if (all <= pixels) return whole;
    const span = 2 ** Math.ceil(Math.log2(Math.max(1, hi - lo)));
    const grain = Math.max(1, span / 2);
    const from = Math.max(0, Math.floor(lo / grain) * grain);
    const to = Math.min(all, Math.ceil(hi / grain) * grain);
    if (to - from >= all) return whole;
    return { from, to, cells: Math.min(to - from, MOST_CELLS, Math.round((pixels * (to - from)) / Math.max(1, hi - lo))) };
}

export function tileWindow(window: Box, columns: number, rows: number, pixels: { x: number; y: number }): TileWindow {
    const fits = columns <= MOST_CELLS && rows <= MOST_CELLS && columns * rows <= MOST_AT_ONCE;
    const x = partOf(window.x0, window.x1, columns, fits ? columns : pixels.x);
    const y = partOf(window.y0, window.y1, rows, fits ? rows : pixels.y);
    return { x0: x.from, x1: x.to, y0: y.from, y1: y.to, w: Math.max(1, x.cells), h: Math.max(1, y.cells) };
}
