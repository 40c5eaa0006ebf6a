// SPDX-License-Identifier: MIT
/** Every token as a bar: as high, and as bright, as what it took; its phase above it and, where there is room, its text. */
import { about } from "../api";
import { byteTicks, timeTicks } from "../axes";
import { heat, ink, phaseColour, place, type Scale } from "../colours";
import { count, csv, time, tokenText } from "../format";
import type { Frame } from "../frame";
import type { Pen } from "../pen";
import { type Hover, Picture } from "../picture";
import { toToken } from "../play";
import { option, type Range, timeRange, token, tokens } from "../state";
import { Segments } from "../switches";
import {
    type Along, byTime, byToken, columnOf, entryOf, heatEnd, isSpecial, lastNotAbove, measuresOf, perEntry, quoted, textRows, TOKEN_MEASURES, tokenMeasure,
    useTokens,
} from "../tokens";
import type { Tokens } from "../types";

const BAND = 16; // pixels of the phases
const LETTERS = 15; // pixels that a token needs for its text

const across = option<"token" | "time">("across", "token");

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

    const isTime = across.value === "time";
    const along = all ? (isTime ? byTime(all) : byToken(all)) : null;
    const end = isTime && all && all.phase.length > 0 ? along!.to(all.phase.length - 1) : Math.max(1, run.tokens);
    const begin = isTime && all && all.phase.length > 0 ? along!.from(0) : 0;
    const zoomed = isTime ? timeRange : tokens;
    const bounds = { x0: begin, x1: end, y0: 0, y1: top };
    const shown = zoomed.value ?? (all && along ? otherRange(all, isTime) : null) ?? { lo: begin, hi: end };
    const window = { ...bounds, x0: Math.max(begin, shown.lo), x1: Math.min(end, shown.hi) };
    if (!(window.x1 > window.x0)) [window.x0, window.x1] = [begin, end];

    return (
        <Picture
            title={`Tokens by ${unit}`} name="tokens" height={Math.max(230, Math.min(420, Math.round(innerHeight * 0.32)))} left={76}
            summary={`${count(run.tokens)} tokens; the most for one is ${print(most)}.`}
            bounds={bounds} window={window} zooms="x" least={{ x: isTime ? 1e5 : 4, y: 0 }}
            onWindow={({ x0, x1 }) => (zoomed.value = x0 <= begin && x1 >= end ? null : { lo: x0, hi: x1 })}
            xAxis={isTime ? { label: "time since the trace began", print: time, ticks: timeTicks } : { label: "token", cells: true, print: count }}
            yAxis={{ label: "", print, ...(which === "bytes" ? { ticks: byteTicks } : {}) }} down={false} step={{ x: isTime ? 0 : 1, y: top }}
            legend={{ kind: "scale", label: unit, scale, print }}
            paint={(pen, frame) => all && paint(pen, frame, all, along!, values, scale)}
            hover={(x) => (all ? hoverOf(all, along!, x) : null)}
            pick={(x) => {
                const entry = along?.at(x) ?? -1;
                if (entry >= 0) toToken(all!.first + entry * perEntry(all!));
            }}
            busy={busy}
            empty={error ?? (run.tokens === 0 ? "The trace has no token yet: nothing was computed but a warm-up, or it was filtered." : null)}
            csv={() => csvOf(all!)}
        >
            <Segments label="Measure" value={which} items={measuresOf(run)} onChange={(value) => (tokenMeasure.value = value)} />
            <Segments
                label="Across" value={across.value} items={[{ id: "token", title: "by token" }, { id: "time", title: "by time" }]}
                onChange={(value) => (across.value = value)}
            />
        </Picture>
    );
}

/** What is zoomed to on the other axis, on this one. */
function otherRange(all: Tokens, isTime: boolean): Range | null {
    const range = isTime ? tokens.value : timeRange.value;
    if (!range) return null;
    const last = all.phase.length - 1;
    const within = (entry: number): number => Math.max(0, Math.min(last, entry));
    if (isTime) {
        const [from, to] = [within(entryOf(all, Math.floor(range.lo))), within(entryOf(all, Math.ceil(range.hi) - 1))];
        return { lo: byTime(all).from(from), hi: byTime(all).to(to) };
    }
    const by = byToken(all);
    return { lo: by.from(within(lastNotAbove(all.start_ns, range.lo))), hi: by.to(within(lastNotAbove(all.start_ns, range.hi))) };
}

/** The first and the last entry that a frame shows. */
function partOf(all: Tokens, { box }: Frame): [number, number] {
    if (across.value === "time") return [Math.max(0, lastNotAbove(all.start_ns, box.x0)), lastNotAbove(all.start_ns, box.x1)];
    const each = perEntry(all);
    return [
        Math.max(0, Math.floor((box.x0 - all.first) / each)),
        Math.min(all.phase.length - 1, Math.ceil((box.x1 - all.first) / each)),
    ];
}

