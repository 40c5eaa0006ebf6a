# SPDX-License-Identifier: MIT
"""Each filter gives the same records in `tat dump`, `tat export`, Python and SQL, and by a plain condition."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tat
from tat import _abi, filters
from tat.database import Database

from conftest import command, run

#: By the filter's name: values as options, as Python takes them, and a condition in SQL.
CASES: dict[str, list[tuple[list[str], Any, str]]] = {
    "tokens": [
        (["6:8"], slice(6, 9), "phase <> 'warmup' AND token + tokens > 6 AND token <= 8"),
        (["2", "7"], [2, 7], "token <= 2 AND token + tokens > 2 OR token <= 7 AND token + tokens > 7"),
    ],
    "phases": [(["prompt"], "prompt", "phase = 'prompt'"), (["prompt", "generate"], ["prompt", "generate"], "true")],
    "evaluations": [(["1:3"], range(1, 4), "graph BETWEEN 1 AND 3")],
    "contexts": [(["1"], 1, "context = 1")],
    "model": [(["1"], 1, "true")],
    "layers": [(["1:"], "1:", "layer >= 1"), (["0", "2"], [0, 2], "layer IN (0, 2)")],
    "tensors": [(["cache_?_l1"], "cache_?_l1", "tensor LIKE 'cache___l1'")],
    "components": [
        (["attn_q", "kv_k"], ["attn_q", "kv_k"], "component IN ('attn_q', 'kv_k')"),
        (["activations"], "activations", "component IS NULL"),
    ],
    "kinds": [
        (["weights"], "weight", "tensor_id IN (SELECT tensor_id FROM tensors WHERE kind = 'weight')"),
        (["kv", "inputs"], ["state", "input"],
         "tensor_id IN (FROM tensors SELECT tensor_id WHERE kind IN ('state', 'input'))"),
    ],
    "ops": [(["mul_mat", "ADD"], ["mul_mat", "ADD"], "op IN ('MUL_MAT', 'ADD')")],
    "experts": [(["1:2"], np.array([1, 2]), "expert IN (1, 2)")],
    "heads": [([None], True, "true"), (["1"], 1,
              "split_part(head, '-', 1)::INT <= 1 AND split_part(head, '-', -1)::INT >= 1")],
    "files": [(["1"], 1, "tensor_id IN (SELECT tensor_id FROM tensors WHERE file = 1)")],
    # Strided ranges are split into runs here: an offset between two of them is not touched.
    "at": [
        (
            ["0x900:4000"],
            "0x900:4000",
            "memory IN ('file', 'copy') AND size > 0 AND EXISTS (SELECT 1 FROM range(count) r(i) WHERE "
            '"offset" + i * coalesce(stride, 0) <= 4000 AND "offset" + i * coalesce(stride, 0) + size / count > 2304)',
        )
    ],
    "at_time": [],
}  # fmt: skip


FIELDS = 'graph, node, operand, "offset", size'


def exported(path: Path, *options: str) -> pd.DataFrame:
    text = run(os.environ["TAT"], "export", *options, path)
    lines = [line.split(",") for line in text.splitlines()]
    return pd.DataFrame(lines[1:], columns=lines[0])


def options_of(name: str, values: list[str | None]) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    return [option if value is None else f"{option}={value}" for value in values]


def compare(path: Path, name: str, values: list[str | None], python: Any, where: str) -> int:
    """Every way to the same records. Returns how many there are."""
    options = options_of(name, values)
    csv = exported(path, *options)
    binary = np.frombuffer(run_bytes("export", "-f", "bin", *options, path), tat.ACCESS)
    dumped = [line.split("\t") for line in run(os.environ["TAT"], "dump", *options, path).splitlines()]
    with tat.TraceAnalyzer(path) as t:
        frame = t.frame(**{name: python})
        records = t.accesses(**{name: python})
    table = "accesses_by_head" if name == "heads" else "accesses"
    with Database(path, filters={name: python}) as db:
        chosen = db.sql(f"SELECT {FIELDS} FROM accesses")
    with Database(path) as db:
        queried = db.sql(f"SELECT {FIELDS} FROM {table} a WHERE {where}")
    said = command("sql", *options, "--csv", "SELECT count(*), sum(size) FROM accesses", path).stdout.splitlines()[1]
    count, size = len(csv), int(csv["size"].astype(np.int64).sum())
    assert count > 0
    assert [line[2] for line in dumped[1:]] == list(csv["graph"])
    assert len(dumped) - 1 == len(binary) == len(records) == len(frame) == count
    assert said == f"{count},{size}"
    for field in ("graph", "node", "operand", "offset", "size"):
        expected = list(csv[field])
        assert list(frame[field].astype(str)) == expected, field
        assert list(chosen[field].astype(str)) == expected, field
    rows = [tuple(row) for row in csv[["graph", "node", "operand", "offset", "size"]].itertuples(index=False)]
    assert sorted(queried.astype(str).itertuples(index=False, name=None)) == sorted(rows)
    np.testing.assert_array_equal(binary["offset"], records["offset"])
    np.testing.assert_array_equal(binary["head_first"], records["head_first"])
    return count


def run_bytes(*arguments: str | Path) -> bytes:
    return subprocess.run([os.environ["TAT"], *arguments], check=True, capture_output=True).stdout


def test_all_filters_have_cases_and_options(toy: Path) -> None:
    assert filters.names() == list(CASES)
    by_option = [name.replace("_", "-") for name in CASES]
    for module in ("sql", "parquet"):
        said = command(module, "--help").stdout
        assert [name for name in re.findall(r"^  --([\w-]+)", said, re.M) if name in by_option] == by_option
    for name in ("dump", "export"):
        said = run(os.environ["TAT"], name, "--help")
        assert {*by_option} <= {*re.findall(r"^ +--([\w-]+)", said, re.M)}


@pytest.mark.parametrize(
    ("name", "values", "python", "where"), [(name, *case) for name, cases in CASES.items() for case in cases]
)
def test_the_same_everywhere(toy: Path, name: str, values: list[str | None], python: Any, where: str) -> None:
    compare(toy, name, values, python, where)


def test_times_everywhere(toy: Path) -> None:
    with tat.TraceAnalyzer(toy) as t:
        times = t.frame(tokens=9)["start_ns"]
    first, last = int(times.iloc[0]), int(times.iloc[len(times) // 2])
    where = f"start_ns <= {last} AND start_ns + greatest(duration_ns, 1) > {first}"
    count = compare(toy, "at_time", [f"{first}ns:{last / 1e9:.9f}s"], f"{first}:{last}", where)
    assert 0 < count < len(times)
    compare(
        toy, "at_time", [str(first)], first, f"start_ns <= {first} AND start_ns + greatest(duration_ns, 1) > {first}"
    )


def test_filters_narrow_each_other_down(toy: Path, real: Path) -> None:
    for path in (toy, real):
        options = ["--layers=1:", "--phases=generate", "--kinds=kv", "--heads", "--ops=SET_ROWS"]
        csv = exported(path, *options)
        with tat.TraceAnalyzer(path) as t:
            frame = t.frame(layers=slice(1, None), phases=["generate"], kinds="kv", heads=True, ops="set_rows")
            whole = t.frame(layers="1:", phases="generate", kinds="state", ops="SET_ROWS")
        assert list(frame["head"].astype(object).fillna("")) == list(csv["head"])
        assert frame["size"].sum() == whole["size"].sum() == csv["size"].astype(np.int64).sum()
        assert set(frame["head"].dropna()) >= {"0", "1"}
        assert whole["head"].isna().all()


def touched(records: Any, strides: Any, size: int) -> Any:
    """How many of a file's first bytes each record touches, as marks."""
    marks = np.zeros((len(records), size), np.bool_)
    for mark, a, stride in zip(marks, records, strides, strict=True):
        run_bytes = int(a["bytes"]) // int(a["rows"])
        for i in range(int(a["rows"])):
            at = int(a["offset"]) + i * int(stride)
            mark[at : at + run_bytes] = True
    return marks


