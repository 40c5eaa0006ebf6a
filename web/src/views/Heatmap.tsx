// SPDX-License-Identifier: MIT
/** What is touched when: tokens, layers, tensors and experts against each other. */
import { computed } from "@preact/signals";
import { useMemo } from "preact/hooks";

import { about, type Answer, isFile, path, tensorsById, useTile } from "../api";
import { type Box, boxOf, isSame } from "../axes";
import { cellAt, NO_TENSOR, type Tile } from "../binary";
import { ink, isDark } from "../colours";
import { placeOf } from "../files";
import { count, csv, many } from "../format";
import type { Frame } from "../frame";
import {
    type Across, type Along, axisOf, boxOfCell, columnsOf, heightOf, imageOf, type Kind, KINDS, MEASURES, measureOf, nameOf, paintTile, perToken,
    picked, pickRows, roomFor, rowsOf, rowSums, scaledRows, scaleOf, spanOf, tileWindow, wholes,
} from "../grid";
import type { Pen } from "../pen";
import { type Hover, Picture } from "../picture";
import { toToken } from "../play";
import { byteRange, expert, layer, measure, option, type Range, tensor, token, tokens } from "../state";
import { Choice, Segments } from "../switches";
import { textRows, useTokens } from "../tokens";
import type { About, Tokens } from "../types";

export const kindName = option("heat", "token-layer");
const rowsText = option("rows", "");
const scaleName = option<"auto" | "linear" | "log">("scale", "auto");
/** The layer whose experts show while none is selected. */
const FIRST_LAYER = 0;

export const kind = computed<Kind>(() => KINDS.find(({ id }) => id === kindName.value) ?? KINDS[0]!);

/** An operation's time is not told apart by expert. */
const measuresOf = (of: Kind) => MEASURES.filter(({ id }) => of.y !== "expert" || id !== "time");
export const shownMeasure = computed(() => (measuresOf(kind.value).some(({ id }) => id === measure.value) ? measure.value : "bytes"));

/** Rows that are zoomed to, which the address has too; null: all. */
const rows = computed<Range | null>(() => {
    const found = /^([\d.]+)-([\d.]+)$/.exec(rowsText.value);
    const [lo, hi] = found ? [Number(found[1]), Number(found[2])] : [0, 0];
    return lo < hi ? { lo, hi } : null;
});
/** Columns that are zoomed to where they are layers. */
const columnsText = option("columns", "");
const columns = computed<Range | null>(() => {
    const found = /^([\d.]+)-([\d.]+)$/.exec(columnsText.value);
    const [lo, hi] = found ? [Number(found[1]), Number(found[2])] : [0, 0];
    return lo < hi ? { lo, hi } : null;
});
const asText = ({ lo, hi }: Range): string => `${Math.round(lo * 100) / 100}-${Math.round(hi * 100) / 100}`;

const within = (range: Range | null, all: number): Range => {
    const [lo, hi] = [Math.max(0, range?.lo ?? 0), Math.min(all, range?.hi ?? all)];
    return hi > lo ? { lo, hi } : { lo: 0, hi: all };
};

/** The window of all heatmaps, in the address: columns of tokens are those that all views are zoomed to. */
export function windowOf(of: Kind, bounds: Box): Box {
    return boxOf(within(of.x === "token" ? tokens.value : columns.value, bounds.x1), within(rows.value, bounds.y1));
}

export function setWindow(of: Kind, bounds: Box, to: Box): void {
    const x = { lo: to.x0, hi: to.x1 };
    const y = { lo: to.y0, hi: to.y1 };
    const allX = isSame(x, { lo: bounds.x0, hi: bounds.x1 });
    if (of.x === "token") tokens.value = allX ? null : x;
    else columnsText.value = allX ? "" : asText(x);
    rowsText.value = isSame(y, { lo: bounds.y0, hi: bounds.y1 }) ? "" : asText(y);
}

/** The layer of a kind that shows one layer's experts. */
export const layerOf = (of: Kind): number | null => (of.ofLayer ? (layer.value ?? FIRST_LAYER) : null);

