// SPDX-License-Identifier: MIT
/** Text in lines, token by token. */
import { visible } from "./format";

export interface Piece {
    entry: number;
    x: number;
    y: number;
    width: number;
    text: string;
}

/** Tokens in lines that are so wide. */
export function flow(texts: (string | null)[], first: number, last: number, width: number, widthOf: (text: string) => number): Piece[] {
    const pieces: Piece[] = [];
    let [x, y] = [0, 0];
    for (let entry = first; entry <= last; entry++) {
        const raw = texts[entry] ?? "";
        const text = visible(raw);
        const wide = Math.min(width, Math.max(4, widthOf(text)));
        if (x > 0 && x + wide > width) {
            x = 0;
            y++;
        }
        pieces.push({ entry, x, y, width: wide, text });
        x += wide;
        if (raw.includes("\n")) {
            x = 0;
            y++;
        }
    }
    return pieces;
}
