import os
import shutil
import stat
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from exports import (
    described,
    difference,
    recognised,
    save_checkpoint,
    tensors_of,
    write_onnx,
)
from fastfcn_export import Request, export
from fastfcn_export.__main__ import main
from fastfcn_export.target.onnx_emit import paddle2onnx_process, via_paddle
from fastfcn_export.target.target import Options
from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.onnx_metadata import read_model_of
from fastfcn_infer.errors import BackendError, BackendMissing
from fastfcn_infer.inference.replay import replay
from networks import CASES

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("paddle")

FLOAT32 = 1e-5  # of the largest answer: the promise of both roads; measured 2e-6
SIZES = ((33, 33), (47, 65), (41, 58))
UNWANTED = {"Identity", "Constant", "BatchNormalization", "Tile"}

needs_converter = pytest.mark.skipif(
    not paddle2onnx_process.available(), reason="paddle2onnx is neither installed nor on the PATH"
)
unix = pytest.mark.skipif(os.name == "nt", reason="the fake converter is a script with a shebang")

Array = NDArray[Any]
Output = Literal["logits", "probabilities", "labels"]

FAKE = """\
#!{python}
import shutil, sys
print("2026-01-01 00:00:00 [INFO] paddle2onnx-9.8.7 with python>=3.8")
if "--save_file" in sys.argv:
    {act}
"""


def write(case: str, folder: Path, **asked: Any) -> Path:
    network = recognised(case)
    model = described(network, **asked)
    options = asked.get("options") or Options()
    via_paddle.write(network.architecture, network.weights, model, folder, options)
    return folder / "model.onnx"


def run(path: Path, feed: Array) -> Array:
    onnx.checker.check_model(str(path), full_check=True)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    answer: Array = session.run(None, {session.get_inputs()[0].name: feed})[0]
    return answer


def image(size: tuple[int, int]) -> NDArray[np.float32]:
    return np.random.default_rng(size).normal(size=(2, 3, *size)).astype(np.float32)


def ends(path: Path) -> list[tuple[str, int, list[int | str]]]:
    graph = onnx.load(path).graph
    return [
        (value.name, value.type.tensor_type.elem_type,
         [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim])
        for value in (*graph.input, *graph.output)
    ]  # fmt: skip


@needs_converter
@pytest.mark.parametrize("case", CASES)
def test_both_roads_lead_to_the_same_network(case: str, tmp_path: Path) -> None:
    other = write(case, tmp_path)
    names = {node.op_type for node in onnx.load(other).graph.node}
    (tmp_path / "direct").mkdir()
    direct = write_onnx(recognised(case), tmp_path / "direct")
    for size in SIZES:
        assert difference(run(other, image(size)), run(direct, image(size))) <= FLOAT32
    assert ends(other) == ends(direct)
    assert not UNWANTED & names
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "direct"}


@needs_converter
@pytest.mark.parametrize("output", ["logits", "probabilities", "labels"])
@pytest.mark.parametrize("with_preprocess", [False, True])
@pytest.mark.parametrize("shape", [(None, None, None), (2, 41, 58)])
def test_both_roads_agree_whatever_is_asked(
    output: Output,
    with_preprocess: bool,
    shape: tuple[int | None, int | None, int | None],
    tmp_path: Path,
) -> None:
    asked: dict[str, Any] = {
        "output": output, "with_preprocess": with_preprocess, "options": Options(shape)
    }  # fmt: skip
    other = write("wuhuikai_encnet", tmp_path, **asked)
    (tmp_path / "direct").mkdir()
    direct = write_onnx(recognised("wuhuikai_encnet"), tmp_path / "direct", **asked)
    pixels = np.random.default_rng(5).integers(0, 256, (2, 41, 58, 3), np.uint8)
    feed: Array = pixels if with_preprocess else image((41, 58))
    found, expected = run(other, feed), run(direct, feed)
    assert ends(other) == ends(direct)
    if output == "labels":
        assert found.dtype == expected.dtype
        assert (found == expected).mean() > 0.999  # ties of random logits
    else:
        assert difference(found, expected) <= FLOAT32


