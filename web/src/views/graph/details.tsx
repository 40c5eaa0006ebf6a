// SPDX-License-Identifier: MIT
/** What is known of the chosen layer or operation, beside the graph. */
import { path, useJson } from "../../api";
import { count, exactBytes, percent, time } from "../../format";
import type { RecordsPage } from "../../types";
import { Operands } from "../records/operands";
import { CATEGORIES, categoryColour } from "./draw";
import type { Scene, Thing } from "./scene";

interface DetailsProps {
    scene: Scene;
    chosen: Thing | null;
    /** What is said of the graph's tokens. */
    words: [string, string][];
    onChoose(thing: Thing): void;
    onToggle(part: number): void;
}

export function Details({ scene, chosen, words, onChoose, onToggle }: DetailsProps) {
    if (chosen?.kind === "node") return <OfNode scene={scene} at={chosen.at} onChoose={onChoose} />;
    if (chosen) return <OfPart scene={scene} at={chosen.at} onChoose={onChoose} onToggle={onToggle} />;
    return <OfGraph scene={scene} words={words} />;
}

function Rows({ rows }: { rows: [string, string][] }) {
    return (
        <dl class="facts">
            {rows.map(([name, value]) => (
                <div key={name}>
                    <dt>{name}</dt>
                    <dd>{value}</dd>
                </div>
            ))}
        </dl>
    );
}

function Times({ times }: { times: [string, number][] }) {
    const all = times.reduce((sum, [, ns]) => sum + ns, 0);
    if (all === 0) return null;
    return (
        <>
            <h3>Time by category</h3>
            <ul class="shares">
                {times.map(([id, ns]) => (
                    <li key={id}>
                        <i style={{ background: categoryColour(id), width: `${(100 * ns) / times[0]![1]}%` }} />
                        <span>{CATEGORIES.find(([one]) => one === id)?.[2] ?? id}</span>
                        <b>{`${time(ns)}, ${percent(ns / all)}`}</b>
                    </li>
                ))}
            </ul>
        </>
    );
}

function OfGraph({ scene, words }: Pick<DetailsProps, "scene" | "words">) {
    const { graph } = scene;
    const sums = new Map<string, number>();
    for (const part of scene.parts) for (const [id, ns] of part.times) sums.set(id, (sums.get(id) ?? 0) + ns);
    const touching = graph.nodes.filter((node) => node.touches).length;
    return (
        <>
            <h2>All of it</h2>
            <Rows
                rows={[
                    ["graph", `${count(graph.evaluation)}, ${graph.phase}`],
                    ...(graph.tokens > 1 ? [["tokens together", count(graph.tokens)] as [string, string]] : []),
                    ...words,
                    ["operations", `${count(graph.nodes.length)}, of which ${count(touching)} touch bytes`],
                    ["bytes", exactBytes(graph.bytes)],
                    ["time", time(graph.end_ns - graph.begin_ns)],
                ]}
            />
            <Times times={[...sums].sort((a, b) => b[1] - a[1])} />
            <p class="note">Click a layer to open it, and an operation for what it reads and writes. Operations that touch no bytes are faint.</p>
            {graph.dangling > 0 && <p class="note">{`${count(graph.dangling)} sources are not in the trace, or come after what uses them; they are not drawn.`}</p>}
        </>
    );
}

function OfPart({ scene, at, onChoose, onToggle }: { scene: Scene; at: number } & Pick<DetailsProps, "onChoose" | "onToggle">) {
    const part = scene.parts[at]!;
    const { first, nodes: n } = part.group;
    const slowest = Array.from({ length: n }, (_, i) => first + i)
        .filter((i) => scene.graph.nodes[i]!.duration_ns)
        .sort((a, b) => scene.graph.nodes[b]!.duration_ns! - scene.graph.nodes[a]!.duration_ns!)
        .slice(0, 8);
    return (
        <>
            <h2>{part.title}</h2>
            <Rows
                rows={[
                    ["operations", `${count(n)}, of which ${count(part.touching)} touch bytes`],
                    ["bytes", exactBytes(part.group.bytes)],
                    ["time", time(part.group.duration_ns)],
                ]}
            />
            <p><button type="button" onClick={() => onToggle(at)}>{part.open ? "Close it" : "Open it"}</button></p>
            <Times times={part.times} />
            {slowest.length > 0 && <h3>Slowest operations</h3>}
            <Links scene={scene} nodes={slowest} onChoose={onChoose} print={(i) => time(scene.graph.nodes[i]!.duration_ns!)} />
        </>
    );
}

function Links({ scene, nodes, onChoose, print }: {
    scene: Scene;
    nodes: number[];
    onChoose(thing: Thing): void;
    print?(at: number): string;
}) {
    return (
        <ul class="links">
            {nodes.map((i) => {
                const node = scene.graph.nodes[i]!;
                return (
                    <li key={i}>
                        <button type="button" onClick={() => onChoose({ kind: "node", at: i })} title={`${node.op} ${node.name}`}>
                            <i style={{ background: categoryColour(node.category) }} />
                            {node.name || node.op}
                        </button>
                        <span>{print ? print(i) : node.op}</span>
                    </li>
                );
            })}
        </ul>
    );
}

function OfNode({ scene, at, onChoose }: { scene: Scene; at: number; onChoose(thing: Thing): void }) {
    const { graph } = scene;
    const node = graph.nodes[at]!;
    const answer = useJson<RecordsPage>(node.touches ? path("records", { graph: graph.evaluation, node: node.id }) : null);
    const all = graph.end_ns - graph.begin_ns;
    const timed = node.start_ns !== null && node.duration_ns !== null;
    return (
        <>
            <h2>{node.name || node.op}</h2>
            <Rows
                rows={[
                    ["operation", `${node.op}, number ${count(node.id)}`],
                    ["category", CATEGORIES.find(([id]) => id === node.category)?.[2] ?? node.category],
                    ["layer", node.layer === null ? "none" : String(node.layer)],
                    ["bytes", node.touches ? exactBytes(node.bytes) : "touches none"],
                    ...(timed ? [
                        ["begins", `${time(node.start_ns! - graph.begin_ns)} after the graph`] as [string, string],
                        ["takes", `${time(node.duration_ns!)}${all > 0 ? `, ${percent(node.duration_ns! / all)} of the graph` : ""}`] as [string, string],
                    ] : []),
                ]}
            />
            {node.touches && <h3>Operands</h3>}
            {answer.error && <p class="note" role="alert">{answer.error}</p>}
            {node.touches && answer.data && <Operands page={answer.data} />}
            {scene.sources[at]!.length > 0 && <h3>Computed from</h3>}
            <Links scene={scene} nodes={scene.sources[at]!} onChoose={onChoose} />
            {scene.targets[at]!.length > 0 && <h3>Used by</h3>}
            <Links scene={scene} nodes={scene.targets[at]!} onChoose={onChoose} />
        </>
    );
}
