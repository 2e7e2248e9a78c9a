"""The contract of `backends/`: every file of the folder is tested, and none is named here."""

import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.artifact import FORMATS, Artifact, open_artifact, seal
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import BackendError, GraphRefused
from fastfcn_infer.runtime import backend
from fastfcn_infer.runtime.device import Device
from models import tiny_artifact, tiny_model, tiny_output
from paddle_models import PADDLE, tiny_paddle

CLASSES = 5


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("artifact")
    return in_every_format(folder, tiny_model(CLASSES))


def in_every_format(folder: Path, model: Model) -> Artifact:
    manifest = tiny_artifact(folder, model)
    if PADDLE:
        tiny_paddle(folder, model)
    seal(folder, model, manifest.source, None, {})
    return open_artifact(folder)


def file_of(name: str) -> Any:
    return importlib.import_module(f"fastfcn_infer.runtime.backends.{name}")


@pytest.fixture(params=backend.backend_names())
def name(request: pytest.FixtureRequest, artifact: Artifact) -> str:
    name: str = request.param
    if not backend.installed(name):
        pytest.skip(f"{' and '.join(file_of(name).REQUIRES)} not installed")
    if file_of(name).FORMAT not in artifact.formats:
        pytest.skip(f"tests/models.py writes no graph in the format {file_of(name).FORMAT}")
    return name


@pytest.fixture
def opened(name: str, artifact: Artifact) -> Iterator[backend.Backend]:
    opened = backend.open_backend(name, artifact, device="cpu", threads=2)
    yield opened
    opened.close()


