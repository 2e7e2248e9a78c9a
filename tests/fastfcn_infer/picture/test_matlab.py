import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.label_map import read_label_file
from fastfcn_infer.picture.matlab import MatlabError, read_struct_field

# Written by SciPy 1.17 with the fields of SBD's own files: a cell of sparse matrices, the labels,
# and the classes that are present.
FILE = Path(__file__).parents[2] / "data" / "sbd" / "labels.mat"
LABELS = [[0, 0, 0, 0, 0], [0, 1, 20, 20, 0], [0, 1, 15, 20, 7]]


def test_the_labels_of_a_file_like_those_of_sbd_are_read() -> None:
    labels = read_label_file(FILE)
    assert labels.dtype == np.uint8
    assert labels.tolist() == LABELS


def test_each_field_of_a_struct_is_found_by_its_name() -> None:
    data = FILE.read_bytes()
    assert read_struct_field(data, "GTcls", "Segmentation").tolist() == LABELS
    present = read_struct_field(data, "GTcls", "CategoriesPresent")
    assert present.ravel().tolist() == [1, 7, 15, 20]


@pytest.mark.parametrize(
    ("variable", "field", "message"),
    [
        ("GTinst", "Segmentation", "no variable 'GTinst'"),
        ("GTcls", "Labels", "no field 'Labels'"),
        ("GTcls", "Boundaries", "is not a matrix of real numbers"),
    ],
)
def test_what_is_not_there_is_refused(variable: str, field: str, message: str) -> None:
    with pytest.raises(MatlabError, match=message):
        read_struct_field(FILE.read_bytes(), variable, field)


def test_a_file_cut_off_or_changed_anywhere_is_refused_or_read_never_worse(tmp_path: Path) -> None:
    data, path = FILE.read_bytes(), tmp_path / "labels.mat"
    for at in range(128, len(data)):
        path.write_bytes(data[:at])
        with pytest.raises(ImageError, match=r"labels\.mat are a MATLAB file, but"):
            read_label_file(path)
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :])
        try:
            read_label_file(path)
        except ImageError:
            continue


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("kind", ["u1", "i4", "f8", "u2"])
def test_every_kind_of_numbers_that_scipy_writes_is_read(kind: str, compressed: bool) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="SciPy is not installed")
    values = np.arange(35).reshape(5, 7).astype(kind)
    struct: dict[str, Any] = {"a": 1.5, "Segmentation": values, "of a longer name": "text"}
    file = io.BytesIO()
    variables = {"other": np.ones((2, 2)), "GTcls": struct}
    scipy_io.savemat(file, variables, do_compression=compressed, long_field_names=True)
    found = read_struct_field(file.getvalue(), "GTcls", "Segmentation")
    assert found.dtype == np.dtype(kind)
    assert np.array_equal(found, values)


@pytest.mark.parametrize("values", [[[0.5]], [[-1.0]], [[256.0]], [[float("nan")]], [[]]])
def test_numbers_that_are_no_labels_are_refused(values: list[list[float]], tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io", reason="SciPy is not installed")
    scipy_io.savemat(tmp_path / "x.mat", {"GTcls": {"Segmentation": np.array(values)}})
    with pytest.raises(ImageError, match=r"x\.mat are float64 of shape .*whole numbers 0..255"):
        read_label_file(tmp_path / "x.mat")
