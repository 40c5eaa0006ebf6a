// SPDX-License-Identifier: MIT
/** Keys that hold in every view. Pictures have their own while they have the focus. */
import { helpIsOpen } from "./help";
import { step, stride, togglePlaying } from "./play";
import { clearSelection, measure, theme, view } from "./state";
import { VIEWS } from "./views";

const MEASURES = ["bytes", "accesses", "time"] as const;
const THEMES = ["auto", "light", "dark"] as const;

/** The next of a list, round and round. */
const next = <T>(list: readonly T[], now: T): T => list[(list.indexOf(now) + 1) % list.length]!;

interface Key {
    keys: string[];
    /** As the help sheet shows it. */
    shown: string;
    says: string;
    press(event: KeyboardEvent): void;
}

export const KEYS: Key[] = [
    { keys: [" "], shown: "Space", says: "play, or pause", press: () => togglePlaying() },
    { keys: ["ArrowRight", "."], shown: "\u2192 or .", says: "one step on", press: () => void step(1) },
    { keys: ["ArrowLeft", ","], shown: "\u2190 or ,", says: "one step back", press: () => void step(-1) },
    { keys: ["]"], shown: "]", says: "one operation on", press: () => void step(1, "operation") },
    { keys: ["["], shown: "[", says: "one operation back", press: () => void step(-1, "operation") },
    {
        keys: ["s"], shown: "s", says: "step by token, or by operation",
        press: () => (stride.value = stride.peek() === "token" ? "operation" : "token"),
    },
    { keys: ["m"], shown: "m", says: "next measure: bytes, accesses, time", press: () => (measure.value = next(MEASURES, measure.peek())) },
    { keys: ["d"], shown: "d", says: "colours: as the system, light, dark", press: () => (theme.value = next(THEMES, theme.peek())) },
    { keys: ["?"], shown: "?", says: "this sheet", press: () => (helpIsOpen.value = !helpIsOpen.peek()) },
    {
        keys: ["Escape"], shown: "Escape", says: "close this sheet, or let go of what is selected",
        press: () => (helpIsOpen.peek() ? (helpIsOpen.value = false) : clearSelection()),
    },
];

/** Keys that the focused element needs for itself. */
function isTaken(event: KeyboardEvent): boolean {
    const target = event.target as HTMLElement | null;
    if (!target?.closest) return false;
    if (target.closest("input:not([type=range]), textarea, [contenteditable]")) return event.key !== "Escape";
    if (target.closest("select, input[type=range]")) return /^(Arrow|Home|End|Page| )/.test(event.key) || event.key.length === 1;
    return event.key === " " && target.closest("button, a, summary") !== null;
}

export function onKey(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTaken(event)) return;
    const key = KEYS.find(({ keys }) => keys.includes(event.key));
    const opened = VIEWS.find((one) => one.key === event.key);
    if (key) key.press(event);
    else if (opened) view.value = opened.id;
    else return;
    event.preventDefault();
}
