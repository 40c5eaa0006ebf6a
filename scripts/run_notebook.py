# SPDX-License-Identifier: MIT
"""run_notebook.py NOTEBOOK: runs it and keeps its outputs, with small pictures and nothing that differs from run to run."""

import base64
import sys
from pathlib import Path

import nbclient
import nbformat

from shrink_pictures import shrunk


def main() -> None:
    path = Path(sys.argv[1])
    notebook = nbformat.read(path, as_version=4)
    metadata = dict(notebook.metadata)
    nbclient.NotebookClient(notebook, timeout=300, record_timing=False).execute()
    notebook.metadata = metadata
    for output in (output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs):
        data = output.get("data", {})
        if "image/png" in data:
            data["image/png"] = base64.b64encode(shrunk(base64.b64decode(data["image/png"]))).decode()
    path.write_text(nbformat.writes(notebook).rstrip("\n") + "\n", encoding="utf-8")


main()
