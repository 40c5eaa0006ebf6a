// SPDX-License-Identifier: MIT
/** Every token as a bar: as high, and as bright, as what it took; its phase above it and, where there is room, its text below. */
import { about } from "../api";
import { heat, ink, phaseColour, place } from "../colours";
import { count, csv, time, tokenText } from "../format";
import type { Frame } from "../frame";
import type { Pen } from "../pen";
import { type Hover, Picture } from "../picture";
import { toToken } from "../play";
import { token, tokens } from "../state";
import { Segments } from "../switches";
import { columnOf, entryOf, heatEnd, measuresOf, perEntry, TOKEN_MEASURES, tokenMeasure, useTokens } from "../tokens";
import type { Tokens } from "../types";

const BAND = 16; // pixels of the phases
const LETTERS = 15; // pixels that a token needs for its text

export function Timeline() {
    const run = about.value!;
    const { data: all, busy, error } = useTokens();
    const which = tokenMeasure.value;
    const { unit, print } = TOKEN_MEASURES.find(({ id }) => id === which)!;
    const values = all ? columnOf(all, which) : [];
    const most = values.reduce((a, b) => Math.max(a, b), 0) || 1;
    const scale = { lo: 0, hi: heatEnd(values), log: false };
    // A few that are far above all others are cut, so that the others can be seen.
    const top = Math.min(most, scale.hi * 1.6) * 1.12;
    const bounds = { x0: 0, x1: Math.max(1, run.tokens), y0: 0, y1: top };
    const shown = tokens.value ?? { lo: 0, hi: bounds.x1 };
    const window = { ...bounds, x0: shown.lo, x1: shown.hi };

    const hover = (x: number): Hover | null => (all ? hoverOf(all, x) : null);
    return (
        <Picture
            title={`Tokens by ${unit}`} name="tokens" height={250} left={76}
            summary={`${count(run.tokens)} tokens; the most for one is ${print(most)}.`}
            bounds={bounds} window={window} zooms="x" least={{ x: 4, y: 0 }}
            onWindow={({ x0, x1 }) => (tokens.value = x0 <= bounds.x0 && x1 >= bounds.x1 ? null : { lo: x0, hi: x1 })}
            xAxis={{ label: "token", cells: true, print: count }} yAxis={{ label: "", print }} down={false} step={{ x: 1, y: most }}
            legend={{ kind: "scale", label: unit, scale, print }}
            paint={(pen, frame) => all && paint(pen, frame, all, values, scale)}
            hover={hover} pick={(x) => toToken(Math.floor(x))} busy={busy}
            empty={error ?? (run.tokens === 0 ? "The trace has no token yet: nothing was computed but a warm-up, or it was filtered." : null)}
            csv={() => csvOf(all!)}
        >
            <Segments label="Measure" value={which} items={measuresOf(run)} onChange={(value) => (tokenMeasure.value = value)} />
        </Picture>
    );
}

function paint(pen: Pen, frame: Frame, all: Tokens, values: number[], scale: { lo: number; hi: number; log: boolean }): void {
    const { text, accent, paper } = ink.value;
    const { box } = frame;
    const each = perEntry(all);
    const first = Math.max(0, Math.floor((box.x0 - all.first) / each));
    const last = Math.min(values.length - 1, Math.ceil((box.x1 - all.first) / each));
    const base = frame.y(0);
    const wide = frame.x(all.first + each) - frame.x(all.first);
    const hasText = all.text !== null && wide >= LETTERS;

    // Several entries in a pixel: the highest of them.
    const group = Math.max(1, Math.floor(1 / wide));
    for (let i = first; i <= last; i += group) {
        let value = 0;
        for (let j = i; j < Math.min(i + group, last + 1); j++) value = Math.max(value, values[j]!);
        const x = frame.x(all.first + i * each);
        const y = Math.max(frame.y(value), frame.top + BAND + 2);
        const gap = wide > 5 ? 1 : 0;
        pen.rect(x, y, Math.max(1, wide * group - gap), base - y, heat(place(scale, value)));
        if (value > box.y1) pen.rect(x, y, Math.max(1, wide * group - gap), 3, accent);
    }
    paintPhases(pen, frame, all, first, last);
    if (hasText) {
        for (let i = first; i <= last; i++) {
            const x = frame.x(all.first + (i + 0.5) * each);
            const shown = tokenText(all.text![i] ?? "");
            const turned = wide < 44;
            const room = turned ? 80 : wide - 4;
            const width = Math.min(room, pen.widthOf(shown, { mono: true }) + 6);
            // On paper of its own: bars have all colours.
            if (turned) pen.rect(x - 7, base - width - 3, 14, width, paper);
            else pen.rect(x - width / 2, base - 17, width, 14, paper);
            pen.text(shown, x, turned ? base - 6 : base - 10, {
                fill: text, mono: true, room, align: turned ? "left" : "center", turn: turned ? -90 : 0,
            });
        }
    }
    const at = token.value;
    if (at !== null) {
        const [left, right] = [frame.x(at), frame.x(at + 1)];
        pen.fade(0.18, () => pen.rect(left, frame.top, Math.max(2, right - left), frame.height, accent));
        const middle = (left + right) / 2;
        pen.line([middle, frame.top, middle, base], accent, 1.5);
    }
}

function paintPhases(pen: Pen, frame: Frame, all: Tokens, first: number, last: number): void {
    const each = perEntry(all);
    const { paper } = ink.value;
    pen.rect(frame.left, frame.top, frame.width, BAND + 1, paper);
    for (let i = first; i <= last; ) {
        const phase = all.phase[i]!;
        let end = i + 1;
        while (end <= last && all.phase[end] === phase) end++;
        const [left, right] = [Math.max(frame.left, frame.x(all.first + i * each)), Math.min(frame.left + frame.width, frame.x(all.first + end * each))];
        pen.fade(0.85, () => pen.rect(left, frame.top, Math.max(1, right - left - 1), BAND - 2, phaseColour(phase)));
        if (right - left > 30) pen.text(phase, left + 5, frame.top + BAND / 2 - 1, { fill: "#ffffff", bold: true, size: 10, room: right - left - 8 });
        i = end;
    }
}

function hoverOf(all: Tokens, x: number): Hover | null {
    const i = entryOf(all, Math.floor(x));
    if (i < 0) return null;
    const each = perEntry(all);
    const from = all.first + i * each;
    const text = all.text?.[i];
    const rows: [string, string][] = [["phase", all.phase[i]!]];
    for (const { id, title, print } of TOKEN_MEASURES) {
        const value = columnOf(all, id)[i];
        if (value !== undefined) rows.push([title, id === "bytes" ? `${print(value)} (${count(value)})` : print(value)]);
    }
    rows.push(["begins at", time(all.start_ns[i]!)]);
    return {
        title: each === 1 ? `token ${count(from)}${text ? ` \u201c${tokenText(text)}\u201d` : ""}` : `tokens ${count(from)} to ${count(from + each - 1)}, each in the mean`,
        rows,
        outline: { x0: from, x1: from + each, y0: 0, y1: Number.MAX_SAFE_INTEGER },
    };
}

function csvOf(all: Tokens): string {
    const each = perEntry(all);
    return csv(
        ["token", "tokens", "phase", "start_ns", "duration_ns", "bytes", "accesses", "new_experts", "text"],
        all.phase.map((phase, i) => [
            all.first + i * each, each, phase, all.start_ns[i], all.duration_ns[i], all.bytes[i], all.accesses[i], all.new_experts?.[i], all.text?.[i],
        ]),
    );
}
