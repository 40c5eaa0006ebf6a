# SPDX-License-Identifier: MIT
"""Finds and loads the C library."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from tat import _abi
from tat.errors import ErrorKind, TatError

NAME = "libtat.so.0"


def _candidates() -> list[Path]:
    """Where the library may be: in the installation or in the build tree that the package is in."""
    here = Path(__file__).resolve().parent
    found = [folder / "lib" / NAME for folder in here.parents]
    source = here.parent.parent
    build = os.environ.get("BUILD", "")
    found += [(source / (build or "build")) / "library" / NAME]
    return found


@cache
def library() -> ctypes.CDLL:
    """The C library: the one that TAT_LIBRARY names, or the one installed or built together with this package.

    Raises TatError (SYSTEM) if there is none, or if it has another version.
    """
    named = os.environ.get("TAT_LIBRARY")
    path = Path(named) if named else next((p for p in _candidates() if p.exists()), Path(NAME))
    try:
        lib = ctypes.CDLL(str(path))
        for name, (result, arguments) in _abi.FUNCTIONS.items():
            function = getattr(lib, name)
            function.restype = result
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        raise TatError(
            ErrorKind.SYSTEM,
            f"{path}: cannot use the C library of tat ({error}): install tat completely with `make install`, or name "
            "a libtat.so of this version in TAT_LIBRARY",
        ) from error
    return lib


def failure(error: _abi.Error) -> TatError:
    """The exception for an error that the library reports."""
    kind = error.kind if error.kind in set(ErrorKind) else ErrorKind.SYSTEM
    return TatError(ErrorKind(kind), text(error.message))


def text(raw: bytes | None) -> str:
    """A C string as text. Names come from files: invalid UTF-8 becomes the replacement character."""
    return (raw or b"").decode("utf-8", "replace")
