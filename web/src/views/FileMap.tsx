// SPDX-License-Identifier: MIT
/** The model file from its first byte to its last: tensors and experts as blocks, and how often each was read up to the chosen token. */
import { useMemo, useState } from "preact/hooks";

import { about, isFile as isExported, path, tensorsById, useJson } from "../api";
import { byteTicks } from "../axes";
import { componentColour, heat, ink, onColour, place, type Scale } from "../colours";
import { asInFile, type Block, blockAt, boundsOf, type FileAnswer, firstBehind, heldBy, inOrder, type Layout, layoutOf, piecesOf, rangeOf, type Strip } from "../filemap";
import { bytes, count, csv, exactBytes, percent } from "../format";
import type { Frame } from "../frame";
import type { Pen } from "../pen";
import { type Hover, Picture } from "../picture";
import { byteRange, expert, layer, option, type Range, tensor, token } from "../state";
import { Segments } from "../switches";
import type { Tensor } from "../types";

type Heat = "accesses" | "times" | "part";

const HEATS: { id: Heat; title: string; unit: string; says: string; print(value: number): string }[] = [
    { id: "accesses", title: "accesses", unit: "accesses", says: "How often an operation read some of it", print: count },
    { id: "times", title: "times read", unit: "times that each byte was read, in the mean", says: "Bytes read of it, divided by its size", print: (value) => (Number.isInteger(value) ? count(value) : value.toPrecision(3)) },
    { id: "part", title: "part of the model", unit: "", says: "What each block is", print: count },
];

const heatBy = option<Heat>("fileheat", "accesses");
const order = option<"file" | "model">("fileorder", "file");

/** The tensor of a block. */
const tensorOf = (block: Block): Tensor | undefined =>
    typeof block.tensor === "number" ? tensorsById.value.get(block.tensor) : [...tensorsById.value.values()].find(({ name }) => name === block.tensor);

const nameOf = (block: Block): string => {
    const name = tensorOf(block)?.name ?? String(block.tensor);
    return block.expert === null ? name : `${name}, expert ${block.expert}`;
};

const valueOf = (block: Block, which: Heat): number => (which === "accesses" ? block.accesses : block.bytes > 0 ? block.read_bytes / block.bytes : 0);

/** Layer by layer, as the model computes; what has no layer comes first, the output last. */
function byModel(components: string[]): (a: Block, b: Block) => number {
    const places = new Map(components.map((name, i) => [name, i]));
    const key = (block: Block): [number, number, number] => {
        const of = tensorOf(block);
        const part = places.get(of?.component ?? "") ?? 999;
        const isLast = of?.layer === null && /^(output|nextn)/.test(of.component);
        return [of?.layer ?? (isLast ? Number.MAX_SAFE_INTEGER : -1), part, block.expert ?? -1];
    };
    return (a, b) => {
        const [one, other] = [key(a), key(b)];
        return one[0] - other[0] || one[1] - other[1] || a.at - b.at;
    };
}

export function FileMap() {
    const run = about.value!;
    const whole = useJson<FileAnswer>(path("file"));
    const until = isExported ? null : token.value; // a file holds the whole run's alone
    const part = useJson<FileAnswer>(until === null ? null : path("file", { until_token: until + 1 }));
    const now = until === null ? whole.data : (part.data ?? whole.data);
    const which = HEATS.find(({ id }) => id === heatBy.value) ?? HEATS[0]!;
    const strip = useMemo((): Strip | null => {
        if (!now) return null;
        const physical = asInFile(now);
        return order.value === "file" ? physical : inOrder(physical.blocks, byModel(run.components));
    }, [now, order.value, tensorsById.value]);
    // The scale is that of the whole run, so that it stays while tokens pass.
    const scale = useMemo((): Scale => {
        const most = (whole.data?.blocks ?? []).reduce((a, block) => Math.max(a, valueOf(block as Block, which.id)), 0);
        return { lo: 0, hi: most || 1, log: false };
    }, [whole.data, which.id]);
    /** Of an order that is not the file's, bytes of the file mean nothing. */
    const [inModel, setInModel] = useState<Range | null>(null);
    const isFile = order.value === "file";
    const setShown = (to: Range | null) => (isFile ? (byteRange.value = to) : setInModel(to));
    const chosen = isFile ? byteRange.value : inModel;
    const all = strip?.bytes ?? Math.max(1, run.model.file_bytes);
    const shown = chosen && chosen.lo < all ? { lo: chosen.lo, hi: Math.max(chosen.lo + 1, Math.min(all, chosen.hi)) } : { lo: 0, hi: all };
    const error = whole.error ?? part.error;
    const lack = error ?? (strip && strip.blocks.length === 0 ? "The trace does not tell where in the file its weights are: they were copied into buffers, or the file is no longer there." : null);
    const busy = whole.busy || part.busy;
    const colourOf = (block: Block): string | null => {
        if (which.id === "part") return componentColour(tensorOf(block)?.component ?? "");
        const value = valueOf(block, which.id);
        return value > 0 ? heat(place(scale, value)) : null;
    };
    const upTo = until === null ? "in the whole run" : `up to token ${count(until)}`;
    return (
        <div class="stack">
            <WholeFile strip={strip} shown={shown} colourOf={colourOf} busy={busy} onShown={setShown} lack={lack} isFile={isFile} files={now?.files ?? []} />
            <Rows
                strip={strip} shown={shown} scale={scale} which={which} colourOf={colourOf} busy={busy} onShown={setShown} lack={lack} upTo={upTo}
                merged={now?.merged ?? false} files={now?.files ?? []}
            />
        </div>
    );
}

