# SPDX-License-Identifier: MIT
"""tat plot: draws all plots of a trace that apply."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tat import ErrorKind, TatError, TraceAnalyzer, cli, output
from tat.plot.chart import AbsentError, Chart, Footer
from tat.plot.registry import PLOTS, Plot
from tat.plot.source import Source

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FORMATS = ("png", "svg")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tat plot",
        description="Plots a trace: heatmaps, timelines, bars, curves. Writes into the trace's folder analysis/ and "
        "prints the path of each file. Says which plots it leaves out because they do not apply, such as the experts "
        "of a dense model.",
        epilog=f"The plots are {', '.join(plot.name for plot in PLOTS)}. Exit status: 0 success; 1 nothing to plot; "
        "2 wrong usage; 3 no trace; 4 cannot write.",
    )
    parser.add_argument("trace", nargs="?", metavar="TRACE", help="folder, file or name of a trace; default: newest")
    parser.add_argument("--only", nargs="+", action="extend", metavar="NAME", help="draw only these plots")
    parser.add_argument("--format", default="png,svg", metavar="LIST", help="png, svg or both; default: png,svg")
    parser.add_argument(
        "--html", action="store_true", help="write pages with zoom, hover, filter and export instead of pictures"
    )
    parser.add_argument("--with-text", action="store_true", help="print the path of the trace on each plot")
    parser.add_argument("-o", "--output", metavar="DIR", help="write into DIR")
    return parser


def _chosen(names: Sequence[str] | None) -> list[Plot]:
    """The plots with these names. Raises TatError (USAGE) for an unknown name."""
    known = {plot.name: plot for plot in PLOTS}
    for name in names or ():
        if name not in known:
            raise TatError(ErrorKind.USAGE, f"there is no plot '{name}'; choose from {', '.join(known)}")
    return [plot for plot in PLOTS if not names or plot.name in names]


def _formats(text: str, pages: bool) -> list[str]:
    if pages:
        return ["html"]
    formats = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not formats or set(formats) - set(_FORMATS):
        raise TatError(ErrorKind.USAGE, f"--format {text}: choose from {', '.join(_FORMATS)}")
    return formats


def _write(chart: Chart, footer: Footer, name: str, folder: Path, formats: Sequence[str]) -> list[Path]:
    """Writes each file whole or not at all. Pictures load matplotlib only, and pages load Plotly only."""
    written, figure = [], None
    for suffix in formats:
        path = folder / f"{name}.{suffix}"
        with output.whole(path) as part:
            if suffix == "html":
                from tat.plot import page  # noqa: PLC0415

                part.write_text(page.page(name, chart, footer), encoding="utf-8")
            else:
                from tat.plot import paint  # noqa: PLC0415

                figure = figure or paint.draw(chart, footer)
                paint.save(figure, part, chart.title)
        written.append(path)
    return written


def _need_plotly() -> None:
    if importlib.util.find_spec("plotly") is None:
        setup = os.environ.get("TAT_SETUP_PYTHON", "pip install plotly")
        raise TatError(
            ErrorKind.SYSTEM, f"pages need Plotly, which is not installed; this command installs it: {setup}"
        )


def _chart(plot: Plot, source: Source) -> Chart:
    chart = plot.make(source)
    return replace(chart, subtitle=f"{source.caveats()} {chart.subtitle}".strip())


def draw(
    trace: TraceAnalyzer,
    folder: Path | None = None,
    *,
    only: Sequence[str] | None = None,
    formats: Sequence[str] = _FORMATS,
    with_text: bool = False,
) -> tuple[dict[str, list[Path]], dict[str, str]]:
    """Draws plots into a folder, by default the trace's `analysis`.

    Returns the files of each plot and, for plots that do not apply, the reason. `formats` are png, svg and html. Raises
    TatError: USAGE for an unknown plot, SYSTEM for pages without Plotly; and OSError if a file cannot be written.
    """
    drawn: dict[str, list[Path]] = {}
    absent: dict[str, str] = {}
    plots = _chosen(only)
    if "html" in formats:
        _need_plotly()
    try:
        source = Source(trace)
    except AbsentError as error:
        return drawn, {plot.name: str(error) for plot in plots}
    into = folder or (trace.path if trace.path.is_dir() else trace.path.parent) / "analysis"
    into.mkdir(parents=True, exist_ok=True, mode=0o700)
    footer = source.footer()
    if with_text:
        footer = Footer(f"{trace.path} · {footer.model}", footer.run)
    for i, plot in enumerate(plots):
        if sys.stderr.isatty():
            print(f"\r\033[Ktat plot: {i + 1} of {len(plots)}: {plot.name}", end="", file=sys.stderr, flush=True)
        try:
            drawn[plot.name] = _write(_chart(plot, source), footer, plot.name, into, formats)
        except (AbsentError, TatError) as error:  # one that does not fit the memory does not stop the others
            absent[plot.name] = str(error)
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return drawn, absent


def figure(trace: TraceAnalyzer | Source, name: str) -> Figure:
    """One plot as a matplotlib figure, for a notebook.

    Raises TatError: USAGE for an unknown plot, NO if the trace has nothing that it could show.
    """
    from tat.plot import paint  # noqa: PLC0415

    try:
        source = trace if isinstance(trace, Source) else Source(trace)
        return paint.draw(_chart(_chosen([name])[0], source), source.footer())
    except AbsentError as error:
        raise TatError(ErrorKind.NO, f"{name}: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: returns its exit status."""
    return cli.run("plot", lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    asked = _arguments().parse_args(arguments)
    formats = _formats(asked.format, asked.html)
    _chosen(asked.only)
    with TraceAnalyzer(asked.trace) as trace:
        folder = Path(asked.output) if asked.output else None
        drawn, absent = draw(trace, folder, only=asked.only, formats=formats, with_text=asked.with_text)
    for name, reason in absent.items():
        print(f"tat plot: left out {name}: {reason}", file=sys.stderr)
    for paths in drawn.values():
        print(*paths, sep="\n")
    return 0 if drawn else int(ErrorKind.NO)
