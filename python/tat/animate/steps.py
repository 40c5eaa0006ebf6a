# SPDX-License-Identifier: MIT
"""What lights up in each frame of a film, as numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tat.plot.chart import AbsentError, Floats, floats
from tat.plot.places import Places, by_file, spread
from tat.plot.source import Source

CELLS = 64 * 36
"""Of the file map."""
MOST_FRAMES = 3000
_MOST_LIGHTS = 50_000_000
"""Of all frames: half a gigabyte. A damaged trace may name any number of layers and experts."""
NO_LAYER = 0xFFFF
WRITE = 1
COLUMNS = ("weights", "KV cache", "activations")


@dataclass(frozen=True, eq=False)
class Steps:
    """A run cut into frames of equal length of film. Every evaluation takes equally long, whatever its tokens."""

    cells: Floats
    """frames x CELLS: bytes read in each part of the model files."""
    cell_bytes: float
    layers: Floats
    """frames x layers x COLUMNS: bytes touched."""
    experts: Floats
    """frames x layers x experts: bytes read; no experts where the model has none."""
    layer_names: tuple[str, ...]
    row: NDArray[np.int64]
    """Of each frame: the evaluation that it shows (a row of the source), the last if it shows several."""
    places: Places


def frame_of(row: NDArray[np.int64], share: Floats, frames_each: float, frames: int) -> NDArray[np.int64]:
    """The frame in which something happens that is `share` of the way through evaluation `row`."""
    at = ((row + np.clip(share, 0, 1 - 1e-9)) * frames_each).astype(np.int64)
    return np.clip(at, 0, frames - 1)


def steps(source: Source, frames_each: float, progress: Callable[[int], None] = lambda _: None) -> Steps:
    """Cuts a run into frames, `frames_each` for each evaluation (below 1: several in a frame).

    `progress` is told how many evaluations have been read. Raises AbsentError where no weight of a model file is read.
    """
    count = len(source.numbers)
    frames = max(1, int(np.ceil(count * frames_each)))
    tensors = source.tensors
    kind = tensors["kind"].astype(str).to_numpy()
    layer = tensors["layer"].astype("Float64").to_numpy(na_value=np.nan)
    numbers = sorted({int(n) for n in layer[np.isfinite(layer)]})
    place = np.full(NO_LAYER + 1, len(numbers))
    place[numbers] = np.arange(len(numbers))
    columns = np.where(kind == "weight", 0, np.where(kind == "state", 1, 2))
    files, rows = by_file(source), len(numbers) + 1
    if frames * rows * len(COLUMNS) > _MOST_LIGHTS:
        raise AbsentError(f"{len(numbers):,} layers in {frames:,} frames are more than a film has room for")
    n_experts = source.n_experts if frames * rows * source.n_experts <= _MOST_LIGHTS else 0
    cells = np.zeros((frames, CELLS))
    layers = np.zeros(frames * rows * len(COLUMNS))
    experts = np.zeros(frames * rows * n_experts)
    begins, ends = (floats(source.evaluations[key].to_numpy()) for key in ("begin_ns", "end_ns"))
    for chosen, a in source.records(np.arange(count), np.ones(len(tensors), np.bool_)):
        progress(int(chosen[0]))
        row = np.searchsorted(source.numbers, a["evaluation"])
        share = (a["start_ns"] - begins[row]) / np.maximum(ends - begins, 1)[row]
        frame, amount = frame_of(row, share, frames_each, frames), floats(a["bytes"])
        at = frame * rows + place[a["layer"]]
        layers += np.bincount(at * len(COLUMNS) + columns[a["tensor"]], amount, len(layers))
        if n_experts:
            routed = a["expert"] < n_experts
            experts += np.bincount(at[routed] * n_experts + a["expert"][routed], amount[routed], len(experts))
        read = source.file_weights[a["tensor"]] & (a["flags"] & WRITE == 0) & (a["bytes"] > 0)
        first = int(frame.min()) if len(frame) else 0
        span = int(frame.max()) - first + 1 if len(frame) else 0
        if span:
            spans, group = files.spans(source, a[read]), frame[read] - first
            cells[first : first + span] += spread(files.end, spans, amount[read], group, (span, CELLS))
    if not cells.any():
        raise AbsentError("no weight of a model file was read")
    names = (*map(str, numbers), "none")
    row_of_frame = np.minimum((np.arange(frames) / frames_each).astype(np.int64), count - 1)
    if frames_each < 1:
        row_of_frame = np.minimum(np.ceil((np.arange(frames) + 1) / frames_each).astype(np.int64) - 1, count - 1)
    shape = (frames, rows)
    return Steps(
        cells,
        files.end / CELLS,
        layers.reshape(*shape, len(COLUMNS)),
        experts.reshape(*shape, n_experts) if n_experts else np.zeros((*shape, 0)),
        names,
        row_of_frame,
        files,
    )
