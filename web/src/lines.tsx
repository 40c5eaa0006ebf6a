// SPDX-License-Identifier: MIT
/** Curves over one axis: what the pointer is at is read off all of them, at points that were counted and never between them. */
import { useState } from "preact/hooks";

import { type Axis, type Box, ticksOf } from "./axes";
import { ink } from "./colours";
import { csv } from "./format";
import type { Frame } from "./frame";
import type { Pen } from "./pen";
import { type Hover, Picture, type PictureProps } from "./picture";

export interface Curve {
    /** For CSV. */
    key: string;
    label: string;
    colour: string;
    /** Ascending; null: not known there. */
    y: (number | null)[];
    dash?: number[];
    width?: number;
    /** Holds until the next point. */
    step?: boolean;
    /** Filled down to 0. */
    fill?: boolean;
}

/** A vertical line with a word at it. */
export interface Mark {
    x: number;
    label: string;
    /** It can be moved: where to. */
    drag?(x: number): void;
}

export interface LinesProps {
    title: string;
    name: string;
    summary: string;
    x: number[];
    /** For CSV. */
    xKey: string;
    curves: Curve[];
    xAxis: Axis;
    yAxis: Axis;
    /** What shows of the x axis; all if not said. */
    bounds?: { x0?: number; x1?: number; y1?: number; y0?: number };
    marks?: Mark[];
    /** What the pointer's place is called. */
    at(x: number): string;
    /** What is said there besides. */
    more?(x: number): [string, string][];
    height?: number;
    left?: number;
    pick?(x: number): void;
    busy?: boolean;
    empty?: string | null;
    note?: string;
    children?: PictureProps["children"];
}

const GRAB = 7; // pixels
const FEW = 12; // points that are drawn as such

/** The index of the point that is nearest to x. */
export function nearest(xs: number[], x: number): number {
    let best = -1;
    for (let i = 0; i < xs.length; i++) if (best < 0 || Math.abs(xs[i]! - x) < Math.abs(xs[best]! - x)) best = i;
    return best;
}

/** The extent of all curves, a little of air above. */
export function boundsOf(x: number[], curves: Curve[], given: LinesProps["bounds"] = {}): Box {
    let most = 0;
    for (const { y } of curves) for (const value of y) if (value !== null && value > most) most = value;
    const x0 = given.x0 ?? x[0] ?? 0;
    const x1 = given.x1 ?? x[x.length - 1] ?? 1;
    return { x0, x1: x1 > x0 ? x1 : x0 + 1, y0: given.y0 ?? 0, y1: given.y1 ?? (most > 0 ? most * 1.08 : 1) };
}

export function Lines(props: LinesProps) {
    const { x, curves, marks = [] } = props;
    const bounds = boundsOf(x, curves, props.bounds);
    const yAxis = fewTicks(props.yAxis);
    const [shown, setShown] = useState<{ lo: number; hi: number } | null>(null);
    const window = { ...bounds, x0: Math.max(bounds.x0, shown?.lo ?? bounds.x0), x1: Math.min(bounds.x1, shown?.hi ?? bounds.x1) };
    if (!(window.x1 > window.x0)) [window.x0, window.x1] = [bounds.x0, bounds.x1];
    return (
        <Picture
            title={props.title} name={props.name} summary={props.summary} height={props.height ?? 250} left={props.left ?? 84}
            bounds={bounds} window={window} zooms="x" least={{ x: (bounds.x1 - bounds.x0) / 200, y: 0 }} down={false}
            onWindow={({ x0, x1 }) => setShown(x0 <= bounds.x0 && x1 >= bounds.x1 ? null : { lo: x0, hi: x1 })}
            xAxis={props.xAxis} yAxis={yAxis}
            legend={{ kind: "keys", items: curves.map(({ label, colour, dash }) => ({ label, colour, dash })) }}
            paint={(pen, frame) => paint(pen, frame, yAxis, x, curves, marks)}
            hover={(at, _, frame) => hoverOf(props, at, frame)}
            grab={(at, _, frame) => {
                const mark = marks.find((one) => one.drag && Math.abs(frame.x(one.x) - frame.x(at)) <= GRAB);
                return mark ? (to) => mark.drag!(Math.max(bounds.x0, Math.min(bounds.x1, to))) : null;
            }}
            pick={props.pick ? (at) => props.pick!(at) : undefined}
            csv={() => csv([props.xKey, ...curves.map(({ key }) => key)], x.map((at, i) => [at, ...curves.map(({ y }) => y[i])]))}
            busy={props.busy} empty={props.empty}
        >
            {props.children}
        </Picture>
    );
}

