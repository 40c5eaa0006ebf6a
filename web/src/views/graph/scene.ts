// SPDX-License-Identifier: MIT
/**
 * Where everything of a graph is. The positions within a layer come from the server; here layers are put side by side, closed ones
 * as small boxes, in columns that read downwards and fill the window.
 */
import type { Graph, GraphGroup, GraphNode } from "../../types";

export interface Box {
    x: number;
    y: number;
    w: number;
    h: number;
}

export interface Part {
    key: string;
    title: string;
    group: GraphGroup;
    open: boolean;
    box: Box;
    /** Operations, of which so many touch bytes. */
    touching: number;
    /** Nanoseconds by category, most first. */
    times: [string, number][];
}

export interface Scene {
    graph: Graph;
    parts: Part[];
    /** By node: its part. */
    partOf: Uint32Array;
    /** By node: the nodes it takes from, and those that take from it. */
    sources: number[][];
    targets: number[][];
    /** Pairs of parts that data goes between, by their places. */
    flows: [number, number][];
    size: { w: number; h: number };
}

const CLOSED = { w: 210, h: 62 };
const GAP = { across: 44, down: 22 };

const keyOf = (group: GraphGroup, at: number): string => (group.layer !== null ? String(group.layer) : at === 0 ? "in" : "out");

const titleOf = (key: string): string => ({ in: "Before the layers", out: "After the layers" })[key] ?? `Layer ${key}`;

/** How many boxes a column has, so that boxes of this size fill a window of this shape (width / height). */
export function rowsFor(count: number, shape: number, box: { w: number; h: number } = CLOSED): number {
    let best = 1;
    let least = Infinity;
    for (let rows = 1; rows <= count; rows++) {
        const columns = Math.ceil(count / rows);
        const own = (columns * (box.w + GAP.across)) / (rows * (box.h + GAP.down));
        const off = Math.abs(Math.log(own / shape));
        if (off < least) {
            least = off;
            best = rows;
        }
    }
    return best;
}

export function sceneOf(graph: Graph, isOpen: (key: string) => boolean, shape: number): Scene {
    const { nodes, edges, groups } = graph;
    const partOf = new Uint32Array(nodes.length);
    const sources: number[][] = nodes.map(() => []);
    const targets: number[][] = nodes.map(() => []);
    const parts = groups.map((group, at) => partAt(group, at, nodes, isOpen, partOf));
    const flows = new Map<number, [number, number]>();
    for (const [from, to] of edges) {
        sources[to]!.push(from);
        targets[from]!.push(to);
        const [a, b] = [partOf[from]!, partOf[to]!];
        if (a !== b) flows.set(a * groups.length + b, [a, b]);
    }
    return { graph, parts, partOf, sources, targets, flows: [...flows.values()], size: place(parts, shape) };
}

function partAt(group: GraphGroup, at: number, nodes: GraphNode[], isOpen: (key: string) => boolean, partOf: Uint32Array): Part {
    const key = keyOf(group, at);
    const open = isOpen(key);
    const times = new Map<string, number>();
    let touching = 0;
    for (let i = group.first; i < group.first + group.nodes; i++) {
        const node = nodes[i]!;
        partOf[i] = at;
        if (node.touches) touching++;
        if (node.duration_ns) times.set(node.category, (times.get(node.category) ?? 0) + node.duration_ns);
    }
    const size = open ? { w: group.w, h: group.h } : CLOSED;
    return {
        key, title: titleOf(key), group, open, touching, box: { x: 0, y: 0, ...size },
        times: [...times].sort((a, b) => b[1] - a[1]),
    };
}

/** Columns, each as wide as its widest box. */
function place(parts: Part[], shape: number): { w: number; h: number } {
    // Boxes stay where they are while one after the other is opened.
    const mostlyOpen = parts.filter((part) => part.open).length > parts.length / 2;
    const mean = (of: (box: Box) => number) => parts.reduce((sum, part) => sum + of(part.box), 0) / parts.length;
    const rows = rowsFor(parts.length, shape, mostlyOpen ? { w: mean((box) => box.w), h: mean((box) => box.h) } : CLOSED);
    let [x, high] = [0, 0];
    for (let first = 0; first < parts.length; first += rows) {
        const column = parts.slice(first, first + rows);
        const wide = Math.max(...column.map((part) => part.box.w));
        let y = 0;
        for (const part of column) {
            part.box.x = x + (wide - part.box.w) / 2;
            part.box.y = y;
            y += part.box.h + GAP.down;
        }
        x += wide + GAP.across;
        high = Math.max(high, y - GAP.down);
    }
    return { w: Math.max(1, x - GAP.across), h: Math.max(1, high) };
}

/** null: its layer is closed. */
export function boxOfNode(scene: Scene, at: number): Box | null {
    const part = scene.parts[scene.partOf[at]!]!;
    const node = scene.graph.nodes[at]!;
    if (!part.open) return null;
    return { x: part.box.x + node.x - part.group.x, y: part.box.y + node.y - part.group.y, w: node.w, h: node.h };
}

/** What is at a point: a node, else a part. */
export interface Thing {
    kind: "node" | "part";
    at: number;
}

export const isSameThing = (a: Thing | null, b: Thing | null): boolean => a?.kind === b?.kind && a?.at === b?.at;

const holds = (box: Box, x: number, y: number): boolean => x >= box.x && x < box.x + box.w && y >= box.y && y < box.y + box.h;

export function thingAt(scene: Scene, x: number, y: number): Thing | null {
    const at = scene.parts.findIndex((part) => holds(part.box, x, y));
    if (at < 0) return null;
    const { open, group } = scene.parts[at]!;
    for (let i = group.first; open && i < group.first + group.nodes; i++) {
        if (holds(boxOfNode(scene, i)!, x, y)) return { kind: "node", at: i };
    }
    return { kind: "part", at };
}

export const boxOfThing = (scene: Scene, thing: Thing): Box =>
    (thing.kind === "node" ? boxOfNode(scene, thing.at) : null) ??
    scene.parts[thing.kind === "node" ? scene.partOf[thing.at]! : thing.at]!.box;

/** All that can be reached by arrow keys: closed parts, the nodes of open ones, and the headings of these. */
function* reachable(scene: Scene): Generator<[Thing, Box]> {
    for (const [at, part] of scene.parts.entries()) {
        yield [{ kind: "part", at }, part.open ? { ...part.box, h: 24 } : part.box];
        for (let i = part.group.first; part.open && i < part.group.first + part.group.nodes; i++) {
            yield [{ kind: "node", at: i }, boxOfNode(scene, i)!];
        }
    }
}

/** The nearest thing in a direction; null: there is none. */
export function neighbour(scene: Scene, from: Thing, dx: number, dy: number): Thing | null {
    const own = boxOfThing(scene, from);
    const heading = from.kind === "part" && scene.parts[from.at]!.open;
    const here = { x: own.x + own.w / 2, y: own.y + (heading ? 12 : own.h / 2) };
    let best: Thing | null = null;
    let least = Infinity;
    for (const [thing, box] of reachable(scene)) {
        const [x, y] = [box.x + box.w / 2 - here.x, box.y + box.h / 2 - here.y];
        const along = x * dx + y * dy;
        const across = Math.abs(x * dy) + Math.abs(y * dx);
        const cost = along + 3 * across;
        if (along > 4 && cost < least && !isSameThing(thing, from)) {
            least = cost;
            best = thing;
        }
    }
    return best;
}
