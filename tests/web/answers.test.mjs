// SPDX-License-Identifier: MIT
//
// What timelines and heatmaps are made of, counted again from the records that `tat export` writes.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { asked, recorded, serve } from "./page.mjs";

const at = await serve("experts");
const about = await asked(at, "api/traces/0/about");

const [header, ...lines] = execFileSync(process.env.TAT, ["export", "--format", "csv", recorded("experts")], {
    encoding: "utf8", maxBuffer: 1 << 28, stdio: ["ignore", "pipe", "ignore"],
}).trim().split("\n").map((line) => line.split(","));
const place = Object.fromEntries(header.map((name, i) => [name, i]));
const rows = lines.filter((line) => !["warmup", "other"].includes(line[place.phase]) && Number(line[place.tokens]) > 0);

/** Sums by two keys; a record of several tokens is divided among them. */
function counted(keyOf, valueOf) {
    const sums = new Map();
    for (const row of rows) {
        const key = keyOf(row);
        if (key === null || key === "") continue;
        const [first, count] = [Number(row[place.token]), Number(row[place.tokens])];
        for (let token = first; token < first + count; token++) {
            const cell = `${token} ${key}`;
            sums.set(cell, (sums.get(cell) ?? 0) + valueOf(row) / count);
        }
    }
    return sums;
}
const bytes = (row) => Number(row[place.size]);
const accesses = (row) => (Number(row[place.size]) > 0 ? 1 : 0);

async function tile(query) {
    const response = await fetch(`${at}api/traces/0/grid?${query}`);
    assert.equal(response.status, 200, await (response.status === 200 ? "" : response.text()));
    const all = Buffer.from(await response.arrayBuffer());
    const [columns, height] = [all.readUInt32LE(8), all.readUInt32LE(12)];
    return {
        columns, rows: height,
        value: (column, row) => all.readDoubleLE(64 + 8 * (row * columns + column)),
        dominant: (column, row) => all.readUInt32LE(64 + 8 * columns * height + 4 * (row * columns + column)),
    };
}

function same(grid, sums, rowName) {
    let filled = 0;
    for (let column = 0; column < grid.columns; column++) {
        for (let row = 0; row < grid.rows; row++) {
            const expected = sums.get(`${column} ${rowName(row)}`) ?? 0;
            assert.ok(Math.abs(grid.value(column, row) - expected) <= 1e-6 * expected, `${column} ${rowName(row)}: ${grid.value(column, row)}, not ${expected}`);
            filled += expected > 0 ? 1 : 0;
        }
    }
    assert.ok(filled > grid.columns);
}

const whole = `w=${about.tokens}&h=4096`;

test("tokens by layer, in bytes and accesses", async () => {
    for (const [measure, valueOf] of [["bytes", bytes], ["accesses", accesses]]) {
        same(await tile(`x=token&y=layer&measure=${measure}&y1=${about.model.layers}&${whole}`), counted((row) => row[place.layer], valueOf), String);
    }
});

test("tokens by tensor", async () => {
    same(await tile(`x=token&y=tensor&measure=bytes&${whole}`), counted((row) => row[place.tensor_id], bytes), String);
});

test("tokens by component", async () => {
    const sums = counted((row) => (row[place.memory] === "buffer" ? null : row[place.component]), bytes);
    same(await tile(`x=token&y=component&measure=bytes&y1=${about.components.length}&${whole}`), sums, (row) => about.components[row]);
});

test("tokens by expert of a layer", async () => {
    const sums = counted((row) => (row[place.layer] === "3" ? row[place.expert] : null), bytes);
    same(await tile(`x=token&y=expert&layer=3&measure=bytes&${whole}`), sums, String);
});

test("layers by expert, which are sums over all tokens", async () => {
    const grid = await tile(`x=layer&y=expert&measure=accesses&w=4096&h=4096&x1=${about.model.layers}`);
    const sums = new Map();
    for (const row of rows) {
        if (row[place.expert] === "") continue;
        const cell = `${row[place.layer]} ${row[place.expert]}`;
        sums.set(cell, (sums.get(cell) ?? 0) + accesses(row));
    }
    same(grid, sums, String);
});

test("a tensor that is named has most of its cell", async () => {
    const grid = await tile(`x=token&y=layer&measure=bytes&y1=${about.model.layers}&${whole}`);
    const sums = counted((row) => (row[place.memory] === "buffer" ? null : row[place.tensor_id]), bytes);
    for (const [column, row] of [[0, 0], [10, 5], [about.tokens - 1, about.model.layers - 1]]) {
        const most = about.tensors.filter(({ layer, memory }) => layer === row && memory !== "buffer")
            .reduce((best, one) => Math.max(best, sums.get(`${column} ${one.id}`) ?? 0), 0);
        assert.ok(Math.abs((sums.get(`${column} ${grid.dominant(column, row)}`) ?? 0) - most) <= 1e-6 * most);
    }
});

test("cells of a coarse tile are sums of those of the finest", async () => {
    const fine = await tile(`x=token&y=layer&measure=bytes&${whole}`);
    const coarse = await tile("x=token&y=layer&measure=bytes&w=5&h=1");
    let [all, summed] = [0, 0];
    for (let column = 0; column < fine.columns; column++) for (let row = 0; row < fine.rows; row++) all += fine.value(column, row);
    for (let column = 0; column < coarse.columns; column++) summed += coarse.value(column, 0);
    assert.equal(coarse.columns, 5);
    assert.ok(Math.abs(all - summed) < 1e-6 * all);
});

test("the columns of tokens", async () => {
    const columns = await asked(at, "api/traces/0/tokens");
    const [inBytes, inAccesses] = [counted(() => "all", bytes), counted(() => "all", accesses)];
    assert.equal(columns.phase.length, about.tokens);
    const used = (token) => new Set(rows.filter((row) => row[place.expert] !== "" && Number(row[place.token]) === token).map((row) => `${row[place.layer]} ${row[place.expert]}`));
    for (let token = 0; token < about.tokens; token++) {
        assert.ok(Math.abs(columns.bytes[token] - inBytes.get(`${token} all`)) < 1e-6 * columns.bytes[token]);
        assert.ok(Math.abs(columns.accesses[token] - inAccesses.get(`${token} all`)) <= 1); // whole ones
    }
    const last = about.tokens - 1;
    const before = used(last - 1);
    assert.equal(columns.new_experts[last], [...used(last)].filter((one) => !before.has(one)).length);
});

test("windows that make no sense are refused, and say why", async () => {
    for (const query of ["x=token&y=token", "x=tensor&y=layer", "w=0", "x0=-1", "layer=x", "measure=weight", "z=1"]) {
        const response = await fetch(`${at}api/traces/0/grid?${query}`);
        assert.ok(response.status >= 400 && response.status < 500, query);
        assert.ok((await response.json()).error.length > 10);
    }
});
