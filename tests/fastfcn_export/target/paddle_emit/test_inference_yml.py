from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exports import described, recognised
from fastfcn_export.deployed.read import read_deployed
from fastfcn_export.dialect.transforms import preprocessing
from fastfcn_export.target.paddle_emit.inference_yml import inference_yml
from fastfcn_export.target.target import Options
from fastfcn_infer.artifact.manifest import ClassInfo
from fastfcn_infer.artifact.procedure import Procedure, Resize
from fastfcn_infer.inference.views import resized
from networks import CASES

yaml = pytest.importorskip("yaml")

# PaddleX 3.7.2, modules/semantic_segmentation/model_list.py.
PADDLEX = {"Deeplabv3_Plus-R50", "Deeplabv3-R101", "Deeplabv3-R50", "PP-LiteSeg-T"}


def read(case: str = "wuhuikai_encnet", **asked: Any) -> dict[str, Any]:
    text = inference_yml(described(recognised(case), **asked), "a.json", "a.pdiparams")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


@pytest.mark.parametrize("case", CASES)
def test_the_file_says_what_paddleseg_s_deploy_script_and_paddlex_ask_for(case: str) -> None:
    found, conventions = read(case), recognised(case).conventions
    *resizes, normalise = found["Deploy"].pop("transforms")
    assert len(resizes) == (described(recognised(case)).procedure.resize is not None)
    assert normalise == {
        "type": "Normalize",
        "mean": list(conventions.mean),
        "std": list(conventions.std),
    }
    assert found["Deploy"] == {
        "model": "a.json",
        "params": "a.pdiparams",
        "input_shape": [-1, 3, -1, -1],
        "output_op": "none",
        "output_dtype": "float32",
    }
    assert len(found["label_list"]) == recognised(case).architecture.classes


RULES = {
    "long side": Resize("long_side", 520, align_corners=True),
    "short side": Resize("short_side", 480, align_corners=False),
    "short side, limited": Resize("short_side", 480, False, limit=900, arithmetic="paddleseg"),
    "fit": Resize("fit", 2048, align_corners=False, limit=512),
    "within": Resize("long_within", 300, False, limit=900, arithmetic="paddleseg"),
    "at least": Resize("long_within", 300, False, arithmetic="paddleseg"),
    "exact": Resize(
        "exact", 300, False, width=400, divisor=32, arithmetic="paddleseg", interpolation="cubic"
    ),
}


@pytest.mark.parametrize("resize", RULES.values(), ids=RULES)
def test_the_resize_of_the_procedure_is_stated_as_paddleseg_s_transform(resize: Resize) -> None:
    model = described(recognised("paddleseg_os32"))
    model = replace(model, procedure=Procedure("whole", resize))
    found = yaml.safe_load(inference_yml(model, "a.json", "a.pdiparams"))
    stated = preprocessing(found["Deploy"]["transforms"], "inference.yml").procedure.resize
    assert stated == replace(resize, align_corners=False, arithmetic="paddleseg")
    random = np.random.default_rng(1)
    for height, width in random.integers(33, 3000, (200, 2)).tolist():
        theirs, ours = resized(stated, (height, width)), resized(resize, (height, width))
        # PaddleSeg rounds where the authors may cut.
        assert max(abs(a - b) for a, b in zip(theirs, ours, strict=True)) <= 1


def test_labels_are_of_pictures_at_their_own_size_so_no_resize_is_stated() -> None:
    (normalise,) = read("mmseg_psp", output="labels")["Deploy"]["transforms"]
    assert normalise["type"] == "Normalize"


def test_paddlex_is_given_a_name_that_it_knows() -> None:
    assert read()["Global"]["model_name"] in PADDLEX


@pytest.mark.parametrize(
    ("output", "operator", "kind"),
    [("labels", "argmax", "uint8"), ("probabilities", "softmax", "float32")],
)
def test_the_last_operator_is_named_as_paddleseg_does(
    output: str, operator: str, kind: str
) -> None:
    deploy = read(output=output)["Deploy"]
    assert (deploy["output_op"], deploy["output_dtype"]) == (operator, kind)


def test_a_fixed_shape_and_pixels_are_said() -> None:
    assert read(options=Options((1, 64, 96)))["Deploy"]["input_shape"] == [1, 3, 64, 96]
    pixels = read(with_preprocess=True)["Deploy"]
    assert pixels["input_shape"] == [-1, -1, -1, 3]
    assert pixels["transforms"] == []


@pytest.mark.parametrize(
    "name",
    ["plain", 'a "quoted" name', "back\\slash", "no", "1e5", "a: b # c", "路面", "\N{GRINNING FACE}",
     "two\nlines", "tab\tand\x7f\x85\u2028", ""],
)  # fmt: skip
def test_any_class_name_comes_back_as_it_was(name: str) -> None:
    model = described(recognised("wuhuikai_encnet"))
    classes = (ClassInfo(name, (0, 0, 0)), *model.classes[1:])
    text = inference_yml(replace(model, name=name, classes=classes), "a.json", "a.pdiparams")
    assert yaml.safe_load(text)["label_list"][0] == name
    assert text.startswith("# ")
    assert text.splitlines()[1] == "Global:"


def test_our_own_reader_of_deployments_reads_it(tmp_path: Path) -> None:
    text = inference_yml(described(recognised("paddleseg_os32")), "i.json", "i.pdiparams")
    (tmp_path / "inference.yml").write_text(text, encoding="utf-8")
    for name in ("i.json", "i.pdiparams"):
        (tmp_path / name).touch()
    found = read_deployed(tmp_path)
    assert found.program == tmp_path / "i.json"
    assert found.params == tmp_path / "i.pdiparams"
    assert found.output_op == "none"
    assert [item["type"] for item in found.transforms] == ["Normalize"]


def test_paddleseg_s_own_reader_reads_it(tmp_path: Path) -> None:
    infer = pytest.importorskip("paddleseg.deploy.infer", exc_type=ImportError)
    text = inference_yml(described(recognised("paddleseg_os32")), "i.json", "i.pdiparams")
    (tmp_path / "inference.yml").write_text(text, encoding="utf-8")
    config = infer.DeployConfig(str(tmp_path / "inference.yml"))
    assert config.model == str(tmp_path / "i.json")
    assert config.params == str(tmp_path / "i.pdiparams")
    (normalise,) = config.transforms.transforms
    assert type(normalise).__name__ == "Normalize"
