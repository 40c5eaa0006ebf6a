// SPDX-License-Identifier: MIT
/** Draws a graph with any pen: only what is in the window, and text only where it can be read. */
import { ink } from "../../colours";
import { bytes, many, time } from "../../format";
import type { Pen } from "../../pen";
import type { GraphNode, Measure } from "../../types";
import type { Camera, Size } from "./camera";
import { type Box, boxOfNode, type Part, type Scene, type Thing } from "./scene";

/** Told apart with any colour vision; those of the same things in other views are the same. */
export const CATEGORIES: [string, string, string][] = [
    ["matmul", "#0072B2", "matrix product"],
    ["attention", "#CC79A7", "attention"],
    ["experts", "#E69F00", "experts"],
    ["norm", "#8a8f98", "norm"],
    ["elementwise", "#009E73", "element by element"],
    ["rows", "#56B4E9", "rows and caches"],
    ["recurrent", "#D4C20E", "recurrent state"],
    ["shape", "#b3b8c0", "views, which compute nothing"],
    ["other", "#D55E00", "other"],
];
const COLOURS = new Map(CATEGORIES.map(([id, colour]) => [id, colour]));
export const categoryColour = (id: string): string => COLOURS.get(id) ?? "#D55E00";

export const valueOf = (node: GraphNode, measure: Measure): number =>
    measure === "bytes" ? node.bytes : measure === "time" ? (node.duration_ns ?? 0) : node.accesses;

export interface Look {
    camera: Camera;
    size: Size;
    measure: Measure;
    /** What a full bar is, of a node and of a part. */
    most: { node: number; part: number };
    /** By part: values by category, most first. */
    shares: [string, number][][];
    chosen: Thing | null;
    pointed: Thing | null;
    /** The node at the play head. */
    active: number | null;
}

export const READABLE = 0.55; // pixels per unit, from which on nodes have text

export function draw(pen: Pen, scene: Scene, look: Look): void {
    const seen = windowOf(look);
    for (const flow of scene.flows) drawFlow(pen, scene, flow, look);
    for (const [at, part] of scene.parts.entries()) {
        if (meets(part.box, seen)) drawPart(pen, scene, part, at, look, seen);
    }
    const at = look.chosen?.kind === "node" ? look.chosen.at : look.pointed?.kind === "node" ? look.pointed.at : null;
    if (at !== null) drawJoins(pen, scene, at, look);
}

const windowOf = ({ camera, size }: Look): Box => ({
    x: camera.x, y: camera.y, w: size.width / camera.scale, h: size.height / camera.scale,
});
const meets = (a: Box, b: Box): boolean => a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

const px = (look: Look, x: number): number => (x - look.camera.x) * look.camera.scale;
const py = (look: Look, y: number): number => (y - look.camera.y) * look.camera.scale;
const screen = (look: Look, box: Box): Box => ({
    x: px(look, box.x), y: py(look, box.y), w: box.w * look.camera.scale, h: box.h * look.camera.scale,
});

// ---- between layers ----

/** The way from one layer to the next. What goes to a layer further on, such as a mask, is shown where a node is chosen. */
function drawFlow(pen: Pen, scene: Scene, [from, to]: [number, number], look: Look): void {
    if (to !== from + 1) return;
    const [a, b] = [scene.parts[from]!.box, scene.parts[to]!.box];
    const [ax, ay, bx, by] = [a.x + a.w / 2, a.y + a.h, b.x + b.w / 2, b.y];
    const points = by > ay ? [ax, ay, bx, by] : [ax, ay, ax, ay + 9, b.x - 22, ay + 9, b.x - 22, by - 9, bx, by - 9, bx, by];
    const at = points.map((value, i) => (i % 2 === 0 ? px(look, value) : py(look, value)));
    pen.line(at, ink.value.faint, Math.max(1, 1.4 * look.camera.scale));
    arrow(pen, at[at.length - 2]!, at[at.length - 1]!, 5 * look.camera.scale, ink.value.faint);
}

function arrow(pen: Pen, x: number, y: number, size: number, fill: string): void {
    if (size > 1.5) pen.polygon([x, y, x - size * 0.7, y - size, x + size * 0.7, y - size], fill);
}

// ---- layers ----

