// SPDX-License-Identifier: MIT
/**
 * A picture: a canvas with axes and a legend that is zoomed, moved, pointed at and read by keyboard in the same way in every view,
 * and taken away as PNG, SVG or CSV. A view says what is drawn where; it never makes a node per cell.
 */
import { effect, type ReadonlySignal, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { about } from "./api";
import { type Axis, type Box, boxOf, inside, isSame, xOf, yOf, zoomed } from "./axes";
import { ink } from "./colours";
import { drawAxes, drawLegend, type Frame, frameOf, type Legend, legendHeight, type Margins } from "./frame";
import { canvasPen, type Pen, svgPen } from "./pen";
import type { Range } from "./state";
import { saveCanvas, saveText } from "./takeaway";

/** What stands beside the pointer: exact figures. */
export interface Hover {
    title: string;
    rows: [string, string][];
    note?: string;
    /** What is pointed at, to be outlined. */
    outline?: Box;
}

export interface PictureProps {
    /** Says what is seen. */
    title: string;
    /** The name of files, such as "heatmap". */
    name: string;
    /** What the picture shows, for those who do not see it. */
    summary: string;
    /** All that can be seen, and what is seen now. */
    bounds: Box;
    window: Box;
    onWindow?(window: Box): void;
    /** Along which axes it can be zoomed; both if not said. */
    zooms?: "x" | "y" | "xy";
    /** The closest zoom: 1 token, 1 layer, 512 bytes. */
    least?: { x: number; y: number };
    xAxis: Axis;
    yAxis: Axis;
    /** y grows downwards; so it does if not said. */
    down?: boolean;
    /** Pixels; otherwise all the room there is. */
    height?: number;
    /** Room for the labels of the y axis, and for what stands on the other side. */
    left?: number;
    right?: number;
    legend?: Legend;
    /** Draws the data within the frame. Signals that it reads make it draw again. */
    paint(pen: Pen, frame: Frame): void;
    /** Draws what stands around the data. */
    beside?(pen: Pen, frame: Frame): void;
    hover?(x: number, y: number, frame: Frame): Hover | null;
    /** A click, or Enter at the cursor. */
    pick?(x: number, y: number, frame: Frame): void;
    /** What is pressed there can be moved: what to do while it is. null: nothing is there, and dragging zooms. */
    grab?(x: number, y: number, frame: Frame): ((x: number, y: number) => void) | null;
    /** How far an arrow key moves the cursor; a fortieth of the window if not said. */
    step?: { x: number; y: number };
    /** What it shows, as CSV. */
    csv?(): string | Promise<string>;
    busy?: boolean;
    /** In place of the picture: why there is nothing, and what to do. */
    empty?: string | null;
    /** Switches that belong to the picture. */
    children?: ComponentChildren;
}

interface Point {
    x: number;
    y: number;
}

/** Another range of an axis, from what shows, all there is, and the least that may show. */
type Change = (shown: Range, bounds: Range, least: number) => Range;

const CLICK = 4; // pixels that a click may move

function marginsOf(pen: Pen, props: PictureProps, width: number): Margins {
    const left = props.left ?? 64;
    const right = props.right ?? 14;
    return {
        left,
        right,
        top: 6 + legendHeight(pen, props.legend, width - left - right),
        bottom: props.xAxis.label ? 38 : 24,
    };
}

/** Draws all of it; `top` pixels at the top are left to a caption. */
function render(pen: Pen, props: PictureProps, width: number, height: number, top = 0): Frame {
    const margins = marginsOf(pen, props, width);
    margins.top += top;
    const frame = frameOf(props.window, margins, width, height, props.down ?? true);
    pen.rect(0, 0, width, height, ink.value.paper);
    pen.rect(frame.left, frame.top, frame.width, frame.height, ink.value.ground);
    pen.clip(frame.left, frame.top, frame.width, frame.height, () => props.paint(pen, frame));
    if (props.legend) drawLegend(pen, props.legend, margins.left, top + 4, frame.width);
    drawAxes(pen, frame, props.xAxis, props.yAxis, height);
    props.beside?.(pen, frame);
    return frame;
}

const CAPTION = 40;

function caption(pen: Pen, props: PictureProps, width: number): void {
    pen.text(props.title, 12, 14, { fill: ink.value.text, size: 14, bold: true, room: width - 24 });
    const run = about.value;
    pen.text(run ? `${run.name}, ${run.model.name}` : "", 12, 31, { fill: ink.value.faint, room: width - 24 });
}

function takeSvg(props: PictureProps, width: number, height: number): void {
    const pen = svgPen(width, height + CAPTION);
    render(pen, props, width, height + CAPTION, CAPTION);
    caption(pen, props, width);
    saveText(props.name, "svg", pen.finish());
}

function takePng(props: PictureProps, width: number, height: number): void {
    const canvas = document.createElement("canvas");
    const sharp = 2;
    canvas.width = width * sharp;
    canvas.height = (height + CAPTION) * sharp;
    const context = canvas.getContext("2d")!;
    context.scale(sharp, sharp);
    const pen = canvasPen(context);
    render(pen, props, width, height + CAPTION, CAPTION);
    caption(pen, props, width);
    saveCanvas(props.name, canvas);
}

/** A canvas as many device pixels as it needs, and its context in CSS pixels. */
function sized(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
    const ratio = devicePixelRatio || 1;
    const wide = Math.round(width * ratio);
    const high = Math.round(height * ratio);
    if (canvas.width !== wide || canvas.height !== high) {
        canvas.width = wide;
        canvas.height = high;
    }
    const context = canvas.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return context;
}

function drawOver(canvas: HTMLCanvasElement, size: Size, frame: Frame, hover: Hover | null, drag: [Point, Point] | null): void {
    const context = sized(canvas, size.width, size.height);
    context.clearRect(0, 0, size.width, size.height);
    const pen = canvasPen(context);
    pen.clip(frame.left, frame.top, frame.width, frame.height, () => {
        if (hover?.outline) {
            const { x0, x1, y0, y1 } = hover.outline;
            const [left, right] = [frame.x(x0), frame.x(x1)];
            const [top, bottom] = [frame.y(y0), frame.y(y1)].sort((a, b) => a - b) as [number, number];
            const [wide, high] = [Math.max(2, right - left), Math.max(2, bottom - top)];
            pen.frame(left - 1, top - 1, wide + 2, high + 2, ink.value.paper, 1);
            pen.frame(left, top, wide, high, ink.value.hover, 1.5);
        }
        if (drag) {
            const [a, b] = drag;
            pen.fade(0.18, () => pen.rect(a.x, a.y, b.x - a.x, b.y - a.y, ink.value.accent));
            pen.frame(a.x, a.y, b.x - a.x, b.y - a.y, ink.value.accent);
        }
    });
}

interface Size {
    width: number;
    height: number;
}

export function Picture(props: PictureProps) {
    const area = useRef<HTMLDivElement>(null);
    const canvas = useRef<HTMLCanvasElement>(null);
    const over = useRef<HTMLCanvasElement>(null);
    const frame = useRef<Frame | null>(null);
    const latest = useRef(props);
    latest.current = props;
    const [size, setSize] = useState<Size>({ width: 0, height: 0 });
    /** A signal, so that pointing does not draw the picture again. */
    const card = useSignal<Card | null>(null);
    /** Where the keyboard's cursor is, in the data. */
    const cursor = useRef<Point | null>(null);

    useLayoutEffect(() => {
        const watch = new ResizeObserver(([entry]) => {
            const { width, height } = entry!.contentRect;
            setSize({ width: Math.floor(width), height: Math.floor(height) });
        });
        watch.observe(area.current!);
        return () => watch.disconnect();
    }, []);

    useLayoutEffect(() => {
        if (size.width < 8 || size.height < 8) return undefined;
        return effect(() => {
            frame.current = render(canvasPen(sized(canvas.current!, size.width, size.height)), props, size.width, size.height);
        });
    });

    useLayoutEffect(
        () =>
            effect(() => {
                const hover = card.value?.hover ?? null;
                if (frame.current && size.width >= 8) drawOver(over.current!, size, frame.current, hover, null);
            }),
        [size, props.window],
    );

    const point = (event: MouseEvent): Point => {
        const box = canvas.current!.getBoundingClientRect();
        return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    const hits = ({ x, y }: Point): boolean => {
        const f = frame.current;
        return !!f && x >= f.left && x < f.left + f.width && y >= f.top && y < f.top + f.height;
    };
    const least = () => latest.current.least ?? { x: 1, y: 1 };
    const change = (x: Change, y: Change): boolean => {
        const { window, bounds, zooms = "xy", onWindow } = latest.current;
        if (!onWindow) return false;
        const toX = zooms.includes("x") ? x(xOf(window), xOf(bounds), least().x) : xOf(window);
        const toY = zooms.includes("y") ? y(yOf(window), yOf(bounds), least().y) : yOf(window);
        if (isSame(toX, xOf(window)) && isSame(toY, yOf(window))) return false;
        onWindow(boxOf(toX, toY));
        return true;
    };
    const zoom = (factor: number, at: Point): boolean => {
        const f = frame.current!;
        return change((r, b, l) => zoomed(r, factor, f.xAt(at.x), b, l), (r, b, l) => zoomed(r, factor, f.yAt(at.y), b, l));
    };
    const move = (dx: number, dy: number): boolean =>
        change((r, b, l) => inside({ lo: r.lo + dx, hi: r.hi + dx }, b, l), (r, b, l) => inside({ lo: r.lo + dy, hi: r.hi + dy }, b, l));
    const all = () => latest.current.onWindow?.(latest.current.bounds);
    const perPixel = () => {
        const f = frame.current!;
        return { x: (f.box.x1 - f.box.x0) / f.width, y: ((f.box.y1 - f.box.y0) / f.height) * ((latest.current.down ?? true) ? 1 : -1) };
    };

    const show = (x: number, y: number, at: Point, byKey: boolean) => {
        const hover = latest.current.hover?.(x, y, frame.current!) ?? null;
        card.value = hover ? { hover, at, byKey } : null;
    };

    // Not passive: a wheel that zooms must not scroll too.
    useLayoutEffect(() => {
        const element = canvas.current!.parentElement!;
        const wheel = (event: WheelEvent) => {
            const at = point(event);
            if (!hits(at) || !latest.current.onWindow) return;
            const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
            const delta = (event.deltaY || event.deltaX) * (event.deltaMode === 1 ? 20 : 1);
            const changed = sideways
                ? move((event.deltaX || event.deltaY) * perPixel().x, 0)
                : zoom(Math.exp(Math.max(-1, Math.min(1, delta * 0.0022))), at);
            if (changed || sideways || delta < 0) event.preventDefault(); // what cannot be zoomed out scrolls
            if (changed) card.value = null;
        };
        element.addEventListener("wheel", wheel, { passive: false });
        return () => element.removeEventListener("wheel", wheel);
    }, []);

    const press = (event: PointerEvent) => {
        const from = point(event);
        if (event.button > 1 || !hits(from)) return;
        const moves = event.button === 1 || event.shiftKey;
        const element = event.currentTarget as HTMLElement;
        element.setPointerCapture(event.pointerId);
        let last = from;
        let dragged = false;
        const start = frame.current!;
        const held = event.button === 0 ? (latest.current.grab?.(start.xAt(from.x), start.yAt(from.y), start) ?? null) : null;
        const band = (to: Point): [Point, Point] => {
            const f = frame.current!;
            const { zooms = "xy" } = latest.current;
            const x = (value: number) => Math.max(f.left, Math.min(f.left + f.width, value));
            const y = (value: number) => Math.max(f.top, Math.min(f.top + f.height, value));
            const across = zooms.includes("x");
            const along = zooms.includes("y");
            return [
                { x: across ? x(Math.min(from.x, to.x)) : f.left, y: along ? y(Math.min(from.y, to.y)) : f.top },
                { x: across ? x(Math.max(from.x, to.x)) : f.left + f.width, y: along ? y(Math.max(from.y, to.y)) : f.top + f.height },
            ];
        };
        const dragging = (moving: PointerEvent) => {
            const to = point(moving);
            dragged ||= Math.hypot(to.x - from.x, to.y - from.y) >= CLICK;
            if (dragged && held) {
                const f = frame.current!;
                card.value = null;
                held(f.xAt(to.x), f.yAt(to.y));
                return;
            }
            if (!dragged || !latest.current.onWindow) return;
            card.value = null;
            if (moves) move((last.x - to.x) * perPixel().x, (last.y - to.y) * perPixel().y);
            else drawOver(over.current!, size, frame.current!, null, band(to));
            last = to;
        };
        const end = (ending: PointerEvent) => {
            element.removeEventListener("pointermove", dragging);
            element.removeEventListener("pointerup", end);
            element.removeEventListener("pointercancel", end);
            const f = frame.current!;
            drawOver(over.current!, size, f, null, null);
            if (ending.type === "pointercancel" || (dragged && held)) return;
            if (!dragged) {
                cursor.current = { x: f.xAt(from.x), y: f.yAt(from.y) };
                if (event.button === 0) latest.current.pick?.(cursor.current.x, cursor.current.y, f);
            } else if (!moves) {
                const [a, b] = band(point(ending));
                const ys = [f.yAt(a.y), f.yAt(b.y)].sort((p, q) => p - q) as [number, number];
                change((_, bounds, l) => inside({ lo: f.xAt(a.x), hi: f.xAt(b.x) }, bounds, l), (_, bounds, l) => inside({ lo: ys[0], hi: ys[1] }, bounds, l));
            }
        };
        element.addEventListener("pointermove", dragging);
        element.addEventListener("pointerup", end);
        element.addEventListener("pointercancel", end);
    };

    const key = (event: KeyboardEvent) => {
        const f = frame.current;
        if (!f || event.ctrlKey || event.metaKey || event.altKey) return;
        const { window: w, step, down = true } = latest.current;
        const at = cursor.current ?? { x: (w.x0 + w.x1) / 2, y: (w.y0 + w.y1) / 2 };
        const by = step ?? { x: (w.x1 - w.x0) / 40, y: (w.y1 - w.y0) / 40 };
        const pixel = perPixel();
        const [dx, dy] = [Math.max(by.x, Math.abs(pixel.x)), Math.max(by.y, Math.abs(pixel.y))];
        const arrow: Record<string, [number, number]> = {
            ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, down ? -1 : 1], ArrowDown: [0, down ? 1 : -1],
        };
        const place = { x: f.x(at.x), y: f.y(at.y) };
        const to = arrow[event.key];
        if (to && event.shiftKey) {
            move((to[0] * (w.x1 - w.x0)) / 8, (to[1] * (w.y1 - w.y0)) / 8);
        } else if (to) {
            const b = latest.current.bounds;
            const within = (value: number, lo: number, hi: number) => Math.max(lo, Math.min(hi - 1e-9 * (hi - lo), value));
            const next = { x: within(at.x + to[0] * dx, b.x0, b.x1), y: within(at.y + to[1] * dy, b.y0, b.y1) };
            cursor.current = next;
            if (next.x < w.x0 || next.x >= w.x1 || next.y < w.y0 || next.y >= w.y1) move(to[0] * dx, to[1] * dy);
            show(next.x, next.y, { x: f.x(next.x), y: f.y(next.y) }, true);
        } else if (event.key === "+" || event.key === "=") zoom(0.7, place);
        else if (event.key === "-") zoom(1 / 0.7, place);
        else if (event.key === "0" || event.key === "Home") all();
        else if (event.key === "Enter") latest.current.pick?.(at.x, at.y, f);
        else return;
        event.preventDefault();
        event.stopPropagation();
    };

    const isWhole = isSame(xOf(props.window), xOf(props.bounds)) && isSame(yOf(props.window), yOf(props.bounds));
    const { children, csv, empty, height } = props;
    return (
        <section class={`picture${height === undefined ? " fills" : ""}`} aria-label={props.title}>
            <header>
                <h2 title={props.title}>{props.title}</h2>
                <div class="switches">{children}</div>
                <div class="take" role="group" aria-label="Zoom, and take away">
                    {props.onWindow && (
                        <button type="button" disabled={isWhole} onClick={all} title="Show all of it (0, or a double click)">All</button>
                    )}
                    {!empty && (
                        <>
                            <button type="button" onClick={() => takePng(props, size.width, size.height)} title="Save this picture as PNG">PNG</button>
                            <button type="button" onClick={() => takeSvg(props, size.width, size.height)} title="Save this picture as SVG">SVG</button>
                            {csv && (
                                <button type="button" onClick={async () => saveText(props.name, "csv", await csv())} title="Save what it shows as CSV">CSV</button>
                            )}
                        </>
                    )}
                </div>
            </header>
            <div class="plot" ref={area} style={height === undefined ? undefined : { height: `${height}px` }}>
                {empty ? <p class="empty">{empty}</p> : null}
                <div
                    class="canvases"
                    hidden={!!empty}
                    tabIndex={0}
                    role="application"
                    aria-label={`${props.title}. ${props.summary} Arrow keys move the cursor and read its figures, plus and minus zoom, shift with arrows moves the window, 0 shows all, Enter selects.`}
                    onPointerDown={press}
                    onPointerMove={(event) => {
                        const at = point(event);
                        const f = frame.current;
                        if (event.buttons !== 0 || !f) return;
                        if (hits(at)) show(f.xAt(at.x), f.yAt(at.y), at, false);
                        else card.value = null;
                    }}
                    onPointerLeave={() => (card.value = null)}
                    onDblClick={all}
                    onKeyDown={key}
                    onBlur={() => (card.value = null)}
                >
                    <canvas ref={canvas} style={{ width: `${size.width}px`, height: `${size.height}px` }} />
                    <canvas ref={over} style={{ width: `${size.width}px`, height: `${size.height}px` }} />
                    <HoverCard card={card} size={size} />
                </div>
                <Spoken card={card} />
                {props.busy && <span class="busy" role="status">loading</span>}
            </div>
        </section>
    );
}

interface Card {
    hover: Hover;
    at: Point;
    byKey: boolean;
}

/** The cursor's figures, for screen readers. */
function Spoken({ card }: { card: ReadonlySignal<Card | null> }) {
    const { byKey, hover } = card.value ?? {};
    return (
        <div class="unseen" aria-live="polite">
            {byKey && hover ? `${hover.title}. ${hover.rows.map((row) => row.join(": ")).join(", ")}` : ""}
        </div>
    );
}

function HoverCard({ card, size }: { card: ReadonlySignal<Card | null>; size: Size }) {
    if (!card.value) return null;
    const { hover, at } = card.value;
    const leftward = at.x > size.width / 2;
    const upward = at.y > size.height / 2;
    const style = {
        [leftward ? "right" : "left"]: `${(leftward ? size.width - at.x : at.x) + 14}px`,
        [upward ? "bottom" : "top"]: `${(upward ? size.height - at.y : at.y) + 14}px`,
    };
    return (
        <div class="card" style={style}>
            <strong>{hover.title}</strong>
            <dl>
                {hover.rows.map(([name, value]) => (
                    <div key={name}>
                        <dt>{name}</dt>
                        <dd>{value}</dd>
                    </div>
                ))}
            </dl>
            {hover.note && <p>{hover.note}</p>}
        </div>
    );
}
