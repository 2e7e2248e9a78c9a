"""A file that is not a checkpoint is refused with a sentence that says what it is and what to do."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from fastfcn_export.checkpoint.read import read_checkpoint
from fastfcn_infer.errors import CheckpointError
from hostile.assembler import archive, bare, called, mapping, named, text


def refused(data: bytes, folder: Path, match: str) -> str:
    file = folder / "checkpoint"
    file.write_bytes(data)
    with pytest.raises(CheckpointError, match=match) as error:
        read_checkpoint(file)
    return str(error.value)


UNKNOWN_FILES = {
    "an empty file": (b"", "is empty"),
    "a Git LFS pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "a web page": (b"<!DOCTYPE html><html>", "web page"),
    "a tar archive": (b"pickle".ljust(257, b"\0") + b"ustar\x0000", "tar archive"),
    "inference weights": (bytes(16) + b"\0\0\0\0\x08\0\0\0", ".pdiparams"),
    "an ONNX model": (b"\x08\x08\x12\x07pytorch", "ONNX"),
    "a compressed file": (b"\x1f\x8b\x08\x00", "compressed"),
    "a NumPy array": (b"\x93NUMPY\x01\x00", "NumPy"),
    "an HDF5 file": (b"\x89HDF\r\n\x1a\n", "HDF5"),
    "a Paddle program": (b'{"magic": "pir"}', "JSON"),
    "an old pickle": (b"(dp0\n.", "protocol 0 or 1"),
    "a TorchScript program": (archive({"a/data.pkl": b"", "a/code/x.py": b""}), "TorchScript"),
    "arrays of NumPy": (archive({"a.npy": b""}), "data.pkl"),
    "noise": (b"\xde\xad\xbe\xef" * 9, r"begins with b'\\xde"),
    "one byte": (b"\x80", "begins with"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "sentence"), UNKNOWN_FILES.values(), ids=UNKNOWN_FILES)
def test_a_file_that_is_no_checkpoint_is_called_what_it_is(
    data: bytes, sentence: str, tmp_path: Path
) -> None:
    assert str(tmp_path / "checkpoint") in refused(data, tmp_path, sentence)


def test_a_path_without_a_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.pth does not exist"):
        read_checkpoint(tmp_path / "nowhere.pth")
    with pytest.raises(CheckpointError, match="is a folder"):
        read_checkpoint(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_named_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CheckpointError, match="regular file"):
        read_checkpoint(tmp_path / "pipe")


@pytest.mark.parametrize("tree", [{}, {"epoch": 1}, [np.ones(2)], "text", None, {1: np.ones(2)}])
def test_a_checkpoint_without_named_tensors_says_what_it_holds(
    tree: object, tmp_path: Path
) -> None:
    refused(pickle.dumps(tree, 4), tmp_path, "holds no named tensors")


def test_a_refusal_lists_all_names_and_says_that_nothing_was_run(tmp_path: Path) -> None:
    body = mapping({
        "a": called(named("os", "system"), text("echo harm")),
        "b": called(named("builtins", "exec"), text("harm()")),
    })  # fmt: skip
    refused(bare(body), tmp_path, r"os\.system, builtins\.exec\. Nothing was run")
