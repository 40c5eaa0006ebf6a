# SPDX-License-Identifier: MIT
"""Ctrl-C ends each command quietly with status 130 and leaves nothing half written."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import tat
from matplotlib.figure import Figure
from tat.plot import draw, paint

from conftest import Toy


@pytest.fixture(scope="module")
def long(toy_maker: Toy) -> Path:
    return toy_maker("much", 4000)


def started(*arguments: str | Path, stderr: int = subprocess.PIPE) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "TAT_PYTHON": sys.executable}
    command = [os.environ["TAT"], *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment)


def wait_for(found: Callable[[], object], process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None and not found():
        time.sleep(0.01)
    assert process.poll() is None, process.communicate()


def interrupt(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (130, b"", b"")


def has_loaded(process: subprocess.Popen[bytes], library: str) -> bool:
    return library in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.parametrize(
    ("arguments", "begun"),
    [
        (["plot", "-o", "out", "--only", "timeline_offset", "heatmap_token_tensor"], ".*.part.*"),
        (["animate", "-o", "out/film.mp4"], ".*.part.*"),
        (["parquet", "-o", "out/data"], ".data.*/new/accesses"),
    ],
    ids=["plot", "animate", "parquet"],
)
def test_while_a_file_is_written(arguments: list[str], begun: str, long: Path) -> None:
    Path("out").mkdir()
    process = started(arguments[0], long, *arguments[1:])
    wait_for(lambda: any(Path("out").glob(begun)), process)
    interrupt(process)
    assert os.listdir("out") == []


def test_in_a_notebook(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exception reaches the caller, and nothing half written stays."""

    def save(figure: Figure, path: Path, *more: str) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(paint, "save", save)
    with pytest.raises(KeyboardInterrupt):
        draw(tat.TraceAnalyzer(toy), Path("out"), only=["layers"])
    assert os.listdir("out") == []


@pytest.mark.parametrize("library", ["numpy", "_duckdb"])
def test_while_packages_are_imported_and_while_a_query_runs(library: str, toy: Path) -> None:
    process = started("sql", "SELECT sum(a.size * b.size * c.size) FROM accesses a, accesses b, accesses c", toy)
    wait_for(lambda: has_loaded(process, library), process)
    interrupt(process)


def test_a_film_shows_from_the_start_how_far_it_is(long: Path) -> None:
    terminal, of_command = pty.openpty()
    with started("animate", "-o", "film.mp4", long, stderr=of_command) as process:
        os.close(of_command)
        said = b""
        while b"film.mp4: frames" not in said:
            said += os.read(terminal, 4096)
        process.send_signal(signal.SIGINT)
    os.close(terminal)
    assert said.startswith(b"\r\x1b[Ktat animate: reading evaluations [")
    assert b"0 of 4,000" in said and b"2,048 of 4,000" in said
