// SPDX-License-Identifier: MIT
/** What each section of the report found most of, or first, and where in the page that is seen. */
import { tensorsById } from "../api";
import { time } from "../format";
import { numberOf, rowsOf, type Section } from "../section";
import type { Tensor } from "../types";
import type { Place } from "../way";

export interface Find {
    says: string;
    /** What the link opens. */
    where: string;
    to: Place;
}

/** A weight, or one expert's part of it, as sections name them. */
interface Slice {
    tensor?: string;
    expert?: number | null;
}

const nameOf = ({ tensor, expert }: Slice): string => `${tensor ?? ""}${expert === undefined || expert === null ? "" : `, expert ${expert}`}`;

const tensorOf = (name: string | undefined): Tensor | undefined => [...tensorsById.value.values()].find((one) => one.name === name);

/** Selects a weight. */
const chosen = (slice: Slice): Place => {
    const of = tensorOf(slice.tensor);
    return { tensor: of?.id ?? null, layer: of?.layer ?? null, expert: slice.expert ?? null };
};

function hottest(section: Section): Find[] {
    const first = rowsOf<Slice>(section, "hottest")[0];
    if (!first || section.values?.uniform === true) return [];
    return [{ says: `hottest: ${nameOf(first)}`, where: "Show it in the file", to: { view: "file", ...chosen(first), bytes: null } }];
}

function slowestLayer(section: Section): Find[] {
    const layer = numberOf(section, "slowest_layer");
    if (layer === null) return [];
    return [{ says: `layer ${layer}, token by token`, where: "Show its time for each token", to: { view: "heatmap", "o.heat": null, measure: "time", layer } }];
}

interface Difference {
    token: number;
    access: number;
    actual?: Slice | null;
    expected?: Slice | null;
}

/** Of the first generated token that reads otherwise than the one before; its tensor, if already those differ. */
export function firstDifference(section: Section): (Difference & { what: "tensor" | "slice" }) | null {
    for (const what of ["tensor", "slice"] as const) {
        const found = section.values?.[`first_different_${what}`] as Difference | undefined;
        if (found) return { ...found, what };
    }
    return null;
}

function different(section: Section): Find[] {
    const first = firstDifference(section);
    if (!first) return [];
    const read = first.actual ?? first.expected ?? {};
    const instead = first.actual && first.expected ? ` instead of ${first.actual.tensor === first.expected.tensor ? `expert ${first.expected.expert}` : nameOf(first.expected)}` : "";
    const says = `first to differ from the token before: token ${first.token}, with ${nameOf(read)}${instead}`;
    // Which experts tokens chose is seen best in their heatmap; which other tensors, in the records.
    if (read.expert !== undefined && read.expert !== null) {
        return [{
            says, where: "Show the experts of both tokens",
            to: { view: "heatmap", "o.heat": "token-expert", "o.rows": null, measure: "accesses", ...chosen(read), token: first.token, tokens: `${Math.max(0, first.token - 4)}-${first.token + 5}` },
        }];
    }
    return [{ says, where: "Show what the token reads", to: { view: "records", ...chosen(read), tensor: null, token: first.token } }];
}

function mostChosen(section: Section): Find[] {
    const first = rowsOf<{ layer: number; expert: number }>(section, "top_experts")[0];
    if (!first) return [];
    return [{ says: `most chosen: expert ${first.expert} of layer ${first.layer}`, where: "Show it among all", to: { view: "experts", layer: first.layer, expert: first.expert } }];
}

function longestWait(section: Section): Find[] {
    const first = rowsOf<Slice & { stall_ns: number }>(section, "slices")[0];
    if (!first) return [];
    return [{ says: `waited for longest: ${nameOf(first)}, ${time(first.stall_ns)}`, where: "Show it among all", to: { view: "storage", ...chosen(first) } }];
}

const FINDS: Record<string, (section: Section) => Find[]> = {
    hot: hottest, layers: slowestLayer, order: different, experts: mostChosen, storage: longestWait,
};

export const findsOf = (name: string, section: Section): Find[] => FINDS[name]?.(section) ?? [];
