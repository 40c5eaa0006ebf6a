// SPDX-License-Identifier: MIT
/** What a cache of any size would save of the bytes that are read, and what it rests on: reuse and working set. */
import { useMemo, useState } from "preact/hooks";

import { about, isFile, path, useJson, useSection } from "../api";
import { byteTicks } from "../axes";
import { bytes, count, exactBytes, percent } from "../format";
import { Lines, nearest } from "../lines";
import { numberOf, rowsOf, type Section, SectionTable, SectionView, type Table } from "../section";
import { memory, option, token } from "../state";
import { Bars } from "../bars";
import { toToken } from "../play";
import { Choice } from "../switches";
import { textRows, useTokens } from "../tokens";

type CurveRow = { cache_bytes: number } & Record<string, number>;

interface BoundRow {
    cache_bytes: number;
    name: string;
    policy: string;
    again_bytes_per_token: number;
    tokens_per_second?: number;
    tokens_per_second_serial?: number;
}

interface CourseRow {
    token: number;
    [window: string]: number;
}

interface OverRow {
    token: number;
    graphs: number;
    bytes: number;
    new_bytes: number;
    unique_bytes: number;
}

interface ReuseRow {
    up_to_bytes: number;
    accesses: number;
    share: number;
    share_up_to: number;
    bytes: number;
}

/** Policies that are drawn at first: those that the report's headline compares. */
const FIRST = ["lru", "s3fifo", "frequency", "cycle", "pin", "min"];
const COLOURS: Record<string, string> = {
    lru: "#0072B2", s3fifo: "#CC79A7", frequency: "#E69F00", cycle: "#009E73", pin: "#D55E00", min: "#6b7280",
    fifo: "#56B4E9", clock: "#8F5F00", sieve: "#D4C20E", "2q": "#7a5ea8", arc: "#3f9a94", lirs: "#b0567c", lru2: "#4a7ebb",
    lfu: "#a86f2d", lfuda: "#708238", wtinylfu: "#9a4f50", mru: "#aab2bd",
};

const shown = option("policies", FIRST.join("."));
const unit = option<"slice" | "expert" | "page">("unit", "slice");
const disk = option("disk", "1G");
const BYTES_PER_SECOND: Record<string, number> = { "100M": 100 * 2 ** 20, "500M": 500 * 2 ** 20, "1G": 2 ** 30, "2G": 2 ** 31, "4G": 2 ** 32, "8G": 2 ** 33 };

export function Caching() {
    // The section at the chosen size: the curves themselves are the same for each of them.
    const given = memory.value;
    const answer = useSection<Section>("caching", isFile ? {} : {
        memory: given === null ? null : String(Math.round(given)),
        unit: unit.value === "slice" ? null : unit.value,
        disk: given === null ? null : `${disk.value}/s`,
    });
    const section = answer.data;
    return (
        <SectionView answer={answer}>
            {section && (
                <>
                    <div class="panels wide"><MissRatio section={section} busy={answer.busy} /></div>
                    <div class="panels">
                        <SectionTable section={section} name="savings" title={given === null || isFile ? "Share of the bytes read that a cache saves" : `Share of the bytes read that a cache saves; given: ${bytes(given)}`} />
                        <AgainPerToken section={section} />
                        <Expected />
                        <WorkingSet section={section} />
                        <New section={section} />
                        <Reuse section={section} />
                        <SectionTable section={section} name="working_set" />
                    </div>
                </>
            )}
        </SectionView>
    );
}

/** What `tat plan` expects of `tat run` with this much memory, of which the program and its KV cache take their part too. */
function Expected() {
    const given = memory.value;
    const rate = BYTES_PER_SECOND[disk.value] ?? null;
    const answer = useJson<Section>(given === null || isFile ? null : path("plan", { memory: Math.round(given), disk: rate }));
    if (given === null || isFile) return null;
    const { data, error, busy } = answer;
    return (
        <>
            <section class="table" aria-label="What tat plan expects">
                <header>
                    <h2>{`What tat plan expects of ${bytes(given)} for the model and its program`}</h2>
                    {busy && <span class="busy" role="status">loading</span>}
                </header>
                <p>{error ?? data?.headline}</p>
                <dl class="plan">
                    {(data?.lines ?? []).filter(({ label }) => label !== "").map(({ label, text }) => (
                        <div key={label}><dt>{label}</dt><dd>{text}</dd></div>
                    ))}
                </dl>
            </section>
            <SectionTable section={data} name="bounds" />
            <SectionTable section={data} name="memory" />
        </>
    );
}

const byteAxis = { label: "memory for weights", print: bytes, ticks: byteTicks };

