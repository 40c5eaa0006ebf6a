// SPDX-License-Identifier: MIT
/** One token's operations: which there are, what each takes from which, and what they cost. */
import { signal } from "@preact/signals";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { about, graphsHeld, isFile, path, useJson } from "../api";
import { drawLegend } from "../frame";
import { ink } from "../colours";
import { count, csv, many } from "../format";
import { canvasPen, type Pen, svgPen } from "../pen";
import { operationsOf, toToken } from "../play";
import { layer, measure, operation, option, token, trace } from "../state";
import { saveCanvas, saveText } from "../takeaway";
import { textRows, useTokens } from "../tokens";
import type { Graph as GraphAnswer, Measure, Tokens } from "../types";
import type { Size } from "./graph/camera";
import { GraphCanvas } from "./graph/canvas";
import { Details } from "./graph/details";
import { CATEGORIES, categoryColour, sharesOf, valueOf } from "./graph/draw";
import { type Scene, sceneOf, type Thing } from "./graph/scene";
import "./graph-records.css";

/** Layers that are open, or "all"; the chosen operation, by its number in the graph. */
const opened = option("open", "");
const chosenNode = option("node", "");
const goTo = signal<{ thing: Thing | null; wish: number }>({ thing: null, wish: 0 });
const show = (thing: Thing | null): void => void (goTo.value = { thing, wish: goTo.peek().wish + 1 });

/** A graph by its number, such as one of a warm-up, or one of several that computed a token; "": that of the token. */
const graphNumber = option("graph", "");

/** If none is chosen, the first generated one: most tokens are like it. */
function tokenShown(): number {
    const run = about.value!;
    return token.value ?? run.phases.find((phase) => phase.phase === "generate" && phase.tokens > 0)?.token_first ?? 0;
}

export function Graph() {
    const at = tokenShown();
    const number = /^\d+$/.test(graphNumber.value) && Number(graphNumber.value) < about.value!.evaluations ? Number(graphNumber.value) : null;
    const answer = useJson<GraphAnswer>(path("graph", number === null ? { token: at } : { evaluation: number }));
    useLetGo(answer.data);
    const held = graphsHeld(trace.value);
    if (held && !held.includes(at)) return <Held tokens={held} />;
    if (answer.error) return <p class="empty" role="alert">{answer.error}</p>;
    if (!answer.data) return <p class="empty" role="status">Drawing the graph</p>;
    if (answer.data.nodes.length === 0) return <p class="empty">This graph has no operations.</p>;
    return <Drawn key={trace.value} graph={answer.data} at={number === null ? at : answer.data.token} />;
}

/** In place of a graph that a file does not hold: those that it does. */
function Held({ tokens }: { tokens: number[] }) {
    if (tokens.length === 0) return <p class="empty">This file holds no graphs: open the trace itself with `tat view`.</p>;
    return (
        <div class="empty">
            <p>{`This file holds the graphs of ${many(tokens.length, "token")} alone. For others, open the trace itself with \`tat view\`.`}</p>
            <p class="held">
                {tokens.map((one) => <button type="button" key={one} onClick={() => toToken(one)}>{`token ${count(one)}`}</button>)}
            </p>
        </div>
    );
}

/** When another token is chosen, its graph shows again. */
function useLetGo(graph: GraphAnswer | null): void {
    const at = token.value;
    const before = useRef(at);
    useEffect(() => {
        if (at === before.current) return;
        before.current = at;
        const isOfIt = graph !== null && graph.token !== null && at !== null && at >= graph.token && at < graph.token + graph.tokens;
        if (!isOfIt) graphNumber.value = "";
    }, [at]);
}

/** Tokens of a prompt are computed together. */
function tokensOf(graph: GraphAnswer, at: number | null): string {
    if (graph.token === null || at === null) return `graph ${count(graph.evaluation)}, ${graph.phase}`;
    return graph.tokens < 2 ? `token ${count(at)}` : `tokens ${count(graph.token)} to ${count(graph.token + graph.tokens - 1)}`;
}

function wordsOf(graph: GraphAnswer, at: number | null, all: Tokens | null): [string, string][] {
    if (graph.token === null) return [];
    const rows = textRows(all, graph.token, graph.token + Math.max(1, graph.tokens) - 1);
    return rows.map(([name, text]) => [name === "text" ? `text of ${tokensOf(graph, at)}` : name, text]);
}

const isOpenIn = (list: string) => {
    const open = new Set(list.split(","));
    return (key: string): boolean => list === "all" || open.has(key);
};

