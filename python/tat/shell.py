# SPDX-License-Identifier: MIT
"""Statements one after the other: from a person at a terminal, or from a pipe."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from tat import cli
from tat.database import Database
from tat.errors import TatError

Put = Callable[[list[str], Iterator[Sequence[Any]]], None]

_HELP = """Statements end with ; and may have several lines. Ctrl-C ends a statement, Ctrl-D the shell.
  .tables          the names of the tables
  .schema [TABLE]  the columns of all tables, or of one
  .help            this text
  .quit            end"""

# Quotes, names in quotes, comments and dollar quotes, in which ; means nothing; each may lack its end.
_PIECE = re.compile(
    r"""'(?:[^']|'')*(?:'|\Z)|"(?:[^"]|"")*(?:"|\Z)|--[^\n]*|/\*.*?(?:\*/|\Z)|(\$\w*\$).*?(?:\1|\Z)|;|.""", re.DOTALL
)
_COMMENT = re.compile(r"--|/\*")


def split(text: str) -> tuple[list[str], str]:
    """The statements that end with ;, and what comes behind the last one, or "" if that says nothing."""
    found, begin, says = [], 0, False
    for piece in _PIECE.finditer(text):
        if piece.group() == ";":
            if says:
                found.append(text[begin : piece.start()].strip())
            begin, says = piece.end(), False
        else:
            says |= not piece.group().isspace() and not _COMMENT.match(piece.group())
    return found, text[begin:] if says else ""


def run_all(database: Database, text: str, put: Put) -> None:
    """Run the statements of a text. Raises TatError at the first that fails."""
    statements, rest = split(text)
    statements += [rest] if rest else []
    for number, statement in enumerate(statements):
        if number:
            print()
        put(*database.rows(statement))


class Shell:
    """Asks for statements on a terminal until its end."""

    def __init__(self, database: Database, put: Put) -> None:
        """Begin to ask; `put` prints what a statement finds."""
        self._database = database
        self._put = put
        self._commands = {".tables": self._tables, ".schema": self._schema, ".help": self._help}

    def run(self) -> None:
        """Return at the end of the input, or at .quit."""
        with cli.interruptible(), _History() as history:
            history.complete(self._words())
            print('Statements end with ";"; ".help" tells more.')
            while self._turn(history):
                pass

    def _turn(self, history: _History) -> bool:
        """Ask and answer once; False at the end. Ctrl-C may come anywhere in it."""
        try:
            text = self._read()
            if text is None:
                print()
                return False
            history.add(text)
            if text.split()[0] in (".quit", ".exit"):
                return False
            self._answer(text)
        except KeyboardInterrupt:
            print("\ninterrupted", file=sys.stderr)
        return True

    def _read(self) -> str | None:
        """A command or whole statements; None at the end. Ctrl-C drops what was typed so far."""
        text = ""
        while True:
            try:
                line = input("...> " if text else "tat> ")
            except EOFError:
                return None
            except KeyboardInterrupt:
                print()
                text = ""
                continue
            if not text and line.lstrip().startswith("."):
                return line.strip()
            text += line + "\n"
            statements, rest = split(text)
            if statements and not rest:
                return text.strip()
            if not statements and not rest and not text.strip():
                text = ""

    def _answer(self, text: str) -> None:
        try:
            if text.startswith("."):
                self._command(*text.split())
            else:
                run_all(self._database, text, self._put)
        except TatError as error:
            print(error, file=sys.stderr)
        except RuntimeError as error:  # DuckDB makes one of KeyboardInterrupt
            if "interrupt" not in str(error).lower():
                raise
            raise KeyboardInterrupt from error

    def _command(self, name: str, *arguments: str) -> None:
        if name in self._commands:
            self._commands[name](*arguments)
        else:
            print(f"there is no command {name}; .help lists them", file=sys.stderr)

    def _tables(self, *_: str) -> None:
        print(*self._database.tables, sep="\n")

    def _schema(self, *names: str) -> None:
        for name in names or self._database.tables:
            if name not in self._database.tables:
                print(f"there is no table {name}; .tables lists them", file=sys.stderr)
                continue
            schema = self._database[name].schema()
            self._put([name, "type"], iter([(column, str(kind)) for column, kind in schema.items()]))
            print()

    def _help(self, *_: str) -> None:
        print(_HELP)

    def _words(self) -> list[str]:
        columns = {column for table in self._database.tables.values() for column in table.columns}
        return sorted(columns | set(self._database.tables) | set(self._commands) | {".quit"})


class _History:
    """What was typed before, in $XDG_STATE_HOME/tat/sql_history; nothing where there is no readline."""

    _MOST = 1000

    def __init__(self) -> None:
        state = os.environ.get("XDG_STATE_HOME", "")
        folder = Path(state) if os.path.isabs(state) else Path.home() / ".local" / "state"
        self._path = folder / "tat" / "sql_history"
        self._readline: Any = None

    def __enter__(self) -> _History:
        with suppress(ImportError):
            import readline  # noqa: PLC0415  (not every Python has it)

            self._readline = readline
            readline.set_auto_history(False)
            readline.parse_and_bind("tab: complete")
            readline.set_completer_delims(" \t\n(),;=<>*+-/\"'")
            with suppress(OSError):
                readline.read_history_file(self._path)
        return self

    def complete(self, words: Sequence[str]) -> None:
        if self._readline:
            self._readline.set_completer(lambda begun, n: [*(w for w in words if w.startswith(begun)), None][n])

    def add(self, text: str) -> None:
        if self._readline:
            self._readline.add_history(" ".join(text.split("\n")))

    def __exit__(self, *_: object) -> None:
        if not self._readline:
            return
        with suppress(OSError):  # then there is none next time
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.touch(mode=0o600)
            self._readline.set_history_length(self._MOST)
            self._readline.write_history_file(self._path)


# ---------------------------------------------------------------------------------------------------------- narrow


def fit(table: list[list[str]], right: list[bool]) -> list[list[str]]:
    """Cells of text are cut so that the table fits the terminal; columns that find no room are left out."""
    room = shutil.get_terminal_size().columns
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    least = [width if is_number else min(width, 8) for width, is_number in zip(widths, right, strict=True)]
    kept = len(widths)
    while kept > 1 and sum(least[:kept]) + kept - 1 > room:
        kept -= 1
    while sum(widths[:kept]) + kept - 1 > room:
        widest = max(range(kept), key=lambda i: (widths[i] - least[i], widths[i]))
        if widths[widest] <= least[widest]:
            break
        widths[widest] -= 1
    return [[_cut(cell, width) for cell, width in zip(row, widths[:kept], strict=False)] for row in table]


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: width - 1] + "…"
