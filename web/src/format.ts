// SPDX-License-Identifier: MIT
/** Numbers as people read them, in the units that the other commands of tat print. */

const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** Three significant digits; whole numbers keep all of theirs. */
function three(value: number): string {
    const size = Math.abs(value);
    return value.toFixed(size >= 100 || value === Math.round(value) ? 0 : size >= 10 ? 1 : 2);
}

/** 1,234,567 */
export function count(value: number): string {
    return Number.isInteger(value) || Math.abs(value) >= 1000 ? grouped.format(value) : three(value);
}

const BYTES = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/** 14.9 GiB */
export function bytes(value: number): string {
    let power = 0;
    let scaled = value;
    while (Math.abs(scaled) >= 1024 && power < BYTES.length - 1) {
        scaled /= 1024;
        power++;
    }
    return power === 0 ? `${count(value)} ${value === 1 ? "byte" : "bytes"}` : `${three(scaled)} ${BYTES[power]}`;
}

/** "14.9 GiB (15,998,753,177 bytes)", for figures that are to be exact. */
export function exactBytes(value: number): string {
    return value < 1024 ? bytes(value) : `${bytes(value)} (${grouped.format(value)} bytes)`;
}

/** Nanoseconds as "4.85 s", "12.3 ms", "54.3 us", "740 ns". */
export function time(ns: number): string {
    const size = Math.abs(ns);
    if (size >= 120e9) {
        const seconds = Math.round(size / 1e9);
        return `${ns < 0 ? "\u2212" : ""}${Math.floor(seconds / 60)} min${seconds % 60 > 0 ? ` ${seconds % 60} s` : ""}`;
    }
    if (size >= 1e9) return `${three(ns / 1e9)} s`;
    if (size >= 1e6) return `${three(ns / 1e6)} ms`;
    if (size >= 1e3) return `${three(ns / 1e3)} us`;
    return `${three(ns)} ns`;
}

/** A share from 0 to 1 as "12.3 %". */
export function percent(share: number): string {
    return `${three(Number((share * 100).toPrecision(12)))} %`; // 0.6 * 100 is not quite 60
}

/** 1 access, 2 accesses */
export function many(value: number, one: string, more = `${one}s`): string {
    return `${count(value)} ${value === 1 ? one : more}`;
}

/** Characters without a shape, or that turn what follows around; but not what joins emoji, and what says that they have colours. */
const UNSEEN = /(?!(?<=\p{Emoji})[\ufe0e\ufe0f]|(?<=[\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])\u200d(?=\p{Emoji}))[\p{DI}\p{Cf}\u2800]/gu;

/** Text in which characters that cannot be seen, or that turn what follows around, show as signs. Plain spaces stay. */
export function visible(text: string): string {
    return text
        .replace(/\n/g, "\u21b5")
        .replace(/\t/g, "\u21e5")
        .replace(/\p{Cc}/gu, (one) => (one < " " ? String.fromCharCode(0x2400 + one.charCodeAt(0)) : "\u2421"))
        .replace(/(?! )\p{Z}/gu, "\u2423")
        .replace(UNSEEN, "\u25af");
}

/** The text of a token, with its spaces visible too. */
export const tokenText = (text: string): string => visible(text).replace(/ /g, "\u00b7");

/** A cell of a CSV file, quoted if need be. A leading = + - @ would be a formula for spreadsheets. */
export function csvCell(value: unknown): string {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return String(value);
    const text = /^[=+\-@\t\r]/.test(String(value)) ? `'${value}` : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}

export function csv(header: string[], rows: Iterable<unknown[]>): string {
    const lines = [header.map(csvCell).join(",")];
    for (const row of rows) lines.push(row.map(csvCell).join(","));
    return `${lines.join("\n")}\n`;
}
