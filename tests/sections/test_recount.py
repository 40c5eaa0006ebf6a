#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_recount.py TAT TRACE: recount.py notices each figure that is wrong, and all that is new or gone."""

import copy
import re
import sys

from recount import SECTIONS, differing_section, report
from facts import Facts
from words import without_thread


def changes_of(thing):
    """All ways to change one thing in it: (what, changed copy)."""
    if isinstance(thing, bool):
        yield "turned", not thing
    elif isinstance(thing, (int, float)):
        yield f"{thing} + 1", thing + 1
    elif isinstance(thing, str):
        yield f"{thing} another", thing + "'"
    elif thing is None:
        yield "0 for null", 0
    elif isinstance(thing, (dict, list)):
        for key, value in thing.items() if isinstance(thing, dict) else enumerate(thing):
            for what, changed in changes_of(value):
                other = copy.copy(thing)
                other[key] = changed
                yield f"{key}, {what}", other
        yield from resized(thing)


def resized(thing):
    if isinstance(thing, dict):
        yield "a new key", thing | {"new": 1}
        for key in thing:
            yield f"without {key}", {k: v for k, v in thing.items() if k != key}
    elif thing:
        yield "the last twice", thing + thing[-1:]
        yield "without the last", thing[:-1]


def digits_changed(sentence):
    for digit in re.finditer(r"\d", without_thread(sentence)):
        at = digit.start()
        yield f"character {at}", sentence[:at] + str((int(sentence[at]) + 1) % 10) + sentence[at + 1 :]


def wrong_sections(found):
    """The section with one thing wrong in it, each in turn."""
    for what, values in changes_of(found.get("values", {})):
        yield f"values, {what}", found | {"values": values}
    for name, table in found.get("tables", {}).items():
        for what, rows in changes_of(table["rows"]):
            yield f"{name}, {what}", found | {"tables": found["tables"] | {name: table | {"rows": rows}}}
    yield "a new table", found | {"tables": found["tables"] | {"new": {"columns": [], "rows": []}}}
    yield "a new part", found | {"pictures": []}
    for what, headline in digits_changed(found["headline"]):
        yield f"headline, {what}", found | {"headline": headline}
    for part, key in (("lines", "text"), ("answers", "answer")):
        for number, item in enumerate(found.get(part, [])):
            for what, text in digits_changed(item[key]):
                items = found[part][:number] + [item | {key: text}] + found[part][number + 1 :]
                yield f"{part} {number}, {what}", found | {part: items}
        yield f"a new one of {part}", found | {part: found.get(part, []) + [{key: "One more."}]}


def main():
    tat, trace = sys.argv[1:]
    found, facts, count = report(tat, trace, []), Facts(trace), 0
    for name, expected_of in SECTIONS.items():
        expected = expected_of(facts)
        assert next(differing_section(found[name], expected), None) is None, name
        for what, wrong in wrong_sections(found[name]):
            count += 1
            if next(differing_section(wrong, expected), None) is None:
                sys.exit(f"section {name}, {what}: not noticed")
    print(f"{count} errors, each of them noticed")


if __name__ == "__main__":
    main()
