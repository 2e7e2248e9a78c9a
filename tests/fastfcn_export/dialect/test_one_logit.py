from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exports import recognised
from fastfcn_export import describe_checkpoint, export
from fastfcn_export.__main__ import main
from fastfcn_export.dialect.one_logit import binary_classes, shift
from fastfcn_export.target.targets import onnx_graph
from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.manifest import ClassInfo, Output
from fastfcn_infer.artifact.procedure import PRESETS
from fastfcn_infer.errors import CheckpointError, VerificationError
from fastfcn_infer.inference.replay import replay
from one_logit import probability, save_with_one_logit
from small_pictures import noise

pytest.importorskip("onnxruntime")

CASE = "paddleseg_os32"  # its authors do not resize pictures
PICTURE = noise(97, 131)
THRESHOLDS = (0.3, 0.5, 0.8)


@pytest.fixture(scope="module")
def middle() -> float:
    """The median of the probabilities, a threshold at which both labels are frequent."""
    return round(float(np.median(probability(CASE, PICTURE))), 3)


def labels(folder: Path) -> Any:
    with Segmenter.from_pretrained(folder, device="cpu") as segmenter:
        return segmenter.predict(PICTURE).labels


@pytest.mark.parametrize("offset", [-0.02, 0.0, 0.02])
@pytest.mark.parametrize("output", ["logits", "labels"])
def test_labels_are_the_upsampled_sigmoid_over_the_threshold(
    offset: float, output: Any, middle: float, tmp_path: Path
) -> None:
    threshold = middle + offset
    checkpoint = save_with_one_logit(CASE, tmp_path / "in")
    options: dict[str, Any] = {"output_stride": 32, "output": output, "threshold": threshold}
    made = export(checkpoint, tmp_path / "out", **options)
    share = probability(CASE, PICTURE)
    clear = np.abs(share - threshold) > 1e-6
    found = labels(tmp_path / "out")
    assert 0.02 < (share > threshold).mean() < 0.98
    assert ((share > threshold) == found)[clear].all()
    assert made.model.output.threshold == threshold
    assert made.verification is not None and made.verification.label_agreement > 0.999
    with Segmenter.from_pretrained(tmp_path / "out", device="cpu") as segmenter:
        assert replay(segmenter).passed


@pytest.mark.parametrize("case", ["wuhuikai_psp", "ncpaddle_fcn", "mmseg_psp", "mmseg_encnet"])
def test_every_dialect_s_head_with_one_logit_is_proven(case: str, tmp_path: Path) -> None:
    checkpoint = save_with_one_logit(case, tmp_path / "in")
    made = export(checkpoint, tmp_path / "out", output_stride=32, threshold=0.3)
    assert [entry.name for entry in made.model.classes] == ["background", "foreground"]
    assert open_artifact(tmp_path / "out").model.output.threshold == 0.3


def test_half_precision_and_probabilities_are_proven_too(tmp_path: Path) -> None:
    checkpoint = save_with_one_logit(CASE, tmp_path / "in")
    export(checkpoint, tmp_path / "half", output_stride=32, threshold=0.3, precision="fp16")
    options: dict[str, Any] = {"output_stride": 32, "threshold": 0.5, "output": "probabilities"}
    export(checkpoint, tmp_path / "share", **options)
    found = labels(tmp_path / "share")
    share = probability(CASE, PICTURE)
    assert ((share > 0.5) == found)[np.abs(share - 0.5) > 1e-6].all()


def test_the_softmax_of_shifted_logits_is_refused_as_probabilities(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"decided at 0\.5"):
        export(tmp_path / "x.pth", tmp_path / "out", threshold=0.3, output="probabilities")