def test_every_byte_of_a_file(toy: Path) -> None:
    """Heads of the output weights are strided: what lies between two runs is not theirs."""
    with tat.TraceAnalyzer(toy) as t:
        what = {"tokens": 9, "layers": 0, "components": ["attn_output", "attn_k", "expert_up"], "heads": True}
        records = t.accesses(**what)
        size = int((records["offset"] + records["bytes"] * 8).max())
        marks = touched(records, t.trace.strides(records["layout"]), size)
        assert (records["rows"] > 1).any()
        rng = np.random.default_rng(1)
        middle = records["offset"][rng.integers(len(records), size=150)].astype(np.int64)
        for first in [0, *np.clip(middle + rng.integers(-40, 400, size=150), 0, size - 1)]:
            last = min(size - 1, int(first) + int(rng.choice([0, 1, 17, 200])))
            found = t.accesses(**what, at=f"{first}:{last}")
            np.testing.assert_array_equal(found, records[marks[:, first : last + 1].any(axis=1)])


def test_approximate_records_may_be_anywhere_behind(real: Path) -> None:
    """No record that touches a byte is left out, exact or not."""
    with tat.TraceAnalyzer(real) as t:
        file = t.tensors().dropna(subset="file").set_index("tensor_id")
        for row in file.sample(20, random_state=1).itertuples():
            found = t.accesses(at=int(row.file_offset) + int(row.bytes) - 1, phases="generate")
            mine = t.accesses(tensors=row.tensor, phases="generate")
            assert set(found["tensor"]) <= {row.Index, *file.index[file["weight_id"] == row.weight_id]}
            ends = mine["offset"] + mine["bytes"] == row.file_offset + row.bytes
            assert len(found) >= np.count_nonzero(ends)


