// SPDX-License-Identifier: MIT
/** The one table of views: the navigation, the keys and the address are made of it. A view is a line here and a file beside this. */
import type { ComponentType } from "preact";

import type { About } from "../types";
import { Compare } from "./Compare";
import { Graph } from "./Graph";
import { Heatmap } from "./Heatmap";
import { Overview } from "./Overview";
import { Records } from "./Records";

export interface View {
    /** In the address. */
    id: string;
    title: string;
    /** The key that opens it. */
    key: string;
    /** What question it answers, in a sentence. */
    says: string;
    show: ComponentType;
    /** Why a trace has nothing for it, and what to do; null: it has. */
    lacks?(about: About): string | null;
}

export const VIEWS: View[] = [
    { id: "overview", title: "Overview", key: "1", says: "What this run was, and where its time and bytes went", show: Overview },
    { id: "heatmap", title: "Heatmap", key: "2", says: "Which layers, tensors and experts each token touched", show: Heatmap },
    { id: "graph", title: "Graph", key: "5", says: "One token's operations: what each is computed from, and what it costs", show: Graph },
    { id: "records", title: "Records", key: "6", says: "Every single access, filtered and sorted", show: Records },
    { id: "compare", title: "Compare", key: "c", says: "Runs side by side on the same scales", show: Compare },
];

export const viewOf = (id: string): View => VIEWS.find((view) => view.id === id) ?? VIEWS[0]!;
