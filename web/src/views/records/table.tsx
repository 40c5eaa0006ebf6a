// SPDX-License-Identifier: MIT
/** The table itself: as many rows as are seen, however many there are. */
import { elementScroll, observeElementOffset, observeElementRect, Virtualizer } from "@tanstack/virtual-core";
import { useEffect, useLayoutEffect, useReducer, useRef, useState } from "preact/hooks";

import { componentColour } from "../../colours";
import { bytes, count, exactBytes, time } from "../../format";
import { token } from "../../state";
import type { AccessRow } from "../../types";
import type { Pages } from "./pages";
import { nextOrder, order } from "./query";
import { ROW, scrolled, scrollTo, slotsFor } from "./scroll";

export interface Column {
    id: string;
    title: string;
    says: string;
    width: string;
    right?: boolean;
    /** Left out where there is little room. */
    roomy?: true;
    /** How it is sorted by, if it can be. */
    sort?: string;
    print(row: AccessRow): string;
    /** In full, if the cell is short. */
    exact?(row: AccessRow): string;
}

const millis = new Intl.NumberFormat("en-US", { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const or = (value: string | number | null): string => (value === null ? "" : String(value));

export const COLUMNS: Column[] = [
    { id: "start_ns", title: "start, ms", says: "When the operation began, in milliseconds since the trace began", width: "76px", right: true, sort: "time",
        print: (row) => (row.start_ns === null ? "" : millis.format(row.start_ns / 1e6)), exact: (row) => (row.start_ns === null ? "" : `${count(row.start_ns)} ns`) },
    { id: "token", title: "token", says: "The first token that was computed; empty in warm-up", width: "48px", right: true, print: (row) => (row.token === null ? "" : count(row.token)) },
    { id: "phase", title: "phase", says: "What kind of tokens were computed", width: "58px", print: (row) => row.phase },
    { id: "layer", title: "layer", says: "Layer of the model", width: "38px", right: true, print: (row) => or(row.layer) },
    { id: "op", title: "operation", says: "What was computed", width: "minmax(80px, 160px)", print: (row) => row.op },
    { id: "operand", title: "operand", says: "dst: the result; src: what it is computed from", width: "56px", print: (row) => row.operand },
    { id: "access", title: "access", says: "Read or written", width: "48px", roomy: true, print: (row) => row.access },
    { id: "tensor", title: "tensor", says: "That owns the bytes", width: "minmax(110px, 420px)", print: (row) => or(row.tensor), exact: (row) => `${or(row.tensor)}, number ${row.tensor_id}` },
    { id: "component", title: "component", says: "Part of the model that the tensor is", width: "92px", roomy: true, print: (row) => or(row.component) },
    { id: "expert", title: "expert", says: "Whose slice of the tensor it is", width: "44px", right: true, print: (row) => or(row.expert) },
    { id: "offset", title: "offset", says: "First byte: in the model file for weights, else in the tensor", width: "86px", right: true, sort: "offset", print: (row) => count(row.offset) },
    { id: "size", title: "bytes", says: "Touched, each once", width: "68px", right: true, sort: "bytes", print: (row) => bytes(row.size), exact: (row) => exactBytes(row.size) },
    { id: "count", title: "runs", says: "Runs of bytes without a gap; empty where the place is known within bounds only", width: "34px", roomy: true, right: true,
        print: (row) => (row.count === null ? "" : count(row.count)), exact: (row) => (row.stride === null ? "" : `${count(row.stride)} bytes from one run to the next`) },
    { id: "duration_ns", title: "duration", says: "Of the whole operation; the same in each of its records", width: "66px", right: true, sort: "duration",
        print: (row) => (row.duration_ns === null ? "" : time(row.duration_ns)), exact: (row) => (row.duration_ns === null ? "" : `${count(row.duration_ns)} ns`) },
];

const TEMPLATE = COLUMNS.map((column) => column.width).join(" ");
const NARROW = COLUMNS.filter(({ roomy }) => !roomy).map((column) => column.width).join(" ");
const classOf = ({ right, roomy }: Column): string => [right ? "right" : "", roomy ? "roomy" : ""].filter(Boolean).join(" ");

export interface TableProps {
    pages: Pages;
    /** The row of the keyboard's cursor. */
    cursor: number | null;
    onCursor(row: number | null): void;
    onPoint(row: number | null, at: { x: number; y: number }): void;
    /** A row that is to be shown; a new object for each wish. */
    goTo: { row: number } | null;
}

export function Table({ pages, cursor, onCursor, onPoint, goTo }: TableProps) {
    const body = useRef<HTMLDivElement>(null);
    const head = useRef<HTMLDivElement>(null);
    const [, redraw] = useReducer((n: number) => n + 1, 0);
    const [base, setBase] = useState(0);
    const place = useRef({ base: 0, top: 0 });
    const rows = pages.reachable;
    const slots = slotsFor(rows);

    const [virtual] = useState(() => new Virtualizer<HTMLDivElement, HTMLDivElement>({
        count: slots, estimateSize: () => ROW, getScrollElement: () => body.current, overscan: 8,
        scrollToFn: elementScroll, observeElementRect, observeElementOffset, onChange: () => redraw(0),
    }));
    virtual.setOptions({ ...virtual.options, count: slots });
    useLayoutEffect(() => virtual._didMount(), []);
    useLayoutEffect(() => virtual._willUpdate());

    const height = () => body.current?.clientHeight ?? 400;
    const set = (to: { base: number; top: number }) => {
        const moved = to.top !== body.current!.scrollTop;
        place.current = to;
        setBase(to.base);
        if (moved) body.current!.scrollTop = to.top;
        place.current.top = body.current!.scrollTop;
    };
    const bring = (row: number, middle: boolean) => {
        const first = place.current.base + body.current!.scrollTop / ROW;
        const fits = Math.floor(height() / ROW);
        if (middle) set(scrollTo(row - Math.floor(fits / 3), rows, height()));
        else if (row < first) set(scrollTo(row, rows, height()));
        else if (row >= first + fits - 1) set(scrollTo(row - fits + 2, rows, height()));
    };
    useLayoutEffect(() => {
        if (body.current) set(scrollTo(0, rows, height()));
    }, [pages.question]);
    useLayoutEffect(() => {
        if (goTo && rows > 0) bring(goTo.row, true);
    }, [goTo, rows > 0]);

    const items = virtual.getVirtualItems();
    const first = base + (items[0]?.index ?? 0);
    const last = base + (items[items.length - 1]?.index ?? 30);
    useEffect(() => pages.want(first, Math.max(first, last)), [pages.want, first, last]);

    const onScroll = () => {
        if (!head.current || !body.current) return; // the table has just gone
        head.current.scrollLeft = body.current.scrollLeft;
        const { top } = place.current;
        const next = scrolled(place.current.base, top, body.current.scrollTop, rows, height());
        if (next.base !== place.current.base || next.top !== body.current.scrollTop) set(next);
        else place.current = next;
        onPoint(null, { x: 0, y: 0 });
    };

    const key = (event: KeyboardEvent) => {
        if (event.ctrlKey || event.metaKey || event.altKey || rows === 0) return;
        const page = Math.max(1, Math.floor(height() / ROW) - 2);
        const at = cursor ?? Math.ceil(place.current.base + body.current!.scrollTop / ROW) - 1;
        const to: Record<string, number> = {
            ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: rows - 1,
        };
        const wanted = to[event.key];
        if (wanted === undefined) return;
        event.preventDefault();
        event.stopPropagation();
        const row = Math.max(0, Math.min(rows - 1, wanted));
        onCursor(row);
        bring(row, false);
    };

    const rowAt = (event: Event): number | null => {
        const element = (event.target as HTMLElement).closest<HTMLElement>("[data-row]");
        return element ? Number(element.dataset.row) : null;
    };

    return (
        <div class="records" role="grid" aria-label="Access records" aria-rowcount={rows + 1} aria-colcount={COLUMNS.length} style={{ "--columns": TEMPLATE, "--narrow": NARROW }}>
            <div class="head" ref={head} role="rowgroup">
                <div class="row" role="row" aria-rowindex={1}>
                    {COLUMNS.map((column) => <Heading key={column.id} column={column} />)}
                </div>
            </div>
            <div
                class="rows" ref={body} tabIndex={0} aria-label="Rows: arrow keys go from one to the next" onScroll={onScroll} onKeyDown={key}
                aria-activedescendant={cursor === null ? undefined : `record-${cursor}`}
                onClick={(event) => onCursor(rowAt(event))}
                onPointerMove={(event) => onPoint(rowAt(event), { x: event.clientX, y: event.clientY })}
                onPointerLeave={() => onPoint(null, { x: 0, y: 0 })}
            >
                <div class="slots" role="rowgroup" style={{ height: `${slots * ROW}px` }}>
                    {items.map((item) => {
                        const number = base + item.index;
                        return <Row key={number} number={number} top={item.index * ROW} row={pages.row(number)} isCursor={number === cursor} />;
                    })}
                </div>
            </div>
        </div>
    );
}

function Heading({ column }: { column: Column }) {
    const { sort, title, says } = column;
    const now = order.value;
    const direction = now === sort ? "ascending" : now === `-${sort}` ? "descending" : "none";
    return (
        <div class={classOf(column)} role="columnheader" title={says} aria-sort={sort ? direction : undefined}>
            {sort ? (
                <button type="button" onClick={() => (order.value = nextOrder(sort, now))} title={`${says}. Click to sort.`}>
                    {title}
                    <span aria-hidden="true">{direction === "ascending" ? " \u2191" : direction === "descending" ? " \u2193" : ""}</span>
                </button>
            ) : title}
        </div>
    );
}

function Row({ number, top, row, isCursor }: { number: number; top: number; row: AccessRow | null; isCursor: boolean }) {
    const at = row !== null && row.token !== null && token.value !== null && token.value >= row.token && token.value < row.token + row.tokens;
    return (
        <div
            class={`row${isCursor ? " cursor" : ""}${at ? " at" : ""}${row && row.size === 0 ? " untouched" : ""}`}
            role="row" id={`record-${number}`} aria-rowindex={number + 2} aria-selected={isCursor} data-row={number} style={{ top: `${top}px` }}
        >
            {COLUMNS.map((column) => (
                <div key={column.id} role="gridcell" class={classOf(column)} title={row ? column.exact?.(row) : undefined}>
                    {column.id === "component" && row?.component && <i style={{ background: componentColour(row.component) }} />}
                    {row ? column.print(row) : column.id === "tensor" ? "\u2026" : ""}
                </div>
            ))}
        </div>
    );
}