function drawPart(pen: Pen, scene: Scene, part: Part, at: number, look: Look, seen: Box): void {
    const box = screen(look, part.box);
    const isActive = look.active !== null && scene.partOf[look.active] === at;
    const isChosen = look.chosen?.kind === "part" && look.chosen.at === at;
    const isPointed = look.pointed?.kind === "part" && look.pointed.at === at;
    pen.rect(box.x, box.y, box.w, box.h, part.open ? ink.value.ground : ink.value.paper);
    if (part.open) drawInside(pen, scene, part, look, seen);
    else drawClosed(pen, part, at, box, look);
    const colour = isActive || isChosen ? ink.value.accent : isPointed ? ink.value.hover : ink.value.line;
    pen.frame(box.x, box.y, box.w, box.h, colour, isActive || isChosen ? 2 : 1);
    if (part.open) drawHeading(pen, part, box, look);
}

/** A part's values by category, most first. */
export function sharesOf(part: Part, measure: Measure, nodes: GraphNode[]): [string, number][] {
    const sums = new Map<string, number>();
    for (let i = part.group.first; i < part.group.first + part.group.nodes; i++) {
        const value = valueOf(nodes[i]!, measure);
        if (value > 0) sums.set(nodes[i]!.category, (sums.get(nodes[i]!.category) ?? 0) + value);
    }
    return [...sums].sort((a, b) => b[1] - a[1]);
}

function drawClosed(pen: Pen, part: Part, at: number, box: Box, look: Look): void {
    const k = look.camera.scale;
    const room = box.w - 16 * k;
    if (k >= 0.4) {
        pen.text(part.title, box.x + 8 * k, box.y + 13 * k, { fill: ink.value.text, size: 12 * k, bold: true, room });
        pen.text("+", box.x + box.w - 12 * k, box.y + 13 * k, { fill: ink.value.faint, size: 14 * k, align: "center" });
        const says = `${many(part.group.nodes, "op")}, ${bytes(part.group.bytes)}, ${time(part.group.duration_ns)}`;
        pen.text(says, box.x + 8 * k, box.y + 31 * k, { fill: ink.value.faint, size: 11 * k, room });
    }
    drawShares(pen, look.shares[at]!, { x: box.x + 8 * k, y: box.y + 45 * k, w: room, h: 8 * k }, look);
}

/** How the layer's value divides among categories. One that is far above the others is cut, and ends with a point. */
function drawShares(pen: Pen, shares: [string, number][], bar: Box, look: Look): void {
    const all = shares.reduce((sum, [, value]) => sum + value, 0);
    pen.rect(bar.x, bar.y, bar.w, bar.h, ink.value.ground);
    if (all === 0 || look.most.part === 0) return;
    const isCut = all > look.most.part * 1.001;
    let x = bar.x;
    for (const [category, value] of shares) {
        const wide = (value / (isCut ? all : look.most.part)) * bar.w;
        pen.rect(x, bar.y, wide, bar.h, categoryColour(category));
        x += wide;
    }
    if (!isCut) return;
    const right = bar.x + bar.w;
    pen.rect(right - bar.h, bar.y, bar.h, bar.h, ink.value.paper);
    pen.polygon([right - bar.h, bar.y, right, bar.y + bar.h / 2, right - bar.h, bar.y + bar.h], categoryColour(shares[shares.length - 1]![0]));
}

function drawHeading(pen: Pen, part: Part, box: Box, look: Look): void {
    const k = look.camera.scale;
    if (k < 0.3) return;
    pen.text(part.title, box.x + 10 * k, box.y + 13 * k, { fill: ink.value.text, size: 12 * k, bold: true, room: box.w - 34 * k });
    pen.text("\u2212", box.x + box.w - 12 * k, box.y + 13 * k, { fill: ink.value.faint, size: 14 * k, align: "center" });
}

// ---- nodes ----

function drawInside(pen: Pen, scene: Scene, part: Part, look: Look, seen: Box): void {
    const { first, nodes: n } = part.group;
    for (let to = first; to < first + n; to++) {
        for (const from of scene.sources[to]!) {
            if (scene.partOf[from] === scene.partOf[to]) drawEdge(pen, scene, from, to, look, seen, ink.value.faint, 1);
        }
    }
    for (let i = first; i < first + n; i++) {
        const box = boxOfNode(scene, i)!;
        if (meets(box, seen)) drawNode(pen, scene.graph.nodes[i]!, screen(look, box), i, look);
    }
}

