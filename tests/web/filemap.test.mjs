// SPDX-License-Identifier: MIT
//
// The model file as blocks, and which of its bytes were read when.
import assert from "node:assert/strict";
import { test } from "node:test";

import { address, area, asked, colours, open, picture, pointAt, serve, taken } from "./page.mjs";

const at = await serve("experts");
const about = await asked(at, "api/traces/0/about");
const whole = await asked(at, "api/traces/0/file");
const linesOf = ({ bytes }) => bytes.toString().trim().split("\n").slice(1).map((line) => line.split(","));

test("blocks and their figures are the server's, up to the chosen token", async (t) => {
    const tab = await open(t, at, "view=file");
    const map = await picture(tab, /^Reads of each part of .* in the whole run/);
    const shown = linesOf(await taken(map, "CSV"));
    assert.deepEqual(shown.map((line) => [Number(line[5]), Number(line[6]), Number(line[7])]), whole.blocks.map((block) => [block.offset, block.bytes, block.accesses]));
    assert.deepEqual(linesOf(await taken(await picture(tab, "The whole file"), "CSV")), shown);
    await tab.getByLabel("Token", { exact: true }).focus();
    await tab.keyboard.press("Home");
    await tab.keyboard.press("ArrowRight");
    await address(tab, { token: "1" });
    const early = await picture(tab, /up to token 1$/);
    const until = await asked(at, "api/traces/0/file?until_token=2");
    assert.deepEqual(linesOf(await taken(early, "CSV")).map((line) => Number(line[8])), until.blocks.map((block) => block.read_bytes));
    assert.ok(until.blocks.some((block, i) => block.accesses < whole.blocks[i].accesses));
});

test("it zooms from the whole file to one expert, and back", async (t) => {
    const tab = await open(t, at, "view=file");
    const map = await picture(tab, /^Reads of each part/);
    const box = await area(map);
    await tab.mouse.move(box.x + box.width * 0.6, box.y + box.height * 0.6);
    await tab.mouse.wheel(0, -300);
    const [lo, hi] = await tab.waitForFunction(() => /bytes=(\d+)-(\d+)/.exec(location.hash)?.slice(1).map(Number)).then((found) => found.jsonValue());
    assert.ok(lo > 0 && hi - lo < whole.files[0].bytes);
    await map.getByRole("button", { name: "All", exact: true }).click();
    await address(tab, { bytes: null });

    const expert = whole.blocks.find((block) => block.expert === 2);
    const middle = expert.offset + Math.floor(expert.bytes / 2);
    await tab.evaluate((hash) => history.replaceState(null, "", hash), `#view=file&bytes=${expert.offset}-${expert.offset + expert.bytes}`);
    await tab.reload();
    const card = await pointAt(await picture(tab, /^Reads of each part/), 0.55, 0.55);
    assert.match(card.title, /, expert 2$/);
    assert.ok(card.rows["offset in the file"].includes(`${expert.offset.toLocaleString("en-US")} bytes`), `${middle}`);
    assert.equal(card.rows.accesses, expert.accesses.toLocaleString("en-US"));
});