@needs_converter
def test_the_artifact_is_described_proven_and_sealed_like_the_direct_one(tmp_path: Path) -> None:
    checkpoint = save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))
    made = export(checkpoint, tmp_path / "out", Request(output_stride=32, via="paddle2onnx"))
    assert open_artifact(tmp_path / "out").manifest == made
    assert set(made.files) == {"model.onnx", "golden/input.png", "golden/labels.png"}
    assert read_model_of(tmp_path / "out" / "model.onnx") == made.model
    assert {"paddle", "paddle2onnx", "onnx"} <= set(made.producer)
    assert made.verification is not None
    assert made.verification.worst_difference <= FLOAT32
    with Segmenter.from_pretrained(tmp_path / "out", device="cpu") as segmenter:
        assert replay(segmenter).passed


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a converter on the PATH that does as told."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def install(act: str) -> None:
        script = folder / "paddle2onnx"
        script.write_text(FAKE.format(python=sys.executable, act=act))
        script.chmod(script.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(paddle2onnx_process, "_here", lambda: False)
        monkeypatch.setenv("PATH", str(folder))

    return install


def as_converted(direct: Path, to: Path, opset: int = 17) -> None:
    """Write a graph the way that paddle2onnx does: other names, identities, constants as nodes."""
    model = onnx.load(direct)
    graph = model.graph
    nodes = [onnx.helper.make_node("Identity", ["image"], ["same"])]
    for tensor in graph.initializer:
        nodes.append(onnx.helper.make_node("Constant", [], [f"{tensor.name}.c"], value=tensor))
        nodes.append(onnx.helper.make_node("Identity", [f"{tensor.name}.c"], [tensor.name]))
    unused = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "unused")
    nodes.append(onnx.helper.make_node("Constant", [], ["unused"], value=unused))
    for node in graph.node:
        node.input[:] = ["same" if name == "image" else name for name in node.input]
    nodes += list(graph.node)
    nodes.append(onnx.helper.make_node("Identity", ["logits"], ["fetch_name_0"]))
    outputs = [onnx.helper.make_tensor_value_info("fetch_name_0", onnx.TensorProto.FLOAT, None)]
    made = onnx.helper.make_graph(nodes, "converted", list(graph.input), outputs)
    opsets = [onnx.helper.make_opsetid("", opset)]
    onnx.save(onnx.helper.make_model(made, opset_imports=opsets, ir_version=8), to)


@unix
def test_what_the_converter_wrote_is_renamed_cleaned_and_described(
    tmp_path: Path, fake: Any
) -> None:
    (tmp_path / "direct").mkdir()
    direct = write_onnx(recognised("wuhuikai_encnet"), tmp_path / "direct")
    as_converted(direct, tmp_path / "converted.onnx")
    fake(f"shutil.copy({str(tmp_path / 'converted.onnx')!r}, "
         "sys.argv[sys.argv.index('--save_file') + 1])")  # fmt: skip
    (tmp_path / "out").mkdir()
    other = write("wuhuikai_encnet", tmp_path / "out")
    found = onnx.load(other)
    assert ends(other) == ends(direct)
    assert not UNWANTED & {node.op_type for node in found.graph.node}
    assert "unused" not in {tensor.name for tensor in found.graph.initializer}
    assert read_model_of(other) == described(recognised("wuhuikai_encnet"))
    assert np.array_equal(run(other, image((41, 58))), run(direct, image((41, 58))))


@unix
def test_another_operator_set_than_was_asked_for_is_refused(tmp_path: Path, fake: Any) -> None:
    (tmp_path / "direct").mkdir()
    direct = write_onnx(recognised("wuhuikai_fcn"), tmp_path / "direct")
    as_converted(direct, tmp_path / "converted.onnx", opset=18)
    fake(f"shutil.copy({str(tmp_path / 'converted.onnx')!r}, "
         "sys.argv[sys.argv.index('--save_file') + 1])")  # fmt: skip
    (tmp_path / "out").mkdir()
    with pytest.raises(BackendError, match=r"18.*17 was asked for"):
        write("wuhuikai_fcn", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@unix
@pytest.mark.parametrize(
    ("act", "message"),
    [("sys.exit('a crash of theirs')", "a crash of theirs"), ("pass", "could not convert")],
)
def test_a_converter_that_fails_is_an_error_that_repeats_what_it_said(
    act: str, message: str, tmp_path: Path, fake: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    fake(act)
    checkpoint = save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))
    code = main([str(checkpoint), "-o", str(tmp_path / "out"), "--via", "paddle2onnx"])
    said = capsys.readouterr().err
    assert code == 5
    assert "BackendError" in said
    assert message in said
    assert not (tmp_path / "out").exists()


@unix
def test_the_converter_s_version_is_asked_of_it(fake: Any) -> None:
    fake("pass")
    assert via_paddle.ready(Options())["paddle2onnx"] == "9.8.7"


def test_without_the_converter_the_command_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paddle2onnx_process, "_here", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda name, path=None: None)
    with pytest.raises(BackendMissing, match=r"pip install .*\[paddle2onnx\]"):
        export("none.pth", tmp_path / "out", Request(via="paddle2onnx"))
    assert main(["none.pth", "-o", str(tmp_path / "out"), "--via", "paddle2onnx"]) == 5
    assert "BackendMissing" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "paddle"], "makes ONNX files, but the formats asked for are paddle"),
        (["--precision", "fp16"], "converts in fp32 only"),
    ],
)
def test_what_the_other_road_cannot_do_is_refused_as_usage(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    assert main(["none.pth", "-o", out, "--via", "paddle2onnx", *arguments]) == 2
    assert message in capsys.readouterr().err
