// SPDX-License-Identifier: MIT
/**
 * Answers about traces. They come from the server that sent this page, or from `window.__TAT__` in a file of
 * `tat export --format html`. Views ask by address and do not know which it is.
 */
import { computed, type ReadonlySignal, signal } from "@preact/signals";
import { useLayoutEffect, useMemo } from "preact/hooks";

import { decodeTile, type Tile } from "./binary";
import { type Embedded, embedded, graphTokens, type Source } from "./embedded";
import { Kept, type Sized } from "./kept";
import { lane } from "./lane";
import { trace, traces } from "./state";
import { type About, SCHEMA, type Tensor, type TraceEntry, type Traces } from "./types";

/** An answer, or why there is none. While a new one is on its way, `data` is still the one before. */
export interface Answer<T> {
    data: T | null;
    error: string | null;
    busy: boolean;
    /** What `data` answers. */
    address: string | null;
}

// ---- the two sources ----

async function request(address: string): Promise<Response> {
    let response: Response;
    try {
        response = await fetch(address);
    } catch {
        throw new Error("The server does not answer. Is `tat view` still running?");
    }
    if (response.ok) return response;
    const text = await response.text();
    let said = text.trim().slice(0, 500);
    try {
        said = (JSON.parse(text) as { error: string }).error;
    } catch {
        // Not JSON: one line of text.
    }
    throw new Error(said || `The server answered ${response.status}.`);
}

/** A browser has six connections to a server: what takes long must not hold them all, or pictures wait for it. */
const long = lane(2);
const takesLong = (address: string): boolean => /\/(sections|plan)\?/.test(address);

async function parsed(address: string): Promise<Sized<unknown>> {
    const text = await (await request(address)).text();
    return { answer: JSON.parse(text), bytes: text.length };
}

const server: Source = {
    json: (address) => (takesLong(address) ? long(() => parsed(address)) : parsed(address)),
    bytes: async (address) => (await request(address)).arrayBuffer(),
};

declare global {
    interface Window {
        __TAT__?: Embedded;
    }
}

/** The page is a file, not a server's. */
export const isFile = typeof window !== "undefined" && window.__TAT__ !== undefined;
const source: Source = isFile ? embedded(window.__TAT__!) : server;

/** Tokens whose graphs a file holds; null: the server has all. */
export const graphsHeld = (id: number): number[] | null => (isFile ? graphTokens(window.__TAT__!, id) : null);

// ---- asking ----

/** Answers of a running trace are forgotten when its revision changes. */
const kept = new Kept(300, 32 << 20);

export const askJson = <T>(address: string): Promise<T> => kept.once(`json ${address}`, () => source.json(address) as Promise<Sized<T>>);

export const askTile = (address: string, magic: "TATG" | "TATO"): Promise<Tile> =>
    kept.once(`tile ${address}`, async () => {
        const buffer = await source.bytes(address);
        return { answer: decodeTile(buffer, magic), bytes: buffer.byteLength };
    });

/** An address below a trace: path("grid", { x: "token" }) is "api/traces/0/grid?x=token". null and undefined are left out. */
export function path(
    what: string,
    parameters: Record<string, string | number | null | undefined> = {},
    id: number = trace.value,
): string {
    const query = Object.entries(parameters)
        .filter(([, value]) => value !== null && value !== undefined)
        .map(([key, value]) => `${key}=${encodeURIComponent(String(value)).replaceAll("%2C", ",")}`)
        .join("&");
    return `api/traces/${id}/${what}${query ? `?${query}` : ""}`;
}

function useAnswer<T>(address: string | null, ask: (address: string) => Promise<T>): Answer<T> {
    const answer = useMemo(() => signal<Answer<T>>({ data: null, error: null, busy: address !== null, address: null }), []);
    const revision = revisions.value;
    // Before it is drawn: what answers the question before is never shown as if nothing were to come.
    useLayoutEffect(() => {
        if (address === null) {
            answer.value = { data: null, error: null, busy: false, address: null };
            return undefined;
        }
        let current = true;
        answer.value = { ...answer.peek(), busy: true };
        ask(address).then(
            (data) => current && (answer.value = { data, error: null, busy: false, address }),
            (error: Error) => current && (answer.value = { data: null, error: error.message, busy: false, address }),
        );
        return () => {
            current = false;
        };
    }, [address, revision]);
    return answer.value;
}

