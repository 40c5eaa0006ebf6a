# SPDX-License-Identifier: MIT
"""What a cache would save."""

from __future__ import annotations

from tat.plot.chart import AbsentError, Chart
from tat.plot.source import Source


def reuse_distance(source: Source) -> Chart:
    """Bytes read between two reads of the same byte."""
    source.section("caching")
    raise AbsentError("not here yet")


def miss_ratio_curves(source: Source) -> Chart:
    """Share of the reads that a cache of each size would miss, by policy."""
    source.section("caching")
    raise AbsentError("not here yet")
