# SPDX-License-Identifier: MIT
"""tat plot: draws all plots of a trace that apply."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tat import ErrorKind, TatError, TraceAnalyzer, cli, output
from tat.plot import compare
from tat.plot.chart import AbsentError, Chart, Footer
from tat.plot.compare import COMPARED, Compared, Run
from tat.plot.paper import PAPERS, SCREEN, Look
from tat.plot.registry import PLOTS, Plot
from tat.plot.source import Source
from tat.runs import resolve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FORMATS = ("png", "svg", "pdf")
STATISTICS = "statistics.json"


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tat plot",
        description="Plots a trace: heatmaps, timelines, bars, curves. Writes into the trace's folder analysis/ and "
        "prints the path of each file. Says which plots it leaves out because they do not apply, such as the experts "
        "of a dense model. Several traces are compared in one picture for each plot for which that makes sense: "
        f"{', '.join(plot.name for plot in COMPARED)}.",
        epilog=f"The plots are {', '.join(plot.name for plot in PLOTS)}. Exit status: 0 success; 1 nothing to plot; "
        "2 wrong usage; 3 no trace; 4 cannot write.",
    )
    parser.add_argument(
        "trace",
        nargs="*",
        metavar="TRACE",
        help="folder, file or name of a trace; default: newest. Several are compared; NAME=TRACE sets the name that "
        "pictures give a run",
    )
    parser.add_argument("--only", nargs="+", action="extend", metavar="NAME", help="draw only these plots")
    parser.add_argument("--format", default="png,svg", metavar="LIST", help="some of png, svg, pdf; default: png,svg")
    parser.add_argument(
        "--width",
        choices=list(PAPERS),
        help="draw for a paper, at the size of print: a column is 84 mm wide, a page 174 mm; text has 6 to 8 points",
    )
    parser.add_argument(
        "--no-title",
        action="store_true",
        help="leave out title, notes and footer; print them as a caption behind the path, after a tab",
    )
    parser.add_argument(
        "--html",
        action="store_true",
        help="write a folder of pages with zoom, hover, filter and export instead of pictures, html/ by default",
    )
    parser.add_argument("--with-text", action="store_true", help="print the path of the trace on each plot")
    parser.add_argument("-o", "--output", metavar="DIR", help="write into DIR")
    return parser


def _check(names: Sequence[str] | None, known: Iterable[str]) -> None:
    """Raises TatError (USAGE) for an unknown name of a plot."""
    for name in names or ():
        if name not in known:
            hint = "traces go before --only" if Path(name).exists() else f"choose from {', '.join(known)}"
            raise TatError(ErrorKind.USAGE, f"there is no plot '{name}'; {hint}")


def _chosen(names: Sequence[str] | None) -> list[Plot]:
    """The plots with these names. Raises TatError (USAGE) for an unknown name."""
    _check(names, [plot.name for plot in PLOTS])
    return [plot for plot in PLOTS if not names or plot.name in names]


def _formats(text: str, pages: bool) -> list[str]:
    if pages:
        return ["html"]
    formats = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not formats or set(formats) - set(_FORMATS):
        raise TatError(ErrorKind.USAGE, f"--format {text}: choose from {', '.join(_FORMATS)}")
    return formats


def _caption(chart: Chart, footer: Footer) -> str:
    """All that a picture without title does not say."""
    return " ".join(part for part in (chart.title, chart.subtitle, f"{footer}.") if part)


def _write(chart: Chart, footer: Footer, name: str, folder: Path, how: How) -> list[Path]:
    """Writes each file whole or not at all. Pictures load matplotlib only."""
    written, figure = [], None
    for suffix in how.formats:
        path = folder / f"{name}.{suffix}"
        with output.whole(path) as part:
            if suffix == "html":
                from tat.plot import page  # noqa: PLC0415

                part.write_text(page.page(name, chart, footer), encoding="utf-8")
            else:
                from tat.plot import paint  # noqa: PLC0415

                figure = figure or paint.draw(chart, footer, how.look, titled=how.titled)
                paint.save(figure, part, chart.title, _caption(chart, footer))
        written.append(path)
    return written


def _write_index(
    charts: dict[Plot | Compared, Chart], absent: dict[str, str], footer: Footer, folder: Path
) -> list[Path]:
    """What all pages of a folder share, and the page that leads to them."""
    from tat.plot import page, paint  # noqa: PLC0415

    cards = [page.Card(plot.name, plot.question, chart.title, paint.small(chart)) for plot, chart in charts.items()]
    texts = {page.LIBRARY: page.library(), page.INDEX: page.index(str(footer), cards, absent, footer)}
    for name, text in texts.items():
        with output.whole(folder / name) as part:
            part.write_text(text, encoding="utf-8")
    return [folder / page.INDEX]


def _write_statistics(source: Source, folder: Path) -> Path:
    path = folder / STATISTICS
    with output.whole(path) as part:
        text = json.dumps(source.statistics(), ensure_ascii=False, indent=2)
        part.write_text(f"{text}\n", encoding="utf-8", errors="replace")
    return path


def _check_pages(how: How) -> None:
    if "html" in how.formats and importlib.util.find_spec("plotly") is None:
        setup = os.environ.get("TAT_SETUP_PYTHON", "pip install plotly")
        raise TatError(
            ErrorKind.SYSTEM, f"pages need Plotly, which is not installed; this command installs it: {setup}"
        )


def _chart(plot: Plot, source: Source) -> Chart:
    chart = plot.make(source)
    return replace(chart, subtitle=f"{source.caveats()} {chart.subtitle}".strip())


@dataclass(frozen=True)
class How:
    """In what form plots are drawn."""

    formats: Sequence[str] = ("png", "svg")
    look: Look = SCREEN
    titled: bool = True


@dataclass(frozen=True)
class Drawn:
    """What was drawn."""

    files: dict[str, list[Path]]
    """Of each plot."""
    absent: dict[str, str]
    """Of each plot that does not apply: the reason."""
    captions: dict[str, str]
    """Of each plot: what a picture without title does not say."""
    more: list[Path]
    """The index of pages, the statistics."""


def _folder_of(trace: TraceAnalyzer) -> Path:
    return (trace.path if trace.path.is_dir() else trace.path.parent) / "analysis"


def draw(
    trace: TraceAnalyzer,
    folder: Path | None = None,
    *,
    only: Sequence[str] | None = None,
    formats: Sequence[str] = ("png", "svg"),
    width: str | None = None,
    titled: bool = True,
    with_text: bool = False,
) -> tuple[dict[str, list[Path]], dict[str, str]]:
    """Draws plots into a folder, by default the trace's `analysis`, or `html` in it for pages.

    Returns the files of each plot and, for plots that do not apply, the reason. `formats` are png, svg, pdf and html;
    `width` is None, "column" or "page". Raises TatError: USAGE for an unknown plot or width, SYSTEM for pages without
    Plotly; and OSError if a file cannot be written.
    """
    if width is not None and width not in PAPERS:
        raise TatError(ErrorKind.USAGE, f"there is no width '{width}'; choose from {', '.join(PAPERS)}")
    how = How(formats, PAPERS[width] if width else SCREEN, titled)
    done = _draw(trace, folder, only, how, with_text)
    return done.files, done.absent


def _draw(
    trace: TraceAnalyzer, folder: Path | None, only: Sequence[str] | None, how: How, with_text: bool = False
) -> Drawn:
    plots = _chosen(only)
    done = Drawn({}, {}, {}, [])
    _check_pages(how)
    try:
        source = Source(trace)
    except AbsentError as error:
        done.absent.update({plot.name: str(error) for plot in plots})
        return done
    footer = source.footer()
    if with_text:
        footer = Footer(f"{trace.path} · {footer.model}", footer.run)
    into = folder or _folder_of(trace) / ("html" if "html" in how.formats else "")
    _write_all([(plot, partial(_chart, plot, source)) for plot in plots], footer, into, how, done)
    if not only and done.files:
        try:
            done.more.append(_write_statistics(source, folder or _folder_of(trace)))
        except TatError as error:
            done.absent[STATISTICS] = str(error)
    return done


def _write_all(
    plots: Sequence[tuple[Plot | Compared, Callable[[], Chart]]], footer: Footer, folder: Path, how: How, done: Drawn
) -> None:
    """Draws those that apply; `done` says which."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    charts: dict[Plot | Compared, Chart] = {}
    for i, (plot, make) in enumerate(plots):
        if sys.stderr.isatty():
            print(f"\r\033[Ktat plot: {i + 1} of {len(plots)}: {plot.name}", end="", file=sys.stderr, flush=True)
        try:
            chart = make()
            done.files[plot.name] = _write(chart, footer, plot.name, folder, how)
            done.captions[plot.name] = _caption(chart, footer)
            charts[plot] = chart
        except (AbsentError, TatError) as error:  # one that does not fit the memory does not stop the others
            done.absent[plot.name] = str(error)
    if "html" in how.formats and charts:
        done.more.extend(_write_index(charts, done.absent, footer, folder))
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _compare(
    traces: dict[str, TraceAnalyzer], folder: Path | None, only: Sequence[str] | None, how: How, with_text: bool
) -> Drawn:
    """Draws several runs in one picture for each plot."""
    alone = [plot.name for plot in PLOTS if plot.name not in {one.name for one in COMPARED}]
    _check(only, [*(plot.name for plot in COMPARED), *alone])
    done = Drawn({}, {name: "it draws one run" for name in only or alone if name in alone}, {}, [])
    _check_pages(how)
    try:
        runs = [Run(name, Source(trace)) for name, trace in traces.items()]
    except AbsentError as error:
        raise TatError(ErrorKind.NO, f"there is nothing to compare: in one of the runs, {error}") from error
    footer, said = compare.footer_of(runs), compare.caveats(runs)
    if with_text:
        paths = "; ".join(f"{name}: {trace.path}" for name, trace in traces.items())
        footer = Footer(f"{paths} · {footer.model}", footer.run)
    into = folder or _folder_of(runs[0].source.trace) / "compared"
    if not folder and "html" in how.formats:
        into /= "html"

    def make(plot: Compared) -> Chart:
        chart = plot.make(runs)
        return replace(chart, subtitle=f"{said}{chart.subtitle}".strip())

    plots = [plot for plot in COMPARED if not only or plot.name in only]
    _write_all([(plot, partial(make, plot)) for plot in plots], footer, into, how, done)
    return done


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


