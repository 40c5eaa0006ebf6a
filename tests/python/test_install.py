# SPDX-License-Identifier: MIT
"""What `make install` installs of the package, moved elsewhere; and the making of its environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tat

from conftest import run

SOURCE = Path(os.environ["SOURCE"])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("install")
    run(os.environ["CMAKE"], "--install", os.environ["BUILD"], "--prefix", folder / "made", DESTDIR="")
    return (folder / "made").rename(folder / "moved here")


def plain(**more: str) -> dict[str, str]:
    """An environment that says nothing of where things are."""
    ours = ("TAT_LIBRARY", "PYTHONPATH", "TAT_PYTHON", "BUILD")
    return {name: value for name, value in os.environ.items() if name not in ours} | more


def test_without_packages_it_names_the_command(tree: Path, toy: Path) -> None:
    for command in ("parquet", "sql"):
        done = subprocess.run([tree / "bin/tat", command], check=False, capture_output=True, text=True, env=plain())
        assert done.returncode == 4
        lines = done.stderr.splitlines()
        assert len(lines) == 2
        assert Path(lines[1].strip().strip("'")) == tree / "libexec/tat/setup-python"
        assert os.access(tree / "libexec/tat/setup-python", os.X_OK)


def test_with_packages_for_pictures_only(tree: Path) -> None:
    """What draws is run; what queries names the command that installs the rest."""
    environment = tree / "libexec/tat/env"
    (environment / "lib/python3.99/site-packages/matplotlib").mkdir(parents=True)
    (environment / "bin").mkdir()
    (environment / "bin/python3").write_text('#!/bin/sh\necho "$@, $TAT_SETUP_PYTHON"\n')
    (environment / "bin/python3").chmod(0o755)
    try:
        for command, status in (("plot", 0), ("animate", 0), ("sql", 4), ("parquet", 4)):
            done = subprocess.run([tree / "bin/tat", command], check=False, capture_output=True, text=True, env=plain())
            assert done.returncode == status
            said = done.stderr if status else done.stdout
            assert said.strip().endswith(f"'{tree}/libexec/tat/setup-python'")
            assert status or (said.startswith("-c ") and f"run_module('tat.{command}'" in said)
    finally:
        shutil.rmtree(environment)
    done = subprocess.run([tree / "bin/tat", "plot"], check=False, capture_output=True, text=True, env=plain())
    assert (done.returncode, done.stderr.split()[-1]) == (4, "plot")


def test_with_packages(tree: Path, toy: Path) -> None:
    environment = plain(TAT_PYTHON=sys.executable)
    statement = "SELECT count(*) AS n FROM accesses"
    (Path.cwd() / "tat").mkdir()  # no folder in the way is taken for the package
    (Path.cwd() / "numpy.py").write_text("raise SystemExit(9)")
    found = subprocess.run(
        [tree / "bin/tat", "sql", "--csv", statement, toy], check=True, capture_output=True, text=True, env=environment
    )
    assert found.stdout.split() == ["n", str(len(tat.TraceAnalyzer(toy).accesses()))]
    code = "import tat._library as l; print(l.library()._name)"
    where = plain(PYTHONPATH=str(tree / "libexec/tat/python"))
    found = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True, env=where)
    assert Path(found.stdout.strip()) == tree / "lib/libtat.so.0"
    assert not (tree / "lib/libtat.so").exists()  # -ltat stays libtat.a


def test_a_library_that_is_missing(toy: Path) -> None:
    for named in ("/nowhere/libtat.so.0", sys.executable):
        code = f"import tat; tat.TraceAnalyzer({str(toy)!r})"
        done = subprocess.run(
            [sys.executable, "-c", code],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "TAT_LIBRARY": named},
        )
        assert "TatError" in done.stderr
        assert "TAT_LIBRARY" in done.stderr


def setup_python(*arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SOURCE / "python/setup-python", *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **more},
    )


def test_environment_is_made_once() -> None:
    Path("one.txt").write_text("# nothing\n")
    Path("two.txt").write_text("--constraint pins.txt\n")
    Path("pins.txt").write_text("# nothing more\n")
    first = setup_python("env", "one.txt", "two.txt")
    assert first.returncode == 0, first.stderr
    run("env/bin/python3", "-c", "import pip")
    made = os.stat("env").st_ino
    again = setup_python("env", "one.txt", "two.txt")
    assert (again.returncode, again.stderr, os.stat("env").st_ino) == (0, "", made)
    Path("pins.txt").write_text("# other things\n")
    assert setup_python("env", "one.txt", "two.txt").returncode == 0
    assert os.stat("env").st_ino != made
    assert sorted(os.listdir()) == ["env", "one.txt", "pins.txt", "two.txt"]


def test_without_network_it_fails_loudly() -> None:
    Path("wanted.txt").write_text("tat-needs-this==1\n")
    offline = {
        "PIP_INDEX_URL": "http://127.0.0.1:9/",
        "PIP_RETRIES": "0",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_CONFIG_FILE": os.devnull,
    }
    done = setup_python("env", "wanted.txt", **offline)
    assert done.returncode == 4
    assert "tat-needs-this" in done.stderr
    assert "network" in done.stderr
    assert os.listdir() == ["wanted.txt"]


def test_pins_fit_together() -> None:
    """What is pinned is installed here, and nothing that it needs is missing or another."""
    run(sys.executable, "-m", "pip", "check")


def test_make_install_without_python() -> None:
    def steps(*more: str) -> str:
        return run("make", "-n", "-C", SOURCE, "install", "PREFIX=/tmp/none", *more)

    assert "/tmp/none/libexec/tat/setup-python" in steps()
    assert "/tmp/none/libexec/tat/setup-python plot" in steps("WITH_PYTHON=plot")
    assert "setup-python" not in steps("WITH_PYTHON=no") + steps("DESTDIR=/tmp/stage")
