# SPDX-License-Identifier: MIT
"""A section of `tat report --json` against what it must be, value by value: what is missing, and what is too much, is wrong
too."""

import json
import math
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "format"))


def section_of(tat, trace, name):
    """The section as `tat` reports it: a dict as src/analysis/result.h has it."""
    done = subprocess.run([tat, "report", "--json", "--section", name, trace], stdout=subprocess.PIPE)
    assert done.returncode in (0, 1), done  # 1: the trace has nothing of the kind
    return json.loads(done.stdout)[name]


def same(found, expected):
    """Equal, numbers up to the rounding of sums in another order."""
    if isinstance(expected, bool) or isinstance(found, bool) or found is None or expected is None:
        return found is expected
    if isinstance(expected, (int, float)) and isinstance(found, (int, float)):
        return math.isclose(found, expected, rel_tol=1e-9, abs_tol=1e-9)
    return found == expected


class Comparison:
    """Counts what was compared, and keeps what differed."""

    def __init__(self):
        self.count, self.wrong = 0, []

    def check(self, where, found, expected):
        if isinstance(expected, dict) and isinstance(found, dict):
            for key in sorted(set(found) | set(expected)):
                if key in found and key in expected:
                    self.check(f"{where}.{key}", found[key], expected[key])
                else:
                    self.differs(f"{where}.{key}", "there" if key in found else "missing", "other")
        elif isinstance(expected, list) and isinstance(found, list):
            if len(found) != len(expected):
                self.differs(f"{where}: length", len(found), len(expected))
            for i, (f, e) in enumerate(zip(found, expected)):
                self.check(f"{where}[{i}]", f, e)
        else:
            self.count += 1
            if not same(found, expected):
                self.differs(where, found, expected)

    def differs(self, where, found, expected):
        self.count += 1
        self.wrong.append(f"{where}: found {found}, expected {expected}")

    def check_section(self, section, values, tables):
        """All values, and the rows of all tables; a table of no rows may be missing or empty."""
        self.check("values", section.get("values", {}), values)
        rows = {name: table["rows"] for name, table in section.get("tables", {}).items()}
        for name in sorted(set(rows) | set(tables)):
            self.check(name, rows.get(name, []), tables.get(name, []))

    def end(self, name):
        """Prints the outcome and ends the program."""
        for line in self.wrong[:30]:
            print(line)
        print(f"{name}: {self.count} figures compared, {len(self.wrong)} differ")
        sys.exit(1 if self.wrong or self.count == 0 else 0)
