import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fastfcn_infer.artifact.manifest import (
    ClassInfo,
    FileFacts,
    Input,
    Manifest,
    Output,
    Source,
    Verification,
    read_manifest,
    read_model,
)
from fastfcn_infer.artifact.procedure import Frame, Procedure, Resize
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
        (("model", "input", "mean"), [1, 1], "have 2, 3 and 3 values; one for each"),
        (("model", "input", "name"), "picture", "is none of image, pixels"),
        (("model", "input", "shape"), [None, 0, None], "must be positive or null"),
        (("model", "output", "name"), "masks", "is none of logits"),
        (("model", "precision"), "int7", "is none of fp32, fp16, int8"),
        (("model", "precision"), "int8", "a graph in int8 is a variant"),
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
        (("model", "procedure", "frame"), {"aspect_ratio": math.nan}, "float was expected"),
        (("model", "procedure", "canvas"), {"aspect_ratio": math.inf}, "float was expected"),
        (("model", "procedure", "canvas"), {"aspect_ratio": 10**400}, "float was expected"),
        (("model", "procedure", "canvas"), {"height": 1 << 31, "width": 1}, "at most 2147483647"),
        (("model", "procedure", "resize", "size"), 10**400, "sizes must be at most 2147483647"),
        (("model", "procedure", "resize", "limit"), 1 << 31, "sizes must be at most 2147483647"),
        (("model", "procedure", "resize", "interpolation"), "cubics", "is none of linear"),
        (
            ("model", "procedure", "resize"),
            {"rule": "long_side", "size": 9, "align_corners": True, "interpolation": "cubic"},
            "'align_corners' belongs to the interpolation 'linear', and not to 'cubic'",
        ),
        (
            ("model", "procedure", "resize"),
            {
                "rule": "long_within",
                "size": 9,
                "limit": 8,
                "align_corners": False,
                "arithmetic": "paddleseg",
            },
            "'limit' 8 is less than 'size' 9",
        ),
        (("model", "input", "std"), [1e-39, 1, 1], "normalised values smaller than 1e+30"),
        (("model", "input", "mean"), [1e300, 1, 1], "normalised values smaller than 1e+30"),
        (("model", "input", "padding"), [0, 0, -1e30], "normalised values smaller than 1e+30"),
        (("model", "input", "shape"), [None, 10**6, 10**6], "larger than memory allows"),
        (("model", "input", "shape"), [10**4, 480, 480], "larger than memory allows"),
        (("model", "input", "shape"), [1, (1 << 20) + 1, None], "larger than memory allows"),
        (("model", "input", "shape"), [1, None, 1 << 40], "must be positive or null"),
        (("model", "output", "stride"), 0, "stride 0 must be positive"),
        (("model", "output"), {"name": "labels", "stride": 8}, "stride 8 contradicts 'labels'"),
        (("model", "output"), {"name": "probabilities", "stride": 2}, "contradicts 'probabili"),
        (("model", "name"), "x" * 257, "has 257 characters; at most 256"),
        (("model", "classes", 0, "name"), "x" * 257, "has 257 characters; at most 256"),
        (("model", "network", "multiply_adds"), 10**400, "64 bits"),
        (("model", "network", "parameters"), -1, "must not be negative"),
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


PADDLESEG = Resize("exact", 64, False, width=96, divisor=32, arithmetic="paddleseg")
BYTES = Resize("short_side", 64, False)
LABELS = {"output": Output("labels", 1), "procedure": Procedure("whole", None)}


def model_text(**parts: Any) -> str:
    """Write a model whose parts are right, each by itself, and perhaps not together."""
    data = to_data(tiny_model())
    return json.dumps(data | {name: to_data(part) for name, part in parts.items()})


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        (
            {"output": Output("labels", 1), "procedure": Procedure("whole", BYTES)},
            "the procedure resizes pictures: labels cannot be resized back exactly. Export it with "
            "--output logits",
        ),
        (
            {
                **LABELS,
                "procedure": Procedure("whole", None, canvas=Frame(100, 120)),
                "input": replace(tiny_model().input, shape=(1, 64, 64)),
            },
            "labels of 64 x 64 pixels, and the procedure's canvas of 100 x 120 is larger",
        ),
        (
            {
                **LABELS,
                "procedure": Procedure("whole", None, Frame(40, 65)),
                "input": replace(tiny_model().input, shape=(None, None, 64)),
            },
            "the procedure's frame of 40 x 65 is larger",
        ),
        (
            {"procedure": Procedure("whole", PADDLESEG, canvas=Frame(64, 95))},
            "every picture would be 64 x 96 before it is padded to the canvas of 64 x 95",
        ),
        (
            {"procedure": Procedure("whole", None, Frame(50, 50), Frame(40, 60))},
            "every picture would be 50 x 50 before it is padded to the canvas of 40 x 60",
        ),
        (
            {
                "procedure": Procedure("whole", BYTES, Frame(aspect_ratio=1.0)),
                "input": replace(tiny_model().input, padding=(0.5, 0.5, 1.5)),
            },
            "must be in 0..1 where a frame is resized as bytes",
        ),
    ],
)
def test_parts_that_cannot_be_combined_are_refused_when_the_manifest_is_read(
    parts: dict[str, Any], said: str
) -> None:
    with pytest.raises(ArtifactError) as caught:
        read_model(model_text(**parts), "x")
    assert said in str(caught.value)
    with pytest.raises(ValueError, match=re.escape(said)):
        replace(tiny_model(), **parts)