/** The address of a tile; null: there is nothing to ask for. */
export function tileAddress(of: Kind, run: About | null, window: Box | null, id?: number): string | null {
    if (!run || (of.needsExperts && run.model.experts === 0)) return null;
    const [wide, high] = [columnsOf(of, run), heightOf(of, run)];
    if (wide === 0 || high === 0) return null;
    const pixels = { x: Math.min(2048, Math.max(512, innerWidth)), y: Math.min(1024, Math.max(256, innerHeight)) };
    const rows = picked(of.y, run);
    const [first, last] = rows ? [rows[0]!, rows[rows.length - 1]! + 1] : [0, high];
    const asked = tileWindow(window ?? { x0: 0, x1: wide, y0: 0, y1: last }, wide, last, pixels);
    // Rows that are picked need those between them, too.
    if (rows) Object.assign(asked, { y0: first, y1: last, h: Math.min(last - first, 8192) });
    return path("grid", { x: of.x, y: of.y, measure: shownMeasure.value, ...asked, layer: layerOf(of) }, id);
}

/** A tile with the rows that are shown. */
export function useGrid(of: Kind, run: About, window: Box | null, id?: number): Answer<Tile> {
    const answer = useTile(tileAddress(of, run, window, id), "TATG");
    const data = useMemo(() => {
        const rows = picked(of.y, run);
        return answer.data && rows ? pickRows(answer.data, rows) : answer.data;
    }, [answer.data, of.y, run]);
    return { ...answer, data };
}

export const usesLog = (of: Kind): boolean => (scaleName.value === "auto" ? of.y === "tensor" || of.y === "component" : scaleName.value === "log");

export function Heatmap() {
    const run = about.value!;
    const of = kind.value;
    const bounds = { x0: 0, x1: Math.max(1, columnsOf(of, run)), y0: 0, y1: Math.max(1, heightOf(of, run)) };
    const window = windowOf(of, bounds);
    const whole = useGrid(of, run, null);
    const part = useGrid(of, run, window);
    const { data: all } = useTokens();
    const { title, unit, print } = measureOf(shownMeasure.value);
    const tile = part.data ?? whole.data;
    const isLog = usesLog(of);
    const scale = useMemo(() => (whole.data ? scaleOf([whole.data], isLog, scaledRows(of.y, run)) : null), [whole.data, isLog]);
    const behind = useMemo(() => (whole.data && scale ? imageOf(whole.data, scale) : null), [whole.data, scale, isDark.value]);
    const image = useMemo(() => (part.data && scale ? imageOf(part.data, scale) : null), [part.data, scale, isDark.value]);
    const sums = useMemo(() => (tile ? rowSums(tile, window.x0, window.x1) : null), [tile, window.x0, window.x1]);
    const each = of.x === "token" ? `${unit} a token` : unit;

    return (
        <Picture
            title={`${title[0]!.toUpperCase()}${title.slice(1)} by ${of.x} and ${of.y}${of.ofLayer ? `, layer ${layerOf(of)}` : ""}`}
            name={`heatmap-${of.id}-${shownMeasure.value}`}
            summary={`${many(columnsOf(of, run), of.x)} by ${many(of.y === "layer" ? run.model.layers : heightOf(of, run), of.y)}; the most in a cell${scale?.over ? " of a layer" : ""} is ${scale ? print(scale.hi) : "not known yet"}.`}
            bounds={bounds} window={window} onWindow={(to) => setWindow(of, bounds, to)}
            least={{ x: 4, y: 2 }} xAxis={axisOf(of.x, run)} yAxis={axisOf(of.y, run)} left={roomFor(of.y, run)} step={{ x: 1, y: 1 }}
            legend={scale ? { kind: "scale", label: each, scale, print, nothing: "not touched" } : undefined}
            paint={(pen, frame) => {
                if (whole.data && behind && whole.data !== part.data) paintTile(pen, frame, whole.data, behind);
                if (part.data && image) paintTile(pen, frame, part.data, image);
                paintSelected(pen, frame, of, run);
            }}
            right={SUMS + 14} beside={(pen, frame) => tile && sums && paintSums(pen, frame, tile, sums, print)}
            hover={(x, y) => (tile && sums ? hoverOf(tile, of, run, all, x, y, sums) : null)}
            pick={(x, y) => pickCell(of, run, x, y)}
            csv={() => csvOf(tile!, of, run)}
            busy={whole.busy || part.busy}
            empty={whole.error ?? part.error ?? why(of, run)}
        >
            <HeatSwitches run={run} />
            {isFile && tile && spanOf(tile).x > 1 && (
                <span class="faint" title="Open the trace itself with tat view to see each">{`columns of ${Math.round(spanOf(tile).x * 10) / 10} ${of.x}s: this file has none finer`}</span>
            )}
        </Picture>
    );
}

