// SPDX-License-Identifier: MIT
/** What memory the run takes: weights, KV cache and activations, how large they are, and from when until when each is needed. */
import { useEffect, useMemo, useState } from "preact/hooks";

import { about, askJson, isFile, path, useJson } from "../api";
import { type Box, byteTicks } from "../axes";
import { Bars } from "../bars";
import { type Access, type Life, liveBytes, livesOf } from "../buffers";
import { componentColour, heat, ink, place } from "../colours";
import { bytes, count, csv, exactBytes, many, time } from "../format";
import { Lines } from "../lines";
import { Picture } from "../picture";
import { layer, token } from "../state";
import type { About, Graph } from "../types";

export function Buffers() {
    const run = about.value!;
    const generated = run.phases.find(({ phase }) => phase === "generate");
    const of = token.value ?? generated?.token_first ?? Math.max(0, run.tokens - 1);
    const { lives, begin, busy, error } = useLives(run, of);
    return (
        <div class="section">
            <div class="panels wide"><Sizes run={run} lives={lives} busy={busy} /></div>
            <div class="panels wide">
                <Lifetimes lives={lives} begin={begin} of={of} busy={busy} error={error} />
                <Needed lives={lives} begin={begin} of={of} busy={busy} error={error} />
            </div>
        </div>
    );
}

interface Page {
    total: number;
    rows: Access[];
}

const PAGE = 1000;

/** All accesses to activations of the graph that computed a token. */
function useLives(run: About, of: number): { lives: Life[]; begin: number; busy: boolean; error: string | null } {
    const graph = useJson<Graph>(run.tokens > 0 ? path("graph", { token: of }) : null);
    const number = graph.data?.evaluation ?? null;
    const [found, setFound] = useState<{ rows: Access[]; number: number | null; error: string | null }>({ rows: [], number: null, error: null });
    useEffect(() => {
        if (number === null) return undefined;
        let current = true;
        const page = (from: number) => askJson<Page>(path("records", { graph: number, kind: "activation", from, count: PAGE }));
        page(0)
            .then(async (first) => {
                const others = Array.from({ length: Math.max(0, Math.ceil(first.total / PAGE) - 1) }, (_, i) => page((i + 1) * PAGE));
                return [first, ...(await Promise.all(others))].flatMap(({ rows }) => rows);
            })
            .then(
                (rows) => current && setFound({ rows, number, error: null }),
                (error: Error) => current && setFound({ rows: [], number, error: error.message }),
            );
        return () => {
            current = false;
        };
    }, [number, graph.address]);
    const lives = useMemo(() => livesOf(found.rows), [found.rows]);
    return { lives, begin: graph.data?.begin_ns ?? 0, busy: graph.busy || (number !== null && found.number !== number), error: graph.error ?? found.error };
}

const KV: Record<string, string> = { kv_k: "K cache", kv_v: "V cache", state: "recurrent state" };
const PLACES: Record<string, string> = { file: "weights, mapped from the file", copied: "weights, copied into buffers", buffer: "weights, in buffers" };

function Sizes({ run, lives, busy }: { run: About; lives: Life[]; busy: boolean }) {
    const sums = new Map<string, { bytes: number; count: number; colour: string }>();
    const add = (name: string, size: number, colour: string) => {
        const sum = sums.get(name) ?? { bytes: 0, count: 0, colour };
        sums.set(name, { ...sum, bytes: sum.bytes + size, count: sum.count + 1 });
    };
    for (const one of run.tensors) {
        const kv = KV[one.component];
        if (kv) add(kv, one.bytes, componentColour(one.component));
        else if (one.file_offset !== null || one.memory === "copied") add(PLACES[one.memory] ?? `weights, ${one.memory}`, one.bytes, "#0072B2");
    }
    const { most } = liveBytes(lives);
    const bars = [...sums].map(([label, sum]) => ({ label, values: [sum.bytes], rows: [["tensors", count(sum.count)], ["bytes", exactBytes(sum.bytes)]] as [string, string][] }));
    if (most > 0) {
        bars.push({
            label: "activations of a token, at once", values: [most],
            rows: [["tensors", count(lives.length)], ["all of them, one after the other", exactBytes(lives.reduce((a, life) => a + life.bytes, 0))]],
        });
    }
    return (
        <Bars
            title="Memory by what it holds" name="buffer-sizes" left={216} thick={26}
            summary={bars.map(({ label, values }) => `${label}: ${bytes(values[0]!)}`).join("; ")}
            bars={bars} parts={[{ key: "bytes", label: "bytes", colour: "#0072B2" }]} xLabel="bytes" yLabel="what" print={bytes} ticks={byteTicks} busy={busy}
            empty={bars.length === 0 ? "The trace names no tensors." : null}
        />
    );
}

interface Part {
    lives: Life[];
    begin: number;
    of: number;
    busy: boolean;
    error: string | null;
}

const lackOf = ({ lives, busy, error }: Part): string | null =>
    isFile && error ? "The life of an activation is read from the records of its token, and a file holds only some. Open the trace itself with `tat view`."
    : error ?? (lives.length === 0 && !busy ? "No operation of this token writes an activation that the trace has. A trace that was filtered by tensor or layer leaves them out." : null);

