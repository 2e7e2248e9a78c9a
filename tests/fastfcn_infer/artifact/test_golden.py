from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import GOLDEN_LABELS, GOLDEN_PICTURE, open_artifact, seal
from fastfcn_infer.artifact.golden import Replay, write_golden
from fastfcn_infer.artifact.manifest import Model, Source, Verification
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.inference.replay import replay
from fastfcn_infer.segmenter import Segmenter
from models import tiny_model, tiny_onnx
from tiny_reference import whole_scores

PROOF = Verification("reference", "runtime", "noise", 0.0, 1e-4, 1.0, 0.999, {})
PICTURE = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
MODEL = tiny_model(5)


def verified(
    folder: Path, labels: NDArray[Any], proof: Verification | None = PROOF, model: Model = MODEL
) -> Path:
    folder.mkdir()
    tiny_onnx(folder / "model.onnx", model)
    write_golden(folder, PICTURE, labels)
    seal(folder, model, Source("c", 1, "0" * 64), proof, {})
    return folder


def right(model: Model) -> NDArray[np.intp]:
    return np.asarray(whole_scores(model, PICTURE).argmax(axis=0))


def replayed(path: Path) -> Replay:
    with Segmenter.from_pretrained(path, threads=1) as segmenter:
        return replay(segmenter)


def test_picture_and_labels_are_stored_so_that_any_reader_gets_them_back(tmp_path: Path) -> None:
    pillow = pytest.importorskip("PIL.Image")
    labels = np.arange(2000).reshape(40, 50)
    for kind in (np.uint8, np.uint16):
        folder = tmp_path / kind.__name__
        folder.mkdir()
        write_golden(folder, PICTURE, labels.astype(kind))
        stored = np.asarray(pillow.open(folder / "golden" / "labels.png"))
        np.testing.assert_array_equal(stored, labels.astype(kind))
        stored = np.asarray(pillow.open(folder / "golden" / "input.png"))
        np.testing.assert_array_equal(stored, PICTURE)


def test_the_right_labels_agree_on_every_pixel(tmp_path: Path) -> None:
    found = replayed(verified(tmp_path / "a", right(MODEL).astype(np.uint8)))
    assert found == Replay(1.0, 0.999)
    assert found.passed


def test_labels_of_sixteen_bits_agree_as_well(tmp_path: Path) -> None:
    model = tiny_model(300)
    folder = verified(tmp_path / "a", right(model).astype(np.uint16), model=model)
    assert replayed(folder).agreement == 1.0


def test_wrong_labels_are_counted_and_fail(tmp_path: Path) -> None:
    labels = right(MODEL).astype(np.uint8)
    labels[:4] = (labels[:4] + 1) % 5
    found = replayed(verified(tmp_path / "a", labels))
    assert found.agreement == pytest.approx(0.9)
    assert not found.passed


def test_exactly_the_required_share_passes() -> None:
    assert Replay(0.999, 0.999).passed
    assert not Replay(0.9989, 0.999).passed


def test_labels_of_another_size_agree_nowhere(tmp_path: Path) -> None:
    folder = verified(tmp_path / "a", right(MODEL).astype(np.uint8)[:-1])
    assert replayed(folder) == Replay(0.0, 0.999)


def test_an_artifact_without_a_verification_and_a_lone_onnx_say_how_to_get_a_self_test(
    tmp_path: Path,
) -> None:
    folder = verified(tmp_path / "a", right(MODEL).astype(np.uint8), proof=None)
    for path in (folder, folder / "model.onnx"):
        with pytest.raises(ArtifactError, match="export the checkpoint again"):
            replayed(path)


@pytest.mark.parametrize("kind", ["empty", "text", "colour", "huge"])
def test_golden_labels_that_are_no_grey_picture_are_an_artifact_error(
    tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    tiny_onnx(folder / "model.onnx", MODEL)
    write_golden(folder, PICTURE, right(MODEL).astype(np.uint8))
    colour = cv2.imencode(".png", PICTURE)[1].tobytes()
    # 16384 x 16384 pixels, 256 MB of labels in 0.3
    huge = cv2.imencode(".png", np.zeros((1 << 14, 1 << 14), np.uint8))[1].tobytes()
    content = {"empty": b"", "text": b"text", "colour": colour, "huge": huge}[kind]
    (folder / GOLDEN_LABELS).write_bytes(content)
    seal(folder, MODEL, Source("c", 1, "0" * 64), PROOF, {})
    assert open_artifact(folder).model == MODEL
    with pytest.raises(ArtifactError, match=r"labels\.png is not a grey picture"):
        replayed(folder)


def test_a_golden_picture_that_is_no_picture_is_an_artifact_error(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    tiny_onnx(folder / "model.onnx", MODEL)
    write_golden(folder, PICTURE, right(MODEL).astype(np.uint8))
    (folder / GOLDEN_PICTURE).write_bytes(b"text")
    seal(folder, MODEL, Source("c", 1, "0" * 64), PROOF, {})
    with pytest.raises(ArtifactError, match="golden picture cannot be read"):
        replayed(folder)


def test_the_required_share_is_that_of_the_manifest(tmp_path: Path) -> None:
    labels = right(MODEL).astype(np.uint8)
    labels[:4] = (labels[:4] + 1) % 5
    folder = verified(tmp_path / "a", labels, replace(PROOF, required_agreement=0.9))
    assert replayed(folder).passed