interface Look {
    strip: Strip | null;
    shown: Range;
    busy: boolean;
    lack: string | null;
    colourOf(block: Block): string | null;
    onShown(to: Range | null): void;
}

const LEAST = 512; // bytes of the closest zoom

/** All of it in one line, with what shows below marked on it. */
function WholeFile({ strip, shown, colourOf, busy, onShown, lack, isFile, files }: Look & { isFile: boolean; files: FileAnswer["files"] }) {
    const all = strip?.bytes ?? 1;
    const box = { x0: 0, x1: all, y0: 0, y1: 1 };
    const isWhole = shown.lo <= 0 && shown.hi >= all;
    return (
        <Picture
            title={isFile ? "The whole file" : "All weights, layer by layer"} name="file-whole" height={88} left={34}
            summary={`${bytes(all)}. ${isWhole ? "All of it shows below." : `Bytes ${count(shown.lo)} to ${count(shown.hi)} show below.`}`}
            bounds={box} window={box} zooms="x" least={{ x: LEAST, y: 1 }}
            onWindow={({ x0, x1 }) => onShown(x0 <= 0 && x1 >= all ? null : { lo: Math.round(x0), hi: Math.round(x1) })}
            xAxis={{ label: "", print: bytes, ticks: byteTicks }} yAxis={{ label: "", print: () => "", ticks: () => [] }}
            paint={(pen, frame) => {
                if (!strip) return;
                paintLine(pen, frame, strip.blocks, colourOf);
                if (isWhole) return;
                const { accent, paper } = ink.value;
                const [left, right] = [frame.x(shown.lo), frame.x(shown.hi)];
                pen.fade(0.55, () => {
                    pen.rect(frame.left, frame.top, Math.max(0, left - frame.left), frame.height, paper);
                    pen.rect(right, frame.top, Math.max(0, frame.left + frame.width - right), frame.height, paper);
                });
                pen.frame(left, frame.top + 1, Math.max(2, right - left), frame.height - 2, accent, 1.5);
            }}
            hover={(x) => (strip ? hoverOf(strip, x) : null)}
            pick={(x) => {
                const length = isWhole ? all / 16 : shown.hi - shown.lo;
                const lo = Math.max(0, Math.min(all - length, x - length / 2));
                onShown({ lo: Math.round(lo), hi: Math.round(lo + length) });
            }}
            csv={() => csvOf(strip?.blocks ?? [], files)} busy={busy} empty={lack}
        />
    );
}

const csvOf = (blocks: Block[], files: FileAnswer["files"]): string => csv(
    ["tensor", "expert", "component", "layer", "file", "offset", "bytes", "accesses", "read_bytes"],
    blocks.map((block) => {
        const of = tensorOf(block);
        return [of?.name ?? block.tensor, block.expert, of?.component, of?.layer, files[block.file]?.name, block.offset, block.bytes, block.accesses, block.read_bytes];
    }),
);

/** A pixel shows the brightest block in it: a block that is narrower than a pixel is seen too. */
function paintLine(pen: Pen, frame: Frame, blocks: Block[], colourOf: Look["colourOf"]): void {
    let until = -1;
    for (const block of blocks) {
        const left = frame.x(block.at);
        const right = Math.max(left + 0.5, frame.x(block.end));
        if (right <= until) continue;
        const colour = colourOf(block);
        if (colour === null) continue;
        pen.rect(left, frame.top, right - left, frame.height, colour);
        until = right;
    }
}

