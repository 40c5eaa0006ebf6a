// SPDX-License-Identifier: MIT
/** What the report says of the run, in its own sentences, each a way to the view that shows it. */
import { about, useSection } from "../api";
import type { Section } from "../section";
import { type Place, Way } from "../way";
import { findsOf } from "./finds";
import { VIEWS } from ".";

/** Sections of `tat report`, and the view that shows what each tells. The quick ones first. */
const PARTS: [string, string, Place][] = [
    ["speed", "Speed", { view: "heatmap", measure: "time" }],
    ["hot", "Hot weights", { view: "file" }],
    ["layers", "Layers", { view: "heatmap", "o.heat": null, measure: "time" }],
    ["order", "Order", { view: "offsets" }],
    ["experts", "Experts", { view: "experts" }],
    ["attention", "Attention", { view: "attention" }],
    ["storage", "Storage", { view: "storage" }],
    ["managed", "Memory manager", { view: "storage" }],
    ["caching", "Caching", { view: "caching" }],
];

export function Story() {
    const { has } = about.value!;
    const parts = PARTS.filter(
        ([name]) => (name !== "experts" || has.experts) && (name !== "storage" || has.faults || has.requests) && (name !== "managed" || has.managed),
    );
    return (
        <section class="story" aria-label="What the report says">
            {parts.map(([name, title, to]) => (
                <Part key={name} name={name} title={title} to={to} />
            ))}
        </section>
    );
}

/** A number and its unit stay on one line. */
const together = (text: string): string => text.replace(/(\d) (%|[KMGT]?i?B\b|ns|us|ms|s\b)/g, "$1\u00a0$2");

function Part({ name, title, to }: { name: string; title: string; to: Place }) {
    const { data, error, busy } = useSection<Section>(name);
    if (data?.absent) return null;
    return (
        <article>
            <h2><Way to={to} title={VIEWS.find((one) => one.id === to.view)?.says}>{title}</Way></h2>
            {data?.headline ? <p>{together(data.headline)}</p> : <p class="faint">{error ?? (busy ? "Counting" : "Nothing to tell")}</p>}
            {data && findsOf(name, data).map((find) => (
                <p key={find.says}><Way to={find.to} title={find.where}>{find.says}</Way></p>
            ))}
        </article>
    );
}
