// SPDX-License-Identifier: MIT
/** Tiles as the server sends them: "TATG" (grid) and "TATO" (offsets over time). See doc/view.md. */

export const NO_TENSOR = 0xffffffff;
const HEADER = 64;

export interface Tile {
    columns: number;
    rows: number;
    /** What all of it spans; a cell is (x1 - x0) / columns wide. */
    x0: number;
    x1: number;
    y0: number;
    y1: number;
    revision: number;
    flags: number;
    /** By row, then column. */
    value: Float64Array;
    /** A tensor's id or, in "TATO", a component's number: what has most of the cell's value. NO_TENSOR: nothing. */
    dominant: Uint32Array;
}

/** Throws an Error that says what is wrong with the bytes. */
export function decodeTile(buffer: ArrayBuffer, magic: "TATG" | "TATO"): Tile {
    if (buffer.byteLength < HEADER) throw new Error(`The tile is cut: ${buffer.byteLength} bytes.`);
    const head = new DataView(buffer, 0, HEADER);
    const found = String.fromCharCode(...new Uint8Array(buffer, 0, 4));
    if (found !== magic) throw new Error(`The tile begins with ${JSON.stringify(found)}, not ${magic}.`);
    const version = head.getUint32(4, true);
    if (version !== 1) throw new Error(`The tile has version ${version}; this page knows version 1.`);
    const columns = head.getUint32(8, true);
    const rows = head.getUint32(12, true);
    const cells = columns * rows;
    if (buffer.byteLength !== HEADER + cells * 12) {
        throw new Error(`The tile has ${buffer.byteLength} bytes; ${columns} x ${rows} cells need ${HEADER + cells * 12}.`);
    }
    const u64 = (at: number) => Number(head.getBigUint64(at, true));
    return {
        columns,
        rows,
        x0: u64(16),
        x1: u64(24),
        y0: u64(32),
        y1: u64(40),
        revision: head.getUint32(48, true),
        flags: head.getUint32(52, true),
        value: new Float64Array(buffer, HEADER, cells),
        dominant: new Uint32Array(buffer, HEADER + cells * 8, cells),
    };
}

/** The cell at a place of the picture; -1: outside. */
export function cellAt(tile: Tile, x: number, y: number): number {
    const column = Math.floor(((x - tile.x0) / (tile.x1 - tile.x0)) * tile.columns);
    const row = Math.floor(((y - tile.y0) / (tile.y1 - tile.y0)) * tile.rows);
    return column >= 0 && column < tile.columns && row >= 0 && row < tile.rows ? row * tile.columns + column : -1;
}

/** The greatest value. */
export function greatest(tile: Tile): number {
    let most = 0;
    for (const value of tile.value) if (value > most) most = value;
    return most;
}
