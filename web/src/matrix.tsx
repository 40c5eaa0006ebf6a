// SPDX-License-Identifier: MIT
/** Small tables of numbers as heat: rows down, columns across. */
import { useMemo, useState } from "preact/hooks";

import type { Box } from "./axes";
import { heat, heatTable, ink, onColour, place, type Scale } from "./colours";
import { count, csv } from "./format";
import { type Hover, Picture, type PictureProps } from "./picture";

export interface MatrixProps {
    title: string;
    name: string;
    summary: string;
    /** By row; null: nothing is known there. */
    values: (number | null)[][];
    columns: number;
    xLabel: string;
    yLabel: string;
    nameX?(index: number): string;
    nameY?(index: number): string;
    unit: string;
    print(value: number): string;
    /** The scale's end, if it is not the greatest value. */
    most?: number;
    nothing?: string;
    chosen?: { x: number | null; y: number | null };
    pick?(x: number, y: number): void;
    rows?(x: number, y: number): [string, string][];
    note?: string;
    height?: number;
    left?: number;
    busy?: boolean;
    empty?: string | null;
    /** A colour of its own in place of heat; then the legend says what they are. */
    colour?(value: number): string;
    keys?: { label: string; colour: string }[];
    /** A word in a cell, if there is room. */
    word?(x: number, y: number): string;
    /** A cell in CSV, where its number means nothing. */
    cell?(x: number, y: number): string;
    children?: PictureProps["children"];
}

const MANY = 6000; // cells that are drawn one by one; more of them are an image

export function Matrix(props: MatrixProps) {
    const { values, columns } = props;
    const bounds: Box = { x0: 0, x1: Math.max(1, columns), y0: 0, y1: Math.max(1, values.length) };
    const [shown, setShown] = useState<Box | null>(null);
    const fits = shown && shown.x1 <= bounds.x1 && shown.y1 <= bounds.y1;
    const window = fits ? shown : bounds;
    const most = props.most ?? values.reduce((a, row) => row.reduce<number>((b, value) => Math.max(b, value ?? 0), a), 0);
    const scale: Scale = { lo: 0, hi: most || 1, log: false };
    const image = useMemo(() => (values.length * columns > MANY && !props.colour ? imageOf(values, columns, scale) : null), [values, columns, most, heatTable.value]);
    const nameX = props.nameX ?? ((index: number) => `${props.xLabel} ${count(index)}`);
    const nameY = props.nameY ?? ((index: number) => `${props.yLabel} ${count(index)}`);
    const at = (x: number, y: number): [number, number] | null => {
        const [column, row] = [Math.floor(x), Math.floor(y)];
        return column >= 0 && column < columns && row >= 0 && row < values.length ? [column, row] : null;
    };
    const hover = (x: number, y: number): Hover | null => {
        const cell = at(x, y);
        if (!cell) return null;
        const value = values[cell[1]]![cell[0]];
        return {
            title: `${nameY(cell[1])}, ${nameX(cell[0])}`,
            rows: [[props.unit, value === null || value === undefined ? (props.nothing ?? "nothing") : props.print(value)], ...(props.rows?.(...cell) ?? [])],
            note: props.note,
            outline: { x0: cell[0], x1: cell[0] + 1, y0: cell[1], y1: cell[1] + 1 },
        };
    };
    return (
        <Picture
            title={props.title} name={props.name} summary={props.summary} height={props.height} left={props.left ?? 52}
            bounds={bounds} window={window} least={{ x: 2, y: 2 }} step={{ x: 1, y: 1 }}
            onWindow={(to) => setShown(to.x0 <= 0 && to.y0 <= 0 && to.x1 >= bounds.x1 && to.y1 >= bounds.y1 ? null : to)}
            xAxis={{ label: props.xLabel, cells: true, print: (value) => (props.nameX ? props.nameX(value) : count(value)) }}
            yAxis={{ label: props.yLabel, cells: true, print: (value) => (props.nameY ? props.nameY(value) : count(value)) }}
            legend={props.keys ? { kind: "keys", items: props.keys } : { kind: "scale", label: props.unit, scale, print: props.print, nothing: props.nothing }}
            paint={(pen, frame) => {
                const { accent } = ink.value;
                if (image) {
                    const [left, top] = [frame.x(0), frame.y(0)];
                    pen.image(image, left, top, frame.x(columns) - left, frame.y(values.length) - top);
                } else {
                    const [x0, x1] = [Math.max(0, Math.floor(frame.box.x0)), Math.min(columns, Math.ceil(frame.box.x1))];
                    const [y0, y1] = [Math.max(0, Math.floor(frame.box.y0)), Math.min(values.length, Math.ceil(frame.box.y1))];
                    const gap = frame.width / (frame.box.x1 - frame.box.x0) > 6 && frame.height / (frame.box.y1 - frame.box.y0) > 6 ? 1 : 0;
                    for (let y = y0; y < y1; y++) {
                        for (let x = x0; x < x1; x++) {
                            const value = values[y]![x];
                            if (value === null || value === undefined || (value === 0 && props.nothing)) continue;
                            const [left, top] = [frame.x(x), frame.y(y)];
                            const [wide, high] = [frame.x(x + 1) - left, frame.y(y + 1) - top];
                            const colour = props.colour ? props.colour(value) : heat(place(scale, value));
                            pen.rect(left, top, wide - gap + (gap ? 0 : 0.4), high - gap + (gap ? 0 : 0.4), colour);
                            const word = props.word && high > 12 ? props.word(x, y) : "";
                            if (word && pen.widthOf(word) < wide - 4) pen.text(word, left + wide / 2, top + high / 2, { fill: onColour(colour), align: "center", bold: true, size: 10 });
                        }
                    }
                }
                const { x, y } = props.chosen ?? { x: null, y: null };
                if (y !== null && y < values.length) {
                    const top = frame.y(y);
                    const high = frame.y(y + 1) - top;
                    if (x !== null && x < columns) pen.frame(frame.x(x), top, frame.x(x + 1) - frame.x(x), high, accent, 2);
                    else pen.frame(frame.left + 1, top, frame.width - 2, high, accent, 1.5);
                } else if (x !== null && x < columns) {
                    pen.frame(frame.x(x), frame.top + 1, frame.x(x + 1) - frame.x(x), frame.height - 2, accent, 1.5);
                }
            }}
            hover={hover}
            pick={(x, y) => {
                const cell = at(x, y);
                if (cell) props.pick?.(...cell);
            }}
            csv={() => csv([props.yLabel, ...Array.from({ length: columns }, (_, x) => nameX(x))], values.map((row, y) => [nameY(y), ...(props.cell ? row.map((_, x) => props.cell!(x, y)) : row)]))}
            busy={props.busy} empty={props.empty}
        >
            {props.children}
        </Picture>
    );
}

function imageOf(values: (number | null)[][], columns: number, scale: Scale): HTMLCanvasElement {
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, columns);
    canvas.height = Math.max(1, values.length);
    const context = canvas.getContext("2d")!;
    const data = context.createImageData(canvas.width, canvas.height);
    const rgba = new Uint32Array(data.data.buffer);
    values.forEach((row, y) => row.forEach((value, x) => {
        if (value !== null && value > 0) rgba[y * canvas.width + x] = heatTable.value[Math.round(place(scale, value) * 255)]!;
    }));
    context.putImageData(data, 0, 0);
    return canvas;
}
