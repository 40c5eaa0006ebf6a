# SPDX-License-Identifier: MIT
"""Tokens in bins: a picture has some hundred columns, a run any number of tokens."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tat.plot.chart import Floats

MOST_COLUMNS = 400
"""More columns than that are narrower than what an eye tells apart in a picture of this size."""


@dataclass(frozen=True)
class TokenBins:
    """Columns of equal width in tokens; only the last may be narrower."""

    first: int
    last: int
    """One past the last token."""
    width: int

    @classmethod
    def of(cls, first: int, last: int, most: int = MOST_COLUMNS) -> TokenBins:
        """Bins for tokens [first, last), as narrow as `most` columns allow."""
        return cls(first, last, max(1, -(-(last - first) // most)))

    @property
    def count(self) -> int:
        """How many columns."""
        return -(-(self.last - self.first) // self.width)

    @property
    def edges(self) -> Floats:
        """`count` + 1 token numbers."""
        inner = self.first + self.width * np.arange(self.count, dtype=np.float64)
        return np.append(inner, float(self.last))

    @property
    def names(self) -> tuple[str, ...]:
        """What each column is, where it is not one token."""
        if self.width == 1:
            return ()
        edges = self.edges.astype(np.int64)
        return tuple(f"{low} to {high - 1}" for low, high in pairwise(edges.tolist()))

    def say(self) -> str:
        """A sentence where columns are more than a token wide, else nothing."""
        return f"Each column is the mean of {self.width:,} tokens. " if self.width > 1 else ""

    def totals(self, values: Floats, first: NDArray[np.int64], count: NDArray[np.int64]) -> Floats:
        """Sums of `values` (evaluations by rows) in each bin, as rows by bins.

        Evaluation i computed tokens first[i] to first[i] + count[i] - 1, each of which gets an even share of its
        values: so the sum over all bins is the sum over all evaluations.
        """
        out = np.zeros((self.count, values.shape[1]))
        begin, end = (first - self.first) // self.width, (first + count - 1 - self.first) // self.width
        pieces = end - begin + 1
        of = np.repeat(np.arange(len(first)), pieces)
        into = np.repeat(begin, pieces) + np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        low = np.maximum(first[of], self.first + into * self.width)
        high = np.minimum((first + count)[of], self.first + (into + 1) * self.width)
        order = np.argsort(into, kind="stable")
        if order.size:
            starts = np.flatnonzero(np.diff(into[order], prepend=-1))
            weighted = values[of[order]] * ((high - low) / count[of])[order, None]
            out[into[order][starts]] = np.add.reduceat(weighted, starts, axis=0)
        return out.T

    def means(self, totals: Floats, tokens: Floats) -> Floats:
        """Totals per token, where `tokens` is how many each bin has; NaN where it has none."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(tokens > 0, totals / tokens, np.nan)
