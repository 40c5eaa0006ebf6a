# SPDX-License-Identifier: MIT
"""Colours, marks and dashes that tell series apart: never a colour alone."""

from __future__ import annotations

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#999999")
"""Okabe and Ito (2008), Color Universal Design: told apart with any colour vision."""

LINES = (*PALETTE[:6], "#000000", PALETTE[7])
"""For lines: yellow is not seen on white."""

MARKS = "osD^vPX*"
_DASHES = ("solid", "dash", "dot", "dashdot")


def dash_of(number: int) -> str:
    """Plotly's name of the dashes of a series. The colours repeat after eight, with other dashes."""
    return _DASHES[number // len(PALETTE) % len(_DASHES)]
