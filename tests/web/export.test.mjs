// SPDX-License-Identifier: MIT
//
// The page as one file: opened from the disk, without a network.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

import { address, asked, open, picture, quiet, recorded, serve, taken } from "./page.mjs";

const file = join(process.cwd(), "export.html");
execFileSync(process.env.TAT, ["export", "-o", file, recorded("experts")], { stdio: "ignore" });
const at = await serve("experts");
const about = await asked(at, "api/traces/0/about");

test("a file of tat export shows every view without a network", async (t) => {
    const tab = await open(t, `file://${file}`, "", { offline: true });
    const views = await tab.locator('nav[aria-label="Views"] a:not(.lacks)').evaluateAll((links) => links.map((link) => link.getAttribute("href")));
    assert.ok(views.length >= 8, String(views));
    for (const view of views) {
        await tab.locator(`nav a[href="${view}"]`).click();
        await tab.locator(".view").waitFor();
        await quiet(tab);
        const alerts = await tab.locator('main [role="alert"]').allTextContents();
        assert.deepEqual(alerts, [], `${view}: ${alerts}`);
        assert.ok(!(await tab.locator("main").textContent()).includes("This file does not hold that"), view);
    }
    assert.ok((await tab.locator("nav").textContent()).includes("--with-text"));
});

test("heatmaps of a file have the figures of each row, as the server has them", async (t) => {
    for (const kind of ["token-layer", "token-tensor", "token-component", "layer-expert"]) {
        const hash = `view=heatmap&o.heat=${kind}`;
        const [of, live] = [await open(t, `file://${file}`, hash, { offline: true }), await open(t, at, hash)];
        const rows = [];
        for (const tab of [of, live]) rows.push((await taken(await picture(tab, /^Bytes by/), "CSV")).bytes.toString());
        assert.ok(rows[0].split("\n").length > 30);
        assert.equal(rows[0], rows[1], kind);
    }
});

test("records of a file are the trace's first, each at its place, and the table ends with them", async (t) => {
    const tab = await open(t, `file://${file}`, "view=records", { offline: true });
    const view = await picture(tab, "Access records");
    await view.getByText(`${about.records.toLocaleString("en-US")} records. This file holds the first 1,000`).waitFor();
    await view.locator('[data-row="0"]').waitFor();
    await view.locator(".rows").focus();
    await tab.keyboard.press("End");
    const last = view.locator('[data-row="999"]');
    const [expected] = (await asked(at, "api/traces/0/records?from=999&count=1")).rows;
    await last.getByText(expected.tensor).first().waitFor(); // a row is there before its cells are
    const cells = await last.locator("> div").allTextContents();
    assert.equal(cells[0].replaceAll(",", ""), (expected.start_ns / 1e6).toFixed(3));
    assert.equal(cells[7], expected.tensor);
    assert.equal(await view.locator('[data-row="1000"]').count(), 0);
    await view.getByLabel("Only this layer").selectOption("3");
    await view.getByText("This file holds the first 1,000 records in the order of time.").waitFor();
});

test("graphs that a file does not hold are not shown, and those that it does are a click away", async (t) => {
    const tab = await open(t, `file://${file}`, `view=graph&token=${about.tokens - 1}`, { offline: true });
    await tab.getByText("This file holds the graphs of 4 tokens alone.").waitFor();
    const first = about.phases.find(({ phase }) => phase === "generate").token_first;
    await tab.getByRole("button", { name: `token ${first}`, exact: true }).click();
    await address(tab, { token: String(first) });
    await tab.getByRole("region", { name: `Operations of token ${first}` }).waitFor();
});
