"""The notebook in examples/: it was executed before it was committed, and still runs."""

import json
import re
from typing import Any

import pytest

from command_line import ROOT, SEARCH_PATH, python

NOTEBOOK = ROOT / "examples" / "notebook.ipynb"
EXECUTE = """
import json, sys, nbformat
from nbclient import NotebookClient
book = nbformat.read(sys.argv[1], 4)
where = {"metadata": {"path": sys.argv[2]}}
NotebookClient(book, timeout=100, kernel_name="python3", resources=where).execute()
print(json.dumps(book))
"""


def code_cells(book: dict[str, Any]) -> list[dict[str, Any]]:
    return [cell for cell in book["cells"] if cell["cell_type"] == "code"]


def shown(cell: dict[str, Any]) -> list[str]:
    """Name what a cell shows: kinds of media, and texts without their numbers."""
    found = []
    for output in cell["outputs"]:
        assert output["output_type"] in ("stream", "execute_result", "display_data"), output
        # Of a picture a browser shows the table beside it, so a second, large copy is not committed.
        found += sorted(set(output.get("data", {})) - {"text/plain", "image/png"})
        found += re.findall(r"[a-z]{3,}", "".join(output.get("text", "")))
    return found


def test_the_notebook_is_small_has_all_of_its_outputs_and_knows_no_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 300_000
    book = json.loads(text)
    assert len(book["cells"]) <= 10
    assert [cell["execution_count"] for cell in code_cells(book)] == [1, 2, 3, 4]
    assert all(shown(cell) for cell in code_cells(book))
    assert (
        re.search(r'"/(?!9j/)', text) is None
    )  # an absolute path; base64 of JPEG begins with /9j/
    assert "text/html" in shown(code_cells(book)[0])


@pytest.mark.slow  # it starts a kernel, which loads a model
def test_the_notebook_runs_and_shows_what_is_committed() -> None:
    for package in ("nbclient", "ipykernel"):
        pytest.importorskip(package)
    environment = {"PYTHONPATH": SEARCH_PATH, "PYTHONWARNINGS": "ignore"}
    ended = python("-c", EXECUTE, NOTEBOOK, NOTEBOOK.parent, env=environment)
    assert ended.returncode == 0, ended.stderr
    again, before = json.loads(ended.stdout), json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert list(map(shown, code_cells(again))) == list(map(shown, code_cells(before)))
