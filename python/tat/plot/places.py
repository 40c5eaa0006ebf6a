# SPDX-License-Identifier: MIT
"""Axes of bytes: where weights are, in the model's files or in the order of use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tat.plot.chart import Floats, floats
from tat.plot.source import Source

Reads = NDArray[np.void]


@dataclass(frozen=True, eq=False)
class Places:
    """Where tensors are on an axis of bytes: in the files, one after the other, or in the order of first use."""

    title: str
    label: str
    shift: Floats
    """By tensor_id: what is added to an offset in its file; NaN where the tensor has no place."""
    end: float

    def spans(self, source: Source, reads: Reads) -> tuple[Floats, Floats]:
        """Begin and end of each read."""
        low = self.shift[reads["tensor"]] + reads["offset"]
        return low, low + source.extents(reads)


def spread(
    end: float, spans: tuple[Floats, Floats], amount: Floats, group: NDArray[np.int64], shape: tuple[int, int]
) -> Floats:
    """Amounts, each spread evenly over its span, summed in equal parts of [0, end), by group.

    `shape` is (groups, parts). The sum of all is the sum of the amounts.
    """
    (low, high), (groups, parts) = spans, shape
    size = end / parts
    first = np.clip((low / size).astype(np.int64), 0, parts - 1)
    last = np.clip(np.ceil(high / size).astype(np.int64) - 1, first, parts - 1)
    pieces = last - first + 1
    of = np.repeat(np.arange(len(low)), pieces)
    row = first[of] + np.arange(len(of)) - (np.cumsum(pieces) - pieces)[of]
    inside = np.minimum(high[of], (row + 1) * size) - np.maximum(low[of], row * size)
    share = np.where(pieces[of] == 1, 1.0, inside / np.maximum(high - low, 1.0)[of])
    sums = np.bincount(group[of] * parts + row, amount[of] * share, groups * parts)
    return floats(sums).reshape(groups, parts)


@dataclass(frozen=True, eq=False)
class Files:
    """The model files, one after the other."""

    label: str
    starts: Floats
    """By number of the file, which counts from 1."""
    end: float

    @classmethod
    def of(cls, source: Source) -> Files:
        """Those of the run."""
        sizes = [float(file["bytes"]) for file in source.section("run").values.get("model_files", [])]
        label = "offset in the model file" if len(sizes) < 2 else f"offset in the {len(sizes)} model files"
        return cls(label, np.array([np.nan, *(np.cumsum(sizes) - sizes)]), sum(sizes))

    def at(self, numbers: NDArray[np.int64]) -> Floats:
        """Where files with these numbers begin; NaN for those that are none of them."""
        return np.where(numbers < len(self.starts), self.starts[np.minimum(numbers, len(self.starts) - 1)], np.nan)


def by_file(source: Source) -> Places:
    """All bytes of the model files, one file after the other."""
    files = Files.of(source)
    shift = files.at(source.tensors["file"].fillna(0).to_numpy(np.int64))
    return Places("In the order of the file", files.label, shift, files.end)


def by_use(source: Source, reads: Reads) -> Places:
    """What is read first comes first; what is never read has no place."""
    weight = source.tensors["weight_id"].to_numpy(np.int64)  # of those that are one, the first
    ids, at = np.unique(weight[reads["tensor"]], return_index=True)
    order = ids[np.argsort(at, kind="stable")]
    sizes = floats(source.tensors["bytes"].to_numpy())[order]
    begins = floats(source.tensors["file_offset"].astype("Float64").to_numpy(na_value=np.nan))[order]
    shift = np.full(len(source.tensors), np.nan)
    shift[order] = np.cumsum(sizes) - sizes - begins
    return Places("In the order of first use", "weights, by first use", shift[weight], float(sizes.sum()))
