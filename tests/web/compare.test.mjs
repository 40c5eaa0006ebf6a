// SPDX-License-Identifier: MIT
//
// Compare: two prompts of one model on one scale, and what differs; another model beside them.
import assert from "node:assert/strict";
import { test } from "node:test";

import { address, area, asked, colours, open, picture, pointAt, serve } from "./page.mjs";

const at = await serve("experts", "others", "dense");

test("two runs stand side by side, with their figures and the difference", async (t) => {
    const tab = await open(t, at, "view=compare");
    await tab.getByLabel("others", { exact: true }).check();
    await address(tab, { trace: "0,1" });
    for (const title of ["experts", "others", /^Difference/]) assert.ok((await colours(await picture(tab, title))) > 5, title);
    const [a, b] = [await asked(at, "api/traces/0/about"), await asked(at, "api/traces/1/about")];
    const cells = await tab.locator(".figures-table tr", { hasText: "accesses" }).locator("td").allTextContents();
    assert.deepEqual(cells.slice(0, 2), [a.records, b.records].map((value) => value.toLocaleString("en-US")));
});

test("a difference is the second less the first", async (t) => {
    const tab = await open(t, at, "view=compare&trace=0,1&o.heat=layer-expert&measure=accesses");
    const number = async (title) => {
        const shown = await picture(tab, title);
        const { width } = await area(shown);
        const card = await pointAt(shown, (52 + 0.51 * (width - 66)) / width, 0.6); // between the margins, which all have
        return { title: card.title, value: Number((Object.values(card.rows)[0].match(/[+\u2212]?[\d,.]+/) ?? ["0"])[0].replaceAll(",", "").replace("\u2212", "-")) };
    };
    const [a, b, difference] = [await number("experts"), await number("others"), await number(/^Difference/)];
    assert.equal(a.title, b.title);
    assert.equal(b.title, difference.title);
    assert.equal(difference.value, b.value - a.value);
});

test("pictures are zoomed together", async (t) => {
    const tab = await open(t, at, "view=compare&trace=0,1");
    const second = await picture(tab, "others");
    await second.getByRole("application").focus();
    await tab.keyboard.press("+");
    await tab.waitForFunction(() => /tokens=\d+-\d+/.test(location.hash));
    const titles = [];
    for (const title of ["experts", "others"]) titles.push((await pointAt(await picture(tab, title), 0.5, 0.6)).title);
    assert.equal(titles[0], titles[1]);
});

test("a run of another model has its rows where they can be compared, and a word where not", async (t) => {
    const tab = await open(t, at, "view=compare&trace=0,2&o.heat=token-tensor");
    await tab.getByText("The models differ").waitFor();
    await picture(tab, "dense");
});