/** `at`: the token that it is shown for; null: of none, as in a warm-up. */
function Drawn({ graph, at }: { graph: GraphAnswer; at: number | null }) {
    const scene = useMemo(() => sceneOf(graph, isOpenIn(opened.value), 1.55), [graph, opened.value]);
    const taking = useRef<((pen: Pen) => Size) | null>(null);
    const { data: all } = useTokens();
    const shares = useMemo(() => scene.parts.map((part) => sharesOf(part, measure.value, graph.nodes)), [scene, measure.value]);
    const most = useMemo(() => mostOf(scene, shares, measure.value), [scene, shares]);
    const chosen = chosenIn(scene);
    const order = useMemo(() => operationsOf(graph), [graph]);
    const active = operation.value === null || token.value === null || at === null ? null : graph.nodes.indexOf(order[operation.value]!);

    const toggle = (part: number) => {
        const keys = scene.parts.filter(({ open }, i) => open !== (i === part)).map(({ key }) => key);
        opened.value = keys.length === scene.parts.length ? "all" : keys.join(",");
        chosenNode.value = "";
        layer.value = scene.parts[part]!.group.layer;
        chosenPart.value = scene.parts[part]!.key;
        show({ kind: "part", at: part });
    };
    const choose = (thing: Thing | null) => {
        if (thing?.kind === "node") return chooseNode(thing.at);
        chosenNode.value = "";
        layer.value = thing ? scene.parts[thing.at]!.group.layer : null;
        chosenPart.value = thing ? scene.parts[thing.at]!.key : "";
    };
    const chooseNode = (node: number) => {
        const one = graph.nodes[node]!;
        const part = scene.parts[scene.partOf[node]!]!;
        chosenNode.value = String(one.id);
        layer.value = one.layer;
        if (token.value === null) token.value = at;
        const number = at === null ? -1 : order.indexOf(one);
        operation.value = number < 0 ? null : number;
        if (!part.open) opened.value = [opened.value, part.key].filter(Boolean).join(",");
        show({ kind: "node", at: node });
    };
    const title = `Operations of ${tokensOf(graph, at)}`;
    const words = wordsOf(graph, at, all);
    return (
        <section class="picture fills graph-view" aria-label={title}>
            <header>
                <h2>{title}</h2>
                <div class="switches">
                    <Find scene={scene} onFind={chooseNode} />
                    {!isFile && <Which graph={graph} />}
                    <label>
                        bars show
                        <select value={measure.value} onChange={(event) => (measure.value = event.currentTarget.value as Measure)}>
                            <option value="bytes">bytes</option>
                            <option value="accesses">accesses</option>
                            <option value="time">time</option>
                        </select>
                    </label>
                    <button type="button" onClick={() => openAll(true)}>Open all layers</button>
                    <button type="button" onClick={() => openAll(false)} disabled={opened.value === ""}>Close all</button>
                </div>
                <Take taking={taking} graph={graph} title={title} />
            </header>
            <Legend graph={graph} />
            <div class="beside">
                <GraphCanvas
                    scene={scene} look={{ measure: measure.value, most, shares, chosen, active: active === -1 ? null : active }}
                    summary={`${title}: ${count(graph.nodes.length)} operations in ${count(scene.parts.length)} boxes, one for each layer.`}
                    words={words} goTo={goTo} onChoose={choose} onToggle={toggle} taking={taking}
                />
                <aside aria-label="Details"><Details scene={scene} chosen={chosen} words={words} onChoose={choose} onToggle={toggle} /></aside>
            </div>
        </section>
    );
}

/** A box that stands for no layer is chosen by this; a layer by the state that all views share. */
const chosenPart = signal("");

function openAll(all: boolean): void {
    opened.value = all ? "all" : "";
    show(null);
}

function chosenIn(scene: Scene): Thing | null {
    const node = chosenNode.value === "" ? -1 : scene.graph.nodes.findIndex(({ id }) => String(id) === chosenNode.value);
    if (node >= 0) return { kind: "node", at: node };
    const key = layer.value !== null ? String(layer.value) : chosenPart.value;
    const part = scene.parts.findIndex((one) => one.key === key);
    return part < 0 ? null : { kind: "part", at: part };
}

