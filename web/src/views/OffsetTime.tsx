// SPDX-License-Identifier: MIT
/** Which bytes of the model's file were read when, by part of the model; page faults and requests to the disk lie over it. */
import { useMemo } from "preact/hooks";

import { about, path, tensorsById, useJson, useTile } from "../api";
import { type Box, byteTicks, isSame, timeTicks } from "../axes";
import { cellAt, greatest, NO_TENSOR, type Tile } from "../binary";
import { componentColour, ink, isDark, type Scale } from "../colours";
import { bytes, count, csv, exactBytes, time } from "../format";
import { beginOf, placeOf, tensorAt } from "../files";
import type { Frame } from "../frame";
import { boxOfCell, imageOf, paintTile } from "../grid";
import type { Pen } from "../pen";
import { type Hover, Picture } from "../picture";
import { byteRange, expert, layer, option, tensor, timeRange, token, tokens } from "../state";
import { Segments } from "../switches";
import { byTime, entryOf, lastNotAbove, perEntry, textRows, useTokens } from "../tokens";
import { toToken } from "../play";
import type { About, Tokens } from "../types";

/** A page fault or a request to the disk, with the operation that it was for. */
interface Event {
    start_ns: number;
    duration_ns: number;
    offset: number;
    bytes: number;
    file: number | null;
    tensor_id: number | null;
    tensor: string | null;
    layer: number | null;
    expert: number | null;
    graph: number | null;
    node: number | null;
    token: number | null;
    op: string | null;
    place: string;
    when: string;
    major?: boolean;
}

interface Io {
    faults: Event[];
    n_faults: number;
    requests: Event[];
    n_requests: number;
}

const by = option<"physical" | "logical">("offsets", "physical");
const colouring = option<"part" | "bytes">("offsetcolour", "part");
const over = option<"both" | "faults" | "requests" | "none">("io", "both");

const FAULT = "#D55E00";
const REQUEST = "#CC3377";
const MOST_EVENTS = 6000;

/** Even places that are further apart than a pixel, so that a little movement asks for nothing new. */
function outward(shown: { lo: number; hi: number }, all: { lo: number; hi: number }, grain: number): [number, number] {
    const span = Math.max(1, shown.hi - shown.lo);
    const step = Math.max(1, 2 ** Math.floor(Math.log2(span)) / grain);
    return [Math.max(all.lo, Math.floor(shown.lo / step) * step), Math.min(all.hi, Math.ceil(shown.hi / step) * step)];
}

/** About as many cells as a picture has pixels on this screen: what is more costs time and cannot be seen. */
function cellsOf(screen: { innerWidth: number; innerHeight: number }): { w: number; h: number } {
    const near = (pixels: number, least: number, most: number) => Math.min(most, Math.max(least, Math.round(pixels / 50) * 50));
    return { w: near(0.85 * screen.innerWidth, 600, 1400), h: near(0.7 * screen.innerHeight, 300, 700) };
}

