#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""test_caching.py TAT TRACE: caching.py notices every single figure that is wrong, and everything that is new or gone."""

import sys

from caching import beaten, expected
from recount import differing_section, report
from test_recount import wrong_sections
from facts import Facts


def main():
    tat, trace = sys.argv[1:]
    found, wanted, count = report(tat, trace, [], ["caching"])["caching"], expected(Facts(trace)), 0
    assert not list(differing_section(found, wanted))
    for what, wrong in wrong_sections(found):
        count += 1
        if not list(differing_section(wrong, wanted)):
            sys.exit(f"{what}: not noticed")
    rows = found["tables"]["savings"]["rows"]
    rows[0]["at_50"] = rows[-1]["at_50"] + 0.01
    assert len(list(beaten(found))) == 1
    print(f"{count} errors, each of them noticed")


if __name__ == "__main__":
    main()
