// SPDX-License-Identifier: MIT
/** Which records are asked for: the selection that all views share, and filters of this view's own. */
import { about, path } from "../../api";
import { inFile } from "../../files";
import { byteRange, expert, layer, option, tensor, timeRange, tokens } from "../../state";

export const phase = option("phase", "");
export const component = option("component", "");
export const op = option("operation", "");
/** Part of a tensor's name. */
export const search = option("find", "");
export const order = option("order", "time");

export const PAGE = 100; // rows

export type Query = Record<string, string | number | null>;

const floor = (value: number): number => Math.max(0, Math.floor(value));

/** The bytes that are chosen, in their file; null: none, or they are not all in one file, which is no filter of records. */
export function bytesNow(): { file: number; lo: number; hi: number } | null {
    const range = byteRange.value;
    return range && about.value ? inFile(about.value, { lo: floor(range.lo), hi: Math.ceil(range.hi) }) : null;
}

/** Without order and place: what decides how many there are. */
export function filterNow(): Query {
    const [t, ns] = [tokens.value, timeRange.value];
    const b = bytesNow();
    return {
        phase: phase.value || null,
        layer: layer.value,
        component: component.value || null,
        op: op.value || null,
        tensor: search.value || null,
        tensor_id: search.value ? null : tensor.value,
        expert: expert.value,
        tokens: t && `${floor(t.lo)}:${Math.max(floor(t.lo), Math.ceil(t.hi) - 1)}`,
        file: b && about.value!.model.file_sizes.length > 1 ? b.file : null,
        lo: b && b.lo,
        hi: b && b.hi,
        t0: ns && floor(ns.lo),
        t1: ns && Math.ceil(ns.hi),
    };
}

export const pageAddress = (query: Query, by: string, page: number): string =>
    path("records", { ...query, order: by === "time" ? null : by, from: page * PAGE, count: PAGE });

export const nearAddress = (query: Query, by: string, near: Query): string =>
    path("records", { ...query, order: by === "time" ? null : by, ...near, count: 1 });

/** "57" and "token 57" are a token, "1.5s", "20 ms", "300us" a time in nanoseconds. null: neither. */
export function parseJump(text: string): Query | null {
    const plain = text.trim().toLowerCase().replaceAll(",", "");
    const asToken = /^(?:token\s*)?(\d{1,9})$/.exec(plain);
    if (asToken) return { near_token: Number(asToken[1]) };
    const asTime = /^(\d+(?:\.\d+)?)\s*(ns|us|\u00b5s|ms|s|min)$/.exec(plain);
    const units: Record<string, number> = { ns: 1, us: 1e3, "\u00b5s": 1e3, ms: 1e6, s: 1e9, min: 60e9 };
    return asTime ? { near: Math.round(Number(asTime[1]) * units[asTime[2]!]!) } : null;
}

/** "4096", "0x1000-0x1fff", "4096-8191": bytes from the first to the last. null: nothing of the kind. */
export function parseBytes(text: string): { lo: number; hi: number } | null {
    const found = /^\s*(0x[0-9a-f]{1,13}|\d{1,15})\s*(?:[-:\u2013]\s*(0x[0-9a-f]{1,13}|\d{1,15}))?\s*$/i.exec(text.replaceAll(",", ""));
    if (!found) return null;
    const lo = Number(found[1]);
    const last = found[2] === undefined ? lo : Number(found[2]);
    return last >= lo ? { lo, hi: last + 1 } : null;
}

/** Time goes forwards, then backwards; all else the most first, then the least, then time again. */
export function nextOrder(by: string, now: string): string {
    if (by === "time") return now === "time" ? "-time" : "time";
    return now === `-${by}` ? by : now === by ? "time" : `-${by}`;
}