export function OffsetTime() {
    const run = about.value!;
    const whole = useTile(path("offsets", { by: by.value, w: 900, h: 512 }), "TATO");
    const tile = whole.data;
    const bounds: Box = tile && tile.x1 > tile.x0 ? { x0: tile.x0, x1: tile.x1, y0: tile.y0, y1: tile.y1 } : { x0: 0, x1: Math.max(1, run.duration_ns), y0: 0, y1: Math.max(1, run.model.file_bytes) };
    const window = windowOf(bounds);
    const isWhole = isSame({ lo: window.x0, hi: window.x1 }, { lo: bounds.x0, hi: bounds.x1 }) && isSame({ lo: window.y0, hi: window.y1 }, { lo: bounds.y0, hi: bounds.y1 });
    const [t0, t1] = outward({ lo: window.x0, hi: window.x1 }, { lo: bounds.x0, hi: bounds.x1 }, 4);
    const [o0, o1] = outward({ lo: window.y0, hi: window.y1 }, { lo: bounds.y0, hi: bounds.y1 }, 4);
    const part = useTile(isWhole || !tile ? null : path("offsets", { by: by.value, t0, t1, o0, o1, ...cellsOf(globalThis) }), "TATO");
    const io = useJson<Io>(run.has.faults || run.has.requests ? path("io", { t0: Math.max(0, t0), t1, limit: MOST_EVENTS }) : null);
    const { data: all } = useTokens();
    const shown = isWhole ? tile : (part.data ?? tile);

    const scale: Scale = useMemo(() => ({ lo: 0, hi: tile ? greatest(tile) || 1 : 1, log: false }), [tile]);
    const painted = (one: Tile | null) => (one ? (colouring.value === "part" ? partsImage(one, run.components, isDark.value) : imageOf(one, { ...scale, hi: greatest(one) || 1 }, 1)) : null);
    const behind = useMemo(() => painted(tile), [tile, colouring.value, isDark.value]);
    const image = useMemo(() => painted(isWhole ? null : part.data), [part.data, isWhole, colouring.value, isDark.value]);
    const used = useMemo(() => {
        const numbers = new Set<number>();
        if (tile) for (const number of tile.dominant) if (number !== NO_TENSOR) numbers.add(number);
        return [...numbers].sort((a, b) => a - b).map((number) => run.components[number] ?? "other");
    }, [tile]);

    // Offsets of events are of the file: another order has no place for them.
    const canOverlay = by.value === "physical" && io.data !== null;
    const events = useMemo(() => (canOverlay ? eventsOf(io.data!, run) : []), [canOverlay, io.data, run, over.value]);
    const keys = [
        ...(colouring.value === "part" ? used.map((name) => ({ label: name, colour: componentColour(name) })) : []),
        ...(events.some((one) => one.kind === "fault") ? [{ label: "page fault that waited for the disk", colour: FAULT }] : []),
        ...(events.some((one) => one.kind === "request") ? [{ label: "request to the disk", colour: REQUEST }] : []),
    ];
    const shownOf = canOverlay && (io.data!.n_faults > io.data!.faults.length || io.data!.n_requests > io.data!.requests.length);

    return (
        <div class="stack">
        <Picture
            title={by.value === "physical" ? "Which bytes of the file were read when" : "Which weights were read when, in the order of their first read"} name={`offsets-${by.value}`}
            summary={`${time(bounds.x1 - bounds.x0)} from left to right, ${bytes(bounds.y1)} from top to bottom.${canOverlay ? ` ${count(io.data!.n_faults)} page faults, ${count(io.data!.n_requests)} requests to the disk.` : ""}`}
            bounds={bounds} window={window} least={{ x: 1000, y: 512 }} left={86}
            onWindow={(to) => setWindow(bounds, to)}
            xAxis={{ label: "time since the trace began", print: time, ticks: timeTicks }} yAxis={{ label: "", print: bytes, ticks: byteTicks }}
            legend={colouring.value === "part" || keys.length > 0
                ? { kind: "keys", items: keys }
                : { kind: "scale", label: "bytes read in a cell", scale: { ...scale, hi: shown ? greatest(shown) || 1 : 1 }, print: bytes, nothing: "not read" }}
            paint={(pen, frame) => {
                if (tile && behind && (isWhole || !part.data)) paintTile(pen, frame, tile, behind);
                if (!isWhole && part.data && image) paintTile(pen, frame, part.data, image);
                paintEvents(pen, frame, events);
                paintToken(pen, frame, all);
                const chosen = tensor.value === null ? null : placeOf(run, tensorsById.value.get(tensor.value));
                if (chosen !== null && by.value === "physical") {
                    const [top, bottom] = [frame.y(chosen.lo), frame.y(chosen.hi)];
                    pen.frame(frame.left - 2, top, frame.width + 4, Math.max(1.5, bottom - top), ink.value.accent, 1);
                }
            }}
            hover={(x, y, frame) => hoverOf(shown, events, all, x, y, frame)}
            pick={(x, y, frame) => {
                const event = nearestEvent(events, x, y, frame);
                if (event && event.tensor_id !== null) [tensor.value, layer.value, expert.value] = [event.tensor_id, event.layer, event.expert];
                else if (by.value === "physical") {
                    const of = tensorAt(run, y);
                    if (of) [tensor.value, layer.value, expert.value] = [of.id, of.layer, null];
                }
                const entry = all ? byTime(all).at(x) : -1;
                if (all && entry >= 0) toToken(all.first + entry * (all.tokens_per_entry ?? 1));
            }}
            csv={() => csvOf(shown!, events)}
            busy={whole.busy || part.busy || io.busy}
            empty={whole.error ?? part.error}
        >
            <Segments
                label="Order" value={by.value} onChange={(value) => (by.value = value)}
                items={[
                    { id: "physical", title: "as in the file", says: "From the file's first byte to its last" },
                    { id: "logical", title: "as first read", says: "Tensors in the order in which they were read first; what was never read is left out" },
                ]}
            />
            <Segments
                label="Colour" value={colouring.value} onChange={(value) => (colouring.value = value)}
                items={[{ id: "part", title: "part of the model" }, { id: "bytes", title: "bytes" }]}
            />
            {(run.has.faults || run.has.requests) && by.value === "physical" && (
                <Segments
                    label="Over it" value={over.value} onChange={(value) => (over.value = value)}
                    items={[{ id: "both", title: "faults and requests" }, { id: "faults", title: "faults" }, { id: "requests", title: "requests" }, { id: "none", title: "none" }]}
                />
            )}
            {canOverlay && over.value !== "none" && events.length === 0 && !io.busy && (
                <span class="faint">
                    {`In the time shown, ${over.value === "requests" ? "" : "no page fault in the model waited for the disk"}${over.value === "both" ? " and " : ""}${over.value === "faults" ? "" : "no request read the model"}. Storage also shows what was read while the model was loaded.`}
                </span>
            )}
            {shownOf && <span class="faint">{`the longest of ${count(io.data!.n_faults)} faults and ${count(io.data!.n_requests)} requests; zoom for the others`}</span>}
            {!run.has.faults && !run.has.requests && <span class="faint">`tat record --io` would add page faults and requests to the disk</span>}
        </Picture>
        </div>
    );
}

