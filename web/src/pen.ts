// SPDX-License-Identifier: MIT
/**
 * What pictures are drawn with. One pen draws on a canvas, another writes SVG, so a picture that is drawn once can be taken away
 * in both forms. Coordinates are CSS pixels.
 */

export interface TextLook {
    fill: string;
    /** Pixels; 11 if not said. */
    size?: number;
    align?: "left" | "center" | "right";
    baseline?: "top" | "middle" | "bottom";
    bold?: boolean;
    /** Degrees, clockwise. */
    turn?: number;
    /** Text that is wider is cut and ends with an ellipsis. */
    room?: number;
    mono?: boolean;
}

export interface Pen {
    rect(x: number, y: number, width: number, height: number, fill: string): void;
    frame(x: number, y: number, width: number, height: number, stroke: string, lineWidth?: number): void;
    /** x0, y0, x1, y1, ... */
    line(points: ArrayLike<number>, stroke: string, lineWidth?: number, dash?: number[]): void;
    polygon(points: ArrayLike<number>, fill: string): void;
    circle(x: number, y: number, radius: number, fill: string): void;
    text(text: string, x: number, y: number, look: TextLook): void;
    /** Its pixels stay sharp squares. */
    image(image: HTMLCanvasElement, x: number, y: number, width: number, height: number): void;
    /** What `inside` draws shows only within the rectangle. */
    clip(x: number, y: number, width: number, height: number, inside: () => void): void;
    /** What `inside` draws is this opaque, from 0 to 1. */
    fade(opacity: number, inside: () => void): void;
    widthOf(text: string, look?: Partial<TextLook>): number;
}

const SANS = 'system-ui, "Segoe UI", "DejaVu Sans", sans-serif';
const MONO = 'ui-monospace, "DejaVu Sans Mono", monospace';

const font = (look: Partial<TextLook>): string => `${look.bold ? "600 " : ""}${look.size ?? 11}px ${look.mono ? MONO : SANS}`;

/** The longest beginning of the text that fits, with an ellipsis if it is not all. */
function fitting(text: string, room: number, width: (text: string) => number): string {
    if (width(text) <= room) return text;
    let lo = 0;
    let hi = text.length;
    while (lo < hi) {
        const middle = (lo + hi + 1) >> 1;
        if (width(`${text.slice(0, middle)}\u2026`) <= room) lo = middle;
        else hi = middle - 1;
    }
    return lo === 0 ? "" : `${text.slice(0, lo)}\u2026`;
}

export function canvasPen(context: CanvasRenderingContext2D): Pen {
    const widthOf = (text: string, look: Partial<TextLook> = {}): number => {
        context.font = font(look);
        return context.measureText(text).width;
    };
    const trace = (points: ArrayLike<number>) => {
        context.beginPath();
        for (let i = 0; i + 1 < points.length; i += 2) context.lineTo(points[i]!, points[i + 1]!);
    };
    return {
        widthOf,
        rect: (x, y, width, height, fill) => {
            context.fillStyle = fill;
            context.fillRect(x, y, width, height);
        },
        frame: (x, y, width, height, stroke, lineWidth = 1) => {
            context.strokeStyle = stroke;
            context.lineWidth = lineWidth;
            context.setLineDash([]);
            context.strokeRect(x, y, width, height);
        },
        line: (points, stroke, lineWidth = 1, dash = []) => {
            trace(points);
            context.strokeStyle = stroke;
            context.lineWidth = lineWidth;
            context.setLineDash(dash);
            context.stroke();
        },
        polygon: (points, fill) => {
            trace(points);
            context.closePath();
            context.fillStyle = fill;
            context.fill();
        },
        circle: (x, y, radius, fill) => {
            context.beginPath();
            context.arc(x, y, radius, 0, 2 * Math.PI);
            context.fillStyle = fill;
            context.fill();
        },
        text: (text, x, y, look) => {
            const shown = look.room === undefined ? text : fitting(text, look.room, (part) => widthOf(part, look));
            if (shown === "") return;
            context.save();
            context.font = font(look);
            context.fillStyle = look.fill;
            context.textAlign = look.align ?? "left";
            context.textBaseline = look.baseline ?? "middle";
            context.translate(x, y);
            if (look.turn) context.rotate((look.turn * Math.PI) / 180);
            context.fillText(shown, 0, 0);
            context.restore();
        },
        image: (image, x, y, width, height) => {
            context.imageSmoothingEnabled = false;
            context.drawImage(image, x, y, width, height);
        },
        clip: (x, y, width, height, inside) => {
            context.save();
            context.beginPath();
            context.rect(x, y, width, height);
            context.clip();
            inside();
            context.restore();
        },
        fade: (opacity, inside) => {
            const before = context.globalAlpha;
            context.globalAlpha = before * opacity;
            inside();
            context.globalAlpha = before;
        },
    };
}

