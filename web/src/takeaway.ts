// SPDX-License-Identifier: MIT
/** Files that a picture is taken away in. */
import { about } from "./api";

export function save(name: string, content: Blob): void {
    const address = URL.createObjectURL(content);
    const link = document.createElement("a");
    link.href = address;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** The run's name in front, so that pictures of several runs do not meet under one name. */
export const fileName = (name: string, ending: string): string =>
    `${(about.peek()?.name ?? "tat").replace(/[^\w.-]+/g, "_")}-${name}.${ending}`;

export const saveText = (name: string, ending: "csv" | "svg", text: string): void =>
    save(fileName(name, ending), new Blob([text], { type: ending === "csv" ? "text/csv" : "image/svg+xml" }));

/** At once: `toBlob` waits until the page is idle, which took seconds while something loaded. */
export function saveCanvas(name: string, canvas: HTMLCanvasElement): void {
    const text = atob(canvas.toDataURL("image/png").split(",")[1]!);
    save(fileName(name, "png"), new Blob([Uint8Array.from(text, (letter) => letter.charCodeAt(0))], { type: "image/png" }));
}
