# SPDX-License-Identifier: MIT
"""What the commands share: errors become exit statuses and messages on standard error."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType

from tat.errors import ErrorKind, TatError


def run(name: str, main: Callable[[], int]) -> int:
    """Run a command and return its exit status. Errors go to standard error, worded as everywhere in tat."""
    signal.signal(signal.SIGTERM, _end)  # so that what is half written goes
    try:
        status = main()
        sys.stdout.flush()
        return status
    except TatError as error:
        print(f"tat {name}: {error}", file=sys.stderr)
        return int(error.kind)
    except BrokenPipeError:  # whoever reads has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"tat {name}: {error}", file=sys.stderr)
        return int(ErrorKind.SYSTEM)
    except MemoryError:
        print(f"tat {name}: out of memory", file=sys.stderr)
        return int(ErrorKind.SYSTEM)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _end(number: int, _: FrameType | None) -> None:
    sys.exit(128 + number)


class Progress:
    """A count that is shown on a terminal once it takes longer than a second."""

    def __init__(self, name: str, what: str) -> None:
        """Begin to count `what`."""
        self._name, self._what = name, what
        self._next = time.monotonic() + 1
        self._shown = False

    def __call__(self, count: int) -> None:
        """Show the count, now and then."""
        now = time.monotonic()
        if now >= self._next and sys.stderr.isatty():
            print(f"\r\033[Ktat {self._name}: {count:,} {self._what}", end="", file=sys.stderr, flush=True)
            self._next, self._shown = now + 0.2, True

    def end(self) -> None:
        """Remove the line."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
