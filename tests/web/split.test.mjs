// SPDX-License-Identifier: MIT
//
// A model in several files: its bytes lie one file behind the other, in every view.
import assert from "node:assert/strict";
import { test } from "node:test";

import { address, area, asked, open, picture, serve } from "./page.mjs";

const at = await serve("split");
const about = await asked(at, "api/traces/0/about");
const begin = (file) => about.model.file_sizes.slice(0, file - 1).reduce((sum, size) => sum + size, 0);
const all = begin(about.model.file_sizes.length + 1);
/** A weight of the last file that is large enough to be pointed at. */
const weight = about.tensors.filter(({ file }) => file === about.model.file_sizes.length).sort((a, b) => b.bytes - a.bytes)[0];
const first = begin(weight.file) + weight.file_offset;

test("the files' sizes are those of the file map", async () => {
    const { files } = await asked(at, "api/traces/0/file");
    assert.ok(files.length > 1);
    assert.deepEqual(about.model.file_sizes, files.map(({ bytes }) => bytes));
    assert.equal(all, about.model.file_bytes);
});

test("a byte of the last file is its weight's, in offsets over time", async (t) => {
    const tab = await open(t, at, `view=offsets&bytes=${first}-${first + weight.bytes}`);
    const box = await area(await picture(tab, /file/));
    await tab.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
    await address(tab, { tensor: String(weight.id) });
});

test("bytes of the last file choose records there", async (t) => {
    const { total } = await asked(at, `api/traces/0/records?file=${weight.file}&lo=${weight.file_offset}&hi=${weight.file_offset + weight.bytes}&count=1`);
    assert.ok(total > 0);
    const tab = await open(t, at, `view=records&bytes=${first}-${first + weight.bytes}`);
    await tab.getByText(new RegExp(`^${total.toLocaleString("en-US")} records`)).first().waitFor();
});
