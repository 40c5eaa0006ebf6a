// SPDX-License-Identifier: MIT
/** All access records: filtered, sorted, and each with all that its operation touches. */
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";

import { about, askJson, isFile, path, tensorsById, useJson } from "../api";
import { beginOf } from "../files";
import { count, csv, many, time } from "../format";
import { byteRange, expert, layer, option, tensor, token, view } from "../state";
import { saveText } from "../takeaway";
import { textRows, useTokens } from "../tokens";
import type { AccessRow, RecordsPage } from "../types";
import "./graph-records.css";
import { Operands } from "./records/operands";
import { type Pages, usePages } from "./records/pages";
import { bytesNow, component, filterNow, nearAddress, op, order, PAGE, pageAddress, parseBytes, parseJump, phase, type Query, search } from "./records/query";
import { COLUMNS, Table } from "./records/table";

const graphNode = option("node", "");

export function Records() {
    const query = filterNow();
    const by = order.value;
    const key = JSON.stringify(query);
    const pages = usePages(query, by);
    const [cursor, setCursor] = useState<number | null>(null);
    const [pointed, setPointed] = useState<{ row: number; x: number; y: number } | null>(null);
    const [goTo, setGoTo] = useState<{ row: number } | null>(null);
    const pause = useRef<ReturnType<typeof setTimeout>>(undefined);
    // At once: a jump orders by time, and chooses a row as soon as it is known.
    useLayoutEffect(() => (setCursor(null), setPointed(null)), [key, by]);

    const jump = async (near: Query, choose = true): Promise<boolean> => {
        const byTime = by === "time" || by === "-time";
        if (!byTime) order.value = "time";
        const answer = await askJson<RecordsPage>(nearAddress(query, byTime ? by : "time", near));
        if (answer.total === 0) return false;
        setGoTo({ row: answer.from });
        if (choose) setCursor(answer.from);
        return true;
    };
    // The table follows the play head.
    useEffect(() => {
        if (token.value !== null && (by === "time" || by === "-time")) void jump({ near_token: token.value }, false).catch(() => {});
    }, [token.value]);

    const point = (row: number | null, at: { x: number; y: number }) => {
        clearTimeout(pause.current);
        if (row === null) return setPointed(null);
        if (pointed?.row === row) return;
        setPointed(null);
        pause.current = setTimeout(() => setPointed({ row, ...at }), 180);
    };
    useEffect(() => () => clearTimeout(pause.current), []);

    return (
        <section class="picture fills records-view" aria-label="Access records">
            <header>
                <h2>Access records</h2>
                <Said pages={pages} by={by} />
                <Jump onJump={jump} />
                <div class="take" role="group" aria-label="Take away">
                    <button type="button" onClick={() => void takeCsv(query, by, cursor ?? 0)} title={`Save the ${count(MOST_ROWS)} rows from the chosen one, or from the first, as CSV`}>CSV</button>
                </div>
            </header>
            <Filters />
            {pages.error ? (
                <p class="empty" role="alert">{pages.error}</p>
            ) : pages.total === 0 ? (
                <p class="empty">{Object.values(query).some((value) => value !== null) ? "No record passes these filters. Let go of one of them, above." : "The trace has no record yet."}</p>
            ) : (
                <div class="beside">
                    <Table pages={pages} cursor={cursor} onCursor={setCursor} onPoint={point} goTo={goTo} />
                    {cursor !== null && pages.row(cursor) && (
                        <aside aria-label="The chosen record"><Chosen row={pages.row(cursor)!} onClose={() => setCursor(null)} /></aside>
                    )}
                </div>
            )}
            {pointed && pointed.row !== cursor && pages.row(pointed.row) && <OperandsCard row={pages.row(pointed.row)!} at={pointed} />}
        </section>
    );
}

function Said({ pages, by }: { pages: Pages; by: string }) {
    if (pages.total === null) return pages.error ? null : <p role="status">Counting</p>;
    const all = many(pages.total, "record");
    const cut = pages.reachable < pages.total;
    const what: Record<string, string> = {
        "-bytes": "that touch the most bytes", bytes: "that touch the fewest bytes", "-duration": "that took longest",
        duration: "that took least time", "-offset": "with the highest offsets", offset: "with the lowest offsets",
    };
    return (
        <p role="status" data-total={pages.total}>
            {all}
            {cut && (isFile
                ? `. This file holds the first ${count(pages.reachable)}; the trace has all: tat view.`
                : `. Here are the ${count(pages.reachable)} ${what[by] ?? ""}; narrow the filters to see others.`)}
            {pages.busy && <span class="busy"> loading</span>}
        </p>
    );
}

// ---- filters ----

