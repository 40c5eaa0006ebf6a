// SPDX-License-Identifier: MIT
/** The bar at the bottom: where in the run the page is, and how it goes on. */
import { useState } from "preact/hooks";

import { about } from "./api";
import { phaseColour } from "./colours";
import { count, time } from "./format";
import { currentOperation, operations, playing, SPEEDS, speed, step, stride, togglePlaying, toToken } from "./play";
import { operation, token, tokens, trace } from "./state";
import { entryOf, perEntry, quoted, textRows, useTokens } from "./tokens";
import type { Tokens } from "./types";

export function Player() {
    const run = about.value;
    const { data: all } = useTokens(run ? trace.value : null);
    if (!run || run.tokens === 0) return <footer class="player" />;
    const at = token.value;
    const where = at === null ? "no token chosen" : said(at, all);
    return (
        <footer class="player" aria-label="Time">
            <div class="buttons" role="group" aria-label="Play">
                <button type="button" onClick={() => void step(-1)} aria-label={`One ${stride.value} back`} title={`One ${stride.value} back (\u2190)`}>{"\u25c2"}</button>
                <button type="button" class="play" onClick={togglePlaying} aria-label={playing.value ? "Pause" : "Play"} title={`${playing.value ? "Pause" : "Play"} (Space)`}>
                    {playing.value ? "\u275a\u275a" : "\u25b6"}
                </button>
                <button type="button" onClick={() => void step(1)} aria-label={`One ${stride.value} on`} title={`One ${stride.value} on (\u2192)`}>{"\u25b8"}</button>
            </div>
            <Track last={run.tokens - 1} where={where} all={all} />
            <output class="where" title={where}>{where}</output>
            <label>
                by{" "}
                <select value={stride.value} onChange={(event) => (stride.value = event.currentTarget.value as "token")} aria-label="Step by">
                    <option value="token">token</option>
                    <option value="operation">operation</option>
                </select>
            </label>
            <label>
                <select value={speed.value} onChange={(event) => (speed.value = event.currentTarget.value)} aria-label="Speed">
                    {SPEEDS.map((one) => (
                        <option key={one} value={one}>{`${one}/s`}</option>
                    ))}
                </select>
            </label>
        </footer>
    );
}

const HANDLE = 16; // pixels: the slider's, which stays within the track

/** The slider. What is pointed at is said before it is gone to. */
function Track({ last, where, all }: { last: number; where: string; all: Tokens | null }) {
    const [pointed, setPointed] = useState<{ token: number; x: number; room: number } | null>(null);
    const point = (event: PointerEvent) => {
        const { left, width } = (event.currentTarget as HTMLElement).getBoundingClientRect();
        const x = event.clientX - left;
        const share = Math.max(0, Math.min(1, (x - HANDLE / 2) / (width - HANDLE)));
        setPointed({ token: Math.round(share * last), x, room: width });
    };
    return (
        <div class="track" onPointerMove={point} onPointerLeave={() => setPointed(null)}>
            <Phases />
            <input
                type="range" min={0} max={last} step={1} value={token.value ?? 0} class={token.value === null ? "unset" : ""}
                aria-label="Token" aria-valuetext={where} onInput={(event) => toToken(Number(event.currentTarget.value))}
            />
            {pointed && (
                <div class="card" style={pointed.x > pointed.room / 2 ? { right: `${pointed.room - pointed.x}px` } : { left: `${pointed.x}px` }}>
                    {whichToken(pointed.token, all).join(", ")}
                </div>
            )}
        </div>
    );
}

/** In long runs, what is known is of several tokens. */
function whichToken(at: number, all: Tokens | null): string[] {
    const entry = all ? entryOf(all, at) : -1;
    if (!all || entry < 0) return [`token ${count(at)}`];
    const parts = [`token ${count(at)}`, ...(perEntry(all) > 1 ? textRows(all, at).map((row) => row.join(": ")) : [])];
    if (perEntry(all) === 1) parts[0] = `${parts[0]} ${quoted(all, entry)}`.trimEnd();
    parts.push(all.phase[entry]!);
    if (perEntry(all) === 1) parts.push(`at ${time(all.start_ns[entry]!)}`);
    return parts;
}

function said(at: number, all: Tokens | null): string {
    const parts = whichToken(at, all);
    const node = currentOperation.value;
    if (node && operation.value !== null) {
        parts.push(`operation ${count(operation.value + 1)} of ${count(operations.value.length)}: ${node.op} ${node.name}`);
    }
    return parts.join(", ");
}

/** Which phase is where, and which part is zoomed to. */
function Phases() {
    const run = about.value!;
    const share = (value: number) => `${(100 * value) / run.tokens}%`;
    const zoomed = tokens.value;
    return (
        <div class="phases" aria-hidden="true">
            {run.phases.filter((phase) => phase.tokens > 0).map((phase) => (
                <i key={phase.token_first} style={{ left: share(phase.token_first), width: share(phase.tokens), background: phaseColour(phase.phase) }} />
            ))}
            {zoomed && <b style={{ left: share(zoomed.lo), width: share(zoomed.hi - zoomed.lo) }} />}
        </div>
    );
}