function Lifetimes(part: Part) {
    const { lives, begin, of, busy } = part;
    const end = lives.reduce((a, life) => Math.max(a, life.to), begin + 1);
    const bounds: Box = { x0: begin, x1: end, y0: 0, y1: Math.max(1, lives.length) };
    const [shown, setShown] = useState<Box | null>(null);
    const window = shown && shown.x0 >= bounds.x0 && shown.x1 <= bounds.x1 && shown.y1 <= bounds.y1 ? shown : bounds;
    const most = lives.reduce((a, life) => Math.max(a, life.bytes), 1);
    const least = lives.reduce((a, life) => Math.min(a, life.bytes), most);
    const scale = { lo: most > least * 3 ? least : 0, hi: most, log: most > least * 3 };
    const at = (x: number, y: number): Life | null => {
        const life = lives[Math.floor(y)];
        return life && x >= life.from - (window.x1 - window.x0) / 100 && x <= life.to + (window.x1 - window.x0) / 100 ? life : null;
    };
    return (
        <Picture
            title={`From when until when each activation of token ${count(of)} is needed`} name="activations" height={380} left={84}
            summary={`${many(lives.length, "activation")}, the largest of ${bytes(most)}, in ${time(end - begin)}.`}
            bounds={bounds} window={window} least={{ x: 1000, y: 4 }} step={{ x: (window.x1 - window.x0) / 40, y: 1 }}
            onWindow={(to) => setShown(to.x0 <= bounds.x0 && to.x1 >= bounds.x1 && to.y0 <= 0 && to.y1 >= bounds.y1 ? null : to)}
            xAxis={{ label: "time since the token's graph began", print: (ns) => time(ns - begin), ticks: (lo, hi, n) => ticksFrom(begin, lo, hi, n) }}
            yAxis={{ label: "", cells: true, print: (i) => lives[i]?.tensor ?? "" }}
            legend={{ kind: "scale", label: "bytes", scale, print: bytes }}
            paint={(pen, frame) => {
                const { accent } = ink.value;
                const high = frame.height / (frame.box.y1 - frame.box.y0);
                const [first, last] = [Math.max(0, Math.floor(frame.box.y0)), Math.min(lives.length, Math.ceil(frame.box.y1))];
                for (let i = first; i < last; i++) {
                    const life = lives[i]!;
                    const left = frame.x(life.from);
                    pen.rect(left, frame.y(i), Math.max(1, frame.x(life.to) - left), Math.max(0.8, high - (high > 4 ? 1 : 0)), life.layer !== null && life.layer === layer.value ? accent : heat(place(scale, life.bytes)));
                }
            }}
            hover={(x, y) => {
                const life = at(x, y);
                if (!life) return null;
                const i = Math.floor(y);
                return {
                    title: life.tensor,
                    rows: [
                        ["size", exactBytes(life.bytes)], ["written by", life.writer], ["last read by", life.reader || "no operation of this graph"],
                        ["needed for", time(life.to - life.from)], ["from", time(life.from - begin)], ...(life.layer === null ? [] : [["layer", String(life.layer)] as [string, string]]),
                    ],
                    outline: { x0: life.from, x1: life.to, y0: i, y1: i + 1 },
                };
            }}
            pick={(x, y) => {
                const life = at(x, y);
                if (life) layer.value = life.layer;
            }}
            csv={() => csv(
                ["tensor", "layer", "bytes", "from_ns", "to_ns", "written_by", "last_read_by"],
                lives.map((life) => [life.tensor, life.layer, life.bytes, life.from, life.to, life.writer, life.reader]),
            )}
            busy={busy} empty={lackOf(part)}
        />
    );
}

/** Round numbers of nanoseconds since a moment. */
function ticksFrom(begin: number, lo: number, hi: number, most: number): number[] {
    const raw = (hi - lo) / Math.max(1, most);
    if (!(raw > 0)) return [];
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10);
    const first = Math.ceil((lo - begin) / step);
    return Array.from({ length: Math.max(0, Math.floor((hi - begin) / step) - first + 1) }, (_, i) => begin + (first + i) * step);
}

function Needed(part: Part) {
    const { lives, begin, of, busy } = part;
    const { at, bytes: sums, most } = useMemo(() => liveBytes(lives), [lives]);
    return (
        <Lines
            title={`Activations that token ${count(of)} needs at once`} name="activations-at-once" xKey="ns" height={220}
            summary={`At most ${bytes(most)}: at least so much must the compute buffer have.`}
            x={at.map((ns) => ns - begin)} xAxis={{ label: "time since the token's graph began", print: time }} yAxis={{ label: "", print: bytes, ticks: byteTicks }}
            curves={[{ key: "bytes", label: "bytes of activations that are still to be read", colour: "#009E73", fill: true, step: true, y: sums }]}
            at={(ns) => time(ns)} busy={busy} empty={lackOf(part)} note="llama.cpp reserves its compute buffer for the largest ubatch, so it is larger."
        />
    );
}
