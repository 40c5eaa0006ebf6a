// SPDX-License-Identifier: MIT
//
// Views that draw what `tat report --json` says: each number that they show and give away is the report's own.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { address, area, asked, colours, open, picture, pointAt, quiet, recorded, serve, taken } from "./page.mjs";

const at = await serve("experts", "dense");
const report = (name, ...options) =>
    JSON.parse(execFileSync(process.env.TAT, ["report", "--json", "--section", name, ...options, recorded("experts")], { maxBuffer: 1 << 28 }))[name];
const table = (section, name) => section.tables[name].rows;

/** A CSV file's numbers, row by row, without the name of the row; null: empty. */
const numbersOf = ({ bytes }) =>
    bytes.toString().trim().split("\n").slice(1).map((line) => line.split(",").slice(1).map((cell) => (cell === "" ? null : Number(cell))));

/** A CSV file's rows by column. No cell of these has a comma. */
function rowsOf({ bytes }) {
    const [header, ...lines] = bytes.toString().trim().split("\n").map((line) => line.split(","));
    return lines.map((line) => Object.fromEntries(line.map((cell, i) => [header[i], cell])));
}

test("experts: use, gate weights, transitions and overlap are the report's", async (t) => {
    const experts = report("experts");
    const tab = await open(t, at, "view=experts&layer=3");
    await tab.getByText(experts.headline).waitFor();
    const use = await picture(tab, /^Use of experts/);
    for (const [button, key] of [["choices", "counts"], ["share", "shares"], ["generated", "generate_counts"], ["gate weight", "mean_gates"]]) {
        await use.getByRole("button", { name: button, exact: true }).click();
        assert.deepEqual(numbersOf(await taken(use, "CSV")), table(experts, "experts").map((row) => row[key]));
        assert.ok((await colours(use)) > 5, button);
    }
    const next = await picture(tab, /^Layer 3: from a token's experts/);
    const counts = table(experts, "transition_counts").filter(({ layer }) => layer === 3);
    const shown = numbersOf(await taken(next, "CSV"));
    for (const { from, counts: expected } of counts) assert.deepEqual(shown[from], expected);
    const overlap = rowsOf(await taken(await picture(tab, /^The same experts again/), "CSV"));
    assert.deepEqual(overlap.map((row) => Number(row.same_as_last_token)), table(experts, "overlap").map((row) => row.same_as_last_token));
});

test("experts: the hottest is one click away, and a cell chooses its layer and expert", async (t) => {
    const experts = report("experts");
    const hottest = table(experts, "top_experts")[0];
    const tab = await open(t, at, "view=experts");
    const use = await picture(tab, /^Use of experts/);
    await use.getByRole("button", { name: "hottest" }).click();
    await address(tab, { layer: String(hottest.layer), expert: String(hottest.expert) });
    const card = await pointAt(use, 0.5, 0.5);
    const [, layer, expert] = /^(\d+), (\d+)$/.exec(card.title);
    const row = table(experts, "experts").find((one) => one.layer === Number(layer));
    assert.equal(card.rows.choices, `${row.counts[expert]} of ${row.selections}`);
    const box = await area(use);
    await tab.mouse.click(box.x + box.width * 0.5, box.y + box.height * 0.5);
    await address(tab, { layer, expert });
});

test("a model without experts says so, and the navigation too", async (t) => {
    const tab = await open(t, at, "trace=1");
    await tab.locator("nav a", { hasText: "Experts" }).click();
    await tab.getByText("This model has no experts").waitFor();
    assert.match(await tab.locator("nav a[aria-current]").getAttribute("class"), /lacks/);
});

test("attention: growth, order, heads and layers are the report's", async (t) => {
    const attention = report("attention");
    const tab = await open(t, at, "view=attention");
    const growth = rowsOf(await taken(await picture(tab, /^KV cache read for a token/), "CSV"));
    assert.deepEqual(growth.map((row) => [Number(row.token), Number(row.kv_read_bytes_per_token)]), table(attention, "growth").map((row) => [row.token, row.kv_read_bytes_per_token]));
    const order = await picture(tab, /^Order in which/);
    const card = await pointAt(order, 0.2, 0.5);
    assert.equal(card.rows.part, "Q");
    const heads = await picture(tab, /^Bytes of each head/);
    await heads.getByLabel("Part").selectOption("q_weights");
    const bytes = numbersOf(await taken(await picture(tab, /^Bytes of each head for one token: Q weights/), "CSV"));
    assert.deepEqual(bytes, table(attention, "head_bytes").filter(({ part }) => part === "q_weights").map((row) => row.bytes));
    const layers = rowsOf(await taken(await picture(tab, /^KV cache and weights that a layer/), "CSV"));
    assert.deepEqual(layers.map((row) => Number(row.weight_bytes_per_token)), table(attention, "layers").map((row) => row.weight_bytes_per_token));
});

test("caching: curves are the report's, and a size that is dragged is given to it", async (t) => {
    const caching = report("caching");
    const tab = await open(t, at, "view=caching");
    const curves = await picture(tab, /^Miss ratio/);
    const shown = rowsOf(await taken(curves, "CSV"));
    assert.deepEqual(shown.map((row) => [Number(row.cache_bytes), Number(row.lru), Number(row.min)]), table(caching, "curves").map((row) => [row.cache_bytes, row.lru, row.min]));

    // The handle stands at half of the weights until a size is given.
    const box = await area(curves);
    const across = (share) => box.x + 84 + (box.width - 84 - 14) * share;
    await tab.mouse.move(across(0.5), box.y + box.height / 2);
    await tab.mouse.down();
    await tab.mouse.move(across(0.25), box.y + box.height / 2, { steps: 4 });
    await tab.mouse.up();
    const given = await tab.waitForFunction(() => new URLSearchParams(location.hash.slice(1)).get("memory")).then((found) => found.jsonValue());
    assert.ok(Math.abs(Number(given) / caching.values.weight_bytes - 0.25) < 0.02, given);
    const told = report("caching", "--memory", given, "--disk", "1G/s");
    await tab.getByText(told.headline).waitFor();
    let plan;
    try {
        plan = JSON.parse(execFileSync(process.env.TAT, ["plan", "--json", "--memory", given, "--disk", "1G/s", "-o", "/dev/null", recorded("experts")], { stdio: ["ignore", "pipe", "ignore"] }));
    } catch (error) {
        plan = JSON.parse(error.stdout); // 1: there is nothing to gain
    }
    await tab.getByText(plan.headline).waitFor();
    const savings = numbersOf(await taken(tab.getByRole("region", { name: /^Share of the bytes read/ }), "CSV"));
    assert.deepEqual(savings.map((row) => row.at(-1)), table(told, "savings").map((row) => row.at_given));
    await tab.getByRole("button", { name: "reset" }).click();
    await address(tab, { memory: null });
});

test("caching: the memory size has a slider, policies are chosen, and the unit is the report's option", async (t) => {
    const tab = await open(t, at, "view=caching");
    const curves = await picture(tab, /^Miss ratio/);
    await tab.getByLabel("Memory for weights").focus();
    await tab.keyboard.press("ArrowLeft");
    await tab.waitForFunction(() => location.hash.includes("memory="));
    await curves.getByText(/ of \d+ policies/).click();
    await curves.getByLabel("SIEVE").check();
    assert.ok("sieve" in rowsOf(await taken(curves, "CSV"))[0]);
    // That a new answer is to come is said before anybody can take the one before for it.
    await quiet(tab);
    const isSaid = await curves.getByLabel("Kept or dropped as a whole").evaluate(async (choice) => {
        choice.value = "expert";
        choice.dispatchEvent(new Event("change", { bubbles: true }));
        for (let i = 0; i < 10; i++) await null;
        return choice.closest(".picture").querySelector(".busy") !== null;
    });
    assert.ok(isSaid);
    await address(tab, { "o.unit": "expert" });
    await picture(tab, /^Miss ratio/);
    const whole = report("caching", "--unit", "expert");
    const shown = rowsOf(await taken(curves, "CSV"));
    assert.deepEqual(shown.map((row) => Number(row.lru)), table(whole, "curves").map((row) => row.lru));
});

test("storage: what waited, what was read and when are the report's", async (t) => {
    const storage = report("storage");
    const tab = await open(t, at, "view=storage");
    await tab.getByText(storage.headline).waitFor();
    const waits = await picture(tab, /^Weights that threads waited for/);
    if (table(storage, "slices").length > 0) {
        const lines = (await taken(waits, "CSV")).bytes.toString().trim().split("\n").slice(1);
        assert.deepEqual(lines.map((line) => Number(line.split(",").at(-1))), table(storage, "slices").map((row) => row.stall_ns));
    }
    // Only root sees requests and the page cache.
    const rate = await picture(tab, /^How fast the model was read/);
    if ((storage.tables.throughput?.rows ?? []).length > 0) {
        const shown = rowsOf(await taken(rate, "CSV"));
        assert.deepEqual(shown.map((row) => Number(row.begin_ns)), table(storage, "throughput").map((row) => row.begin_ns));
    } else await rate.getByText("tat record --io").waitFor();
});

test("buffers: sizes and lives follow from the token's records, and a click chooses a layer", async (t) => {
    const about = await asked(at, "api/traces/0/about");
    const tab = await open(t, at, "view=buffers&token=8");
    const lives = await picture(tab, /^From when until when each activation of token 8/);
    const rows = rowsOf(await taken(lives, "CSV"));
    const sizes = Object.fromEntries((await taken(await picture(tab, "Memory by what it holds"), "CSV")).bytes.toString().trim().split("\n").slice(1)
        .map((line) => [line.slice(0, line.lastIndexOf(",")).replaceAll('"', ""), Number(line.slice(line.lastIndexOf(",") + 1))]));
    assert.equal(sizes["weights, mapped from the file"], report("caching").values.weight_bytes);
    assert.equal(sizes["K cache"] + sizes["V cache"], report("attention").values.kv_cache_bytes);
    assert.ok(rows.length > about.model.layers * 5);
    const last = rows.find((row) => row.tensor === "result_output");
    assert.equal(Number(last.bytes), 49152 * 4);
    await tab.mouse.click((await area(lives)).x + 90, (await area(lives)).y + 34);
    await picture(tab, /^Activations that token 8 needs at once/);
    const most = Math.max(...rowsOf(await taken(await picture(tab, /^Activations that token 8/), "CSV")).map((row) => Number(row.bytes)));
    assert.equal(most, sizes["activations of a token, at once"]);
});
