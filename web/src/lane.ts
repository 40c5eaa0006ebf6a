// SPDX-License-Identifier: MIT
/** So many of a kind at once; the others wait for their turn. */
export function lane(most: number): <T>(task: () => Promise<T>) => Promise<T> {
    const waiting: (() => void)[] = [];
    let running = 0;
    return async (task) => {
        if (running === most) await new Promise<void>((turn) => waiting.push(turn));
        else running++;
        try {
            return await task();
        } finally {
            const next = waiting.shift();
            if (next) next();
            else running--;
        }
    };
}
