// SPDX-License-Identifier: MIT
/** Windows onto data, and the ticks beside them: numbers only, no drawing. */
import type { Range } from "./state";

export interface Box {
    x0: number;
    x1: number;
    y0: number;
    y1: number;
}

export interface Axis {
    label: string;
    /** A tick's text. */
    print(value: number): string;
    /** The value i names the cell from i to i + 1, such as a token or a layer; its label stands in the middle. */
    cells?: boolean;
    /** Only whole numbers mean something, such as numbers of tokens. */
    whole?: boolean;
    /** Where ticks are, at most so many; otherwise at round numbers. */
    ticks?(lo: number, hi: number, most: number): number[];
}

/** Steps of 1, 2 and 5. */
export function roundTicks(lo: number, hi: number, most: number, least = 0): number[] {
    const raw = (hi - lo) / Math.max(1, most);
    if (!(raw > 0) || !Number.isFinite(raw)) return [];
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = Math.max(least, power * ([1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999999) ?? 10));
    const first = Math.ceil(lo / step - 1e-9);
    const last = Math.floor(hi / step + 1e-9);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step);
}

/** Steps that are round in bytes: powers of two. */
export function byteTicks(lo: number, hi: number, most: number): number[] {
    const raw = (hi - lo) / Math.max(1, most);
    if (!(raw > 0)) return [];
    const step = 2 ** Math.ceil(Math.log2(raw));
    const first = Math.ceil(lo / step);
    const last = Math.floor(hi / step);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => (first + i) * step);
}

const MINUTE = 60e9; // nanoseconds

/** Steps that are round in the units of time: long ones in minutes and hours. */
export function timeTicks(lo: number, hi: number, most: number): number[] {
    const raw = (hi - lo) / Math.max(1, most);
    const step = raw > 20e9 ? [0.5, 1, 2, 5, 10, 20, 30, 60, 120, 240, 480].map((minutes) => minutes * MINUTE).find((one) => one >= raw) : undefined;
    if (step === undefined) return roundTicks(lo, hi, most);
    const first = Math.ceil(lo / step);
    return Array.from({ length: Math.max(0, Math.floor(hi / step) - first + 1) }, (_, i) => (first + i) * step);
}

export function ticksOf(axis: Axis, lo: number, hi: number, most: number): number[] {
    if (axis.ticks) return axis.ticks(lo, hi, most);
    return roundTicks(lo, hi, most, axis.cells || axis.whole ? 1 : 0).filter((tick) => !axis.cells || tick + 0.5 < hi);
}

/** The range moved and, if it is too long, shortened until it is inside the bounds; never shorter than `least`. */
export function inside(range: Range, bounds: Range, least: number): Range {
    const all = bounds.hi - bounds.lo;
    const length = Math.min(all, Math.max(Math.min(least, all), range.hi - range.lo));
    const middle = (range.lo + range.hi) / 2;
    const lo = Math.min(bounds.hi - length, Math.max(bounds.lo, middle - length / 2));
    return { lo, hi: lo + length };
}

/** Zoomed by a factor (below 1: closer) about a point that stays where it is. */
export function zoomed(range: Range, factor: number, about: number, bounds: Range, least: number): Range {
    const length = (range.hi - range.lo) * factor;
    const all = bounds.hi - bounds.lo;
    const kept = Math.min(all, Math.max(Math.min(least, all), length));
    const share = range.hi > range.lo ? (about - range.lo) / (range.hi - range.lo) : 0.5;
    const lo = Math.min(bounds.hi - kept, Math.max(bounds.lo, about - share * kept));
    return { lo, hi: lo + kept };
}

export const isSame = (a: Range, b: Range): boolean => {
    const little = (Math.abs(a.hi - a.lo) + Math.abs(b.hi - b.lo)) * 1e-6;
    return Math.abs(a.lo - b.lo) <= little && Math.abs(a.hi - b.hi) <= little;
};

export const xOf = (box: Box): Range => ({ lo: box.x0, hi: box.x1 });
export const yOf = (box: Box): Range => ({ lo: box.y0, hi: box.y1 });
export const boxOf = (x: Range, y: Range): Box => ({ x0: x.lo, x1: x.hi, y0: y.lo, y1: y.hi });
