"""A graph in int8 is added to an artifact if labels stay right on pictures that nothing was adjusted to."""

import errno
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import fastfcn_export
from command_line import EMBEDDED, content, python
from exports import save_checkpoint, tensors_of
from fastfcn_export import QuantizationSettings, Request, export, quantize
from fastfcn_export.quantization.pictures import of_files
from fastfcn_export.quantization.proof import Judge
from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.manifest import Manifest
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.errors import (
    ArtifactError,
    BackendMissing,
    EvaluationError,
    ImageError,
    VerificationError,
    WriteError,
)
from fastfcn_infer.runtime.precision import Precision
from networks import CASES
from quantised import (
    CASE,
    COUNT,
    needs_nncf,
    small_artifact,
    small_checkpoint,
    write_labelled,
    write_pictures,
)

pytestmark = needs_nncf

CLASSES = CASES[CASE][1].classes
QUICK = QuantizationSettings(min_agreement=0.3, search_seconds=0)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_artifact(tmp_path_factory.mktemp("float32"))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_labelled(tmp_path_factory.mktemp("labelled"), CLASSES)


@pytest.fixture(scope="module")
def int8(artifact: Path, labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact with a graph in int8, made with labels."""
    folder = tmp_path_factory.mktemp("int8") / "artifact"
    settings = QuantizationSettings(min_agreement=0.9, max_loss=10, search_seconds=0)
    quantize(artifact, open_dataset("listed", labelled, "train"), folder, settings=settings)
    return folder


def manifest_of(folder: Path) -> Manifest:
    found = open_artifact(folder).manifest
    assert found is not None
    return found


def labels_of(folder: Path, precision: Precision, pictures: list[Path]) -> list[NDArray[np.uint8]]:
    with Segmenter.from_pretrained(folder, device="cpu", precision=precision) as segmenter:
        return [np.asarray(segmenter.predict(picture).labels) for picture in pictures]


def test_the_record_holds_what_is_found_on_the_held_out_pictures(
    int8: Path, labelled: Path
) -> None:
    record = manifest_of(int8).variants["int8"]
    held = [labelled / "images" / f"{index:02}.png" for index in range(1, COUNT, 3)]
    truth = [labelled / "labels" / path.name for path in held]
    precisions: tuple[Precision, Precision] = ("fp32", "int8")
    both = {each: labels_of(int8, each, held) for each in precisions}
    same = np.mean([one == other for one, other in zip(*both.values(), strict=True)])

    assert record.agreement.pictures == len(held)
    assert record.agreement.overall == pytest.approx(same)
    assert 0.9 <= record.agreement.overall < 1
    assert record.calibration is not None
    assert record.calibration.pictures == COUNT - len(held)
    assert record.task is not None
    expected = np.array([cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in truth])
    for mean_iou, labels in zip(
        (record.task.mean_iou_fp32, record.task.mean_iou), both.values(), strict=True
    ):
        found = np.where(expected == 255, 255, np.array(labels))
        shares = [
            ((found == c) & (expected == c)).sum() / ((found == c) | (expected == c)).sum()
            for c in np.unique(expected[expected != 255])
        ]
        assert mean_iou == pytest.approx(np.mean(shares))


def test_float32_stays_as_it_was_and_the_golden_picture_is_proven(
    int8: Path, artifact: Path
) -> None:
    before, after = content(artifact), content(int8)

    assert after.keys() - before.keys() == {"model.int8.onnx"}
    assert all(after[name] == data for name, data in before.items() if name != "manifest.json")
    golden = manifest_of(int8).variants["int8"].golden
    assert golden is not None
    assert golden.required <= golden.found - 0.02


def test_nothing_is_written_if_no_graph_is_good_enough(artifact: Path, tmp_path: Path) -> None:
    pictures, before = write_pictures(tmp_path / "pictures"), content(artifact)
    settings = QuantizationSettings(min_agreement=1.0, search_seconds=0)

    with pytest.raises(
        VerificationError, match=r"4 held-out pictures of pictures 9\d.\d\d%"
    ) as error:
        quantize(artifact, pictures, settings=settings)

    assert "required: 100.00% of the labels" in str(error.value)
    assert "Nothing was written" in str(error.value)
    assert content(artifact) == before


def test_a_loss_of_mean_iou_is_refused_too(artifact: Path, tmp_path: Path) -> None:
    # The labels are those of float32, so that any other label is a loss.
    root = write_labelled(tmp_path / "set", CLASSES)
    pictures = sorted((root / "images").iterdir())
    for path, labels in zip(pictures, labels_of(artifact, "fp32", pictures), strict=True):
        cv2.imwrite(str(root / "labels" / path.name), labels)
    dataset = open_dataset("listed", root, "train")
    settings = QuantizationSettings(min_agreement=0, max_loss=0, search_seconds=0)

    with pytest.raises(
        VerificationError,
        match=r"points less; required: 0\.00% of the labels and at most 0 points",
    ):
        quantize(artifact, dataset, tmp_path / "out", settings=settings)

    assert not (tmp_path / "out").exists()


def test_a_checkpoint_is_exported_first_and_both_graphs_appear_together(tmp_path: Path) -> None:
    checkpoint, pictures = small_checkpoint(tmp_path), write_pictures(tmp_path / "pictures")
    request = Request(output_stride=CASES[CASE][2])

    made = quantize(checkpoint, pictures, tmp_path / "out", settings=QUICK, request=request)

    assert made.model.precision == "fp32"
    assert made.model.name == "out"
    assert {"model.onnx", "model.int8.onnx"} <= set(made.files)
    with pytest.raises(FileExistsError, match="exists already; give --force"):
        quantize(checkpoint, pictures, tmp_path / "out", settings=QUICK, request=request)


def test_a_graph_that_takes_bytes_of_a_fixed_shape_and_computes_labels_is_quantised(
    tmp_path: Path,
) -> None:
    dialect, _, _ = CASES["wuhuikai_encnet"]
    checkpoint = save_checkpoint(tmp_path, dialect, tensors_of("wuhuikai_encnet"))
    request = Request.of(
        output="labels", with_preprocess=True, shape=(2, 96, 128), accept_own_size=True
    )

    made = quantize(
        checkpoint,
        write_pictures(tmp_path / "p"),
        tmp_path / "out",
        settings=QUICK,
        request=request,
    )

    assert made.variants["int8"].agreement.overall > 0.3
    graph = content(tmp_path / "out")["model.int8.onnx"]
    assert b"QuantizeLinear" in graph


def test_the_command_prints_the_record_and_nothing_of_nncf(int8: Path, tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    words = [
        str(int8),
        "--precision",
        "int8",
        "--calibrate",
        str(pictures),
        "--search-seconds",
        "0",
    ]
    words += ["--min-agreement", "0.3", "-o", str(tmp_path / "out")]

    # In a process of its own: what other tests have imported of OpenVINO says nothing here.
    script = (
        "import os, sys; from fastfcn_export.quantization.with_nncf import ready; ready(); "
        "forbidden = os.environ['ORT_DISABLE_TELEMETRY']; "  # before the runtime that proves the graph sets it
        "from fastfcn_export.__main__ import main; code = main(sys.argv[1:]); "
        "print(forbidden, 'openvino_telemetry' in sys.modules); sys.exit(code)"
    )
    ended = python("-c", script, *words)

    assert ended.returncode == 0, ended.stderr
    assert "of 4 held-out pictures of pictures (required: 30.00%)" in ended.stdout
    assert "calibrated on 8 other pictures" in ended.stdout
    assert all(line.split()[1] == "s" for line in ended.stderr.splitlines())
    assert ended.stdout.splitlines()[-1] == "1 False"


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({}, FileExistsError, "holds a graph in int8 already; give --force"),
        (
            {"request": Request(dialect="mmseg")},
            ValueError,
            "is an artifact, in which the network is frozen",
        ),
        ({"pictures": "missing"}, FileNotFoundError, "missing: no such file or folder"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_computed(
    int8: Path, tmp_path: Path, options: dict[str, object], kind: type[Exception], message: str
) -> None:
    given = {
        "pictures": write_pictures(tmp_path / "pictures"),
        "force": "pictures" in options,
        **options,
    }
    with pytest.raises(kind, match=message):
        quantize(int8, **given)  # type: ignore[arg-type]


def test_classes_of_other_names_are_refused(
    artifact: Path, labelled: Path, tmp_path: Path
) -> None:
    root = write_labelled(tmp_path / "other", CLASSES)
    table = (root / "classes.json").read_text().replace("class 1", "wall")
    (root / "classes.json").write_text(table)

    with pytest.raises(EvaluationError, match="1 is 'class 1' and 'wall'"):
        quantize(artifact, open_dataset("listed", root, "train"), tmp_path / "out")


def test_a_lone_graph_and_one_in_half_precision_are_refused(
    artifact: Path, tmp_path: Path
) -> None:
    pictures = write_pictures(tmp_path / "pictures")
    with pytest.raises(ArtifactError, match=r"is a lone .onnx file, without the manifest"):
        quantize(artifact / "model.onnx", pictures)

    checkpoint, half = small_checkpoint(tmp_path), tmp_path / "half"
    request = Request.of(precision="fp16", output_stride=CASES[CASE][2], verify=False)
    export(checkpoint, half, request)
    with pytest.raises(
        ArtifactError, match="made in fp16, and int8 is made of a graph in float32"
    ):
        quantize(half, pictures)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            Request.of(precision="fp16"),
            "precision fp16: a graph in int8 is made of one in float32",
        ),
        (Request(formats=("paddle",)), "is made of an ONNX file.* Give --format onnx,paddle"),
    ],
)
def test_a_checkpoint_is_not_exported_for_what_int8_cannot_be_made_of(
    tmp_path: Path, request_: Request, message: str
) -> None:
    stages: list[str] = []
    with pytest.raises(ValueError, match=message):
        quantize(
            small_checkpoint(tmp_path),
            write_pictures(tmp_path / "pictures"),
            tmp_path / "out",
            request=request_,
            report=stages.append,
        )
    assert not stages
    assert not (tmp_path / "out").exists()


def test_a_graph_is_compared_with_the_settings_that_runtimes_have_for_int8(
    artifact: Path, tmp_path: Path
) -> None:
    found = open_artifact(artifact)
    held = of_files(str(write_pictures(tmp_path / "pictures", 1)))
    judge = Judge(found.path("onnx"), found.model, held, QUICK)

    judged = judge.judge(found.path("onnx"))

    assert judged.facts.precision == "int8"
    assert judged.agreement.overall == 1.0


def test_all_damaged_pictures_and_labels_are_named_before_anything_is_computed(
    artifact: Path, tmp_path: Path
) -> None:
    root, stages = write_labelled(tmp_path / "set", CLASSES), list[str]()
    (root / "images" / "11.png").write_text("no picture")  # calibrates
    (root / "images" / "07.png").write_bytes((root / "images" / "07.png").read_bytes()[:500])
    cv2.imwrite(str(root / "labels" / "04.png"), np.zeros((9, 9), np.uint8))  # is held out
    (root / "labels" / "00.png").write_text("labels to calibrate with are not needed")

    with pytest.raises(ImageError) as error:
        dataset = open_dataset("listed", root, "train")
        quantize(artifact, dataset, tmp_path / "out", settings=QUICK, report=stages.append)

    assert stages == ["read the pictures"]
    first, *faults, last = str(error.value).splitlines()
    assert first == "3 of the 12 chosen pictures of listed, part train cannot be used:"
    for name, fault in zip(("11.png", "04.png", "07.png"), faults, strict=True):
        assert name in fault
    assert last == "Nothing was written. Remove or replace them."
    assert not (tmp_path / "out").exists()


def test_a_full_disk_for_temporary_files_is_named_as_that(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(graph: object, path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("fastfcn_export.quantization.search.onnx.save", full)
    with pytest.raises(WriteError, match=r"which TMPDIR chooses\) cannot be written: No space"):
        quantize(artifact, write_pictures(tmp_path / "p"), tmp_path / "out", settings=QUICK)


@pytest.mark.parametrize("model", ["fastfcn-resnet18-camvid", str(EMBEDDED)])
def test_the_embedded_model_is_never_changed_in_its_place(model: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"belongs to the package .* copy \(-o FOLDER\)"):
        quantize(model, tmp_path)


def test_without_onnx_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("fastfcn_export.quantization")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.delitem(vars(fastfcn_export), "quantize", raising=False)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackendMissing, match=r"needs the package 'onnx'.*\[quantize\]"):
        fastfcn_export.quantize  # noqa: B018 - imported when it is first used


def test_without_nncf_the_error_names_the_extra(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(BackendMissing, match=r"Quantising needs the package 'nncf'.*\[quantize\]"):
        quantize(artifact, tmp_path)
