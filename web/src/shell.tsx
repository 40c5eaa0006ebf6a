// SPDX-License-Identifier: MIT
/** What stands around every view: the run and its verdict, the navigation, the selection, the play head. */
import { effect, signal } from "@preact/signals";

import { about, entries, failure, isFile, isRunning, lost, tensorsById, useJson, useSection, version } from "./api";
import { isDark } from "./colours";
import { bytes, count, time } from "./format";
import { Help, helpIsOpen } from "./help";
import { onKey } from "./keys";
import { Player } from "./player";
import {
    byteRange, clearSelection, expert, layer, type Range, tensor, theme, timeRange, token, tokens, trace, traces, view,
} from "./state";
import { verdictOf } from "./verdict";
import { lackOf, VIEWS, viewOf } from "./views";

effect(() => {
    if (typeof document !== "undefined") document.documentElement.dataset.theme = isDark.value ? "dark" : "light";
});
if (typeof document !== "undefined") addEventListener("keydown", onKey);

export function Shell() {
    return (
        <div class="shell">
            <Top />
            <Navigation />
            <Main />
            <Player />
            <Help />
        </div>
    );
}

function Top() {
    const run = about.value;
    return (
        <header class="top">
            <h1>
                <span class="brand">tat</span>
                <RunPicker />
            </h1>
            {run && <Figures />}
            <div class="tools">
                <ThemeSwitch />
                <button type="button" onClick={() => (helpIsOpen.value = true)} title="Keys and gestures (?)" aria-label="Help">?</button>
            </div>
        </header>
    );
}

function RunPicker() {
    const all = entries.value;
    const run = about.value;
    const title = run ? `${run.name}: ${run.model.name}` : "";
    if (all.length < 2) return <span class="run" title={title}>{run?.name ?? "\u2026"}</span>;
    return (
        <select
            class="run" aria-label="Trace" title={title} value={String(trace.value)}
            onChange={(event) => {
                const id = Number(event.currentTarget.value);
                traces.value = [id, ...traces.value.slice(1).filter((other) => other !== id)];
                clearSelection();
            }}
        >
            {all.map((entry) => (
                <option key={entry.id} value={entry.id}>{entry.name}</option>
            ))}
        </select>
    );
}

function Figures() {
    const run = about.value!;
    const verdict = verdictOf(run.verdict);
    const speed = useSection<{ values?: { tokens_per_second?: number } }>("speed").data?.values?.tokens_per_second;
    const figures: [string, string, string][] = [
        ["model", run.model.name, `${run.model.layers} layers, ${bytes(run.model.file_bytes)}`],
        ["tokens", count(run.tokens), "Tokens evaluated, without warm-up"],
        ["tokens/s", speed ? speed.toFixed(1) : "\u2013", "As the median generated token is computed"],
        ["accesses", count(run.records), "Access records: one for each operand that an operation touched"],
        ["duration", time(run.duration_ns), "From the first graph to the last"],
    ];
    return (
        <dl class="figures">
            {isRunning(trace.value) && (
                <div class="running"><dt>now</dt><dd>recording</dd></div>
            )}
            <div class={`verdict ${verdict.kind}`} title={verdict.says}>
                <dt>verdict</dt>
                <dd>{verdict.word}</dd>
            </div>
            {figures.map(([name, value, says]) => (
                <div key={name} title={says}>
                    <dt>{name}</dt>
                    <dd>{value}</dd>
                </div>
            ))}
        </dl>
    );
}

const THEMES = ["auto", "light", "dark"] as const;

export const nextTheme = (): void => {
    theme.value = THEMES[(THEMES.indexOf(theme.peek()) + 1) % THEMES.length]!;
};

function ThemeSwitch() {
    const names = { auto: "as the system", light: "light", dark: "dark" };
    return (
        <button
            type="button" class="theme" onClick={nextTheme} aria-label={`Colours: ${names[theme.value]}`}
            title={`Colours: ${names[theme.value]} (d)`}
        >
            {{ auto: "\u25d0", light: "\u25cb", dark: "\u25cf" }[theme.value]}
        </button>
    );
}

