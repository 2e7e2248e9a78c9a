import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastfcn_infer.artifact.manifest import (
    ClassInfo,
    FileFacts,
    Frame,
    Input,
    Manifest,
    Procedure,
    Resize,
    Source,
    Verification,
    read_manifest,
    read_model,
)
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.system.record import to_data, to_json
from models import tiny_model

FACTS = FileFacts(1, "0" * 64)
PROOF = Verification("a", "b", "c", 1e-6, 1e-4, 1.0, 0.999, {"numpy": "2"})
MANIFEST = Manifest(
    1,
    replace(tiny_model(), procedure=Procedure("whole", Resize("fit", 2048, False, limit=512))),
    {"model.onnx": FACTS, "golden/input.png": FACTS},
    Source("model.pdparams", 1, "0" * 64),
    PROOF,
    {"numpy": "2"},
)


def edited(*path: str | int, value: Any) -> str:
    data: Any = to_data(MANIFEST)
    part = data
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    return json.dumps(data)


def test_a_manifest_is_read_back_equal_with_and_without_a_verification() -> None:
    for manifest in (MANIFEST, replace(MANIFEST, verification=None)):
        assert read_manifest(to_json(manifest), "x") == manifest
    assert read_model(to_json(MANIFEST.model), "x") == MANIFEST.model


def test_what_only_paddleseg_needs_is_written_only_where_it_is_used() -> None:
    text = to_json(MANIFEST)
    assert not {"divisor", "arithmetic", "frame", "canvas", "width"} & set(
        re.findall(r"\w+", text)
    )
    resize = Resize("exact", 5, False, width=9, divisor=4, arithmetic="paddleseg")
    procedure = Procedure("whole", resize, Frame(aspect_ratio=1.5), Frame(30, 40))
    manifest = replace(MANIFEST, model=replace(MANIFEST.model, procedure=procedure))
    assert '"divisor": 4' in to_json(manifest)
    assert read_manifest(to_json(manifest), "x") == manifest


def test_the_manifest_of_the_embedded_model_is_written_as_to_json_writes_it() -> None:
    package = Path(__file__).parents[3] / "fastfcn_infer"
    (path,) = (package / "assets" / "models").glob("*/manifest.json")
    text = path.read_text(encoding="utf-8")
    assert to_json(read_manifest(text, str(path))) + "\n" == text


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("format_version",), 2, "format_version: 2 is none of 1"),
        (("format_version",), True, "format_version: true is none of 1"),
        (("model", "input", "std"), [1, 0, 1], "must be positive"),
        (("model", "input", "mean"), [1, 1], "3 items were expected"),
        (("model", "input", "name"), "picture", "is none of image, pixels"),
        (("model", "input", "shape"), [None, 0, None], "must be positive or null"),
        (("model", "output", "name"), "masks", "is none of logits"),
        (("model", "precision"), "int8", "is none of fp32, fp16"),
        (("model", "align_corners"), None, "bool was expected"),
        (("model", "classes"), [], "0 classes"),
        (("model", "classes", 0, "color"), [0, 0, 256], "outside 0..255"),
        (("model", "classes", 0, "color"), [0, 0], "3 items were expected"),
        (("model", "procedure", "kind"), "windows", "is none of whole"),
        (("model", "procedure", "resize", "size"), 0, "sizes must be positive"),
        (("model", "procedure", "resize", "limit"), 0, "sizes must be positive"),
        (("model", "procedure", "resize", "limit"), None, "'limit' belongs to the rule 'fit'"),
        (("model", "procedure", "resize", "rule"), "long_side", "'limit' belongs to"),
        (("model", "procedure", "resize", "rule"), "exact", "'limit' belongs to"),
        (("model", "procedure", "resize", "width"), 5, "'width' belongs to the rule 'exact'"),
        (("model", "procedure", "resize", "divisor"), 8, "need the arithmetic 'paddleseg'"),
        (("model", "procedure", "resize", "divisor"), 0, "sizes must be positive"),
        (("model", "procedure", "canvas"), {"height": 5}, "'height' and 'width', or"),
        (("model", "procedure", "frame"), {"aspect_ratio": 0}, "sizes must be positive"),
        (("model", "procedure", "frame"), {}, "'height' and 'width', or"),
        (("files", "model.onnx", "size"), "1", "int was expected"),
        (("source",), None, "source: an object was expected"),
        (("verification", "worst_difference"), "tiny", "float was expected"),
        (("extra",), 1, "extra: unknown key"),
    ],
)
def test_a_manifest_that_contradicts_itself_is_refused_by_name_of_file_and_field(
    path: tuple[str | int, ...], value: Any, said: str
) -> None:
    with pytest.raises(ArtifactError) as caught:
        read_manifest(edited(*path, value=value), "folder/manifest.json")
    message = str(caught.value)
    assert message.startswith("folder/manifest.json is not a manifest of format 1: ")
    assert said in message
    assert "fastfcn-export" in message


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../model.onnx",
        "a/../b",
        "a//b",
        "a/",
        "./a",
        ".",
        "a\\b",
        "C:/a",
        "c:a",
    ],
)
def test_a_file_name_that_leaves_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ArtifactError, match="does not stay inside the artifact"):
        read_manifest(edited("files", value={name: to_data(FACTS)}), "x")
    with pytest.raises(ValueError, match="does not stay inside the artifact"):
        replace(MANIFEST, files={name: FACTS})


def test_all_faults_are_in_one_message() -> None:
    with pytest.raises(ArtifactError) as caught:
        read_manifest('{"format_version": 3, "files": []}', "x")
    for part in ("format_version", "files", "model: missing", "source: missing", "producer"):
        assert part in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "null", b"\xff", '{"model":'])
def test_any_other_text_is_an_artifact_error(text: str | bytes) -> None:
    for read in (read_manifest, read_model):
        with pytest.raises(ArtifactError):
            read(text, "x")


def test_classes_and_inputs_made_in_code_are_checked_as_well() -> None:
    with pytest.raises(ValueError, match="outside"):
        ClassInfo("sky", (0, -1, 0))
    with pytest.raises(ValueError, match="std"):
        Input("image", (0, 0, 0), (1, 1, -1), (0, 0, 0))
    with pytest.raises(ValueError, match="65536 classes"):
        replace(tiny_model(), classes=(ClassInfo("a", (0, 0, 0)),) * 65536)