def test_padding_that_is_no_byte_is_refused_where_the_graph_is_fed_bytes() -> None:
    given = tiny_model(input_name="pixels").input
    with pytest.raises(ValueError, match=r"must be in 0\.\.1 where the input is 'pixels'"):
        replace(given, padding=(0.0, 0.5, 1.01))
    replace(given, name="image", padding=(0.0, 0.5, 1.01))


def test_everything_that_cannot_be_combined_is_in_one_message() -> None:
    text = model_text(
        output=Output("labels", 1),
        procedure=Procedure("whole", PADDLESEG, Frame(100, 100), Frame(50, 50)),
        input=replace(tiny_model().input, shape=(1, 64, 49)),
        name="x" * 300,
    )
    with pytest.raises(ArtifactError) as caught:
        read_model(text, "x")
    for part in ("300 characters", "resizes pictures", "frame of 100", "canvas of 50", "64 x 96"):
        assert part in str(caught.value)
    given = to_data(tiny_model().input) | {"std": [0, 1, 1], "shape": [0, 1, 1]}
    with pytest.raises(ArtifactError) as caught:
        read_model(model_text(input=given, output={"name": "logits", "stride": 0}), "x")
    for part in ("std", "shape", "stride"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "parts",
    [
        {**LABELS, "procedure": Procedure("whole", None, canvas=Frame(64, 64))},
        {
            **LABELS,
            "procedure": Procedure("whole", None, canvas=Frame(64, 64)),
            "input": replace(tiny_model().input, shape=(1, 64, 64)),
        },
        {**LABELS, "procedure": Procedure("whole", None, Frame(aspect_ratio=2.0))},
        {"output": Output("probabilities", 1), "procedure": Procedure("whole", BYTES)},
        {"procedure": Procedure("whole", PADDLESEG, canvas=Frame(64, 96))},
        {"input": replace(tiny_model().input, padding=(-7.0, 0.5, 64.25))},
        {"input": replace(tiny_model().input, shape=(8, 1024, 2048))},
    ],
)
def test_what_can_be_combined_is_read_back_equal(parts: dict[str, Any]) -> None:
    model = replace(tiny_model(), **parts)
    assert read_model(to_json(model), "x") == model


@pytest.mark.parametrize("ratio", [math.nan, math.inf, -math.inf, -1.0, 0.0])
def test_an_aspect_ratio_that_is_no_positive_number_is_refused_in_code_as_well(
    ratio: float,
) -> None:
    with pytest.raises(ValueError, match=r"positive|finite"):
        Frame(aspect_ratio=ratio)


def test_classes_and_inputs_made_in_code_are_checked_as_well() -> None:
    with pytest.raises(ValueError, match="outside"):
        ClassInfo("sky", (0, -1, 0))
    with pytest.raises(ValueError, match="std"):
        Input("image", (0, 0, 0), (1, 1, -1), (0, 0, 0))
    for value in (math.nan, math.inf):
        with pytest.raises(ValueError, match="std"):
            Input("image", (0, 0, 0), (1, value, 1), (0, 0, 0))
        for triples in (((value, 0, 0), (0, 0, 0)), ((0, 0, 0), (0, 0, value))):
            with pytest.raises(ValueError, match="must be numbers"):
                Input("image", triples[0], (1, 1, 1), triples[1])
    with pytest.raises(ValueError, match="65536 classes"):
        replace(tiny_model(), classes=(ClassInfo("a", (0, 0, 0)),) * 65536)


def test_a_single_class_is_refused_with_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"1 class, .*--threshold"):
        replace(tiny_model(), classes=(ClassInfo("a", (0, 0, 0)),))


@pytest.mark.parametrize("threshold", [0.0, 1.0, -1.0, float("nan")])
def test_a_threshold_outside_of_0_to_1_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        Output("logits", 8, threshold)


def test_a_threshold_needs_two_classes_and_no_shifted_probabilities() -> None:
    with pytest.raises(ValueError, match="with a threshold 2 were expected"):
        replace(tiny_model(), output=Output("logits", 8, 0.3))
    with pytest.raises(ValueError, match=r"decided at 0\.5"):
        Output("probabilities", 1, 0.3)
    assert Output("probabilities", 1, 0.5).is_balanced


@pytest.mark.parametrize(
    ("threshold", "merge", "possible"),
    [
        (None, "exp", True),
        (0.5, "probabilities", True),
        (0.5, "exp", False),
        (0.3, "logits", True),
        (0.3, "probabilities", False),
    ],
)
def test_shifted_logits_are_merged_as_logits_only(
    threshold: float | None, merge: str, possible: bool
) -> None:
    output = Output("logits", 8, threshold)
    if possible:
        output.check_merge(merge)
    else:
        with pytest.raises(ValueError, match="merges logits"):
            output.check_merge(merge)
