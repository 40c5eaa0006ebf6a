# SPDX-License-Identifier: MIT
"""The table of plots: one entry each. A new plot is a function that makes a Chart, and its line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tat.plot import attention, caching, experts, heatmaps, order, tensors, timeline
from tat.plot.chart import Chart
from tat.plot.source import Source


class Plot(NamedTuple):
    """A plot by the name of its file. `make` raises AbsentError if the trace has nothing that it could show."""

    name: str
    make: Callable[[Source], Chart]


PLOTS = (
    Plot("heatmap_token_layer", heatmaps.token_layer),
    Plot("heatmap_token_tensor", heatmaps.token_tensor),
    Plot("timeline_offset", timeline.timeline_offset),
    Plot("hot_tensors", tensors.hot_tensors),
    Plot("layers", tensors.layers),
    Plot("operation_types", tensors.operation_types),
    Plot("attention_heads", attention.attention_heads),
    Plot("qkv_order", attention.qkv_order),
    Plot("kv_growth", attention.kv_growth),
    Plot("moe_expert_heatmap", experts.moe_expert_heatmap),
    Plot("layer_expert", experts.layer_expert),
    Plot("transitions", experts.transitions),
    Plot("reuse_distance", caching.reuse_distance),
    Plot("miss_ratio_curves", caching.miss_ratio_curves),
    Plot("gap_histogram", order.gap_histogram),
    Plot("prediction_scores", order.prediction_scores),
)