function windowOf(bounds: Box): Box {
    const t = timeRange.value;
    const o = by.value === "physical" ? byteRange.value : null;
    const window = {
        x0: Math.max(bounds.x0, t?.lo ?? bounds.x0), x1: Math.min(bounds.x1, t?.hi ?? bounds.x1),
        y0: Math.max(bounds.y0, o?.lo ?? bounds.y0), y1: Math.min(bounds.y1, o?.hi ?? bounds.y1),
    };
    if (!(window.x1 > window.x0)) [window.x0, window.x1] = [bounds.x0, bounds.x1];
    if (!(window.y1 > window.y0)) [window.y0, window.y1] = [bounds.y0, bounds.y1];
    return window;
}

function setWindow(bounds: Box, to: Box): void {
    const whole = (lo: number, hi: number, all: [number, number]) => lo <= all[0] && hi >= all[1];
    timeRange.value = whole(to.x0, to.x1, [bounds.x0, bounds.x1]) ? null : { lo: to.x0, hi: to.x1 };
    if (timeRange.value === null) tokens.value = null;
    if (by.value === "physical") byteRange.value = whole(to.y0, to.y1, [bounds.y0, bounds.y1]) ? null : { lo: to.y0, hi: to.y1 };
}

/** A pixel for each cell: the colour of the part that has most of it, paler where little was read. */
function partsImage(tile: Tile, components: string[], dark: boolean): HTMLCanvasElement {
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, tile.columns);
    canvas.height = Math.max(1, tile.rows);
    const context = canvas.getContext("2d")!;
    const data = context.createImageData(canvas.width, canvas.height);
    const most = Math.log1p(greatest(tile));
    const colours = components.map((name) => {
        const hex = componentColour(name);
        return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as [number, number, number];
    });
    for (let i = 0; i < tile.value.length; i++) {
        const value = tile.value[i]!;
        if (!(value > 0)) continue;
        const [r, g, b] = colours[tile.dominant[i]!] ?? [140, 143, 152];
        data.data.set([r, g, b, Math.round(255 * ((dark ? 0.35 : 0.3) + (dark ? 0.65 : 0.7) * (most > 0 ? Math.log1p(value) / most : 1)))], i * 4);
    }
    context.putImageData(data, 0, 0);
    return canvas;
}

type Shown = Event & { kind: "fault" | "request" };

/** Those that are of the model's files, which lie one behind the other. Files of events are numbered from 1. */
function eventsOf(io: Io, run: About): Shown[] {
    const events: Shown[] = [];
    const add = (one: Event, kind: Shown["kind"]) => {
        if (one.file === null || one.file > run.model.file_sizes.length) return;
        events.push({ ...one, offset: one.offset + beginOf(run, one.file), kind });
    };
    if (over.value !== "faults" && over.value !== "none") for (const one of io.requests) add(one, "request");
    if (over.value !== "requests" && over.value !== "none") for (const one of io.faults) if (one.major !== false) add(one, "fault");
    return events;
}

function paintEvents(pen: Pen, frame: Frame, events: Shown[]): void {
    for (const one of events) {
        const [left, right] = [frame.x(one.start_ns), frame.x(one.start_ns + one.duration_ns)];
        if (right < frame.left || left > frame.left + frame.width) continue;
        const [top, bottom] = [frame.y(one.offset), frame.y(one.offset + one.bytes)];
        if (bottom < frame.top - 4 || top > frame.top + frame.height + 4) continue;
        const colour = one.kind === "fault" ? FAULT : REQUEST;
        const [wide, high] = [right - left, bottom - top];
        if (wide >= 4 || high >= 6) pen.frame(left, top, Math.max(1.5, wide), Math.max(1.5, high), colour, 1);
        else if (one.kind === "fault") pen.circle((left + right) / 2, (top + bottom) / 2, 2, colour);
        else pen.rect(left - 0.5, top - 0.5, Math.max(1.5, wide), Math.max(1.5, high), colour);
    }
}

