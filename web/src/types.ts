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
    /** Of the model's files, from 1 on; null: it is in none. */
    file: number | null;
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
    model: { name: string; file_bytes: number; file_sizes: number[]; layers: number; experts: number; experts_used: number };
    tokens: number;
    evaluations: number;
    records: number;
    duration_ns: number;
    phases: Phase[];
    components: string[];
    ops: string[];
    tensors: Tensor[];
    /** Why the text of tokens is not known; null: it is. */
    no_text: string | null;
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
    /** Entries that are special tokens, such as <s>. */
    text_special: number[] | null;
}

export type Measure = "accesses" | "bytes" | "time";

export interface GraphNode {
    /** Its number among the graph's nodes, as records have it. */
    id: number;
    name: string;
    op: string;
    layer: number | null;
    x: number;
    y: number;
    w: number;
    h: number;
    bytes: number;
    /** Records that touch bytes. */
    accesses: number;
    category: string;
    /** null: no time is known of it. */
    start_ns: number | null;
    duration_ns: number | null;
    touches: boolean;
}

/** The box of a layer, or of what belongs to none. */
export interface GraphGroup {
    layer: number | null;
    x: number;
    y: number;
    w: number;
    h: number;
    /** Its nodes, by their places. */
    first: number;
    nodes: number;
    bytes: number;
    duration_ns: number;
}

export interface Graph {
    schema: number;
    evaluation: number;
    /** Its first token; null: none, or warm-up. */
    token: number | null;
    tokens: number;
    phase: string;
    begin_ns: number;
    end_ns: number;
    bytes: number;
    /** Sources that are not there, or come after what uses them. */
    dangling: number;
    nodes: GraphNode[];
    /** Places in `nodes`. */
    edges: [number, number][];
    groups: GraphGroup[];
    bounds: number[];
}

/** An access record, with the columns of `tat export --format jsonl`. */
export interface AccessRow {
    start_ns: number | null;
    duration_ns: number | null;
    graph: number;
    node: number;
    token: number | null;
    tokens: number;
    phase: string;
    context: number;
    layer: number | null;
    op: string;
    operand: string;
    tensor_id: number;
    tensor: string | null;
    model: number | null;
    component: string | null;
    role: string | null;
    expert: number | null;
    head: number | string | null;
    offset: number;
    size: number;
    stride: number | null;
    count: number | null;
    access: string;
    memory: string;
}

export interface RecordsPage {
    schema: number;
    /** Records that pass the filter. */
    total: number;
    /** Of these, rows that there are in this order. */
    reachable: number;
    from: number;
    rows: AccessRow[];
}
