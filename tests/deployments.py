"""Deployed models in tests: what `deployed_maker.py` recorded, and a converter that need not be installed."""

import json
import os
import sys
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

DATA = Path(__file__).parent / "data" / "deployed"
ENDS = {
    "tiny_none": "none",
    "tiny_argmax": "argmax",
    "tiny_softmax": "softmax",
    "tiny_fastfcn": "argmax",
    "tiny_emanet": "softmax",
}
TINY = tuple(ENDS)
PADDLE_2 = ("tiny_softmax",)  # whose program is a .pdmodel
FREE = tuple(case for case in TINY if case != "tiny_argmax")  # N, H and W of the input

_CONVERTER = """\
#!{python}
import shutil, sys
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if "--version" in sys.argv:
    sys.exit(print("paddle2onnx-2.1.0 as recorded"))
shutil.copyfile(given["--model_dir"] + "/raw.onnx", given["--save_file"])
"""


def unpack(case: str, folder: Path) -> dict[str, NDArray[Any]]:
    """Lay out a recorded deployment; returns what PaddleSeg made of its picture."""
    with zipfile.ZipFile(DATA / f"{case}.zip") as archive:
        archive.extractall(folder)
    with np.load(folder / "expected.npz") as data:
        expected = dict(data)
    (folder / "expected.npz").unlink()
    return expected


def recorded_transforms() -> list[dict[str, Any]]:
    """List the recorded transforms; ``fed`` is what PaddleSeg made of a picture of that size."""
    items: list[dict[str, Any]] = json.loads((DATA / "transforms.json").read_text())
    with np.load(DATA / "transforms.npz") as data:
        return [{**item, "fed": data[item["key"]]} for item in items]


def put_converter_on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a command paddle2onnx first on the PATH that gives what the real one made once."""
    folder.mkdir()
    command = folder / "paddle2onnx"
    command.write_text(_CONVERTER.format(python=sys.executable))
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setattr("fastfcn_export.target.onnx_emit.paddle2onnx_process._here", lambda: False)


def write_yaml(
    folder: Path,
    transforms: Sequence[Mapping[str, Any]] | None = None,
    name: str = "deploy.yaml",
    **deploy: Any,
) -> Path:
    """Write a deployment's YAML (as JSON, which is YAML) and the empty files that it names."""
    said: dict[str, Any] = {"model": "model.pdmodel", "params": "model.pdiparams", **deploy}
    if transforms is not None:
        said["transforms"] = transforms
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(json.dumps({"Deploy": said}))
    return path
