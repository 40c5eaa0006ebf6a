# SPDX-License-Identifier: MIT
"""tat sql: queries over traces or a dataset."""

from __future__ import annotations

import argparse
import csv
import datetime
import itertools
import json
import math
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any

from tat import cli, filters, shell
from tat.database import BY_HEAD, TABLES, Database
from tat.queries import QUERIES

_EXAMPLES = """
Examples:
  tat sql "SELECT layer, sum(size) FROM accesses GROUP BY layer ORDER BY layer"
  tat sql --query hot-tensors run_1 run_2        a template, for two traces
  tat sql --query experts --csv traces.parquet   for a dataset of `tat parquet`
  tat sql --query layers --show                  its SQL, as a starting point
  tat sql "DESCRIBE accesses"                    the columns of a table
  tat sql --at 4096:8191 "SELECT DISTINCT tensor FROM accesses"   of these bytes
  tat sql                                        a shell on a terminal
  tat sql run_1 < statements.sql                 as many as the file has

The tables are runs, accesses, tensors, evaluations, tokens, routing and events.
Runs of `tat record --io` have rows in faults, placed_requests, placed_pages,
requests, page_cache, residency, io_files, io_extents, io_counters, io_sources.
Of traces there is also accesses_by_head: accesses with attention split by head.
Filters choose the records of both; a table of a trace has no others then.
On a trace, every query computes the access records again. To run several
queries on a large trace, convert it with `tat parquet` first.
"""

Row = Sequence[Any]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tat sql",
        usage="tat sql [OPTION...] [SQL|--query NAME] [TRACE...|DATASET]",
        description="Queries traces with SQL, in the dialect of DuckDB.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "words",
        nargs="*",
        metavar="SQL, TRACE",
        help="the statement, then traces or a dataset; default: statements from the terminal or standard input, and "
        "the newest trace",
    )
    parser.add_argument(
        "-q", "--query", choices=list(QUERIES), metavar="NAME", help="run a template instead of a statement"
    )
    parser.add_argument("-l", "--list", action="store_true", help="list the templates")
    parser.add_argument("--show", action="store_true", help="print the template's SQL without running it")
    parser.add_argument(
        "--engine",
        choices=["duckdb", "spark"],
        default="duckdb",
        help="the engine that runs the query; spark needs PySpark and a dataset; default: duckdb",
    )
    shape = parser.add_mutually_exclusive_group()
    shape.add_argument("--csv", action="store_true", help="print comma-separated values")
    shape.add_argument("--json", action="store_true", help="print an array of objects")
    filters.add_options(parser)
    return parser


# ------------------------------------------------------------------------------------------------------------ output


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)


def _put_json(names: list[str], rows: Iterator[Row]) -> None:
    before = "["
    for row in rows:
        cells = {name: _plain(value) for name, value in zip(names, row, strict=True)}
        print(before, json.dumps(cells, ensure_ascii=False), sep="\n", end="")
        before = ","
    print("[]" if before == "[" else "\n]")


def _put_csv(names: list[str], rows: Iterator[Row]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows(["" if cell is None else cell for cell in map(_plain, row)] for row in rows)


def _cell(value: Any) -> str:
    value = _plain(value)
    text = "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
    return "".join(c if c.isprintable() else "?" for c in text)  # names come from files


def _table(names: list[str], values: list[Row]) -> tuple[list[list[str]], list[bool]]:
    """The cells, with a title above, and which columns are numbers."""
    cells = [[_cell(value) for value in row] for row in values]
    right = [all(isinstance(row[i], (int, float, Decimal, type(None))) for row in values) for i in range(len(names))]
    return [[name.upper() for name in names], *cells], right


def _print_table(table: list[list[str]], right: list[bool]) -> None:
    width = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in table:
        line = (cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, width, right, strict=False))
        print(" ".join(line).rstrip())


def _put_table(names: list[str], rows: Iterator[Row]) -> None:
    _print_table(*_table(names, list(rows)))


_SHOWN = 200  # rows


def _put_screen(names: list[str], rows: Iterator[Row]) -> None:
    """As much as a person looks at."""
    values = list(itertools.islice(rows, _SHOWN + 1))
    table, right = _table(names, values[:_SHOWN])
    fitting = shell.fit(table, right)
    _print_table(fitting, right)
    left_out = len(names) - len(fitting[0])
    if left_out:
        print(f"({left_out} more columns: the terminal is too narrow)")
    if len(values) > _SHOWN:
        print(f"(only the first {_SHOWN} rows)")


def _put_list() -> None:
    rows = ((name, (query.__doc__ or "").strip()) for name, query in QUERIES.items())
    _put_table(["query", "result"], rows)


# ----------------------------------------------------------------------------------------------------------- command


def _is_statement(word: str) -> bool:
    """What has a space or names no file; a trace can be named without its folder."""
    return any(c.isspace() for c in word) or not (os.path.exists(word) or word.startswith("run_"))


def main(argv: list[str] | None = None) -> int:
    """Run the command."""
    parser = _parser()
    options = parser.parse_args(filters.arguments(argv))
    if options.list:
        _put_list()
        return 0
    if options.show and not options.query:
        parser.error("--show needs --query NAME")
    one = bool(options.query or (options.words and _is_statement(options.words[0])))
    if one and not options.query and shell.split(options.words[0]) == ([], ""):
        parser.error(f"'{options.words[0]}' is not an SQL statement")
    paths = options.words if options.query or not one else options.words[1:]
    put: Callable[[list[str], Iterator[Row]], None] = _put_table
    if options.json or options.csv:
        put = _put_json if options.json else _put_csv
    piped = "" if one or sys.stdin.isatty() else sys.stdin.read()
    if not one and not sys.stdin.isatty() and shell.split(piped) == ([], ""):
        parser.error(f"give an SQL statement or --query NAME; the tables are {', '.join((*TABLES, BY_HEAD))}")
    with Database(*paths, engine=options.engine, filters=filters.given(options)) as database:
        if one:
            text = database.query_sql(options.query) if options.query else options.words[0]
            if options.show:
                print(text)
            else:
                put(*database.rows(text))
        elif piped:
            shell.run_all(database, piped, put)
        else:
            shell.Shell(database, _put_screen if put == _put_table and sys.stdout.isatty() else put).run()
    return 0


if __name__ == "__main__":
    sys.exit(cli.run("sql", main))