function Rows({ strip, shown, scale, which, colourOf, busy, onShown, lack, upTo, merged, files }: Look & {
    scale: Scale;
    which: (typeof HEATS)[number];
    upTo: string;
    merged: boolean;
    files: FileAnswer["files"];
}) {
    const run = about.value!;
    const blocks = strip?.blocks ?? [];
    const all = strip?.bytes ?? 1;
    const layout = layoutOf(blocks, shown);
    const { lo: first, perRow, rows } = layout;
    const isWhole = shown.lo <= 0 && shown.hi >= all;
    const byteOf = (x: number, y: number): number => first + Math.max(0, Math.min(rows - 1, Math.floor(y))) * perRow + x;
    const at = (x: number, y: number): Block | null => blockAt(blocks, byteOf(x, y));
    const parts = useMemo(() => [...new Set(blocks.map((block) => tensorOf(block)?.component ?? "other"))], [blocks]);
    const read = blocks.filter(({ accesses }) => accesses > 0);
    const readBytes = read.reduce((a, block) => a + block.bytes, 0);
    const name = files.length > 1 ? `${run.model.name}, ${files.length} files` : run.model.name;
    return (
        <Picture
            title={which.id === "part" ? `What lies where in ${name}` : `Reads of each part of ${name}, ${upTo}`} name={`file-map-${which.id}`}
            summary={`${count(read.length)} of ${count(blocks.length)} blocks, ${bytes(readBytes)} of ${bytes(all)}, were read ${upTo}.`}
            bounds={boundsOf(isWhole, perRow, rows)} window={{ x0: 0, x1: perRow, y0: 0, y1: rows }} least={{ x: Math.min(perRow, LEAST), y: 1e-9 }} left={86}
            onWindow={(to) => onShown(rangeOf(to, shown, layout, all, LEAST))} step={{ x: perRow / 60, y: 1 }}
            xAxis={{ label: `bytes from the beginning of a row; a row has ${bytes(perRow)}`, print: (value) => `+${bytes(value)}`, ticks: byteTicks }}
            yAxis={{ label: "", cells: true, print: (row) => bytes(first + row * perRow), ticks: (lo, hi, most) => rowTicks(lo, hi, most, layout) }}
            legend={which.id === "part"
                ? { kind: "keys", items: parts.map((part) => ({ label: part, colour: componentColour(part) })) }
                : { kind: "scale", label: which.unit, scale, print: which.print, nothing: "never read" }}
            paint={(pen, frame) => paintRows(pen, frame, blocks, shown, layout, colourOf)}
            hover={(x, y) => {
                const hover = strip ? hoverOf(strip, byteOf(x, y)) : null;
                const block = at(x, y);
                const row = Math.floor(y);
                const piece = block && piecesOf(block.at, block.end, heldBy(layout), perRow).find(([one]) => one === row);
                return hover && piece ? { ...hover, outline: { x0: piece[1], x1: piece[2], y0: row, y1: row + 1 } } : hover;
            }}
            pick={(x, y) => {
                const block = at(x, y);
                const of = block && tensorOf(block);
                if (!block || !of) return;
                const again = tensor.value === of.id && expert.value === block.expert;
                // A second click comes as close as the block is large.
                if (again) onShown({ lo: Math.max(0, Math.floor(block.at - block.bytes * 0.02)), hi: Math.min(all, Math.ceil(block.end + block.bytes * 0.02)) });
                [tensor.value, layer.value, expert.value] = [of.id, of.layer, block.expert];
            }}
            csv={() => csvOf(blocks.slice(firstBehind(blocks, shown.lo), firstBehind(blocks, shown.hi - 1) + 1), files)}
            busy={busy} empty={lack}
        >
            <Segments label="Colour" value={which.id} items={HEATS} onChange={(value) => (heatBy.value = value)} />
            <Segments
                label="Order" value={order.value} onChange={(value) => (order.value = value)}
                items={[
                    { id: "file", title: "as in the file", says: "The physical order: from the file's first byte to its last" },
                    { id: "model", title: "layer by layer", says: "The logical order: as the model computes" },
                ]}
            />
            {merged && <span class="faint" title="There are too many of them for one picture">experts of a stack are one block</span>}
        </Picture>
    );
}

