// SPDX-License-Identifier: MIT
/**
 * node view.mjs TAT TOOLS ROUNDS NAME=TRACE...: what `tat view` costs, through its server and in chromium, as a page in Markdown.
 * TOOLS is where scripts/get-page-tools.sh put the packages of npm.
 */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { get } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";

const [tat, tools, rounds, ...named] = process.argv.slice(2);
const { chromium } = createRequire(join(tools, "package.json"))("playwright-core");

const WIDE = 1200; // pixels of a picture
const HIGH = 600;
const ZOOMS = 24;

// ---- figures ----

const sorted = (values) => [...values].sort((a, b) => a - b);
const median = (values) => sorted(values)[Math.floor(values.length / 2)];
const ms = (value) => (value < 10 ? value.toFixed(1) : value.toFixed(0));
const spread = (values) => `${ms(median(values))} (${ms(Math.min(...values))} to ${ms(Math.max(...values))})`;
const row = (...cells) => console.log(`| ${cells.join(" | ")} |`);

async function timed(work) {
    const begin = performance.now();
    await work();
    return performance.now() - begin;
}

// ---- the server ----

/** Starts `tat view`; its address, and how long that took. */
async function serve(trace) {
    const begin = performance.now();
    const server = spawn(tat, ["view", "--no-open", trace], { stdio: ["ignore", "pipe", "ignore"] });
    const address = await new Promise((found, failed) => {
        let text = "";
        server.stdout.on("data", (more) => (text += more).includes("\n") && found(text.trim()));
        server.on("exit", (status) => failed(new Error(`tat view ended with ${status}`)));
    });
    return { address, took: performance.now() - begin, process: server };
}

const stop = (server) =>
    new Promise((done) => {
        server.process.on("exit", done);
        server.process.kill("SIGINT");
    });

/** What it keeps beside a trace is made anew. */
const forget = (trace) => rmSync(join(trace, "analysis"), { recursive: true, force: true });

/** Up to the last byte. Not by fetch, which takes as long again to put a large answer together as the server to send it. */
const asked = (url) =>
    new Promise((done, failed) => {
        const received = (answer) => {
            if (answer.statusCode !== 200) failed(new Error(`${url}: ${answer.statusCode}`));
            answer.on("error", failed).on("end", done).resume();
        };
        get(url, received).on("error", failed);
    });

const PICTURES = [
    ["token x layer, bytes", "grid?x=token&y=layer&measure=bytes", "x"],
    ["token x layer, time", "grid?x=token&y=layer&measure=time", "x"],
    ["token x tensor, bytes", "grid?x=token&y=tensor&measure=bytes", "x"],
    ["token x component, bytes", "grid?x=token&y=component&measure=bytes", "x"],
    ["token x expert, accesses", "grid?x=token&y=expert&measure=accesses", "x", "experts"],
    ["token x expert of layer 1, accesses", "grid?x=token&y=expert&measure=accesses&layer=1", "x", "experts"],
    ["layer x expert, accesses", "grid?x=layer&y=expert&measure=accesses", "", "experts"],
    ["file map, up to a token", "file?", "until"],
    ["offset x time", "offsets?by=physical", "t"],
    ["graph of a token", "graph?", "token"],
    ["records from a token on", "records?count=200&order=time", "near_token"],
];

/** Windows of a picture: from the whole run to a few tokens, at three places each. */
function* windows(picture, about) {
    const all = picture[2] === "t" ? about.duration_ns : about.tokens;
    for (let i = 0; i < 9; i++) {
        const width = Math.max(1, Math.floor(all / 2 ** i));
        for (const place of [0, 0.5, 1]) {
            const from = Math.floor((all - width) * place);
            const size = `w=${WIDE}&h=${HIGH}`;
            if (picture[2] === "x") yield `&x0=${from}&x1=${from + width}&${size}`;
            if (picture[2] === "t") yield `&t0=${from}&t1=${from + width}&${size}`;
            if (picture[2] === "until") yield `&until_token=${from + width}`;
            if (picture[2] === "token") yield `&token=${Math.min(from, all - 1)}`;
            if (picture[2] === "near_token") yield `&near_token=${Math.min(from, all - 1)}`;
        }
        if (picture[2] === "") yield `&w=${WIDE}&h=${HIGH}`;
    }
}

async function measureServer(address, about) {
    console.log("\nAnswers of the server, from asking to the last byte. 27 windows each, from the whole run to a 256th of it. What is found out when a picture is first asked for is kept, so that one stands alone; what offsets and records need is found out meanwhile, after the first picture of all:\n");
    row("picture", "first", "median", "worst of the others");
    row("---", "---:", "---:", "---:");
    for (const picture of PICTURES) {
        if (picture[3] === "experts" && !(about.model.experts > 0)) continue;
        const found = [];
        for (const window of windows(picture, about)) found.push(await timed(() => asked(`${address}api/traces/0/${picture[1]}${window}`)));
        const [first, ...others] = found;
        row(picture[0], `${ms(first)} ms`, `${ms(median(found))} ms`, `${ms(Math.max(...others))} ms`);
    }
}

// ---- the browser ----

