// SPDX-License-Identifier: MIT
/** What stands around a picture's data: axes, ticks, legend. */
import { type Axis, type Box, ticksOf } from "./axes";
import { heat, ink, type Scale } from "./colours";
import type { Pen } from "./pen";

/** Where the data is on the canvas, and which part of it shows. */
export interface Frame {
    box: Box;
    left: number;
    top: number;
    width: number;
    height: number;
    x(value: number): number;
    y(value: number): number;
    xAt(pixel: number): number;
    yAt(pixel: number): number;
}

export interface ScaleLegend {
    kind: "scale";
    label: string;
    scale: Scale;
    print(value: number): string;
    /** The colour of a share of the scale; heat if not said. */
    colour?(share: number): string;
    /** What is drawn as nothing, such as "not touched". */
    nothing?: string;
}

export interface KeyLegend {
    kind: "keys";
    items: Key[];
}

interface Key {
    label: string;
    colour: string;
    /** A dashed line in place of a square. */
    dash?: number[];
}

export type Legend = ScaleLegend | KeyLegend;

export interface Margins {
    left: number;
    right: number;
    top: number;
    bottom: number;
}

export function frameOf(box: Box, margins: Margins, width: number, height: number, down: boolean): Frame {
    const { left, top } = margins;
    const wide = Math.max(1, width - left - margins.right);
    const high = Math.max(1, height - top - margins.bottom);
    const kx = wide / (box.x1 - box.x0 || 1);
    const ky = high / (box.y1 - box.y0 || 1);
    return {
        box,
        left,
        top,
        width: wide,
        height: high,
        x: (value) => left + (value - box.x0) * kx,
        y: (value) => (down ? top + (value - box.y0) * ky : top + high - (value - box.y0) * ky),
        xAt: (pixel) => box.x0 + (pixel - left) / kx,
        yAt: (pixel) => (down ? box.y0 + (pixel - top) / ky : box.y0 + (top + high - pixel) / ky),
    };
}

const LEGEND_ROW = 20;
const SWATCH = 10;
const DASH = 20; // wide enough for two dashes

function keyRows(pen: Pen, legend: KeyLegend, room: number): (Key & { x: number; row: number; wide: number })[] {
    let x = 0;
    let row = 0;
    return legend.items.map((key) => {
        const { label } = key;
        const wide = key.dash?.length ? DASH : SWATCH;
        const width = wide + 5 + pen.widthOf(label) + 14;
        if (x > 0 && x + width > room) {
            x = 0;
            row++;
        }
        const at = { ...key, x, row, wide };
        x += width;
        return at;
    });
}

/** Rows of text above the data that the legend takes, in pixels. */
export function legendHeight(pen: Pen, legend: Legend | undefined, room: number): number {
    if (!legend) return 0;
    if (legend.kind === "scale") return LEGEND_ROW + 4;
    const rows = keyRows(pen, legend, room);
    return rows.length === 0 ? 0 : (rows[rows.length - 1]!.row + 1) * LEGEND_ROW + 4;
}

export function drawLegend(pen: Pen, legend: Legend, left: number, top: number, room: number): void {
    const { text, faint, line, ground } = ink.value;
    const middle = top + SWATCH / 2 + 1;
    if (legend.kind === "keys") {
        for (const key of keyRows(pen, legend, room)) {
            const y = middle + key.row * LEGEND_ROW;
            if (key.dash?.length) pen.line([left + key.x, y, left + key.x + key.wide, y], key.colour, 2, key.dash);
            else pen.rect(left + key.x, y - SWATCH / 2, SWATCH, SWATCH, key.colour);
            pen.text(key.label, left + key.x + key.wide + 5, y, { fill: text });
        }
        return;
    }
    const { scale, print } = legend;
    const lo = print(scale.lo);
    const wide = Math.min(180, room * 0.22);
    let x = left;
    if (legend.nothing) {
        pen.rect(x, middle - SWATCH / 2, SWATCH, SWATCH, ground);
        pen.frame(x + 0.5, middle - SWATCH / 2 + 0.5, SWATCH - 1, SWATCH - 1, line);
        pen.text(legend.nothing, x + SWATCH + 5, middle, { fill: faint });
        x += SWATCH + 5 + pen.widthOf(legend.nothing) + 16;
    }
    pen.text(lo, x, middle, { fill: text });
    x += pen.widthOf(lo) + 6;
    const steps = 60;
    for (let i = 0; i < steps; i++) {
        pen.rect(x + (i * wide) / steps, middle - SWATCH / 2, wide / steps + 0.5, SWATCH, (legend.colour ?? heat)(i / (steps - 1)));
    }
    x += wide + 6;
    const hi = `${print(scale.hi)}${scale.over ? " and more" : ""}`;
    pen.text(hi, x, middle, { fill: text });
    x += pen.widthOf(hi) + 12;
    pen.text(`${legend.label}${scale.log ? ", logarithmic" : ""}`, x, middle, { fill: faint, room: left + room - x });
}

/** How far a label may reach beyond the data: less than the narrowest margin on the right. */
const EDGE = 12;

/** Ticks, their labels and the axes' names. */
export function drawAxes(pen: Pen, frame: Frame, xAxis: Axis, yAxis: Axis, height: number): void {
    const { faint, line, text } = ink.value;
    const { box, left, top, width, height: high } = frame;
    const base = top + high;
    pen.line([left - 0.5, top, left - 0.5, base + 0.5, left + width, base + 0.5], line);

    const widest = Math.max(...[box.x0, box.x1].map((value) => pen.widthOf(xAxis.print(Math.floor(value)))), 20);
    let right = -Infinity;
    for (const tick of ticksOf(xAxis, box.x0, box.x1, width / (widest + 22))) {
        const x = frame.x(xAxis.cells ? tick + 0.5 : tick);
        if (x < left - 1 || x > left + width + 1) continue;
        pen.line([x, base + 1, x, base + 5], line);
        const label = xAxis.print(tick);
        const half = pen.widthOf(label) / 2;
        const middle = Math.min(x, left + width + EDGE - half);
        if (middle - half < right + 6) continue;
        pen.text(label, middle, base + 7, { fill: text, align: "center", baseline: "top" });
        right = middle + half;
    }
    if (xAxis.label) pen.text(xAxis.label, left + width / 2, height - 3, { fill: faint, align: "center", baseline: "bottom", room: width });

    for (const tick of ticksOf(yAxis, box.y0, box.y1, high / 20)) {
        const y = frame.y(yAxis.cells ? tick + 0.5 : tick);
        if (y < top - 1 || y > base + 1) continue;
        pen.line([left - 4, y, left - 1, y], line);
        pen.text(yAxis.print(tick), left - 7, y, { fill: text, align: "right", room: left - 24 });
    }
    if (yAxis.label) pen.text(yAxis.label, 8, top + high / 2, { fill: faint, align: "center", turn: -90, room: high });
}
