// SPDX-License-Identifier: MIT
/** Runs side by side on the same scales, and what differs. */
import { useMemo } from "preact/hooks";

import { about, aboutOf, entries, useSection } from "../api";
import type { Box } from "../axes";
import { cellAt, type Tile } from "../binary";
import { difference, isDark, type Scale } from "../colours";
import { bytes, count, csv, time } from "../format";
import {
    axisOf, boxOfCell, columnsOf, differenceImageOf, differenceOf, extentOf, heightOf, imageOf, type Kind, measureOf, nameOf, paintTile, roomFor,
    scaledRows, scaleOf, wholes,
} from "../grid";
import { type Hover, Picture } from "../picture";
import { trace, traces } from "../state";
import { columnOf, textRows, useTokens } from "../tokens";
import type { About, Tokens } from "../types";
import {
    csvOf, HeatSwitches, hoverOf, kind, paintSelected, pickCell, setWindow, shownMeasure, useGrid, usesLog, windowOf,
} from "./Heatmap";

export function Compare() {
    const run = about.value!;
    const all = entries.value;
    const others = traces.value.slice(1);
    if (all.length < 2) {
        return <p class="empty">One trace is open. To compare, open two or more: tat view RUN_A RUN_B</p>;
    }
    return (
        <div class="compare">
            <fieldset class="chooser">
                <legend>Compare {run.name} with</legend>
                {all.filter(({ id }) => id !== trace.value).map(({ id, name }) => (
                    <label key={id}>
                        <input
                            type="checkbox" checked={others.includes(id)}
                            onChange={() => (traces.value = others.includes(id) ? traces.value.filter((one) => one !== id) : [...traces.value, id])}
                        />
                        {name}
                    </label>
                ))}
            </fieldset>
            {others.length === 0 ? <p class="empty">Choose a run above.</p> : others.map((id) => <Pair key={id} first={trace.value} second={id} />)}
        </div>
    );
}

function Pair({ first, second }: { first: number; second: number }) {
    const [a, b] = [aboutOf(first), aboutOf(second)];
    if (!a || !b) return <p class="empty" role="status">Reading the traces</p>;
    return (
        <>
            <Table a={a} b={b} first={first} second={second} />
            <Pictures a={a} b={b} first={first} second={second} />
        </>
    );
}

interface Runs {
    a: About;
    b: About;
    first: number;
    second: number;
}

// ---- figures ----

function median(values: number[]): number | null {
    if (values.length === 0) return null;
    const sorted = [...values].sort((x, y) => x - y);
    return sorted[Math.floor((sorted.length - 1) / 2)]!;
}

/** The median over generated tokens. */
function typical(all: Tokens | null, which: "bytes" | "time" | "new_experts"): number | null {
    if (!all) return null;
    const values = columnOf(all, which);
    return values ? median(values.filter((_, i) => all.phase[i] === "generate")) : null;
}

interface Speed {
    values?: { tokens_per_second?: number };
}

const useSpeed = (id: number): number | null => useSection<Speed>("speed", {}, id).data?.values?.tokens_per_second ?? null;

function Table({ a, b, first, second }: Runs) {
    const [inA, inB] = [useTokens(first).data, useTokens(second).data];
    const speeds = [useSpeed(first), useSpeed(second)] as const;
    const rows: [string, number | null, number | null, (value: number) => string][] = [
        ["tokens/s, median", ...speeds, (value) => value.toFixed(1)],
        ["tokens", a.tokens, b.tokens, count],
        ["accesses", a.records, b.records, count],
        ["duration", a.duration_ns, b.duration_ns, time],
        ["time of a generated token, median", typical(inA, "time"), typical(inB, "time"), time],
        ["bytes of a generated token, median", typical(inA, "bytes"), typical(inB, "bytes"), bytes],
        ...(a.has.experts && b.has.experts
            ? [["new experts of a generated token, median", typical(inA, "new_experts"), typical(inB, "new_experts"), count] as [string, number | null, number | null, (value: number) => string]]
            : []),
        ["model file", a.model.file_bytes, b.model.file_bytes, bytes],
    ];
    return (
        <table class="figures-table">
            <thead>
                <tr><th scope="col"><span class="unseen">Figure</span></th><th scope="col">{a.name}</th><th scope="col">{b.name}</th><th scope="col">difference</th></tr>
            </thead>
            <tbody>
                {rows.map(([name, x, y, print]) => (
                    <tr key={name}>
                        <th scope="row">{name}</th>
                        <td>{x === null ? "\u2013" : print(x)}</td>
                        <td>{y === null ? "\u2013" : print(y)}</td>
                        <td>{x === null || y === null ? "\u2013" : changed(x, y)}</td>
                    </tr>
                ))}
            </tbody>
        </table>
    );
}

