from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from exports import described, difference, recognised, tensors_of, widened
from fastfcn_export.dialect.dialect import Recognised, recognise, to_dialect
from fastfcn_export.target import fusion
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.target import Options
from fastfcn_export.target.targets import paddle_static, reference
from networks import CASES
from paddle_programs import open_program, run_program, write_paddle

FLOAT32 = 1e-5  # of the largest answer; measured 2e-6 in Paddle 3.0 to 3.3
SIZES = ((33, 33), (34, 47), (65, 40), (48, 64))
SIZE = (41, 58)
# One of each convention of the last resize, one with a group norm, one with pyramid pooling.
SOME = ("wuhuikai_encnet", "paddleseg_os8_laterals", "wuhuikai_jpu_x", "mmseg_psp")
SIDES = st.integers(33, 70)

Array = NDArray[Any]
Output = Literal["logits", "probabilities", "labels"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {case: write_paddle(recognised(case), tmp_path_factory.mktemp(case)) for case in CASES}


@cache
def opened(folder: Path) -> Any:
    return open_program(folder)


def image(size: tuple[int, int], batch: int = 2) -> NDArray[np.float32]:
    random = np.random.default_rng((batch, *size))
    return random.normal(size=(batch, 3, *size)).astype(np.float32)


def pixels(batch: int = 2) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (batch, *SIZE, 3), np.uint8)


def normalised(case: str) -> NDArray[np.float32]:
    conventions = recognised(case).conventions
    scaled = (pixels() / 255 - np.array(conventions.mean)) / np.array(conventions.std)
    return np.asarray(scaled.transpose(0, 3, 1, 2), np.float32)


@cache
def expected(case: str, size: tuple[int, int]) -> Array:
    """The reference's logits in float64."""
    network = recognised(case)
    feed = image(size).astype(np.float64)
    return reference.logits(network.architecture, widened(network.weights), feed)


def full_size(network: Recognised, feed: Array) -> Array:
    logits = reference.logits(network.architecture, network.weights, feed)
    align_corners = network.conventions.align_corners
    return reference.resize(logits, SIZE, align_corners=align_corners)


@pytest.mark.parametrize("case", CASES)
def test_paddle_inference_gives_the_reference_s_logits(
    folders: dict[str, Path], case: str
) -> None:
    for size in SIZES:
        found = run_program(opened(folders[case]), image(size))
        assert found.dtype == np.float32
        assert difference(found, expected(case, size)) <= FLOAT32, size


