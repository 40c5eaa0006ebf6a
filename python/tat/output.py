# SPDX-License-Identifier: MIT
"""Files and folders that are written whole or not at all, also if a signal ends the process."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_lock = threading.Lock()
_unfinished: dict[object, Callable[[], object]] = {}


@contextmanager
def unfinished(undo: Callable[[], object]) -> Iterator[None]:
    """Calls `undo` at the end, or when a signal ends the process before."""
    key = object()
    with _lock:
        _unfinished[key] = undo
    try:
        yield
    finally:
        undo()
        with _lock:
            del _unfinished[key]


def undo_all() -> None:
    """Undoes all that is unfinished, for a process that ends at once.

    Other threads then wait for ever where they begin or end something, so they cannot complain of what they miss.
    """
    _lock.acquire()
    for undo in reversed(_unfinished.values()):
        with suppress(Exception):
            undo()


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write under, with the suffix of `path`, whose name it gets at the end unless there is an exception."""
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    with unfinished(lambda: part.unlink(missing_ok=True)):
        yield part
        part.replace(path)
