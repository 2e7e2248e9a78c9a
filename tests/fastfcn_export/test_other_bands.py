"""Checkpoints for other than three bands, from their first convolution to the labels."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from bands import FIRST, network_of, save_with_channels
from fastfcn_export import export
from fastfcn_export.__main__ import main
from fastfcn_export.dialect.config.read import read_config
from fastfcn_export.target.targets import reference
from fastfcn_infer import CheckpointError, Segmenter
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.golden import read_golden
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.inference.replay import replay
from networks import CASES
from rasters import photograph
from small_pictures import noise

pytest.importorskip("onnxruntime")


def values(channels: int, first: float = 0.3, last: float = 0.6) -> tuple[float, ...]:
    return tuple(np.linspace(first, last, channels).tolist())


def exported(checkpoint: Path, folder: Path, case: str, channels: int, **options: Any) -> Path:
    normalisation = {"mean": values(channels), "std": values(channels, 0.2, 0.4)}
    said = {**normalisation, "output_stride": CASES[case][2], "resize": "none", **options}
    export(checkpoint, folder, **said)
    return folder


def opened(folder: Path, backend: str = "onnx_runtime") -> Segmenter:
    return Segmenter.from_pretrained(folder, threads=1, backend=backend)


def textbook(case: str, channels: int, picture: NDArray[Any]) -> NDArray[Any]:
    """The labels of a picture, computed as a user of the network would, in NumPy."""
    architecture, weights = network_of(case, channels)
    mean, std = np.array(values(channels)), np.array(values(channels, 0.2, 0.4))
    fed = ((picture / 255 - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
    logits = reference.logits(architecture, weights, fed)
    height, width = picture.shape[:2]
    corners = CASES[case][0] in ("wuhuikai", "ncpaddle")
    return np.asarray(
        reference.resize(logits, (height, width), align_corners=corners)[0].argmax(0)
    )


@pytest.mark.parametrize(
    ("case", "channels"),
    [
        ("wuhuikai_encnet", 1),
        ("ncpaddle_encnet", 2),
        ("paddleseg_os32", 4),
        ("mmseg_psp", 6),
        ("wuhuikai_plain_stem", 13),
    ],
)
def test_checkpoints_of_every_dialect_are_recognised_proven_and_run(
    case: str, channels: int, tmp_path: Path
) -> None:
    checkpoint = save_with_channels(case, channels, tmp_path)
    folder = exported(checkpoint, tmp_path / "out", case, channels, bands=channels)
    artifact = open_artifact(folder)
    assert artifact.manifest is not None
    assert artifact.manifest.verification is not None
    assert artifact.model.input.channels == channels
    assert f"pictures of {channels} band" in artifact.model.network.assumed[0]
    graph = onnx.load(folder / "model.onnx").graph
    assert graph.input[0].type.tensor_type.shape.dim[1].dim_value == channels
    assert read_golden(artifact).picture.shape[2] == channels
    picture = np.stack([photograph(65, 97, seed=s)[:, :, 0] for s in range(channels)], axis=-1)
    with opened(folder) as segmenter:
        assert replay(segmenter).passed
        found = segmenter.predict(picture if channels > 1 else picture[:, :, 0])
    assert (found.labels == textbook(case, channels, picture)).mean() > 0.999


def test_a_network_that_ignores_three_of_six_bands_is_the_one_of_three(tmp_path: Path) -> None:
    case, (_, weights) = "paddleseg_os32", network_of("paddleseg_os32", 3)
    three = weights[FIRST]
    wide = np.zeros((three.shape[0], 6, *three.shape[2:]), np.float32)
    wide[:, 1:6:2] = three
    narrow = save_with_channels(case, 3, tmp_path / "3")
    more = save_with_channels(case, 6, tmp_path / "6", wide)
    mean, std = values(6), values(6, 0.2, 0.4)
    exported(narrow, tmp_path / "a", case, 3, mean=mean[1::2], std=std[1::2])
    exported(more, tmp_path / "b", case, 6)
    picture = noise(64, 96)
    padded = np.random.default_rng(0).integers(0, 256, (64, 96, 6), np.uint8)
    padded[:, :, 1::2] = picture
    with opened(tmp_path / "a") as one, opened(tmp_path / "b") as other:
        found = one.predict(picture).labels
        np.testing.assert_array_equal(found, other.predict(padded).labels)
    assert len(np.unique(found)) > 1


def test_a_network_of_one_band_with_the_summed_weights_labels_grey_pictures_alike(
    tmp_path: Path,
) -> None:
    case, (_, weights) = "wuhuikai_encnet", network_of("wuhuikai_encnet", 3)
    summed = weights[FIRST].sum(1, keepdims=True)
    same: dict[str, Any] = {"resize": "long_side:80"}
    exported(
        save_with_channels(case, 3, tmp_path / "3"), tmp_path / "a", case, 3,
        mean=(0.4,) * 3, std=(0.3,) * 3, **same,
    )  # fmt: skip
    exported(
        save_with_channels(case, 1, tmp_path / "1", summed), tmp_path / "b", case, 1,
        mean=(0.4,), std=(0.3,), **same,
    )  # fmt: skip
    grey = photograph(64, 96)[:, :, 0]
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    with opened(tmp_path / "a") as one, opened(tmp_path / "b") as other:
        found = one.predict(grey).labels
        for source in (grey, grey[:, :, None], tmp_path / "grey.png"):
            assert (found == other.predict(source).labels).mean() > 0.999
    assert len(np.unique(found)) > 1


def test_programs_of_paddle_take_as_many_bands_and_say_who_cannot_use_them(tmp_path: Path) -> None:
    pytest.importorskip("paddle")
    case = "paddleseg_os32"
    checkpoint = save_with_channels(case, 6, tmp_path)
    folder = exported(checkpoint, tmp_path / "out", case, 6, formats=("paddle",))
    with opened(folder, "paddle_inference") as segmenter:
        assert replay(segmenter).passed
        assert "three channels" in " ".join(segmenter.model.notes)
    assert "input_shape: [-1, 6, -1, -1]" in (folder / "paddle" / "inference.yml").read_text()


def test_raw_values_are_normalised_as_their_author_did(tmp_path: Path) -> None:
    case = "mmseg_psp"
    checkpoint = save_with_channels(case, 6, tmp_path)
    raw = {
        "mean": tuple(10000 * v for v in values(6)),
        "std": tuple(10000 * v for v in values(6, 0.2, 0.4)),
    }
    exported(checkpoint, tmp_path / "raw", case, 6, white=1.0, **raw)
    exported(checkpoint, tmp_path / "scaled", case, 6, white=10000.0)
    picture = np.random.default_rng(0).integers(0, 12000, (64, 96, 6), np.uint16)
    with opened(tmp_path / "raw") as one, opened(tmp_path / "scaled") as other:
        assert replay(one).passed and replay(other).passed
        found = one.predict(picture).labels
        assert (found == other.predict(picture.astype(np.int32)).labels).mean() > 0.999
    assert len(np.unique(found)) > 1


@pytest.mark.parametrize(
    ("channels", "options", "said"),
    [
        (6, {}, "takes 6 bands, and the published mean and deviation of paddleseg are those of RGB. Say"),
        (6, {}, "--mean M,M,M,M,... --std S,S,S,S,..., 6 values each"),
        (1, {}, "takes 1 band, "),
        (6, {"resize": "none"}, "--from-config FILE"),
        (6, {"mean": (0.5,) * 3, "std": (0.5,) * 3}, "takes 6 bands, and the user says a mean and a deviation of 3 values"),
        (3, {"mean": (0.5,) * 4, "std": (0.5,) * 4}, "takes 3 bands, and the user says a mean and a deviation of 4 values"),
        (6, {"bands": 4, "mean": (0.5,) * 4, "std": (0.5,) * 4}, "takes 6 bands, and the user says 4"),
        (3, {"bands": 6}, "takes 3 bands, and the user says 6"),
        (6, {"mean": (0.5,) * 6, "std": (0.5,) * 6, "channel_order": "bgr"}, "the order BGR is of three"),
        (3, {"mean": (0.5,) * 3, "std": (0.5,) * 3, "white": 10000.0}, "--white is for other than three"),
        (6, {"mean": (0.5,) * 6, "std": (0.5,) * 5}, "--mean has 6 values and --std 5"),
        (6, {"mean": (0.5,) * 6, "std": (0.5,) * 6, "white": 0.0}, "--white 0.0 must be positive"),
        (6, {"mean": (0.5,) * 6, "std": (0.5, 0, 0.5, 0.5, 0.5, 0.5)}, "must be positive"),
        (6, {"mean": (1200.0,) * 6, "std": (800.0,) * 6}, "--pixel-range 255"),
        (6, {"mean": (0.5,) * 6, "std": (0.5,) * 6, "with_preprocess": True}, "--with-preprocess makes a graph that takes RGB bytes, and the network takes 6 bands"),
        (6, {"bands": 0}, "--bands 0: 1 to 512"),
    ],
)  # fmt: skip
def test_what_is_missing_or_does_not_fit_is_said_with_what_to_pass(
    channels: int, options: dict[str, Any], said: str, tmp_path: Path
) -> None:
    checkpoint = save_with_channels("paddleseg_os32", channels, tmp_path)
    with pytest.raises(ValueError) as caught:
        export(checkpoint, tmp_path / "out", output_stride=32, **options)
    assert said in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_opening_such_a_checkpoint_says_what_its_export_needs(tmp_path: Path) -> None:
    checkpoint = save_with_channels("paddleseg_os32", 6, tmp_path)
    with pytest.raises(CheckpointError, match=r"takes 6 bands, .*--mean"):
        Segmenter.from_pretrained(checkpoint, cache_dir=tmp_path / "cache")


def test_the_command_line_takes_bands_and_its_dry_run_says_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = save_with_channels("paddleseg_os32", 4, tmp_path)
    options = ["--bands", "4", "--mean", "1,2,3,4", "--std", "1,1,1,1", "--white", "1"]
    assert main([str(checkpoint), "--dry-run", *options]) == 0
    assert "pictures of 4 bands" in capsys.readouterr().out
    assert main([str(checkpoint), "--dry-run"]) == 0
    assert "not known, and an export needs them (--mean and --std" in capsys.readouterr().out
    folder = tmp_path / "out"
    assert main([str(checkpoint), "-o", str(folder), "--json", *options]) == 0
    found = json.loads(capsys.readouterr().out)["model"]["input"]
    assert (found["mean"], found["white"]) == ([1, 2, 3, 4], 1)
    assert main([str(checkpoint), "-o", str(folder), "--mean", "1,x"]) == 2
    assert "'1,x' is not numbers separated by commas" in capsys.readouterr().err


PADDLESEG = """
model: {type: FastFCN, backbone: {type: ResNet50_vd, in_channels: 6}, num_classes: 6}
val_dataset:
  transforms:
    - {type: Normalize, mean: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6], std: [0.2, 0.2, 0.2, 0.2, 0.2, 0.2]}
