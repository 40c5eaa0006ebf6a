# SPDX-License-Identifier: MIT
"""The table of plots: one entry each. A new plot is a function that makes a Chart, and its line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tat.plot import attention, caching, experts, heatmaps, order, storage, tensors, timeline
from tat.plot.chart import Chart
from tat.plot.source import Source


class Plot(NamedTuple):
    """A plot by the name of its file. `make` raises AbsentError if the trace has nothing that it could show."""

    name: str
    question: str
    make: Callable[[Source], Chart]


PLOTS = (
    Plot("heatmap_token_layer", "What does each token cost in each layer?", heatmaps.token_layer),
    Plot("heatmap_token_tensor", "What does each token cost in each tensor?", heatmaps.token_tensor),
    Plot("timeline_offset", "Where in the model file does inference read?", timeline.timeline_offset),
    Plot("hot_tensors", "How often is a byte of the weights read?", tensors.hot_tensors),
    Plot("layers", "How many bytes and how much time does each layer take in a token?", tensors.layers),
    Plot("operation_types", "Which operations take the time of a token, and which its bytes?", tensors.operation_types),
    Plot("attention_heads", "What does each head read?", attention.attention_heads),
    Plot("qkv_order", "In which order are Q, K, V, the cache and the output weights read?", attention.qkv_order),
    Plot("kv_growth", "What does the KV cache cost as it grows?", attention.kv_growth),
    Plot("moe_expert_heatmap", "Which experts does each token choose?", experts.moe_expert_heatmap),
    Plot("layer_expert", "Which experts does each layer use?", experts.layer_expert),
    Plot("transitions", "Which expert follows which?", experts.transitions),
    Plot("reuse_distance", "After how many other bytes is a byte read again?", caching.reuse_distance),
    Plot(
        "miss_ratio_curves", "How many bytes would a cache of each size still have to read?", caching.miss_ratio_curves
    ),
    Plot("gap_histogram", "How far apart in the file are two reads in a row?", order.gap_histogram),
    Plot(
        "prediction_scores",
        "How often does a simple rule guess the next tensor, or the next slice?",
        order.prediction_scores,
    ),
    Plot("page_faults", "Which bytes of the model were faulted in, and when?", storage.page_faults),
    Plot("stall_per_token", "How much of each token's time does a thread wait for memory?", storage.stall_per_token),
    Plot("residency", "Which bytes of the model are in memory?", storage.residency),
    Plot("read_again", "Which weights are read from the disk again and again?", storage.read_again),
    Plot("disk_throughput", "How fast is the disk read?", storage.disk_throughput),
)