function changed(x: number, y: number): string {
    if (x === y) return "none";
    if (x === 0) return "\u2013";
    const by = y / x;
    const factor = (value: number): string => (value >= 100 ? count(Math.round(value)) : value.toPrecision(3));
    if (by >= 2) return `\u00d7 ${factor(by)}`;
    if (by > 0 && by <= 0.5) return `\u00f7 ${factor(1 / by)}`;
    return `${by > 1 ? "+" : "\u2212"}${Math.abs((by - 1) * 100).toFixed(1)} %`;
}

// ---- pictures ----

function Pictures({ a, b, first, second }: Runs) {
    const of = kind.value;
    const size = (along: (of: Kind, run: About) => number): number => Math.max(1, along(of, a), along(of, b));
    const bounds = { x0: 0, x1: size(columnsOf), y0: 0, y1: size(heightOf) };
    const window = windowOf(of, bounds);
    const wholeA = useGrid(of, a, null, first);
    const wholeB = useGrid(of, b, null, second);
    const isLog = usesLog(of);
    const scale = useMemo(
        () => (wholeA.data && wholeB.data ? scaleOf([wholeA.data, wholeB.data], isLog, scaledRows(of.y, a)) : null),
        [wholeA.data, wholeB.data, isLog],
    );
    const rowsDiffer = [...Array(heightOf(of, a)).keys()].some((i) => nameOf(of.y, i, a) !== nameOf(of.y, i, b));
    const alike = heightOf(of, a) === heightOf(of, b) && !rowsDiffer;
    const shared = { of, bounds, window, scale };
    return (
        <>
            <div class="toolbar"><HeatSwitches run={a} /></div>
            <div class="pairs">
                <Side {...shared} run={a} id={first} title={a.name} />
                <Side {...shared} run={b} id={second} title={b.name} />
                {alike ? (
                    <Difference {...shared} a={a} b={b} first={first} second={second} />
                ) : (
                    <p class="empty">The models differ: their rows cannot be subtracted. Token by layer compares models with as many layers.</p>
                )}
            </div>
        </>
    );
}

interface Shared {
    of: Kind;
    bounds: Box;
    window: Box;
    scale: Scale | null;
}

function Side({ of, bounds, window, scale, run, id, title }: Shared & { run: About; id: number; title: string }) {
    const whole = useGrid(of, run, null, id);
    const part = useGrid(of, run, window, id);
    const { data: all } = useTokens(id);
    const { unit, print } = measureOf(shownMeasure.value);
    const tile = part.data ?? whole.data;
    const image = useMemo(() => (tile && scale ? imageOf(tile, scale) : null), [tile, scale, isDark.value]);
    return (
        <Picture
            title={title} name={`compare-${of.id}-${shownMeasure.value}`} height={300}
            summary={`${unit} by ${of.x} and ${of.y}, on the same scale as the run beside it.`}
            bounds={bounds} window={window} onWindow={(to) => setWindow(of, bounds, to)}
            least={{ x: 4, y: 2 }} xAxis={axisOf(of.x, run)} yAxis={axisOf(of.y, run)} left={roomFor(of.y, run)} step={{ x: 1, y: 1 }}
            legend={scale ? { kind: "scale", label: of.x === "token" ? `${unit} a token` : unit, scale, print, nothing: "not touched" } : undefined}
            paint={(pen, frame) => {
                if (tile && image) paintTile(pen, frame, tile, image);
                paintSelected(pen, frame, of, run);
            }}
            hover={(x, y) => (tile ? hoverOf(tile, of, run, all, x, y) : null)} pick={(x, y) => pickCell(of, run, x, y)}
            csv={() => csvOf(tile!, of, run)} busy={part.busy} empty={part.error ?? whole.error}
        />
    );
}