/** When the chosen token was computed. */
function paintToken(pen: Pen, frame: Frame, all: Tokens | null): void {
    if (!all || token.value === null) return;
    const i = entryOf(all, token.value);
    if (i < 0) return;
    const along = byTime(all);
    const [left, right] = [frame.x(along.from(i)), frame.x(along.to(i))];
    pen.fade(0.14, () => pen.rect(left, frame.top, Math.max(1.5, right - left), frame.height, ink.value.accent));
    pen.line([left, frame.top, left, frame.top + frame.height], ink.value.accent, 1);
}

const REACH = 6; // pixels

function nearestEvent(events: Shown[], x: number, y: number, frame: Frame): Shown | null {
    const [px, py] = [frame.x(x), frame.y(y)];
    let best: Shown | null = null;
    let distance = REACH;
    for (const one of events) {
        const dx = Math.max(frame.x(one.start_ns) - px, px - frame.x(one.start_ns + one.duration_ns), 0);
        const dy = Math.max(frame.y(one.offset) - py, py - frame.y(one.offset + one.bytes), 0);
        const away = Math.hypot(dx, dy);
        if (away < distance || (away === distance && one.kind === "fault")) [best, distance] = [one, away];
    }
    return best;
}

/** The tokens that were computed in a time, and their text. */
function tokenRows(all: Tokens | null, from: number, to: number): [string, string][] {
    if (!all) return [];
    const along = byTime(all);
    const before = lastNotAbove(all.start_ns, from);
    const entry = before >= 0 && from < along.to(before) ? before : before + 1;
    const end = lastNotAbove(all.start_ns, to - 1) + 1;
    if (end <= entry) return [];
    const [first, last] = [all.first + entry * perEntry(all), all.first + end * perEntry(all) - 1];
    return [first === last ? ["token", count(first)] : ["tokens", `${count(first)} to ${count(last)}`], ...textRows(all, first, last)];
}

function hoverOf(tile: Tile | null, events: Shown[], all: Tokens | null, x: number, y: number, frame: Frame): Hover | null {
    const event = nearestEvent(events, x, y, frame);
    if (event) {
        const rows: [string, string][] = [
            [event.kind === "fault" ? "waited" : "took", time(event.duration_ns)], ["began at", time(event.start_ns)],
            ["bytes", `${exactBytes(event.bytes)} from ${count(event.offset)} on`],
            ["operation", event.op === null ? event.place : `${event.op}, node ${event.node}`],
        ];
        if (event.layer !== null) rows.push(["layer", String(event.layer)]);
        if (event.token !== null) rows.push(["token", count(event.token)], ...textRows(all, event.token));
        rows.push(["when", event.when]);
        return {
            title: `${event.kind === "fault" ? "Page fault" : "Request to the disk"}${event.tensor ? `: ${event.tensor}` : ""}${event.expert === null ? "" : `, expert ${event.expert}`}`, rows,
            outline: { x0: event.start_ns, x1: event.start_ns + event.duration_ns, y0: event.offset, y1: event.offset + event.bytes },
        };
    }
    if (!tile) return null;
    const cell = cellAt(tile, x, y);
    if (cell < 0 || !(tile.value[cell]! > 0)) return null;
    const box = boxOfCell(tile, cell);
    const of = by.value === "physical" && about.value ? tensorAt(about.value, y) : null;
    return {
        title: of?.name ?? about.value?.components[tile.dominant[cell]!] ?? "",
        rows: [
            ["most of it", about.value?.components[tile.dominant[cell]!] ?? "unknown"],
            ["read in this cell", exactBytes(Math.round(tile.value[cell]!))],
            ["time", `${time(box.x0)} to ${time(box.x1)}`],
            ...tokenRows(all, box.x0, box.x1),
            [by.value === "physical" ? "bytes of the file" : "place in this order", `${count(Math.round(box.y0))} to ${count(Math.round(box.y1))}`],
        ],
        outline: box,
    };
}

function csvOf(tile: Tile, events: Shown[]): string {
    const rows: unknown[][] = [];
    for (let i = 0; i < tile.value.length; i++) {
        if (!(tile.value[i]! > 0)) continue;
        const box = boxOfCell(tile, i);
        rows.push(["read", box.x0, box.x1, box.y0, box.y1, tile.value[i], about.value?.components[tile.dominant[i]!], "", "", ""]);
    }
    for (const one of events) {
        rows.push([one.kind, one.start_ns, one.start_ns + one.duration_ns, one.offset, one.offset + one.bytes, one.bytes, one.tensor, one.op, one.token, one.when]);
    }
    return csv(["what", "from_ns", "to_ns", "from_byte", "to_byte", "bytes", "of", "operation", "token", "when"], rows);
}
