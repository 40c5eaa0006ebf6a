// SPDX-License-Identifier: MIT
/** The text as it was read and written, each token on the colour of its measure. Drawn, not made of nodes. */
import { effect } from "@preact/signals";
import { useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { about } from "../api";
import { heat, ink, phaseColour, place } from "../colours";
import { flow, type Piece, TIP } from "../flow";
import { count } from "../format";
import { canvasPen, type Pen } from "../pen";
import { toToken } from "../play";
import { token, tokens } from "../state";
import { columnOf, entryOf, heatEnd, isSpecial, perEntry, TOKEN_MEASURES, tokenMeasure, useTokens } from "../tokens";
import type { Tokens } from "../types";

const LINE = 20;
const MOST = 4000; // entries; more are a matter of zooming

/** Black or white, whichever is read on the colour. */
function over(colour: string): string {
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16)) as [number, number, number];
    return r * 0.299 + g * 0.587 + b * 0.114 > 128 ? "#000000" : "#ffffff";
}

export function TextFlow() {
    const { data: all } = useTokens();
    const area = useRef<HTMLDivElement>(null);
    const canvas = useRef<HTMLCanvasElement>(null);
    const [width, setWidth] = useState(0);
    const shown = tokens.value;

    useLayoutEffect(() => {
        const watch = new ResizeObserver(([entry]) => setWidth(Math.floor(entry!.contentRect.width)));
        watch.observe(area.current!);
        return () => watch.disconnect();
    }, []);

    const first = all ? Math.max(0, entryOf(all, Math.floor(shown?.lo ?? 0))) : 0;
    const end = all ? (shown ? entryOf(all, Math.ceil(shown.hi) - 1) + 1 || all.phase.length : all.phase.length) : 0;
    const last = Math.min(first + MOST, end) - 1;
    const pieces = useMemo(() => {
        if (!all?.text || width === 0) return [];
        const pen = canvasPen(document.createElement("canvas").getContext("2d")!);
        return flow(all.text, new Set(all.text_special), first, last, width, (text) => pen.widthOf(text, { size: 12, mono: true }));
    }, [all, first, last, width]);
    const lines = pieces.length > 0 ? pieces[pieces.length - 1]!.y + 1 : 0;

    useLayoutEffect(() => {
        if (!all || pieces.length === 0) return undefined;
        return effect(() => {
            const ratio = devicePixelRatio || 1;
            const element = canvas.current!;
            element.width = Math.round(width * ratio);
            element.height = Math.round(lines * LINE * ratio);
            const context = element.getContext("2d")!;
            context.setTransform(ratio, 0, 0, ratio, 0, 0);
            paint(canvasPen(context), all, pieces);
        });
    });

    const find = (event: MouseEvent): Piece | undefined => {
        const box = canvas.current!.getBoundingClientRect();
        const [x, y] = [event.clientX - box.left, Math.floor((event.clientY - box.top) / LINE)];
        return pieces.find((piece) => piece.y === y && x >= piece.x && x < piece.x + piece.width);
    };
    const { unit, print } = TOKEN_MEASURES.find(({ id }) => id === tokenMeasure.value)!;
    return (
        <section class="flow" aria-label="The text, by tokens">
            <h2>
                The text, coloured by {unit}
                {pieces.some((piece) => piece.isSpecial) && <Special />}
            </h2>
            <div ref={area} class="lines">
                <canvas
                    ref={canvas} style={{ width: `${width}px`, height: `${lines * LINE}px` }} role="img"
                    aria-label={all?.text ? all.text.slice(first, Math.min(last + 1, first + 300)).join("") : "no text"}
                    onClick={(event) => {
                        const piece = find(event);
                        if (piece) toToken(firstOf(all!, piece.entry));
                    }}
                    onMouseMove={(event) => {
                        const piece = find(event);
                        canvas.current!.title = piece
                            ? `${nameOf(all!, piece.entry)}, ${all!.phase[piece.entry]}: ${print(columnOf(all!, tokenMeasure.value)[piece.entry]!)}`
                            : "";
                    }}
                />
            </div>
            {all && end - 1 > last && <p class="faint">{`${count((end - 1 - last) * perEntry(all))} more tokens: zoom to them in the picture above.`}</p>}
        </section>
    );
}

function Special() {
    return (
        <span class="special">
            <svg width="26" height="12" aria-hidden="true"><path d="M1 6 L6 1 H20 L25 6 L20 11 H6 Z" fill="none" stroke="currentColor" /></svg>
            special token: a sign for the model, not text
        </span>
    );
}

/** In long runs an entry is several tokens. */
const firstOf = (all: Tokens, entry: number): number => all.first + entry * perEntry(all);
const nameOf = (all: Tokens, entry: number): string =>
    perEntry(all) === 1 ? `${isSpecial(all, entry) ? "special " : ""}token ${firstOf(all, entry)}` : `tokens ${firstOf(all, entry)} to ${firstOf(all, entry + 1) - 1}`;

/** The shape of a special token, which is told from the text around it without its colour. */
function paintTag(pen: Pen, x: number, y: number, width: number, colour: string): void {
    const [left, right, top, bottom] = [x + 1.5, x + width - 2, y + 1.5, y + LINE - 4];
    const middle = (top + bottom) / 2;
    const shape = [left, middle, left + TIP - 2, top, right - TIP + 2, top, right, middle, right - TIP + 2, bottom, left + TIP - 2, bottom, left, middle];
    pen.polygon(shape, colour);
    pen.line(shape, ink.value.text, 1);
}

function paint(pen: Pen, all: Tokens, pieces: Piece[]): void {
    const values = columnOf(all, tokenMeasure.value);
    const scale = { lo: 0, hi: heatEnd(values), log: false };
    const at = token.value === null || !about.value ? -1 : entryOf(all, token.value);
    for (const { entry, x, y, width, text, isSpecial: isSet } of pieces) {
        const colour = heat(place(scale, values[entry]!));
        if (isSet) paintTag(pen, x, y * LINE, width, colour);
        else pen.rect(x, y * LINE + 1, width - 0.5, LINE - 4, colour);
        pen.rect(x, y * LINE + LINE - 3, width - 0.5, 2, phaseColour(all.phase[entry]!));
        pen.text(text, x + (isSet ? TIP : 0), y * LINE + LINE / 2 - 1, { fill: over(colour), size: 12, mono: true, room: width + 1 - (isSet ? 2 * TIP : 0) });
        if (entry === at) pen.frame(x + 0.75, y * LINE + 0.75, width - 1.5, LINE - 2, ink.value.accent, 2);
    }
}
