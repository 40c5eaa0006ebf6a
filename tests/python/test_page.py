# SPDX-License-Identifier: MIT
"""Pages: a folder that needs nothing else, without a path of this machine, and with the numbers of the pictures."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs
from tat.plot import PLOTS, AbsentError, cli
from tat.plot.chart import Bars, Footer, Heat
from tat.plot.page import index as index_page
from tat.plot.units import scale_of

from drawn import MAKE, NAMES, source_of

QUESTIONS = {plot.name: plot.question for plot in PLOTS}
ADDRESS = re.compile(r"""(?:src|href)\s*=\s*("(?:data:[^,]*,|[^"]*"))""")


def page_of(trace: Path, name: str, *more: str) -> str:
    assert cli.main([str(trace), "--only", name, "--html", "-o", "out", *more]) == 0
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(
        [f"{name}.html", "index.html", "plotly.min.js"]
    )
    assert Path("out/plotly.min.js").read_text() == get_plotlyjs()
    return Path("out", f"{name}.html").read_text()


def views_of(page: str) -> list[dict[str, Any]]:
    found = re.search(r'<script id="views" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    views: list[dict[str, Any]] = json.loads(found[1])
    return views


@pytest.mark.parametrize("trace", ["toy", "real"])
@pytest.mark.parametrize("name", NAMES)
def test_pages(name: str, trace: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(trace)
    try:
        chart = MAKE[name](source_of(path))
    except AbsentError:
        assert cli.main([str(path), "--only", name, "--html", "-o", "out"]) == 1
        return
    page = page_of(path, name)
    assert html.escape(chart.title) in page
    views = views_of(page)
    assert [view["name"] for view in views] == [chart.view, *chart.views]
    for view in views:
        go.Figure(data=view["data"], layout=view["layout"])  # raises ValueError where a property is none of Plotly's
    index = Path("out/index.html").read_text()
    assert html.escape(chart.title) in index
    assert html.escape(QUESTIONS[name]) in index
    assert set(ADDRESS.findall(index)) == {f'"{name}.html"', '"data:image/png;base64,'}
    # Plotly is loaded and nothing else, and the browser is told to refuse.
    assert ADDRESS.findall(page.replace("link.href = ", "")) == ['"index.html"', '"plotly.min.js"']
    for text in (page, index):
        assert "default-src 'none'" in text
        assert not re.search(r"""@import|url\(|https?:""", text)
        # Nothing of this machine.
        for private in (str(path), str(path.parent), str(Path.home()), str(Path.cwd()), "/tmp"):
            assert private not in text


@pytest.mark.parametrize("trace", ["toy", "real"])
def test_the_numbers_of_a_heatmap(trace: str, request: pytest.FixtureRequest) -> None:
    path = request.getfixturevalue(trace)
    shown = views_of(page_of(path, "heatmap_token_layer"))[0]["data"][0]
    heat = MAKE["heatmap_token_layer"](source_of(path)).panels[0]
    assert isinstance(heat, Heat)
    values = np.array(shown["z"], dtype=float) * scale_of(heat.value.unit, heat.limits[1]).divisor
    np.testing.assert_allclose(values, heat.values, rtol=1e-5)
    assert shown["y"] == list(heat.row_names)
    assert shown["x"] == list(range(int(heat.x_edges[0]), int(heat.x_edges[-1])))


def test_the_numbers_of_bars(real: Path) -> None:
    view = views_of(page_of(real, "layers"))[0]
    bars = MAKE["layers"](source_of(real)).panels[0]
    assert isinstance(bars, Bars)
    divisor = scale_of("bytes", float(np.sum([v for _, v in bars.series], axis=0).max())).divisor
    for shown, (name, values) in zip(view["data"], bars.series, strict=False):
        assert shown["name"] == name
        np.testing.assert_allclose(np.array(shown["y"]) * divisor, values, rtol=1e-5)


def test_a_filter_by_layer(real: Path) -> None:
    views = views_of(page_of(real, "moe_expert_heatmap"))
    first, *others = (int(view["name"].removeprefix("layer ")) for view in views)
    assert others == [layer for layer in range(30) if layer != first]
    routing = source_of(real).routing()
    for layer, view in zip((first, *others), views, strict=True):
        values = np.array([[one or 0 for one in row] for row in view["data"][0]["z"]], dtype=float) / 100
        assert values.sum() == pytest.approx((routing["layer"] == layer).sum())


def test_one_folder(real: Path) -> None:
    """Beside the trace, with the library once; the index says what is left out and why."""
    assert cli.main([str(real), "--html", "--only", "layers", "kv_growth"]) == 0
    folder = real / "analysis/html"
    names = [path.name for path in folder.iterdir()]
    assert sorted(names) == ["index.html", "kv_growth.html", "layers.html", "plotly.min.js"]
    index = (folder / "index.html").read_text()
    assert index.index("layers.html") < index.index("kv_growth.html")
    assert "No transitions: no layer of this model has experts." in page_index(
        {"transitions": "no layer of this model has experts"}
    )


def page_index(absent: dict[str, str]) -> str:
    return index_page("a run", [], absent, Footer("", "a run"))


def test_the_folder_only_where_it_is_asked_for(real: Path) -> None:
    assert str(real) in page_of(real, "layers", "--with-text")
    svg = Path("out/layers.svg")
    assert cli.main([str(real), "--only", "layers", "--format", "svg", "-o", "out"]) == 0
    assert str(real) not in svg.read_text()


def test_names_cannot_end_a_script() -> None:
    from tat.plot.page import _as_json  # noqa: PLC0415

    text = "</script><script>alert(1)</script>&"
    assert "<" not in _as_json([text])
    assert json.loads(_as_json([text])) == [text]
