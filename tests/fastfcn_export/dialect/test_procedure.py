"""Whatever an option of an export changes about the labels of a picture is said, or refused."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from exports import described, recognised, save_checkpoint, tensors_of
from fastfcn_export import ExportOptions, Request, export
from fastfcn_export.dialect.dialect import Recognised, recognise, to_dialect
from fastfcn_export.dialect.procedure import notes, resize_text, table_of, whole_picture
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.target import Options
from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.class_table import class_table, class_table_names, numbered_classes
from fastfcn_infer.artifact.procedure import Resize
from networks import CASES
from trained_files import trained, write_trained

pytest.importorskip("onnxruntime")

Labels = NDArray[np.integer]
DIALECTS = ("wuhuikai_encnet", "ncpaddle_fcn", "mmseg_encnet", "paddleseg_os32")
RESIZED = ("wuhuikai_encnet", "ncpaddle_fcn", "mmseg_encnet")
OPTIONS: dict[str, ExportOptions] = {
    "labels": {"output": "labels", "accept_own_size": True},
    "labels from pixels": {"output": "labels", "accept_own_size": True, "with_preprocess": True},
    "labels at a fixed shape": {
        "output": "labels",
        "accept_own_size": True,
        "shape": (1, 96, 128),
    },
    "probabilities": {"output": "probabilities"},
    "pixels": {"with_preprocess": True},
    "a fixed shape": {"shape": (1, 96, 128)},
    "a fixed height": {"shape": (None, 96, None)},
    "a fixed batch": {"shape": (3, None, None)},
    "half precision": {"precision": "fp16"},
    "all at once": {
        "output": "probabilities",
        "with_preprocess": True,
        "shape": (2, 64, 96),
        "precision": "fp16",
    },
    "names of classes": {"classes": "names.json"},
}


def pictures() -> list[NDArray[np.uint8]]:
    """Smooth pictures of odd sizes, one below the smallest side that a graph takes."""
    random = np.random.default_rng(8)
    made = []
    for height, width in ((96, 128), (61, 83), (21, 90)):
        coarse = random.uniform(0, 255, (height // 8 + 2, width // 8 + 2, 3))
        grown = coarse.repeat(8, 0).repeat(8, 1)[:height, :width]
        made.append(np.ascontiguousarray(grown, np.uint8))
    return made


def labels_of(folder: Path) -> list[Labels]:
    with Segmenter.from_pretrained(folder, device="cpu", backend="onnx_runtime") as segmenter:
        return [segmenter.predict(picture).labels for picture in pictures()]


@cache
def plain(case: str, folder: Path) -> tuple[Path, tuple[Labels, ...]]:
    place = folder / case
    place.mkdir()
    checkpoint = save_checkpoint(place, CASES[case][0], tensors_of(case))
    made = export(checkpoint, place / "plain", output_stride=CASES[case][2], verify=False)
    assert made.model.notes == ()
    return checkpoint, tuple(labels_of(place / "plain"))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plain")


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("case", DIALECTS)
def test_with_every_option_labels_are_those_of_the_plain_export_or_a_note_says_why_not(
    case: str, name: str, shared: Path, tmp_path: Path
) -> None:
    checkpoint, expected = plain(case, shared)
    options = OPTIONS[name].copy()
    if "classes" in options:
        count = recognised(case).architecture.classes
        table = [{"name": f"thing {i}", "color": [i, 0, 0]} for i in range(count)]
        (tmp_path / "names.json").write_text(json.dumps(table))
        options["classes"] = tmp_path / "names.json"
    options |= {"output_stride": CASES[case][2], "verify": False}
    model = export(checkpoint, tmp_path / "out", **options).model
    if model.notes:
        return
    for found, wanted in zip(labels_of(tmp_path / "out"), expected, strict=True):
        assert (found == wanted).mean() > 0.9995  # float32 leaves near ties open


@pytest.mark.parametrize("case", DIALECTS)
def test_options_that_change_nothing_carry_no_note(case: str) -> None:
    network = recognised(case)
    for model in (described(network), described(network, options=Options((3, None, None)))):
        assert notes(network, model, ("onnx",)) == ()


def test_the_dropped_resize_does_change_labels(shared: Path, tmp_path: Path) -> None:
    checkpoint, expected = plain("mmseg_encnet", shared)
    made = export(
        checkpoint, tmp_path / "out", output="labels", accept_own_size=True, verify=False
    )
    (note,) = made.model.notes
    assert "the authors' resize was dropped" in note
    assert "a long side of at most 2048 and a short side of at most 512 pixels" in note
    assert "labels of most pictures differ" in note
    agreements = [
        (found == wanted).mean()
        for found, wanted in zip(labels_of(tmp_path / "out"), expected, strict=True)
    ]
    assert min(agreements) < 0.99


@pytest.mark.parametrize("case", RESIZED)
def test_labels_are_refused_where_the_authors_resize_and_nothing_is_written(
    case: str, shared: Path, tmp_path: Path
) -> None:
    checkpoint, _ = plain(case, shared)
    with pytest.raises(ValueError, match=r"give other labels.*--accept-own-size"):
        export(checkpoint, tmp_path / "out", output="labels", verify=False)
    assert list(tmp_path.iterdir()) == []


def test_labels_need_no_flag_where_the_authors_resize_nothing(
    shared: Path, tmp_path: Path
) -> None:
    checkpoint, expected = plain("paddleseg_os32", shared)
    made = export(checkpoint, tmp_path / "out", output="labels", output_stride=32, verify=False)
    assert made.model.notes == ()
    for found, wanted in zip(labels_of(tmp_path / "out"), expected, strict=True):
        assert (found == wanted).mean() > 0.9995


@pytest.mark.parametrize("resize", [None, Resize("short_side", 97, align_corners=False)])
def test_a_checkpoint_of_our_training_is_treated_alike(
    resize: Resize | None, tmp_path: Path
) -> None:
    checkpoint = write_trained(tmp_path / "mine.safetensors", replace(trained(), resize=resize))
    request = Request(output="labels", verify=False)
    if resize is None:
        assert export(checkpoint, tmp_path / "out", request).model.notes == ()
        return
    with pytest.raises(ValueError, match="resize pictures to a short side of 97 pixels"):
        export(checkpoint, tmp_path / "out", request)
    accepted = replace(request, accept_own_size=True)
    (note,) = export(checkpoint, tmp_path / "out", accepted).model.notes
    assert "a short side of 97 pixels" in note


def cityscapes() -> Recognised:
    """An mmsegmentation checkpoint of 19 classes."""
    dialect, architecture, stride = CASES["mmseg_psp"]
    architecture = replace(architecture, classes=19)
    tensors = to_dialect(dialect, architecture, random_weights(architecture))
    return recognise(tensors, output_stride=stride)


def test_names_of_classes_that_decide_the_authors_size_say_so() -> None:
    network = cityscapes()
    model = described(network)
    numbered = notes(network, model, ("onnx",))
    assert [note for note in numbered if "add --classes cityscapes" in note] == list(numbered)
    assert "short side of at most 512" in numbered[0] and "at most 1024" in numbered[0]

    classes = class_table("cityscapes")
    chosen = whole_picture(network, classes, "logits", accept_own_size=False)
    assert chosen.resize == Resize("fit", 2048, align_corners=False, limit=1024)
    named = notes(network, replace(model, classes=classes, procedure=chosen), ("onnx",))
    assert len(named) == 1 and "as the authors do for cityscapes" in named[0]


def test_the_authors_size_follows_the_names_of_the_classes_and_not_the_name_of_a_file() -> None:
    for name in class_table_names():
        recoloured = tuple(
            replace(entry, name=entry.name.upper(), color=(1, 2, 3)) for entry in class_table(name)
        )
        assert table_of(recoloured) == name
    assert table_of(numbered_classes(19)) is None
    assert table_of(class_table("cityscapes")[::-1]) is None


@pytest.mark.parametrize(
    ("resize", "words"),
    [
        (Resize("long_side", 520, True), "to a long side of 520 pixels"),
        (Resize("short_side", 480, False), "to a short side of 480 pixels"),
        (
            Resize("short_side", 480, False, 900, arithmetic="paddleseg"),
            "to a short side of 480 pixels, the long side at most 900",
        ),
        (
            Resize("fit", 2048, False, 512),
            "to a long side of at most 2048 and a short side of at most 512 pixels",
        ),
        (
            Resize("long_within", 300, False, 900, arithmetic="paddleseg"),
            "to a long side of at least 300 and at most 900 pixels",
        ),
        (
            Resize("long_within", 300, False, arithmetic="paddleseg"),
            "to a long side of at least 300 pixels",
        ),
        (
            Resize("exact", 100, False, width=200, divisor=32, arithmetic="paddleseg"),
            "to 100 x 200 pixels (height x width), sides rounded up to multiples of 32",
        ),
    ],
)
def test_every_rule_is_described(resize: Resize, words: str) -> None:
    assert resize_text(resize) == words


def test_a_fixed_shape_that_every_picture_is_resized_to_changes_nothing() -> None:
    network = recognised("paddleseg_os32")
    size = Resize("exact", 60, False, width=90, divisor=32, arithmetic="paddleseg")
    for shape, said in (((1, 64, 96), False), ((1, 64, 64), True), ((1, None, 64), True)):
        model = described(network, options=Options(shape))
        model = replace(model, procedure=replace(model.procedure, resize=size))
        found = notes(replace(network, resize=lambda classes: size), model, ("onnx",))
        assert any("the input is fixed" in note for note in found) == said


@pytest.mark.parametrize(
    ("output", "said"),
    [("labels", "larger ones are rejected"), ("logits", "larger ones are reduced until they fit")],
)
def test_the_note_on_a_fixed_shape_says_what_becomes_of_larger_pictures(
    output: Literal["labels", "logits"], said: str
) -> None:
    network = recognised("paddleseg_os32")
    (note,) = described(network, output=output, options=Options((1, 64, 96))).notes
    assert said in note