function MissRatio({ section, busy }: { section: Section; busy: boolean }) {
    const table = section.tables?.curves as Table | undefined;
    const rows = rowsOf<CurveRow>(section, "curves");
    const x = rows.map((row) => row.cache_bytes);
    const policies = (table?.columns ?? []).filter(({ key }) => key !== "cache_bytes");
    const names = new Set(shown.value.split("."));
    const weights = numberOf(section, "weight_bytes") ?? x[x.length - 1] ?? 1;
    /** While it is dragged: the section is asked for only where it is let go. */
    const [dragged, setDragged] = useState<number | null>(null);
    const settle = useMemo(() => {
        let timer: ReturnType<typeof setTimeout> | undefined;
        return (to: number) => {
            setDragged(to);
            clearTimeout(timer);
            timer = setTimeout(() => {
                memory.value = Math.max(1, Math.round(to));
                setDragged(null);
            }, 250);
        };
    }, []);
    const at = dragged ?? memory.value ?? Math.round(weights / 2);
    const here = rows[nearest(x, at)];
    const best = here ? policies.filter(({ key }) => key !== "min" && key !== "pin").reduce((a, b) => (here[b.key]! < here[a.key]! ? b : a), policies[0]!) : null;
    const shownPolicies = policies.filter(({ key }) => names.has(key));
    return (
        <Lines
            title="Miss ratio: bytes that a cache reads from the disk, of the bytes wanted" name="miss-ratio" xKey="cache_bytes" height={330}
            summary={here && best ? `With ${bytes(here.cache_bytes)} for weights, ${best.label} reads ${percent(here[best.key]!)} of the bytes wanted, the optimum ${percent(here.min ?? 0)}.` : ""}
            x={x} xAxis={byteAxis} yAxis={{ label: "", print: percent }} bounds={{ x0: 0, x1: Math.max(weights, at), y1: 1.04 }}
            curves={shownPolicies.map(({ key, label }) => ({
                key, label, colour: COLOURS[key] ?? "#999999", dash: key === "min" ? [5, 3] : [], y: rows.map((row) => row[key] ?? null),
            }))}
            marks={[{ x: at, label: bytes(at), drag: settle }]} pick={settle}
            at={(value) => `${exactBytes(value)}, ${percent(value / weights)} of the weights`} busy={busy || dragged !== null}
            empty={rows.length === 0 ? "Nothing was read twice: a cache saves nothing. Record more tokens, for example -n 40." : null}
        >
            <MemorySlider value={at} most={Math.max(weights, at)} onInput={settle} isGiven={memory.value !== null || dragged !== null} />
            {!isFile && <Choice
                label="Kept or dropped as a whole" value={unit.value} onChange={(value) => (unit.value = value)}
                items={[{ id: "slice", title: "weight or expert's part" }, { id: "expert", title: "expert" }, { id: "page", title: "page of 4 KiB" }]}
            />}
            <details class="pick-many">
                <summary>{`${shownPolicies.length} of ${policies.length} policies`}</summary>
                <div>
                    {policies.map(({ key, label }) => (
                        <label key={key}>
                            <input
                                type="checkbox" checked={names.has(key)}
                                onChange={() => (shown.value = policies.map((one) => one.key).filter((one) => (one === key) !== names.has(one)).join("."))}
                            />
                            {label}
                        </label>
                    ))}
                </div>
            </details>
        </Lines>
    );
}

function MemorySlider({ value, most, onInput, isGiven }: { value: number; most: number; onInput(value: number): void; isGiven: boolean }) {
    return (
        <label>
            memory
            <input
                type="range" min={0} max={most} step={Math.max(1, Math.round(most / 400))} value={value} aria-label="Memory for weights"
                aria-valuetext={bytes(value)} onInput={(event) => onInput(Number(event.currentTarget.value))}
            />
            <output>{bytes(value)}</output>
            {isGiven && <button type="button" title="No size is given any more" onClick={() => (memory.value = null)}>reset</button>}
        </label>
    );
}