"""
MMSEG = """
model = dict(data_preprocessor=dict(mean=[100, 200, 300, 400, 500, 600], std=[50, 50, 50, 50, 50, 50], bgr_to_rgb=False),
    backbone=dict(in_channels=6), decode_head=dict(num_classes=6))
test_pipeline = []
"""


@pytest.mark.parametrize(
    ("text", "name", "mean"),
    [
        (PADDLESEG, "c.yml", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
        (PADDLESEG.replace(", in_channels: 6", ""), "c.yml", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
        (PADDLESEG.replace("[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]", "[0.25]"), "c.yml", (0.25,) * 6),
        (MMSEG, "c.py", tuple(v / 255 for v in (100, 200, 300, 400, 500, 600))),
        (MMSEG.replace("backbone=dict(in_channels=6), ", ""), "c.py", tuple(v / 255 for v in (100, 200, 300, 400, 500, 600))),
    ],
)  # fmt: skip
def test_configurations_say_the_normalisation_of_every_band(
    text: str, name: str, mean: tuple[float, ...], tmp_path: Path
) -> None:
    (tmp_path / name).write_text(text)
    checkpoint = save_with_channels("paddleseg_os32", 6, tmp_path)
    found = export(
        checkpoint, tmp_path / "out", output_stride=32, from_config=tmp_path / name, verify=False
    )
    assert found.model.input.mean == pytest.approx(mean)
    assert found.model.input.white == 255  # both programs use stored values over 255, of any type
    assert name in " ".join(found.model.network.assumed)


def test_a_configuration_of_another_number_of_bands_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yml").write_text(PADDLESEG)
    checkpoint = save_with_channels("paddleseg_os32", 4, tmp_path)
    with pytest.raises(CheckpointError, match=r"takes 4 bands, and c\.yml says 6"):
        export(checkpoint, tmp_path / "out", from_config=tmp_path / "c.yml")
    (tmp_path / "c.py").write_text(MMSEG.replace("bgr_to_rgb=False", "bgr_to_rgb=True"))
    with pytest.raises(CheckpointError, match="the swap of channels to RGB"):
        read_config(tmp_path / "c.py")


def test_a_golden_picture_that_is_no_array_of_the_models_bands_is_refused(tmp_path: Path) -> None:
    checkpoint = save_with_channels("paddleseg_os32", 6, tmp_path)
    folder = exported(checkpoint, tmp_path / "out", "paddleseg_os32", 6)
    path = folder / "golden" / "input.npy"
    right = path.read_bytes()
    huge = right.replace(b"(214, 320, 6)", b"(214, 99999999, 6)", 1)
    pickled = right.replace(b"'|u1'", b"'|O' ", 1)
    artifact = open_artifact(folder)
    for data in (right[:-1], huge, pickled, b"", right[:40], b"\x93NUMPY\x09\x00" + right[8:]):
        assert data != right
        path.write_bytes(data)
        with pytest.raises(ArtifactError, match="golden picture cannot be read"):
            read_golden(replace(artifact, checked={}))
