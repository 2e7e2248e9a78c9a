"""Graphs in other precisions: each with its record or not at all, and added in one step."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from command_line import content
from fastfcn_infer.artifact import golden
from fastfcn_infer.artifact.add_variant import add_variant
from fastfcn_infer.artifact.artifact import open_artifact, seal
from fastfcn_infer.artifact.checked_file import hash_file
from fastfcn_infer.artifact.manifest import Source
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.hub.models import find_artifact
from fastfcn_infer.system.record import to_data
from models import VARIANT, add_tiny_variant, tiny_artifact, tiny_model, tiny_onnx


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_artifact(tmp_path / "tiny")
    return tmp_path / "tiny"


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_graph_that_is_added_leaves_all_others_as_they_were(folder: Path) -> None:
    before, old = content(folder), open_artifact(folder)
    record = add_tiny_variant(folder)
    after, new = content(folder), open_artifact(folder)
    assert set(after) == {*before, "model.int8.onnx"}
    assert {name for name in before if after[name] != before[name]} == {"manifest.json"}
    assert new.model == old.model
    assert new.manifest is not None
    assert new.manifest.variants == {"int8": record}
    assert (old.precisions, new.precisions) == (("fp32",), ("fp32", "int8"))
    assert new.fingerprint == old.fingerprint  # results in float32 stay what they are


def test_a_manifest_without_variants_reads_as_it_did_before_there_were_any(folder: Path) -> None:
    assert "variants" not in json.loads((folder / "manifest.json").read_text())


def test_a_precision_is_chosen_of_those_that_the_artifact_holds(folder: Path) -> None:
    add_tiny_variant(folder)
    whole = open_artifact(folder)
    quantised = whole.in_precision("int8")
    assert quantised.model == replace(whole.model, precision="int8")
    assert quantised.path("onnx") == folder / "model.int8.onnx"
    assert quantised.variant == VARIANT
    assert quantised.fingerprint != whole.fingerprint
    assert quantised.in_precision("fp32") == whole
    assert whole.variant is None
    with pytest.raises(ArtifactError, match=r"tiny holds no graph in fp16; it holds fp32, int8\."):
        quantised.in_precision("fp16")
    with pytest.raises(ArtifactError, match=r"'paddle' in int8; it holds onnx\. .*precision fp32"):
        quantised.path("paddle")


def test_a_lone_graph_in_another_precision_is_a_model_of_that_precision(folder: Path) -> None:
    add_tiny_variant(folder)
    lone = open_artifact(folder / "model.int8.onnx")
    assert (lone.model.precision, lone.precisions, lone.folder) == ("int8", ("int8",), None)
    assert lone.path("onnx") == folder / "model.int8.onnx"


def test_a_graph_without_a_record_and_a_record_without_a_graph_are_both_refused(
    folder: Path,
) -> None:
    tiny_onnx(folder / "model.int8.onnx", replace(tiny_model(), precision="int8"))
    assert open_artifact(folder).unlisted == ("model.int8.onnx",)  # not a part of the artifact
    files = json.loads((folder / "manifest.json").read_text())["files"]
    rewrite(folder, variants={"int8": to_data(VARIANT)})
    with pytest.raises(ArtifactError, match=r"model\.int8\.onnx is not among the files"):
        open_artifact(folder)
    facts = to_data(hash_file(folder / "model.int8.onnx"))
    rewrite(folder, files={**files, "model.int8.onnx": facts}, variants={})
    with pytest.raises(ArtifactError, match=r"model\.int8\.onnx is .*no record of it"):
        open_artifact(folder)
    (folder / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="no record of it"):
        seal(folder, tiny_model(), Source("checkpoint.pdparams", 1, "0" * 64), None, {})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"file": "model.onnx"}, "'model.onnx' is none of model.fp16.onnx, model.int8.onnx"),
        ({"file": "model.fp16.onnx"}, "its file is model.int8.onnx, not model.fp16.onnx"),
        ({"agreement": {"overall": 0.9}}, "overall 0.9 is less than the required 0.95"),
        ({"agreement": {"interior": 1.2}}, "interior 1.2 must be in 0..1"),
        ({"golden": {"found": 0.5}}, "found 0.5 is less than the required 0.95"),
        ({"task": {"mean_iou": 0.55}}, "is more than the allowed 0.005"),
        ({"calibration": {"pictures": 0}}, "0 calibration pictures"),
    ],
)
def test_a_record_that_proves_nothing_is_refused(
    folder: Path, change: dict[str, Any], said: str
) -> None:
    add_tiny_variant(folder)
    data = to_data(VARIANT)
    for key, value in change.items():
        data[key] = {**data[key], **value} if isinstance(value, dict) else value
    rewrite(folder, variants={"int8": data})
    with pytest.raises(ArtifactError, match=said):
        open_artifact(folder)


@pytest.mark.parametrize("other", [{"precision": "fp16"}, {"align_corners": True}])
def test_a_graph_that_describes_another_model_is_not_added(
    folder: Path, tmp_path: Path, other: dict[str, Any]
) -> None:
    before = content(folder)
    graph = tmp_path / "graph.onnx"
    tiny_onnx(graph, replace(replace(tiny_model(), precision="int8"), **other))
    with pytest.raises(ArtifactError, match=r"model\.int8\.onnx: it describes another model"):
        add_variant(open_artifact(folder), "int8", graph, VARIANT)
    assert content(folder) == before
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_two_processes_that_add_to_the_same_artifact_do_not_undo_each_other(
    folder: Path,
) -> None:
    stale = open_artifact(folder)
    add_tiny_variant(folder, "fp16")
    graph = folder.parent / "graph.onnx"
    tiny_onnx(graph, replace(tiny_model(), precision="int8"))
    with pytest.raises(ArtifactError, match="changed"):
        add_variant(stale, "int8", graph, VARIANT)
    assert open_artifact(folder).precisions == ("fp32", "fp16")
    add_tiny_variant(folder)
    add_tiny_variant(folder)  # replaces the one before
    assert open_artifact(folder).precisions == ("fp32", "fp16", "int8")


def test_a_copy_with_another_graph_leaves_the_first_artifact_alone(
    folder: Path, tmp_path: Path
) -> None:
    before = content(folder)
    graph = tmp_path / "graph.onnx"
    tiny_onnx(graph, replace(tiny_model(), precision="int8"))
    add_variant(open_artifact(folder), "int8", graph, VARIANT, target=tmp_path / "new")
    assert content(folder) == before
    assert open_artifact(tmp_path / "new").precisions == ("fp32", "int8")
    with pytest.raises(ArtifactError, match=r"lone \.onnx file.*Give the folder"):
        add_variant(open_artifact(folder / "model.onnx"), "int8", graph, VARIANT)


def test_the_golden_picture_demands_of_each_graph_what_its_proof_says() -> None:
    embedded = find_artifact("fastfcn-resnet18-camvid", None, local_files_only=True)
    assert embedded.manifest is not None
    for proof, required in ((VARIANT.golden, 0.95), (None, VARIANT.agreement.required)):
        variants = {"int8": replace(VARIANT, golden=proof)}
        files = {
            **embedded.manifest.files,
            "model.int8.onnx": embedded.manifest.files["model.onnx"],
        }
        held = replace(
            embedded, manifest=replace(embedded.manifest, variants=variants, files=files)
        )
        assert golden.read_golden(held).required == 0.999
        assert golden.read_golden(held.in_precision("int8")).required == required
