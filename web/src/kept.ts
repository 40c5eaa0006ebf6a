// SPDX-License-Identifier: MIT
/** Answers that were asked for: the same question is asked once, as long as its answer is among the latest that fit. */

export interface Sized<T> {
    answer: T;
    bytes: number;
}

interface Entry {
    answer: Promise<unknown>;
    /** 0 until the answer is there. */
    bytes: number;
}

export class Kept {
    #entries = new Map<string, Entry>(); // the latest last
    #bytes = 0;

    constructor(
        readonly most: number,
        readonly mostBytes: number,
    ) {}

    once<T>(key: string, ask: () => Promise<Sized<T>>): Promise<T> {
        const known = this.#entries.get(key);
        if (known) {
            this.#entries.delete(key);
            this.#entries.set(key, known);
            return known.answer as Promise<T>;
        }
        const answer = ask().then((found) => {
            this.#came(key, entry, found.bytes);
            return found.answer;
        });
        const entry: Entry = { answer, bytes: 0 };
        answer.catch(() => this.#entries.get(key) === entry && this.forget(key));
        this.#entries.set(key, entry);
        this.#shrink();
        return answer;
    }

    keys(): string[] {
        return [...this.#entries.keys()];
    }

    forget(key: string): void {
        this.#bytes -= this.#entries.get(key)?.bytes ?? 0;
        this.#entries.delete(key);
    }

    #came(key: string, entry: Entry, bytes: number): void {
        if (this.#entries.get(key) !== entry) return; // it was forgotten meanwhile
        entry.bytes = bytes;
        this.#bytes += bytes;
        this.#shrink();
    }

    /** The last answer stays, however large it is. */
    #shrink(): void {
        while (this.#entries.size > this.most || (this.#bytes > this.mostBytes && this.#entries.size > 1)) {
            this.forget(this.#entries.keys().next().value!);
        }
    }
}