@pytest.mark.parametrize("case", ["mmseg_psp", "paddleseg_os32_laterals", "wuhuikai_jpu_x"])
def test_the_program_is_right_at_every_size_from_33_pixels(
    folders: dict[str, Path], case: str
) -> None:
    @given(SIDES, SIDES)
    @settings(max_examples=25, deadline=None)
    def check(height: int, width: int) -> None:
        found = run_program(opened(folders[case]), image((height, width)))
        assert found.shape[2:] == (-(-height // 8), -(-width // 8))
        assert difference(found, expected(case, (height, width))) <= FLOAT32

    check()


@pytest.mark.parametrize("case", CASES)
def test_a_picture_s_answer_does_not_depend_on_its_batch(
    folders: dict[str, Path], case: str
) -> None:
    batch = image((41, 57), batch=4)
    together = run_program(opened(folders[case]), batch)
    for index in range(4):
        alone = run_program(opened(folders[case]), batch[index : index + 1])
        assert difference(together[index : index + 1], alone) <= FLOAT32


@pytest.mark.parametrize("case", CASES)
def test_no_operator_is_left_that_a_fusion_removes(folders: dict[str, Path], case: str) -> None:
    program = (folders[case] / "inference.json").read_text()
    assert "conv2d" in program
    for operator in ("batch_norm", "tile", "dropout", "1.pow"):
        assert operator not in program


@pytest.mark.parametrize("case", ["wuhuikai_encnet_no_jpu", "wuhuikai_laterals"])
def test_maps_of_equal_size_are_not_resized(folders: dict[str, Path], case: str) -> None:
    assert "interp" not in (folders[case] / "inference.json").read_text()


def test_a_wrong_fusion_shows_in_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = fusion.fold_norm
    monkeypatch.setattr(
        fusion, "fold_norm", lambda *given: tuple(1.01 * array for array in right(*given))
    )
    program = open_program(write_paddle(recognised("paddleseg_os32"), tmp_path))
    found = run_program(program, image(SIZES[0]))
    assert difference(found, expected("paddleseg_os32", SIZES[0])) > FLOAT32


def test_three_files_are_written_and_twice_the_same_bytes(tmp_path: Path) -> None:
    content = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        folder = write_paddle(recognised("wuhuikai_psp"), tmp_path / place)
        content.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert set(content[0]) == {"inference.json", "inference.pdiparams", "inference.yml"}
    assert content[0] == content[1]


@pytest.mark.parametrize("case", SOME)
def test_probabilities_are_the_softmax_of_the_logits_at_input_size(
    case: str, tmp_path: Path
) -> None:
    folder = write_paddle(recognised(case), tmp_path, output="probabilities")
    found = run_program(open_program(folder), normalised(case))
    full = full_size(recognised(case), normalised(case))
    share = np.exp(full - full.max(1, keepdims=True))
    share /= share.sum(1, keepdims=True)
    assert found.dtype == np.float32
    assert np.abs(found - share).max() <= 1e-4  # exp turns differences of logits into shares


@pytest.mark.parametrize("case", SOME)
def test_labels_are_the_arg_max_at_input_size(case: str, tmp_path: Path) -> None:
    folder = write_paddle(recognised(case), tmp_path, output="labels")
    found = run_program(open_program(folder), normalised(case))
    full = full_size(recognised(case), normalised(case))
    best_two = np.sort(full, 1)[:, -2:]
    clear = best_two[:, 1] - best_two[:, 0] > FLOAT32 * np.abs(full).max()
    assert found.dtype == np.uint8
    assert clear.mean() > 0.99
    assert (found == full.argmax(1))[clear].all()


def test_labels_of_more_than_256_classes_are_int32(tmp_path: Path) -> None:
    dialect, architecture, stride = CASES["wuhuikai_fcn"]
    architecture = type(architecture)(**{**vars(architecture), "classes": 300})
    tensors = to_dialect(dialect, architecture, random_weights(architecture))
    network = recognise(tensors, output_stride=stride)
    folder = write_paddle(network, tmp_path, output="labels")
    found = run_program(open_program(folder), normalised("wuhuikai_fcn"))
    assert found.dtype == np.int32
    assert found.max() > 255
    full = full_size(network, normalised("wuhuikai_fcn"))
    assert (found == full.argmax(1)).mean() > 0.999  # ties of random logits


@pytest.mark.parametrize("case", SOME)
@pytest.mark.parametrize("output", ["logits", "labels"])
def test_pixels_in_are_normalised_as_the_dialect_does(
    case: str, output: Output, tmp_path: Path
) -> None:
    network = recognised(case)
    program = open_program(write_paddle(network, tmp_path, output=output, with_preprocess=True))
    assert program.get_input_names() == ["pixels"]
    found = run_program(program, pixels())
    full = reference.logits(network.architecture, network.weights, normalised(case))
    if output == "labels":
        full = full_size(network, normalised(case)).argmax(1)
        assert (found == full).mean() > 0.999  # ties of random logits
    else:
        assert difference(found, full) <= FLOAT32


@pytest.mark.parametrize(
    ("case", "shape"),
    [(case, (2, *SIZE)) for case in CASES]
    + [(case, shape) for case in SOME for shape in ((2, None, None), (None, 41, None))],
)
def test_a_fixed_shape_changes_nothing_but_the_shape(
    case: str, shape: tuple[int | None, int | None, int | None], tmp_path: Path
) -> None:
    folder = write_paddle(recognised(case), tmp_path, options=Options(shape))
    program = open_program(folder)
    assert program.get_input_names() == ["image"]
    n, height, width = (-1 if size is None else size for size in shape)
    text = (folder / "inference.json").read_text().replace(" ", "")
    assert f"[{n},3,{height},{width}]" in text
    found = run_program(program, image(SIZE))
    assert difference(found, expected(case, SIZE)) <= FLOAT32


def test_a_fixed_height_and_width_leave_no_shape_arithmetic(tmp_path: Path) -> None:
    texts = []
    asked: dict[str, Options] = {"fixed": Options((None, *SIZE)), "free": Options()}
    for place, options in asked.items():
        (tmp_path / place).mkdir()
        folder = write_paddle(recognised("wuhuikai_encnet"), tmp_path / place, options=options)
        texts.append((folder / "inference.json").read_text())
    assert ["1.shape" in text for text in texts] == [False, True]


def test_half_precision_is_refused_and_the_other_way_named(tmp_path: Path) -> None:
    half = Options(precision="fp16")
    with pytest.raises(ValueError, match=r"fp32 only.*--format onnx --precision fp16"):
        paddle_static.ready(half)
    network = recognised("wuhuikai_fcn")
    with pytest.raises(ValueError, match="fp32 only"):
        paddle_static.write(
            network.architecture, network.weights, described(network), tmp_path, half
        )
    assert list(tmp_path.iterdir()) == []


def test_a_tensor_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    network = recognise(tensors_of("wuhuikai_fcn"))
    weights = {**network.weights, "head.classifier.weight": np.zeros((3, 3, 1, 1), np.float32)}
    with pytest.raises(ValueError, match=r"head\.classifier\.weight has shape \(3, 3, 1, 1\)"):
        paddle_static.write(network.architecture, weights, described(network), tmp_path, Options())
