// SPDX-License-Identifier: MIT
/** What attention reads and writes: the order of Q, K, V and O in each layer, what each head has, and how the KV cache grows. */
import { useSection } from "../api";
import { byteTicks } from "../axes";
import { componentColour } from "../colours";
import { bytes, count, exactBytes, many } from "../format";
import { Lines } from "../lines";
import { Matrix } from "../matrix";
import { rowsOf, type Section, SectionTable, SectionView } from "../section";
import { layer, option, token } from "../state";
import { toToken } from "../play";
import { Choice } from "../switches";
import { textRows, useTokens } from "../tokens";

interface GrowthRow {
    token: number;
    tokens: number;
    phase: string;
    cells: number;
    kv_read_bytes_per_token: number;
    kv_distinct_bytes_per_token: number;
    kv_written_bytes: number;
    weight_bytes: number;
    visible_cells: number;
    fresh_bytes: number;
    cached_bytes: number;
    hidden_bytes: number;
}

interface StepRow {
    layer: number;
    step: number;
    part: string;
    component: string;
    access: string;
    bytes: number;
}

interface HeadRow {
    layer: number;
    part: string;
    bytes: number[];
}

interface LayerRow {
    layer: number;
    cells: number;
    visible_cells: number;
    room_cells: number;
    most_visible_cells: number;
    kv_read_bytes_per_token: number;
    kv_written_bytes_per_token: number;
    weight_bytes_per_token: number;
}

const headPart = option("heads", "k_cache_read");

export function Attention() {
    const answer = useSection<Section>("attention");
    const section = answer.data;
    return (
        <SectionView answer={answer}>
            {section && (
                <>
                    <div class="panels">
                        <Growth section={section} />
                        <Order section={section} />
                        <Layers section={section} />
                        <Heads section={section} />
                    </div>
                    <div class="panels">
                        <SectionTable section={section} name="heads" />
                        <SectionTable section={section} name="attention" title="Read and written by part" />
                    </div>
                </>
            )}
        </SectionView>
    );
}

/** Pictures that stand side by side are as tall as a row for each layer needs. */
const tall = (section: Section): number => Math.max(250, Math.min(560, 90 + rowsOf(section, "layers").length * 12));

function Growth({ section }: { section: Section }) {
    const rows = rowsOf<GrowthRow>(section, "growth");
    const { data: all } = useTokens();
    const x = rows.map((row) => row.token);
    const last = rows[rows.length - 1];
    const perToken = (key: "fresh_bytes" | "cached_bytes" | "hidden_bytes") => rows.map((row) => row[key] / Math.max(1, row.tokens));
    return (
        <Lines
            title="KV cache read for a token, as it grows" name="kv-growth" xKey="token" height={tall(section)}
            summary={last ? `The last token reads ${bytes(last.kv_read_bytes_per_token)} of KV cache, and sees ${count(last.visible_cells)} cells a layer.` : ""}
            x={x} xAxis={{ label: "token", whole: true, print: count }} yAxis={{ label: "", print: bytes, ticks: byteTicks }}
            curves={[
                { key: "kv_read_bytes_per_token", label: "read", colour: componentColour("kv_k"), step: true, y: rows.map((row) => row.kv_read_bytes_per_token) },
                { key: "hidden_bytes_per_token", label: "of that, cells that the token does not see", colour: "#999999", step: true, y: perToken("hidden_bytes") },
                { key: "cached_bytes_per_token", label: "cells of tokens before", colour: "#0072B2", y: perToken("cached_bytes") },
                { key: "fresh_bytes_per_token", label: "cells that its own evaluation wrote", colour: "#E69F00", y: perToken("fresh_bytes") },
            ]}
            at={(value) => {
                const row = rows.find((one) => one.token === value);
                return row && row.tokens > 1 ? `tokens ${count(value)} to ${count(value + row.tokens - 1)}, ${row.phase}` : `token ${count(value)}, ${row?.phase ?? ""}`;
            }}
            more={(value) => textRows(all, value, value + Math.max(1, rows.find((one) => one.token === value)?.tokens ?? 1) - 1)}
            note="llama.cpp reads whole blocks of cells, also those that hold nothing yet or that the mask hides."
            pick={(at) => toToken(x.reduce((best, one) => (one <= at ? one : best), x[0] ?? 0))}
            marks={token.value === null ? [] : [{ x: token.value, label: `token ${count(token.value)}` }]}
            empty={rows.length === 0 ? "No operation of this model reads a KV cache." : null}
        />
    );
}

/** Its colour tells which part is written. */
const wordOf = (row: StepRow): string => (row.access === "write" ? "write" : row.part);

