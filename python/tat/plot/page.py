# SPDX-License-Identifier: MIT
"""Draws charts as web pages in a folder, which share one copy of Plotly in it: zoom, hover, filter, export.

A page loads that copy and nothing else: its content security policy forbids every other request, so opening one tells
nobody, and it works offline.
"""

from __future__ import annotations

import base64
import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps, colors
from plotly.offline import get_plotlyjs

from tat.plot.chart import EMPTY, HEAT, KEY, Axis, Bars, Chart, Floats, Footer, Heat, Lines, Panel, Points
from tat.plot.paint import SMALL
from tat.plot.palette import LINES, PALETTE, dash_of
from tat.plot.units import Scale, label_of, largest_of, scale_of

_ROW_PIXELS = 95
"""A row's height for each inch that it has in a picture."""

LIBRARY, INDEX = "plotly.min.js", "index.html"

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'nonce-tat'; \
style-src 'unsafe-inline'; img-src data: blob:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.4 system-ui, sans-serif; margin: 1rem 2rem; color: #111; background: #fff }}
h1 {{ font-size: 1.4rem; margin: 0 0 .3rem }}
p {{ margin: 0 0 .6rem; color: #444; max-width: 70rem }}
label, button {{ font: inherit; margin-right: .6rem }}
footer {{ color: #555; font-size: .85rem; margin-top: .8rem }}
</style>
</head>
<body>
<nav><a href="{index}">All plots</a></nav>
<h1>{title}</h1>
<p>{subtitle}</p>
<p><label {hidden}>Show <select id="view">{options}</select></label>
<button id="table" type="button">Save the numbers as CSV</button>
<button id="png" type="button">Save as PNG</button><button id="svg" type="button">Save as SVG</button></p>
<div id="chart" role="img" aria-label="{title}" style="width:100%;height:{height}px"></div>
<footer>{footer}</footer>
<script nonce="tat" src="{library}"></script>
<script id="views" type="application/json">{views}</script>
<script nonce="tat">
const views = JSON.parse(document.getElementById("views").textContent);
const chart = document.getElementById("chart"), select = document.getElementById("view");
// Plotly would offer to upload the chart: no page may send what it shows.
const config = {{ displaylogo: false, responsive: true, showSendToCloud: false, plotlyServerURL: "",
    modeBarButtonsToRemove: ["toImage", "select2d", "lasso2d"] }};
const show = () => Plotly.react(chart, views[select.selectedIndex].data, views[select.selectedIndex].layout, config);
const cell = value => value === null || value === undefined ? "" :
    typeof value === "number" ? String(value) : '"' + String(value).replaceAll('"', '""') + '"';
function rows(trace) {{
    if (trace.z) return trace.z.flatMap((line, i) => line.map((z, j) => [trace.name, trace.x[j], trace.y[i], z]));
    return trace.x.map((one, i) => [trace.name, one, trace.y[i], null]);
}}
document.getElementById("table").onclick = () => {{
    const lines = views[select.selectedIndex].data.flatMap(rows).map(row => row.map(cell).join(","));
    const link = document.createElement("a");
    const text = ["series,x,y,value", ...lines].join("\\n") + "\\n";
    link.href = URL.createObjectURL(new Blob([text], {{ type: "text/csv" }}));
    link.download = "{name}.csv";
    link.click();
}};
for (const format of ["png", "svg"]) // null: as large as it is shown
    document.getElementById(format).onclick = () =>
        Plotly.downloadImage(chart, {{ format, filename: "{name}", width: null, height: null }});
select.onchange = show;
show();
</script>
</body>
</html>
"""


@cache
def _scale_colours(name: str) -> list[list[Any]]:
    """A matplotlib scale for Plotly, whose scales of the same names are others."""
    return [[i / 16, colors.to_hex(colormaps[name](i / 16))] for i in range(17)]


def _numbers(values: Floats) -> list[Any]:
    """In six digits, None for NaN and infinities: JSON knows no NaN."""
    if values.ndim > 1:
        return [_numbers(row) for row in values]
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values.tolist()]


def _steps(edges: Floats, names: tuple[str, ...]) -> list[Any]:
    """What rows or columns are called: their names, or the number they stand for."""
    if names:
        seen: dict[str, int] = {}
        for name in names:
            seen[name] = seen.get(name, 0) + 1
        again = {name: 0 for name, count in seen.items() if count > 1}
        out = []
        for name in names:
            if name in again:
                again[name] += 1
                out.append(f"{name} ({again[name]})")
            else:
                out.append(name)
        return out
    middle = (edges[:-1] + edges[1:]) / 2
    if (np.diff(edges) == 1).all():
        middle = np.floor(middle)
    return _numbers(middle)


def _axis(axis: Axis, scale: Scale, **more: Any) -> dict[str, Any]:
    title = {"text": label_of(axis, scale), "standoff": 8}  # without one, labels that are long run into it
    out: dict[str, Any] = {"title": title, "automargin": True, "zeroline": False, **more}
    if axis.log:
        out |= {"type": "log"}
    return out


def _heat(heat: Heat) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    scale = scale_of(heat.value.unit, heat.limits[1])
    x_scale, y_scale = scale_of(heat.x.unit, heat.x_edges[-1]), scale_of(heat.y.unit, heat.y_edges[-1])
    x = _steps(heat.x_edges / x_scale.divisor, heat.column_names)
    y = _steps(heat.y_edges / y_scale.divisor, heat.row_names)
    trace: dict[str, Any] = {"type": "heatmap", "x": x, "y": y, "name": heat.title or heat.value.label}
    unit = f" {scale.name}" if scale.name else ""
    where = f"{heat.x.label} %{{x}}<br>{heat.y.label} %{{y}}"
    if heat.names:
        texts = [[heat.names[int(v)] if math.isfinite(v) else "" for v in row] for row in heat.values.tolist()]
        steps = np.repeat(np.arange(len(heat.names) + 1) / len(heat.names), 2)[1:-1]
        shades = np.repeat(np.array([PALETTE[i % len(PALETTE)] for i in range(len(heat.names))]), 2)
        trace |= {
            "z": _numbers(heat.values),
            "text": texts,
            "texttemplate": "%{text}" if len(texts) <= 40 else "",
            "hovertemplate": f"{where}<br>%{{text}}<extra></extra>",
            "colorscale": [[float(s), str(c)] for s, c in zip(steps, shades, strict=True)],
            "zmin": -0.5,
            "zmax": len(heat.names) - 0.5,
            "xgap": 2,
        }
    else:
        trace |= {
            "z": _numbers(heat.values / scale.divisor),
            "hovertemplate": f"{where}<br>{heat.value.label}: %{{z}}{unit}<extra></extra>",
            "colorscale": _scale_colours(HEAT),
            "zmin": heat.limits[0] / scale.divisor,
            "zmax": heat.limits[1] / scale.divisor,
            "colorbar": {"title": {"text": label_of(heat.value, scale), "side": "right"}, "thickness": 14},
        }
    kind = {"type": "category"} if heat.row_names else {}
    return (
        [trace],
        _axis(heat.x, x_scale, **({"type": "category"} if heat.column_names else {}), showgrid=False),
        _axis(heat.y, y_scale, autorange="reversed", showgrid=False, **kind),
    )


def _lines(lines: Lines) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    x_scale = scale_of(lines.x.unit, largest_of(*(s.x for s in lines.series)))
    y_scale = scale_of(lines.y.unit, largest_of(*(s.y for s in lines.series)))
    traces = []
    for i, one in enumerate(lines.series):
        few = len(one.x) <= 40 and one.style == "line"
        traces.append(
            {
                "type": "scatter",
                "name": one.name,
                "x": _numbers(one.x / x_scale.divisor),
                "y": _numbers(one.y / y_scale.divisor),
                "mode": "markers" if one.style == "dots" else "lines+markers" if few else "lines",
                "line": {
                    "color": LINES[i % len(LINES)],
                    "shape": "hv" if one.style == "steps" else "linear",
                    "dash": dash_of(i) if one.style != "dashes" else "dash",
                },
                "marker": {"symbol": i % 8},
                "hovertemplate": f"{one.name}<br>{lines.x.label} %{{x}} {x_scale.name}<br>%{{y}} {y_scale.name}"
                "<extra></extra>",
            }
        )
    low = {} if lines.y.log else {"rangemode": "tozero"}
    return traces, _axis(lines.x, x_scale), _axis(lines.y, y_scale, **low)


def _points(points: Points) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    scale = scale_of(points.y.unit, points.end)
    known = np.isfinite(points.pc)
    text = points.value.label if known.all() else f"{points.value.label} (black: none)"
    scaled = {
        "colorscale": _scale_colours(KEY),
        "colorbar": {"title": {"text": text, "side": "right"}, "thickness": 14},
    }
    traces, unit = [], scale.name
    for name, chosen, more in (
        (points.value.label, known, scaled),
        (f"no {points.value.label}", ~known, {}),
    ):
        low, length = points.py[chosen] / scale.divisor, (points.py_end - points.py)[chosen] / scale.divisor
        trace = {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": _numbers(points.px[chosen]),
            "y": _numbers(low),
            "customdata": _numbers(length),
            "text": [points.texts[i] for i in np.flatnonzero(chosen)] if points.texts else None,
            "marker": {"size": 5, "color": _numbers(points.pc[chosen]) if more else "#000000", **more},
            "error_y": {
                "type": "data",
                "array": _numbers(length),
                "symmetric": False,
                "arrayminus": [0] * len(length),
                "thickness": 1,
                "width": 0,
                "color": "#888888",
            },
            "showlegend": False,
            "hovertemplate": f"%{{text}}<br>%{{x}}: from %{{y}} {unit}, %{{customdata}} {unit}<extra></extra>",
        }
        if chosen.any():
            traces.append(trace)
    return traces, _axis(points.x, Scale(1, "")), _axis(points.y, scale, range=[points.end / scale.divisor, 0])


def _bars(bars: Bars) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    whole = np.sum([values for _, values in bars.series], axis=0) if bars.stacked else None
    scale = scale_of(bars.value.unit, largest_of(*([whole] if whole is not None else [v for _, v in bars.series])))
    names = _steps(np.zeros(1), bars.labels)
    longest = max((float(np.nanmax(v, initial=0)) for _, v in bars.series), default=0.0)
    traces: list[dict[str, Any]] = []
    for i, (name, values) in enumerate(bars.series):
        drawn = _numbers(values / scale.divisor)
        traces.append(
            {
                "type": "bar",
                "name": name,
                "x": drawn if bars.horizontal else names,
                "y": names if bars.horizontal else drawn,
                "orientation": "h" if bars.horizontal else "v",
                "marker": {"color": PALETTE[i % len(PALETTE)]},
                "text": list(bars.texts) if bars.texts and i == len(bars.series) - 1 else None,
                # A long bar has the room for its text that the page beside it may not have.
                "textposition": ["inside" if v > longest / 2 else "outside" for v in values] if bars.texts else "none",
                "insidetextanchor": "end",
                "textangle": 0,
                "constraintext": "none",
                "cliponaxis": False,
                "hovertemplate": f"%{{{'y' if bars.horizontal else 'x'}}}<br>{name}: "
                f"%{{{'x' if bars.horizontal else 'y'}}} {scale.name}<extra></extra>",
            }
        )
    value, label = _axis(bars.value, scale), _axis(bars.label, Scale(1, ""), type="category")
    if bars.goal is not None:
        value["range"] = [0, 1.05 * max(bars.goal, longest) / scale.divisor]
    if bars.horizontal:
        return traces, value, label | {"autorange": "reversed"}
    return traces, label, value


_GAP_X, _GAP_Y = 0.07, 105
"""Between columns, as a share of the width; between rows, in pixels: room for titles and labels."""
_SCALE = 0.11
"""And for a scale between columns."""
_BELOW = 55
"""From a panel down to a scale below it, in pixels."""
_SLANTED, _SHORT = 30, 10
"""More room between rows, in pixels, for names of bars that are longer than so many letters: they slant."""


def _gap_pixels(panels: tuple[Panel, ...], columns: int) -> int:
    above = panels[: (len(panels) - 1) // columns * columns]  # the last row has nothing below
    bars = [panel for panel in above if isinstance(panel, Bars) and not panel.horizontal]
    slanted = any(len(name) > _SHORT for panel in bars for name in panel.labels)
    return _GAP_Y + (_SLANTED if slanted else 0)


def _domains(panels: tuple[Panel, ...], columns: int, height: float) -> list[tuple[float, float, float, float]]:
    """Left, right, bottom and top of each panel, as shares of the whole."""
    rows = -(-len(panels) // columns)
    inner = not _are_below(panels, columns) and any((i + 1) % columns for i in _scaled(panels, columns))
    gap_x, gap_y = _GAP_X + (_SCALE if inner else 0), _gap_pixels(panels, columns) / height
    wide, high = (1 - gap_x * (columns - 1)) / columns, (1 - gap_y * (rows - 1)) / rows
    places = [divmod(i, columns) for i in range(len(panels))]
    out = []
    for row, column in places:
        left, top = column * (wide + gap_x), 1 - row * (high + gap_y)
        out.append((left, min(left + wide, 1.0), max(top - high, 0.0), top))  # sums of shares may miss the ends
    return out


def _scale(panel: Panel) -> object:
    """Panels that give the same share a scale of colours; None: it has none."""
    if isinstance(panel, Heat) and not panel.names:
        return (Heat, panel.value, panel.limits)
    return (Points, panel.value, max(1.0, largest_of(panel.pc))) if isinstance(panel, Points) else None


def _are_below(panels: tuple[Panel, ...], columns: int) -> bool:
    """Whether scales stand below their column: beside one, it would stand before another's panels."""
    return columns > 1 and len({_scale(panel) for panel in panels} - {None}) > 1


def _scaled(panels: tuple[Panel, ...], columns: int) -> set[int]:
    """Which panels show their scale: of those that share one the last or, beside them, the first in the last column."""
    best: dict[object, int] = {}
    below = _are_below(panels, columns)
    for i, panel in enumerate(panels):
        scale = _scale(panel)
        if scale is not None and (below or scale not in best or i % columns > best[scale] % columns):
            best[scale] = i
    return set(best.values())


def _scale_place(area: tuple[float, float, float, float], height: float, below: bool) -> dict[str, Any]:
    """Where a scale stands, of a panel with this left, right, bottom and top."""
    x0, x1, y0, y1 = area
    if not below:
        return {"x": x1 + 0.003, "xanchor": "left", "y": (y0 + y1) / 2, "len": y1 - y0}
    y = y0 - _BELOW / height
    return {"orientation": "h", "x": (x0 + x1) / 2, "xanchor": "center", "y": y, "yanchor": "top", "len": x1 - x0}


def _empty(tail: str) -> dict[str, Any]:
    """What shows through the empty cells of a heatmap: the rest of the page has another ground."""
    ends = {"x0": 0, "x1": 1, "y0": 0, "y1": 1, "xref": f"x{tail} domain", "yref": f"y{tail} domain"}
    return {"type": "rect", "layer": "below", "fillcolor": EMPTY, "line": {"width": 0}, **ends}


def _mark_lines(panel: Heat, tail: str) -> list[dict[str, Any]]:
    """Lines where something begins."""
    scales = scale_of(panel.x.unit, panel.x_edges[-1]), scale_of(panel.y.unit, panel.y_edges[-1])
    line = {"type": "line", "line": {"dash": "dot", "width": 1, "color": "#444"}, "opacity": 0.5}
    out = []
    for axis, other, marks, scale in (("x", "y", panel.x_marks, scales[0]), ("y", "x", panel.y_marks, scales[1])):
        for at, _ in marks:
            ends = {f"{axis}0": at / scale.divisor, f"{axis}1": at / scale.divisor, f"{other}0": 0, f"{other}1": 1}
            out.append(line | ends | {f"{axis}ref": f"{axis}{tail}", f"{other}ref": f"{other}{tail} domain"})
    return out


def _goes_beyond(panel: Panel) -> bool:
    return isinstance(panel, Heat) and bool(np.nanmax(panel.values, initial=0) > panel.limits[1])


def _caption(text: str, x: float, y: float) -> dict[str, Any]:
    place = {"xref": "paper", "yref": "paper", "x": x, "y": y, "xanchor": "left", "yanchor": "bottom"}
    return {"text": html.escape(text), "showarrow": False, "font": {"size": 14}, **place}


def _goal(bars: Bars, tail: str) -> dict[str, Any]:
    """A line across the bars of the axes with this number."""
    assert bars.goal is not None
    goal = bars.goal / scale_of(bars.value.unit, bars.goal).divisor
    line = {"type": "line", "line": {"dash": "dash", "width": 1, "color": "#444"}}
    across, along = ("x", "y") if bars.horizontal else ("y", "x")
    ends = {f"{across}0": goal, f"{across}1": goal, f"{along}0": 0, f"{along}1": 1}
    return line | ends | {f"{across}ref": f"{across}{tail}", f"{along}ref": f"{along}{tail} domain"}


def _figure(panels: tuple[Panel, ...], chart: Chart) -> dict[str, Any]:
    """Traces and layout of one view."""
    columns = min(chart.columns, len(panels))
    below = _are_below(panels, columns)
    height = -(-len(panels) // columns) * chart.row_height * _ROW_PIXELS + (160 if below else 80)
    layout: dict[str, Any] = {
        "height": height,
        "margin": {"l": 60, "r": 20, "t": 40, "b": 130 if below else 50},
        "font": {"size": 13},
        "plot_bgcolor": "#f2f2f2",
        "barmode": "stack" if any(isinstance(p, Bars) and p.stacked for p in panels) else "group",
        "uniformtext": {"minsize": 10, "mode": "hide"},
        "annotations": [],
    }
    data: list[dict[str, Any]] = []
    scaled, before = _scaled(panels, columns), None
    for i, (panel, (x0, x1, y0, y1)) in enumerate(zip(panels, _domains(panels, columns, height), strict=True)):
        if panel.title:
            layout["annotations"].append(_caption(panel.title, x0, y1))
        if isinstance(panel, Bars) and panel.goal is not None:
            layout.setdefault("shapes", []).append(_goal(panel, "" if i == 0 else str(i + 1)))
        traces, x, y = _draw(panel)
        title = y["title"]
        if i % columns and title == before:
            del y["title"]  # it is that of the panel to the left
        before = title
        tail = "" if i == 0 else str(i + 1)
        layout[f"xaxis{tail}"] = x | {"domain": [x0, x1], "anchor": f"y{tail}"}
        layout[f"yaxis{tail}"] = y | {"domain": [y0, y1], "anchor": f"x{tail}"}
        if isinstance(panel, Bars | Lines):
            place = {"x": x1 + 0.01, "xanchor": "left", "y": y1, "yanchor": "top", "traceorder": "normal"}
            layout[f"legend{tail}"] = place
            traces = [trace | {"legend": f"legend{tail}", "showlegend": len(traces) > 1} for trace in traces]
        if isinstance(panel, Heat):
            layout.setdefault("shapes", []).append(_empty(tail))
            layout["shapes"] += _mark_lines(panel, tail)
        for trace in traces:
            if trace["type"] == "heatmap":
                trace["showscale"] = i in scaled and "colorbar" in trace
                if trace["showscale"] and _goes_beyond(panel):
                    layout["annotations"].append(_caption("▲ more", x1 + 0.003, y1))
            bar = trace.get("colorbar") or trace.get("marker", {}).get("colorbar")
            if bar:
                bar |= _scale_place((x0, x1, y0, y1), height - sum(layout["margin"][side] for side in "tb"), below)
                if below:
                    bar["title"]["side"] = "bottom"
            if isinstance(panel, Points):
                trace["marker"]["showscale"] = bool(bar) and i in scaled
            data.append(trace | {"xaxis": f"x{tail}", "yaxis": f"y{tail}"})
    return {"data": data, "layout": layout}


def _draw(panel: Panel) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    match panel:
        case Heat():
            return _heat(panel)
        case Lines():
            return _lines(panel)
        case Points():
            return _points(panel)
        case Bars():
            return _bars(panel)


def figures(chart: Chart) -> list[dict[str, Any]]:
    """The views as Plotly figures, the one that pictures show first."""
    views: Iterable[tuple[str, tuple[Panel, ...]]] = [(chart.view, chart.panels), *chart.views.items()]
    return [{"name": name, **_figure(panels, chart)} for name, panels in views]


def _as_json(value: Any) -> str:
    """JSON that may stand inside a script element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def page(name: str, chart: Chart, footer: Footer) -> str:
    """The chart as the text of an HTML file, beside which LIBRARY and INDEX are."""
    views: list[Mapping[str, Any]] = list(figures(chart))
    return _PAGE.format(
        title=html.escape(chart.title),
        subtitle=html.escape(chart.subtitle),
        hidden="hidden" if len(views) < 2 else "",
        options="".join(f"<option>{html.escape(view['name'])}</option>" for view in views),
        height=max(view["layout"]["height"] for view in views),
        footer=html.escape(str(footer)),
        library=LIBRARY,
        index=INDEX,
        views=_as_json(views),
        name=name,
    )


_INDEX = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.4 system-ui, sans-serif; margin: 1rem 2rem; color: #111; background: #fff }}
h1 {{ font-size: 1.4rem; margin: 0 0 .8rem }}
ul {{ list-style: none; padding: 0; margin: 0; display: grid; gap: 1rem;
    grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)) }}
li a {{ display: block; height: 100%; box-sizing: border-box; padding: .7rem; border: 1px solid #ccc;
    border-radius: .3rem; color: inherit; text-decoration: none }}
li a:hover, li a:focus {{ border-color: #0072b2 }}
img {{ display: block; width: 100%; height: auto; margin-bottom: .5rem }}
strong {{ display: block; color: #0072b2 }}
p, footer {{ color: #555; font-size: .85rem; margin: .8rem 0 0 }}
</style>
</head>
<body>
<h1>{title}</h1>
<ul>
{cards}
</ul>
{absent}<footer>{footer}</footer>
</body>
</html>
"""

_CARD = """<li><a href="{name}.html">
<img src="data:image/png;base64,{picture}" width="{width}" height="{height}" alt="">
<strong>{question}</strong>{title}</a></li>"""


class Card(NamedTuple):
    """What the index says of a page: its file's name, the question, the answer, and a small picture of it as PNG."""

    name: str
    question: str
    title: str
    picture: bytes


def index(title: str, cards: Sequence[Card], absent: Mapping[str, str], footer: Footer) -> str:
    """The text of an HTML file that leads to all pages; `absent` says of other plots why there is none."""
    width, height = SMALL
    return _INDEX.format(
        title=html.escape(title),
        cards="\n".join(
            _CARD.format(
                name=card.name,
                picture=base64.b64encode(card.picture).decode(),
                width=width,
                height=height,
                question=html.escape(card.question),
                title=html.escape(card.title),
            )
            for card in cards
        ),
        absent="".join(f"<p>No {html.escape(name)}: {html.escape(why)}.</p>\n" for name, why in absent.items()),
        footer=html.escape(str(footer)),
    )


def library() -> str:
    """Plotly."""
    return str(get_plotlyjs())
