// SPDX-License-Identifier: MIT
/** The columns of tokens, by what is asked of them. */
import { type Answer, path, useJson } from "./api";
import { bytes, count, time, tokenText, visible } from "./format";
import { measure, option, trace } from "./state";
import type { About, Measure, Tokens } from "./types";

export type TokenMeasure = Measure | "new_experts";

export const TOKEN_MEASURES: { id: TokenMeasure; title: string; unit: string; print(value: number): string }[] = [
    { id: "bytes", title: "bytes", unit: "bytes touched for a token", print: bytes },
    { id: "accesses", title: "accesses", unit: "accesses for a token", print: count },
    { id: "time", title: "time", unit: "time of a token's evaluation", print: time },
    { id: "new_experts", title: "new experts", unit: "experts that the token before did not use", print: count },
];

const newExperts = option<"" | "new">("experts", "");

/** Tokens have the measure of all pictures, and one of their own. */
export const tokenMeasure = {
    get value(): TokenMeasure {
        return newExperts.value === "new" ? "new_experts" : measure.value;
    },
    set value(value: TokenMeasure) {
        newExperts.value = value === "new_experts" ? "new" : "";
        if (value !== "new_experts") measure.value = value;
    },
};

/** Measures that this trace has. */
export const measuresOf = (run: About) => TOKEN_MEASURES.filter(({ id }) => id !== "new_experts" || run.has.experts);

/** Of a trace. While they are on their way there are none: those of another trace would be wrong here. */
export function useTokens(id: number | null = trace.value): Answer<Tokens> {
    const address = id === null ? null : path("tokens", {}, id);
    const answer = useJson<Tokens>(address);
    return answer.address === address ? answer : { ...answer, data: null };
}

export const columnOf = (all: Tokens, which: TokenMeasure): number[] => (which === "time" ? all.duration_ns : all[which]) ?? [];

/** Tokens that an entry stands for. */
export const perEntry = (all: Tokens): number => all.tokens_per_entry ?? 1;

/** The entry that a token is in; -1: none. */
export function entryOf(all: Tokens, token: number): number {
    const entry = Math.floor((token - all.first) / perEntry(all));
    return entry >= 0 && entry < all.phase.length ? entry : -1;
}

/** Special tokens, such as <s>, are signs for the model, and not text. */
export const isSpecial = (all: Tokens, entry: number): boolean => all.text_special?.includes(entry) ?? false;

/** The text of an entry between quotes, with all that it has of spaces and unseen characters; "": it is not known. */
export function quoted(all: Tokens, entry: number): string {
    const text = all.text?.[entry];
    return text ? `\u201c${tokenText(text)}\u201d${isSpecial(all, entry) ? " (special token)" : ""}` : "";
}

const LETTERS = 60; // that a card says of a text

/** What a card says of tokens: their text, as far as it is known. Several are in one row, and cut where they are long. */
export function textRows(all: Tokens | null, first: number, last = first): [string, string][] {
    if (!all?.text) return [];
    const [from, to] = [entryOf(all, first), Math.min(entryOf(all, last), all.phase.length - 1)];
    if (from < 0 || to < from) return [];
    const each = perEntry(all);
    const [begin, end] = [all.first + from * each, all.first + (to + 1) * each - 1];
    const name = begin === first && end === last ? "text" : `text of tokens ${count(begin)} to ${count(end)}`;
    if (from === to && each === 1) return quoted(all, from) === "" ? [] : [[name, quoted(all, from)]];
    let text = "";
    for (let entry = from; entry <= to && text.length <= 2 * LETTERS; entry++) text += all.text[entry] ?? ""; // a letter is one unit or two
    const letters = [...visible(text)];
    if (letters.length === 0) return [];
    return [[name, `\u201c${letters.slice(0, LETTERS).join("")}${letters.length > LETTERS ? "\u2026" : ""}\u201d`]];
}

/** Where entries stand on an axis: by token, or by the time of their evaluation. */
export interface Along {
    from(entry: number): number;
    to(entry: number): number;
    /** The entry at a place; -1: none. */
    at(value: number): number;
}

export function byToken(all: Tokens): Along {
    const each = perEntry(all);
    return { from: (i) => all.first + i * each, to: (i) => all.first + (i + 1) * each, at: (value) => entryOf(all, Math.floor(value)) };
}

export function byTime(all: Tokens): Along {
    const { start_ns, duration_ns } = all;
    const to = (i: number): number =>
        perEntry(all) === 1 ? start_ns[i]! + duration_ns[i]! : (start_ns[i + 1] ?? start_ns[i]! + duration_ns[i]! * perEntry(all));
    return {
        from: (i) => start_ns[i]!,
        to,
        at: (value) => {
            const entry = lastNotAbove(start_ns, value);
            return entry >= 0 && value < to(entry) ? entry : -1;
        },
    };
}

/** The last place in a sorted array whose value is not above; -1: none. */
export function lastNotAbove(sorted: number[], value: number): number {
    let [lo, hi] = [0, sorted.length];
    while (lo < hi) {
        const middle = (lo + hi) >> 1;
        if (sorted[middle]! <= value) lo = middle + 1;
        else hi = middle;
    }
    return lo - 1;
}

/** Where heat has to end so that most tokens differ in colour: a single slow token must not make all others dark. */
export function heatEnd(values: number[]): number {
    const sorted = values.filter((value) => value > 0).sort((a, b) => a - b);
    return sorted.length === 0 ? 1 : sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * 0.99))]!;
}
