// SPDX-License-Identifier: MIT
/**
 * All colours of pictures. Heat is one ramp of lightness; components have the colours of Okabe and Ito, as in `tat plot`, which are
 * told apart with any colour vision.
 */
import { computed, signal } from "@preact/signals";

import { theme } from "./state";

type Rgb = [number, number, number];

const parse = (hex: string): Rgb => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)) as Rgb;
const print = (rgb: Rgb): string => `#${rgb.map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
const mix = (a: Rgb, b: Rgb, share: number): Rgb => a.map((part, i) => part + (b[i]! - part) * share) as Rgb;

// ---- light and dark ----

const systemIsDark = signal(false);
if (typeof matchMedia !== "undefined") {
    const query = matchMedia("(prefers-color-scheme: dark)");
    systemIsDark.value = query.matches;
    query.addEventListener("change", () => (systemIsDark.value = query.matches));
}

export const isDark = computed(() => (theme.value === "auto" ? systemIsDark.value : theme.value === "dark"));

/** Black or white, whichever can be read on it. */
export function onColour(hex: string): string {
    const [r, g, b] = parse(hex);
    return 0.299 * r + 0.587 * g + 0.114 * b > 140 ? "#16181c" : "#ffffff";
}

// ---- heat ----

// From little to much: away from the paper, light or dark. Lightness alone tells the order.
const ON_LIGHT = ["#dcecec", "#b4d9d6", "#84c1c0", "#53a6ae", "#3588a2", "#2f6b92", "#2f5484", "#2e4373", "#2c325f"];
const ON_DARK = ["#2a3157", "#2b4673", "#2b5f8a", "#2f7b9b", "#4098a6", "#62b3ae", "#88c5b8", "#b0d9c6", "#d6edd9"];

function table(stops: string[]): Uint32Array {
    return Uint32Array.from({ length: 256 }, (_, i) => {
        const at = (i / 255) * (stops.length - 1);
        const below = Math.min(Math.floor(at), stops.length - 2);
        const [r, g, b] = mix(parse(stops[below]!), parse(stops[below + 1]!), at - below).map(Math.round) as Rgb;
        return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
    });
}

const [light, dark] = [table(ON_LIGHT), table(ON_DARK)];

/** 256 colours as little-endian RGBA, for pictures made of pixels. */
export const heatTable = computed(() => (isDark.value ? dark : light));

/** The colour of a share from 0 to 1 of the scale. */
export function heat(share: number): string {
    const rgba = heatTable.value[Math.max(0, Math.min(255, Math.round(share * 255)))]!;
    return print([rgba & 255, (rgba >> 8) & 255, (rgba >> 16) & 255]);
}

/** Red to blue over white, for differences from -1 to 1: more in the second one is red. */
export function difference(share: number): string {
    const toward = parse(share < 0 ? "#2166ac" : "#b2182b");
    return print(mix(parse(isDark.value ? "#2a2d33" : "#f7f7f7"), toward, Math.min(1, Math.abs(share)) ** 0.7));
}

export interface Scale {
    /** Where the scale begins and ends. It stays while a picture is zoomed. */
    lo: number;
    hi: number;
    log: boolean;
    /** There is more than `hi`, in the same colour. */
    over?: boolean;
}

/** Where on the scale a value is, from 0 to 1. */
export function place(scale: Scale, value: number): number {
    if (!(scale.hi > scale.lo)) return value >= scale.hi && value > 0 ? 1 : 0;
    const share = scale.log
        ? Math.log(Math.max(value, scale.lo) / scale.lo) / Math.log(scale.hi / scale.lo)
        : (value - scale.lo) / (scale.hi - scale.lo);
    return Math.max(0, Math.min(1, share));
}

// ---- components ----

const FAMILIES: [RegExp, string, string[]][] = [
    [/^(token|position|layer)_embd/, "#56B4E9", ["token_embd", "position_embd", "layer_embd"]],
    [/norm|sinks/, "#999999", ["attn_norm", "ffn_norm", "norm", "output_norm"]],
    [/^(attn|rope)/, "#0072B2", ["attn_q", "attn_k", "attn_v", "attn_output", "attn_qkv", "attn_kv", "attn_gate"]],
    [/^kv_/, "#CC79A7", ["kv_k", "kv_v"]],
    [/^ffn/, "#009E73", ["ffn_gate", "ffn_up", "ffn_down", "ffn_gate_up"]],
    [/^router|^shared_router/, "#8F5F00", ["router", "shared_router"]],
    [/^(expert|shared)/, "#E69F00", ["expert_gate", "expert_up", "expert_down", "expert_gate_up"]],
    [/^(ssm|state|shortconv|time_mix|channel_mix)/, "#D4C20E", []],
    [/^(output|nextn)/, "#D55E00", ["output", "nextn"]],
];

/** Members of a family, in turn: lighter, darker, ... */
const SHADES = [0, 0.28, -0.25, 0.5, -0.45, 0.65, -0.6];

const known = new Map<string, string>();

/** The colour of a component's name, the same in every view. Members of a family differ in lightness. */
export function componentColour(name: string): string {
    let colour = known.get(name);
    if (colour) return colour;
    const family = FAMILIES.find(([names]) => names.test(name));
    if (!family) {
        colour = name === "activations" ? "#8a8f98" : "#b3b3b3";
    } else {
        const at = Math.max(0, family[2].indexOf(name));
        const base = parse(family[1]);
        const shade = SHADES[at % SHADES.length]!;
        colour = print(mix(base, shade > 0 ? [255, 255, 255] : [0, 0, 0], Math.abs(shade)));
    }
    known.set(name, colour);
    return colour;
}

// ---- ink ----

/** What pictures are drawn with beside data; style.css has the same for the rest of the page. */
export interface Ink {
    paper: string;
    /** Where a picture has no data. */
    ground: string;
    text: string;
    faint: string;
    line: string;
    /** The play head, and what is selected. */
    accent: string;
    hover: string;
}

const LIGHT: Ink = {
    paper: "#ffffff", ground: "#eef0f3", text: "#1d2127", faint: "#626a76", line: "#d5d9e0", accent: "#d5305c", hover: "#1d2127",
};
const DARK: Ink = {
    paper: "#16181c", ground: "#202329", text: "#e4e6ea", faint: "#98a0ac", line: "#343942", accent: "#ff5c8a", hover: "#ffffff",
};

export const ink = computed<Ink>(() => (isDark.value ? DARK : LIGHT));

/** Phases, in every view. */
export function phaseColour(phase: string): string {
    const colours: Record<string, string> = {
        prompt: "#56B4E9", generate: "#009E73", warmup: "#999999", "warm-up": "#999999", verify: "#CC79A7", mixed: "#E69F00",
    };
    return colours[phase] ?? "#b3b3b3";
}
