# SPDX-License-Identifier: MIT
"""python -m tat.plot TRACE: the command `tat plot`."""

import sys

from tat.plot.cli import main

sys.exit(main())
