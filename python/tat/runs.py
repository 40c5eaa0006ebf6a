# SPDX-License-Identifier: MIT
"""The folders of traces, found as the commands find them (src/cli/run_folder.h)."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tat.errors import ErrorKind, TatError

TRACE_FILE = "tensor_access.bin"
_NAME = re.compile(r"(run_\d{8}_\d{6})(?:-(\d+))?(?:_(\d+))?", re.ASCII)


def parent() -> Path:
    """Where traces are kept: TAT_DIR, or ./traces."""
    return Path(os.environ.get("TAT_DIR") or "traces")


def _age(match: re.Match[str]) -> tuple[str, int, int]:
    """The newest is the greatest; of a run's processes the first."""
    return match[1], int(match[2] or 0), -int(match[3] or 0)


def newest() -> Path:
    """The folder of the newest trace. Raises TatError (INPUT) if there is none."""
    try:
        names = [entry.name for entry in os.scandir(parent()) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise TatError(ErrorKind.SYSTEM, f"cannot read the folder {parent()}: {error.strerror}") from error
    runs = sorted((match for match in map(_NAME.fullmatch, names) if match), key=_age, reverse=True)
    for run in runs:
        if (parent() / run[0] / TRACE_FILE).is_file():
            return parent() / run[0]
    raise TatError(
        ErrorKind.INPUT, f"no trace in {parent()}: make one with `tat record -- COMMAND', or name its folder"
    )


def resolve(path: str | os.PathLike[str] | None = None) -> Path:
    """The trace that a user means: a folder, its tensor_access.bin, another file, or a name among the traces.

    None is the newest. Raises TatError (INPUT) if it is none of these.
    """
    if path is None:
        return newest()
    given = Path(path)
    if given.exists():
        return given.parent if given.name == TRACE_FILE and given.is_file() else given
    if os.sep not in os.fspath(path) and (parent() / given).is_dir():
        return parent() / given
    raise TatError(
        ErrorKind.INPUT,
        f"{given} is no trace: neither a file, a folder nor the name of one in {parent()} (see `tat list')",
    )
