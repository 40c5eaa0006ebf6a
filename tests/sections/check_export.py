#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_export.py TAT TRACE [LOG]: counts of experts, masks and rules that `tat export` makes of a trace, counted again; with LOG,
the tensors that llama.cpp placed by the rules for half of the experts' bytes."""

import csv
import io
import math
import re
import subprocess
import sys

from check_experts import counts_of, read_layers
from compare import Comparison

from read_trace import WEIGHT, Trace  # isort: skip
from timeline import PROMPT, Clock, runs_of  # isort: skip


def export(tat, *arguments):
    done = subprocess.run([tat, "export", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    return done.returncode, done.stdout, done.stderr


def table(text):
    return [{k: int(v) for k, v in row.items()} for row in csv.DictReader(io.StringIO(text))]


def rows_of(layers, *phases):
    return [
        {"layer": number, "expert": e, "count": n}
        for number, layer in layers.items() for e, n in enumerate(counts_of(layer, *phases))
    ]  # fmt: skip


def check_counts(c, tat, path, layers):
    status, text, _ = export(tat, "--expert-counts", path)
    c.check("counts: header", text.splitlines()[0], "layer,expert,count")
    c.check("counts", table(text), rows_of(layers))
    c.check("counts: status", status, 0)
    twice = [{**row, "count": 2 * row["count"]} for row in rows_of(layers)]
    c.check("counts: merged", table(export(tat, "--expert-counts", path, path)[1]), twice)
    some = table(export(tat, "--expert-counts", "--phases", "prompt", path)[1])
    of_prompt = [row for row in rows_of(layers, PROMPT) if row["layer"] in {r["layer"] for r in some}]
    c.check("counts: prompt", some, of_prompt)
    c.check("counts: prompt, all", sum(r["count"] for r in some), sum(r["count"] for r in rows_of(layers, PROMPT)))


def check_mask(c, tat, path, layers):
    rows = [{**row, "bytes": layers[row["layer"]].slice_bytes} for row in rows_of(layers)]
    ranked = sorted(rows, key=lambda r: (-r["count"] / r["bytes"], -r["count"]))
    for memory in sum(r["bytes"] for r in rows) // 3, 1:
        kept, left = [], memory
        for row in ranked:
            if row["bytes"] <= left:
                kept.append(row)
                left -= row["bytes"]
        expected = [{**row, "keep": int(any(row is k for k in kept))} for row in rows]
        status, text, said = export(tat, "--expert-mask", "--memory", str(memory), path)
        c.check(f"mask: {memory}", table(text), expected)
        c.check(f"mask: {memory}: kept", f"keeps {len(kept):} of {len(rows)} experts" in said, True)
    for number in 1, 3:
        keep = {
            (layer, r["expert"])
            for layer in layers for r in [r for r in ranked if r["layer"] == layer][:number]
        }  # fmt: skip
        expected = [{**row, "keep": int((row["layer"], row["expert"]) in keep)} for row in rows]
        c.check(f"mask: {number} of each", table(export(tat, "--expert-mask", "--per-layer", str(number), path)[1]), expected)


def stacks_of(trace):
    """{tensor name: layer} of those that hold a part of every expert."""
    stacks = {}
    for template in trace.templates:
        for node in template.nodes if template else []:
            place = {"MUL_MAT_ID": 0, "ADD_ID": 1}.get(node.op)
            if place in node.src:
                name = trace.tensors[template.entries[node.src[place]].tensor].name
                stacks[name] = int(re.match(r"blk\.(\d+)\.", name)[1])
    return stacks


def entropy_of(layer):
    counts = counts_of(layer)
    shares = [n / sum(counts) for n in counts if n]
    return -sum(s * math.log2(s) for s in shares) / math.log2(len(counts))


def check_rules(c, tat, path, trace, layers):
    """Python's regular expressions, of ECMAScript's form here, find the names that the rule must, and no others."""
    size = {n: layer.slice_bytes * layer.experts for n, layer in layers.items()}
    order = sorted(layers, key=lambda n: (-sum(counts_of(layers[n])) / layers[n].experts, -entropy_of(layers[n])))
    memory = sum(size.values()) // 2
    left, stay = memory, []
    for number in order:
        if size[number] <= left:
            left -= size[number]
        else:
            stay.append(number)
    status, text, _ = export(tat, "--override-tensor", "--memory", str(memory), path)
    c.check("rules: status", status, 0)
    rules = [rule.rsplit("=", 1) for rule in text.strip().split(",")]
    c.check("rules: buffer", {buffer for _, buffer in rules}, {"CPU"})
    names = {t.name for t in trace.tensors if t.kind == WEIGHT}
    found = {name for name in names if any(re.search(pattern, name) for pattern, _ in rules)}
    expected = {name for name, layer in stacks_of(trace).items() if layer in stay}
    c.check("rules: tensors", found, expected)
    status, text, said = export(tat, "--override-tensor", "--memory", str(sum(size.values())), path)
    c.check("rules: all fit", (status, text), (1, ""))
    return expected


def check_log(c, path, expected):
    """What llama.cpp logs of tensors whose buffer it was told."""
    with open(path, errors="replace") as log:
        placed = dict(re.findall(r"tensor (\S+) \(.*\) buffer type overridden to (\S+)", log.read()))
    c.check("llama.cpp: tensors", set(placed), expected)
    c.check("llama.cpp: buffers", set(placed.values()), {"CPU"})


def main(tat, path, log=None):
    trace, c = Trace(path), Comparison()
    layers = read_layers(trace, runs_of(trace, Clock(trace)))
    if not layers:
        c.check("no experts", export(tat, "--expert-counts", path)[:2], (1, ""))
    else:
        check_counts(c, tat, path, layers)
        check_mask(c, tat, path, layers)
        expected = check_rules(c, tat, path, trace, layers)
        if log:
            check_log(c, log, expected)
    c.end("export")


if __name__ == "__main__":
    main(*sys.argv[1:])
