# SPDX-License-Identifier: MIT
"""The query templates on Spark, in local mode, against DuckDB."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
from tat.database import Database
from tat.queries import QUERIES

from conftest import command
from io_run import IoRun


def test_the_same_on_both_engines(recorded: IoRun, outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not shutil.which("java"):
        pytest.skip("no java: scripts/install-deps.sh test installs one")
    # What runs for seconds is not worth the second compiler's time, nor several threads that collect garbage.
    monkeypatch.setenv("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    command("parquet", recorded.path, outside, "-o", "data")
    with Database("data") as duckdb, Database("data", engine="spark") as spark:
        for name in QUERIES:
            ours, theirs = duckdb.query(name), spark.query(name)
            assert len(ours) > 0
            pd.testing.assert_frame_equal(ours, theirs, check_dtype=False)
        statement = "SELECT run, layer, count(*) AS n, sum(size) AS bytes FROM accesses GROUP BY run, layer"
        ordered = f"{statement} ORDER BY run, layer NULLS FIRST"
        pd.testing.assert_frame_equal(duckdb.sql(ordered), spark.sql(ordered), check_dtype=False)
