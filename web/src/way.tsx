// SPDX-License-Identifier: MIT
/** A link to another place of the page: to a view, with something selected there. */
import type { ComponentChildren } from "preact";

import { addressWith, decodeState } from "./state";

/** Parts of the address, by their names there. */
export type Place = Record<string, string | number | null>;

export function Way({ to, title, children }: { to: Place; title?: string; children: ComponentChildren }) {
    const hash = addressWith(to);
    return (
        <a
            href={hash} title={title}
            onClick={(event) => {
                if (event.ctrlKey || event.metaKey || event.shiftKey) return; // to a tab of its own
                event.preventDefault();
                decodeState(hash);
            }}
        >{children}</a>
    );
}
