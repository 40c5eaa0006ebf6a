// SPDX-License-Identifier: MIT
/**
 * What the page shows, in one place: a signal for each part of it. The hash of the address holds all of them, so a link is a
 * bookmark. Views read and write these signals, and never each other.
 */
import { batch, computed, effect, type ReadonlySignal, type Signal, signal } from "@preact/signals";

import type { Measure } from "./types";

/** From lo up to, but not including, hi. */
export interface Range {
    lo: number;
    hi: number;
}

export type Theme = "auto" | "light" | "dark";

/** The traces that are shown: the first one, and those that it is compared with. */
export const traces = signal<number[]>([0]);
export const view = signal("overview");
/** The tokens that all pictures are zoomed to; null: all. May have fractions while a picture is dragged. */
export const tokens = signal<Range | null>(null);
/** The chosen token: where the play head is. */
export const token = signal<number | null>(null);
/** The chosen operation: its number among the graph's nodes of the chosen token, in order of execution. */
export const operation = signal<number | null>(null);
export const layer = signal<number | null>(null);
/** A tensor's id. */
export const tensor = signal<number | null>(null);
export const expert = signal<number | null>(null);
/** Bytes of the model file. */
export const byteRange = signal<Range | null>(null);
/** Nanoseconds since the trace began. */
export const timeRange = signal<Range | null>(null);
export const measure = signal<Measure>("bytes");
/** A memory size in bytes, for caching and storage. */
export const memory = signal<number | null>(null);
export const theme = signal<Theme>("auto");
/** What belongs to one view alone, such as the axes of the heatmap: see option(). */
export const options = signal<Record<string, string>>({});

/** The trace that views show. */
export const trace: ReadonlySignal<number> = computed(() => traces.value[0] ?? 0);

export interface Option<T extends string> {
    value: T;
    peek(): T;
}

/** One view's own option, which is read and written as a signal is. It is in the address too, unless it is the default. */
export function option<T extends string = string>(name: string, fallback: NoInfer<T>): Option<T> {
    const read = computed(() => (options.value[name] ?? fallback) as T);
    return {
        get value() {
            return read.value;
        },
        set value(value: T) {
            const { [name]: _, ...rest } = options.peek();
            options.value = value === fallback ? rest : { ...rest, [name]: value };
        },
        peek: () => read.peek(),
    };
}

// ---- the address ----

interface Field {
    key: string;
    /** null: the default, which the address leaves out. */
    print(): string | null;
    /** Of null, or of what cannot be read, the default. */
    parse(text: string | null): void;
}

const isNumber = (text: string | null): text is string => text !== null && /^\d{1,16}$/.test(text);

function number(key: string, of: Signal<number | null>): Field {
    return {
        key,
        print: () => (of.value === null ? null : String(Math.round(of.value))),
        parse: (text) => (of.value = isNumber(text) ? Number(text) : null),
    };
}

function range(key: string, of: Signal<Range | null>): Field {
    return {
        key,
        print: () => (of.value === null ? null : `${Math.max(0, Math.floor(of.value.lo))}-${Math.ceil(of.value.hi)}`),
        parse: (text) => {
            const [lo, hi] = (text ?? "").split("-");
            const good = isNumber(lo ?? null) && isNumber(hi ?? null) && Number(lo) < Number(hi);
            of.value = good ? { lo: Number(lo), hi: Number(hi) } : null;
        },
    };
}

function word<T extends string>(key: string, of: Signal<T>, fallback: T, allowed?: readonly T[]): Field {
    return {
        key,
        print: () => (of.value === fallback ? null : of.value),
        parse: (text) => {
            const good = text !== null && (allowed ? allowed.includes(text as T) : /^[a-z-]{1,32}$/.test(text));
            of.value = good ? (text as T) : fallback;
        },
    };
}

const FIELDS: Field[] = [
    word("view", view, "overview"),
    {
        key: "trace",
        print: () => (traces.value.length === 1 && traces.value[0] === 0 ? null : traces.value.join(",")),
        parse: (text) => {
            const ids = (text ?? "").split(",").filter(isNumber).map(Number);
            traces.value = ids.length > 0 ? [...new Set(ids)].slice(0, 8) : [0];
        },
    },
    range("tokens", tokens),
    number("token", token),
    number("op", operation),
    number("layer", layer),
    number("tensor", tensor),
    number("expert", expert),
    range("bytes", byteRange),
    range("time", timeRange),
    word("measure", measure, "bytes", ["accesses", "bytes", "time"]),
    number("memory", memory),
    word("theme", theme, "auto", ["auto", "light", "dark"]),
];

export function encodeState(): string {
    const parts = new URLSearchParams();
    for (const field of FIELDS) {
        const text = field.print();
        if (text !== null) parts.set(field.key, text);
    }
    for (const [name, value] of Object.entries(options.value)) parts.set(`o.${name}`, value);
    return parts.toString().replaceAll("%2C", ",");
}

/** The address as it is now but for some parts; null leaves a part out. Options of a view begin with "o.". */
export function addressWith(changes: Record<string, string | number | null>): string {
    const parts = new URLSearchParams(encodeState());
    for (const [key, value] of Object.entries(changes)) {
        if (value === null) parts.delete(key);
        else parts.set(key, String(value));
    }
    return `#${parts.toString().replaceAll("%2C", ",")}`;
}

export function decodeState(hash: string): void {
    const parts = new URLSearchParams(hash.replace(/^#/, ""));
    batch(() => {
        for (const field of FIELDS) field.parse(parts.get(field.key));
        const read: Record<string, string> = {};
        for (const [key, value] of parts) if (key.startsWith("o.")) read[key.slice(2)] = value;
        options.value = read;
    });
}

/** The address and the state follow each other from now on. A new view is a step back in the browser's history. */
export function followAddress(): void {
    decodeState(location.hash);
    let shown = view.peek();
    let last = 0;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const write = () => {
        timer = undefined;
        last = Date.now();
        const hash = `#${encodeState()}`;
        if (hash === location.hash || (hash === "#" && location.hash === "")) return;
        if (view.peek() === shown) history.replaceState(null, "", hash);
        else history.pushState(null, "", hash);
        shown = view.peek();
    };
    addEventListener("popstate", () => {
        clearTimeout(timer);
        timer = undefined;
        decodeState(location.hash);
        shown = view.peek();
    });
    // Browsers refuse addresses that change too often.
    effect(() => {
        encodeState();
        timer ??= setTimeout(write, Math.max(0, last + 200 - Date.now()));
    });
}

// ---- selection ----

/** Forgets what was selected, and shows all again. */
export function clearSelection(): void {
    batch(() => {
        for (const one of [token, operation, layer, tensor, expert]) one.value = null;
        for (const one of [tokens, byteRange, timeRange]) one.value = null;
    });
}
