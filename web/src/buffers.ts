// SPDX-License-Identifier: MIT
/** From when until when a token's activations are needed, from its access records; numbers only, no drawing. */

/** What is taken of a row of `api/traces/N/records`. */
export interface Access {
    start_ns: number;
    duration_ns: number;
    layer: number | null;
    op: string;
    tensor_id: number;
    tensor: string;
    size: number;
    count: number;
    access: string;
}

export interface Life {
    tensor_id: number;
    tensor: string;
    layer: number | null;
    /** The operation that writes it, and the last one that reads it. */
    writer: string;
    reader: string;
    bytes: number;
    from: number;
    to: number;
}

/** In the order in which they are written. What is written without bytes is fused into the next operation, and has no buffer. */
export function livesOf(rows: Access[]): Life[] {
    const lives = new Map<number, Life>();
    for (const row of rows) {
        const end = row.start_ns + row.duration_ns;
        const bytes = row.size * row.count;
        const life = lives.get(row.tensor_id);
        if (life) {
            life.bytes = Math.max(life.bytes, row.access === "write" ? bytes : 0);
            if (end >= life.to) [life.to, life.reader] = [end, row.access === "read" ? row.op : life.reader];
        } else if (row.access === "write" && bytes > 0) {
            lives.set(row.tensor_id, { tensor_id: row.tensor_id, tensor: row.tensor, layer: row.layer, writer: row.op, reader: "", bytes, from: row.start_ns, to: end });
        }
    }
    return [...lives.values()].sort((a, b) => a.from - b.from);
}

/** How many bytes are needed at once, from each moment on: at least so many must a compute buffer have. */
export function liveBytes(lives: Life[]): { at: number[]; bytes: number[]; most: number } {
    const changes = lives.flatMap(({ from, to, bytes }) => [[from, bytes], [to, -bytes]] as [number, number][]).sort((a, b) => a[0] - b[0]);
    const at: number[] = [];
    const sums: number[] = [];
    let sum = 0;
    for (const [when, change] of changes) {
        sum += change;
        if (at[at.length - 1] === when) sums[sums.length - 1] = sum;
        else {
            at.push(when);
            sums.push(sum);
        }
    }
    return { at, bytes: sums, most: sums.reduce((a, b) => Math.max(a, b), 0) };
}
