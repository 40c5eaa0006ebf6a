// SPDX-License-Identifier: MIT
//
// The page of a real `tat view` in Debian's chromium, operated as a reader would.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after } from "node:test";

const { chromium } = createRequire(join(process.env.TOOLS, "package.json"))("playwright-core");

let browser;
const servers = [];

after(async () => {
    await browser?.close();
    for (const server of servers) server.kill("SIGKILL");
});

/** A trace that web.traces recorded. */
export const recorded = (name) => join(process.env.TRACES, name);

/** Starts `tat view` on traces; its address. */
export async function serve(...traces) {
    const server = spawn(process.env.TAT, ["view", "--no-open", ...traces.map(recorded)], { stdio: ["ignore", "pipe", "pipe"] });
    servers.push(server);
    let said = "";
    server.stderr.on("data", (text) => (said += text));
    return new Promise((found, failed) => {
        let text = "";
        server.stdout.on("data", (more) => {
            text += more;
            if (text.includes("\n")) found(text.trim());
        });
        server.on("exit", (status) => failed(new Error(`tat view ended with ${status}: ${said}`)));
    });
}

/** What the server answers, as JSON. */
export const asked = async (address, path) => (await fetch(address + path)).json();

/**
 * A tab with the page of these traces, at a hash. `tab.wrong` lists errors of the console and requests that left the server; the test
 * that opened it fails if there are any but those that `tab.expects` is true of. `options`: as of a browser's context.
 */
export async function open(test, address, hash = "", options = {}) {
    browser ??= await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"], timeout: 120_000 });
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, colorScheme: "light", ...options });
    const tab = await context.newPage();
    tab.setDefaultTimeout(60_000); // a busy machine is no failure
    tab.wrong = [];
    tab.expects = () => false;
    tab.underWay = new Set();
    // That canvases are read often is the tests' doing.
    tab.on("console", (message) => !/willReadFrequently/.test(message.text()) && tab.wrong.push(`${message.type()}: ${message.text()}`));
    tab.on("pageerror", (error) => tab.wrong.push(String(error)));
    tab.on("request", (request) => {
        const to = request.url();
        if (!to.startsWith(address) && !/^(data|blob):/.test(to)) tab.wrong.push(`left the server: ${to}`);
        if (to.startsWith("http")) tab.underWay.add(request);
    });
    for (const end of ["requestfinished", "requestfailed"]) tab.on(end, (request) => tab.underWay.delete(request));
    test.after(async () => {
        await context.close();
        assert.deepEqual(tab.wrong.filter((one) => !tab.expects(one)), []);
    });
    await tab.goto(`${address}#${hash}`);
    await tab.locator(".view").waitFor();
    await quiet(tab);
    return tab;
}

/** Waits until all that a page asked for is there and drawn, so that nothing moves any more and no text is to come. */
export const quiet = (tab) =>
    eventually(async () => {
        assert.equal(tab.underWay.size, 0);
        const isBusy = await tab.evaluate(async () => {
            for (let i = 0; i < 2; i++) await new Promise((done) => requestAnimationFrame(done));
            return document.querySelector(".busy") !== null || [...document.querySelectorAll("main p")].some((one) => one.textContent === "Counting");
        });
        assert.ok(!isBusy && tab.underWay.size === 0);
    });

/** Tries it until it does not throw. */
export async function eventually(what) {
    for (const end = Date.now() + 60_000; ;) {
        try {
            return await what();
        } catch (error) {
            if (Date.now() > end) throw error;
            await new Promise((done) => setTimeout(done, 20));
        }
    }
}

/** A picture, by its title or the beginning of it, once it has drawn what it asked for. */
export async function picture(tab, title) {
    const found = tab.locator(".picture").filter({ has: tab.getByRole("heading", { name: title }) }).first();
    await found.waitFor();
    await settled(found);
    await found.locator(":is(canvas, .empty, .rows):visible").first().waitFor(); // it has its size, and was drawn
    return found;
}

/** Waits until a picture asks for nothing more. */
export const settled = (of) => of.locator(".busy").waitFor({ state: "detached" });

/** Where the data is within a picture of a view that leaves this much room at its sides. */
export const area = async (of) => of.locator("canvas").first().boundingBox();

/** Moves the pointer to a share of a picture's canvas, and gives the card that shows. */
export async function pointAt(of, x, y) {
    await of.locator("canvas").first().scrollIntoViewIfNeeded();
    const box = await area(of);
    await of.page().mouse.move(box.x + box.width * x, box.y + box.height * y);
    const card = of.locator(".card");
    await card.waitFor();
    const rows = await card.locator("dl > div").evaluateAll((all) =>
        Object.fromEntries(all.map((row) => [row.querySelector("dt").textContent, row.querySelector("dd").textContent])));
    return { title: await card.locator("strong").textContent(), rows };
}

/** The state in the address, once it holds what is expected. */
export async function address(tab, expected) {
    assert.ok(Object.keys(expected).length > 0, "the page writes the address a moment later: say what to wait for");
    await tab.waitForFunction(
        (parts) => {
            const now = new URLSearchParams(location.hash.slice(1));
            return Object.entries(parts).every(([key, value]) => (value === null ? !now.has(key) : now.get(key) === value));
        },
        expected,
    );
    return Object.fromEntries(new URLSearchParams(new URL(tab.url()).hash.slice(1)));
}

/** How many different colours a picture's canvas shows, at least `most` looked at. */
export const colours = (of) =>
    of.locator("canvas").first().evaluate((canvas) => {
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true }); // or the browser warns
        copy.drawImage(canvas, 0, 0);
        const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
        return new Set(new Uint32Array(data.buffer)).size;
    });

/** What a button saves: { name, text }. */
export async function taken(of, button) {
    const [download] = await Promise.all([of.page().waitForEvent("download"), of.getByRole("button", { name: button, exact: true }).click()]);
    const stream = await download.createReadStream();
    const parts = [];
    for await (const part of stream) parts.push(part);
    return { name: download.suggestedFilename(), bytes: Buffer.concat(parts) };
}
