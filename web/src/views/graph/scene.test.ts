// SPDX-License-Identifier: MIT
import { describe, expect, it } from "vitest";

import type { Graph, GraphNode } from "../../types";
import { fit, move, reveal, zoom } from "./camera";
import { boxOfNode, boxOfThing, neighbour, rowsFor, sceneOf, thingAt } from "./scene";

const node = (id: number, layer: number | null, more: Partial<GraphNode> = {}): GraphNode => ({
    id, name: `n${id}`, op: "ADD", layer, x: 10, y: 30, w: 100, h: 30, bytes: 8, accesses: 1, category: "elementwise", start_ns: id,
    duration_ns: 10, touches: true, ...more,
});

/** Two nodes a layer, one before and one after all. */
function graph(layers: number): Graph {
    const nodes = [node(0, null)];
    const groups = [{ layer: null as number | null, x: 0, y: 0, w: 120, h: 80, first: 0, nodes: 1, bytes: 8, duration_ns: 10 }];
    const edges: [number, number][] = [];
    for (let i = 0; i < layers; i++) {
        const first = nodes.length;
        nodes.push(node(first, i), node(first + 1, i, { y: 90, category: "matmul", touches: i % 2 === 0 }));
        groups.push({ layer: i, x: 0, y: 100 * (i + 1), w: 120, h: 130, first, nodes: 2, bytes: 16, duration_ns: 20 });
        nodes[first]!.y += 100 * (i + 1);
        nodes[first + 1]!.y += 100 * (i + 1);
        edges.push([first - 1, first], [first, first + 1]);
    }
    groups.push({ layer: null, x: 0, y: 5000, w: 120, h: 80, first: nodes.length, nodes: 1, bytes: 8, duration_ns: 10 });
    edges.push([nodes.length - 1, nodes.length]);
    nodes.push(node(nodes.length, null, { y: 5030 }));
    return {
        schema: 1, evaluation: 3, token: 7, tokens: 1, phase: "generate", begin_ns: 0, end_ns: 1000, bytes: 100, dangling: 0, nodes, edges,
        groups, bounds: [0, 0, 120, 5080],
    };
}

describe("a scene", () => {
    it("has a box for each layer, and boxes do not meet, whatever is open", () => {
        for (const open of [() => false, () => true, (key: string) => key === "3"]) {
            const { parts } = sceneOf(graph(12), open, 1.5);
            expect(parts.map(({ key }) => key)).toEqual(["in", ...Array.from({ length: 12 }, (_, i) => String(i)), "out"]);
            for (const [i, a] of parts.entries()) {
                for (const b of parts.slice(0, i)) {
                    const apart = a.box.x >= b.box.x + b.box.w || b.box.x >= a.box.x + a.box.w || a.box.y >= b.box.y + b.box.h || b.box.y >= a.box.y + a.box.h;
                    expect(apart, `${a.key} and ${b.key}`).toBe(true);
                }
            }
        }
    });

    it("has the places of nodes within open layers, and none in closed ones", () => {
        const scene = sceneOf(graph(4), (key) => key === "2", 1.5);
        const part = scene.parts[3]!;
        expect(boxOfNode(scene, 5)).toEqual({ x: part.box.x + 10, y: part.box.y + 30, w: 100, h: 30 });
        expect(boxOfNode(scene, 1)).toBeNull();
        expect(thingAt(scene, part.box.x + 15, part.box.y + 35)).toEqual({ kind: "node", at: 5 });
        expect(thingAt(scene, part.box.x + 1, part.box.y + 1)).toEqual({ kind: "part", at: 3 });
        expect(thingAt(scene, -5, -5)).toBeNull();
    });

    it("knows what goes from layer to layer, and how time divides", () => {
        const scene = sceneOf(graph(2), () => false, 1.5);
        expect(scene.flows).toEqual([[0, 1], [1, 2], [2, 3]]);
        expect(scene.parts[1]!.times).toEqual([["elementwise", 10], ["matmul", 10]]);
        expect(scene.parts[2]!.touching).toBe(1);
    });

    it("is walked through by arrows", () => {
        const scene = sceneOf(graph(4), (key) => key === "1", 10);
        expect(neighbour(scene, { kind: "part", at: 2 }, 0, 1)).toEqual({ kind: "node", at: 3 });
        expect(neighbour(scene, { kind: "node", at: 3 }, 0, 1)).toEqual({ kind: "node", at: 4 });
        expect(neighbour(scene, { kind: "part", at: 0 }, -1, 0)).toBeNull();
    });

    it("fills a window of any shape", () => {
        expect(rowsFor(1, 1.5)).toBe(1);
        expect(rowsFor(32, 0.01)).toBe(32);
        expect(rowsFor(32, 1000)).toBe(1);
    });
});

describe("a camera", () => {
    const window = { width: 800, height: 600 };
    const world = { x: 0, y: 0, w: 2000, h: 1000 };

    it("fits a box into the middle", () => {
        const camera = fit(world, window);
        expect(camera.x + window.width / 2 / camera.scale).toBeCloseTo(1000);
        expect(camera.y + window.height / 2 / camera.scale).toBeCloseTo(500);
        expect(world.w * camera.scale).toBeLessThanOrEqual(window.width);
    });

    it("zooms about a pixel, within limits", () => {
        const before = fit(world, window);
        const after = zoom(before, 1.7, 200, 100, world, window);
        expect(after.x + 200 / after.scale).toBeCloseTo(before.x + 200 / before.scale);
        expect(after.y + 100 / after.scale).toBeCloseTo(before.y + 100 / before.scale);
        expect(zoom(before, 1e9, 0, 0, world, window).scale).toBeLessThan(5);
        expect(zoom(before, 1e-9, 0, 0, world, window).scale).toBeGreaterThan(0.1);
    });

    it("is not lost beside the graph", () => {
        const far = move(fit(world, window), 1e6, -1e6, world, window);
        expect(far.x).toBeLessThan(world.w);
        expect(far.y + window.height / far.scale).toBeGreaterThan(0);
    });

    it("moves no more than it takes to show a box", () => {
        const camera = { x: 0, y: 0, scale: 1 };
        expect(reveal(camera, { x: 300, y: 300, w: 50, h: 50 }, window)).toEqual(camera);
        expect(reveal(camera, { x: 900, y: 300, w: 50, h: 50 }, window)).toEqual({ x: 190, y: 0, scale: 1 });
        expect(boxOfThing(sceneOf(graph(1), () => false, 1), { kind: "node", at: 1 })).toBeDefined();
    });
});
