"""Whatever a file holds, a command that is given it ends soon, with its exit code and a short message."""

import json
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployments import write_yaml
from fastfcn_export.__main__ import main as export
from fastfcn_export.dialect.dialect import recognise
from fastfcn_infer.artifact.class_table import read_class_table
from fastfcn_infer.artifact.manifest import read_model
from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.main import main as fastfcn
from fastfcn_infer.errors import CheckpointError, FastFCNError
from fastfcn_infer.evaluation.state import read_state
from fastfcn_training.__main__ import main as train
from hostile.assembler import bare, listed, mapping, named, numpy_array, text
from hostile.safetensors_files import entry, file
from models import tiny_artifact

LONG = "x" * 10_000_000
LONGISH = "y" * 900_000
LIMIT = 20_000
ALIASES = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 30)
)
DEEP = 100_000

JSON_BOMBS: Mapping[str, str] = {
    "lists in lists": "[" * DEEP + "]" * DEEP,
    "objects in objects": '{"a":' * DEEP + "1" + "}" * DEEP,
    "a long text": json.dumps(LONG),
    "a long name": json.dumps({LONG: 1}),
    "a long name twice": f'{{"{LONG}": 1, "{LONG}": 1}}',
    "many unknown names": json.dumps({f"{number}" * 50: 1 for number in range(50_000)}),
    "many wrong items": "[" + "1," * 1_000_000 + "1]",
    "a number of a million digits": "9" * 1_000_000,
    "control characters": json.dumps({"\x1b[2J" * 100: 1}),
}
YAML_BOMBS: Mapping[str, str] = {
    "aliases of aliases": ALIASES,
    "lists in lists": "[" * 1_000_000,
    "a long text": json.dumps(LONGISH),
    "a long key": json.dumps({LONGISH: 1}),
    "many keys": "".join(f"{'k' * 50}{i}: 1\n" for i in range(9000)),
    "merges of merges": "a: &a {x: 1}\nb: &b {<<: [*a, *a]}\nc: {<<: [*b, *b]}\n",
    "a number in base 60": "a: 1" + ":1" * 400_000,
    "a tag of code": f"a: !!python/object/apply:{LONGISH} []",
}


