# SPDX-License-Identifier: MIT
"""shrink_pictures.py FOLDER PICTURE...: writes pictures into a folder, each in 60 KB at most: a repository keeps them for ever."""

import io
import sys
from pathlib import Path

from PIL import Image

MOST_BYTES = 60_000
SIZES = ((1000, 256), (1000, 128), (900, 128), (900, 64), (800, 64), (800, 48), (700, 48), (600, 32))
"""Widths in pixels and colours, to be tried in this order."""


def shrunk(picture: bytes) -> bytes:
    """The picture as PNG with as many pixels and colours as fit."""
    whole = Image.open(io.BytesIO(picture)).convert("RGB")
    for width, colours in SIZES:
        height = round(whole.height * width / whole.width)
        small = whole.resize((width, height), Image.Resampling.LANCZOS) if width < whole.width else whole
        out = io.BytesIO()
        few = small.quantize(colours, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)  # rare colours are lines and marks
        few.save(out, "PNG", optimize=True)
        if out.tell() <= MOST_BYTES:
            return out.getvalue()
    sys.exit("a picture does not fit")


if __name__ == "__main__":
    for path in map(Path, sys.argv[2:]):
        Path(sys.argv[1], path.name).write_bytes(shrunk(path.read_bytes()))
