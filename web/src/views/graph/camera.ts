// SPDX-License-Identifier: MIT
/** Which part of a drawing shows: a point of it in the window's corner, and pixels per unit. */
import type { Box } from "./scene";

export interface Camera {
    x: number;
    y: number;
    scale: number;
}

export interface Size {
    width: number;
    height: number;
}

const CLOSEST = 2.5;
const MARGIN = 16; // pixels

/** A box in the middle of the window, as large as there is room, but no larger than `most`. */
export function fit(box: Box, window: Size, most = 1.25): Camera {
    const scale = Math.min(
        most, Math.max(20, window.width - 2 * MARGIN) / Math.max(1, box.w), Math.max(20, window.height - 2 * MARGIN) / Math.max(1, box.h),
    );
    return {
        scale,
        x: box.x + box.w / 2 - window.width / 2 / scale,
        y: box.y + box.h / 2 - window.height / 2 / scale,
    };
}

/** Zoomed about a pixel that stays where it is; not further out than all of `world`, with some room, would need. */
export function zoom(camera: Camera, factor: number, px: number, py: number, world: Box, window: Size): Camera {
    const least = Math.min(0.5, fit(world, window).scale * 0.6);
    const scale = Math.max(least, Math.min(CLOSEST, camera.scale * factor));
    return {
        scale,
        x: camera.x + px / camera.scale - px / scale,
        y: camera.y + py / camera.scale - py / scale,
    };
}

/** Moved by pixels; a part of the world stays in the window. */
export function move(camera: Camera, dx: number, dy: number, world: Box, window: Size): Camera {
    const [wide, high] = [window.width / camera.scale, window.height / camera.scale];
    const within = (value: number, lo: number, hi: number) => Math.max(lo, Math.min(hi, value));
    return {
        scale: camera.scale,
        x: within(camera.x + dx / camera.scale, world.x - wide * 0.8, world.x + world.w - wide * 0.2),
        y: within(camera.y + dy / camera.scale, world.y - high * 0.8, world.y + world.h - high * 0.2),
    };
}

/** Moved as little as needed to show a box with some room about it. */
export function reveal(camera: Camera, box: Box, window: Size): Camera {
    const [wide, high] = [window.width / camera.scale, window.height / camera.scale];
    const room = 40 / camera.scale;
    const along = (at: number, length: number, lo: number, size: number): number => {
        if (size + 2 * room > length) return lo - room;
        return Math.min(lo - room, Math.max(at, lo + size + room - length));
    };
    return { scale: camera.scale, x: along(camera.x, wide, box.x, box.w), y: along(camera.y, high, box.y, box.h) };
}
