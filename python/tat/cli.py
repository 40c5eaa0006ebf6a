# SPDX-License-Identifier: MIT
"""What the commands share: errors become exit statuses and messages on standard error."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tat import output
from tat.errors import ErrorKind, TatError


def run(name: str, main: Callable[[], int]) -> int:
    """Run a command and return its exit status. Errors go to standard error, worded as everywhere in tat.

    SIGINT, SIGTERM and SIGHUP end the process at once and quietly, with what is half written removed.
    """
    try:
        with _ended_by_signals():
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
        where = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        print(f"tat {name}: {where}", file=sys.stderr)
        return int(ErrorKind.SYSTEM)
    except MemoryError:
        print(f"tat {name}: out of memory", file=sys.stderr)
        return int(ErrorKind.SYSTEM)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Signals are noticed at once. Python's own handlers wait until a call of C, such as a long query, returns."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came, wake = os.pipe()
    os.set_blocking(wake, False)
    # Those that whoever started the command ignores, as nohup does, stay ignored.
    mine = [number for number in _ENDING if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda *_: None) for number in mine}
    woken = signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    watcher = threading.Thread(target=_watch, args=(came, mine), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(woken)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(wake)
        watcher.join()
        os.close(came)


_interruptible = threading.Event()


@contextmanager
def interruptible() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt instead of ending the process: for a shell, which goes on."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    _interruptible.set()
    try:
        yield
    finally:
        _interruptible.clear()
        signal.signal(signal.SIGINT, before)


def _watch(came: int, ending: Sequence[int]) -> None:
    while numbers := os.read(came, 1):
        if numbers[0] == signal.SIGINT and _interruptible.is_set():
            continue
        if numbers[0] in ending:
            output.undo_all()
            if sys.stderr.isatty():
                os.write(2, b"\r\033[K")  # a line that shows progress
            os._exit(128 + numbers[0])


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
