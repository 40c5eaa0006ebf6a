// SPDX-License-Identifier: MIT
/** What waited for the disk, what of the model was in memory when, and how fast it was read. */
import { about, tensorsById, useSection } from "../api";
import { Bars } from "../bars";
import { byteTicks, timeTicks } from "../axes";
import { bytes, count, exactBytes, percent, time } from "../format";
import { Lines } from "../lines";
import { Matrix } from "../matrix";
import { rowsOf, type Section, SectionTable, SectionView } from "../section";
import { expert, layer, option, tensor } from "../state";
import { Choice, Segments } from "../switches";

interface FaultRow {
    tensor?: string;
    expert?: number;
    layer?: number;
    major_faults: number;
    minor_faults: number;
    stall_ns: number;
    stall_share: number;
}

interface ReadRow {
    tensor?: string;
    layer?: number;
    phase?: string;
    wanted_bytes?: number;
    read_bytes: number;
    again_bytes: number;
    demanded_bytes: number;
    ahead_bytes: number;
    in_vain_bytes: number;
}

interface ThroughputRow {
    begin_ns: number;
    ns: number;
    bytes: number;
    requests: number;
    busy_ns: number;
}

interface ResidencyRow {
    at_ns: number;
    file: number;
    bytes: number;
    shares: number[];
}

interface ExplainedRow {
    phase: string;
    tokens: number;
    token_ns: number;
    blocked_ns: number;
    preempted_ns: number;
    compute_ns: number;
    unexplained: number;
}

/** Of the time axis: the trace's own clock, which begins with the first graph. Models are loaded before it. */
const at = (ns: number): string => (ns < 0 ? `${time(-ns)} before the trace began` : `${time(ns)} after the trace began`);
const clock = { label: "time since the trace began", ticks: timeTicks, print: (ns: number) => (ns < 0 ? `\u2212${time(-ns)}` : time(ns)) };

export function Storage() {
    const { has } = about.value!;
    return (
        <>
            {has.managed && <Managed />}
            {has.faults || has.requests ? <Observed /> : <p class="headline">{NO_IO}</p>}
        </>
    );
}

export const NO_IO = "The trace has neither page faults nor requests to the disk. Record them with `tat record --io`.";

/** What `tat run` did. */
function Managed() {
    const answer = useSection<Section>("managed");
    const section = answer.data;
    return (
        <SectionView answer={answer}>
            {section && (
                <>
                    <dl class="told">
                        {section.lines?.map(({ label, text }) => <div key={label}><dt>{label.toLowerCase()}</dt><dd>{text}</dd></div>)}
                    </dl>
                    <div class="panels">
                        <SectionTable section={section} name="compared" />
                        <SectionTable section={section} name="policies" />
                        <Course section={section} />
                    </div>
                </>
            )}
        </SectionView>
    );
}

interface CourseRow {
    at_ns: number;
    tokens: number;
    read_bytes: number;
    wait_share?: number;
    hit_share?: number;
}

function Course({ section }: { section: Section }) {
    const rows = rowsOf<CourseRow>(section, "course");
    const last = rows[rows.length - 1];
    return (
        <Lines
            title="Experts that were in memory, and time waited, as the run went on" name="managed-course" xKey="at_ns"
            summary={last ? `${bytes(last.read_bytes)} read for ${count(last.tokens)} tokens until ${time(last.at_ns)}.` : ""}
            x={rows.map((row) => row.at_ns)} xAxis={{ label: "time since tat's first line", print: time }} yAxis={{ label: "", print: percent }} bounds={{ y1: 1.05 }}
            curves={[
                { key: "hit_share", label: "experts' bytes in memory", colour: "#009E73", y: rows.map((row) => row.hit_share ?? null) },
                { key: "wait_share", label: "time waited for reads", colour: "#D55E00", y: rows.map((row) => row.wait_share ?? null) },
            ]}
            at={(value) => {
                const row = rows.find((one) => one.at_ns === value);
                return row ? `${time(value)}: ${count(row.tokens)} tokens, ${exactBytes(row.read_bytes)} read` : time(value);
            }}
            empty={rows.length === 0 ? "The run was too short to be told as it went on." : null}
        />
    );
}

/** What `tat record --io` saw. */
function Observed() {
    const answer = useSection<Section>("storage");
    const section = answer.data;
    return (
        <SectionView answer={answer}>
            {section && (
                <>
                    <div class="panels wide">
                        <Residency section={section} />
                        <Throughput section={section} />
                    </div>
                    <div class="panels">
                        <Waited section={section} />
                        <Explained section={section} />
                        <LayersRead section={section} />
                        <SectionTable section={section} name="bounds" />
                        <SectionTable section={section} name="reading" />
                        <SectionTable section={section} name="operations" />
                        <SectionTable section={section} name="reread" most={15} />
                        <SectionTable section={section} name="requests" />
                        <SectionTable section={section} name="totals" />
                    </div>
                </>
            )}
        </SectionView>
    );
}