/** Tall pictures have no more labels than others. */
const fewTicks = (axis: Axis): Axis => (axis.ticks ? { ...axis, ticks: (lo, hi, most) => axis.ticks!(lo, hi, Math.min(most, 8)) } : axis);

/** A line at each tick of the y axis, but not on the x axis. */
export function paintGrid(pen: Pen, frame: Frame, yAxis: Axis): void {
    for (const tick of ticksOf(yAxis, frame.box.y0, frame.box.y1, frame.height / 20)) {
        const y = frame.y(tick);
        if (tick > frame.box.y0) pen.line([frame.left, y, frame.left + frame.width, y], ink.value.line, 0.5);
    }
}

function paint(pen: Pen, frame: Frame, yAxis: Axis, x: number[], curves: Curve[], marks: Mark[]): void {
    const { accent, paper, text } = ink.value;
    paintGrid(pen, frame, yAxis);
    for (const { y, colour, dash, width = 1.6, step, fill } of curves) {
        let part: number[] = [];
        const end = () => {
            if (fill && part.length >= 4) {
                pen.fade(0.22, () => pen.polygon([part[0]!, frame.y(0), ...part, part[part.length - 2]!, frame.y(0)], colour));
            }
            if (part.length === 2) pen.circle(part[0]!, part[1]!, 2.5, colour);
            else if (part.length > 2) pen.line(part, colour, width, dash);
            if (x.length <= FEW) for (let i = 0; i + 1 < part.length; i += 2) pen.circle(part[i]!, part[i + 1]!, 2.5, colour);
            part = [];
        };
        x.forEach((at, i) => {
            const value = y[i];
            if (value === null || value === undefined) return end();
            if (step && part.length > 0 && x.length > FEW) part.push(frame.x(at), part[part.length - 1]!);
            part.push(frame.x(at), frame.y(value));
            return undefined;
        });
        end();
    }
    for (const mark of marks) {
        const at = frame.x(mark.x);
        pen.line([at, frame.top, at, frame.top + frame.height], accent, 1.5, mark.drag ? [] : [4, 3]);
        const wide = pen.widthOf(mark.label) + 8;
        const left = at + 6 + wide > frame.left + frame.width ? at - 6 - wide : at + 6;
        pen.fade(0.85, () => pen.rect(left, frame.top + 4, wide, 16, paper));
        pen.text(mark.label, left + 4, frame.top + 12, { fill: mark.drag ? accent : text });
        if (mark.drag) {
            pen.rect(at - 4, frame.top + frame.height / 2 - 12, 8, 24, accent);
            pen.line([at - 1, frame.top + frame.height / 2 - 6, at - 1, frame.top + frame.height / 2 + 6], paper, 1);
            pen.line([at + 1.5, frame.top + frame.height / 2 - 6, at + 1.5, frame.top + frame.height / 2 + 6], paper, 1);
        }
    }
}

function hoverOf(props: LinesProps, at: number, frame: Frame): Hover | null {
    const i = nearest(props.x, at);
    if (i < 0) return null;
    const x = props.x[i]!;
    const half = 1.5 / (frame.width / (frame.box.x1 - frame.box.x0));
    const rows: [string, string][] = [];
    for (const { label, y } of props.curves) {
        const value = y[i];
        if (value !== null && value !== undefined) rows.push([label, props.yAxis.print(value)]);
    }
    rows.push(...(props.more?.(x) ?? []));
    return { title: props.at(x), rows, note: props.note, outline: { x0: x - half, x1: x + half, y0: frame.box.y0, y1: frame.box.y1 } };
}
