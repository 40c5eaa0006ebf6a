# SPDX-License-Identifier: MIT
"""doc/gallery.md shows each plot once, in pictures that a repository can keep."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tat.plot import PLOTS

from drawn import NAMES

DOC = Path(os.environ["SOURCE"], "doc")
MOST_BYTES = 60_000


def test_each_plot_once() -> None:
    shown = re.findall(r"^!\[(\w+)\]\(gallery/(\w+)\.png\)$", (DOC / "gallery.md").read_text(encoding="utf-8"), re.M)
    assert all(text == file for text, file in shown)
    assert sorted(file for _, file in shown) == sorted(NAMES)


def test_the_questions_are_those_of_pages() -> None:
    text = (DOC / "gallery.md").read_text(encoding="utf-8")
    assert [plot.name for plot in PLOTS if f"**{plot.question}**" not in text] == []


def test_pictures_are_small() -> None:
    pictures = sorted((DOC / "gallery").iterdir())
    assert [picture.name for picture in pictures] == sorted(f"{name}.png" for name in NAMES)
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size <= MOST_BYTES, picture