/** The value below which this share of those that are not 0 are. */
function quantile(values: number[], share: number): number {
    const sorted = values.filter((value) => value > 0).sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** A few that waited for the disk, or a large output matrix, must not make the bars of all others invisible. */
function mostOf(scene: Scene, shares: [string, number][][], which: Measure): { node: number; part: number } {
    const sums = shares.map((one) => one.reduce((sum, [, value]) => sum + value, 0));
    return {
        node: quantile(scene.graph.nodes.map((node) => valueOf(node, which)), 0.95),
        part: Math.min(quantile(sums, 1), 4 * quantile(sums, 0.5)),
    };
}

/** Goes from graph to graph, of all that the trace has: also to those of no token, and to each of several that computed one. */
function Which({ graph }: { graph: GraphAnswer }) {
    const last = about.value!.evaluations - 1;
    const go = (to: number) => (graphNumber.value = String(Math.max(0, Math.min(last, to))));
    return (
        <span class="which" role="group" aria-label="Graph">
            <label>
                graph
                <input
                    type="number" min={0} max={last} value={graph.evaluation} title={`Of ${count(last + 1)}, in the order of time, counted from 0`}
                    onChange={(event) => event.currentTarget.value !== "" && go(Math.round(Number(event.currentTarget.value)))}
                />
            </label>
            <button type="button" aria-label="The graph before" title="The graph before" disabled={graph.evaluation <= 0} onClick={() => go(graph.evaluation - 1)}>{"\u25c2"}</button>
            <button type="button" aria-label="The next graph" title="The next graph" disabled={graph.evaluation >= last} onClick={() => go(graph.evaluation + 1)}>{"\u25b8"}</button>
        </span>
    );
}

/** Goes to the next operation whose name has the text. */
function Find({ scene, onFind }: { scene: Scene; onFind(node: number): void }) {
    const [text, setText] = useState("");
    const [last, setLast] = useState(-1);
    const wanted = text.toLowerCase();
    const hits = wanted === "" ? [] : scene.graph.nodes.flatMap((node, i) => (`${node.name} ${node.op}`.toLowerCase().includes(wanted) ? [i] : []));
    const next = () => {
        if (hits.length === 0) return;
        const at = (last + 1) % hits.length;
        setLast(at);
        onFind(hits[at]!);
    };
    return (
        <form role="search" onSubmit={(event) => (event.preventDefault(), next())}>
            <input
                type="search" placeholder="Find an operation" aria-label="Find an operation by name" value={text} size={18}
                onInput={(event) => (setText(event.currentTarget.value), setLast(-1))}
            />
            {text !== "" && <span class="hint" role="status">{hits.length === 0 ? "none" : last < 0 ? `${count(hits.length)}: Enter goes to the first` : `${count(last + 1)} of ${count(hits.length)}`}</span>}
        </form>
    );
}

function Legend({ graph }: { graph: GraphAnswer }) {
    const there = new Set(graph.nodes.map((node) => node.category));
    return (
        <ul class="legend" aria-label="Categories of operations">
            {CATEGORIES.filter(([id]) => there.has(id)).map(([id, , says]) => (
                <li key={id}><i style={{ background: categoryColour(id) }} />{says}</li>
            ))}
        </ul>
    );
}

const CAPTION = 52;

function caption(pen: Pen, graph: GraphAnswer, title: string, size: Size): void {
    const run = about.value;
    const there = new Set(graph.nodes.map((node) => node.category));
    pen.text(`${title}${run ? `, ${run.name}, ${run.model.name}` : ""}`, 12, 15, { fill: ink.value.text, size: 14, bold: true, room: size.width - 24 });
    const items = CATEGORIES.filter(([id]) => there.has(id)).map(([id, , label]) => ({ label, colour: categoryColour(id) }));
    drawLegend(pen, { kind: "keys", items }, 12, 32, size.width - 24);
}

function Take({ taking, graph, title }: { taking: { current: ((pen: Pen) => Size) | null }; graph: GraphAnswer; title: string }) {
    const svg = () => {
        const size = taking.current?.(svgPen(1, 1));
        if (!size) return;
        const pen = svgPen(size.width, size.height + CAPTION);
        pen.rect(0, 0, size.width, size.height + CAPTION, ink.value.paper);
        taking.current!(moved(pen));
        caption(pen, graph, title, size);
        saveText("graph", "svg", pen.finish());
    };
    const png = () => {
        const size = taking.current?.(svgPen(1, 1));
        if (!size) return;
        const canvas = document.createElement("canvas");
        [canvas.width, canvas.height] = [2 * size.width, 2 * (size.height + CAPTION)];
        const context = canvas.getContext("2d")!;
        context.scale(2, 2);
        const pen = canvasPen(context);
        pen.rect(0, 0, size.width, size.height + CAPTION, ink.value.paper);
        taking.current!(moved(pen));
        caption(pen, graph, title, size);
        saveCanvas("graph", canvas);
    };
    const table = () => {
        const columns = ["id", "name", "op", "layer", "category", "bytes", "accesses", "start_ns", "duration_ns", "touches"] as const;
        saveText("graph", "csv", csv([...columns], graph.nodes.map((node) => columns.map((column) => node[column]))));
    };
    return (
        <div class="take" role="group" aria-label="Zoom, and take away">
            <button type="button" onClick={() => show(null)} title="Show all of it (0)">All</button>
            <button type="button" onClick={png} title="Save what is seen as PNG">PNG</button>
            <button type="button" onClick={svg} title="Save what is seen as SVG">SVG</button>
            <button type="button" onClick={table} title="Save all operations as CSV">CSV</button>
        </div>
    );
}

/** A pen that draws below the caption. */
function moved(pen: Pen): Pen {
    const down = (points: ArrayLike<number>) => Array.from(points, (value, i) => (i % 2 === 0 ? value : value + CAPTION));
    return {
        ...pen,
        rect: (x, y, w, h, fill) => pen.rect(x, y + CAPTION, w, h, fill),
        frame: (x, y, w, h, stroke, width) => pen.frame(x, y + CAPTION, w, h, stroke, width),
        line: (points, stroke, width, dash) => pen.line(down(points), stroke, width, dash),
        polygon: (points, fill) => pen.polygon(down(points), fill),
        circle: (x, y, radius, fill) => pen.circle(x, y + CAPTION, radius, fill),
        text: (text, x, y, look) => pen.text(text, x, y + CAPTION, look),
        clip: (x, y, w, h, inside) => pen.clip(x, y + CAPTION, w, h, inside),
    };
}
