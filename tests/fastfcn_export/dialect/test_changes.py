from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from exports import recognised, save_checkpoint, tensors_of
from fastfcn_export import Request, describe_checkpoint, export
from fastfcn_export.__main__ import main
from fastfcn_export.dialect.changes import Changes, changed, parse_resize, with_rgb
from fastfcn_export.target.targets import reference
from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.procedure import Resize
from small_pictures import noise

pytest.importorskip("onnxruntime")

CASE = "paddleseg_os32"
PICTURE = noise(64, 96)
MEAN, STD = (104.0, 117.0, 123.0), (50.0, 60.0, 70.0)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    return save_checkpoint(tmp_path / "in", "paddleseg", tensors_of(CASE))


def labels(folder: Path) -> Any:
    with Segmenter.from_pretrained(folder, device="cpu") as segmenter:
        return segmenter.predict(PICTURE).labels


def expected(fed: Any) -> Any:
    """The labels of the network for what its author feeds, by the textbook."""
    network = recognised(CASE)
    batch = np.ascontiguousarray(fed.transpose(2, 0, 1)[None], np.float32)
    low = reference.logits(network.architecture, network.weights, batch)
    return reference.resize(low, PICTURE.shape[:2], align_corners=False)[0].argmax(0)


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("with_preprocess", [False, True])
def test_pictures_are_fed_as_the_author_fed_them(
    order: Any, with_preprocess: bool, checkpoint: Path, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"mean": MEAN, "std": STD, "pixel_range": 255.0}
    made = export(
        checkpoint,
        tmp_path / "out",
        output_stride=32,
        channel_order=order,
        with_preprocess=with_preprocess,
        **options,
    )
    seen = PICTURE if order == "rgb" else PICTURE[:, :, ::-1]
    fed = (seen.astype(np.float64) - MEAN) / STD
    assert (labels(tmp_path / "out") == expected(fed)).mean() > 0.999
    said = " ".join(made.model.network.assumed)
    assert f"order {order.upper()}, as said by the user" in said
    given = MEAN if order == "rgb" else MEAN[::-1]
    assert made.model.input.mean == pytest.approx([value / 255 for value in given])


def test_the_order_of_channels_matters_to_this_network() -> None:
    fed = (PICTURE.astype(np.float64) - MEAN) / STD
    assert (expected(fed) == expected(fed[:, :, ::-1])).mean() < 0.99


def test_the_graph_that_takes_rgb_is_the_network_that_takes_bgr() -> None:
    network = changed(recognised(CASE), Changes(channel_order="bgr"), "the user")
    batch = np.random.default_rng(0).normal(size=(1, 3, 64, 64)).astype(np.float32)
    found = reference.logits(network.architecture, with_rgb(network), batch)
    wanted = reference.logits(network.architecture, network.weights, batch[:, ::-1].copy())
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize(
    ("rule", "resize"),
    [
        ("none", None),
        ("short_side:512", Resize("short_side", 512, align_corners=False)),
        ("long_side:520", Resize("long_side", 520, align_corners=False)),
        ("fit:2048x512", Resize("fit", 2048, align_corners=False, limit=512)),
    ],
)
def test_a_rule_of_resizing_is_recorded(
    rule: str, resize: Resize | None, checkpoint: Path
) -> None:
    found = describe_checkpoint(checkpoint, output_stride=32, resize=rule)
    assert found.procedure is not None and found.procedure.resize == resize
    assert any("as said by the user" in sentence for sentence in found.network.assumed)


def test_a_rule_keeps_the_dialect_s_convention_of_corners() -> None:
    published = Resize("long_side", 520, align_corners=True)
    found = parse_resize("short_side:300", published)
    assert found is not None and found.align_corners


@pytest.mark.parametrize(
    "rule", ["", "512", "fit:512", "short_side:5x5", "exact:0x5", "short_side:-1"]
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(ValueError, match=r"--resize|positive"):
        parse_resize(rule, None)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"mean": MEAN}, "belong together"),
        ({"mean": MEAN, "std": STD}, "--pixel-range 255"),
        ({"pixel_range": 255.0}, "give both"),
        ({"pixel_range": 2.0}, "neither 1 nor 255"),
        ({"resize": "big"}, "not a rule"),
    ],
)
def test_what_is_in_doubt_is_asked_for(options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        Request(**options)


@pytest.mark.parametrize("opset", [15, 16, 18, 19, 20, 21])
@pytest.mark.parametrize("case", ["mmseg_encnet", "wuhuikai_psp", "wuhuikai_jpu_x"])
def test_every_operator_set_is_written_as_onnx_defines_it(
    opset: int, case: str, tmp_path: Path
) -> None:
    from networks import CASES

    checkpoint = save_checkpoint(tmp_path, CASES[case][0], tensors_of(case))
    export(checkpoint, tmp_path / "out", output_stride=32, opset=opset)  # and verify it
    model = onnx.load(tmp_path / "out" / "model.onnx")
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", opset)]
    onnx.checker.check_model(model, full_check=True)


def test_an_operator_set_of_no_onnx_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--opset is of ONNX files"):
        export(tmp_path / "x.pth", tmp_path / "out", formats=("paddle",), opset=18)
    with pytest.raises(ValueError, match="15 to 21"):
        export(tmp_path / "x.pth", tmp_path / "out", opset=9)


def test_a_checkpoint_that_describes_itself_takes_no_changes() -> None:
    from fastfcn_infer.errors import CheckpointError

    own = replace(recognised(CASE), trained=object())  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match="says itself"):
        changed(own, Changes(channel_order="bgr"), "the user")


def test_the_options_reach_the_manifest(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--mean 0.4,0.4,0.4 --std 0.2,0.2,0.3 --resize short_side:300 --opset 18 --output-stride 32"
    assert (
        main([str(checkpoint), "-o", str(tmp_path / "out"), *words.split(), "--verify", "off"])
        == 0
    )
    assert "mean 0.4, 0.4, 0.4 and deviation 0.2, 0.2, 0.3" in capsys.readouterr().out