def test_without_a_threshold_the_export_says_what_was_found_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = str(save_with_one_logit(CASE, tmp_path / "in"))
    for more in (["--dry-run"], ["-o", str(tmp_path / "out")]):
        assert main([checkpoint, *more]) == 6
        said = capsys.readouterr().err
        assert Path(checkpoint).name in said and "one logit" in said
        assert "--threshold 0.3" in said and "0.5" in said
    assert not (tmp_path / "out").exists()
    with pytest.raises(CheckpointError, match="--threshold"):
        Segmenter.from_pretrained(checkpoint, cache_dir=tmp_path / "cache")


def test_a_threshold_for_several_logits_is_an_error(tmp_path: Path) -> None:
    checkpoint = save_with_several(tmp_path)
    with pytest.raises(ValueError, match=r"this one has 6.*multi-label"):
        describe_checkpoint(checkpoint, output_stride=32, threshold=0.5)


def save_with_several(folder: Path) -> Path:
    from exports import save_checkpoint, tensors_of

    return save_checkpoint(folder, "paddleseg", tensors_of(CASE))


@pytest.mark.parametrize("text", ["0", "1", "-0.5", "nan", "inf", "30%", ""])
def test_what_is_no_threshold_is_code_2(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["x.pth", "-o", "out", f"--threshold={text}"]) == 2
    assert "is not a threshold" in capsys.readouterr().err


def test_a_graph_with_the_wrong_threshold_is_not_proven(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = save_with_one_logit(CASE, tmp_path / "in")
    write = onnx_graph.write

    def wrong(architecture: Any, weights: Any, *rest: Any) -> None:
        bias = weights["head.classifier.bias"] + np.array([0, 0.1], np.float32)
        write(architecture, {**weights, "head.classifier.bias": bias}, *rest)

    monkeypatch.setattr(onnx_graph, "write", wrong)
    with pytest.raises(VerificationError):
        export(checkpoint, tmp_path / "out", output_stride=32, threshold=0.3)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("names", [["crack"], ["road", "crack"]])
def test_a_table_names_the_class_alone_or_the_background_too(
    names: list[str], tmp_path: Path
) -> None:
    import json

    table = tmp_path / "names.json"
    table.write_text(json.dumps([{"name": name, "color": [9, 8, 7]} for name in names]))
    checkpoint = save_with_one_logit(CASE, tmp_path / "in")
    found = describe_checkpoint(checkpoint, output_stride=32, threshold=0.5, classes=table)
    assert found.class_names == (("background", "crack") if len(names) == 1 else tuple(names))


def test_views_are_merged_as_logits_only_where_the_logits_are_shifted(tmp_path: Path) -> None:
    checkpoint = save_with_one_logit(CASE, tmp_path / "in")
    export(checkpoint, tmp_path / "out", output_stride=32, threshold=0.3, verify=False)
    with Segmenter.from_pretrained(tmp_path / "out", device="cpu") as segmenter:
        with pytest.raises(ValueError, match="merges logits"):
            segmenter.predict(PICTURE, procedure="mmseg-tta")
        segmenter.predict(
            PICTURE, procedure=replace(PRESETS["mmseg-tta"], merge="logits", scales=(1.0,))
        )


@pytest.mark.parametrize("threshold", THRESHOLDS)
def test_the_shift_is_the_logit_of_the_threshold(threshold: float) -> None:
    assert 1 / (1 + np.exp(-shift(threshold))) == pytest.approx(threshold, rel=1e-12)


def test_two_classes_stay_as_they_are_named() -> None:
    both = (ClassInfo("no", (1, 1, 1)), ClassInfo("yes", (2, 2, 2)))
    assert binary_classes(both) == both
    assert [entry.name for entry in binary_classes(both[1:])] == ["background", "yes"]


def test_an_output_knows_when_its_softmax_is_the_network_s_own() -> None:
    assert Output("logits", 8).is_balanced and Output("logits", 8, 0.5).is_balanced
    assert not Output("logits", 8, 0.3).is_balanced


def test_networks_of_several_logits_are_written_as_they_are() -> None:
    from fastfcn_export.dialect.one_logit import as_written

    network = recognised(CASE)
    assert as_written(network, None) == (network.architecture, network.weights)
