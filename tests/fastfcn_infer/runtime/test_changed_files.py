"""What was checked is what is run: a file that is exchanged at any moment is noticed, or not used."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from command_line import EMBEDDED
from fastfcn_infer.artifact import checked_file, golden
from fastfcn_infer.artifact.artifact import (
    GOLDEN_LABELS,
    GOLDEN_PICTURE,
    Artifact,
    open_artifact,
    seal,
)
from fastfcn_infer.artifact.manifest import FileFacts, Source
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.runtime import backend
from fastfcn_infer.runtime.device import Device
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model, tiny_onnx, tiny_output, tiny_weights
from paddle_models import tiny_paddle

CLASSES = 5
BATCH = np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)
BACKENDS = [name for name in backend.backend_names() if backend.installed(name)]
FORMS = [
    (name, form)
    for name in BACKENDS
    for form in ("folder", "lone")
    if form == "folder" or backend.format_of(name) == "onnx"
]
Change = Callable[[Path], object]


@pytest.fixture(autouse=True, params=["settled", "young"])
def _age(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked_file, "_YOUNG", -1 if request.param == "settled" else 3600)


def made(folder: Path, name: str, form: str) -> tuple[Artifact, Path]:
    """Make an artifact for a backend, and name the file that holds its weights."""
    model = tiny_model(CLASSES)
    if form == "lone":
        tiny_onnx(folder / "alone.onnx", model)
        return open_artifact(folder / "alone.onnx"), folder / "alone.onnx"
    if backend.format_of(name) == "onnx":
        tiny_artifact(folder / "tiny", model)
        weights = folder / "tiny" / "model.onnx"
    else:
        tiny_paddle(folder / "tiny", model)
        seal(folder / "tiny", model, Source("a.pdparams", 1, "0" * 64), None, {})
        weights = folder / "tiny" / "paddle" / "inference.pdiparams"
    time.sleep(0.05)  # the clock that file systems take times from may tick every 10 ms only
    return open_artifact(folder / "tiny"), weights


def other(path: Path) -> bytes:
    """Return the file with other weights, which every runtime takes."""
    data, weights = path.read_bytes(), tiny_weights(CLASSES)[0]
    changed = data.replace(weights.tobytes(), (2 * weights).tobytes())
    assert changed != data
    return changed


def replace(path: Path) -> None:
    data, times = other(path), path.stat()
    fresh = path.with_name("fresh")
    fresh.write_bytes(data)
    os.utime(fresh, ns=(times.st_atime_ns, times.st_mtime_ns))
    fresh.replace(path)


def overwrite(path: Path) -> None:
    data, times = other(path), path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def ruin(path: Path) -> None:
    path.write_bytes(b"garbage")


def during(monkeypatch: pytest.MonkeyPatch, before: Change, after: Change, path: Path) -> None:
    """Change a file when a runtime is about to open it, and once more when it has."""
    real = Artifact.unchanged

    @contextmanager
    def interrupted(artifact: Artifact, *names: str) -> Iterator[None]:
        with real(artifact, *names):
            before(path)
            try:
                yield
            finally:
                after(path)

    monkeypatch.setattr(Artifact, "unchanged", interrupted)


@pytest.mark.parametrize("change", [replace, overwrite, ruin, Path.unlink])
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_graph_that_changes_between_the_check_and_the_opening_is_not_run(
    tmp_path: Path, name: str, form: str, change: Change
) -> None:
    artifact, path = made(tmp_path, name, form)
    change(path)
    with pytest.raises(ArtifactError, match=path.name):
        backend.open_backend(name, artifact, device="cpu", threads=1)


@pytest.mark.parametrize("change", [replace, overwrite, ruin])
@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_graph_that_changes_during_the_opening_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, form: str, change: Change
) -> None:
    artifact, path = made(tmp_path, name, form)
    during(monkeypatch, change, lambda path: None, path)
    with pytest.raises(ArtifactError, match=path.name):
        backend.open_backend(name, artifact, device="cpu", threads=1)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_graph_that_is_exchanged_for_the_opening_and_put_back_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    artifact, path = made(tmp_path, name, form)
    aside = tmp_path / "aside"

    def exchange(path: Path) -> None:
        data = other(path)
        path.replace(aside)
        path.write_bytes(data)

    during(monkeypatch, exchange, lambda path: aside.replace(path), path)
    with pytest.raises(ArtifactError, match="was changed"):
        backend.open_backend(name, artifact, device="cpu", threads=1)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_link_that_leads_elsewhere_for_the_opening_and_back_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    artifact, path = made(tmp_path, name, form)
    real, false = path.with_name("real"), path.with_name("false")
    false.write_bytes(other(path))
    path.rename(real)

    def lead(to: Path) -> None:
        path.unlink(missing_ok=True)
        path.symlink_to(to.name)

    lead(real)
    time.sleep(0.05)  # see `made`
    during(monkeypatch, lambda path: lead(false), lambda path: lead(real), path)
    with pytest.raises(ArtifactError, match="was changed"):
        backend.open_backend(name, artifact, device="cpu", threads=1)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_a_graph_that_changes_after_the_opening_does_not_change_the_result(
    tmp_path: Path, name: str, form: str
) -> None:
    artifact, path = made(tmp_path, name, form)
    opened = backend.open_backend(name, artifact, device="cpu", threads=1)
    overwrite(path)
    np.testing.assert_allclose(opened.run(BATCH), tiny_output(BATCH, CLASSES), rtol=1e-4)
    opened.close()


@pytest.mark.skipif("paddle_inference" not in BACKENDS, reason="paddle not installed")
def test_paddle_does_not_copy_a_predictor_from_files_that_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`clone` reads the files again, so that threads would compute with different weights."""
    from fastfcn_infer.runtime.backends import paddle_inference

    class Budget:
        threads = 4

    monkeypatch.setattr(paddle_inference, "cpu_budget", lambda: Budget)
    artifact, path = made(tmp_path, "paddle_inference", "folder")
    opened = paddle_inference.open(artifact, device=Device("cpu"), threads=1)
    replace(path)
    right, found = tiny_output(BATCH, CLASSES), []

    def work() -> None:
        for _ in range(5):
            try:
                found.append(np.allclose(opened.run(BATCH), right, rtol=1e-4))
            except ArtifactError:
                found.append(True)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 40
    # In this thread, which has no predictor yet, a copy has to be made.
    for _ in range(2):
        with pytest.raises(ArtifactError, match="was changed"):
            opened._run(BATCH)
    opened.close()


