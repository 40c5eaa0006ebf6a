# SPDX-License-Identifier: MIT
"""Finds the folders of traces as the commands do (src/cli/run_folder.h)."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from tat.errors import ErrorKind, TatError

TRACE_FILE = "tensor_access.bin"
_REGISTRY_MOST = 1 << 20
_NAME = re.compile(r"(run_\d{8}_\d{6})(?:-(\d+))?(?:_(\d+))?", re.ASCII)


def parent() -> Path:
    """Where traces are kept: TAT_DIR, or ./traces."""
    return Path(os.environ.get("TAT_DIR") or "traces")


def _age(match: re.Match[str]) -> tuple[str, int, int]:
    """The newest run is the greatest, and in a run the first process."""
    return match[1], int(match[2] or 0), -int(match[3] or 0)


def _unescape(path: bytes) -> bytes:
    return re.sub(rb"\\([tn\\])", lambda found: {b"t": b"\t", b"n": b"\n"}.get(found[1], found[1]), path)


def _elsewhere() -> list[Path]:
    """Runs that `tat record -o`, started here, wrote elsewhere (src/cli/run_registry.h)."""
    given = os.environ.get("XDG_STATE_HOME", "")
    state = Path(given) if given.startswith("/") else Path.home() / ".local/state"
    file = state / "tat/runs"
    folder = os.environ.get("TAT_DIR") or "traces"
    while folder.startswith("./"):
        folder = folder[2:]
    traces = os.path.join(os.getcwd(), folder).rstrip("/") or "/"
    try:
        lines = file.read_bytes().split(b"\n") if file.is_file() and file.stat().st_size <= _REGISTRY_MOST else []
    except OSError:
        return []
    pairs = (map(_unescape, line.split(b"\t", 1)) for line in lines if b"\t/" in line)
    return [Path(os.fsdecode(run)) for beside, run in pairs if os.fsdecode(beside) == traces]


def _began(run: Path) -> str:
    """When the run began, as its name would say it, from the header of its trace (doc/format.md)."""
    with open(run / TRACE_FILE, "rb") as file:
        header = file.read(40)
    if len(header) < 40 or not header.startswith(b"TATTRACE"):
        return ""
    seconds = int.from_bytes(header[32:40], "little") // 1_000_000_000
    try:
        return time.strftime("run_%Y%m%d_%H%M%S", time.localtime(seconds))
    except (OverflowError, OSError, ValueError):
        return ""


def newest() -> Path:
    """The folder of the newest trace. Raises TatError (INPUT) if there is none."""
    runs = [(_age(match), parent() / match[0]) for match in _named() if (parent() / match[0] / TRACE_FILE).is_file()]
    runs += [((_began(run), 0, 0), run) for run in _elsewhere() if (run / TRACE_FILE).is_file()]
    if runs:
        return max(runs)[1]
    raise TatError(
        ErrorKind.INPUT, f"there is no trace in {parent()}: make one with `tat record -- COMMAND`, or name a trace"
    )


def _named() -> list[re.Match[str]]:
    try:
        names = [entry.name for entry in os.scandir(parent()) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise TatError(ErrorKind.SYSTEM, f"cannot read the folder {parent()}: {error.strerror}") from error
    return [match for match in map(_NAME.fullmatch, names) if match]


def resolve(path: str | os.PathLike[str] | None = None) -> Path:
    """The trace that a user means: a folder, its tensor_access.bin, another file, or the name of a trace.

    None is the newest trace. Raises TatError (INPUT) if there is no such trace.
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
        f"trace {given} not found: it is not a file, a folder or a name in {parent()} (see `tat list`)",
    )
