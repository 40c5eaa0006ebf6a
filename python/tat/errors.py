# SPDX-License-Identifier: MIT
"""How the package reports failure: one exception, which carries the command line's exit status for it."""

from __future__ import annotations

from enum import IntEnum


class ErrorKind(IntEnum):
    """What went wrong. The values are the exit statuses of the commands (include/tat/error.h)."""

    NO = 1
    USAGE = 2
    INPUT = 3
    SYSTEM = 4


class TatError(Exception):
    """What went wrong, where, and what to do."""

    def __init__(self, kind: ErrorKind, message: str) -> None:
        """Keep both; the message has no newline at its end."""
        super().__init__(message)
        self.kind = kind
