// SPDX-License-Identifier: MIT
/**
 * Rows without end in an element whose height has one: browsers stop at some tens of millions of pixels. Beyond a number of rows,
 * the element holds as many slots as that, and a base says which row is in the first one. What moves a little moves by rows; what
 * moves far, as the scroll bar does when it is dragged, is a share of all rows.
 */

export const ROW = 24; // pixels
export const SLOTS = 100_000;

export interface Scroll {
    /** The row in the first slot. */
    base: number;
    /** scrollTop */
    top: number;
}

export const slotsFor = (total: number): number => Math.min(total, SLOTS);

const clamp = (value: number, lo: number, hi: number): number => Math.max(lo, Math.min(hi, value));

const topMost = (total: number, height: number): number => Math.max(0, slotsFor(total) * ROW - height);

/** The scroll that has this row at the top. The bar stands about where the row is among all. */
export function scrollTo(row: number, total: number, height: number): Scroll {
    const spare = total - slotsFor(total);
    const wanted = clamp(row, 0, Math.max(0, total - height / ROW));
    if (spare === 0) return { base: 0, top: wanted * ROW };
    const most = topMost(total, height);
    const share = (wanted / (total - height / ROW)) * most;
    const base = clamp(Math.round(wanted - clamp(share, 4 * height, most - 4 * height) / ROW), 0, spare);
    return { base, top: (wanted - base) * ROW };
}

/** What follows when the element was scrolled from one place to another. */
export function scrolled(base: number, before: number, top: number, total: number, height: number): Scroll {
    const spare = total - slotsFor(total);
    if (spare === 0) return { base: 0, top };
    const most = topMost(total, height);
    if (Math.abs(top - before) > 3 * height) {
        const row = (top / most) * (total - height / ROW);
        return { base: clamp(Math.round(row - top / ROW), 0, spare), top };
    }
    const nearEdge = (top < 2 * height && base > 0) || (top > most - 2 * height && base < spare);
    return nearEdge ? scrollTo(base + top / ROW, total, height) : { base, top };
}
