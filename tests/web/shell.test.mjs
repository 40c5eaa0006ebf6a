// SPDX-License-Identifier: MIT
//
// What stands around every view: the run's figures, the navigation, the address, colours, keys, the play head.
import assert from "node:assert/strict";
import { test } from "node:test";

import { address, asked, open, serve } from "./page.mjs";

const at = await serve("experts", "others");

test("the header has the run, the verdict and the figures of the trace", async (t) => {
    const tab = await open(t, at);
    const about = await asked(at, "api/traces/0/about");
    const header = await tab.locator("header.top").innerText();
    assert.match(header, /nothing missing/);
    assert.match(header, new RegExp(about.records.toLocaleString("en-US")));
    assert.ok(header.includes(about.model.name));
    await tab.getByLabel("Trace", { exact: true }).selectOption("1");
    await address(tab, { trace: "1" });
});

test("every view opens by its link and by its key, and back goes back", async (t) => {
    const tab = await open(t, at);
    const links = tab.locator("nav a");
    const count = await links.count();
    assert.ok(count >= 3);
    for (let i = 0; i < count; i++) {
        const link = links.nth(i);
        const id = new URL(await link.evaluate((one) => one.href)).hash.replace("#view=", "");
        await link.click();
        await address(tab, { view: id === "overview" ? null : id });
        assert.equal(await link.getAttribute("aria-current"), "page");
    }
    await tab.keyboard.press("2");
    await address(tab, { view: "heatmap" });
    await tab.goBack();
    await tab.waitForFunction(() => !/view=heatmap/.test(location.hash));
});

test("a link is a bookmark", async (t) => {
    const hash = "view=heatmap&tokens=2-20&token=7&layer=3&measure=time&theme=dark&o.heat=token-tensor";
    const tab = await open(t, at, hash);
    await tab.getByRole("button", { name: "Let go of layer 3" }).waitFor();
    assert.equal(await tab.getByLabel("Token", { exact: true }).inputValue(), "7");
    await tab.keyboard.press("Escape");
    assert.deepEqual(await address(tab, { layer: null, tokens: null }), { view: "heatmap", measure: "time", theme: "dark", "o.heat": "token-tensor" });
});

test("nonsense in the address is the default, and no error", async (t) => {
    const tab = await open(t, at, "view=nothing&trace=99&token=-5&tokens=9-2&layer=<b>&theme=pink&x=y");
    await address(tab, { token: null, tokens: null, layer: null });
    assert.equal(await tab.locator("nav a[aria-current]").textContent().then((text) => text.includes("Overview")), true);
});

test("light and dark follow the system until they are chosen", async (t) => {
    const tab = await open(t, at, "", { colorScheme: "dark" });
    const dark = () => tab.evaluate(() => document.documentElement.dataset.theme);
    assert.equal(await dark(), "dark");
    await tab.emulateMedia({ colorScheme: "light" });
    await tab.waitForFunction(() => document.documentElement.dataset.theme === "light");
    await tab.keyboard.press("d");
    await tab.keyboard.press("d");
    await address(tab, { theme: "dark" });
    assert.equal(await dark(), "dark");
});

test("? opens the sheet of keys, and closes it", async (t) => {
    const tab = await open(t, at);
    await tab.keyboard.press("?");
    const sheet = tab.getByRole("dialog", { name: "Keys and gestures" });
    await sheet.waitFor();
    assert.match(await sheet.innerText(), /play, or pause/);
    await tab.keyboard.press("Escape");
    await sheet.waitFor({ state: "hidden" });
});

test("play goes from token to token until the end, and pauses", async (t) => {
    const tab = await open(t, at, "o.speed=30&tokens=3-9");
    await tab.keyboard.press("Space");
    await address(tab, { token: "8" });
    await tab.getByRole("button", { name: "Play" }).waitFor();
    await tab.keyboard.press("ArrowLeft");
    await address(tab, { token: "7" });
    await tab.keyboard.press(".");
    await address(tab, { token: "8" });
    assert.match(await tab.locator(".where").textContent(), /^token 8/);
});

test("the slider moves the play head", async (t) => {
    const tab = await open(t, at);
    const slider = tab.getByLabel("Token", { exact: true });
    await slider.focus();
    await tab.keyboard.press("ArrowRight");
    await tab.keyboard.press("ArrowRight");
    await address(tab, { token: "2" });
    await tab.keyboard.press("End");
    const { tokens } = await asked(at, "api/traces/0/about");
    await address(tab, { token: String(tokens - 1) });
});

test("a step by operation says which one it is, and chooses its layer", async (t) => {
    const tab = await open(t, at, "token=10");
    await tab.getByLabel("Step by").selectOption("operation");
    await address(tab, { "o.step": "operation" });
    await tab.getByRole("button", { name: "One operation on" }).click();
    await address(tab, { token: "10", op: "0" });
    for (let i = 0; i < 6; i++) await tab.keyboard.press("]");
    await address(tab, { op: "6" });
    assert.match(await tab.locator(".where").textContent(), /operation 7 of [\d,]+: [A-Z_]+/);
    await tab.keyboard.press("[");
    await address(tab, { op: "5" });
});

test("it can be operated by keyboard alone, and has names for screen readers", async (t) => {
    const tab = await open(t, at);
    const nameless = await tab.evaluate(() =>
        [...document.querySelectorAll("button, select, input, [role=application], nav, main, dialog")].filter((one) =>
            !(one.getAttribute("aria-label") || one.textContent.trim() || one.closest("label")?.textContent.trim())).map((one) => one.outerHTML.slice(0, 80)));
    assert.deepEqual(nameless, []);
    for (let i = 0; i < 60; i++) {
        await tab.keyboard.press("Tab");
        if (await tab.evaluate(() => document.activeElement.getAttribute("role") === "application")) return;
    }
    assert.fail("no picture is reached with Tab");
});

test("it fits 1,024 pixels", async (t) => {
    const tab = await open(t, at, "", { viewport: { width: 1024, height: 700 } });
    for (const one of await tab.locator("nav a").all()) {
        await one.click();
        const over = await tab.evaluate(() => [document.documentElement, document.querySelector("main")].map((box) => box.scrollWidth - box.clientWidth));
        assert.deepEqual(over, [0, 0], await one.textContent());
    }
    await tab.keyboard.press("6");
    const rows = tab.locator(".records .rows");
    await tab.locator('[data-row="0"]').waitFor();
    assert.ok(await rows.evaluate((box) => box.scrollWidth <= box.clientWidth), "columns of records");
});

test("what does not exist is said, and the page goes on", async (t) => {
    const tab = await open(t, at);
    tab.expects = (one) => one.includes("500"); // the browser's own line
    await tab.route("**/api/traces/0/tokens", (route) => route.fulfill({ status: 500, json: { error: "The trace was cut: record it again." } }));
    await tab.reload();
    await tab.getByText("The trace was cut: record it again.").first().waitFor();
});