/** The bytes at which rows begin, as the picture says. */
async function beginnings(map) {
    const units = { bytes: 1, byte: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
    const texts = [...(await taken(map, "SVG")).bytes.toString().matchAll(/text-anchor="end"[^>]*>([\d.,]+) (bytes?|[KMG]iB)</g)];
    return texts.map(([, number, unit]) => Number(number.replaceAll(",", "")) * units[unit]);
}

test("rows begin at round bytes, whatever part of the file shows", async (t) => {
    const size = whole.files[0].bytes;
    for (const [lo, hi] of [[0, size], [1_000_003, Math.floor(size * 0.7)], [Math.floor(size * 0.31), Math.floor(size * 0.52)]]) {
        const tab = await open(t, at, `view=file${lo > 0 ? `&bytes=${lo}-${hi}` : ""}`);
        const rows = await beginnings(await picture(tab, /^Reads of each part/));
        const step = rows[1] - rows[0];
        assert.ok(rows.length > 3 && Number.isInteger(Math.log2(step)), `${rows}`);
        for (const [i, row] of rows.entries()) assert.deepEqual([row % step, row - rows[0]], [0, i * step], `${rows}`);
        assert.ok(rows[0] >= lo - step && rows[0] <= lo + step && rows.at(-1) < hi && rows.at(-1) > hi - 2 * step, `${rows} of ${lo} to ${hi}`);
    }
});

test("a map that is dragged moves, a little at a time too", async (t) => {
    const size = whole.files[0].bytes;
    const tab = await open(t, at, `view=file&bytes=${Math.floor(size * 0.31)}-${Math.floor(size * 0.52)}`);
    const map = await picture(tab, /^Reads of each part/);
    const before = await beginnings(map);
    const box = await area(map);
    await tab.keyboard.down("Shift");
    await tab.mouse.move(box.x + box.width / 2, box.y + box.height * 0.8);
    await tab.mouse.down();
    await tab.mouse.move(box.x + box.width / 2, box.y + box.height * 0.3, { steps: 60 });
    await tab.mouse.up();
    await tab.keyboard.up("Shift");
    await tab.waitForFunction((from) => Number(/bytes=(\d+)-/.exec(location.hash)?.[1]) > from, before[2]);
    assert.ok((await beginnings(map))[0] > before[0]);
});

test("a click chooses a block, a second one comes close, and the strip above moves what shows", async (t) => {
    const tab = await open(t, at, "view=file");
    const map = await picture(tab, /^Reads of each part/);
    const box = await area(map);
    const card = await pointAt(map, 0.6, 0.7);
    await tab.mouse.click(box.x + box.width * 0.6, box.y + box.height * 0.7);
    const name = card.title.replace(/, expert \d+$/, "");
    await address(tab, { tensor: String(about.tensors.find((one) => one.name === name && one.file_offset !== null).id) });
    await tab.mouse.click(box.x + box.width * 0.6, box.y + box.height * 0.7);
    await tab.waitForFunction(() => location.hash.includes("bytes="));
    const before = new URL(tab.url()).hash;
    const strip = await picture(tab, "The whole file");
    const line = await area(strip);
    await tab.mouse.click(line.x + line.width * 0.2, line.y + line.height * 0.4);
    await tab.waitForFunction((hash) => location.hash !== hash && location.hash.includes("bytes="), before);
});

test("the order of the model has the same blocks, and parts have colours of their own", async (t) => {
    const tab = await open(t, at, "view=file");
    await (await picture(tab, /^Reads of each part/)).getByRole("button", { name: "layer by layer" }).click();
    await address(tab, { "o.fileorder": "model" });
    const rows = linesOf(await taken(await picture(tab, /^Reads of each part/), "CSV"));
    assert.deepEqual(rows.map((line) => Number(line[5])).sort((a, b) => a - b), whole.blocks.map((block) => block.offset));
    const layers = rows.map((line) => line[3]).filter((layer) => layer !== "").map(Number);
    assert.deepEqual(layers, [...layers].sort((a, b) => a - b));
    await tab.getByRole("button", { name: "part of the model" }).click();
    assert.ok((await colours(await picture(tab, /^What lies where/))) > 8);
});

test("offsets by time: cells are the server's, a rectangle zooms, orders and colours change", async (t) => {
    const tab = await open(t, at, "view=offsets&o.io=none");
    const map = await picture(tab, "Which bytes of the file were read when");
    assert.ok((await colours(map)) > 5);
    const read = linesOf(await taken(map, "CSV")).filter((line) => line[0] === "read");
    const tile = Buffer.from(await (await fetch(`${at}api/traces/0/offsets?by=physical&w=900&h=512`)).arrayBuffer());
    let sum = 0;
    for (let i = 0; i < tile.readUInt32LE(8) * tile.readUInt32LE(12); i++) sum += tile.readDoubleLE(64 + 8 * i);
    assert.ok(Math.abs(read.reduce((a, line) => a + Number(line[5]), 0) / sum - 1) < 1e-9);
    const box = await area(map);
    await tab.mouse.move(box.x + box.width * 0.4, box.y + box.height * 0.3);
    await tab.mouse.down();
    await tab.mouse.move(box.x + box.width * 0.6, box.y + box.height * 0.6, { steps: 3 });
    await tab.mouse.up();
    await tab.waitForFunction(() => /time=\d+-\d+/.test(location.hash) && /bytes=\d+-\d+/.test(location.hash));
    await picture(tab, "Which bytes of the file were read when");
    await map.getByRole("button", { name: "All", exact: true }).click();
    await address(tab, { time: null, bytes: null });
    await tab.getByRole("button", { name: "as first read" }).click();
    assert.ok((await colours(await picture(tab, /in the order of their first read/))) > 5);
    await tab.getByRole("button", { name: "bytes", exact: true }).click();
    await address(tab, { "o.offsetcolour": "bytes" });
});

test("page faults over it have the operation that waited", async (t) => {
    if (!about.has.faults) return t.skip("no page faults were recorded here");
    const io = await asked(at, "api/traces/0/io?limit=6000&t0=0");
    const tab = await open(t, at, "view=offsets&o.io=faults");
    const map = await picture(tab, "Which bytes of the file were read when");
    const faults = linesOf(await taken(map, "CSV")).filter((line) => line[0] === "fault");
    const expected = io.faults.filter((one) => one.major && one.file !== null);
    assert.equal(faults.length, expected.length);
    if (expected.length > 0) assert.deepEqual(faults[0].slice(7, 9), [expected[0].op ?? "", expected[0].token === null ? "" : String(expected[0].token)]);
    return undefined;
});
