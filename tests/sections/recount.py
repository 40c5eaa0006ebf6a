#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""recount.py TAT TRACE... [-- OPTION...]: every figure of the sections below, in values, tables and sentences,
against a count that goes through the access records one by one, as a reader that shares no code with the library
makes them. What a section tells and this does not count is an error too. The options (--hot, --cold) are given to tat
report."""

import json
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "format"))  # the reader

import hot  # noqa: E402
import plain  # noqa: E402
import spent  # noqa: E402
from facts import Facts  # noqa: E402
from words import misworded  # noqa: E402

SECTIONS = {
    "phases": plain.phases,
    "tokens": plain.tokens,
    "components": plain.components,
    "hot": hot.expected,
    "layers": plain.layers,
    "time": spent.expected,
}
PARTS = {"title", "headline", "values", "lines", "answers", "tables", "notes"}  # of a section


def same(found, expected):
    if isinstance(expected, float) and isinstance(found, (int, float)):
        return abs(found - expected) <= 1e-12 * abs(expected)
    return type(found) is type(expected) and found == expected


def differing(found, expected, where):
    """What of an object differs: keys that only one side has too."""
    for key in [*expected, *(key for key in found if key not in expected)]:
        if key not in found or key not in expected:
            yield f"{where}, {key}: found {found.get(key, 'nothing')}, expected {expected.get(key, 'nothing')}"
        elif not same(found[key], expected[key]):
            yield f"{where}, {key}: found {found[key]!r}, expected {expected[key]!r}"


def differing_table(found, expected, where):
    if len(found["rows"]) != len(expected):
        yield f"{where}: found {len(found['rows'])} rows, expected {len(expected)}"
    for number, (row, wanted) in enumerate(zip(found["rows"], expected)):
        yield from differing(row, wanted, f"{where}, row {number} ({next(iter(row.values()), '')})")


def differing_words(found, expected):
    """Of sentences: the headline, lines, answers and, taken together, the notes."""
    sentences = [("headline", found["headline"], expected["headline"])]
    for part, key in (("lines", "text"), ("answers", "answer")):
        texts, wanted = [item[key] for item in found.get(part, [])], expected.get(part, [])
        if len(texts) != len(wanted):
            yield f"{part}: found {len(texts)}, expected {len(wanted)}"
        sentences += [(f"{part} {number}", *both) for number, both in enumerate(zip(texts, wanted))]
    sentences.append(("notes", " ".join(found.get("notes", [])), expected.get("notes", [])))
    for where, text, fragments in sentences:
        wrong = misworded(text, fragments)
        if wrong:
            yield f"{where}: {wrong}"


def differing_section(found, expected):
    for part in set(found) - PARTS:
        yield f"found a part '{part}', expected none"
    yield from differing(found.get("values", {}), expected.get("values", {}), "values")
    tables, wanted = found.get("tables", {}), expected.get("tables", {})
    for name in [*wanted, *(name for name in tables if name not in wanted)]:
        if (name in tables) != (name in wanted):
            yield f"table {name}: {'found, but not expected' if name in tables else 'expected, but not found'}"
        else:
            yield from differing_table(tables[name], wanted[name], f"table {name}")
    yield from differing_words(found, expected)


def report(tat, trace, options, sections=tuple(SECTIONS)):
    arguments = [word for name in sections for word in ("--section", name)]
    answer = subprocess.run([tat, "report", "--json", *arguments, *options, trace], stdout=subprocess.PIPE, check=True)
    return json.loads(answer.stdout)


def count_figures(thing):
    if isinstance(thing, dict):
        return sum(map(count_figures, thing.values()))
    if isinstance(thing, list):
        return sum(map(count_figures, thing))
    return isinstance(thing, (int, float))


def percents(options):
    """--hot and --cold, as hot.expected takes them."""
    return {option[2:] + "_percent": int(value) for option, value in zip(options[::2], options[1::2])}


def check(tat, trace, options):
    found, of, wrong = report(tat, trace, options), Facts(trace), 0
    for name, expected_of in SECTIONS.items():
        expected = expected_of(of, **percents(options)) if name == "hot" else expected_of(of)
        for difference in differing_section(found[name], expected):
            wrong += 1
            if wrong <= 40:
                print(f"{trace}: section {name}, {difference}")
    figures = count_figures([found[name].get(part, {}) for name in SECTIONS for part in ("values", "tables")])
    print(f"{trace}: {len(of.accesses)} accesses, {figures} figures, {wrong} wrong")
    return wrong == 0


def main():
    tat, *rest = sys.argv[1:]
    cut = rest.index("--") if "--" in rest else len(rest)
    traces, options = rest[:cut], rest[cut + 1 :]
    return 0 if traces and all([check(tat, trace, options) for trace in traces]) else 1


if __name__ == "__main__":
    sys.exit(main())