function Filters() {
    const run = about.value!;
    const phases = useMemo(() => [...new Set(["warmup", ...run.phases.map((one) => one.phase)])], [run]);
    const ops = useMemo(() => [...run.ops].sort(), [run]);
    const layers = Array.from({ length: Math.min(run.model.layers, 1000) }, (_, i) => String(i));
    return (
        <div class="switches filters" role="group" aria-label="Filters">
            <Pick label="phase" value={phase.value} items={phases} onPick={(value) => (phase.value = value)} />
            <Pick label="layer" value={layer.value === null ? "" : String(layer.value)} items={layers} onPick={(value) => (layer.value = value === "" ? null : Number(value))} />
            <Pick label="component" value={component.value} items={[...run.components, "activations"]} onPick={(value) => (component.value = value)} />
            <Pick label="operation" value={op.value} items={ops} onPick={(value) => (op.value = value)} />
            {run.has.experts && (
                <Pick
                    label="expert" value={expert.value === null ? "" : String(expert.value)}
                    items={Array.from({ length: Math.min(run.model.experts, 1024) }, (_, i) => String(i))}
                    onPick={(value) => (expert.value = value === "" ? null : Number(value))}
                />
            )}
            <Search />
            <Bytes />
        </div>
    );
}

function Pick({ label, value, items, onPick }: { label: string; value: string; items: string[]; onPick(value: string): void }) {
    const known = value === "" || items.includes(value) ? items : [...items, value];
    return (
        <label>
            {label}
            <select value={value} onChange={(event) => onPick(event.currentTarget.value)} aria-label={`Only this ${label}`}>
                <option value="">all</option>
                {known.map((item) => <option key={item} value={item}>{item}</option>)}
            </select>
        </label>
    );
}

function Search() {
    const [text, setText] = useState(search.value);
    const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
    useEffect(() => setText(search.value), [search.value]);
    useEffect(() => () => clearTimeout(timer.current), []);
    const chosen = tensor.value === null ? "part of a name" : (tensorsById.value.get(tensor.value)?.name ?? "part of a name");
    return (
        <label>
            tensor
            <input
                type="search" value={text} placeholder={chosen} size={12} aria-label="Only tensors with this in their name"
                onInput={(event) => {
                    const { value } = event.currentTarget;
                    setText(value);
                    clearTimeout(timer.current);
                    timer.current = setTimeout(() => (search.value = value.trim()), 250);
                }}
            />
        </label>
    );
}

/** Which bytes of the model file. */
function Bytes() {
    const range = byteRange.value;
    const [text, setText] = useState("");
    const [wrong, setWrong] = useState(false);
    useEffect(() => (setText(range ? `${range.lo}-${Math.ceil(range.hi) - 1}` : ""), setWrong(false)), [range?.lo, range?.hi]);
    const take = () => {
        const parsed = parseBytes(text);
        setWrong(text.trim() !== "" && parsed === null);
        if (parsed || text.trim() === "") byteRange.value = parsed;
    };
    return (
        <form onSubmit={(event) => (event.preventDefault(), take())}>
            <label>
                bytes
                <input
                    value={text} size={13} placeholder="first-last of file" aria-invalid={wrong} onBlur={take}
                    aria-label="Only what touches these bytes of the model file, such as 4096-8191 or 0x1000-0x1fff"
                    title="4096, 4096-8191 or 0x1000-0x1fff: what touches these bytes of the model file"
                    onInput={(event) => setText(event.currentTarget.value)}
                />
            </label>
            {range && !bytesNow() && <span class="faint">in several files: not a filter</span>}
        </form>
    );
}

function Jump({ onJump }: { onJump(near: Query): Promise<boolean> }) {
    const [text, setText] = useState("");
    const [trouble, setTrouble] = useState("");
    const go = async () => {
        const near = parseJump(text);
        if (!near) return setTrouble(text.trim() === "" ? "" : "a token such as 57, or a time such as 1.5s");
        try {
            setTrouble((await onJump(near)) ? "" : "no record passes the filters");
        } catch (error) {
            setTrouble((error as Error).message);
        }
    };
    return (
        <form class="jump" onSubmit={(event) => (event.preventDefault(), void go())}>
            <label>
                go to
                <input value={text} size={14} placeholder="57, or 1.5s" aria-label="Go to a token, or to a time" aria-invalid={trouble !== ""} onInput={(event) => setText(event.currentTarget.value)} />
            </label>
            {trouble && <span class="hint" role="alert">{trouble}</span>}
        </form>
    );
}

// ---- one record ----

function useOperation(row: AccessRow) {
    return useJson<RecordsPage>(path("records", { graph: row.graph, node: row.node }));
}

const whereOf = (row: AccessRow): string =>
    [
        row.token === null ? row.phase : `token ${count(row.token)}${row.tokens > 1 ? ` to ${count(row.token + row.tokens - 1)}` : ""}, ${row.phase}`,
        row.layer === null ? null : `layer ${row.layer}`,
        row.start_ns === null ? null : `at ${time(row.start_ns)}`,
        row.duration_ns === null ? null : `took ${time(row.duration_ns)}`,
    ].filter(Boolean).join(", ");