function Difference({ of, bounds, window, a, b, first, second }: Shared & Runs) {
    const wholeA = useGrid(of, a, null, first).data;
    const wholeB = useGrid(of, b, null, second).data;
    const partA = useGrid(of, a, window, first).data ?? wholeA;
    const partB = useGrid(of, b, window, second).data ?? wholeB;
    const [allA, allB] = [useTokens(first).data, useTokens(second).data];
    const { print, exact, unit } = measureOf(shownMeasure.value);
    const most = useMemo(() => (wholeA && wholeB ? extentOf(differenceOf(wholeA, wholeB)) : 0), [wholeA, wholeB]);
    const tile = useMemo(() => (partA && partB ? differenceOf(partA, partB) : null), [partA, partB]);
    const image = useMemo(() => (tile ? differenceImageOf(tile, most) : null), [tile, most, isDark.value]);
    const signed = (value: number): string => `${value > 0 ? "+" : value < 0 ? "\u2212" : ""}${print(Math.abs(value))}`;
    const hover = (x: number, y: number): Hover | null => {
        const cell = tile ? cellAt(tile, x, y) : -1;
        if (!tile || cell < 0) return null;
        const box = boxOfCell(tile, cell);
        const value = tile.value[cell]!;
        const texts = (all: Tokens | null, name: string): [string, string][] =>
            of.x === "token" ? textRows(all, ...wholes(box.x0, box.x1)).map(([says, text]) => [`${says}, ${name}`, text]) : [];
        return {
            title: `${nameOf(of.x, wholes(box.x0, box.x1)[0], a)}, ${nameOf(of.y, wholes(box.y0, box.y1)[0], a)}`,
            rows: [
                ["difference", value === 0 ? "none" : `${value > 0 ? "+" : "\u2212"}${exact(Math.abs(value))}`],
                ...texts(allA, a.name), ...texts(allB, b.name),
            ],
            outline: box,
        };
    };
    return (
        <Picture
            title={`Difference: ${b.name} less ${a.name}`} name={`difference-${of.id}-${shownMeasure.value}`} height={300}
            summary={`Red: more in ${b.name}; blue: more in ${a.name}. The greatest difference of a cell is ${print(most)}.`}
            bounds={bounds} window={window} onWindow={(to) => setWindow(of, bounds, to)}
            least={{ x: 4, y: 2 }} xAxis={axisOf(of.x, a)} yAxis={axisOf(of.y, a)} left={roomFor(of.y, a)} step={{ x: 1, y: 1 }}
            legend={{
                kind: "scale", label: `${of.x === "token" ? `${unit} a token` : unit}: blue more in ${a.name}, red in ${b.name}`,
                scale: { lo: -most, hi: most, log: false }, print: signed, colour: (share) => difference(share * 2 - 1),
            }}
            paint={(pen, frame) => {
                if (tile && image) paintTile(pen, frame, tile, image);
                paintSelected(pen, frame, of, a);
            }}
            hover={hover} pick={(x, y) => pickCell(of, a, x, y)}
            empty={wholeA && wholeB && most === 0 ? `No difference: each cell has the same ${unit} in both runs. Another measure or picture may tell them apart.` : null}
            csv={() => csv([of.x, of.y, `difference_${shownMeasure.value}`], cells(tile!, of, a))}
        />
    );
}

function* cells(tile: Tile, of: Kind, run: About): Iterable<unknown[]> {
    for (let cell = 0; cell < tile.value.length; cell++) {
        const box = boxOfCell(tile, cell);
        yield [wholes(box.x0, box.x1)[0], nameOf(of.y, wholes(box.y0, box.y1)[0], run), tile.value[cell]];
    }
}
