// SPDX-License-Identifier: MIT
/** The graph on a canvas: moved by dragging, zoomed by the wheel, walked through by arrow keys. */
import { effect, type Signal } from "@preact/signals";
import { useLayoutEffect, useRef, useState } from "preact/hooks";

import { ink } from "../../colours";
import { bytes, count, many, time } from "../../format";
import { canvasPen, type Pen } from "../../pen";
import { type Camera, fit, move, reveal, type Size, zoom } from "./camera";
import { CATEGORIES, draw, type Look, READABLE } from "./draw";
import { boxOfThing, isSameThing, neighbour, type Scene, type Thing, thingAt } from "./scene";

export interface CanvasProps {
    scene: Scene;
    /** All but the camera, the size and what is pointed at, which are the canvas's own. */
    look: Omit<Look, "camera" | "size" | "pointed">;
    summary: string;
    /** What cards say of the graph's tokens. */
    words: [string, string][];
    /** A thing that is to be shown, by a number that changes with each wish. */
    goTo: Signal<{ thing: Thing | null; wish: number }>;
    onChoose(thing: Thing | null): void;
    onToggle(part: number): void;
    /** Draws what is seen with another pen, for taking it away. */
    taking: { current: ((pen: Pen) => Size) | null };
}

interface Point {
    x: number;
    y: number;
}

const HEADING = 24; // units at the top of an open layer, which close it
const CLICK = 4; // pixels that a click may move

const worldOf = (scene: Scene) => ({ x: 0, y: 0, ...scene.size });

function sharpen(canvas: HTMLCanvasElement, size: Size): Pen {
    const ratio = devicePixelRatio || 1;
    const [wide, high] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
    if (canvas.width !== wide || canvas.height !== high) [canvas.width, canvas.height] = [wide, high];
    const context = canvas.getContext("2d")!;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    return canvasPen(context);
}

const isOpen = (scene: Scene, thing: Thing | null): boolean =>
    thing !== null && scene.parts[thing.kind === "part" ? thing.at : scene.partOf[thing.at]!]!.open;

/** A layer that was opened is shown from its top, at a size that can be read. */
function cameraFor(scene: Scene, thing: Thing | null, size: Size): Camera {
    if (!thing) return fit(worldOf(scene), size);
    const box = boxOfThing(scene, thing);
    const all = fit(box, size, 1); // a node, in the middle and in full size
    if (all.scale >= 0.75) return all;
    const wide = fit({ ...box, h: 1 }, size, 1);
    const scale = Math.max(0.6, wide.scale);
    return { scale, x: box.x + box.w / 2 - size.width / 2 / scale, y: box.y - 16 / scale };
}

