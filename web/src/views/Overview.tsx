// SPDX-License-Identifier: MIT
/** The run on one screen: what it was and why it is as fast as it is, then every token, then the text as it was read. */
import { about } from "../api";
import { Story } from "./Story";
import { Timeline } from "./Timeline";
import { TextFlow } from "./TextFlow";

export function Overview() {
    const run = about.value;
    if (!run) return null;
    return (
        <>
            <Story />
            <Timeline />
            {run.has.text ? <TextFlow /> : run.no_text && run.tokens > 0 && <p class="faint flow-note">No text: {run.no_text}</p>}
        </>
    );
}
