# SPDX-License-Identifier: MIT
"""A film of a run: the file map and the layers light up as tokens pass.

>>> from pathlib import Path
>>> from tat import TraceAnalyzer
>>> from tat.animate import film
>>> film(TraceAnalyzer(), Path("run.mp4"), speed=4)
"""

from tat.animate.cli import film

__all__ = ["film"]