def said(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    return out + err


def assert_short(code: int, expected: int, told: str) -> None:
    assert code == expected, told[:1000]
    assert 0 < len(told) < LIMIT
    assert all(line.isprintable() for line in told.splitlines())


@pytest.mark.parametrize("bomb", JSON_BOMBS)
def test_a_manifest(bomb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_artifact(tmp_path / "model")
    (tmp_path / "model" / "manifest.json").write_text(JSON_BOMBS[bomb])
    assert_short(fastfcn(["info", str(tmp_path / "model")]), exit_codes.BAD_FILE, said(capsys))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("model", "network", "output_stride"), LONG),
        (("model", "name"), LONG),
        (("model", "classes"), [{"name": LONG[:100_000], "color": [1, 2, 3]}] * 20),
        (("model", "classes"), [{"name": "a", "color": [10**4000, 2, 3]}] * 1000),
        (("model", "classes"), [1] * 1_000_000),
        (("model", "input", "mean"), [LONG, 1, 2]),
        (("model", "procedure"), {LONG: LONG}),
        (("files",), {str(i) * 1000: {"size": 1, "sha256": LONG[:1000]} for i in range(900)}),
        (("files",), {f"{i}.onnx": {"size": 1, "sha256": "0" * 64} for i in range(50_000)}),
        (("files",), {"../" + LONG: {"size": 1, "sha256": "0" * 64}}),
        (("producer",), dict.fromkeys(map(str, range(100_000)))),
    ],
    ids=range(11),
)
def test_a_value_of_a_manifest(
    place: tuple[str, ...], value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_artifact(tmp_path / "model")
    path = tmp_path / "model" / "manifest.json"
    data = json.loads(path.read_text())
    part = data
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    path.write_text(json.dumps(data))
    assert_short(fastfcn(["info", str(tmp_path / "model")]), exit_codes.BAD_FILE, said(capsys))


@pytest.mark.parametrize("bomb", JSON_BOMBS)
def test_the_description_in_an_onnx_file(bomb: str, tmp_path: Path) -> None:
    with pytest.raises(FastFCNError) as caught:
        read_model(JSON_BOMBS[bomb], "model.onnx")
    assert len(str(caught.value)) < LIMIT


@pytest.mark.parametrize("bomb", JSON_BOMBS)
def test_a_class_table(bomb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "classes.json"
    path.write_text(JSON_BOMBS[bomb])
    checkpoint = tmp_path / "model.pdparams"
    checkpoint.write_bytes(pickle.dumps({"a": np.zeros(2, "f4")}, 2))
    words = [str(checkpoint), "--classes", str(path), "-o", str(tmp_path / "out")]
    assert_short(export(words), exit_codes.BAD_FILE, said(capsys))
    with pytest.raises(FastFCNError) as caught:
        read_class_table(path)
    assert len(str(caught.value)) < LIMIT


@pytest.mark.parametrize("bomb", JSON_BOMBS)
def test_a_recipe(bomb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "recipe.json"
    path.write_text(JSON_BOMBS[bomb])
    words = ["--recipe", str(path), "--root", str(tmp_path), "-o", str(tmp_path / "run")]
    assert_short(train(words), exit_codes.USAGE, said(capsys))


@pytest.mark.parametrize("bomb", JSON_BOMBS)
def test_the_state_of_an_evaluation(bomb: str, tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(JSON_BOMBS[bomb])
    with pytest.raises(FastFCNError) as caught:
        read_state(path, None, 1)  # type: ignore[arg-type]
    assert len(str(caught.value)) < LIMIT


@pytest.mark.parametrize("bomb", YAML_BOMBS)
def test_a_paddleseg_configuration(
    bomb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yml"
    path.write_text(YAML_BOMBS[bomb])
    words = ["--config", str(path), "--root", str(tmp_path), "-o", str(tmp_path / "run")]
    assert_short(train(words), exit_codes.USAGE, said(capsys))


@pytest.mark.parametrize("bomb", YAML_BOMBS)
def test_a_deployment(bomb: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "deploy.yaml").write_text(YAML_BOMBS[bomb])
    words = [str(tmp_path), "-o", str(tmp_path / "out"), "--verify", "off"]
    assert_short(export(words), exit_codes.BAD_FILE, said(capsys))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "transforms",
    [
        [{"type": LONGISH}],
        [{"type": [LONGISH]}],
        [{"type": "Resize", "target_size": LONGISH}],
        [{"type": "Resize", "target_size": [10**4000] * 60}],
        [{"type": "Resize", "interp": LONGISH}],
        [{"type": "Normalize", "mean": ["z" * 40] * 10_000}],
        [{"type": "Normalize", "std": [-(10**4000)]}],
        [{"type": "Normalize", LONGISH: 1}],
        [{"type": "Normalize", **{f"{'k' * 40}{i}": 1 for i in range(9000)}}],
        [{"type": "Padding", "target_size": [1, 2], "im_padding_value": {"a": LONGISH}}],
        [{"type": "PaddingByAspectRatio", "aspect_ratio": -1e300}],
        [{"type": "LimitLong", "max_long": 1, "min_long": 10**4000}],
    ],
    ids=range(12),
)
def test_a_transform_of_a_deployment(
    transforms: list[dict[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "deployed"
    write_yaml(folder, transforms)
    for name in ("model.json", "model.pdiparams"):
        (folder / name).write_bytes(b"")
    words = [str(folder), "-o", str(tmp_path / "out"), "--verify", "off"]
    assert_short(export(words), exit_codes.BAD_FILE, said(capsys))


def names_of_code() -> bytes:
    return bare(listed(*(named(f"{i}" + "m" * 900, "a" * 900) for i in range(5000))))


def pickled(names: Mapping[str, Any]) -> bytes:
    return pickle.dumps(dict(names), 4)


ZERO = np.zeros(1, "f4")
CHECKPOINTS: dict[str, Callable[[], bytes]] = {
    "many long names": lambda: pickled({f"backbone.{i}{'k' * 900}": ZERO for i in range(3000)}),
    "many unexpected names": lambda: pickled({f"pretrained.{'k' * 90}{i}": ZERO for i in range(6000)} | {"a._mean": ZERO}),
    "names of control characters": lambda: pickled({"\x1b[2J" * 200: ZERO}),
    "keys without tensors": lambda: pickled({f"{'k' * 1000}{i}": None for i in range(3000)}),
    "many names of code": names_of_code,
    "a shape of large numbers": lambda: bare(mapping({"a": numpy_array(listed(*[b"\x8a\x10" + b"\x7f" * 16] * 30), text("z" * 9000))})),
    "100,000 names in a header": lambda: file(b"{" + b",".join(b'"%0100d":' % i + entry(shape="[0]", offsets="[0,0]") for i in range(100_000)) + b"}"),
    "15,000 long names in a header": lambda: file(b"{" + b",".join(b'"%0400d":' % i + entry(shape="[0]", offsets="[0,0]") for i in range(15_000)) + b"}"),
    "a long type in a header": lambda: file(b'{"a":' + entry("F" * 1_000_000) + b"}", bytes(8)),
    "a long field in a header": lambda: file(b'{"a":{"' + b"f" * 1_000_000 + b'":1}}', bytes(8)),
    "a long name in a header": lambda: file(b'{"' + b"n" * 1_000_000 + b'":' + entry() + b"}", bytes(8)),
    "a long note in a header": lambda: file(b'{"__metadata__":{"fastfcn":[' + b"1," * 9 + b'"' + b"n" * 1_000_000 + b'"]}}'),
}  # fmt: skip


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_checkpoint(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.checkpoint"
    path.write_bytes(CHECKPOINTS[kind]())
    words = [str(path), "-o", str(tmp_path / "out")]
    assert_short(export(words), exit_codes.BAD_FILE, said(capsys))


def test_of_many_tensors_that_do_not_fit_the_first_are_named_and_the_rest_counted() -> None:
    tensors = {f"pretrained.{'k' * 90}{i}": ZERO for i in range(6000)} | {"a._mean": ZERO}
    with pytest.raises(CheckpointError, match=r"\.\.\. and [0-9]+ more$") as caught:
        recognise(tensors)
    assert "missing: " in str(caught.value)