def picture(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("each", backend.backend_names())
def test_a_backend_file_can_be_read_without_its_runtime(each: str) -> None:
    file = file_of(each)
    assert file.FORMAT in FORMATS
    assert isinstance(file.RANK, int)
    assert set(file.DEVICES) <= {"cpu", "cuda", "tensorrt"}
    assert file.EXTRA.isidentifier()
    assert all(module.isidentifier() for module in file.REQUIRES)
    tops = {getattr(value, "__name__", "").split(".")[0] for value in vars(file).values()}
    assert not tops & set(file.REQUIRES), "imports its runtime before `open`"


BROKEN = """
import sys
from pathlib import Path
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.errors import BackendMissing
from fastfcn_infer.runtime.backend import availability, open_backend
from fastfcn_infer.runtime.backends import {name} as file

assert availability("{name}").fault == "{kind}: broken on purpose"
for work in (
    lambda: open_backend("{name}", open_artifact(Path(sys.argv[1])), device="cpu", threads=1),
    file.providers,
):
    try:
        work()
    except BackendMissing as error:
        assert "{kind}: broken on purpose" in str(error), error
        assert "pip install" in str(error)
    else:
        raise SystemExit("no error")
"""


@pytest.mark.parametrize("kind", ["ImportError", "OSError", "RuntimeError", "SystemExit"])
def test_a_broken_installation_of_its_runtime_is_a_typed_error_with_the_reason(
    name: str, artifact: Artifact, tmp_path: Path, kind: str
) -> None:
    for module in file_of(name).REQUIRES:
        (tmp_path / module).mkdir()
        (tmp_path / module / "__init__.py").write_text(f"raise {kind}('broken on purpose')")
    rooms = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    subprocess.run(
        [sys.executable, "-c", BROKEN.format(name=name, kind=kind), str(artifact.folder)],
        env={**os.environ, "PYTHONPATH": rooms},
        check=True,
    )


@pytest.mark.parametrize(
    "shape",
    [(1, 3, 64, 64), (8, 3, 32, 32), (1, 3, 1, 1), (2, 3, 33, 47), (1, 3, 7, 129), (3, 3, 121, 9)],
)
def test_any_batch_and_any_size_gives_the_right_logits(
    opened: backend.Backend, shape: tuple[int, ...]
) -> None:
    batch = picture(*shape)
    answer = opened.run(batch)
    assert answer.dtype == np.float32
    assert answer.shape == (shape[0], CLASSES, -(-shape[2] // 8), -(-shape[3] // 8))
    np.testing.assert_allclose(answer, tiny_output(batch, CLASSES), rtol=1e-5, atol=1e-5)


def test_one_backend_serves_changing_sizes_without_mixing_them_up(opened: backend.Backend) -> None:
    for height, width in [(16, 16), (40, 24), (16, 16), (24, 40)]:
        batch = picture(1, 3, height, width)
        np.testing.assert_allclose(
            opened.run(batch), tiny_output(batch, CLASSES), rtol=1e-5, atol=1e-5
        )


def test_the_batch_is_not_changed_and_need_not_be_contiguous(opened: backend.Backend) -> None:
    batch = picture(1, 3, 48, 80)[:, :, ::2, ::-1]
    before = batch.copy()
    batch.flags.writeable = False
    answer = opened.run(batch)
    np.testing.assert_array_equal(batch, before)
    np.testing.assert_allclose(answer, tiny_output(before, CLASSES), rtol=1e-5, atol=1e-5)


def test_a_graph_that_takes_pixels_is_fed_pixels(name: str, tmp_path: Path) -> None:
    artifact = in_every_format(tmp_path / "pixels", tiny_model(CLASSES, input_name="pixels"))
    opened = backend.open_backend(name, artifact, device="cpu", threads=1)
    batch = np.random.default_rng(1).integers(0, 256, (2, 17, 30, 3), dtype=np.uint8)
    np.testing.assert_allclose(opened.run(batch), tiny_output(batch, CLASSES), rtol=1e-4)
    opened.close()


def test_thirty_two_threads_each_get_the_answer_to_their_own_picture(
    opened: backend.Backend,
) -> None:
    faults: list[str] = []
    start = threading.Barrier(32)

    def work(number: int) -> None:
        batch = np.full((1, 3, 8 * (1 + number % 3), 16), number, np.float32)
        right = tiny_output(batch, CLASSES)
        start.wait()
        for _ in range(20):
            if not np.allclose(opened.run(batch), right, rtol=1e-4, atol=1e-4):
                faults.append(f"thread {number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_closing_twice_is_harmless_and_running_afterwards_is_an_error(
    name: str, artifact: Artifact
) -> None:
    opened = backend.open_backend(name, artifact, device="cpu", threads=1)
    opened.close()
    opened.close()
    with pytest.raises(BackendError, match="closed"):
        opened.run(picture(1, 3, 8, 8))


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (3, 8, 8), (1, 3, 8, 8, 1)])
def test_a_batch_that_does_not_fit_is_named_by_its_shape_and_the_next_one_works(
    opened: backend.Backend, shape: tuple[int, ...]
) -> None:
    with pytest.raises(BackendError, match=str(shape).replace("(", r"\(").replace(")", r"\)")):
        opened.run(np.zeros(shape, np.float32))
    with pytest.raises(BackendError, match="float64"):
        opened.run(np.zeros((1, 3, 8, 8), np.float64))
    batch = picture(1, 3, 8, 8)
    np.testing.assert_allclose(
        opened.run(batch), tiny_output(batch, CLASSES), rtol=1e-5, atol=1e-5
    )


def test_a_file_the_runtime_cannot_read_is_refused_by_its_name_and_not_by_its_place(
    name: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"\x08\x08garbage")
    with pytest.raises(GraphRefused, match=r"model\.bin") as caught:
        file = file_of(name)
        path.with_suffix(".pdiparams").write_bytes(b"weights")
        broken = Artifact(None, tiny_model(), None, {FORMATS[file.FORMAT]: path})
        file.open(broken, device=Device("cpu"), threads=1)
    assert "'tiny'" in str(caught.value)
    assert str(tmp_path) not in str(caught.value)  # of a folder that may be gone by now


def test_the_facts_say_what_runs(name: str, artifact: Artifact) -> None:
    opened = backend.open_backend(name, artifact, device="cpu", threads=2)
    assert opened.facts.backend == name
    assert opened.facts.device == "cpu"
    assert opened.facts.threads == 2
    assert opened.facts.provider
    assert all(opened.facts.versions.values()) and opened.facts.versions
    assert opened.facts.chosen == ()
    opened.close()


def test_a_device_left_to_choose_is_chosen_and_said(name: str, artifact: Artifact) -> None:
    opened = backend.open_backend(name, artifact, device="auto", threads=1)
    device = opened.facts.device
    assert device in ("cpu", "cuda")
    assert any(note.startswith(f"device {device}") for note in opened.facts.chosen)
    opened.close()