const escaped = (text: string): string =>
    text.replace(/[&<>"]/g, (letter) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[letter]!)
        // What XML cannot hold at all.
        .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, "\ufffd");
const short = (value: number): string => String(Math.round(value * 100) / 100);

/** A pen that writes SVG. `finish` gives the document. */
export function svgPen(width: number, height: number): Pen & { finish(): string } {
    const parts: string[] = [];
    const measure = document.createElement("canvas").getContext("2d")!;
    let clips = 0;
    const widthOf = (text: string, look: Partial<TextLook> = {}): number => {
        measure.font = font(look);
        return measure.measureText(text).width;
    };
    const points = (of: ArrayLike<number>): string => Array.from(of, short).join(" ");
    return {
        widthOf,
        rect: (x, y, w, h, fill) =>
            parts.push(`<rect x="${short(x)}" y="${short(y)}" width="${short(Math.max(0, w))}" height="${short(Math.max(0, h))}" fill="${fill}"/>`),
        frame: (x, y, w, h, stroke, lineWidth = 1) =>
            parts.push(`<rect x="${short(x)}" y="${short(y)}" width="${short(Math.max(0, w))}" height="${short(Math.max(0, h))}" fill="none" stroke="${stroke}" stroke-width="${lineWidth}"/>`),
        line: (of, stroke, lineWidth = 1, dash = []) =>
            parts.push(`<polyline points="${points(of)}" fill="none" stroke="${stroke}" stroke-width="${lineWidth}"${dash.length > 0 ? ` stroke-dasharray="${dash.join(" ")}"` : ""}/>`),
        polygon: (of, fill) => parts.push(`<polygon points="${points(of)}" fill="${fill}"/>`),
        circle: (x, y, radius, fill) => parts.push(`<circle cx="${short(x)}" cy="${short(y)}" r="${short(radius)}" fill="${fill}"/>`),
        text: (text, x, y, look) => {
            const shown = look.room === undefined ? text : fitting(text, look.room, (part) => widthOf(part, look));
            if (shown === "") return;
            const anchor = { left: "start", center: "middle", right: "end" }[look.align ?? "left"];
            const size = look.size ?? 11;
            // Viewers differ in what they make of dominant-baseline.
            const down = { top: 0.8, middle: 0.35, bottom: -0.2 }[look.baseline ?? "middle"] * size;
            const turn = look.turn ? ` transform="rotate(${look.turn} ${short(x)} ${short(y)})"` : "";
            parts.push(
                `<text x="${short(x)}" y="${short(y)}" dy="${short(down)}" text-anchor="${anchor}" font-size="${size}"` +
                    ` font-family="${escaped(look.mono ? MONO : SANS)}"${look.bold ? ' font-weight="600"' : ""} fill="${look.fill}"${turn}` +
                    ` xml:space="preserve">${escaped(shown)}</text>`,
            );
        },
        image: (image, x, y, w, h) =>
            parts.push(`<image x="${short(x)}" y="${short(y)}" width="${short(w)}" height="${short(h)}" preserveAspectRatio="none" style="image-rendering:pixelated" href="${image.toDataURL()}"/>`),
        clip: (x, y, w, h, inside) => {
            const id = `clip${clips++}`;
            parts.push(`<clipPath id="${id}"><rect x="${short(x)}" y="${short(y)}" width="${short(Math.max(0, w))}" height="${short(Math.max(0, h))}"/></clipPath><g clip-path="url(#${id})">`);
            inside();
            parts.push("</g>");
        },
        fade: (opacity, inside) => {
            parts.push(`<g opacity="${opacity}">`);
            inside();
            parts.push("</g>");
        },
        finish: () =>
            `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">\n${parts.join("\n")}\n</svg>\n`,
    };
}
