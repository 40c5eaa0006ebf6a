# SPDX-License-Identifier: MIT
"""Traces to test with, and results as TAP.

From the environment: TAT and HOST (a host that the agent is linked into); LLAMA and MODELS, where a real llama.cpp and
models are; CC and SOURCE, the project.
"""

from __future__ import annotations

import importlib
import io
import os
import shutil
import signal
import subprocess
from collections.abc import Generator, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tat
from tat import cli

from io_run import IoRun, beside, made


def run(*command: str | Path, statuses: tuple[int, ...] = (0,), **environment: str) -> str:
    """What a command prints; it must end with one of the statuses."""
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    assert done.returncode in statuses, f"{command}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass
class Said:
    stdout: str
    stderr: str


def command(module: str, *arguments: str | Path, status: int = 0) -> Said:
    """What a command of the package says, run in this process; it must end with the status."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        try:
            found = cli.run(module, lambda: importlib.import_module(f"tat.{module}").main(list(map(str, arguments))))
        except SystemExit as end:  # of argparse
            found = end.code if isinstance(end.code, int) else 1
    assert found == status, err.getvalue()
    return Said(out.getvalue(), err.getvalue())


def needed(variable: str, *names: str, maker: str) -> Path:
    """A file that a script makes; the test is skipped without it."""
    path = Path(os.environ[variable], *names)
    if not path.exists():
        pytest.skip(f"no {path.name}: {maker} makes it")
    return path


# ------------------------------------------------------------------------------------------------------------ traces


class Toy:
    """Makes traces with the fake host, whose toy model has experts in three layers."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        run(os.environ["HOST"], "--write", folder / "toy.gguf")

    def __call__(self, name: str, graphs: int, **environment: str) -> Path:
        made = self._folder / f"{name}.made"
        run(os.environ["HOST"], "-g", str(graphs), self._folder / "toy.gguf", TAT_DIR=str(made), **environment)
        (trace,) = made.glob("run_*")
        return trace.rename(self._folder / name)


@pytest.fixture(scope="session")
def toy_maker(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    return Toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def toy(toy_maker: Toy) -> Path:
    """40 graphs: a prompt of 5 tokens, then one by one."""
    return toy_maker("toy", 40)


@pytest.fixture(scope="session")
def other_toy(toy_maker: Toy) -> Path:
    """A second run."""
    return toy_maker("other", 7)


@pytest.fixture(scope="session")
def private_toy(toy_maker: Toy) -> Path:
    return toy_maker("private", 5, TAT_PRIVATE="1")


@pytest.fixture(scope="session")
def outside(toy_maker: Toy) -> Path:
    """A run of which no token was asked for: graphs, but no access records."""
    return toy_maker("outside", 5, TAT_TOKENS="1000:2000")


def cut(trace: Path, name: str, size: int) -> Path:
    """A copy of which only the first bytes are left, as after a crash; without what stands beside it."""
    folder = trace.parent / name
    folder.mkdir()
    with (trace / "tensor_access.bin").open("rb") as file:
        (folder / "tensor_access.bin").write_bytes(file.read(size))
    return folder


@pytest.fixture(scope="session")
def recorded(toy: Path) -> IoRun:
    """The same with I/O events, which are made up."""
    return made(toy, "toy_io")


@pytest.fixture(scope="session")
def empty(toy: Path) -> Path:
    """A header and nothing else."""
    return cut(toy, "empty", 4096)


@pytest.fixture(scope="session")
def cut_off(toy: Path) -> Path:
    """Two thirds of the file, which end within a block."""
    return cut(toy, "cut", (toy / "tensor_access.bin").stat().st_size * 2 // 3)


def record(folder: Path, model: Path, *arguments: str, options: tuple[str, ...] = ()) -> Path:
    program = needed("LLAMA", "llama-completion", maker="scripts/get-llama.sh")
    plain = ("--temp", "0", "-no-cnv", "--ignore-eos")
    run(os.environ["TAT"], "record", *options, "-o", folder, "--", program, "-m", model, *plain, *arguments)
    return folder


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of the model with 8 experts: warm-up, a prompt, 9 tokens. Its I/O events are made up."""
    model = needed("MODELS", "SmolLM2-8x2.gguf", maker="scripts/get-fixtures.sh")
    folder = tmp_path_factory.mktemp("real") / "real"
    record(folder, model, "-p", "The three laws of robotics are", "-n", "10")
    beside(folder)
    return folder


@pytest.fixture(scope="session")
def many_experts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of a model with 32 experts and repacked weights."""
    model = needed("MODELS", "random-gpt-oss.gguf", maker="scripts/get-fixtures.sh")
    return record(tmp_path_factory.mktemp("many") / "many", model, "-p", "a b c", "-n", "20")


@pytest.fixture(scope="session")
def one_token(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run that evaluates one token."""
    model = needed("MODELS", "random-llama.gguf", maker="scripts/get-fixtures.sh")
    return record(tmp_path_factory.mktemp("one") / "one", model, "--no-warmup", "-p", "a", "-n", "1")


@pytest.fixture(scope="session")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run of two threads, timed until the slower one was done."""
    model = needed("MODELS", "random-llama.gguf", maker="scripts/get-fixtures.sh")
    folder = tmp_path_factory.mktemp("exact") / "exact"
    return record(folder, model, "-p", "a b c", "-n", "6", "-t", "2", options=("--exact-time",))


ALL = ["toy", "real", "one_token", "empty", "cut_off", "private_toy", "outside"]


@pytest.fixture(params=ALL)
def any_trace(request: pytest.FixtureRequest) -> Path:
    """Each kind of trace."""
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.fixture
def analyzer(any_trace: Path) -> Iterator[tat.TraceAnalyzer]:
    with tat.TraceAnalyzer(any_trace) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds traces that it did not name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAT_DIR", raising=False)


# -------------------------------------------------------------------------------------------------------------- hangs

HUNG = 600  # seconds: many times what the slowest test takes where other programs run beside it


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Ends and names a test that hangs, and goes on with the next."""

    def end(*_: object) -> None:
        pytest.fail(f"{item.nodeid} has not ended after {HUNG} s")

    signal.signal(signal.SIGALRM, end)
    signal.alarm(HUNG)
    try:
        return (yield)
    finally:
        signal.alarm(0)


# --------------------------------------------------------------------------------------------------------------- TAP


class Tap:
    """A line a test, which scripts/test.sh counts."""

    def __init__(self) -> None:
        self.count = 0

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when != "call" and report.outcome == "passed":
            return
        self.count += 1
        name = report.nodeid.replace("#", " ")
        result = "not ok" if report.outcome == "failed" else "ok"
        why = f" # skip {report.longrepr[2].removeprefix('Skipped: ')}" if report.outcome == "skipped" else ""
        print(f"\n{result} {self.count} {name}{why}", flush=True)


def pytest_configure(config: pytest.Config) -> None:
    if shutil.which(os.environ.get("TAT", "")) is None:
        raise pytest.UsageError("TAT names no program: these tests are run by ctest")
    config.pluginmanager.register(Tap())
