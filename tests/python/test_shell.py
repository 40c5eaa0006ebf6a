# SPDX-License-Identifier: MIT
"""tat sql without a statement: a shell on a terminal, statements from a pipe."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from tat import shell

from conftest import command, run

PROMPT, MORE = "tat> ", r"\.\.\.> "


@pytest.fixture
def typed(toy: Path, tmp_path: Path) -> Iterator[pexpect.spawn]:
    child = spawn(toy, tmp_path)
    child.expect(PROMPT)
    yield child
    child.close(force=True)


def spawn(trace: Path, state: Path, columns: int = 80) -> pexpect.spawn:
    environment = {**os.environ, "XDG_STATE_HOME": str(state), "TERM": "dumb"}
    arguments = ["sql", str(trace)]
    child = pexpect.spawn(os.environ["TAT"], arguments, env=environment, dimensions=(24, columns), timeout=100)
    child.delaybeforesend = None
    return child


def answer(child: pexpect.spawn, line: str) -> str:
    child.sendline(line)
    child.expect(PROMPT)
    return str(child.before.decode())


def test_statements(typed: pexpect.spawn, toy: Path, tmp_path: Path) -> None:
    assert "accesses" in answer(typed, ".tables").split()
    assert "VARCHAR" in answer(typed, ".schema runs").upper() or "string" in answer(typed, ".schema runs")
    assert "there is no table nothing" in answer(typed, ".schema nothing")
    assert ".quit" in answer(typed, ".help")
    typed.sendline("SELECT 40")
    typed.expect(MORE)
    assert answer(typed, "+ 2 AS found, ';' AS mark;").split()[-4:] == ["FOUND", "MARK", "42", ";"]
    assert "Parser Error" in answer(typed, "SELEC 1;")  # and it goes on
    assert "2" in answer(typed, "SELECT 1 + 1;").split()
    typed.sendeof()
    typed.expect(pexpect.EOF)
    typed.close()
    assert typed.exitstatus == 0
    history = tmp_path / "tat" / "sql_history"
    assert history.stat().st_mode & 0o777 == 0o600
    assert "SELECT 40 + 2 AS found, ';' AS mark;" in history.read_text().splitlines()
    again = spawn(toy, tmp_path)
    again.expect(PROMPT)
    again.send("\x10")  # Control-P: the line before
    again.expect_exact("SELECT 1 + 1;")
    assert answer(again, "").split()[-1] == "2"
    again.sendline(".quit")
    again.expect(pexpect.EOF)


def test_interrupt(typed: pexpect.spawn) -> None:
    """What is typed is dropped. A statement that runs is not tried: DuckDB may not notice the key for minutes."""
    typed.send("SELECT not this")
    typed.expect_exact("SELECT not this")
    for _ in range(10):  # readline sleeps through a signal that comes right before it waits for a key
        typed.sendintr()
        if typed.expect([PROMPT, pexpect.TIMEOUT], timeout=10) == 0:
            break
    assert "7" in answer(typed, "SELECT 3 + 4;").split()


def test_width(toy: Path, tmp_path: Path) -> None:
    child = spawn(toy, tmp_path, columns=50)
    child.expect(PROMPT)
    child.sendline("SELECT * FROM accesses;")
    child.expect(PROMPT)
    lines = child.before.decode().replace("\r", "").split("\n")[1:]
    assert max(map(len, lines)) <= 50
    assert any("more columns" in line for line in lines)
    assert "(only the first 200 rows)" in lines
    child.sendeof()
    child.expect(pexpect.EOF)


def test_from_a_pipe(toy: Path) -> None:
    def told(text: str, *options: str) -> subprocess.CompletedProcess[str]:
        whole = [os.environ["TAT"], "sql", *options, str(toy)]
        return subprocess.run(whole, input=text, capture_output=True, text=True, check=False)

    done = told("SELECT 1 AS a; -- one\nSELECT ';' AS b, $$;$$ AS c", "--csv")
    assert (done.returncode, done.stdout) == (0, "a\n1\n\nb,c\n;,;\n")
    done = told("SELECT 1 AS a; SELEC 2; SELECT 3 AS c")
    assert (done.returncode, done.stdout) == (2, "A\n1\n\n")
    assert "Parser Error" in done.stderr
    assert told(" -- nothing\n;").returncode == 2


def test_a_name_is_no_statement(toy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("SELECT count(*) AS n FROM runs"))
    assert command("sql", toy).stdout == "N\n1\n"
    monkeypatch.setenv("TAT_DIR", str(toy.parent))
    assert "no such" not in run(os.environ["TAT"], "sql", "SHOW TABLES", toy)


def test_split() -> None:
    assert shell.split("a; b 'c;''d'; /* ; */ \"e;f\" $x$;$x$ -- ;\n g") == (
        ["a", "b 'c;''d'"],
        ' /* ; */ "e;f" $x$;$x$ -- ;\n g',
    )
    for unfinished in ("SELECT 'a;", 'SELECT "a;', "SELECT /* ;", "SELECT $$ ;", "SELECT -- ;"):
        assert shell.split(unfinished) == ([], unfinished)
    assert shell.split(" ; -- nothing\n /* at all */ ;") == ([], "")
