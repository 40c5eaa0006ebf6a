// SPDX-License-Identifier: MIT
//
// The page as one file: opened from the disk, without a network.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";

import { open, recorded } from "./page.mjs";

test("a file of tat export shows every view without a network", async (t) => {
    const file = join(process.cwd(), "export.html");
    execFileSync(process.env.TAT, ["export", "-o", file, recorded("experts")], { stdio: "ignore" });
    const tab = await open(t, `file://${file}`, "", { offline: true });
    const views = await tab.locator('nav[aria-label="Views"] a:not(.lacks)').evaluateAll((links) => links.map((link) => link.getAttribute("href")));
    assert.ok(views.length >= 8, String(views));
    for (const view of views) {
        await tab.locator(`nav a[href="${view}"]`).click();
        await tab.locator(".view").waitFor();
        await tab.locator(".busy").first().waitFor({ state: "detached" });
        const alerts = await tab.locator('main [role="alert"]').allTextContents();
        assert.deepEqual(alerts, [], `${view}: ${alerts}`);
        assert.ok(!(await tab.locator("main").textContent()).includes("This file does not hold that"), view);
    }
    assert.ok((await tab.locator("nav").textContent()).includes("--with-text"));
});