/** What a token costs at each size: bytes read again and, where a size is given, the bound on tokens/s. */
function AgainPerToken({ section }: { section: Section }) {
    const rows = rowsOf<BoundRow>(section, "bounds");
    const names = [...new Set(rows.map((row) => row.name))].filter((name) => shown.value.split(".").includes(name));
    const x = [...new Set(rows.map((row) => row.cache_bytes))].sort((a, b) => a - b);
    const isSpeed = memory.value !== null && rows.some((row) => row.tokens_per_second !== undefined);
    const valueOf = (row: BoundRow | undefined): number | null => (row ? (isSpeed ? (row.tokens_per_second_serial ?? null) : row.again_bytes_per_token) : null);
    return (
        <Lines
            title={isSpeed ? "Tokens/s if reads wait: what this disk and this cache allow" : "Bytes read again for each generated token"} name="cache-bound" xKey="cache_bytes"
            summary={`${x.length} sizes, ${names.length} policies.`}
            x={x} xAxis={byteAxis} yAxis={isSpeed ? { label: "tokens/s", print: (value) => value.toPrecision(3) } : { label: "", print: bytes, ticks: byteTicks }}
            bounds={{ x0: 0, x1: numberOf(section, "weight_bytes") ?? undefined }}
            curves={names.map((name) => ({
                key: name, label: rows.find((row) => row.name === name)!.policy, colour: COLOURS[name] ?? "#999999", dash: name === "min" ? [5, 3] : [],
                y: x.map((size) => valueOf(rows.find((row) => row.name === name && row.cache_bytes === size))),
            }))}
            marks={memory.value === null ? [] : [{ x: memory.value, label: bytes(memory.value) }]}
            at={(value) => exactBytes(value)}
            empty={rows.length === 0 ? "No weight was read again." : null}
        >
            {memory.value !== null && !isFile && (
                <Choice
                    label="Disk" value={disk.value} onChange={(value) => (disk.value = value)}
                    items={["100M", "500M", "1G", "2G", "4G", "8G"].map((id) => ({ id, title: `${id.slice(0, -1)} ${id.slice(-1)}iB/s` }))}
                />
            )}
        </Lines>
    );
}

function WorkingSet({ section }: { section: Section }) {
    const table = section.tables?.working_set_course;
    const rows = rowsOf<CourseRow>(section, "working_set_course");
    const { data: all } = useTokens();
    const windows = (table?.columns ?? []).filter(({ key }) => key.startsWith("window_"));
    const colours = ["#56B4E9", "#0072B2", "#009E73", "#E69F00", "#D55E00", "#CC79A7"];
    const x = rows.map((row) => row.token);
    return (
        <Lines
            title="Working set: weights that the last graphs read, each byte once" name="working-set" xKey="token"
            summary={windows.map(({ label }) => label).join(", ")}
            x={x} xAxis={{ label: "token", whole: true, print: count }} yAxis={{ label: "", print: bytes, ticks: byteTicks }}
            curves={windows.map(({ key }, i) => {
                const graphs = Number(key.slice(7));
                return { key, label: graphs === 1 ? "one graph" : `${count(graphs)} graphs`, colour: colours[i % colours.length]!, y: rows.map((row) => row[key] ?? null) };
            })}
            at={(value) => `until token ${count(value)}`} more={(value) => textRows(all, value)} pick={(at) => toToken(x[nearest(x, at)] ?? 0)}
            marks={token.value === null ? [] : [{ x: token.value, label: `token ${count(token.value)}` }]}
            empty={rows.length < 2 ? "The working set needs several generated tokens: record more, for example -n 40." : null}
        />
    );
}

function New({ section }: { section: Section }) {
    const rows = rowsOf<OverRow>(section, "over_time");
    const { data: all } = useTokens();
    const x = rows.map((row) => row.token);
    return (
        <Lines
            title="Weights read for the first time" name="new-weights" xKey="token"
            summary={`${bytes(rows[rows.length - 1]?.unique_bytes ?? 0)} of different weights were read, of ${bytes(about.value?.model.file_bytes ?? 0)} in the file.`}
            x={x} xAxis={{ label: "token", whole: true, print: count }} yAxis={{ label: "", print: bytes, ticks: byteTicks }}
            curves={[
                { key: "unique_bytes", label: "different ones so far", colour: "#0072B2", y: rows.map((row) => row.unique_bytes) },
                { key: "bytes", label: "read by a graph", colour: "#009E73", y: rows.map((row) => row.bytes) },
                { key: "new_bytes", label: "never read before", colour: "#D55E00", fill: true, y: rows.map((row) => row.new_bytes) },
            ]}
            at={(value) => `from token ${count(value)}`} more={(value) => textRows(all, value)} pick={(at) => toToken(x[nearest(x, at)] ?? 0)}
            marks={token.value === null ? [] : [{ x: token.value, label: `token ${count(token.value)}` }]}
            empty={rows.length === 0 ? "No weight was read." : null}
        />
    );
}

function Reuse({ section }: { section: Section }) {
    const rows = rowsOf<ReuseRow>(section, "reuse_distances");
    return (
        <Bars
            title="Reuse distance: bytes of other weights read until the same one is read again" name="reuse-distance" left={110}
            summary={rows[0] ? `${percent(rows[0].share)} of the repeated reads have a distance up to ${bytes(rows[0].up_to_bytes)}.` : ""}
            bars={rows.map((row) => ({
                label: `up to ${bytes(row.up_to_bytes)}`, values: [row.share],
                rows: [["reads", count(row.accesses)], ["bytes read", exactBytes(row.bytes)], ["this far or nearer", percent(row.share_up_to)]],
            }))}
            parts={[{ key: "share", label: "share of repeated reads", colour: "#0072B2" }]} xLabel="share of repeated reads" yLabel="up_to" print={percent}
            empty={rows.length === 0 ? "No weight was read twice." : null}
        />
    );
}
