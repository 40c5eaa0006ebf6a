// SPDX-License-Identifier: MIT
/** Small controls that several views have. */

/** One of a few. */
export function Segments<T extends string>({ label, value, items, onChange }: {
    label: string;
    value: T;
    items: readonly { id: T; title: string; says?: string }[];
    onChange(value: T): void;
}) {
    return (
        <div class="segments" role="group" aria-label={label}>
            {items.map(({ id, title, says }) => (
                <button key={id} type="button" aria-pressed={id === value} title={says} onClick={() => onChange(id)}>{title}</button>
            ))}
        </div>
    );
}

/** One of many. */
export function Choice<T extends string>({ label, value, items, onChange }: {
    label: string;
    value: T;
    items: readonly { id: T; title: string }[];
    onChange(value: T): void;
}) {
    return (
        <label>
            {label}
            <select value={value} aria-label={label} onChange={(event) => onChange(event.currentTarget.value as T)}>
                {items.map(({ id, title }) => (
                    <option key={id} value={id}>{title}</option>
                ))}
            </select>
        </label>
    );
}