const fileOf = option("file", "");

function Residency({ section }: { section: Section }) {
    const all = rowsOf<ResidencyRow>(section, "residency");
    const files = [...new Set(all.map((row) => row.file))];
    const file = files.includes(Number(fileOf.value)) ? Number(fileOf.value) : files[0];
    const rows = all.filter((row) => row.file === file);
    const bins = rows[0]?.shares.length ?? 0;
    const size = about.value?.model.file_bytes ?? 0;
    const last = rows[rows.length - 1];
    // The model's one file: where in it a part lies is told in bytes.
    const from = (part: number): string => (files.length === 1 && size > 0 ? bytes((size * part) / bins) : percent(part / bins));
    return (
        <Matrix
            title="What of the model's file was in memory" name="residency" height={290} left={76}
            summary={last ? `${bytes(last.bytes)} were in memory ${at(last.at_ns)}.` : ""}
            values={Array.from({ length: bins }, (_, part) => rows.map((row) => row.shares[part] ?? 0))} columns={rows.length} most={1}
            xLabel={clock.label} yLabel="part of the file" nameX={(x) => clock.print(rows[x]?.at_ns ?? 0)} nameY={from}
            unit="share in the page cache" print={percent} nothing="not in memory"
            rows={(x, y) => [["bytes of the file in memory", exactBytes(rows[x]!.bytes)], ["when", at(rows[x]!.at_ns)], ["part of the file", `${from(y)} to ${from(y + 1)}`]]}
            empty={rows.length === 0 ? "The trace does not tell what was in memory. As root, `tat record --io` also records what enters and leaves the page cache." : null}
        >
            {files.length > 1 && (
                <Choice label="File" value={String(file)} items={files.map((id) => ({ id: String(id), title: `file ${id}` }))} onChange={(value) => (fileOf.value = value)} />
            )}
        </Matrix>
    );
}

const rate = (value: number): string => `${bytes(value)}/s`;

function Throughput({ section }: { section: Section }) {
    const rows = rowsOf<ThroughputRow>(section, "throughput");
    const x = rows.map((row) => row.begin_ns);
    const best = section.values?.disk_best_bytes_per_second;
    return (
        <Lines
            title="How fast the model was read from the disk" name="throughput" xKey="begin_ns" height={230} left={96}
            summary={`${bytes(rows.reduce((a, row) => a + row.bytes, 0))} in ${count(rows.reduce((a, row) => a + row.requests, 0))} requests.`}
            x={x} xAxis={clock} yAxis={{ label: "", print: rate, ticks: byteTicks }}
            curves={[
                { key: "bytes_per_second", label: "read", colour: "#0072B2", step: true, fill: true, y: rows.map((row) => (row.ns > 0 ? row.bytes / (row.ns / 1e9) : null)) },
                { key: "busy_bytes_per_second", label: "while the disk was busy", colour: "#E69F00", width: 1, y: rows.map((row) => (row.busy_ns > 0 ? row.bytes / (row.busy_ns / 1e9) : null)) },
                ...(typeof best === "number" && rows.length > 0 ? [{ key: "best", label: "this disk at best, as tat doctor measured it", colour: "#999999", dash: [4, 3], width: 1, y: rows.map(() => best) }] : []),
            ]}
            at={(value) => {
                const row = rows.find((one) => one.begin_ns === value);
                return row ? `${clock.print(value)}: ${exactBytes(row.bytes)} in ${count(row.requests)} requests, disk busy ${percent(row.busy_ns / row.ns)}` : "";
            }}
            empty={rows.length === 0 ? "The trace has no requests to the disk. As root, `tat record --io` records them." : null}
        />
    );
}

const by = option<"tensor" | "layer">("waits", "tensor");

