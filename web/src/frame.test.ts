// SPDX-License-Identifier: MIT
import { expect, test } from "vitest";

import { byteTicks } from "./axes";
import { onColour } from "./colours";
import { drawAxes, drawLegend, frameOf } from "./frame";
import { paintGrid } from "./lines";
import type { Pen, TextLook } from "./pen";

/** A pen that notes what it draws; a letter is 6 pixels wide. */
function notingPen() {
    const lines: { points: number[]; dash: number[] }[] = [];
    const texts: { text: string; x: number; look: TextLook }[] = [];
    let rects = 0;
    const pen: Pen = {
        rect: () => rects++,
        frame: () => undefined,
        line: (points, _stroke, _width, dash = []) => lines.push({ points: Array.from(points), dash }),
        polygon: () => undefined,
        circle: () => undefined,
        text: (text, x, _y, look) => texts.push({ text, x, look }),
        image: () => undefined,
        clip: (_x, _y, _width, _height, inside) => inside(),
        fade: (_opacity, inside) => inside(),
        widthOf: (text) => text.length * 6,
    };
    return { pen, lines, texts, rects: () => rects };
}

const margins = { left: 80, right: 14, top: 10, bottom: 38 };

test("lines of the grid are at the ticks of the y axis", () => {
    const { pen, lines } = notingPen();
    const frame = frameOf({ x0: 0, x1: 10, y0: 0, y1: 6.2 * 1024 }, margins, 400, 300, false);
    const axis = { label: "", print: String, ticks: byteTicks };
    paintGrid(pen, frame, axis);
    const expected = byteTicks(0, 6.2 * 1024, frame.height / 20).filter((tick) => tick > 0).map((tick) => frame.y(tick));
    expect(lines.map(({ points }) => points[1])).toEqual(expected);
});

test("the last label of the x axis ends within the picture", () => {
    const { pen, texts } = notingPen();
    const frame = frameOf({ x0: 0, x1: 1000, y0: 0, y1: 1 }, margins, 400, 300, false);
    drawAxes(pen, frame, { label: "", print: (value) => `${value} milliseconds` }, { label: "", print: String, ticks: () => [] }, 300);
    const last = texts.at(-1)!;
    expect(last.text).toBe("1000 milliseconds");
    expect(last.x + last.text.length * 3).toBeLessThanOrEqual(400);
});

test("the legend shows a dashed curve as a dashed line", () => {
    const { pen, lines, rects } = notingPen();
    drawLegend(pen, { kind: "keys", items: [{ label: "measured", colour: "#009e73" }, { label: "by chance", colour: "#009e73", dash: [4, 3] }] }, 0, 0, 400);
    expect(rects()).toBe(1);
    expect(lines.map(({ dash }) => dash)).toEqual([[4, 3]]);
});

test("words stand out from what they are written on", () => {
    expect([onColour("#0072b2"), onColour("#dda0c4"), onColour("#ffffff")]).toEqual(["#ffffff", "#16181c", "#16181c"]);
});