def test_a_golden_picture_that_changes_after_the_check_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    for name in open_artifact(EMBEDDED).files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((EMBEDDED / name).read_bytes())
    (folder / "manifest.json").write_bytes((EMBEDDED / "manifest.json").read_bytes())
    artifact = open_artifact(folder)
    golden.read_golden(artifact)
    (folder / GOLDEN_LABELS).write_bytes((folder / GOLDEN_PICTURE).read_bytes())
    with pytest.raises(ArtifactError, match="was changed"):
        golden.read_golden(artifact)


def test_each_file_is_hashed_once_on_the_way_from_a_folder_to_an_opened_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not BACKENDS:
        pytest.skip("no runtime installed")
    made(tmp_path, next(name for name in BACKENDS if backend.format_of(name) == "onnx"), "folder")
    hashed: list[BinaryIO] = []
    real = checked_file._facts

    def counted(file: BinaryIO) -> FileFacts:
        hashed.append(file)
        return real(file)

    monkeypatch.setattr(checked_file, "_facts", counted)
    files = len(open_artifact(tmp_path / "tiny").files)
    assert len(hashed) == files
    Segmenter.from_pretrained(tmp_path / "tiny", device="cpu").close()
    young = checked_file._YOUNG > 0  # whose graph is hashed once more, after the opening
    assert len(hashed) == 2 * files + young
