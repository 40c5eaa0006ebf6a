#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""python_commands.py: prints src/cli/python_commands.inc, the options of the commands in Python, from their parsers.

From it, `tat` makes their completions and man pages without running Python. Run it where the package's requirements are:

    PYTHONPATH=python $(scripts/get-python.sh --print) scripts/python_commands.py > src/cli/python_commands.inc
"""

from __future__ import annotations

import argparse
import importlib
import re
from unittest import mock

SUMMARIES = {
    "animate": "make a film of a trace",
    "parquet": "write traces as a Parquet dataset",
    "plot": "draw a trace: heatmaps, timelines, bars, curves",
    "sql": "query traces with SQL",
}
FORMATS = ("png", "mp4")  # stay as they are at the beginning of a sentence


class Parsed(Exception):
    """Carries the parser of a command out of it."""


def parser_of(name: str) -> argparse.ArgumentParser:
    def hand_over(parser: argparse.ArgumentParser, *_: object) -> None:
        raise Parsed(parser)

    module = importlib.import_module(f"tat.{name}" if name in ("parquet", "sql") else f"tat.{name}.cli")
    try:
        with mock.patch.object(argparse.ArgumentParser, "parse_args", hand_over):
            module.main([])
    except Parsed as found:
        parser: argparse.ArgumentParser = found.args[0]
        return parser
    raise AssertionError(f"{name} parses nothing")


def quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def value_of(action: argparse.Action) -> str | None:
    """What stands for the option's value; words to choose from with | between them."""
    if action.nargs == 0:
        return None
    if action.choices:
        return "|".join(map(str, action.choices))
    return str(action.metavar or action.dest.upper())


def option(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    longs = [s.removeprefix("--") for s in action.option_strings if s.startswith("--")]
    letters = [s[1] for s in action.option_strings if not s.startswith("--")]
    key = f"'{letters[0]}'" if letters else str(256 + parser._actions.index(action))
    told = parser._get_formatter()._expand_help(action)
    if told.split()[0].strip(",") not in FORMATS:
        told = told[:1].upper() + told[1:]
    flags = "OPTION_ARG_OPTIONAL" if action.nargs == "?" else "0"
    return f"    {{ {quoted(longs[0] if longs else None)}, {key}, {quoted(value_of(action))}, {flags}, {quoted(told)}, 0 }},"


def operands(parser: argparse.ArgumentParser) -> str:
    if parser.usage:  # "tat sql [OPTION...] SQL [TRACE...]"
        return re.sub(r"^tat \w+ (\[OPTION\.\.\.\] )?", "", parser.usage)
    forms: dict[object, str] = {"?": "[{}]", "*": "[{}...]", "+": "{}...", None: "{}"}
    return " ".join(forms[a.nargs].format(a.metavar or a.dest) for a in parser._actions if not a.option_strings)


def parts(parser: argparse.ArgumentParser) -> tuple[str, str | None]:
    """The description with what the epilog adds, and the examples."""
    epilog = (parser.epilog or "").strip()
    found = re.search(r"Examples:\n(.*?)(\n\n|\Z)", epilog, re.DOTALL)
    rest = epilog.replace(found.group(), "") if found else epilog
    paragraphs = [" ".join(p.split()) for p in ((parser.description or "") + "\n\n" + rest).split("\n\n")]
    return "\n\n".join(p for p in paragraphs if p), found.group(1) if found else None


def main() -> None:
    print("/* Made by scripts/python_commands.py from the parsers in python/tat. Do not edit. */")
    commands = []
    for name, summary in SUMMARIES.items():
        parser = parser_of(name)
        given = [a for a in parser._actions if a.option_strings and a.help != argparse.SUPPRESS and a.dest != "help"]
        print(f"static const struct argp_option {name}_options[] = {{")
        print(*(option(action, parser) for action in given), sep="\n")
        print("    { 0 },\n};")
        description, examples = parts(parser)
        texts = ", ".join(map(quoted, (name, summary, operands(parser), description, examples)))
        commands.append(f"    {{ {texts}, {name}_options, NULL }},")
    print("static const struct command python_commands[] = {", *commands, "};", sep="\n")


if __name__ == "__main__":
    main()