export function GraphCanvas(props: CanvasProps) {
    const { scene, look } = props;
    const area = useRef<HTMLDivElement>(null);
    const canvas = useRef<HTMLCanvasElement>(null);
    const latest = useRef(props);
    latest.current = props;
    const [size, setSize] = useState<Size>({ width: 0, height: 0 });
    const [camera, setCamera] = useState<Camera | null>(null);
    const [pointed, setPointed] = useState<{ thing: Thing; at: Point } | null>(null);
    const done = useRef(0);
    const isWhole = useRef(true);

    useLayoutEffect(() => {
        const watch = new ResizeObserver(([entry]) => {
            const { width, height } = entry!.contentRect;
            setSize({ width: Math.floor(width), height: Math.floor(height) });
        });
        watch.observe(area.current!);
        return () => watch.disconnect();
    }, []);

    const { thing: wanted, wish } = props.goTo.value;
    useLayoutEffect(() => {
        if (size.width < 8) return;
        if (wish !== done.current) {
            done.current = wish;
            isWhole.current = wanted === null;
            // Moved as little as can be where operations can be read already.
            const isNear = wanted?.kind === "node" && camera !== null && camera.scale >= READABLE;
            setCamera(isNear ? reveal(camera, boxOfThing(scene, wanted), size) : cameraFor(scene, wanted, size));
        } else if (!camera) {
            const first = isOpen(scene, look.chosen) ? look.chosen : null;
            isWhole.current = first === null;
            setCamera(cameraFor(scene, first, size));
        } else if (isWhole.current) {
            setCamera(cameraFor(scene, null, size));
        }
    }, [wish, size, scene.size.w, scene.size.h]);

    const active = look.active;
    useLayoutEffect(() => {
        if (active === null || size.width < 8) return;
        setCamera((from) => from && reveal(from, boxOfThing(scene, { kind: "node", at: active }), size));
    }, [active]);

    const full: Look | null = camera && { ...look, camera, size, pointed: pointed?.thing ?? null };
    useLayoutEffect(() => {
        if (!full || size.width < 8) return undefined;
        return effect(() => {
            const pen = sharpen(canvas.current!, size);
            pen.rect(0, 0, size.width, size.height, ink.value.paper);
            draw(pen, scene, full);
        });
    });
    props.taking.current = full && ((pen) => {
        pen.clip(0, 0, size.width, size.height, () => draw(pen, scene, { ...full, pointed: null }));
        return size;
    });

    const change = (to: Camera) => {
        isWhole.current = false;
        setCamera(to);
    };
    const pixel = (event: MouseEvent): Point => {
        const box = canvas.current!.getBoundingClientRect();
        return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    const at = (p: Point): Thing | null => camera && thingAt(scene, camera.x + p.x / camera.scale, camera.y + p.y / camera.scale);

    const now = useRef({ camera, size });
    now.current = { camera, size };
    // Not passive: a wheel that zooms must not scroll too.
    useLayoutEffect(() => {
        const wheel = (event: WheelEvent) => {
            const { camera: from, size: window } = now.current;
            if (!from) return;
            event.preventDefault();
            setPointed(null);
            const p = pixel(event);
            const world = worldOf(latest.current.scene);
            const delta = (event.deltaY || event.deltaX) * (event.deltaMode === 1 ? 20 : 1);
            if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) change(move(from, event.deltaX || event.deltaY, 0, world, window));
            else change(zoom(from, Math.exp(-Math.max(-1, Math.min(1, delta * 0.0022))), p.x, p.y, world, window));
        };
        const element = area.current!;
        element.addEventListener("wheel", wheel, { passive: false });
        return () => element.removeEventListener("wheel", wheel);
    }, []);

    const press = (event: PointerEvent) => {
        if (event.button > 1 || !camera) return;
        const from = pixel(event);
        let last = from;
        let dragged = false;
        const element = event.currentTarget as HTMLElement;
        element.setPointerCapture(event.pointerId);
        const dragging = (moving: PointerEvent) => {
            const to = pixel(moving);
            dragged ||= Math.hypot(to.x - from.x, to.y - from.y) >= CLICK;
            if (!dragged) return;
            setPointed(null);
            change(move(now.current.camera!, last.x - to.x, last.y - to.y, worldOf(latest.current.scene), now.current.size));
            last = to;
        };
        const end = (ending: PointerEvent) => {
            element.removeEventListener("pointermove", dragging);
            element.removeEventListener("pointerup", end);
            element.removeEventListener("pointercancel", end);
            if (!dragged && ending.type === "pointerup" && event.button === 0) click(from);
        };
        element.addEventListener("pointermove", dragging);
        element.addEventListener("pointerup", end);
        element.addEventListener("pointercancel", end);
    };

    const click = (p: Point) => {
        const thing = at(p);
        setPointed(null);
        if (thing?.kind === "part") {
            const part = scene.parts[thing.at]!;
            const onHeading = camera!.y + p.y / camera!.scale < part.box.y + HEADING;
            if (!part.open || onHeading) return props.onToggle(thing.at);
        }
        props.onChoose(thing);
    };

    const key = (event: KeyboardEvent) => {
        if (!camera || event.ctrlKey || event.metaKey || event.altKey) return;
        const world = worldOf(scene);
        const arrow: Record<string, [number, number]> = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
        const to = arrow[event.key];
        const middle: [number, number] = [size.width / 2, size.height / 2];
        if (to && event.shiftKey) change(move(camera, (to[0] * size.width) / 6, (to[1] * size.height) / 6, world, size));
        else if (to) {
            const next = look.chosen ? neighbour(scene, look.chosen, ...to) : { kind: "part" as const, at: 0 };
            if (next) {
                props.onChoose(next);
                change(reveal(camera, boxOfThing(scene, next), size));
            }
        } else if (event.key === "+" || event.key === "=") change(zoom(camera, 1.3, ...middle, world, size));
        else if (event.key === "-") change(zoom(camera, 1 / 1.3, ...middle, world, size));
        else if (event.key === "0" || event.key === "Home") {
            isWhole.current = true;
            setCamera(cameraFor(scene, null, size));
        } else if (event.key === "Enter" && look.chosen) {
            props.onToggle(look.chosen.kind === "part" ? look.chosen.at : scene.partOf[look.chosen.at]!);
        } else return;
        event.preventDefault();
        event.stopPropagation();
    };

    return (
        <div class="plot" ref={area}>
            <div
                class="canvases graph" tabIndex={0} role="application"
                aria-label={`${props.summary} Arrow keys go from layer to layer and from operation to operation, Enter opens and closes a layer, plus and minus zoom, shift with arrows moves, 0 shows all.`}
                onPointerDown={press}
                onPointerMove={(event) => {
                    if (event.buttons !== 0) return;
                    const p = pixel(event);
                    const thing = at(p);
                    if (!thing) setPointed(null);
                    else if (!isSameThing(thing, pointed?.thing ?? null)) setPointed({ thing, at: p });
                }}
                onPointerLeave={() => setPointed(null)}
                onKeyDown={key}
            >
                <canvas ref={canvas} style={{ width: `${size.width}px`, height: `${size.height}px` }} />
                {pointed && <PointedCard scene={scene} thing={pointed.thing} at={pointed.at} size={size} words={props.words} />}
            </div>
            <div class="unseen" aria-live="polite">{look.chosen ? saidOf(scene, look.chosen) : ""}</div>
        </div>
    );
}

