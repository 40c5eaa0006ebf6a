#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""columns.py TAT TRACE...: what `tat dump` prints of a trace (columns, graphs, the cache by head) must be what
doc/format.md says and this reader finds."""

import json
import subprocess
import sys

from accesses import APPROXIMATE, NO_EXPERT, STRIDED, WRITE, accesses, layers_of
from names import NO_LAYER, ROLES, component_of
from questions import kv_bytes
from read_trace import ACTIVATION, INPUT, MODEL_FILE, Trace
from timeline import GENERATE, PHASES, WARMUP_PHASE, Clock, runs_of

MEMORIES = ["", "file", "copy", "kv", "buffer"]


def dump(tat, path, *arguments):
    process = subprocess.Popen([tat, "dump", "--json", *arguments, path], stdout=subprocess.PIPE, text=True)
    yield from map(json.loads, process.stdout)
    if process.wait():
        sys.exit(f"tat dump {arguments}: status {process.returncode}")


def columns_of(trace, runs, models, a):
    run, tensor = runs[a.evaluation], trace.tensors[a.tensor]
    exact = not a.flags & APPROXIMATE
    return {
        "start_ns": a.start_ns,
        "duration_ns": a.duration_ns,
        "graph": a.evaluation,
        "node": a.node,
        "token": a.token_first if run.phase != WARMUP_PHASE and run.n_tokens else None,
        "tokens": run.n_tokens,
        "phase": PHASES[a.flags >> 8],
        "context": run.context,
        "layer": a.layer if a.layer != NO_LAYER else None,
        "op": trace.ops[a.op],
        "operand": f"src{a.operand - 1}" if a.operand else "dst",
        "tensor_id": a.tensor,
        "tensor": tensor.name or None,
        "model": models.get(tensor.file),
        "component": None if tensor.kind in (ACTIVATION, INPUT) else component_of(tensor),
        "role": ROLES[a.kind & 15] or None,
        "expert": a.expert if a.expert != NO_EXPERT else None,
        "head": None,
        "offset": a.offset,
        "size": a.bytes,
        "stride": a.stride if a.flags & STRIDED and exact else None,
        "count": a.rows if exact else None,
        "access": "write" if a.flags & WRITE else "read",
        "memory": MEMORIES[a.kind >> 4],
    }


def check_records(tat, path, trace, runs):
    models = {e.values[0]: e.values[1] for e in trace.events if e.type == MODEL_FILE}
    count = 0
    theirs = dump(tat, path)
    for access in accesses(trace):
        wanted, found = columns_of(trace, runs, models, access), next(theirs, None)
        if found != wanted or list(found) != list(wanted):
            sys.exit(f"{path}: record {count}:\n{found}\nbut by the specification\n{wanted}")
        count += 1
    if next(theirs, None) or not count:
        sys.exit(f"{path}: {count} records, or more")
    return count


def check_graph(tat, path, trace, runs, number):
    template = trace.templates[runs[number].evaluation.template]
    layers = layers_of(trace, template)
    found = list(dump(tat, path, "--graph", str(number)))
    assert len(found) == len(template.entries)
    for i, (line, entry) in enumerate(zip(found, template.entries)):
        is_leaf = i < template.n_leaves
        assert line["entry"] == i and line["kind"] == ("leaf" if is_leaf else "node"), line
        assert line["op"] == (None if is_leaf else entry.op) and line["name"] == entry.name, line
        assert (line["shape"] + [1, 1, 1])[:4] == entry.ne and line["strides"] == entry.nb, line
        assert (line["tensor_id"], line["offset"]) == (entry.tensor, entry.offset), line
        assert line["layer"] == (layers[i] if layers[i] != NO_LAYER else None), line
        assert {place: s for place, s in enumerate(line["sources"]) if s is not None} == entry.src, line


def check_head(tat, path, trace, runs, layer, token, head):
    """False: no attention reads such a cache."""
    answer = kv_bytes(trace, runs, layer, head, token)
    if answer is None:
        return False
    found = {"kv_k": [], "kv_v": []}
    filters = ["--heads", "--only", "kv", "--layers", str(layer), "--tokens", str(token), "--context", "1"]
    for a in dump(tat, path, *filters):
        if a["access"] == "read" and a["size"] and a["head"] == head:
            found[a["component"]].append((a["offset"], a["size"] // a["count"], a["stride"] or 0, a["count"]))
    assert found == {"kv_k": answer.k, "kv_v": answer.v}, (found, answer)
    return True


def main():
    tat, *paths = sys.argv[1:]
    for path in paths:
        trace = Trace(path)
        runs = list(runs_of(trace, Clock(trace)))
        count = check_records(tat, path, trace, runs)
        for number in {0, len(runs) // 2, len(runs) - 1}:
            check_graph(tat, path, trace, runs, number)
        token = next(run.token_first for run in reversed(runs) if run.phase == GENERATE and run.context == 1)
        heads = sum(check_head(tat, path, trace, runs, 1, token, head) for head in (0, 1))
        print(f"{path}: {count} records, 3 graphs, {heads} heads, as specified")


if __name__ == "__main__":
    main()
