# SPDX-License-Identifier: MIT
"""Read the traces of Tensor Access Tracker.

>>> import tat
>>> t = tat.TraceAnalyzer()  # the newest trace
>>> t.frame(phases="generate", components="attn_q").groupby("layer")["size"].sum()
>>> t.layers()
"""

from tat._abi import ACCESS, NO_EXPERT, NO_HEAD, NO_LAYER
from tat.analyzer import TraceAnalyzer
from tat.answers import Answer
from tat.errors import ErrorKind, TatError
from tat.trace import Trace

__version__ = "0.1.0"
__all__ = ["ACCESS", "NO_EXPERT", "NO_HEAD", "NO_LAYER", "Answer", "ErrorKind", "TatError", "Trace", "TraceAnalyzer"]
