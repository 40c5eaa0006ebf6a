# SPDX-License-Identifier: MIT
"""Sizes that pictures are drawn in: for a screen, and for a paper, into which they go without being scaled."""

from __future__ import annotations

from dataclasses import dataclass

_MM = 1 / 25.4


@dataclass(frozen=True)
class Look:
    """Lengths are in inches, sizes of text in points."""

    width: float | None = None
    """None: what the chart asks for."""
    text: float = 11
    small: float = 11
    """Of ticks and legends."""
    title: float = 14
    line: float = 1.8
    mark: float = 4
    room: float = 1.0
    """How much text fits side by side, where 1 is a picture for a screen."""

    @property
    def is_narrow(self) -> bool:
        """Whether panels go below each other, and legends above the panel."""
        return self.room < 0.6

    def columns(self, wanted: int) -> int:
        """How many panels side by side."""
        return (wanted + 1) // 2 if self.is_narrow else wanted

    def height(self, inches: float, of_width: float) -> float:
        """The height of a row that is `inches` in a picture as wide as `of_width`: it shrinks less than the width."""
        return inches * (self.width / of_width) ** 0.5 if self.width else inches

    @property
    def rc(self) -> dict[str, float]:
        """For matplotlib."""
        fonts = {"font.size": self.text, "axes.titlesize": self.text + (1 if self.width is None else 0.5)}
        fonts |= dict.fromkeys(("xtick.labelsize", "ytick.labelsize", "legend.fontsize"), self.small)
        if self.width is None:
            return fonts
        thin = {"axes.linewidth": 0.5, "xtick.major.width": 0.5, "ytick.major.width": 0.5, "grid.linewidth": 0.4}
        short = {"xtick.major.size": 2, "ytick.major.size": 2, "xtick.major.pad": 2, "ytick.major.pad": 2}
        return fonts | thin | short | {"axes.labelpad": 2, "axes.titlepad": 3, "legend.handlelength": 1.4}


SCREEN = Look()
PAPERS = {
    "column": Look(84 * _MM, 7, 6, 8, 0.9, 2, 0.42),
    "page": Look(174 * _MM, 7, 6, 8, 1.0, 2.5, 0.88),
}
"""84 mm fits a column of ACM, IEEE and Springer, 174 mm both columns. No text is smaller than 6 points."""
