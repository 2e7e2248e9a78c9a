"""An artifact under other names: nothing but the names and colours of its classes differs."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fastfcn_infer.artifact import onnx_metadata
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.artifact.relabel import relabel, with_classes
from fastfcn_infer.cli.main import main
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.hub.models import EMBEDDED
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system.record import to_json
from models import add_tiny_variant, tiny_artifact

TABLE = (ClassInfo("Straße", (1, 2, 3)), ClassInfo("😀", (4, 5, 6)), ClassInfo("sky", (7, 8, 9)))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    tiny_artifact(tmp_path / "tiny")
    (tmp_path / "mine.json").write_text(to_json(TABLE))
    return tmp_path


def test_a_table_renames_the_classes_of_one_run_and_the_artifact_stays_as_it_is(
    here: Path,
) -> None:
    before = {path: path.read_bytes() for path in (here / "tiny").rglob("*") if path.is_file()}
    picture = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    with Segmenter.from_pretrained("tiny", classes="mine.json", threads=1) as segmenter:
        result = segmenter(picture)
    with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
        np.testing.assert_array_equal(segmenter(picture).labels, result.labels)
    assert result.names == tuple(each.name for each in TABLE)
    assert result.colors.tolist() == [list(each.color) for each in TABLE]
    assert {path: path.read_bytes() for path in before} == before


@pytest.mark.parametrize("force", [False, True])
def test_a_renamed_artifact_is_whole_and_differs_in_its_classes_only(
    here: Path, force: bool
) -> None:
    words = ["relabel", "tiny", "--classes", "mine.json", "-o", "new"]
    if force:
        tiny_artifact(here / "new")
        assert main(words) == 2  # it exists
        words.append("--force")
    assert main(words) == 0
    old, new = open_artifact(here / "tiny"), open_artifact(here / "new")
    assert new.model == replace(old.model, classes=TABLE)
    assert new.manifest is not None
    assert old.manifest is not None
    assert (new.manifest.source, new.manifest.verification, new.manifest.producer) == (
        old.manifest.source,
        old.manifest.verification,
        old.manifest.producer,
    )
    first, second = (onnx.load(str(each.path("onnx"))) for each in (old, new))
    assert first.graph.SerializeToString() == second.graph.SerializeToString()
    assert first.opset_import == second.opset_import
    assert (first.producer_name, first.ir_version) == (second.producer_name, second.ir_version)
    assert sorted(entry.key for entry in first.metadata_props) == sorted(
        entry.key for entry in second.metadata_props
    )
    assert open_artifact(here / "new" / "model.onnx").model.classes == TABLE


def test_graphs_in_other_precisions_are_renamed_with_it_and_keep_their_records(here: Path) -> None:
    record = add_tiny_variant(here / "tiny")
    relabel(open_artifact(here / "tiny").in_precision("int8"), "mine.json", here / "new")
    new = open_artifact(here / "new")
    assert new.model.precision == "fp32"
    assert new.manifest is not None
    assert new.manifest.variants == {"int8": record}
    lone = open_artifact(here / "new" / "model.int8.onnx")
    assert lone.model == replace(new.model, precision="int8")
    assert lone.model.classes == TABLE


def test_metadata_of_others_stays_in_a_renamed_file_wherever_it_stands(here: Path) -> None:
    path, target = here / "tiny" / "model.onnx", here / "new.onnx"
    proto = onnx.load(str(path))
    for index, key in enumerate(("first", "middle", "last")):
        entry = onnx.StringStringEntryProto(key=key, value="x" * 200 * index)
        proto.metadata_props.insert(2 * index, entry)
    path.write_bytes(proto.SerializeToString())
    model = replace(open_artifact(path).model, classes=TABLE)
    with path.open("rb") as source, target.open("wb") as copy:
        onnx_metadata.copy_described(source, copy, model)
    found = {entry.key: entry.value for entry in onnx.load(str(target)).metadata_props}
    assert [len(found[key]) for key in ("first", "middle", "last")] == [0, 200, 400]
    assert onnx_metadata.read_model_of(target) == model


def test_the_description_for_paddles_tools_gets_the_new_names_and_keeps_the_rest(
    here: Path,
) -> None:
    yaml = pytest.importorskip("yaml")
    from fastfcn_export.target.paddle_emit.inference_yml import inference_yml
    from fastfcn_infer.artifact.artifact import seal

    old = open_artifact(here / "tiny")
    assert old.manifest is not None
    (here / "tiny" / "paddle").mkdir()
    described = here / "tiny" / "paddle" / "inference.yml"
    described.write_text(inference_yml(old.model, "a", "b"), encoding="utf-8")
    (here / "tiny" / "manifest.json").unlink()
    seal(here / "tiny", old.model, old.manifest.source, None, {})
    relabel(open_artifact(here / "tiny"), "mine.json", here / "new")
    read = yaml.safe_load((here / "new" / "paddle" / "inference.yml").read_text("utf-8"))
    assert read == {
        **yaml.safe_load(described.read_text("utf-8")),
        "label_list": [each.name for each in TABLE],
    }


def test_the_embedded_model_can_be_renamed_and_still_passes_its_verification(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = tuple(ClassInfo(f"number {n}", (n, 0, 0)) for n in range(11))
    (tmp_path / "t.json").write_text(to_json(names))
    words = ["--classes", str(tmp_path / "t.json"), "-o", str(tmp_path / "new"), "--json"]
    assert main(["relabel", EMBEDDED, *words]) == 0
    assert json.loads(capsys.readouterr().out)["classes"][0] == {
        "before": "sky",
        "now": "number 0",
    }
    assert main(["verify", str(tmp_path / "new"), "--threads", "1"]) == 0


@pytest.mark.parametrize("count", [2, 4])
def test_a_table_with_another_number_of_classes_is_refused_with_both_numbers(
    here: Path, count: int
) -> None:
    (here / "mine.json").write_text(to_json((*TABLE, TABLE[0])[:count]))
    for act in (
        lambda: Segmenter.from_pretrained("tiny", classes="mine.json"),
        lambda: relabel(open_artifact(here / "tiny"), "mine.json", here / "new"),
    ):
        with pytest.raises(ValueError, match=rf"has {count} classes, and the model tiny has 3"):
            act()
    assert not (here / "new").exists()


def test_a_table_that_does_not_exist_is_refused_with_the_names_of_those_that_do(
    here: Path,
) -> None:
    with pytest.raises(ArtifactError, match=r"no class table 'ade2ok'.*ade20k"):
        with_classes(open_artifact(here / "tiny"), "ade2ok")


def test_a_lone_onnx_file_is_not_relabelled(here: Path) -> None:
    with pytest.raises(ArtifactError, match="Give the folder"):
        relabel(open_artifact(here / "tiny" / "model.onnx"), "mine.json", here / "new")


NOT_FOR_ARTIFACTS: list[dict[str, Any]] = [
    {"dialect": "nosuch"},
    {"dialect": "paddleseg"},
    {"output_stride": 8},
    {"output_stride": 5, "classes": "mine.json"},
    {"output_stride": 0},
]


@pytest.mark.parametrize("options", NOT_FOR_ARTIFACTS, ids=str)
@pytest.mark.parametrize("model", [None, EMBEDDED, "tiny", "tiny/model.onnx", "hub:a/b"])
def test_what_is_for_checkpoints_is_refused_for_every_artifact(
    here: Path, model: str | None, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=r"cannot apply to .* artifact"):
        Segmenter.from_pretrained(model, **options, local_files_only=True)


@pytest.mark.parametrize("command", [["predict", "x.png", "-o", "out", "-m"], ["info"]])
@pytest.mark.parametrize("option", [["--dialect", "x"], ["--output-stride", "8"]])
def test_commands_refuse_what_is_for_checkpoints_as_usage(
    here: Path, capsys: pytest.CaptureFixture[str], command: list[str], option: list[str]
) -> None:
    (here / "x.png").write_bytes(b"")
    assert main([*command, "tiny", *option]) == 2
    assert f"({option[0]}) cannot apply to tiny" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [({"dialect": "nosuch"}, "contradicts the catalogue"), ({"classes": "voc"}, "has 21 classes")],
)
def test_a_name_of_the_catalogue_refuses_what_contradicts_it_before_a_download(
    here: Path, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        Segmenter.from_pretrained("fastfcn-resnet50-ade20k", local_files_only=True, **options)


def test_the_hash_of_the_new_description_is_stored_beside_it(here: Path) -> None:
    relabel(open_artifact(here / "tiny"), "mine.json", here / "new")
    entries = onnx_metadata.read_onnx(here / "new" / "model.onnx").metadata
    text = entries[onnx_metadata.MODEL_KEY]
    assert entries[onnx_metadata.MODEL_SHA256_KEY] == hashlib.sha256(text.encode()).hexdigest()
