# SPDX-License-Identifier: MIT
"""What a token typically costs: medians over tokens, which a few slow ones do not move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tat.plot.chart import Floats
from tat.plot.source import Matrix, Source

_WORDS = {"generate": "generated token"}


@dataclass(frozen=True, eq=False)
class Typical:
    """The evaluations that are alike: those of generation or, where there is none, of the most frequent phase."""

    chosen: NDArray[np.bool_]
    """Of the source's evaluations."""
    word: str
    """What one of them is called."""
    phase: str
    """Whose they are."""

    @classmethod
    def of(cls, source: Source) -> Typical:
        """As the report chooses them."""
        counts = {phase: int(source.of_phase(phase).sum()) for phase in source.phases}
        phase = "generate" if "generate" in counts else max(counts, key=lambda one: counts[one])
        return cls(source.of_phase(phase), _WORDS.get(phase, f"graph of the phase {phase}"), phase)

    def medians(self, matrix: Matrix) -> Floats:
        """By column of the matrix."""
        return np.asarray(np.quantile(matrix.values[self.chosen], 0.5, axis=0, method="inverted_cdf"))

    def means(self, matrix: Matrix) -> Floats:
        """By column of the matrix."""
        return np.asarray(matrix.values[self.chosen].mean(axis=0))

    def shares(self, matrix: Matrix) -> Floats:
        """By column, the median of its share of an evaluation's sum."""
        mine = matrix.values[self.chosen]
        of = mine / np.maximum(mine.sum(axis=1, keepdims=True), 1)
        return np.asarray(np.quantile(of, 0.5, axis=0, method="inverted_cdf"))
