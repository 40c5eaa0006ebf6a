// SPDX-License-Identifier: MIT
/** Sections of `tat report --json`: tables with named columns that carry their units. The page shows them, and counts nothing itself. */
import type { ComponentChildren } from "preact";

import type { Answer } from "./api";
import { bytes, count, csv, percent, time } from "./format";
import { saveText } from "./takeaway";

export interface Column {
    key: string;
    label: string;
    unit: string;
}

export type Row = Record<string, unknown>;

export interface Table {
    title?: string;
    columns: Column[];
    rows: Row[];
}

export interface Section {
    title?: string;
    headline?: string;
    absent?: boolean | string;
    values?: Record<string, unknown>;
    lines?: { label: string; text: string }[];
    tables?: Record<string, Table>;
    notes?: string[];
}

export const rowsOf = <T extends object = Row>(section: Section | null, table: string): T[] => (section?.tables?.[table]?.rows ?? []) as T[];

export const numberOf = (section: Section | null, value: string): number | null => {
    const found = section?.values?.[value];
    return typeof found === "number" ? found : null;
};

/** A value in its unit, as `tat report` prints it. */
export function printed(value: unknown, unit: string): string {
    if (value === null || value === undefined) return "";
    if (typeof value !== "number") return Array.isArray(value) ? value.join(", ") : String(value);
    switch (unit) {
        case "bytes": return bytes(value);
        case "share": return percent(value);
        case "change": return percent(value);
        case "ns": return time(value);
        case "factor": return value.toFixed(2);
        case "per_second": return value >= 100 ? count(Math.round(value)) : value.toPrecision(3);
        default: return count(value);
    }
}

/** Why a section has nothing to show; null: it has. */
export function lackOf(answer: Answer<Section>): string | null {
    if (answer.error) return answer.error;
    const { data } = answer;
    if (!data) return null;
    if (data.absent) return data.headline ?? String(data.absent);
    return null;
}

/** A section's headline over what is drawn of it, and its notes below. */
export function SectionView({ answer, children, aside }: { answer: Answer<Section>; children: ComponentChildren; aside?: ComponentChildren }) {
    const { data, busy } = answer;
    const lack = lackOf(answer);
    if (lack) return <p class="empty">{lack}</p>;
    if (!data) return <p class="empty" role="status">{busy ? "Counting" : ""}</p>;
    return (
        <div class="section">
            {data.headline && <p class="headline">{data.headline}</p>}
            {children}
            {aside}
            {data.notes && data.notes.length > 0 && (
                <details class="notes">
                    <summary>How this is counted</summary>
                    {data.notes.map((note) => <p key={note}>{note}</p>)}
                </details>
            )}
        </div>
    );
}

const isText = (unit: string): boolean => unit === "text";

/** A table of a section, as it is; `keys` chooses columns, `most` rows. */
export function SectionTable({ section, name, title, keys, most = 40, pick, picked }: {
    section: Section | null;
    name: string;
    title?: string;
    keys?: string[];
    most?: number;
    pick?(row: Row): void;
    picked?(row: Row): boolean;
}) {
    const table = section?.tables?.[name];
    if (!table || table.rows.length === 0) return null;
    const columns = table.columns.filter(({ key }) => !keys || keys.includes(key));
    const heading = title ?? table.title ?? name;
    return (
        <section class="table" aria-label={heading}>
            <header>
                <h2>{heading}</h2>
                <div class="take" role="group" aria-label="Take away">
                    <button
                        type="button" title="Save this table as CSV"
                        onClick={() => saveText(name.replaceAll("_", "-"), "csv", csv(columns.map(({ key }) => key), table.rows.map((row) => columns.map(({ key }) => row[key]))))}
                    >CSV</button>
                </div>
            </header>
            <div class="scrolls">
                <table class="figures-table">
                    <thead>
                        <tr>{columns.map(({ key, label, unit }, column) => <th key={key} scope="col" class={column === 0 || isText(unit) ? "words" : ""}>{label}</th>)}</tr>
                    </thead>
                    <tbody>
                        {table.rows.slice(0, most).map((row, i) => (
                            <tr key={i} class={pick ? "picks" : ""} aria-selected={picked ? picked(row) : undefined} onClick={pick ? () => pick(row) : undefined}>
                                {columns.map(({ key, unit }, column) => {
                                    const text = printed(row[key], unit);
                                    if (column > 0) return <td key={key} class={isText(unit) ? "words" : ""}>{text}</td>;
                                    return (
                                        <th key={key} scope="row" class="words">
                                            {pick ? <button type="button" class="plain">{text}</button> : text}
                                        </th>
                                    );
                                })}
                            </tr>
                        ))}
                    </tbody>
                </table>
            </div>
            {table.rows.length > most && <p class="faint">{`The first ${count(most)} of ${count(table.rows.length)}`}</p>}
        </section>
    );
}