function Order({ section }: { section: Section }) {
    const rows = rowsOf<StepRow>(section, "order_steps");
    const layers = [...new Set(rows.map((row) => row.layer))].sort((a, b) => a - b);
    const steps = rows.reduce((a, row) => Math.max(a, row.step + 1), 0);
    const at = layers.map((one) => Array.from({ length: steps }, (_, step) => rows.find((row) => row.layer === one && row.step === step) ?? null));
    const parts = [...new Map(rows.map((row) => [row.part, componentColour(row.component)]))];
    const colours = parts.map(([, colour]) => colour);
    const first = rows.filter((row) => row.layer === layers[0]);
    const chosen = layers.indexOf(layer.value ?? -1);
    return (
        <Matrix
            title="Order in which each layer touches Q, K, V and O" name="attention-order" height={tall(section)}
            summary={`${many(layers.length, "layer")}. The first one: ${first.map((row) => `${row.access} ${row.part}`).join(", ")}.`}
            values={at.map((row) => row.map((one) => (one ? parts.findIndex(([part]) => part === one.part) : null)))} columns={steps}
            xLabel="step" yLabel="layer" nameY={(y) => String(layers[y] ?? "")} nameX={(x) => String(x + 1)}
            unit="part" print={(value) => parts[value]?.[0] ?? ""}
            colour={(value) => colours[value] ?? "#999999"} keys={parts.map(([label, colour]) => ({ label, colour }))}
            word={(x, y) => (at[y]?.[x] ? wordOf(at[y]![x]!) : "")}
            cell={(x, y) => (at[y]?.[x] ? `${at[y]![x]!.access} ${at[y]![x]!.part}` : "")}
            rows={(x, y) => {
                const one = at[y]?.[x];
                return one ? [["what", `${one.access === "write" ? "written" : "read"}, ${one.component}`], ["bytes", exactBytes(one.bytes)], ["layer", String(one.layer)]] : [];
            }}
            note="As the last generated token touched them."
            chosen={{ x: null, y: chosen < 0 ? null : chosen }} pick={(_, y) => (layer.value = layers[y] ?? null)}
            empty={rows.length === 0 ? "No layer of this model has attention." : null}
        />
    );
}

function Layers({ section }: { section: Section }) {
    const rows = rowsOf<LayerRow>(section, "layers");
    const x = rows.map((row) => row.layer);
    return (
        <Lines
            title="KV cache and weights that a layer reads for a generated token" name="kv-layers" xKey="layer" height={tall(section)}
            summary={rows[0] ? `Layer ${rows[0].layer} reads ${bytes(rows[0].kv_read_bytes_per_token)} of KV cache.` : ""}
            x={x} xAxis={{ label: "layer", whole: true, print: count }} yAxis={{ label: "", print: bytes, ticks: byteTicks }}
            curves={[
                { key: "weight_bytes_per_token", label: "weights", colour: "#0072B2", y: rows.map((row) => row.weight_bytes_per_token) },
                { key: "kv_read_bytes_per_token", label: "KV cache read", colour: componentColour("kv_k"), y: rows.map((row) => row.kv_read_bytes_per_token) },
                { key: "kv_written_bytes_per_token", label: "KV cache written", colour: "#E69F00", y: rows.map((row) => row.kv_written_bytes_per_token) },
            ]}
            at={(value) => {
                const row = rows.find((one) => one.layer === value);
                return `layer ${value}${row ? `: ${count(row.cells)} cells read, ${count(row.visible_cells)} seen, room for ${count(row.room_cells)}` : ""}`;
            }}
            pick={(at) => (layer.value = x.reduce((best, one) => (Math.abs(one - at) < Math.abs(best - at) ? one : best), x[0] ?? 0))}
            marks={layer.value === null ? [] : [{ x: layer.value, label: `layer ${layer.value}` }]}
            empty={rows.length === 0 ? "No layer of this model has a KV cache." : null}
        />
    );
}

const PARTS: Record<string, string> = {
    q_weights: "Q weights", k_weights: "K weights", v_weights: "V weights", output_weights: "output weights",
    k_cache_read: "K cache, read", v_cache_read: "V cache, read", k_cache_written: "K cache, written", v_cache_written: "V cache, written",
};

function Heads({ section }: { section: Section }) {
    const all = rowsOf<HeadRow>(section, "head_bytes");
    const parts = [...new Set(all.map((row) => row.part))];
    const part = parts.includes(headPart.value) ? headPart.value : (parts[0] ?? "");
    const rows = all.filter((row) => row.part === part);
    const name = PARTS[part] ?? part.replaceAll("_", " ");
    const heads = rows.reduce((a, row) => Math.max(a, row.bytes.length), 0);
    const chosen = rows.findIndex((row) => row.layer === layer.value);
    return (
        <Matrix
            title={`Bytes of each head for one token: ${name}`} name={`heads-${part.replaceAll("_", "-")}`} height={tall(section)}
            summary={`${many(rows.length, "layer")}, ${many(heads, "head")}.`}
            values={rows.map((row) => row.bytes)} columns={heads} xLabel={/^(k|v)_/.test(part) ? "KV head" : "query head"} yLabel="layer"
            nameX={(x) => String(x)} nameY={(y) => String(rows[y]?.layer ?? "")} unit={`bytes of ${name}`} print={exactBytes}
            chosen={{ x: null, y: chosen < 0 ? null : chosen }} pick={(_, y) => (layer.value = rows[y]?.layer ?? null)}
            empty={all.length === 0 ? "The trace does not tell how many heads these layers have." : null}
        >
            <Choice label="Part" value={part} items={parts.map((id) => ({ id, title: PARTS[id] ?? id.replaceAll("_", " ") }))} onChange={(value) => (headPart.value = value)} />
        </Matrix>
    );
}
