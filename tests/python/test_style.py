# SPDX-License-Identifier: MIT
"""Types and style of the package."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from conftest import run

SOURCE = Path(os.environ["SOURCE"])


def test_types() -> None:
    cache = Path(os.environ["CACHE"], "mypy")  # what it found in packages; it looks whether they are the same
    configuration = ("--config-file", str(SOURCE / "python/pyproject.toml"), "--cache-dir", str(cache))
    run(sys.executable, "-m", "mypy", *configuration, SOURCE / "python/tat", *(SOURCE / "bench").glob("*.py"))


def test_oldest_python() -> None:
    """Nothing newer than Python 3.10 is used, nor of its library."""
    folders = (SOURCE / "python/tat", SOURCE / "bench", SOURCE / "tests/python")
    run(sys.executable, "-c", "import vermin; vermin.main()", "-t=3.10-", "--violations", "--no-tips", *folders)


def test_style() -> None:
    for check in (["check"], ["format", "--check"]):
        run(sys.executable, "-m", "ruff", *check, "--no-cache", SOURCE / "python", SOURCE / "tests/python")