/** From the bottom of one box to the top of another, past what may stand between. */
function drawEdge(pen: Pen, scene: Scene, from: number, to: number, look: Look, seen: Box, colour: string, width: number): void {
    const [a, b] = [endOf(scene, from), endOf(scene, to)];
    const [ax, ay, bx, by] = [a.x + a.w / 2, a.y + a.h, b.x + b.w / 2, b.y];
    const lane = Math.abs(by - ay) > 90 && Math.abs(ax - bx) < 60 ? Math.max(a.w, b.w) * 0.62 : 0;
    const hull = { x: Math.min(ax, bx) - lane, y: Math.min(ay, by), w: Math.abs(ax - bx) + 2 * lane + 1, h: Math.abs(ay - by) + 1 };
    if (!meets(hull, seen)) return;
    const bend = Math.max(10, Math.min(40, Math.abs(by - ay) / 2));
    const points: number[] = [];
    const steps = look.camera.scale < READABLE && !lane ? 1 : 12;
    for (let i = 0; i <= steps; i++) {
        const t = i / steps;
        const u = 1 - t;
        const x = u * u * u * ax + 3 * u * u * t * (ax + lane * 1.33) + 3 * u * t * t * (bx + lane * 1.33) + t * t * t * bx;
        const y = u * u * u * ay + 3 * u * u * t * (ay + bend) + 3 * u * t * t * (by - bend) + t * t * t * by;
        points.push(px(look, x), py(look, y));
    }
    pen.fade(colour === ink.value.faint ? 0.55 : 1, () => {
        pen.line(points, colour, width);
        if (look.camera.scale >= READABLE) arrow(pen, px(look, bx), py(look, by), 4.5 * look.camera.scale, colour);
    });
}

/** Where a join begins or ends: at the node or, if its layer is closed, at the layer. */
const endOf = (scene: Scene, at: number): Box => boxOfNode(scene, at) ?? scene.parts[scene.partOf[at]!]!.box;

function drawJoins(pen: Pen, scene: Scene, at: number, look: Look): void {
    const seen = windowOf(look);
    for (const from of scene.sources[at]!) drawEdge(pen, scene, from, at, look, seen, ink.value.accent, 1.6);
    for (const to of scene.targets[at]!) drawEdge(pen, scene, at, to, look, seen, ink.value.accent, 1.6);
}

function drawNode(pen: Pen, node: GraphNode, box: Box, at: number, look: Look): void {
    const k = look.camera.scale;
    const isActive = look.active === at;
    const isChosen = look.chosen?.kind === "node" && look.chosen.at === at;
    const isPointed = look.pointed?.kind === "node" && look.pointed.at === at;
    const colour = categoryColour(node.category);
    const inside = () => {
        pen.rect(box.x, box.y, box.w, box.h, ink.value.paper);
        pen.rect(box.x, box.y, 5 * k, box.h, colour);
        const share = look.most.node > 0 ? Math.min(1, valueOf(node, look.measure) / look.most.node) : 0;
        if (share > 0) pen.fade(0.28, () => pen.rect(box.x + 5 * k, box.y, (box.w - 5 * k) * share, box.h, colour));
        if (k >= READABLE) drawLabel(pen, node, box, k);
    };
    if (node.touches) inside();
    else pen.fade(0.5, inside);
    if (isActive) pen.fade(0.22, () => pen.rect(box.x, box.y, box.w, box.h, ink.value.accent));
    const edge = isActive || isChosen ? ink.value.accent : isPointed ? ink.value.hover : node.touches ? colour : ink.value.line;
    pen.frame(box.x, box.y, box.w, box.h, edge, isActive || isChosen ? 2.5 : 1);
}

function drawLabel(pen: Pen, node: GraphNode, box: Box, k: number): void {
    const left = box.x + 11 * k;
    const room = box.w - 15 * k;
    if (box.h < 26 * k) {
        pen.text(node.name || node.op, left, box.y + box.h / 2, { fill: ink.value.faint, size: 10 * k, room });
        return;
    }
    pen.text(node.name || node.op, left, box.y + 11 * k, { fill: ink.value.text, size: 11 * k, bold: true, room });
    pen.text(node.op, left, box.y + 24 * k, { fill: ink.value.faint, size: 10 * k, room });
}
