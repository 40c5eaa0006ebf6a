// SPDX-License-Identifier: MIT
/** Which experts the router chooses, how evenly, how often the same ones again, and with which weights. */
import { useSection } from "../api";
import { count, many, percent } from "../format";
import { Lines } from "../lines";
import { Matrix } from "../matrix";
import { numberOf, rowsOf, type Section, SectionTable, SectionView } from "../section";
import { expert, layer, option } from "../state";
import { Choice, Segments } from "../switches";

interface LayerRow {
    layer: number;
    experts: number;
    used: number;
    tokens: number;
    selections: number;
    never: number;
    normalised_entropy: number;
    gini: number;
    counts: number[];
    shares: number[];
    prompt_counts: number[];
    generate_counts: number[];
    mean_gates: (number | null)[];
    ranking: number[];
}

interface OverlapRow {
    layer: number;
    same_as_last_token?: number;
    same_token_by_chance?: number;
    same_as_last_layer?: number;
    same_layer_by_chance?: number;
}

interface CountsRow {
    layer: number;
    from: number;
    counts: number[];
}

type Use = "share" | "choices" | "prompt" | "generate" | "gate";

const USES: { id: Use; title: string; unit: string; says: string; print(value: number): string }[] = [
    { id: "share", title: "share", unit: "share of the layer's choices", says: "Of a layer's choices, the share of each expert", print: percent },
    { id: "choices", title: "choices", unit: "choices", says: "How often each expert was chosen, in prompt and generation", print: count },
    { id: "prompt", title: "prompt", unit: "choices in the prompt", says: "How often tokens of the prompt chose it", print: count },
    { id: "generate", title: "generated", unit: "choices of generated tokens", says: "How often generated tokens chose it", print: count },
    { id: "gate", title: "gate weight", unit: "mean gate weight", says: "The weight with which an expert's output counts, in the mean", print: (value) => value.toFixed(3) },
];

const use = option<Use>("use", "share");
const pairs = option<"transition_counts" | "together_counts">("pairs", "transition_counts");

const valuesOf = (row: LayerRow, which: Use): (number | null)[] =>
    ({ share: row.shares, choices: row.counts, prompt: row.prompt_counts, generate: row.generate_counts, gate: row.mean_gates })[which] ?? [];

export function Experts() {
    const answer = useSection<Section>("experts");
    const section = answer.data;
    const layers = rowsOf<LayerRow>(section, "experts");
    return (
        <SectionView answer={answer}>
            {layers.length > 0 && (
                <>
                    <div class="panels">
                        <UseOfExperts layers={layers} />
                        <Pairs section={section!} layers={layers} />
                        <Evenness section={section!} layers={layers} />
                        <Overlap section={section!} />
                    </div>
                    <div class="panels">
                        <SectionTable
                            section={section} name="experts" title="The most chosen expert of each layer" most={layers.length}
                            keys={["layer", "selections", "never", "most_chosen", "most_share", "normalised_entropy", "gini"]}
                            pick={(row) => choose(Number(row.layer), row.most_chosen === null ? null : Number(row.most_chosen))}
                            picked={(row) => row.layer === layer.value}
                        />
                        <SectionTable
                            section={section} name="top_experts"
                            pick={(row) => choose(Number(row.layer), Number(row.expert))}
                            picked={(row) => row.layer === layer.value && row.expert === expert.value}
                        />
                        <SectionTable section={section} name="prediction" />
                    </div>
                </>
            )}
        </SectionView>
    );
}

function choose(inLayer: number, which: number | null): void {
    layer.value = inLayer;
    expert.value = which;
}

/** The expert with the most; the first of equals. */
function hottestOf(layers: LayerRow[], values: (number | null)[][]): { layer: number; expert: number; value: number } {
    let best = { layer: layers[0]?.layer ?? 0, expert: 0, value: 0 };
    layers.forEach((row, y) => values[y]!.forEach((value, x) => {
        if (value !== null && value > best.value) best = { layer: row.layer, expert: x, value };
    }));
    return best;
}

function UseOfExperts({ layers }: { layers: LayerRow[] }) {
    const which = USES.find(({ id }) => id === use.value) ?? USES[0]!;
    const columns = layers.reduce((a, row) => Math.max(a, row.experts), 0);
    const values = layers.map((row) => valuesOf(row, which.id));
    const chosen = layers.findIndex((row) => row.layer === layer.value);
    const all = hottestOf(layers, values);
    const inLayer = chosen < 0 ? null : hottestOf([layers[chosen]!], [values[chosen]!]);
    return (
        <Matrix
            title="Use of experts by layer" name="experts-use" height={Math.max(300, Math.min(620, 90 + layers.length * 14))}
            summary={`${layers.length} layers of ${columns} experts. The most, ${which.print(all.value)}, is at expert ${all.expert} of layer ${all.layer}.`}
            values={values} columns={columns} xLabel="expert" yLabel="layer" nameX={(x) => String(x)} nameY={(y) => String(layers[y]?.layer ?? "")}
            unit={which.unit} print={which.print} nothing={which.id === "gate" ? "never chosen" : "never"}
            chosen={{ x: chosen < 0 ? null : expert.value, y: chosen < 0 ? null : chosen }}
            pick={(x, y) => choose(layers[y]!.layer, x)}
            rows={(x, y) => {
                const row = layers[y]!;
                const gate = row.mean_gates?.[x];
                return [
                    ["expert", `${x} of layer ${row.layer}`],
                    ["choices", `${count(row.counts[x] ?? 0)} of ${count(row.selections)}`],
                    ["share", percent(row.shares[x] ?? 0)],
                    ["prompt, generated", `${count(row.prompt_counts[x] ?? 0)}, ${count(row.generate_counts[x] ?? 0)}`],
                    ["mean gate weight", gate === null || gate === undefined || !row.counts[x] ? "never chosen" : gate.toFixed(4)],
                    ["rank in its layer", `${row.ranking.indexOf(x) + 1} of ${row.experts}`],
                ];
            }}
        >
            <Segments label="Measure of use" value={which.id} items={USES} onChange={(value) => (use.value = value)} />
            <button type="button" title={`Choose expert ${all.expert} of layer ${all.layer}`} onClick={() => choose(all.layer, all.expert)}>hottest</button>
            {inLayer && (
                <button type="button" title={`Choose expert ${inLayer.expert}`} onClick={() => choose(inLayer.layer, inLayer.expert)}>{`hottest of layer ${inLayer.layer}: ${inLayer.expert}`}</button>
            )}
        </Matrix>
    );
}