/** An answer in JSON; null asks nothing. */
export const useJson = <T>(address: string | null): Answer<T> => useAnswer(address, askJson<T>);

/** A tile; null asks nothing. */
export function useTile(address: string | null, magic: "TATG" | "TATO"): Answer<Tile> {
    return useAnswer(address, (at) => askTile(at, magic));
}

/** A section of `tat report --json`, such as "experts"; `options` as the command's: { memory: "8G" }. */
export function useSection<T>(name: string, options: Record<string, string | null> = {}, id: number = trace.value): Answer<T> {
    const answer = useJson<Record<string, unknown>>(path("sections", { names: name, ...options }, id));
    return { ...answer, data: answer.data === null ? null : (sectionOf(answer.data, name) as T) };
}

function sectionOf(answer: Record<string, unknown>, name: string): unknown {
    const sections = answer.sections;
    if (Array.isArray(sections)) return sections.find((one) => (one as { name?: string }).name === name) ?? null;
    return (sections as Record<string, unknown> | undefined)?.[name] ?? answer[name] ?? answer;
}

// ---- what every view needs ----

/** All traces that the server shows; empty until it has answered. */
export const entries = signal<TraceEntry[]>([]);
/** The version of tat. */
export const version = signal("");
/** Why there is nothing to show; null: there is. */
export const failure = signal<string | null>(null);
/** Why what shows is no longer followed; null: it is, or nothing is to follow. */
export const lost = signal<string | null>(null);
const abouts = signal<Record<number, About>>({});
/** Changes whenever one of the shown traces has grown. */
const revisions = computed(() => traces.value.map((id) => abouts.value[id]?.revision ?? -1).join());

export const aboutOf = (id: number): About | null => abouts.value[id] ?? null;
/** What the first of the chosen traces is; null until it is known. */
export const about: ReadonlySignal<About | null> = computed(() => aboutOf(trace.value));

/** A tensor of the first trace by its id. */
export const tensorsById: ReadonlySignal<Map<number, Tensor>> = computed(
    () => new Map((about.value?.tensors ?? []).map((tensor) => [tensor.id, tensor])),
);

export const isRunning = (id: number): boolean => entries.value.find((entry) => entry.id === id)?.running ?? false;

async function learn(id: number, again: boolean): Promise<void> {
    const address = path("about", {}, id);
    if (again) kept.forget(`json ${address}`);
    const answer = await askJson<About>(address);
    if (answer.schema !== SCHEMA) {
        throw new Error(`The answers have schema ${answer.schema}; this page knows ${SCHEMA}. Reload the page.`);
    }
    if (again && answer.revision !== abouts.peek()[id]?.revision) {
        const mine = `api/traces/${id}/`;
        for (const key of kept.keys()) if (key.includes(mine) && !key.endsWith(address)) kept.forget(key);
    }
    if (answer.revision !== abouts.peek()[id]?.revision) abouts.value = { ...abouts.peek(), [id]: answer };
}

/** Asks for all traces, then for those that are chosen, and once a second for what has changed in those that still run. */
export async function begin(): Promise<void> {
    const list = async () => {
        kept.forget("json api/traces");
        const answer = await askJson<Traces>("api/traces");
        entries.value = answer.traces;
        version.value = answer.tat;
        failure.value = answer.traces.length === 0 ? "The server has no trace to show. Start it with one: `tat view TRACE`." : null;
    };
    try {
        await list();
    } catch (error) {
        failure.value = (error as Error).message;
        return;
    }
    const known = (id: number) => entries.peek().some((entry) => entry.id === id);
    traces.subscribe((ids) => {
        const wrong = ids.filter((id) => !known(id));
        if (wrong.length > 0 && entries.peek().length > 0) {
            const good = ids.filter(known);
            traces.value = good.length > 0 ? good : [entries.peek()[0]!.id];
            return;
        }
        for (const id of ids) learn(id, false).catch((error: Error) => (failure.value = error.message));
    });
    if (isFile) return;
    setInterval(() => {
        const running = traces.peek().filter(isRunning);
        if (running.length === 0 || document.hidden) return;
        Promise.all(running.map((id) => learn(id, true)))
            .then(list)
            .then(() => Promise.all(running.filter((id) => !isRunning(id)).map((id) => learn(id, true)))) // its end
            .then(
                () => (lost.value = null),
                (error: Error) => (lost.value = error.message),
            );
    }, 1000);
}