function paint(pen: Pen, frame: Frame, all: Tokens, along: Along, values: number[], scale: Scale): void {
    const { accent } = ink.value;
    const [first, last] = partOf(all, frame);
    const base = frame.y(0);
    // Several entries in a pixel: the highest of them.
    for (let i = first; i <= last; ) {
        const left = frame.x(along.from(i));
        let right = frame.x(along.to(i));
        let value = values[i]!;
        let next = i + 1;
        for (; next <= last && frame.x(along.to(next)) - left < 1; next++) {
            value = Math.max(value, values[next]!);
            right = frame.x(along.to(next));
        }
        const y = Math.max(frame.y(value), frame.top + BAND + 2);
        const wide = Math.max(1, right - left - (right - left > 5 ? 1 : 0));
        pen.rect(left, y, wide, base - y, heat(place(scale, value)));
        if (value > frame.box.y1) pen.rect(left, y, wide, 3, accent);
        i = next;
    }
    paintPhases(pen, frame, all, along, first, last);
    if (all.text) paintText(pen, frame, all, along, first, last);
    const at = token.value === null ? -1 : entryOf(all, token.value);
    if (at >= 0) {
        const [left, right] = [frame.x(along.from(at)), frame.x(along.to(at))];
        pen.fade(0.18, () => pen.rect(left, frame.top, Math.max(2, right - left), frame.height, accent));
        const middle = (left + right) / 2;
        pen.line([middle, frame.top, middle, base], accent, 1.5);
    }
}

/** On paper of its own, since bars have all colours. */
function paintText(pen: Pen, frame: Frame, all: Tokens, along: Along, first: number, last: number): void {
    const { text, paper, faint } = ink.value;
    const base = frame.y(0);
    if (last - first > frame.width / LETTERS + 2) return;
    for (let i = first; i <= last; i++) {
        const [left, right] = [frame.x(along.from(i)), frame.x(along.to(i))];
        const shown = tokenText(all.text![i] ?? "");
        if (right - left < LETTERS || shown === "") continue;
        const x = (left + right) / 2;
        const turned = right - left < 44;
        const room = turned ? 80 : right - left - 4;
        const width = Math.min(room, pen.widthOf(shown, { mono: true }) + 6);
        if (turned) pen.rect(x - 7, base - width - 4, 14, width, paper);
        else pen.rect(x - width / 2, base - 18, width, 15, paper);
        if (isSpecial(all, i)) {
            if (turned) pen.frame(x - 7, base - width - 4, 14, width, faint);
            else pen.frame(x - width / 2, base - 18, width, 15, faint);
        }
        pen.text(shown, x, turned ? base - 7 : base - 10, {
            fill: text, mono: true, room, align: turned ? "left" : "center", turn: turned ? -90 : 0,
        });
    }
}

function paintPhases(pen: Pen, frame: Frame, all: Tokens, along: Along, first: number, last: number): void {
    pen.rect(frame.left, frame.top, frame.width, BAND + 1, ink.value.paper);
    for (let i = first; i <= last; ) {
        const phase = all.phase[i]!;
        let end = i + 1;
        while (end <= last && all.phase[end] === phase) end++;
        const left = Math.max(frame.left, frame.x(along.from(i)));
        const right = Math.min(frame.left + frame.width, frame.x(along.to(end - 1)));
        pen.rect(left, frame.top, Math.max(1, right - left - 1), BAND - 2, phaseColour(phase));
        if (right - left > 30) pen.text(phase, left + 5, frame.top + BAND / 2 - 1, { fill: "#ffffff", bold: true, size: 10, room: right - left - 8 });
        i = end;
    }
}

function hoverOf(all: Tokens, along: Along, x: number): Hover | null {
    const i = along.at(x);
    if (i < 0) return null;
    const each = perEntry(all);
    const from = all.first + i * each;
    const rows: [string, string][] = [["phase", all.phase[i]!], ...(each === 1 ? [] : textRows(all, from, from + each - 1))];
    for (const { id, title, print } of TOKEN_MEASURES) {
        const value = columnOf(all, id)[i];
        if (value !== undefined) rows.push([title, id === "bytes" ? `${print(value)} (${count(value)})` : print(value)]);
    }
    rows.push(["begins at", time(all.start_ns[i]!)]);
    return {
        title: each === 1
            ? `token ${count(from)} ${quoted(all, i)}`.trimEnd()
            : `tokens ${count(from)} to ${count(from + each - 1)}, each in the mean`,
        rows,
        outline: { x0: along.from(i), x1: along.to(i), y0: 0, y1: Number.MAX_SAFE_INTEGER },
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
