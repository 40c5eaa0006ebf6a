#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compare.py [--damaged] FLAT TRACE...: for each trace, the library's records (flat writes them) and waits must equal this
reader's, field by field. Traces must be whole, except with --damaged."""

import struct
import subprocess
import sys

from accesses import Access, accesses, waits
from read_trace import Trace

# struct tat_access as in doc/format.md, without the number of the layout; then what that number stands for.
FIELDS = (
    "start_ns offset bytes duration_ns tensor evaluation node token_first rows layer op expert head_first head_count "
    "layout operand kind flags run_bytes stride"
).split()
RECORD = struct.Struct("<QQQIIIIIIHHHHHHBBHQQ")
LAYOUT = FIELDS.index("layout")
WAIT = struct.Struct("<QII")


def ask_library(flat, path):
    """(what it found wrong, its records)"""
    answer = subprocess.run([flat, path], capture_output=True, check=True)
    records = (Access(*v[:LAYOUT], *v[LAYOUT + 1 :]) for v in RECORD.iter_unpack(answer.stdout))
    return answer.stderr.decode().strip(), records


def differences(theirs, ours):
    for name in Access.__dataclass_fields__:
        a, b = getattr(theirs, name), getattr(ours, name)
        if a != b:
            yield f"{name}: library {a}, specification {b}"


def same_waits(flat, path, trace):
    answer = subprocess.run([flat, "--waits", path], stdout=subprocess.PIPE, check=True)
    theirs = [(evaluation, node, ns) for ns, evaluation, node in WAIT.iter_unpack(answer.stdout)]
    ours = list(waits(trace))
    if theirs == ours:
        return len(ours)
    different = next((pair for pair in zip(theirs, ours) if pair[0] != pair[1]), "as far as the shorter goes, none")
    print(f"{path}: library {len(theirs)} waits, specification {len(ours)}; the first different: {different}")
    return None


def lost(path, trace):
    """What the trace says was lost; None if its sums are wrong."""
    emitted, stored, filtered, by_reason, events, events_stored, events_lost = trace.totals()
    if emitted != stored + filtered + sum(by_reason) or events != events_stored + events_lost:
        print(f"{path}: emitted is not stored + filtered + lost: {trace.totals()}, LOSS blocks {trace.losses}")
        return None
    return (
        f"evaluations: {emitted} emitted, {stored} stored, {filtered} filtered, lost: {' '.join(map(str, by_reason))}; "
        f"events: {events} emitted, {events_stored} stored, {events_lost} lost"
    )


def compare(flat, path, may_be_damaged):
    trace = Trace(path)
    trouble = f"{trace.damaged} bytes damaged, {len(trace.nonsense)} blocks without sense, {trace.orphans} orphans"
    totals = lost(path, trace)
    found, theirs = ask_library(flat, path)
    if totals is None:
        return False
    if found != f"{trouble}\n{totals}":
        print(f"{path}: library {found}; specification {trouble}; {totals}: {trace.nonsense}")
        return False
    if not may_be_damaged and (trace.damaged or trace.nonsense or trace.orphans):
        print(f"{path}: {trouble}: {trace.nonsense}")
        return False
    ours = accesses(trace)
    count = wrong = 0
    while wrong < 10:
        a, b = next(theirs, None), next(ours, None)
        if a is None and b is None:
            break
        count += 1
        if a is None or b is None:
            print(f"{path}: record {count}: only the {'specification' if a is None else 'library'} has it: {a or b}")
            return False
        found = list(differences(a, b))
        if found:
            wrong += 1
            print(f"{path}: record {count}: {'; '.join(found)}\n    {a}")
    n_waits = same_waits(flat, path, trace)
    if not wrong and n_waits is not None:
        print(f"{path}: {count} records and {n_waits} waits, all equal; {trouble}")
    return not wrong and n_waits is not None and (count > 0 or may_be_damaged)


def main():
    damaged = sys.argv[1] == "--damaged"
    flat, *paths = sys.argv[2:] if damaged else sys.argv[1:]
    return 0 if paths and all([compare(flat, path, damaged) for path in paths]) else 1


if __name__ == "__main__":
    sys.exit(main())