function Waited({ section }: { section: Section }) {
    const which = by.value;
    const rows = rowsOf<FaultRow>(section, which === "tensor" ? "slices" : "layers");
    const longest = rows[0];
    const name = (row: FaultRow): string =>
        which === "layer" ? (row.layer === undefined || row.layer === null ? "no layer" : `layer ${row.layer}`) : `${row.tensor ?? ""}${row.expert === undefined || row.expert === null ? "" : `, expert ${row.expert}`}`;
    const choose = (row: FaultRow | undefined) => {
        if (!row) return;
        if (which === "layer") layer.value = row.layer ?? null;
        else {
            const found = [...tensorsById.value.values()].find((one) => one.name === row.tensor);
            if (found) [tensor.value, layer.value, expert.value] = [found.id, found.layer, row.expert ?? null];
        }
    };
    return (
        <Bars
            title={which === "tensor" ? "Weights that threads waited for longest" : "Time in page faults by layer"} name={`waits-${which}`} left={which === "tensor" ? 210 : 80}
            summary={longest ? `The longest: ${name(longest)}, ${time(longest.stall_ns)}.` : ""} thick={which === "tensor" ? 20 : 14}
            bars={rows.map((row) => ({
                label: name(row), values: [row.stall_ns],
                rows: [["share of all", percent(row.stall_share)], ["faults that waited for the disk", count(row.major_faults)], ["other faults", count(row.minor_faults)]],
            }))}
            parts={[{ key: "stall_ns", label: "time in page faults, all threads", colour: "#D55E00" }]} xLabel="time in page faults, all threads" yLabel={which} print={time}
            pick={(i) => choose(rows[i])}
            chosen={which === "layer" ? rows.findIndex((row) => row.layer === layer.value && layer.value !== null) : rows.findIndex((row) => row.tensor !== undefined && row.tensor === tensorsById.value.get(tensor.value ?? -1)?.name)}
            empty={rows.length > 0 ? null : (about.value?.has.faults
                ? "No page fault was in weights: they were in memory. The first run after a boot, or one with less memory than weights, has to read them from the disk."
                : "The trace has no page faults. `tat record --io` records them.")}
        >
            <Segments label="Waits by" value={which} items={[{ id: "tensor", title: "by weight" }, { id: "layer", title: "by layer" }]} onChange={(value) => (by.value = value)} />
        </Bars>
    );
}

function Explained({ section }: { section: Section }) {
    const rows = rowsOf<ExplainedRow>(section, "explained");
    return (
        <Bars
            title="What the time of a token is made of" name="token-time" left={90} thick={34}
            summary={rows.map((row) => `${row.phase}: ${time(row.token_ns)}, in faults ${time(row.blocked_ns)}`).join("; ")}
            bars={rows.map((row) => ({
                label: row.phase, values: [row.compute_ns, row.blocked_ns, row.preempted_ns, row.token_ns - row.compute_ns - row.blocked_ns - row.preempted_ns],
                rows: [["mean token", time(row.token_ns)], ["unexplained, of the mean token", percent(row.unexplained)], ["tokens", count(row.tokens)]],
            }))}
            parts={[
                { key: "compute_ns", label: "computing", colour: "#009E73" }, { key: "blocked_ns", label: "in faults", colour: "#D55E00" },
                { key: "preempted_ns", label: "others ran", colour: "#999999" }, { key: "unexplained_ns", label: "unexplained", colour: "#56B4E9" },
            ]}
            xLabel="time of a token" yLabel="phase" print={time}
            empty={rows.length === 0 ? "The trace does not tell. As root, `tat record --io` records when threads waited and when others ran." : null}
        />
    );
}

function LayersRead({ section }: { section: Section }) {
    const rows = rowsOf<ReadRow>(section, "read_layers").filter((row) => row.layer !== undefined && row.layer !== null);
    const x = rows.map((row) => row.layer!);
    const column = (key: "read_bytes" | "again_bytes" | "in_vain_bytes") => rows.map((row) => row[key]);
    return (
        <Lines
            title="Read from the disk by layer" name="read-layers" xKey="layer" summary={`${x.length} layers.`}
            x={x} xAxis={{ label: "layer", whole: true, print: count }} yAxis={{ label: "", print: bytes, ticks: byteTicks }}
            curves={[
                { key: "read_bytes", label: "read", colour: "#0072B2", y: column("read_bytes") },
                { key: "again_bytes", label: "of that, read again", colour: "#E69F00", y: column("again_bytes") },
                { key: "in_vain_bytes", label: "of that, in vain", colour: "#999999", y: column("in_vain_bytes") },
            ]}
            at={(value) => `layer ${value}`} pick={(to) => (layer.value = x.reduce((best, one) => (Math.abs(one - to) < Math.abs(best - to) ? one : best), x[0] ?? 0))}
            marks={layer.value === null ? [] : [{ x: layer.value, label: `layer ${layer.value}` }]}
            empty={rows.length === 0 ? "The trace does not tell what was read. As root, `tat record --io` records what enters the page cache." : null}
        />
    );
}
