// SPDX-License-Identifier: MIT
/** Play: the play head goes from token to token, or from operation to operation, and all views follow. */
import { batch, computed, effect, signal } from "@preact/signals";

import { about, aboutOf, askJson, path } from "./api";
import { layer, operation, option, token, tokens, trace, traces } from "./state";
import type { Graph, GraphNode } from "./types";

export type Stride = "token" | "operation";

export const playing = signal(false);
export const stride = option<Stride>("step", "token");
/** Steps a second. */
export const speed = option<string>("speed", "5");
export const SPEEDS = ["1", "2", "5", "10", "30"];

/** Operations that touch bytes, in order of execution: `state.operation` counts these. */
export const operationsOf = (graph: Graph): GraphNode[] =>
    graph.nodes.filter((node) => node.touches).sort((a, b) => a.id - b.id);

const known = signal<{ token: number; trace: number; list: GraphNode[] } | null>(null);

/** Those of the chosen token, if operations are stepped through and they are known. */
export const operations = computed<GraphNode[]>(() => {
    const { value } = known;
    return value && value.token === token.value && value.trace === trace.value ? value.list : [];
});

/** The operation at the play head. */
export const currentOperation = computed<GraphNode | null>(() =>
    operation.value === null ? null : (operations.value[operation.value] ?? null),
);

async function learn(at: number): Promise<GraphNode[]> {
    const id = trace.peek();
    if (known.peek()?.token !== at || known.peek()?.trace !== id) {
        const graph = await askJson<Graph>(path("graph", { token: at }, id));
        known.value = { token: at, trace: id, list: operationsOf(graph) };
    }
    return known.peek()!.list;
}

effect(() => {
    const at = token.value;
    if (operation.value !== null && at !== null) learn(at).catch(() => (operation.value = null));
});

/** The tokens that steps stay within: those that are zoomed to, or all. */
function bounds(): { lo: number; hi: number } {
    const all = about.peek()?.tokens ?? 0;
    const zoomed = tokens.peek();
    return zoomed
        ? { lo: Math.max(0, Math.floor(zoomed.lo)), hi: Math.min(all, Math.ceil(zoomed.hi)) - 1 }
        : { lo: 0, hi: all - 1 };
}

export function toToken(at: number): void {
    const all = about.peek()?.tokens ?? 0;
    if (all === 0) return;
    batch(() => {
        token.value = Math.max(0, Math.min(all - 1, Math.round(at)));
        operation.value = null;
    });
}

/** Tokens behind the end, as an address of a longer run has them, are brought within those that there are. */
effect(() => {
    const run = about.value;
    if (!run) return;
    const at = token.value;
    if (at !== null && at >= run.tokens) token.value = run.tokens > 0 ? run.tokens - 1 : null;
    const zoomed = tokens.value;
    // Of runs that are compared, the longest.
    const all = traces.value.map(aboutOf);
    if (zoomed === null || all.includes(null)) return;
    const end = Math.max(...all.map((one) => one!.tokens));
    if (zoomed.lo >= end) tokens.value = null;
    else if (zoomed.hi > end) tokens.value = { lo: zoomed.lo, hi: end };
});

function stepToken(by: number): boolean {
    const { lo, hi } = bounds();
    const at = token.peek();
    if (at === null) {
        toToken(by > 0 ? lo : hi);
        return true;
    }
    const next = at + by;
    if (next < lo || next > hi) return false;
    toToken(next);
    return true;
}

function toOperation(list: GraphNode[], at: number): void {
    batch(() => {
        operation.value = at;
        layer.value = list[at]?.layer ?? null;
    });
}

async function stepOperation(by: number): Promise<boolean> {
    if (token.peek() === null) stepToken(1);
    let list = await learn(token.peek()!);
    const at = (operation.peek() ?? (by > 0 ? -1 : list.length)) + by;
    if (at >= 0 && at < list.length) {
        toOperation(list, at);
        return true;
    }
    if (!stepToken(by)) return false;
    list = await learn(token.peek()!);
    toOperation(list, by > 0 ? 0 : list.length - 1);
    return list.length > 0;
}

/** A step on or back. False: there is none. */
export async function step(by: number, how: Stride = stride.peek()): Promise<boolean> {
    try {
        return how === "token" ? stepToken(by) : await stepOperation(by);
    } catch {
        return false;
    }
}

export function togglePlaying(): void {
    const { lo, hi } = bounds();
    if (!playing.peek() && token.peek() === hi && stride.peek() === "token") toToken(lo); // from the beginning again
    playing.value = !playing.peek();
}

effect(() => {
    if (!playing.value) return undefined;
    let waiting = false;
    const timer = setInterval(async () => {
        if (waiting) return; // the step before has not arrived yet
        waiting = true;
        if (!(await step(1))) playing.value = false;
        waiting = false;
    }, 1000 / Number(speed.value));
    return () => clearInterval(timer);
});