function Navigation() {
    const run = about.value;
    return (
        <nav aria-label="Views">
            {VIEWS.map((one) => {
                const { id, title, key, says } = one;
                const why = run && lackOf(one, run);
                return (
                    <a
                        key={id} href={`#view=${id}`} class={why ? "lacks" : ""} title={`${why ?? says} (${key})`}
                        aria-current={viewOf(view.value).id === id ? "page" : undefined}
                        onClick={(event) => {
                            if (event.ctrlKey || event.metaKey || event.shiftKey) return;
                            event.preventDefault();
                            view.value = id;
                        }}
                    >
                        <kbd aria-hidden="true">{key}</kbd>
                        {title}
                    </a>
                );
            })}
            <p class="version">
                {version.value && `tat ${version.value}`}
            </p>
            {isFile && <Exported />}
        </nav>
    );
}

/** What a file of `tat export --format html` leaves out. */
function Exported() {
    const { data } = useJson<{ notes: string[] }>("api/export");
    return (
        <details class="exported">
            <summary>A file: what it leaves out</summary>
            <ul>
                <li>The trace has all of it: tat view.</li>
                {data?.notes.map((note) => <li key={note}>{note}</li>)}
            </ul>
        </details>
    );
}

const plural = (name: string, range: Range): string => {
    const [lo, hi] = [Math.floor(range.lo), Math.ceil(range.hi) - 1];
    return lo === hi ? `${name} ${count(lo)}` : `${name}s ${count(lo)} to ${count(hi)}`;
};

/** What is selected, wherever it was: each can be let go. */
function Selection() {
    const chips: [string, () => void][] = [];
    if (tokens.value) chips.push([plural("token", tokens.value), () => (tokens.value = null)]);
    if (timeRange.value) {
        chips.push([`${time(timeRange.value.lo)} to ${time(timeRange.value.hi)}`, () => (timeRange.value = null)]);
    }
    if (token.value !== null) chips.push([`at token ${count(token.value)}`, () => (token.value = null)]);
    if (layer.value !== null) chips.push([`layer ${layer.value}`, () => (layer.value = null)]);
    if (tensor.value !== null) {
        chips.push([tensorsById.value.get(tensor.value)?.name ?? `tensor ${tensor.value}`, () => (tensor.value = null)]);
    }
    if (expert.value !== null) chips.push([`expert ${expert.value}`, () => (expert.value = null)]);
    if (byteRange.value) {
        const { lo, hi } = byteRange.value;
        chips.push([`bytes ${count(lo)} to ${count(hi - 1)}`, () => (byteRange.value = null)]);
    }
    if (chips.length === 0) return null;
    return (
        <div class="chips" role="group" aria-label="Selected">
            {chips.map(([says, forget]) => (
                <button type="button" key={says} onClick={forget} title={`Let go of ${says}`} aria-label={`Let go of ${says}`}>
                    {says}
                    <span aria-hidden="true"> {"\u00d7"}</span>
                </button>
            ))}
            {chips.length > 1 && (
                <button type="button" class="all" onClick={clearSelection} title="Let go of all of it (Escape)">clear</button>
            )}
        </div>
    );
}

/** Makes a view anew that could not be drawn. */
const attempt = signal(0);

function Main() {
    const shown = viewOf(view.value);
    const { title, says, show: Show, id } = shown;
    const run = about.value;
    const why = run && lackOf(shown, run);
    return (
        <main aria-label={title}>
            <div class="heading">
                <p>{says}</p>
                {lost.value && <p class="lost" role="alert">{lost.value}</p>}
                <Selection />
            </div>
            {failure.value ? (
                <p class="empty" role="alert">{failure.value}</p>
            ) : !run ? (
                <p class="empty" role="status">Reading the trace</p>
            ) : why ? (
                <p class="empty">{why}</p>
            ) : (
                <div class="view" key={`${id} ${attempt.value}`}>
                    <Show />
                </div>
            )}
        </main>
    );
}
