// SPDX-License-Identifier: MIT
import { about } from "../api";
import { bytes, count, time } from "../format";

export function Overview() {
    const run = about.value;
    if (!run) return null;
    return <p>{`${count(run.tokens)} tokens in ${time(run.duration_ns)}; the model has ${bytes(run.model.file_bytes)}.`}</p>;
}
