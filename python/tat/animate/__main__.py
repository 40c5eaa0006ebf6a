# SPDX-License-Identifier: MIT
"""python -m tat.animate TRACE: the command `tat animate`."""

import sys

from tat.animate.cli import main

sys.exit(main())
