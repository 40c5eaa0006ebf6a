# SPDX-License-Identifier: MIT
"""Plots of a trace: pictures (PNG, SVG) and pages (HTML).

>>> from tat import TraceAnalyzer
>>> from tat.plot import PLOTS, draw
>>> draw(TraceAnalyzer(), only=["layers"])
"""

from tat.plot.chart import AbsentError, Chart
from tat.plot.cli import draw, figure
from tat.plot.registry import PLOTS, Plot
from tat.plot.source import Source

__all__ = ["PLOTS", "AbsentError", "Chart", "Plot", "Source", "draw", "figure"]