def _named(given: Sequence[str]) -> dict[str, Path]:
    """Traces by the names that pictures give them: NAME=TRACE, or the name of the folder."""
    names, paths = [], []
    for one in given:
        name, equals, path = one.partition("=")
        if not (equals and name) or Path(one).exists():
            name, path = "", one
        paths.append(resolve(path))
        names.append(name or paths[-1].resolve().name)
    return dict(zip(compare.named(names), paths, strict=True))


def _run(arguments: Sequence[str] | None) -> int:
    asked = _arguments().parse_args(arguments)
    how = How(_formats(asked.format, asked.html), PAPERS[asked.width] if asked.width else SCREEN, not asked.no_title)
    folder = Path(asked.output) if asked.output else None
    with ExitStack() as opened:
        if len(asked.trace) > 1:
            traces = {name: opened.enter_context(TraceAnalyzer(path)) for name, path in _named(asked.trace).items()}
            done = _compare(traces, folder, asked.only, how, asked.with_text)
        else:
            trace = opened.enter_context(TraceAnalyzer(*asked.trace))
            done = _draw(trace, folder, asked.only, how, asked.with_text)
    for reason in dict.fromkeys(done.absent.values()):
        names = ", ".join(name for name, why in done.absent.items() if why == reason)
        print(f"tat plot: left out {names}: {reason}", file=sys.stderr)
    for name, paths in done.files.items():
        for path in paths:
            print(path, done.captions[name], sep="\t") if asked.no_title else print(path)
    if done.more:
        print(*done.more, sep="\n")
    return 0 if done.files else int(ErrorKind.NO)
