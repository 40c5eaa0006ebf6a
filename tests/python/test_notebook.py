# SPDX-License-Identifier: MIT
"""The guided tour runs from its first cell to its last."""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOK = Path(os.environ["SOURCE"], "notebooks", "analysis.ipynb")


def executed(trace: Path, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    monkeypatch.setenv("TAT_TRACE", str(trace))
    monkeypatch.setenv("IPYTHONDIR", str(Path.cwd() / "ipython"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(Path.cwd())}}).execute()
    return notebook


def outputs(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def test_real(real: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = outputs(executed(real, monkeypatch))
    pictures = [output for output in found if "image/png" in output.get("data", {})]
    assert len(pictures) == 8  # two of them of experts, two of waiting for the disk
    assert any("SmolLM2-8x2.gguf" in output.get("text", "") for output in found)


def test_dense(one_token: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [o for o in outputs(executed(one_token, monkeypatch)) if "image/png" in o.get("data", {})]
    assert len(pictures) == 4


def test_outputs_are_kept() -> None:
    """As one gets them, so without what only this machine has, and small."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert len([output for output in outputs(notebook) if "image/png" in output.get("data", {})]) == 8
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 500_000
    assert not re.search(r"/(home|root|tmp|work)/", text)
