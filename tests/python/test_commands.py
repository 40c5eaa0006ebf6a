# SPDX-License-Identifier: MIT
"""What the program knows of the commands in Python, and the package as it is used from a build tree."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import tat

from conftest import run

SOURCE = Path(os.environ["SOURCE"])


def test_options_are_those_of_the_parsers() -> None:
    """If not, `make python-commands` writes the file anew."""
    script, made = SOURCE / "scripts/python_commands.py", SOURCE / "src/cli/python_commands.inc"
    assert run(sys.executable, script) == made.read_text(encoding="utf-8")


def test_completions_and_man_pages_have_them() -> None:
    for shell in ("bash", "zsh", "fish"):
        completion = run(os.environ["TAT"], "--completion", shell)
        for option in ("with-text", "speed", "engine"):
            assert option in completion, shell
    page = run(os.environ["TAT"], "--man", "plot")
    assert r"\-\-html" in page
    assert "tat\\-plot" in page


def test_import_from_the_build_tree(toy: Path, tmp_path: Path) -> None:
    """PYTHONPATH is all that it takes: the library is found beside the package."""
    program = f"import tat; print(len(tat.TraceAnalyzer({str(toy)!r}).accesses()), tat.__file__)"
    environment = {name: value for name, value in os.environ.items() if name not in ("TAT_LIBRARY", "PYTHONPATH")}
    whole = ["env", "-i", f"PATH={environment['PATH']}", f"PYTHONPATH={SOURCE / 'python'}", "PYTHONDONTWRITEBYTECODE=1"]
    told = run(*whole, f"BUILD={os.environ['BUILD']}", sys.executable, "-c", program).split()
    assert told == [str(len(tat.TraceAnalyzer(toy).accesses())), str(SOURCE / "python/tat/__init__.py")]