/** Where there is no room for all rows, those that begin at the roundest bytes. */
function rowTicks(lo: number, hi: number, most: number, { lo: begin, perRow, rows }: Layout): number[] {
    const each = Math.max(1, 2 ** Math.ceil(Math.log2((hi - lo) / Math.max(1, most))));
    const first = rows === 1 ? 0 : (each - ((begin / perRow) % each)) % each;
    return Array.from({ length: Math.max(0, Math.ceil((rows - first) / each)) }, (_, i) => first + i * each);
}

function paintRows(pen: Pen, frame: Frame, blocks: Block[], shown: Range, layout: Layout, colourOf: Look["colourOf"]): void {
    const { perRow, rows } = layout;
    const held = heldBy(layout);
    const { line, text, accent } = ink.value;
    const high = frame.height / rows;
    const gap = high > 8 ? 2 : high > 4 ? 1 : 0;
    const labels: [string, number, number, number, string | null][] = [];
    const outlined: [number, number, number][] = [];
    for (let i = firstBehind(blocks, held.lo); i < blocks.length && blocks[i]!.at < held.hi; i++) {
        const block = blocks[i]!;
        const colour = colourOf(block);
        const of = tensorOf(block);
        const isChosen = tensor.value !== null && of?.id === tensor.value && (expert.value === null || block.expert === null || block.expert === expert.value);
        const pieces = piecesOf(block.at, block.end, held, perRow);
        for (const [row, from, to] of pieces) {
            const [left, right] = [frame.x(from), frame.x(to)];
            const top = frame.y(row);
            const wide = right - left;
            pen.rect(left, top, Math.max(0.4, wide - (wide > 3 ? 1 : 0)), high - gap, colour ?? line);
            if (colour === null && wide > 3 && high > 6) pen.rect(left + 1, top + 1, wide - 3, high - gap - 2, ink.value.ground);
            if (isChosen) outlined.push([row, left, right]);
        }
        const widest = pieces.reduce<[number, number, number] | null>((a, b) => (!a || b[2] - b[1] > a[2] - a[1] ? b : a), null);
        if (widest && high > 14) {
            const [left, right] = [frame.x(widest[1]), frame.x(widest[2])];
            if (right - left > 26) labels.push([shortName(of?.name ?? "", block.expert), left, right, frame.y(widest[0]), colour]);
        }
    }
    for (const [label, left, right, top, colour] of labels) {
        if (pen.widthOf(label, { size: 10 }) > right - left - 8) continue;
        pen.text(label, left + 5, top + (high - gap) / 2, { fill: colour === null ? text : onColour(colour), size: 10 });
    }
    // What is in these rows, but not asked for.
    for (const [begin, end, edge] of [[held.lo, shown.lo, shown.lo], [shown.hi, held.hi, shown.hi]] as const) {
        for (const [row, from, to] of piecesOf(begin, end, held, perRow)) {
            pen.fade(0.7, () => pen.rect(frame.x(from), frame.y(row), frame.x(to) - frame.x(from), high, ink.value.paper));
        }
        const row = Math.floor((edge - held.lo) / perRow);
        const x = frame.x(edge - held.lo - row * perRow);
        if (begin < end) pen.line([x, frame.y(row), x, frame.y(row) + high - gap], text, 1);
    }
    for (const [row, left, right] of outlined) pen.frame(left, frame.y(row) + 0.5, Math.max(2, right - left - 1), high - gap - 1, accent, 2);
}

const shortName = (name: string, which: number | null): string => {
    const short = name.replace(/^blk\./, "").replace(/\.weight$/, "");
    return which === null ? short : `${short} #${which}`;
};

function hoverOf({ blocks, bytes: all }: Strip, byte: number): Hover | null {
    if (byte < 0 || byte >= all) return null;
    const block = blockAt(blocks, byte);
    if (!block) return { title: "No tensor", rows: [["byte", count(Math.floor(byte))]], note: "Metadata of the file, or padding between tensors." };
    const of = tensorOf(block);
    return {
        title: nameOf(block),
        rows: [
            ["part", `${of?.component ?? "unknown"}${of?.layer === null || of?.layer === undefined ? "" : `, layer ${of.layer}`}`],
            ["offset in the file", exactBytes(block.offset)],
            ["size", `${exactBytes(block.bytes)}, ${percent(block.bytes / all)} of all`],
            ["accesses", count(block.accesses)],
            ["bytes read", exactBytes(block.read_bytes)],
            ["times read", block.bytes > 0 ? (block.read_bytes / block.bytes).toFixed(2) : "0"],
        ],
    };
}

