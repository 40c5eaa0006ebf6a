// SPDX-License-Identifier: MIT
//
// What is taken away from attention, buffers and storage: PNG and SVG look as the picture does, CSV has the report's numbers.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { test } from "node:test";

import { asked, open, recorded, serve, settled, taken } from "./page.mjs";

// Where a model can be kept out of memory, a run that read it from the disk has more to show.
const traces = ["experts", ...(existsSync(recorded("starved")) ? ["starved"] : [])];
const at = await serve(...traces);
const report = (name, of) =>
    JSON.parse(execFileSync(process.env.TAT, ["report", "--json", "--section", name, recorded(of)], { maxBuffer: 1 << 28 }))[name];

/** Cells of CSV, of which some are quoted. */
const cellsOf = ({ bytes }) =>
    bytes.toString().trimEnd().split("\n").map((line) =>
        [...`${line},`.matchAll(/("(?:[^"]|"")*"|[^,]*),/g)].map(([, cell]) => cell.replace(/^"|"$/g, "").replaceAll('""', '"')));

/** Columns of a CSV file, as numbers. */
function columns(file, ...names) {
    const [header, ...rows] = cellsOf(file);
    return rows.map((row) => names.map((name) => (row[header.indexOf(name)] === "" ? null : Number(row[header.indexOf(name)]))));
}

const CAPTION = 40; // pixels that files have above what the page shows

/**
 * The mean colour of each of 40 x 20 parts of a canvas, and of a file of it: how much they differ at most, and how much the parts of
 * the canvas differ among themselves, of 255. So how edges are smoothed does not count.
 */
async function compared(tab, picture, file, type) {
    const shown = await picture.locator("canvas").first().evaluate((canvas) => ({ url: canvas.toDataURL(), width: canvas.clientWidth, height: canvas.clientHeight }));
    const blank = await tab.context().newPage(); // where no policy forbids to read pictures
    try {
        return await blank.evaluate(async ({ shown, url, caption }) => {
            const load = (from) => new Promise((done, failed) => {
                const image = new Image();
                image.onload = () => done(image);
                image.onerror = () => failed(new Error("it cannot be read as a picture"));
                image.src = from;
            });
            const { width, height } = shown;
            const parts = (image, up, all) => {
                const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
                context.imageSmoothingQuality = "high";
                context.drawImage(image, 0, -up, width, all);
                const means = [];
                const [wide, high] = [Math.floor(width / 40), Math.floor(height / 20)];
                for (let part = 0; part < 800; part++) {
                    const { data } = context.getImageData((part % 40) * wide, Math.floor(part / 40) * high, wide, high);
                    for (let colour = 0; colour < 3; colour++) {
                        let sum = 0;
                        for (let i = colour; i < data.length; i += 4) sum += data[i];
                        means.push(sum / (wide * high));
                    }
                }
                return means;
            };
            const [picture, file] = [await load(shown.url), await load(url)];
            const [a, b] = [parts(picture, 0, height), parts(file, caption, height + caption)];
            return {
                size: [file.naturalWidth / width, file.naturalHeight / (height + caption)],
                most: Math.max(...a.map((value, i) => Math.abs(value - b[i]))), range: Math.max(...a) - Math.min(...a),
            };
        }, { shown, url: `data:${type};base64,${file.toString("base64")}`, caption: CAPTION });
    } finally {
        await blank.close();
    }
}

/** All pictures of a view that show something, by the names of their files: their CSV. */
async function takeAll(tab, of) {
    await tab.locator(".picture").first().waitFor();
    const found = {};
    for (const picture of await tab.locator(".picture").all()) {
        await settled(picture);
        if ((await picture.getByRole("button", { name: "PNG", exact: true }).count()) === 0) continue; // it says why there is nothing
        const title = await picture.getByRole("heading").textContent();
        await picture.locator("canvas").first().scrollIntoViewIfNeeded();
        const [png, svg, csv] = [await taken(picture, "PNG"), await taken(picture, "SVG"), await taken(picture, "CSV")];
        const name = new RegExp(`^${of}-(.+)\\.csv$`).exec(csv.name)?.[1];
        assert.deepEqual([png.name, svg.name], [`${of}-${name}.png`, `${of}-${name}.svg`], title);
        assert.ok(svg.bytes.toString().includes(`>${title.replaceAll("&", "&amp;")}</text>`), title);
        const looks = [await compared(tab, picture, png.bytes, "image/png"), await compared(tab, picture, svg.bytes, "image/svg+xml")];
        assert.deepEqual(looks.map(({ size }) => size), [[2, 2], [1, 1]], title);
        for (const { most, range } of looks) assert.ok(range > 40 && most < range / 4, `${title}: ${most} of ${range}`);
        found[name] = csv;
    }
    return found;
}

/** The tables below pictures have the report's cells. */
async function takeTables(tab, section) {
    let rows = 0;
    for (const table of await tab.locator("section.table").all()) {
        const file = await taken(table, "CSV");
        const name = /-([a-z-]+)\.csv$/.exec(file.name)[1].replaceAll("-", "_");
        const [header, ...lines] = cellsOf(file);
        const expected = section.tables[name].rows.map((row) => header.map((key) => (row[key] === null || row[key] === undefined ? "" : String(row[key]))));
        assert.deepEqual(lines, expected, name);
        rows += lines.length;
    }
    return rows;
}

test("attention: pictures and tables are taken away", async (t) => {
    const section = report("attention", "experts");
    const rowsOf = (name) => section.tables[name].rows;
    const tab = await open(t, at, "view=attention");
    await tab.getByText(section.headline).waitFor();
    const files = await takeAll(tab, "experts");
    assert.deepEqual(Object.keys(files).sort(), ["attention-order", "heads-k-cache-read", "kv-growth", "kv-layers"]);
    assert.deepEqual(columns(files["kv-growth"], "token", "kv_read_bytes_per_token"), rowsOf("growth").map((row) => [row.token, row.kv_read_bytes_per_token]));
    assert.deepEqual(columns(files["kv-layers"], "layer", "kv_written_bytes_per_token"), rowsOf("layers").map((row) => [row.layer, row.kv_written_bytes_per_token]));
    const steps = cellsOf(files["attention-order"]).slice(1).flatMap(([layer, ...cells]) => cells.flatMap((cell, step) => (cell === "" ? [] : [`${layer} ${step} ${cell}`])));
    assert.deepEqual(steps, rowsOf("order_steps").map((row) => `${row.layer} ${row.step} ${row.access} ${row.part}`));
    const heads = cellsOf(files["heads-k-cache-read"]).slice(1).map(([, ...cells]) => cells.map(Number));
    assert.deepEqual(heads, rowsOf("head_bytes").filter(({ part }) => part === "k_cache_read").map((row) => row.bytes));
    assert.ok((await takeTables(tab, section)) > 5);
});

test("buffers: pictures are taken away", async (t) => {
    const tab = await open(t, at, "view=buffers&token=8");
    const files = await takeAll(tab, "experts");
    assert.deepEqual(Object.keys(files).sort(), ["activations", "activations-at-once", "buffer-sizes"]);
    const lives = columns(files.activations, "bytes", "from_ns", "to_ns");
    const needed = columns(files["activations-at-once"], "ns", "bytes");
    assert.ok(lives.length > 100 && lives.every(([bytes, from, to]) => bytes > 0 && from <= to));
    // What is needed at once is the sum of what lives then.
    const begin = Math.min(...lives.map(([, from]) => from)) - Math.min(...needed.map(([ns]) => ns));
    for (const [ns, bytes] of needed) {
        assert.equal(bytes, lives.filter(([, from, to]) => from <= begin + ns && begin + ns < to).reduce((sum, [size]) => sum + size, 0));
    }
    assert.ok(needed.some(([, bytes]) => bytes > 0));
});

test("storage: pictures and tables are taken away", async (t) => {
    for (const [number, of] of traces.entries()) {
        const section = report("storage", of);
        const rowsOf = (name) => section.tables[name]?.rows ?? [];
        const { has } = await asked(at, `api/traces/${number}/about`);
        if (!has.faults && !has.requests) continue; // nothing may be recorded here
        const tab = await open(t, at, `view=storage&trace=${number}`);
        await tab.getByText(section.headline).waitFor();
        const files = await takeAll(tab, of);
        const expected = {
            "waits-tensor": rowsOf("slices").length, throughput: rowsOf("throughput").length, residency: rowsOf("residency").length,
            "token-time": rowsOf("explained").length, "read-layers": rowsOf("read_layers").length,
        };
        assert.deepEqual(Object.keys(files).sort(), Object.keys(expected).filter((name) => expected[name] > 0).sort(), of);
        if (files["waits-tensor"]) assert.deepEqual(cellsOf(files["waits-tensor"]).slice(1).map((row) => Number(row.at(-1))), rowsOf("slices").map((row) => row.stall_ns));
        if (files.throughput) assert.deepEqual(columns(files.throughput, "begin_ns"), rowsOf("throughput").map((row) => [row.begin_ns]));
        if (files["token-time"]) assert.deepEqual(columns(files["token-time"], "compute_ns", "blocked_ns"), rowsOf("explained").map((row) => [row.compute_ns, row.blocked_ns]));
        if (files["read-layers"]) {
            const layers = rowsOf("read_layers").filter(({ layer }) => typeof layer === "number");
            assert.deepEqual(columns(files["read-layers"], "layer", "read_bytes", "in_vain_bytes"), layers.map((row) => [row.layer, row.read_bytes, row.in_vain_bytes]));
        }
        if (files.residency) {
            const shares = cellsOf(files.residency).slice(1).map(([, ...cells]) => cells.map(Number));
            const samples = rowsOf("residency").filter(({ file }) => file === rowsOf("residency")[0].file);
            assert.deepEqual(shares, samples[0].shares.map((_, part) => samples.map((row) => row.shares[part])));
        }
        await takeTables(tab, section);
    }
});
