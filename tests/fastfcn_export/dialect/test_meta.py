"""Names and colours of classes are taken from where training programs put them, and only if they fit."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exports import tensors_of
from fastfcn_export import Request, describe_checkpoint, export
from fastfcn_infer.artifact.class_table import class_table, numbered_classes
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.artifact.procedure import Procedure, Resize
from networks import CASES

COUNT = CASES["mmseg_psp"][1].classes
NAMES = tuple(f"thing {index}" for index in range(COUNT))
COLOURS = [[index, 2 * index, 255 - index] for index in range(COUNT)]


def classes_of(beside: dict[str, Any], folder: Path, **options: Any) -> tuple[ClassInfo, ...]:
    file = folder / "model.pth"
    file.write_bytes(pickle.dumps({**beside, "state_dict": tensors_of("mmseg_psp")}, 4))
    return export(file, folder / "out", force=True, verify=False, **options).model.classes


PLACES: dict[str, dict[str, Any]] = {
    "mmsegmentation": {"meta": {"CLASSES": NAMES, "PALETTE": COLOURS}},
    "mmengine": {"meta": {"dataset_meta": {"classes": list(NAMES), "palette": COLOURS}}},
    "mmengine, in capitals": {"meta": {"dataset_meta": {"CLASSES": NAMES, "PALETTE": COLOURS}}},
    "the top": {"classes": NAMES, "palette": [tuple(row) for row in COLOURS]},
    "an array of colours": {"meta": {"CLASSES": NAMES, "PALETTE": np.array(COLOURS, "u1")}},
}


@pytest.mark.parametrize("where", PLACES)
def test_names_and_colours_are_taken_from_the_meta(where: str, tmp_path: Path) -> None:
    expected = tuple(ClassInfo(n, (a, b, c)) for n, (a, b, c) in zip(NAMES, COLOURS, strict=True))
    assert classes_of(PLACES[where], tmp_path) == expected
    asked = tmp_path / "classes.json"
    asked.write_text(str([{"name": "x", "color": [0, 0, 0]}] * COUNT).replace("'", '"'))
    assert {c.name for c in classes_of(PLACES[where], tmp_path, classes=asked)} == {"x"}


UNUSABLE: dict[str, Any] = {
    "none": None, "a text": "abc", "numbers": list(range(COUNT)), "a number": 7, "nothing": [], "unprintable": ["\x1b[2K"] * COUNT,
    "too long": ["a" * 5000] * COUNT, "an array": np.zeros(COUNT), "another count": NAMES[:-1],
}  # fmt: skip


@pytest.mark.parametrize("what", UNUSABLE)
def test_what_is_no_list_of_as_many_names_is_not_used(what: str, tmp_path: Path) -> None:
    found = classes_of({"meta": {"CLASSES": UNUSABLE[what]}}, tmp_path)
    assert found == numbered_classes(COUNT)


@pytest.mark.parametrize(
    "palette",
    [None, COLOURS[:-1], [[0, 0]] * COUNT, [[0, 0, 256]] * COUNT, "random", np.zeros((2, 3))],
)
def test_names_without_fitting_colours_get_numbered_ones(palette: Any, tmp_path: Path) -> None:
    found = classes_of({"meta": {"CLASSES": NAMES, "PALETTE": palette}}, tmp_path)
    assert tuple(entry.name for entry in found) == NAMES
    assert [entry.color for entry in found] == [c.color for c in numbered_classes(COUNT)]


def test_another_count_of_names_is_said(tmp_path: Path) -> None:
    file = tmp_path / "model.pth"
    tree = {"meta": {"CLASSES": NAMES[:-1]}, "state_dict": tensors_of("mmseg_psp")}
    file.write_bytes(pickle.dumps(tree, 4))
    assumed = describe_checkpoint(file, Request()).network.assumed
    assert any(f"names {COUNT - 1}, the network has {COUNT}" in sentence for sentence in assumed)


def test_the_names_of_a_known_data_set_choose_its_procedure(tmp_path: Path) -> None:
    table = class_table("cityscapes")
    tensors = dict(tensors_of("mmseg_psp"))
    for name in ("decode_head.conv_seg.weight", "decode_head.conv_seg.bias"):
        tensors[name] = np.resize(tensors[name], (len(table), *tensors[name].shape[1:]))
    tree = {"meta": {"CLASSES": tuple(c.name for c in table)}, "state_dict": tensors}
    (tmp_path / "model.pth").write_bytes(pickle.dumps(tree, 4))
    found = describe_checkpoint(tmp_path / "model.pth", Request()).procedure
    assert found == Procedure(
        resize=Resize("fit", 2048, align_corners=False, limit=1024), twice=True
    )
