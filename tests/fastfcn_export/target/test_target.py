import sys
from pathlib import Path

import numpy as np
import pytest

from exports import PADDLE, save_checkpoint, tensors_of
from fastfcn_export import Request, export
from fastfcn_export.network.primitives import float_array, take
from fastfcn_export.target import targets
from fastfcn_export.target.target import writers
from fastfcn_infer.errors import BackendMissing

NEW_TARGET = '''
"""Writes an ONNX graph, and a note beside it."""
from fastfcn_export.target.targets import onnx_graph

FORMAT = "noted"

def ready(options):
    return {"pencil": "2.0"}

def write(architecture, weights, model, folder, options):
    onnx_graph.write(architecture, weights, model, folder, options)
    (folder / "note.txt").write_text(f"{model.name}: {len(weights)} tensors")
'''


@pytest.fixture
def drop_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose files are targets, too."""
    folder = tmp_path / "more_targets"
    folder.mkdir()
    monkeypatch.setattr(targets, "__path__", [*targets.__path__, str(folder)])
    monkeypatch.delitem(sys.modules, "fastfcn_export.target.targets.noted", raising=False)
    return folder


def test_the_targets_that_write_models_are_found_by_their_format() -> None:
    assert "onnx" in writers()
    assert "reference" not in writers()
    assert "cost" not in writers()


def test_a_new_file_in_the_folder_is_a_new_format(drop_in: Path, tmp_path: Path) -> None:
    (drop_in / "noted.py").write_text(NEW_TARGET)
    checkpoint = save_checkpoint(tmp_path, "wuhuikai", tensors_of("wuhuikai_fcn"))
    made = export(checkpoint, tmp_path / "out", Request(formats=("noted",), verify=False))
    assert "noted" in writers()
    assert set(made.files) == {"model.onnx", "note.txt"}
    assert made.producer["pencil"] == "2.0"
    assert (tmp_path / "out" / "note.txt").read_text().startswith("out: ")


def test_a_target_whose_package_is_missing_says_what_to_install(
    drop_in: Path, tmp_path: Path
) -> None:
    (drop_in / "noted.py").write_text("import a_package_that_nobody_has\n")
    with pytest.raises(
        BackendMissing, match=r"a_package_that_nobody_has.*pip install .*\[export\]"
    ):
        export(tmp_path / "none.pth", tmp_path / "out", Request())


def test_half_precision_is_widened_and_wider_types_are_not_copied() -> None:
    for dtype in (np.float32, np.float64):
        array = np.ones(3, dtype)
        assert float_array(array) is array
    assert float_array(np.ones(3, np.float16)).dtype == np.float32


def test_a_tensor_is_taken_only_in_the_shape_that_the_network_wants() -> None:
    weights = {"a": np.zeros((2, 3))}
    assert take(weights, "a", (2, 3)) is weights["a"]
    with pytest.raises(ValueError, match=r"a has shape \(2, 3\); the network wants \(3, 2\)"):
        take(weights, "a", (3, 2))


def test_paddle_s_dialects_are_those_that_turn_matrices() -> None:
    from fastfcn_export.dialect.dialect import dialect_names, load_dialect

    known = {"mmseg", "ncpaddle", "paddleseg", "wuhuikai"} & set(dialect_names())
    turned = {n for n in known if load_dialect(n).CONVENTIONS.matrices_transposed}
    assert turned == set(PADDLE)