/** A thing's title and figures. */
export function figuresOf(scene: Scene, thing: Thing): { title: string; rows: [string, string][]; note?: string } {
    if (thing.kind === "part") {
        const part = scene.parts[thing.at]!;
        return {
            title: part.title,
            rows: [
                ["operations", `${count(part.group.nodes)}, of which ${count(part.touching)} touch bytes`],
                ["bytes", bytes(part.group.bytes)],
                ["time", time(part.group.duration_ns)],
            ],
            note: part.open ? "Click its heading to close it." : "Click to open it.",
        };
    }
    const node = scene.graph.nodes[thing.at]!;
    const category = CATEGORIES.find(([id]) => id === node.category)?.[2] ?? node.category;
    return {
        title: node.name || node.op,
        rows: [
            ["operation", node.op],
            ["category", category],
            ["bytes", node.touches ? bytes(node.bytes) : "touches none"],
            ...(node.touches ? [["accesses", many(node.accesses, "record")] as [string, string]] : []),
            ...(node.duration_ns !== null && node.start_ns !== null ? [["time", time(node.duration_ns)] as [string, string]] : []),
        ],
    };
}

const saidOf = (scene: Scene, thing: Thing): string => {
    const { title, rows } = figuresOf(scene, thing);
    return `${title}. ${rows.map((row) => row.join(": ")).join(", ")}`;
};

function PointedCard({ scene, thing, at, size, words }: { scene: Scene; thing: Thing; at: Point; size: Size; words: [string, string][] }) {
    const { title, rows, note } = figuresOf(scene, thing);
    const style = {
        [at.x > size.width / 2 ? "right" : "left"]: `${(at.x > size.width / 2 ? size.width - at.x : at.x) + 16}px`,
        [at.y > size.height / 2 ? "bottom" : "top"]: `${(at.y > size.height / 2 ? size.height - at.y : at.y) + 16}px`,
    };
    return (
        <div class="card" style={style}>
            <strong>{title}</strong>
            <dl>
                {[...rows, ...words].map(([name, value]) => (
                    <div key={name}>
                        <dt>{name}</dt>
                        <dd>{value}</dd>
                    </div>
                ))}
            </dl>
            {note && <p>{note}</p>}
        </div>
    );
}
