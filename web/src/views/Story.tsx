// SPDX-License-Identifier: MIT
/** What the report says of the run, in its own sentences, each a way to the view that shows it. */
import { about, useSection } from "../api";
import { view } from "../state";
import { VIEWS } from ".";

interface Section {
    title?: string;
    headline?: string;
    absent?: boolean;
    lines?: { label: string; text: string }[];
}

/** Sections of `tat report`, and the view that shows what each tells. The quick ones first. */
const PARTS: [string, string, string][] = [
    ["speed", "Speed", "heatmap"],
    ["hot", "Hot weights", "file"],
    ["layers", "Layers", "heatmap"],
    ["experts", "Experts", "experts"],
    ["attention", "Attention", "attention"],
    ["storage", "Storage", "storage"],
    ["managed", "Memory manager", "storage"],
    ["caching", "Caching", "caching"],
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

function Part({ name, title, to }: { name: string; title: string; to: string }) {
    const { data, error, busy } = useSection<Section>(name);
    const target = VIEWS.find((one) => one.id === to);
    if (data?.absent) return null;
    return (
        <article>
            <h2>
                {target ? (
                    <a
                        href={`#view=${to}`} title={target.says}
                        onClick={(event) => {
                            event.preventDefault();
                            view.value = to;
                        }}
                    >{title}</a>
                ) : title}
            </h2>
            {data?.headline ? <p>{data.headline}</p> : <p class="faint">{error ?? (busy ? "Counting" : "Nothing to tell")}</p>}
        </article>
    );
}
