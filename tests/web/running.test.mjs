// SPDX-License-Identifier: MIT
//
// A recording that still runs, followed in the page. The program is stopped by a signal while the page is looked at, so nothing here
// depends on how fast either is.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";

import { asked, eventually, open, picture, recorded, serve, settled } from "./page.mjs";

const { TAT, LLAMA, MODELS } = process.env;
const pause = () => new Promise((done) => setTimeout(done, 20));

rmSync(recorded("running"), { recursive: true, force: true });
const recording = spawn(TAT, [
    "record", "-o", recorded("running"), "--", join(LLAMA, "llama-completion"), "-m", join(MODELS, "SmolLM2-135M-Instruct.Q4_1.gguf"),
    "-p", "The three laws of robotics are", "-n", "2000", "--temp", "0", "-no-cnv", "--ignore-eos", "-t", "1", "-c", "2048",
], { stdio: "ignore", detached: true });
const ended = new Promise((done) => recording.on("exit", done));
/** tat and what it started are a group of their own. */
const signal = (name) => process.kill(-recording.pid, name);
after(() => {
    try {
        signal("SIGKILL");
    } catch {
        // It ended by itself.
    }
});

while (!existsSync(join(recorded("running"), "tensor_access.bin")) || readFileSync(join(recorded("running"), "tensor_access.bin")).length < 1 << 16) await pause();
const at = await serve("running");
while ((await asked(at, "api/traces/0/about")).tokens < 10) await pause();
signal("SIGSTOP");

const figure = (tab, name) => tab.locator(".figures div", { has: tab.locator("dt", { hasText: new RegExp(`^${name}$`) }) }).locator("dd").textContent();
const tokensOf = async (tab) => Number((await figure(tab, "tokens")).replaceAll(",", ""));

/** Lets it run on until the page shows more tokens. */
async function grown(tab) {
    const before = await tokensOf(tab);
    signal("SIGCONT");
    await tab.waitForFunction((n) => {
        const shown = [...document.querySelectorAll(".figures div")].find((one) => one.querySelector("dt").textContent === "tokens");
        return Number(shown.querySelector("dd").textContent.replaceAll(",", "")) > n;
    }, before);
    signal("SIGSTOP");
    await agreed(tab);
}

/** Nothing comes now, so page and server agree soon. */
async function agreed(tab) {
    await eventually(async () => {
        const { records, tokens } = await asked(at, "api/traces/0/about");
        assert.deepEqual([await figure(tab, "accesses"), await tokensOf(tab)], [records.toLocaleString("en-US"), tokens]);
    });
}

test("that it runs is said, and pictures grow without a new one taking their place", async (t) => {
    const tab = await open(t, at, "view=heatmap&tokens=2-8&token=3&layer=5");
    assert.equal(await figure(tab, "now"), "recording");
    assert.match(await figure(tab, "accesses"), /^[1-9]/);
    await agreed(tab);
    const heat = await picture(tab, /^Bytes by token and layer/);
    await heat.evaluate((one) => (one.isTheSame = true));
    const hash = new URL(tab.url()).hash;
    await grown(tab);
    await settled(heat);
    assert.ok(await heat.evaluate((one) => one.isTheSame));
    assert.equal(new URL(tab.url()).hash, hash);
    await tab.getByRole("button", { name: "Let go of layer 5" }).waitFor();
    await heat.getByRole("button", { name: "All", exact: true }).click();
    const name = await heat.getByRole("application").getAttribute("aria-label");
    assert.match(name, new RegExp(`^Bytes by token and layer\\. ${(await tokensOf(tab)).toLocaleString("en-US")} tokens`));
});

test("the table of records stays where it is", async (t) => {
    const tab = await open(t, at, "view=records");
    const view = await picture(tab, "Access records");
    await view.locator('[data-row="0"]').waitFor();
    const seen = view.locator('[data-row="110"]');
    // As a wheel does: of more than 100,000 rows, a jump is a share, as of a scroll bar that is dragged.
    await view.locator(".rows").evaluate(async (rows) => {
        while (rows.scrollTop < 105 * rows.querySelector(".row").offsetHeight) {
            rows.scrollTop += 400;
            for (let i = 0; i < 2; i++) await new Promise((done) => requestAnimationFrame(done));
        }
    });
    await eventually(async () => assert.notEqual(await seen.locator("> div").nth(4).textContent({ timeout: 1000 }), ""));
    const top = await view.locator(".rows").evaluate((rows) => rows.scrollTop);
    const total = await view.locator("[data-total]").getAttribute("data-total");
    await grown(tab);
    await tab.waitForFunction((n) => document.querySelector("[data-total]")?.dataset.total !== n, total);
    assert.equal(await view.locator(".rows").evaluate((rows) => rows.scrollTop), top);
    assert.notEqual(await seen.locator("> div").nth(4).textContent(), "");
});

test("rows stay while the trace grows faster than new ones come", async (t) => {
    const tab = await open(t, at, "view=records");
    const cell = (await picture(tab, "Access records")).locator('[data-row="0"] > div').nth(4);
    await eventually(async () => assert.notEqual(await cell.textContent({ timeout: 1000 }), ""));
    const held = [];
    await tab.route("**/records?*", (route) => void held.push(route)); // no answer comes
    for (const times of [1, 2]) {
        await grown(tab);
        await eventually(async () => assert.ok(held.length >= times));
    }
    assert.notEqual(await cell.textContent(), "");
    for (const route of held) await route.continue();
});

test("the end is noticed, and figures are those of the whole run", async (t) => {
    const tab = await open(t, at);
    assert.equal(await figure(tab, "now"), "recording");
    signal("SIGCONT");
    signal("SIGINT"); // as Ctrl-C
    await ended;
    await tab.locator(".running").waitFor({ state: "detached" });
    const about = await asked(at, "api/traces/0/about");
    assert.equal(about.running ?? false, false);
    await tab.waitForFunction((records) => document.querySelector("header.top").innerText.includes(records), about.records.toLocaleString("en-US"));
    assert.notEqual(await figure(tab, "verdict"), "not verified");
    assert.equal(await tokensOf(tab), about.tokens);
});
