// SPDX-License-Identifier: MIT
/** Rows by number, in pages that are asked for when they are seen. */
import { type ReadonlySignal, signal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";

import { about, askJson } from "../../api";
import type { AccessRow, RecordsPage } from "../../types";
import { PAGE, pageAddress, type Query } from "./query";

export interface Pages {
    /** What is asked; the same while the trace grows. */
    question: string;
    /** null: not known yet. */
    total: number | null;
    reachable: number;
    error: string | null;
    busy: boolean;
    row(number: number): AccessRow | null;
    /** Rows that are seen. */
    want(first: number, last: number): void;
}

interface Known {
    total: number | null;
    reachable: number;
    error: string | null;
    waiting: number;
    version: number;
}

/** What showed before the trace had grown. */
interface Shown {
    question: string;
    rows: Map<number, AccessRow[]>;
    /** What showed before that. */
    old: Map<number, AccessRow[]>;
    known: ReadonlySignal<Known>;
}

const PAUSE = 60; // milliseconds in which a scroll bar may move on, so that not all it passes is asked for
const KEPT = 60; // pages

export function usePages(query: Query, order: string): Pages {
    const revision = about.value?.revision;
    const question = JSON.stringify([query, order]);
    const last = useRef<Shown | null>(null);
    const pages = useMemo(() => {
        // While a recording grows, what shows stays until its rows have come anew, even if it grows again before they have.
        const before = last.current?.question === question ? last.current : null;
        const old = new Map([...(before?.old ?? []), ...(before?.rows ?? [])].slice(-KEPT));
        const rows = new Map<number, AccessRow[]>();
        const asked = new Set<number>();
        const { total, reachable } = before?.known.peek() ?? { total: null, reachable: 0 };
        const known = signal<Known>({ total, reachable, error: null, waiting: 0, version: 0 });
        last.current = { question, rows, old, known };
        let timer: ReturnType<typeof setTimeout> | undefined;
        let wanted: [number, number] = [0, 0];
        const change = (to: Partial<Known>) => (known.value = { ...known.peek(), version: known.peek().version + 1, ...to });
        const ask = (page: number) => {
            if (asked.has(page) || rows.has(page)) return;
            asked.add(page);
            change({ waiting: known.peek().waiting + 1 });
            askJson<RecordsPage>(pageAddress(query, order, page))
                .then((answer) => {
                    rows.set(page, answer.rows);
                    if (rows.size > KEPT) rows.delete(rows.keys().next().value!);
                    change({ total: answer.total, reachable: answer.reachable, error: null, waiting: known.peek().waiting - 1 });
                })
                .catch((error: Error) => change({ error: error.message, waiting: known.peek().waiting - 1 }))
                .finally(() => asked.delete(page));
        };
        return {
            known,
            row: (number: number) => (rows.get(Math.floor(number / PAGE)) ?? old.get(Math.floor(number / PAGE)))?.[number % PAGE] ?? null,
            want: (first: number, last: number) => {
                wanted = [Math.floor(first / PAGE), Math.floor(last / PAGE)];
                const missing = (now: (page: number) => boolean) => {
                    for (let page = wanted[0]; page <= wanted[1]; page++) if (now(page)) ask(page);
                };
                clearTimeout(timer);
                timer = setTimeout(() => missing(() => true), PAUSE);
                // Beside what is there, as when rows pass one by one, there is nothing to wait for.
                missing((page) => known.peek().total === null || rows.has(page - 1) || rows.has(page + 1));
            },
            stop: () => clearTimeout(timer),
        };
    }, [question, revision]);
    useEffect(() => pages.stop, [pages]);
    const { total, reachable, error, waiting } = pages.known.value;
    return { question, total, reachable, error, busy: waiting > 0, row: pages.row, want: pages.want };
}