function why(of: Kind, run: About): string | null {
    if (of.needsExperts && run.model.experts === 0) return "This model has no experts. Choose another picture above.";
    return null;
}

/** What is compared, by what, on which scale. */
export function HeatSwitches({ run }: { run: About }) {
    const of = kind.value;
    return (
        <>
            <Choice
                label="picture" value={of.id} items={KINDS.filter(({ needsExperts }) => !needsExperts || run.model.experts > 0)}
                onChange={(id) => {
                    kindName.value = id;
                    rowsText.value = "";
                    columnsText.value = "";
                }}
            />
            {of.ofLayer && (
                <Choice
                    label="layer" value={String(layerOf(of))}
                    items={Array.from({ length: run.model.layers }, (_, i) => ({ id: String(i), title: String(i) }))}
                    onChange={(value) => (layer.value = Number(value))}
                />
            )}
            <Segments label="Measure" value={shownMeasure.value} items={measuresOf(of)} onChange={(value) => (measure.value = value)} />
            <Segments
                label="Scale" value={usesLog(of) ? "log" : "linear"} items={[{ id: "linear", title: "linear" }, { id: "log", title: "log" }]}
                onChange={(value) => (scaleName.value = value)}
            />
        </>
    );
}

/** The play head and what is selected. */
export function paintSelected(pen: Pen, frame: Frame, of: Kind, run: About): void {
    const { accent } = ink.value;
    const chosen = (along: Along | Across): number | null => {
        switch (along) {
            case "token": return token.value !== null && token.value < run.tokens ? token.value : null; // of a run that is compared
            case "layer": return layer.value;
            case "expert": return expert.value;
            case "tensor": return tensor.value === null ? null : rowsOf(run).tensors.findIndex(({ id }) => id === tensor.value);
            case "component": return tensor.value === null ? null : componentRow(run, tensor.value);
        }
    };
    const x = chosen(of.x);
    const y = chosen(of.y);
    const { left, top, width, height } = frame;
    if (x !== null && x >= 0) {
        const [from, to] = [frame.x(x), frame.x(x + 1)];
        if (to - from > 4) pen.frame(from, top - 2, to - from, height + 4, accent, 1.5);
        else pen.line([(from + to) / 2, top, (from + to) / 2, top + height], accent, 1.5);
    }
    if (y !== null && y >= 0) {
        const [from, to] = [frame.y(y), frame.y(y + 1)];
        if (to - from > 4) pen.frame(left - 2, from, width + 4, to - from, accent, 1.5);
        else pen.line([left, (from + to) / 2, left + width, (from + to) / 2], accent, 1.5);
    }
}

function componentRow(run: About, id: number): number {
    const number = run.components.indexOf(tensorsById.value.get(id)?.component ?? "");
    return rowsOf(run).components.indexOf(number);
}

export function pickCell(of: Kind, run: About, x: number, y: number): void {
    const choose = (along: Along | Across, at: number): void => {
        if (along === "token") toToken(at);
        else if (along === "layer") layer.value = at < run.model.layers ? at : null;
        else if (along === "expert") expert.value = at;
        else if (along === "tensor") chooseTensor(run, at);
    };
    choose(of.x, Math.floor(x));
    choose(of.y, Math.floor(y));
    if (of.ofLayer) layer.value = layerOf(of);
}

