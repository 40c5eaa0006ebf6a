// SPDX-License-Identifier: MIT
/** Text in lines, token by token. */
import { visible } from "./format";

export interface Piece {
    entry: number;
    x: number;
    y: number;
    width: number;
    text: string;
    isSpecial: boolean;
}

/** Pixels at each end of a special token: its tip, and the gap to its neighbour. */
export const TIP = 7;

/** Tokens in lines that are so wide. `special`: entries that are set apart from the text around them. */
export function flow(
    texts: (string | null)[], special: ReadonlySet<number>, first: number, last: number, width: number, widthOf: (text: string) => number,
): Piece[] {
    const pieces: Piece[] = [];
    let [x, y] = [0, 0];
    for (let entry = first; entry <= last; entry++) {
        const raw = texts[entry] ?? "";
        const text = visible(raw);
        const isSpecial = special.has(entry);
        const wide = Math.min(width, Math.max(4, widthOf(text) + (isSpecial ? 2 * TIP : 0)));
        if (x > 0 && x + wide > width) {
            x = 0;
            y++;
        }
        pieces.push({ entry, x, y, width: wide, text, isSpecial });
        x += wide;
        if (raw.includes("\n")) {
            x = 0;
            y++;
        }
    }
    return pieces;
}
