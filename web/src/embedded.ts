// SPDX-License-Identifier: MIT
/** The answers that a file of `tat export --format html` holds, asked for by the same addresses as the server's. */
import type { Sized } from "./kept";
import type { RecordsPage } from "./types";

/** By address: JSON as it is, tiles as text in base 64. */
export type Embedded = Record<string, unknown>;

export interface Source {
    json(address: string): Promise<Sized<unknown>>;
    bytes(address: string): Promise<ArrayBuffer>;
}

/** What a window of an answer is asked for with. An embedded answer shows all, at one resolution. */
const WINDOW = new Set(["x0", "x1", "y0", "y1", "t0", "t1", "o0", "o1", "w", "h", "lo", "hi", "limit"]);

const parametersOf = (address: string): URLSearchParams => new URLSearchParams(address.split("?")[1] ?? "");

/** The same address with its parameters sorted, and without those that only choose a window. */
export function withoutWindow(address: string): string {
    const path = address.split("?")[0]!;
    const parts = [...parametersOf(address)].filter(([key]) => !WINDOW.has(key));
    parts.sort(([a], [b]) => (a < b ? -1 : 1));
    return parts.length > 0 ? `${path}?${parts.map(([key, value]) => `${key}=${value}`).join("&")}` : path;
}

const OPEN = "open the trace itself with `tat view`.";

/** Of records, the first ones are there, as they come. */
function recordsOf(all: RecordsPage, address: string): RecordsPage {
    const asked = parametersOf(address);
    if ([...asked.keys()].some((key) => key !== "from" && key !== "count")) {
        throw new Error(`This file holds the first ${all.rows.length.toLocaleString("en-US")} records in the order of time. To filter, to sort and to go to others, ${OPEN}`);
    }
    const from = Number(asked.get("from") ?? 0);
    return { ...all, from, reachable: all.rows.length, rows: all.rows.slice(from, from + Number(asked.get("count") ?? all.rows.length)) };
}

/** Tokens of a trace whose graphs are there. */
export function graphTokens(answers: Embedded, trace: number): number[] {
    const prefix = `api/traces/${trace}/graph?token=`;
    return Object.keys(answers).filter((address) => address.startsWith(prefix)).map((address) => Number(address.slice(prefix.length))).sort((a, b) => a - b);
}

export function embedded(answers: Embedded): Source {
    const byKey = new Map<string, unknown>();
    const records = new Map<string, RecordsPage>();
    for (const [address, answer] of Object.entries(answers)) {
        byKey.set(address, answer);
        const path = address.split("?")[0]!;
        if (path.endsWith("/records")) {
            records.set(path, answer as RecordsPage);
            continue;
        }
        const short = withoutWindow(address);
        if (!byKey.has(short)) byKey.set(short, answer);
    }
    const find = (address: string): unknown => {
        const all = records.get(address.split("?")[0]!);
        if (all) return recordsOf(all, address);
        const found = byKey.get(address) ?? byKey.get(withoutWindow(address));
        if (found === undefined) throw new Error(`This file does not hold that: ${OPEN}`);
        return found;
    };
    return {
        json: async (address) => ({ answer: find(address), bytes: 0 }), // the file has it anyway
        bytes: async (address) => {
            const text = atob(String(find(address)));
            return Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer;
        },
    };
}
