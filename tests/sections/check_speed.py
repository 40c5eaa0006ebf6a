#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_speed.py TAT TRACE...: FLOP and bytes of the section on speed, by phase, operation and layer, counted again from the
shapes of each node that each evaluation executed, one by one."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from math import prod

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "format"))  # the reader

from facts import Facts  # noqa: E402
from names import NO_LAYER  # noqa: E402
from timeline import GENERATE, INFERENCE, PHASES  # noqa: E402

MOVES = set("CPY CONT DUP GET_ROWS SET_ROWS VIEW RESHAPE PERMUTE TRANSPOSE CONCAT REPEAT ARGSORT TOP_K FILL NONE PAD "
            "ROLL".split())  # fmt: skip


def flops(template, node):
    """As one does by hand: a product and a sum for each pair of numbers that meet."""
    e = template.entries[template.n_leaves + node]
    source = {place: template.entries[number] for place, number in e.src.items()}
    if e.op in ("MUL_MAT", "MUL_MAT_ID"):
        return 2 * source[0].ne[0] * prod(e.ne)
    if e.op == "FLASH_ATTN_EXT":
        q, k, v = source[0], source[1], source[2]
        pairs = k.ne[1] * q.ne[1] * q.ne[2] * q.ne[3]
        return pairs * 2 * k.ne[0] + pairs * 2 * v.ne[0]
    return 0 if e.op in MOVES else prod(e.ne)


def counted(facts):
    sums = {what: defaultdict(lambda: [0, 0, 0]) for what in ("phases", "operations", "layers")}
    for step in facts.steps:
        run = facts.runs[step.evaluation]
        template = facts.trace.templates[run.evaluation.template]
        for node in step.nodes:
            first = node[0]
            work = [flops(template, first.node), 0, 0]
            keys = [("phases", PHASES[step.phase])]
            if step.phase == GENERATE:
                keys += [("operations", facts.trace.ops[first.op]), ("layers", first.layer)]
            for what, key in keys:
                sums[what][key][0] += work[0]
            for a in node:
                keys = [("phases", PHASES[step.phase])]
                if step.phase == GENERATE:
                    keys += [("operations", facts.trace.ops[a.op]), ("layers", a.layer)]
                for what, key in keys:
                    sums[what][key][2 if facts.holder(a) == "activation" else 1] += a.bytes
    return sums


def main():
    tat, *traces = sys.argv[1:]
    for trace in traces:
        facts = Facts(trace)
        command = [tat, "report", "--json", "--section", "speed", trace]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["speed"]
        expected = counted(facts)
        for what, column in (("phases", "phase"), ("operations", "operation"), ("layers", "layer")):
            rows = {
                NO_LAYER if row[column] is None else row[column]:
                [row["flops"], row["memory_bytes"], row["activation_bytes"]]
                for row in found["tables"][what]["rows"]
            }  # fmt: skip
            wanted = {key: sums for key, sums in expected[what].items() if any(sums)}
            assert rows == wanted, f"{trace}, {what}: found {rows}, expected {wanted}"
        tokens = facts.tokens(GENERATE)
        whole = expected["phases"][PHASES[GENERATE]]
        assert found["values"]["token_flops"] == whole[0] / tokens, "FLOP of a token"
        assert found["values"]["token_bytes"] == whole[1] / tokens, "bytes of a token"
        assert whole[0] > 0 and set(expected["phases"]) <= {PHASES[p] for p in INFERENCE}
        print(f"{trace}: {whole[0] / tokens:.0f} FLOP, {whole[1] / tokens:.0f} bytes a token")


if __name__ == "__main__":
    main()
