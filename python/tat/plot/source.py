# SPDX-License-Identifier: MIT
"""What plots ask of a trace, as arrays: inference only, in the order of execution, load and warm-up left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tat import Answer, ErrorKind, TatError, TraceAnalyzer
from tat._abi import INFERENCE
from tat.plot.bins import TokenBins
from tat.plot.chart import AbsentError, Floats, Footer, floats

_PIECE = 64
"""Evaluations expanded at a time, so that memory does not grow with the run."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """A value by evaluation (rows) and key (columns). If keys are tensors, it also says what they are."""

    values: Floats
    ids: NDArray[Any]
    names: tuple[str, ...]
    layers: Floats
    """NaN: no layer."""
    components: NDArray[Any]
    kinds: NDArray[Any]

    def only(self, columns: NDArray[Any]) -> Matrix:
        """Some of the columns: flags, or numbers in the order wanted."""
        chosen = np.flatnonzero(columns) if columns.dtype == bool else columns
        names = tuple(self.names[i] for i in chosen)
        return Matrix(
            self.values[:, chosen],
            self.ids[chosen],
            names,
            self.layers[chosen],
            self.components[chosen],
            self.kinds[chosen],
        )


class Source:
    """A trace that keeps what several plots need."""

    def __init__(self, trace: TraceAnalyzer) -> None:
        """Takes the evaluations that computed tokens; raises AbsentError if there is none."""
        self.trace = trace
        table = trace.evaluations()
        table = table[table["phase"].isin(INFERENCE) & (table["tokens"] > 0) & ~table["cut"]].reset_index(drop=True)
        if table.empty:
            raise AbsentError("the trace has no prompt and no generated tokens")
        self.evaluations = table
        self.numbers: NDArray[np.int64] = table["evaluation"].to_numpy(np.int64)
        self.count: NDArray[np.int64] = table["tokens"].to_numpy(np.int64)
        self.phase: NDArray[Any] = table["phase"].astype(str).to_numpy()
        token: NDArray[np.int64] = table["token"].to_numpy(np.int64)
        # Several graphs may compute the same tokens: a backend each, or a draft model's. They count once.
        ubatch = np.unique(np.stack([table["context"], token]), axis=1, return_index=True)[1]
        self.weight: Floats = floats(np.isin(np.arange(len(table)), ubatch))
        contexts = table["context"].nunique()
        if contexts == 1:
            self.first, self.token_label = token, "token"
        else:
            self.first = np.cumsum(self.count) - self.count
            self.weight = np.ones(len(table))
            self.token_label = f"token, in order of evaluation ({contexts} contexts)"

    # -------------------------------------------------------------------------------------------------- tokens

    @cached_property
    def phases(self) -> tuple[str, ...]:
        """Those of inference that occur, in their order."""
        return tuple(phase for phase in INFERENCE if (self.phase == phase).any())

    def of_phase(self, phase: str) -> NDArray[np.bool_]:
        """Which evaluations are of a phase; "": all."""
        return np.asarray(self.phase == phase) if phase else np.ones(len(self.phase), np.bool_)

    def bins(self) -> TokenBins:
        """All tokens, in as many columns as a picture has room for."""
        return TokenBins.of(int(self.first.min()), int((self.first + self.count).max()))

    def computed(self, bins: TokenBins, phase: str = "") -> Floats:
        """Tokens computed, by column."""
        chosen = self.of_phase(phase)
        ones = (self.weight * self.count)[chosen][:, None]
        return floats(bins.totals(ones, self.first[chosen], self.count[chosen])[0])

    def generated(self, bins: TokenBins) -> NDArray[np.bool_]:
        """Which columns hold generated tokens and no others."""
        return np.asarray(self.computed(bins, "generate") == self.computed(bins))

    # ------------------------------------------------------------------------------------------------- matrices

    @cached_property
    def tensors(self) -> pd.DataFrame:
        """The trace's tensors by tensor_id."""
        return self.trace.tensors().set_index("tensor_id")

    @cached_property
    def file_weights(self) -> NDArray[np.bool_]:
        """Which tensors, by tensor_id, are weights with a place in a model file."""
        t = self.tensors
        return np.asarray((t["kind"] == "weight").to_numpy() & t["file"].notna().to_numpy())

    @cached_property
    def _matrices(self) -> dict[tuple[str, str, tuple[str, ...]], Matrix]:
        return {}

    def matrix(self, by: Any, value: Any, kinds: tuple[str, ...] = ()) -> Matrix:
        """`TraceAnalyzer.matrix` over the evaluations of this source; of tensors of these kinds, if any is named."""
        if (by, value, kinds) not in self._matrices:
            table = self.trace.matrix(by=by, value=value, kinds=kinds)
            table = table[np.isin(table.index.get_level_values("evaluation"), self.numbers)]
            self._matrices[by, value, kinds] = self._matrix(by, floats(table.to_numpy()), table.columns.to_numpy())
        return self._matrices[by, value, kinds]

    def _matrix(self, by: str, values: Floats, ids: NDArray[Any]) -> Matrix:
        none = np.full(len(ids), np.nan)
        text = np.full(len(ids), "", dtype=object)
        if by == "tensor":
            t = self.tensors.loc[ids]
            layers = floats(t["layer"].astype("Float64").to_numpy(na_value=np.nan))
            component = t["component"].astype(object).fillna("").to_numpy()
            return Matrix(
                values, ids, tuple(t["tensor"].astype(str)), layers, component, t["kind"].astype(str).to_numpy()
            )
        if by == "layer":
            return Matrix(values, ids, tuple(map(str, ids)), np.where(ids < 0, np.nan, ids), text, text)
        return Matrix(values, ids, tuple(map(str, ids)), none, ids, text)

    # -------------------------------------------------------------------------------------------------- records

    def records(
        self, chosen: NDArray[np.int64], tensors: NDArray[np.bool_]
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.void]]]:
        """Access records of the evaluations `chosen` (rows of this source) to the tensors flagged, in pieces.

        Each piece comes with those of `chosen` that it is of.
        """
        total = len(self.trace.trace.evaluations)
        for at in range(0, len(chosen), _PIECE):
            piece = chosen[at : at + _PIECE]
            numbers = self.numbers[piece]
            flags = np.zeros(total, np.bool_)
            flags[numbers] = True
            first, last = int(numbers[0]), int(numbers[-1]) + 1
            yield piece, self.trace.trace.accesses(first, last, evaluations=flags, tensors=tensors)

    def extents(self, records: NDArray[np.void]) -> Floats:
        """Bytes from the first to the last that each record touches. A strided record touches fewer."""
        strides = self.trace.trace.strides(records["layout"]).astype(np.float64)
        run = records["bytes"] / np.maximum(records["rows"], 1)
        return np.where(strides > 0, strides * (records["rows"] - 1.0) + run, records["bytes"])

    def middle(self) -> int:
        """The row of the generated token in the middle of the run, or else the last row: its graph uses everything."""
        generated = np.flatnonzero(self.phase == "generate")
        return int(generated[len(generated) // 2]) if len(generated) else len(self.phase) - 1

    @cached_property
    def _routing(self) -> pd.DataFrame:
        routing = self.trace.routing()
        routing = routing[routing["evaluation"].isin(self.numbers) & routing["expert"].notna()]
        row = np.searchsorted(self.numbers, routing["evaluation"].to_numpy(np.int64))
        of_evaluation = routing["row"].fillna(-1).to_numpy(np.int64)
        return pd.DataFrame(
            {
                "evaluation": routing["evaluation"].to_numpy(np.int64),
                "position": np.where(of_evaluation >= 0, self.first[row] + of_evaluation, -1),
                "phase": self.phase[row],
                "layer": routing["layer"].to_numpy(np.int64),
                "slot": routing["slot"].to_numpy(np.int64),
                "expert": routing["expert"].to_numpy(np.int64),
            }
        )

    @property
    def n_experts(self) -> int:
        """One more than the largest number of an expert that was chosen; 0 if the model has no experts."""
        return 0 if self._routing.empty else int(self._routing["expert"].max()) + 1

    def expert_reads(self) -> dict[int, Floats]:
        """By layer, how many evaluations chose each expert."""
        once = self._routing.drop_duplicates(["evaluation", "layer", "expert"])
        return {
            int(str(layer)): floats(np.bincount(rows["expert"].to_numpy())) for layer, rows in once.groupby("layer")
        }

    def stack_of(self, tensor: int) -> int:
        """How many experts a weight holds the parts of; 0 if it is not a stack."""
        table = self.tensors
        if not str(table.at[tensor, "component"]).startswith("expert"):
            return 0
        ne1, ne2 = (int(str(table.at[tensor, name])) for name in ("ne1", "ne2"))
        return ne2 if ne2 > 1 else ne1

    def routing(self) -> pd.DataFrame:
        """Experts chosen: evaluation, position (of the token; -1 where it is not known), phase, layer,
        slot, expert. Raises AbsentError if there is none."""
        if self._routing.empty:
            raise AbsentError("no layer of this model has experts")
        return self._routing

    # -------------------------------------------------------------------------------------------------- storage

    @cached_property
    def _io(self) -> dict[str, pd.DataFrame]:
        return {}

    def io(self, table: str) -> pd.DataFrame:
        """A table of I/O events (`TraceAnalyzer.faults` and so on); raises AbsentError if none were recorded."""
        if table not in self._io:
            try:
                self._io[table] = getattr(self.trace, table)()
            except TatError as error:
                if error.kind != ErrorKind.NO:
                    raise
                raise AbsentError("I/O events were not recorded: `tat record --io` does that") from error
        return self._io[table]

    def why_no_io(self, *sources: str) -> str:
        """Why there are no events of these sources, as a sentence."""
        table = self.io("io_sources")
        said = table[table["source"].isin(sources) & table["missing"].notna()]["missing"]
        return f"it was not recorded: {said.iloc[0]}" if len(said) else "`tat record` recorded nothing of the kind"

    # ------------------------------------------------------------------------------------------------- sections

    @cached_property
    def _answers(self) -> dict[str, Answer]:
        return {}

    def _answer(self, name: str) -> Answer | None:
        if not self._answers:
            self._answers.update(self.trace.report())
        if name not in self._answers and name in self.trace.sections:
            self._answers[name] = self.trace.section(name)
        return self._answers.get(name)

    def section(self, name: str) -> Answer:
        """A section of `tat report`; raises AbsentError if the trace has nothing for it."""
        answer = self._answer(name)
        if answer is None:
            raise AbsentError(f"this version of tat has no section '{name}'")
        if answer.absent:
            raise AbsentError(answer.headline.rstrip(".") or f"the section '{name}' is empty")
        return answer

    def statistics(self) -> dict[str, Any]:
        """All sections, by name, as `tat report --json` prints them."""
        answers = {name: self._answer(name) for name in self.trace.sections}
        return {name: answer.json for name, answer in answers.items() if answer is not None}

    def headline(self, *names: str) -> str:
        """The headline of the first of these sections that has one."""
        for name in names:
            try:
                return self.section(name).headline
            except AbsentError:
                continue
        return ""

    def table(self, section: str, name: str) -> pd.DataFrame:
        """A table of a section, with rows; raises AbsentError if it has none."""
        table = self.section(section).tables.get(name)
        if table is None or table.empty:
            raise AbsentError(f"the section '{section}' has no table '{name}' for this trace")
        return table

    def caveats(self) -> str:
        """What all figures are subject to, in sentences: that another backend computed parts, and the like."""
        return str(self.section("run").values.get("caveats", ""))

    def footer(self) -> Footer:
        """The model's file name and the tokens: no path, no text."""
        files = self.section("run").values.get("model_files", [])
        model = str(files[0]["path"]).replace("\\", "/").rsplit("/", 1)[-1] if files else ""
        tokens = [f"{int((self.weight * self.count)[self.phase == p].sum()):,} {p}" for p in self.phases]
        words = ", ".join(tokens).replace("generate", "generated")
        return Footer(model, f"{words} tokens · Tensor Access Tracker")