def test_values_as_python_has_them(toy: Path) -> None:
    with tat.TraceAnalyzer(toy) as t:
        all_of = t.frame()
        for same in ("3:5", [3, 4, 5], slice(3, 6), range(3, 6), np.arange(3, 6), {5, 4, 3}, ["3", slice(4, 6)]):
            assert t.frame(evaluations=same).equals(t.frame(evaluations="3:5")), same
        last = len(t.trace.evaluations) - 1
        assert t.frame(evaluations=slice(-1, None)).equals(t.frame(evaluations=last))
        assert t.frame(evaluations=slice(0, None, 2))["graph"].unique().tolist() == list(range(0, last + 1, 2))
        assert t.frame(layers=None, heads=False, ops=None).equals(all_of)
        for nothing in ({"ops": []}, {"evaluations": slice(3, 3)}, {"at": slice(5, 5)}, {"heads": []}, {"layers": 99}):
            assert len(t.frame(**nothing)) == 0
        with pytest.raises(tat.TatError, match="there is no filter 'layer'; there are tokens, phases") as error:
            t.frame(layer=3)
        assert error.value.kind == tat.ErrorKind.USAGE
        for wrong in ({"at": slice(0, 9, 2)}, {"layers": True}, {"tokens": [1.5]}, {"at": -1}, {"layers": object()}):
            with pytest.raises(tat.TatError) as error:
                t.frame(**wrong)
            assert error.value.kind == tat.ErrorKind.USAGE
        with pytest.raises(tat.TatError, match="there are GET_ROWS") as error:
            t.frame(ops="NOTHING")
        assert error.value.kind == tat.ErrorKind.NO


def test_several_traces(toy: Path, real: Path) -> None:
    """What one trace lacks, another may have."""
    with Database(toy, real, filters={"tensors": "blk.20.*"}) as db:
        assert db.sql("SELECT DISTINCT run FROM accesses")["run"].tolist() == [real.name]
    with pytest.raises(tat.TatError, match=r"blk\.99"):
        Database(toy, real, filters={"tensors": "blk.99.*"})


def test_a_dataset_of_what_passes(toy: Path, tmp_path: Path) -> None:
    out = tmp_path / "some.parquet"
    command("parquet", toy, "-o", out, "--heads", "--kinds", "kv", "--layers", "1")
    with Database(out) as db, tat.TraceAnalyzer(toy) as t:
        frame = t.frame(heads=True, kinds="kv", layers=1)
        found = db.sql("SELECT count(*) n, sum(size)::BIGINT s, count(head) h FROM accesses").iloc[0]
        assert found.tolist() == [len(frame), frame["size"].sum(), frame["head"].count()]
    assert (
        "nothing was written: no access record matches"
        in command("parquet", toy, "-o", tmp_path / "none", "--layers", "77", status=1).stderr
    )
    assert command("sql", "--heads", "SELECT count(*) FROM accesses", toy).stdout.split()[1] == str(
        len(tat.TraceAnalyzer(toy).frame(heads=True))
    )
    assert "is a dataset: use WHERE" in command("sql", "--layers", "1", "SELECT 1", out, status=2).stderr
    assert "--at 4K: must be a byte" in command("sql", "--at", "4K", "SELECT 1", toy, status=2).stderr.replace("'", "")


def test_the_declared_flags_are_all() -> None:
    assert _abi.NO_HEAD == 0xFFFF and set(filters._HELP) == set(filters.names())
