// SPDX-License-Identifier: MIT
/** What the server answers, schema 1: doc/view.md describes it. */

export const SCHEMA = 1;

export interface TraceEntry {
    id: number;
    name: string;
    running: boolean;
}

export interface Traces {
    schema: number;
    tat: string;
    traces: TraceEntry[];
}

export interface Phase {
    phase: string;
    token_first: number;
    tokens: number;
    start_ns: number;
    duration_ns: number;
}

export interface Tensor {
    id: number;
    name: string;
    layer: number | null;
    component: string;
    bytes: number;
    file_offset: number | null;
    memory: string;
}

/** One check of `tat verify`. */
export interface Check {
    check: string;
    verdict: string;
    figures?: string;
}

export interface About {
    schema: number;
    revision: number;
    name: string;
    running?: boolean;
    model: { name: string; file_bytes: number; layers: number; experts: number; experts_used: number };
    tokens: number;
    evaluations: number;
    records: number;
    duration_ns: number;
    phases: Phase[];
    components: string[];
    ops: string[];
    tensors: Tensor[];
    has: { text: boolean; faults: boolean; requests: boolean; experts: boolean; managed: boolean };
    verdict: unknown;
}

/** Columns of equal length: an entry is a token, or `tokens_per_entry` of them. */
export interface Tokens {
    schema: number;
    first: number;
    tokens_per_entry?: number;
    phase: string[];
    start_ns: number[];
    duration_ns: number[];
    bytes: number[];
    accesses: number[];
    new_experts: number[];
    text: (string | null)[] | null;
}

export type Measure = "accesses" | "bytes" | "time";

export interface GraphNode {
    id: number;
    name: string;
    op: string;
    layer: number | null;
    x: number;
    y: number;
    w: number;
    h: number;
    bytes: number;
    accesses: number;
    category: string;
    /** null: it was computed with another one, and has no time of its own. */
    start_ns: number | null;
    duration_ns: number | null;
    touches: boolean;
}

export interface Graph {
    schema: number;
    evaluation: number;
    begin_ns: number;
    end_ns: number;
    bytes: number;
    nodes: GraphNode[];
    edges: [number, number][];
    groups: {
        layer: number | null;
        x: number;
        y: number;
        w: number;
        h: number;
        /** Its nodes are this many from this one on. */
        first: number;
        nodes: number;
        bytes: number;
        duration_ns: number;
    }[];
    bounds: number[];
}