function chooseTensor(run: About, at: number): void {
    const found = rowsOf(run).tensors[at];
    if (!found) return;
    tensor.value = found.id;
    layer.value = found.layer;
    byteRange.value = placeOf(run, found);
}

/** The names of all rows or columns of a cell: "layers 3 to 5". */
function called(along: Along | Across, lo: number, hi: number, run: About): string {
    const [first, last] = wholes(lo, hi);
    if (first === last) return nameOf(along, first, run);
    const named = along === "tensor" || along === "component" || (along === "layer" && last >= run.model.layers);
    if (named) return `${nameOf(along, first, run)} to ${nameOf(along, last, run)}`;
    return `${along}s ${count(first)} to ${count(last)}`;
}

const SUMS = 74; // pixels

/** Beside each row, the sum of what shows of it. */
function paintSums(pen: Pen, frame: Frame, tile: Tile, sums: Float64Array, print: (value: number) => string): void {
    const { faint, text } = ink.value;
    const most = sums.reduce((a, b) => Math.max(a, b), 0);
    const left = frame.left + frame.width + 6;
    const high = (tile.y1 - tile.y0) / tile.rows;
    pen.clip(left, frame.top, SUMS, frame.height, () => {
        for (let row = 0; row < tile.rows; row++) {
            const [top, bottom] = [frame.y(tile.y0 + row * high), frame.y(tile.y0 + (row + 1) * high)];
            if (bottom < frame.top || top > frame.top + frame.height || sums[row] === 0) continue;
            const inset = bottom - top > 6 ? 1 : 0;
            pen.fade(0.3, () => pen.rect(left, top + inset, (SUMS * sums[row]!) / most, Math.max(1, bottom - top - 2 * inset), faint));
            if (bottom - top >= 13) pen.text(print(sums[row]!), left + 4, (top + bottom) / 2, { fill: text, size: 10 });
        }
    });
    pen.text("sum in view", left, frame.top - 4, { fill: faint, size: 10, baseline: "bottom" });
}

export function hoverOf(tile: Tile, of: Kind, run: About, all: Tokens | null, x: number, y: number, sums?: Float64Array): Hover | null {
    const cell = cellAt(tile, x, y);
    if (cell < 0) return null;
    const box = boxOfCell(tile, cell);
    const { exact, title } = measureOf(shownMeasure.value);
    const value = tile.value[cell]!;
    const span = spanOf(tile);
    const most = tile.dominant[cell]!;
    const dominant = most === NO_TENSOR ? undefined : tensorsById.value.get(most);
    const rows: [string, string][] = [[title, value > 0 ? exact(value) : "not touched"]];
    if (of.x === "token" && span.x > 1 && value > 0) rows.push(["a token", exact(value / perToken(tile))]);
    if (of.x === "token") rows.push(...textRows(all, ...wholes(box.x0, box.x1)));
    if (sums) rows.push([`${called(of.y, box.y0, box.y1, run)}, in view`, measureOf(shownMeasure.value).print(sums[Math.floor(cell / tile.columns)]!)]);
    if (dominant && of.y !== "tensor") rows.push(["most of it", dominant.name]);
    if (dominant && of.y !== "component") rows.push(["component", dominant.component]);
    return {
        title: `${called(of.x, box.x0, box.x1, run)}, ${called(of.y, box.y0, box.y1, run)}`, rows, outline: box,
    };
}

export function csvOf(tile: Tile, of: Kind, run: About): string {
    const header = [`${of.x}_first`, `${of.x}_last`, of.y, shownMeasure.value, "dominant_tensor"];
    const lines: unknown[][] = [];
    for (let cell = 0; cell < tile.value.length; cell++) {
        const box = boxOfCell(tile, cell);
        const most = tile.dominant[cell]!;
        const [first, last] = wholes(box.x0, box.x1);
        lines.push([
            first, last, called(of.y, box.y0, box.y1, run), tile.value[cell],
            most === NO_TENSOR ? null : (tensorsById.value.get(most)?.name ?? most),
        ]);
    }
    return csv(header, lines);
}
