// SPDX-License-Identifier: MIT
/** The one table of views: the navigation, the keys and the address are made of it. A view is a line here and a file beside this. */
import type { ComponentType } from "preact";

import type { About } from "../types";
import { Attention } from "./Attention";
import { Buffers } from "./Buffers";
import { Caching } from "./Caching";
import { Compare } from "./Compare";
import { Experts } from "./Experts";
import { FileMap } from "./FileMap";
import { Graph } from "./Graph";
import { Heatmap } from "./Heatmap";
import { OffsetTime } from "./OffsetTime";
import { Overview } from "./Overview";
import { Records } from "./Records";
import { NO_IO, Storage } from "./Storage";

export interface View {
    /** In the address. */
    id: string;
    title: string;
    /** The key that opens it. */
    key: string;
    /** What question it answers, in a sentence. */
    says: string;
    show: ComponentType;
    /** It shows tokens, and is empty without any. */
    ofTokens?: true;
    /** Why a trace has nothing for it, and what to do; null: it has. */
    lacks?(about: About): string | null;
}

const NO_TOKEN = "The trace has no token yet: nothing was computed but a warm-up, or it was filtered.";

/** Why a trace has nothing for a view; null: it has. */
export const lackOf = (of: View, run: About): string | null => (of.ofTokens && run.tokens === 0 ? NO_TOKEN : (of.lacks?.(run) ?? null));

export const VIEWS: View[] = [
    { id: "overview", title: "Overview", key: "1", says: "What this run was, and where its time and bytes went", show: Overview },
    { id: "heatmap", title: "Heatmap", key: "2", says: "Which layers, tensors and experts each token touched", show: Heatmap, ofTokens: true },
    { id: "file", title: "File map", key: "3", says: "The model file from its first byte to its last: what was read, and how often", show: FileMap, ofTokens: true },
    { id: "offsets", title: "Offset \u00d7 time", key: "4", says: "What was read when, and what waited for the disk meanwhile", show: OffsetTime, ofTokens: true },
    { id: "graph", title: "Graph", key: "5", says: "One token's operations: what each is computed from, and what it costs", show: Graph, ofTokens: true },
    { id: "records", title: "Records", key: "6", says: "Every single access, filtered and sorted", show: Records },
    {
        id: "experts", title: "Experts", key: "7", says: "Which experts the router chooses, how evenly, and how often the same ones again", show: Experts,
        lacks: (run) => (run.has.experts ? null : "This model has no experts: each token goes through all of its weights."),
    },
    { id: "attention", title: "Attention", key: "8", says: "What Q, K, V and O read, head by head, and how the KV cache grows", show: Attention, ofTokens: true },
    { id: "caching", title: "Caching", key: "9", says: "What memory for weights would save of the bytes that are read", show: Caching, ofTokens: true },
    {
        id: "storage", title: "Storage", key: "t", says: "What waited for the disk, what was in memory when, and how fast it was read", show: Storage,
        lacks: (run) => (run.has.faults || run.has.requests || run.has.managed ? null : NO_IO),
    },
    { id: "buffers", title: "Buffers", key: "b", says: "What memory holds weights, KV cache and activations, and for how long", show: Buffers, ofTokens: true },
    { id: "compare", title: "Compare", key: "c", says: "Runs side by side on the same scales", show: Compare },
];

export const viewOf = (id: string): View => VIEWS.find((view) => view.id === id) ?? VIEWS[0]!;