/** The text of the tokens that it was computed for. */
function Text({ row }: { row: AccessRow }) {
    const { data: all } = useTokens();
    if (row.token === null) return null;
    return (
        <dl>
            {textRows(all, row.token, row.token + Math.max(1, row.tokens) - 1).map(([name, value]) => (
                <div key={name}><dt>{name}</dt><dd>{value}</dd></div>
            ))}
        </dl>
    );
}

function OperandsCard({ row, at }: { row: AccessRow; at: { x: number; y: number } }) {
    const answer = useOperation(row);
    const [leftward, upward] = [at.x > innerWidth / 2, at.y > innerHeight / 2];
    const style = {
        position: "fixed",
        [leftward ? "right" : "left"]: `${(leftward ? innerWidth - at.x : at.x) + 16}px`,
        [upward ? "bottom" : "top"]: `${(upward ? innerHeight - at.y : at.y) + 12}px`,
    } as const;
    return (
        <div class="card" style={style}>
            <strong>{`${row.op}, operation ${count(row.node)} of graph ${count(row.graph)}`}</strong>
            <p>{whereOf(row)}</p>
            <Text row={row} />
            {answer.data && <Operands page={answer.data} />}
        </div>
    );
}

/** Its bytes, one file behind the other. */
function bytesOf(row: AccessRow): { lo: number; hi: number } {
    const lo = row.offset + beginOf(about.value!, tensorsById.value.get(row.tensor_id)?.file ?? 1);
    return { lo, hi: lo + row.size };
}

function Chosen({ row, onClose }: { row: AccessRow; onClose(): void }) {
    const answer = useOperation(row);
    const isWeight = row.memory === "file" || row.memory === "copy";
    const showGraph = () => {
        token.value = row.token;
        layer.value = row.layer;
        graphNode.value = String(row.node);
        view.value = "graph";
    };
    return (
        <>
            <h2>
                {`${row.op}, ${row.operand}`}
                <button type="button" class="close" onClick={onClose} aria-label="Close">{"\u00d7"}</button>
            </h2>
            <p class="note">{whereOf(row)}</p>
            <dl class="facts">
                <div><dt>graph, operation</dt><dd>{`${count(row.graph)}, ${count(row.node)}`}</dd></div>
                <div><dt>tensor</dt><dd>{`${row.tensor ?? ""} (${row.tensor_id})`}</dd></div>
                <div><dt>memory</dt><dd>{row.memory}</dd></div>
                <div><dt>{isWeight ? "byte of the file" : "byte of the tensor"}</dt><dd>{count(row.offset)}</dd></div>
                <div><dt>bytes</dt><dd>{count(row.size)}</dd></div>
                {row.stride !== null && <div><dt>runs, distance</dt><dd>{`${count(row.count ?? 0)}, ${count(row.stride)} bytes`}</dd></div>}
                {row.role && <div><dt>role</dt><dd>{row.role}</dd></div>}
            </dl>
            <p class="only">
                <button type="button" onClick={() => ((tensor.value = row.tensor_id), (search.value = ""))}>Only this tensor</button>
                {row.layer !== null && <button type="button" onClick={() => (layer.value = row.layer)}>{`Only layer ${row.layer}`}</button>}
                {row.expert !== null && <button type="button" onClick={() => (expert.value = row.expert)}>{`Only expert ${row.expert}`}</button>}
                {isWeight && row.size > 0 && row.stride === null && (
                    <button type="button" onClick={() => (byteRange.value = bytesOf(row))}>Only these bytes</button>
                )}
                {row.token !== null && row.token !== token.value && <button type="button" onClick={() => (token.value = row.token)}>Play head here</button>}
                {row.token !== null && <button type="button" onClick={showGraph}>Show in the graph</button>}
            </p>
            <h3>All operands</h3>
            {answer.error && <p class="note" role="alert">{answer.error}</p>}
            {answer.data && <Operands page={answer.data} />}
        </>
    );
}

// ---- taking it away ----

const MOST_ROWS = 10_000;

/** The columns of `tat export --format csv`, from a row on. */
async function takeCsv(query: Query, by: string, from: number): Promise<void> {
    const rows: AccessRow[] = [];
    const first = Math.floor(from / PAGE);
    for (let page = first; page < first + MOST_ROWS / PAGE; page++) {
        const answer = await askJson<RecordsPage>(pageAddress(query, by, page));
        rows.push(...answer.rows);
        if (answer.rows.length < PAGE) break;
    }
    const columns = Object.keys(rows[0] ?? Object.fromEntries(COLUMNS.map(({ id }) => [id, 0]))) as (keyof AccessRow)[];
    saveText("records", "csv", csv(columns, rows.map((row) => columns.map((column) => row[column]))));
}