function Pairs({ section, layers }: { section: Section; layers: LayerRow[] }) {
    const of = layers.find((row) => row.layer === layer.value) ?? layers[0]!;
    const table = pairs.value;
    const counts = rowsOf<CountsRow>(section, table).filter((row) => row.layer === of.layer);
    const values = Array.from({ length: of.experts }, (_, from) => counts.find((row) => row.from === from)?.counts ?? Array<number>(of.experts).fill(0));
    const next = table === "transition_counts";
    const total = values.flat().reduce((a, b) => a + b, 0);
    return (
        <Matrix
            title={next ? `Layer ${of.layer}: from a token's experts to the next token's` : `Layer ${of.layer}: experts that a token goes to together`}
            name={next ? "experts-transitions" : "experts-together"} height={Math.max(300, Math.min(620, 90 + layers.length * 14))}
            summary={`${many(total, next ? "transition" : "pair")} between ${of.experts} experts of layer ${of.layer}.`}
            values={values} columns={of.experts} nameX={(x) => String(x)} nameY={(y) => String(y)}
            xLabel={next ? "expert of the next token" : "and expert"} yLabel={next ? "expert of a token" : "expert"}
            unit={next ? "transitions" : "tokens"} print={count} nothing="never"
            chosen={{ x: null, y: expert.value }}
            pick={(_, y) => choose(of.layer, y)}
            empty={counts.length === 0 ? (next ? "No token of this layer has one before it." : "Each token goes to one expert only.") : null}
        >
            <Choice
                label="Layer" value={String(of.layer)} items={layers.map((row) => ({ id: String(row.layer), title: String(row.layer) }))}
                onChange={(value) => (layer.value = Number(value))}
            />
            <Segments
                label="Pairs" value={table} onChange={(value) => (pairs.value = value)}
                items={[{ id: "transition_counts", title: "next token" }, { id: "together_counts", title: "same token" }]}
            />
        </Matrix>
    );
}

const layerAxis = { label: "layer", whole: true, print: count };

function Evenness({ section, layers }: { section: Section; layers: LayerRow[] }) {
    const x = layers.map((row) => row.layer);
    const mean = numberOf(section, "mean_normalised_entropy");
    return (
        <Lines
            title="How evenly each layer uses its experts" name="experts-entropy" xKey="layer"
            summary={`Normalised entropy is ${mean?.toFixed(2) ?? "unknown"} in the mean of all layers; 1 is even.`}
            x={x} xAxis={layerAxis} yAxis={{ label: "", print: (value) => value.toFixed(2) }} bounds={{ y1: 1.05 }}
            curves={[
                { key: "normalised_entropy", label: "normalised entropy (1: even)", colour: "#0072B2", y: layers.map((row) => row.normalised_entropy) },
                { key: "gini", label: "Gini coefficient (0: even)", colour: "#D55E00", y: layers.map((row) => row.gini) },
            ]}
            at={(value) => `layer ${value}`} pick={(at) => pickLayer(x, at)} marks={layer.value === null ? [] : [{ x: layer.value, label: `layer ${layer.value}` }]}
        />
    );
}

function pickLayer(x: number[], at: number): void {
    layer.value = x.reduce((best, one) => (Math.abs(one - at) < Math.abs(best - at) ? one : best), x[0] ?? 0);
}

function Overlap({ section }: { section: Section }) {
    const rows = rowsOf<OverlapRow>(section, "overlap");
    const x = rows.map((row) => row.layer);
    const column = (key: keyof OverlapRow): (number | null)[] => rows.map((row) => row[key] ?? null);
    const same = numberOf(section, "same_as_last_token");
    return (
        <Lines
            title="The same experts again" name="experts-overlap" xKey="layer"
            summary={same === null ? "Unknown." : `${percent(same)} of a token's experts were those of the token before.`}
            x={x} xAxis={layerAxis} yAxis={{ label: "", print: percent }} bounds={{ y1: 1.05 }}
            curves={[
                { key: "same_as_last_token", label: "as the token before", colour: "#009E73", y: column("same_as_last_token") },
                { key: "same_token_by_chance", label: "by chance", colour: "#009E73", dash: [4, 3], width: 1.1, y: column("same_token_by_chance") },
                { key: "same_as_last_layer", label: "as the layer before", colour: "#CC79A7", y: column("same_as_last_layer") },
                { key: "same_layer_by_chance", label: "by chance", colour: "#CC79A7", dash: [4, 3], width: 1.1, y: column("same_layer_by_chance") },
            ]}
            at={(value) => `layer ${value}`} pick={(at) => pickLayer(x, at)} marks={layer.value === null ? [] : [{ x: layer.value, label: `layer ${layer.value}` }]}
            empty={rows.length === 0 ? "One token alone has no token before it: record more of them, for example -n 40." : null}
        />
    );
}
