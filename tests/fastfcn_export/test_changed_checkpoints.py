"""The hash in a manifest is that of the bytes the graph was made from, whatever happened meanwhile."""

import hashlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from deployments import put_converter_on_path, unpack
from exports import save_checkpoint, tensors_of
from fastfcn_export import export
from fastfcn_infer.artifact.manifest import Manifest
from fastfcn_infer.errors import ArtifactError, CheckpointError

pytest.importorskip("onnxruntime")

STAGES = ["read", "write onnx", "verify onnx", "seal"]


def paddleseg(folder: Path, factor: float) -> Path:
    folder.mkdir()
    tensors = tensors_of("paddleseg_os32")
    name = max(tensors, key=lambda key: tensors[key].size)
    tensors[name] = tensors[name] * np.float32(factor)
    return save_checkpoint(folder, "paddleseg", tensors)


def made(
    checkpoint: Path, folder: Path, report: Callable[[str], None] = lambda _: None
) -> Manifest:
    return export(checkpoint, folder, output_stride=32, report=report)


def pair(manifest: Manifest) -> tuple[str, str]:
    return manifest.source.sha256, manifest.files["model.onnx"].sha256


@pytest.mark.parametrize("stage", STAGES)
def test_a_checkpoint_that_is_replaced_while_it_is_exported_is_recorded_as_it_was_used(
    tmp_path: Path, stage: str
) -> None:
    first, second = paddleseg(tmp_path / "1", 1), paddleseg(tmp_path / "2", 1.5)
    # Under equal names, because a graph carries the name of its artifact.
    right = [
        pair(made(first, tmp_path / "one" / "net")),
        pair(made(second, tmp_path / "two" / "net")),
    ]

    def swap(now: str) -> None:
        if now == stage:
            second.replace(first)

    found = pair(made(first, tmp_path / "out" / "net", swap))
    assert right[0][0] != right[1][0] and right[0][1] != right[1][1]
    assert found == right[stage == "read"]  # the file is opened after that stage has begun


@pytest.mark.parametrize("stage", ["write onnx", "verify onnx"])
def test_a_checkpoint_that_is_written_into_while_it_is_exported_is_an_error_and_leaves_nothing(
    tmp_path: Path, stage: str
) -> None:
    first, second = paddleseg(tmp_path / "1", 1), paddleseg(tmp_path / "2", 1.5)
    times, data = first.stat(), second.read_bytes()

    def overwrite(now: str) -> None:
        if now == stage:
            with first.open("r+b") as file:
                file.write(data)
            os.utime(first, ns=(times.st_atime_ns, times.st_mtime_ns))

    with pytest.raises(CheckpointError, match="was written to") as caught:
        made(first, tmp_path / "out", overwrite)
    assert str(first) in str(caught.value)
    assert sorted(tmp_path.iterdir()) == [tmp_path / "1", tmp_path / "2"]


@pytest.mark.skipif(importlib.util.find_spec("paddle") is None, reason="Paddle is the reference")
@pytest.mark.parametrize("suffix", [".json", ".pdiparams"])
@pytest.mark.parametrize("stage", ["write onnx", "verify onnx"])
def test_a_deployed_model_that_changes_while_it_is_exported_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, suffix: str
) -> None:
    put_converter_on_path(tmp_path / "bin", monkeypatch)
    unpack("tiny_none", tmp_path / "deployed")
    (path,) = (tmp_path / "deployed").glob(f"*{suffix}")
    data = path.read_bytes()

    def swap(now: str) -> None:
        if now == stage:
            path.unlink()
            path.write_bytes(data + b" ")

    with pytest.raises(ArtifactError, match="was changed"):
        export(tmp_path / "deployed", tmp_path / "out", report=swap)
    assert not (tmp_path / "out").exists()


def test_a_deployed_model_is_recorded_by_the_hash_of_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_converter_on_path(tmp_path / "bin", monkeypatch)
    unpack("tiny_none", tmp_path / "deployed")
    (path,) = (tmp_path / "deployed").glob("*.pdiparams")
    data = path.read_bytes()

    def empty(now: str) -> None:
        if now == "seal":
            path.write_bytes(b"")

    found = export(tmp_path / "deployed", tmp_path / "out", verify=False, report=empty)
    assert (found.source.size, found.source.sha256) == (
        len(data),
        hashlib.sha256(data).hexdigest(),
    )
