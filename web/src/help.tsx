// SPDX-License-Identifier: MIT
/** The sheet that ? opens. */
import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { KEYS } from "./keys";
import { VIEWS } from "./views";

export const helpIsOpen = signal(false);

const PICTURE: [string, string][] = [
    ["wheel, + and \u2212", "zoom"],
    ["drag", "zoom to a part"],
    ["Shift and drag", "move"],
    ["double click, 0", "show all"],
    ["arrows", "move the cursor, and read its figures"],
    ["Shift and arrows", "move the window"],
    ["click, Enter", "select"],
];

export function Help() {
    const sheet = useRef<HTMLDialogElement>(null);
    const open = helpIsOpen.value;
    useEffect(() => {
        if (open && !sheet.current!.open) sheet.current!.showModal();
        else if (!open && sheet.current!.open) sheet.current!.close();
    }, [open]);
    return (
        <dialog ref={sheet} class="help" aria-label="Keys and gestures" onClose={() => (helpIsOpen.value = false)}
            onClick={(event) => event.target === sheet.current && (helpIsOpen.value = false)}>
            <div>
                <section>
                    <h2>Everywhere</h2>
                    <Sheet rows={KEYS.map(({ shown, says }) => [shown, says])} />
                </section>
                <section>
                    <h2>In a picture</h2>
                    <Sheet rows={PICTURE} />
                </section>
                <section>
                    <h2>Views</h2>
                    <Sheet rows={VIEWS.map(({ key, title }) => [key, title])} />
                </section>
                <p>The address holds all that is shown: a link to it is a bookmark.</p>
                <button type="button" onClick={() => (helpIsOpen.value = false)}>Close</button>
            </div>
        </dialog>
    );
}

function Sheet({ rows }: { rows: [string, string][] }) {
    return (
        <table>
            <tbody>
                {rows.map(([keys, says]) => (
                    <tr key={keys}>
                        <th scope="row"><kbd>{keys}</kbd></th>
                        <td>{says}</td>
                    </tr>
                ))}
            </tbody>
        </table>
    );
}