const drawn = async (tab) => {
    await tab.locator(".picture canvas").first().waitFor();
    await tab.waitForFunction(() => !document.querySelector(".busy"));
};

/** From the program's start to the first picture on the screen, in a browser that runs already. */
async function opened(browser, trace) {
    const tab = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    const begin = performance.now();
    const server = await serve(trace);
    await tab.goto(server.address);
    await drawn(tab);
    const took = performance.now() - begin;
    await tab.close();
    await stop(server);
    return { address: server.took, picture: took };
}

async function measureOpening(browser, trace) {
    const first = [];
    const later = [];
    for (let i = 0; i < Number(rounds); i++) {
        forget(trace);
        first.push(await opened(browser, trace));
        later.push(await opened(browser, trace));
    }
    row("from the start of `tat view`", "address printed", "first picture");
    row("---", "---:", "---:");
    for (const [name, found] of [["first time", first], ["later", later]]) {
        row(name, `${spread(found.map((one) => one.address))} ms`, `${spread(found.map((one) => one.picture))} ms`);
    }
}

/** Milliseconds from a turn of the wheel until the picture shows what it asked for. */
async function zoom(tab, by) {
    await tab.evaluate(() => {
        window.zoomed = new Promise((done) => {
            const turned = () => {
                const begin = performance.now();
                let frames = 0;
                const look = () => (++frames > 2 && !document.querySelector(".busy") ? done(performance.now() - begin) : requestAnimationFrame(look));
                requestAnimationFrame(look);
            };
            addEventListener("wheel", turned, { capture: true, once: true });
        });
    });
    await tab.mouse.wheel(0, by);
    return tab.evaluate(() => window.zoomed);
}

async function zoomed(tab) {
    const box = await tab.locator(".picture canvas").first().boundingBox();
    const found = [];
    for (let i = 0; i < ZOOMS; i++) {
        const place = [0.3, 0.5, 0.7][i % 3];
        await tab.mouse.move(box.x + box.width * place, box.y + box.height / 2);
        found.push(await zoom(tab, i < ZOOMS / 2 ? -240 : 240));
    }
    return found;
}

/** Bytes of a process and all that it started: of memory that they share, each has its part. */
function memory(pid) {
    const parents = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((name) => {
        try {
            return [[Number(name), Number(readFileSync(`/proc/${name}/stat`, "utf8").split(") ")[1].split(" ")[1])]];
        } catch {
            return []; // it has ended
        }
    });
    const mine = new Set([pid]);
    for (let before = 0; before < mine.size;) {
        before = mine.size;
        for (const [child, parent] of parents) if (mine.has(parent)) mine.add(child);
    }
    const of = [...mine].map((one) => {
        try {
            return 1024 * Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${one}/smaps_rollup`, "utf8"))[1]);
        } catch {
            return 0;
        }
    });
    return { all: of.reduce((a, b) => a + b, 0), largest: Math.max(...of) };
}

const VIEWS = ["overview", "heatmap", "file", "offsets", "graph", "records", "experts", "attention", "caching", "storage", "buffers"];
const ZOOMED = [["heatmap", "token x layer"], ["heatmap&o.heat=token-tensor", "token x tensor"], ["heatmap&o.heat=token-expert", "token x expert"], ["offsets", "offset x time"]];

async function measureBrowser(address, about) {
    const server = await chromium.launchServer({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
    const browser = await chromium.connect(server.wsEndpoint());
    const tab = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    console.log(`\nIn the browser: ${ZOOMS} turns of the wheel, each until the picture is drawn anew:\n`);
    row("picture", "median", "worst");
    row("---", "---:", "---:");
    for (const [hash, name] of ZOOMED) {
        if (/expert/.test(name) && !(about.model.experts > 0)) continue;
        await tab.goto(`${address}#view=${hash}`);
        await tab.reload();
        await drawn(tab);
        const found = await zoomed(tab);
        row(name, `${ms(median(found))} ms`, `${ms(Math.max(...found))} ms`);
    }
    for (const view of VIEWS) {
        await tab.goto(`${address}#view=${view}`);
        await tab.waitForTimeout(200); // until it asks
        await tab.waitForFunction(() => !document.querySelector(".busy"));
    }
    const { all, largest } = memory(server.process().pid);
    console.log(`\nAfter all ${VIEWS.length} views, chromium holds ${(all / 1e6).toFixed(0)} MB, of which its largest process ${(largest / 1e6).toFixed(0)} MB.`);
    await browser.close();
    await server.close();
}

// ---- all ----

async function measure(name, trace) {
    const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
    await (await browser.newPage()).close();
    const server = await serve(trace);
    const about = await (await fetch(`${server.address}api/traces/0/about`)).json();
    console.log(`\n## ${name}: ${about.tokens.toLocaleString("en")} tokens, ${about.records.toLocaleString("en")} access records\n`);
    await stop(server);
    await measureOpening(browser, trace);
    await browser.close();
    const again = await serve(trace);
    await measureServer(again.address, about);
    await measureBrowser(again.address, about);
    console.log(`The server holds ${(memory(again.process.pid).all / 1e6).toFixed(0)} MB.`);
    await stop(again);
}

for (const pair of named) {
    const [name, trace] = pair.split("=");
    await measure(name, trace);
}
