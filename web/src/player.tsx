// SPDX-License-Identifier: MIT
/** The bar at the bottom: where in the run the page is, and how it goes on. */
import { about, path, useJson } from "./api";
import { phaseColour } from "./colours";
import { count, time, tokenText } from "./format";
import { currentOperation, operations, playing, SPEEDS, speed, step, stride, togglePlaying, toToken } from "./play";
import { operation, token, tokens } from "./state";
import type { Tokens } from "./types";

export function Player() {
    const run = about.value;
    const answer = useJson<Tokens>(run ? path("tokens") : null);
    if (!run || run.tokens === 0) return <footer class="player" />;
    const at = token.value;
    return (
        <footer class="player" aria-label="Time">
            <div class="buttons" role="group" aria-label="Play">
                <button type="button" onClick={() => void step(-1)} aria-label={`One ${stride.value} back`} title={`One ${stride.value} back (\u2190)`}>{"\u25c2"}</button>
                <button type="button" class="play" onClick={togglePlaying} aria-label={playing.value ? "Pause" : "Play"} title={`${playing.value ? "Pause" : "Play"} (Space)`}>
                    {playing.value ? "\u275a\u275a" : "\u25b6"}
                </button>
                <button type="button" onClick={() => void step(1)} aria-label={`One ${stride.value} on`} title={`One ${stride.value} on (\u2192)`}>{"\u25b8"}</button>
            </div>
            <div class="track">
                <Phases />
                <input
                    type="range" min={0} max={run.tokens - 1} step={1} value={at ?? 0} class={at === null ? "unset" : ""}
                    aria-label="Token" aria-valuetext={at === null ? "no token chosen" : said(at, answer.data)}
                    onInput={(event) => toToken(Number(event.currentTarget.value))}
                />
            </div>
            <output class="where">{at === null ? "no token chosen" : said(at, answer.data)}</output>
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

function said(at: number, all: Tokens | null): string {
    const parts = [`token ${count(at)}`];
    const entry = all ? Math.floor((at - all.first) / (all.tokens_per_entry ?? 1)) : -1;
    if (all && entry >= 0 && entry < all.phase.length) {
        const text = all.text?.[entry];
        if (text != null && text !== "") parts[0] += ` \u201c${tokenText(text)}\u201d`;
        parts.push(all.phase[entry]!);
        if ((all.tokens_per_entry ?? 1) === 1) parts.push(`at ${time(all.start_ns[entry]!)}`);
    }
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
