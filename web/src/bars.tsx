// SPDX-License-Identifier: MIT
/** Bars that lie, one for each name, made of parts. */
import { ink } from "./colours";
import { csv } from "./format";
import { Picture, type PictureProps } from "./picture";

export interface Part {
    key: string;
    label: string;
    colour: string;
}

export interface Bar {
    label: string;
    /** By part, in the order of the parts. */
    values: number[];
    /** Said besides, where it is pointed at. */
    rows?: [string, string][];
}

export interface BarsProps {
    title: string;
    name: string;
    summary: string;
    bars: Bar[];
    parts: Part[];
    xLabel: string;
    yLabel: string;
    print(value: number): string;
    left?: number;
    /** Pixels of a bar. */
    thick?: number;
    chosen?: number;
    pick?(index: number): void;
    busy?: boolean;
    empty?: string | null;
    ticks?(lo: number, hi: number, most: number): number[];
    children?: PictureProps["children"];
}

const sum = (values: number[]): number => values.reduce((a, b) => a + Math.max(0, b), 0);

export function Bars(props: BarsProps) {
    const { bars, parts, print } = props;
    const most = bars.reduce((a, bar) => Math.max(a, sum(bar.values)), 0) || 1;
    const box = { x0: 0, x1: most * 1.2, y0: 0, y1: Math.max(1, bars.length) };
    const indexOf = (y: number): number => Math.max(0, Math.min(bars.length - 1, Math.floor(y)));
    return (
        <Picture
            title={props.title} name={props.name} summary={props.summary} left={props.left ?? 150} bounds={box} window={box}
            height={72 + bars.length * (props.thick ?? 20)} step={{ x: 0, y: 1 }}
            xAxis={{ label: props.xLabel, print, ...(props.ticks ? { ticks: props.ticks } : {}) }}
            yAxis={{
                label: "", cells: true, print: (value) => bars[value]?.label ?? "",
                ticks: () => bars.map((_, i) => i),
            }}
            legend={parts.length > 1 ? { kind: "keys", items: parts.map(({ label, colour }) => ({ label, colour })) } : undefined}
            paint={(pen, frame) => {
                const { accent, text } = ink.value;
                bars.forEach((bar, i) => {
                    const [top, bottom] = [frame.y(i), frame.y(i + 1)];
                    const high = Math.max(1, bottom - top - Math.min(5, (bottom - top) * 0.25));
                    const y = (top + bottom - high) / 2;
                    let from = 0;
                    bar.values.forEach((value, part) => {
                        if (!(value > 0)) return;
                        const left = frame.x(from);
                        pen.rect(left, y, Math.max(0.5, frame.x(from + value) - left), high, parts[part]!.colour);
                        from += value;
                    });
                    const label = print(sum(bar.values));
                    if (high >= 11) {
                        const fits = frame.x(from) + 6 + pen.widthOf(label) < frame.left + frame.width;
                        pen.text(label, fits ? frame.x(from) + 5 : frame.x(from) - 5, (top + bottom) / 2, { fill: fits ? text : "#ffffff", align: fits ? "left" : "right" });
                    }
                    if (props.chosen === i) pen.frame(frame.left + 1, y - 1, frame.width - 2, high + 2, accent, 1.5);
                });
            }}
            hover={(_, y) => {
                const i = indexOf(y);
                const bar = bars[i];
                if (!bar) return null;
                const rows: [string, string][] = parts.map(({ label }, part) => [label, print(bar.values[part] ?? 0)]);
                if (parts.length > 1) rows.push(["together", print(sum(bar.values))]);
                return { title: bar.label, rows: [...rows, ...(bar.rows ?? [])], outline: { x0: 0, x1: box.x1, y0: i, y1: i + 1 } };
            }}
            pick={props.pick ? (_, y) => bars.length > 0 && props.pick!(indexOf(y)) : undefined}
            csv={() => csv([props.yLabel, ...parts.map(({ key }) => key)], bars.map((bar) => [bar.label, ...bar.values]))}
            busy={props.busy} empty={props.empty}
        >
            {props.children}
        </Picture>
    );
}
