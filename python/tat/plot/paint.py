# SPDX-License-Identifier: MIT
"""Draws a chart with matplotlib: PNG for eyes, SVG and PDF for print."""

from __future__ import annotations

import io
import re
import textwrap
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import cm, colors, ticker
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from tat.plot.chart import EMPTY, HEAT, KEY, Axis, Bars, Chart, Floats, Footer, Heat, Lines, Panel, Points
from tat.plot.palette import LINES, MARKS, PALETTE
from tat.plot.paper import SCREEN, Look
from tat.plot.units import Scale, label_of, largest_of, scale_of

_DOTS_PER_INCH = 150
_DOTS_IN_PRINT = 300
_MOST_TICKS = 20
_MOST_WRITTEN_ROWS = 40
_ROOMY = (8, 12)
"""Columns and rows of cells in which words have room."""
_WRITTEN_LETTERS = 130
"""What fits side by side into cells."""
_STYLE: Any = {
    "font.family": ["DejaVu Sans", "sans-serif"],
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "tat",
    "pdf.fonttype": 42,
}


_DASHES = ("-", "--", ":", "-.")
_POINTS = 72
"""In an inch."""
_UPWARDS = 24
_LETTERS = 80
"""What stands side by side below a panel: more is turned."""


def thinned(ticks: tuple[tuple[float, str], ...], most: int = _MOST_TICKS) -> tuple[tuple[float, str], ...]:
    """Every n-th of the named places, so that at most `most` remain."""
    return ticks[:: max(1, -(-len(ticks) // most))]


def _columns_of(draws: Axes) -> int:
    """How many panels share the width of the picture."""
    grid = draws.get_gridspec()
    return grid.ncols if grid is not None else 1


def _by_thousands(axis: Any) -> None:
    axis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _legend(draws: Axes, look: Look, handles: list[Any] | None = None) -> None:
    """To the right of the panel; above it where the picture is narrow."""
    more: dict[str, Any] = {"handles": handles} if handles else {}
    if not look.is_narrow:
        draws.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, **more)
        return
    names = [one.get_label() for one in handles] if handles else draws.get_legend_handles_labels()[1]
    longest = max(map(len, map(str, names)), default=0)
    across = max(1, int(_LETTERS * look.room * 1.2 / (longest + 5)))
    tight: dict[str, Any] = {"borderaxespad": 0.1, "borderpad": 0.1, "labelspacing": 0.2, "columnspacing": 1.0}
    draws.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), frameon=False, ncols=across, **tight, **more)
    rows = -(-len(names) // across)
    if draws.get_title(loc="left"):
        draws.set_title(draws.get_title(loc="left"), pad=rows * look.small * 1.45 + 3)


def _in_lines(label: str) -> str:
    """A label that is written upwards beside a low panel."""
    return "\n".join(textwrap.wrap(label, _UPWARDS))


def _set_axis(draws: Axes, look: Look, which: str, axis: Axis, scale: Scale) -> None:
    text = label_of(axis, scale)
    getattr(draws, f"set_{which}label")(_in_lines(text) if look.is_narrow and which == "y" else text)
    if axis.log:
        getattr(draws, f"set_{which}scale")("log")
    mine = draws.xaxis if which == "x" else draws.yaxis
    if axis.log:
        low, high = mine.get_view_interval()
        if high < 50 * low:  # powers of ten alone may all be out of view
            mine.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
        mine.set_major_formatter(ticker.FuncFormatter(lambda v, _: f"{v:,g}"))
        mine.set_minor_formatter(ticker.NullFormatter())
    if axis.ticks:
        # Names stand side by side below panels that share the width.
        grid = draws.get_gridspec()
        beside = grid.ncols if which == "x" and grid is not None else 1
        fits = _MOST_TICKS * look.room / beside if which == "x" else _MOST_TICKS
        longest = max(len(name) for _, name in axis.ticks)
        if which == "x":
            fits = min(fits, max(2, _LETTERS * look.room / beside / (longest + 1)))
        elif look.width and grid is not None:
            whole: Any = draws.figure
            points = whole.get_figheight() * _POINTS * 0.6 / grid.nrows
            fits = min(fits, max(2, points / (look.small * 1.3)))
        places = thinned(axis.ticks, int(fits))
        mine.set_ticks([at / scale.divisor for at, _ in places], [name for _, name in places])
    elif axis.unit in ("number", "count") and not axis.log:
        mine.set_major_locator(ticker.MaxNLocator(integer=True, nbins=max(4, int(10 * look.room))))
        _by_thousands(mine)
    elif look.is_narrow and which == "x" and not axis.log:
        mine.set_major_locator(ticker.MaxNLocator(nbins=5))


def _draw_kinds(draws: Axes, look: Look, heat: Heat, x_edges: Floats, y_edges: Floats) -> None:
    """Each cell says what it is, where there is room; else a legend does."""
    shades = [PALETTE[i % len(PALETTE)] for i in range(len(heat.names))]
    kinds = colors.ListedColormap(shades)
    cells = np.ma.masked_invalid(heat.values)
    draws.pcolormesh(
        x_edges, y_edges, cells, cmap=kinds, vmin=-0.5, vmax=len(heat.names) - 0.5, edgecolors="white", linewidth=1
    )
    wide = heat.values.shape[1] * (max(map(len, heat.names)) + 1)
    if len(heat.values) > _MOST_WRITTEN_ROWS or (look.width and wide > _WRITTEN_LETTERS * look.room):
        _legend(draws, look, [Patch(color=shades[i], label=name) for i, name in enumerate(heat.names)])
        return
    roomy = heat.values.shape[1] <= _ROOMY[0] and len(heat.values) <= _ROOMY[1]
    size = min(10 if roomy else 8, look.small)
    for row, column in np.argwhere(np.isfinite(heat.values)):
        kind = int(heat.values[row, column])
        dark = sum(w * c for w, c in zip((0.3, 0.6, 0.1), colors.to_rgb(shades[kind]), strict=True)) < 0.5
        at = (x_edges[column : column + 2].mean(), y_edges[row : row + 2].mean())
        draws.text(*at, heat.names[kind], ha="center", va="center", size=size, color="white" if dark else "black")


def _draw_heat(draws: Axes, look: Look, heat: Heat) -> ScalarMappable | None:
    """Returns what a scale of colours is to be made of; None: there is none."""
    x_scale, y_scale = scale_of(heat.x.unit, heat.x_edges[-1]), scale_of(heat.y.unit, heat.y_edges[-1])
    x_edges, y_edges = heat.x_edges / x_scale.divisor, heat.y_edges / y_scale.divisor
    draws.set_facecolor(EMPTY)
    mesh = None
    if heat.names:
        _draw_kinds(draws, look, heat, x_edges, y_edges)
    else:
        divisor = scale_of(heat.value.unit, heat.limits[1]).divisor
        low, high = heat.limits[0] / divisor, heat.limits[1] / divisor
        values = np.ma.masked_invalid(heat.values / divisor)
        mesh = draws.pcolormesh(x_edges, y_edges, values, cmap=HEAT, vmin=low, vmax=high, rasterized=True)
    draws.invert_yaxis()
    if heat.x_marks or heat.y_marks:
        _draw_marks(draws, look, heat, (x_scale.divisor, y_scale.divisor))
    _set_axis(draws, look, "x", heat.x, x_scale)
    _set_axis(draws, look, "y", heat.y, y_scale)
    return mesh


_MARK: Any = {"color": "#333333", "linestyle": ":", "linewidth": 0.6}
_MARKED_ROWS = 12


def _draw_marks(draws: Axes, look: Look, heat: Heat, divisors: tuple[float, float]) -> None:
    """Where something begins: names of columns in the panel, those of rows right of it, both where there is room."""
    low, high = heat.x_edges[[0, -1]]
    letter = (high - low) / (_LETTERS * look.room)
    box: Any = {"facecolor": EMPTY, "edgecolor": "none", "pad": 0.5, "alpha": 0.7}
    place: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points", "va": "top", "bbox": box}
    for (at, name), after in zip(heat.x_marks, [*(at for at, _ in heat.x_marks[1:]), high], strict=True):
        draws.axvline(at / divisors[0], **_MARK)
        if at >= low and after - at >= len(name) * letter:
            draws.annotate(name, (at / divisors[0], 1.0), (2, -2), fontsize=look.small, **place)
    if not heat.y_marks:
        return
    for at, _ in heat.y_marks:
        draws.axhline(at / divisors[1], **(_MARK | {"linewidth": 0.3, "alpha": 0.6}))
    beside = draws.secondary_yaxis("right")
    shown = thinned(heat.y_marks, max(2, int(_MARKED_ROWS * (0.6 if look.is_narrow else 1))))
    beside.set_yticks([at / divisors[1] for at, _ in shown], [name for _, name in shown])
    beside.tick_params(length=2)


_Scaled = tuple[Axes, Heat | Points, ScalarMappable]


def _add_scale(figure: Figure, look: Look, drawn: list[_Scaled], below: bool = False) -> None:
    """One scale of colours for all of these: beside them, or below, where other panels are beside."""
    axes, panel, mesh = [one[0] for one in drawn], drawn[0][1], drawn[0][2]
    place: Any = (
        {"location": "bottom", "pad": 0.02, "aspect": 45}
        if below
        else {"pad": 0.03 if look.is_narrow else 0.01, "aspect": 30}
    )
    if isinstance(panel, Points):
        bar = figure.colorbar(mesh, ax=axes, **place)
        some = any(np.isnan(one.pc).any() for _, one, _ in drawn if isinstance(one, Points))
        bar.set_label(f"{panel.value.label} (black: none)" if some else panel.value.label)
        bar.locator = ticker.MaxNLocator(integer=True)
        bar.update_ticks()
        return
    every = np.concatenate([one.values.ravel() for _, one, _ in drawn if isinstance(one, Heat)])
    known = every[np.isfinite(every)]
    beyond = known.size > 0 and known.max() > panel.limits[1] * (1 + 1e-9)
    bar = figure.colorbar(mesh, ax=axes, extend="max" if beyond else "neither", **place)
    text = label_of(panel.value, scale_of(panel.value.unit, panel.limits[1]))
    bar.set_label(_in_lines(text) if look.is_narrow else text)
    if panel.value.unit == "count" and not (known % 1).any():
        ticks = ticker.MaxNLocator(integer=True).tick_values(*panel.limits)
        bar.set_ticks([tick for tick in ticks if tick <= panel.limits[1]])


def _draw_lines(draws: Axes, look: Look, lines: Lines) -> None:
    x_scale = scale_of(lines.x.unit, largest_of(*(s.x for s in lines.series)))
    y_scale = scale_of(lines.y.unit, largest_of(*(s.y for s in lines.series)))
    for i, one in enumerate(lines.series):
        colour, marks = LINES[i % len(LINES)], MARKS[i % len(MARKS)]
        x, y = one.x / x_scale.divisor, one.y / y_scale.divisor
        few = len(x) <= 40
        if one.style == "steps":
            dashes = _DASHES[i % len(_DASHES)]
            draws.step(x, y, where="post", color=colour, label=one.name, linewidth=look.line, linestyle=dashes)
        elif one.style == "dots":
            draws.plot(x, y, linestyle="none", marker=marks, markersize=look.mark, color=colour, label=one.name)
        else:
            draws.plot(
                x,
                y,
                linestyle="--" if one.style == "dashes" else "-",
                marker=marks if one.style == "line" and (few or len(lines.series) > 2) else None,
                markevery=1 if few else max(1, len(x) // 12),
                markersize=look.mark,
                color=colour,
                label=one.name,
                linewidth=look.line,
            )
    draws.grid(True, alpha=0.3)
    _set_axis(draws, look, "x", lines.x, x_scale)
    _set_axis(draws, look, "y", lines.y, y_scale)
    if not lines.y.log:
        draws.set_ylim(0, 1.05 * largest_of(*(s.y for s in lines.series)) / y_scale.divisor or 1)
    if len(lines.series) > 1:
        _legend(draws, look)


def _draw_points(draws: Axes, look: Look, points: Points) -> ScalarMappable:
    y_scale = scale_of(points.y.unit, points.end)
    known = np.isfinite(points.pc)
    colours = cm.ScalarMappable(colors.Normalize(0, max(1.0, largest_of(points.pc))), KEY)
    rgba: Any = colours.to_rgba(np.nan_to_num(points.pc))
    rgba[~known] = colors.to_rgba("black")
    low, high = points.py / y_scale.divisor, points.py_end / y_scale.divisor
    draws.vlines(points.px, low, high, colors=rgba, linewidth=look.line / 1.5)
    draws.scatter(points.px, low, c=rgba, s=look.mark * 1.25, linewidths=0)
    _set_axis(draws, look, "x", points.x, Scale(1, ""))
    _set_axis(draws, look, "y", points.y, y_scale)
    draws.set_ylim(points.end / y_scale.divisor, 0)
    draws.grid(True, alpha=0.3)
    return colours


_LETTER, _SHARE_OF_WIDTH = 0.075, 0.7
"""Inches a letter beside a bar takes, and what of a picture's width is the panel's."""


def _ends_of(bars: Bars) -> Floats:
    """Where the bar of each label ends, or the longest of those beside each other."""
    together = np.sum if bars.stacked else np.max
    return np.asarray(together([np.nan_to_num(values) for _, values in bars.series], axis=0))


def _draw_texts(draws: Axes, look: Look, bars: Bars, scale: Scale) -> None:
    """Right of the bars, where there is room."""
    small: Any = {"textcoords": "offset points", "va": "center", "fontsize": min(9, look.small)}
    for place, (end, text) in enumerate(zip(_ends_of(bars) / scale.divisor, bars.texts, strict=False)):
        if not look.is_narrow:
            draws.annotate(text, (float(end), place), (4, 0), **small)


def _make_room_for_texts(draws: Axes, look: Look, bars: Bars, scale: Scale) -> None:
    """The axis ends where each text has room right of its bar. No share is above 100 %."""
    grid, figure = draws.get_gridspec(), draws.get_figure(root=True)
    assert figure is not None
    width = figure.get_figwidth() * _SHARE_OF_WIDTH / (grid.ncols if grid is not None else 1)
    longest = _ends_of(bars) / scale.divisor
    free = [max(0.2, 1 - (len(text) * _LETTER * min(9, look.small) / 9 + 0.1) / width) for text in bars.texts]
    draws.set_xlim(right=max((float(value) / left for value, left in zip(longest, free, strict=False)), default=0) or 1)
    if bars.value.unit == "share":
        draws.set_xticks([tick for tick in draws.get_xticks() if 0 <= tick <= 1 / scale.divisor])


def _draw_bars(draws: Axes, look: Look, bars: Bars) -> None:
    total = np.sum([values for _, values in bars.series], axis=0) if bars.stacked else None
    largest = largest_of(*([total] if total is not None else [values for _, values in bars.series]))
    scale = scale_of(bars.value.unit, largest)
    places = np.arange(len(bars.labels))
    thick = 0.8 if bars.stacked else 0.8 / max(1, len(bars.series))
    below = np.zeros(len(bars.labels))
    for i, (name, values) in enumerate(bars.series):
        drawn = values / scale.divisor
        at = places if bars.stacked else places + (i - (len(bars.series) - 1) / 2) * thick
        colour = PALETTE[i % len(PALETTE)]
        if bars.horizontal:
            draws.barh(at, drawn, thick, left=below if bars.stacked else 0, color=colour, label=name)
        else:
            draws.bar(at, drawn, thick, bottom=below if bars.stacked else 0, color=colour, label=name)
        below = below + drawn if bars.stacked else below
    ticks = tuple(zip(map(float, places), bars.labels, strict=True))
    if bars.horizontal:
        draws.set_yticks(places, bars.labels)
        draws.invert_yaxis()
        draws.set_xlabel(label_of(bars.value, scale))
        draws.set_ylabel(bars.label.label)
        _draw_texts(draws, look, bars, scale)
    else:
        _set_axis(draws, look, "x", Axis(bars.label.label, ticks=ticks), Scale(1, ""))
        text = label_of(bars.value, scale)
        draws.set_ylabel(_in_lines(text) if look.is_narrow else text)
        beside = _columns_of(draws)
        turned = thinned(ticks, max(2, int(_MOST_TICKS * look.room / beside)))
        if sum(len(name) + 1 for _, name in turned) > _LETTERS * look.room / beside:
            draws.set_xticks([at for at, _ in turned], [name for _, name in turned])
            draws.tick_params(axis="x", labelrotation=35)
            for label in draws.get_xticklabels():
                label.set_horizontalalignment("right")
        draws.margins(x=0.01)
    if bars.value.unit == "count":
        counts = draws.xaxis if bars.horizontal else draws.yaxis
        counts.set_major_locator(ticker.MaxNLocator(integer=True))
        _by_thousands(counts)
    draws.grid(True, axis="x" if bars.horizontal else "y", alpha=0.3)
    draws.set_axisbelow(True)
    draws.use_sticky_edges = False
    draws.autoscale_view()
    (draws.set_xlim if bars.horizontal else draws.set_ylim)(0)
    if bars.goal is not None:
        line = draws.axvline if bars.horizontal else draws.axhline
        line(bars.goal / scale.divisor, color="#444444", linestyle="--", linewidth=1)
        (draws.set_xlim if bars.horizontal else draws.set_ylim)(0, max(bars.goal * 1.06, largest) / scale.divisor)
    if bars.texts and not look.is_narrow:
        _make_room_for_texts(draws, look, bars, scale)
    if len(bars.series) > 1:
        _legend(draws, look)


def _draw_panel(draws: Axes, look: Look, panel: Panel) -> ScalarMappable | None:
    if panel.title:
        width = look.room * _LETTERS * 0.85
        draws.set_title("\n".join(textwrap.wrap(panel.title, int(width))) if look.is_narrow else panel.title)
    match panel:
        case Heat():
            return _draw_heat(draws, look, panel)
        case Points():
            return _draw_points(draws, look, panel)
        case Lines():
            _draw_lines(draws, look, panel)
        case Bars():
            _draw_bars(draws, look, panel)
    return None


def _draw_panels(figure: Figure, look: Look, chart: Chart) -> None:
    scaled: dict[object, list[_Scaled]] = {}
    columns = look.columns(chart.columns)
    rows = -(-len(chart.panels) // columns)
    for i, panel in enumerate(chart.panels):
        draws = figure.add_subplot(rows, columns, i + 1)
        mesh = _draw_panel(draws, look, panel)
        if isinstance(panel, Heat | Points) and mesh is not None:
            limits = panel.limits if isinstance(panel, Heat) else mesh.get_clim()
            scaled.setdefault((type(panel), panel.value, limits), []).append((draws, panel, mesh))
    below = columns > 1 and len(scaled) > 1
    for drawn in scaled.values():
        places = [figure.axes.index(draws) for draws, _, _ in drawn]
        if columns < chart.columns and max(places) - min(places) >= len(places):  # others are between them
            for one in drawn:
                _add_scale(figure, look, [one])
        else:
            _add_scale(figure, look, drawn, below)


_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|[KMGT]iB|bytes|ns|us|ms|s)(?:\W|$))")
"""The space between a number and its unit, where no line ends."""


def _wrapped(text: str, width: float, size: float, letter: float) -> list[str]:
    """Lines of text of a size in points; `letter` is how wide one is, as a share of the size."""
    text = _BEFORE_UNIT.sub("\u00a0", text)
    return textwrap.wrap(text, max(20, int(width * _POINTS / (size * letter))))


def draw(chart: Chart, footer: Footer, look: Look = SCREEN, *, titled: bool = True) -> Figure:
    """The chart as a figure: the title says the finding, the line at the bottom what was run.

    Untitled, it has none of both, and a caption says what they would.
    """
    width = look.width or chart.width
    columns = look.columns(chart.columns)
    rows = -(-len(chart.panels) // columns)
    small = min(9.0, look.small)
    title = (_wrapped(chart.title, width, look.title, 0.65) or [""]) if titled else []
    notes = _wrapped(chart.subtitle, width, look.text, 0.578) if titled else []
    below = _wrapped(str(footer), width, small, 0.578) if titled else []
    line, note = 1.44 * look.title / _POINTS, 1.37 * look.text / _POINTS
    edge = 0.12 * look.text / 11
    head = 2 * edge + line * len(title) + note * len(notes) if titled else edge / 2
    foot = edge * 2 + 1.3 * small / _POINTS * len(below) if titled else edge / 2
    row = look.height(chart.row_height, chart.width) * (0.8 if columns < chart.columns and columns > 1 else 1)
    height = rows * row + head + foot
    with matplotlib.rc_context(_STYLE | look.rc):
        figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH if look.width is None else _DOTS_IN_PRINT)
        room = (0.01, foot / height, 0.98, 1 - (head + foot) / height)
        figure.set_layout_engine(ConstrainedLayoutEngine(rect=room, w_pad=edge / 3, h_pad=edge / 3))
        _draw_panels(figure, look, chart)
        if title:
            figure.text(0.015, 1 - edge / height, "\n".join(title), weight="bold", size=look.title, va="top")
        if notes:
            at = 1 - (edge * 1.6 + line * len(title)) / height
            figure.text(0.015, at, "\n".join(notes), size=look.text - 0.5, va="top", color="#444444")
        if below:
            figure.text(0.015, edge / height, "\n".join(below), size=small, color="#555555")
    return figure


SMALL = (320, 150)
"""The size of a small picture in pixels."""


def small(chart: Chart) -> bytes:
    """The first panel without any text, as a PNG of the size SMALL: what the chart looks like from afar."""
    with matplotlib.rc_context(_STYLE | SCREEN.rc):
        figure = Figure(figsize=(SMALL[0] / 100, SMALL[1] / 100), dpi=100)
        draws = figure.add_axes((0, 0, 1, 1))
        _draw_panel(draws, SCREEN, chart.panels[0])
        for other in [one for one in figure.axes if one is not draws]:
            other.remove()
        draws.set_position((0.01, 0.02, 0.98, 0.96))
        draws.set_axis_off()
        draws.set_title("")
        for text in (*draws.texts, draws.get_legend()):
            if text is not None:
                text.set_visible(False)
        out = io.BytesIO()
        figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def save(figure: Figure, path: Path, title: str, description: str = "") -> None:
    """Writes a PNG, SVG or PDF; the end of the name decides which. The same chart gives the same bytes.

    A second format has the layout of the first. Raises OSError if the file cannot be written.
    """
    metadata: dict[str, Any] = {"Title": title}
    match path.suffix:
        case ".svg":
            metadata |= {"Date": None, "Description": description}
        case ".pdf":
            metadata |= {
                "CreationDate": None,
                "Producer": None,
                "Creator": "Tensor Access Tracker",
                "Subject": description,
            }
        case _:
            metadata |= {"Software": None, "Description": description}
    with matplotlib.rc_context(_STYLE):
        figure.savefig(path, metadata={key: value for key, value in metadata.items() if value != ""})
    figure.set_layout_engine("none")  # finding it takes as long as drawing
