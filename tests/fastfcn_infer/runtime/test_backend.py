import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import fastfcn_infer.runtime.backends
from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.artifact import Artifact, open_artifact
from fastfcn_infer.errors import (
    ArtifactError,
    BackendError,
    BackendMissing,
    DeviceUnavailable,
    GraphRefused,
)
from fastfcn_infer.runtime import backend, gpu
from fastfcn_infer.runtime.device import Device
from fastfcn_infer.system.install import install
from models import tiny_artifact, tiny_model, tiny_output

CLASSES = 5


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("artifact")
    tiny_artifact(folder, tiny_model(CLASSES))
    return open_artifact(folder)


def file_of(name: str) -> Any:
    return importlib.import_module(f"fastfcn_infer.runtime.backends.{name}")


def picture(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def test_auto_takes_the_first_installed_backend_and_says_so(artifact: Artifact) -> None:
    opened = backend.open_backend("auto", artifact, device="cpu", threads=1)
    first = next(each for each in backend.backend_names() if backend.installed(each))
    assert opened.facts.backend == first
    assert any(first in note for note in opened.facts.chosen)
    batch = picture(1, 3, 24, 24)
    np.testing.assert_allclose(
        opened.run(batch), tiny_output(batch, CLASSES), rtol=1e-5, atol=1e-5
    )
    opened.close()


@pytest.mark.parametrize(
    ("found", "first"), [(gpu.Gpu("H100", "00", 13000), "abacus"), ("no driver", "other")]
)
def test_auto_prefers_a_slower_backend_that_computes_on_a_gpu_where_there_is_one(
    drop_in: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, found: Any, first: str
) -> None:
    drop_in()
    file_of("abacus").providers = lambda: ["CUDA"]
    for each in backend.backend_names():
        if each != "abacus":
            monkeypatch.setattr(file_of(each), "providers", lambda: ["CPUExecutionProvider"])
    monkeypatch.setattr(gpu, "find_gpu", lambda index: found)
    opened = backend.open_backend("auto", artifact, device="auto", threads=1)
    assert (opened.facts.backend == "abacus") == (first == "abacus")
    opened.close()
    on_cpu = backend.open_backend("auto", artifact, device="cpu", threads=1)
    assert on_cpu.facts.backend != "abacus"
    on_cpu.close()


@pytest.mark.parametrize("threads", [0, 1025])
def test_threads_that_no_machine_has_are_refused(artifact: Artifact, threads: int) -> None:
    with pytest.raises(ValueError, match="1 to 1024 were expected"):
        backend.open_backend("auto", artifact, device="cpu", threads=threads)


DROPPED_IN = """
import numpy as np
from fastfcn_infer.runtime.backend import RuntimeFacts
from fastfcn_infer.errors import BackendError

RANK, FORMAT, DEVICES, EXTRA = {rank}, "{format}", {devices}, "abacus"
REQUIRES = ("{requires}",)

class Abacus:
    def __init__(self, device, threads):
        device = "cpu" if device.kind == "auto" else str(device)
        self.facts = RuntimeFacts("abacus", "beads", device, threads, {{"abacus": "1"}})
    def run(self, batch):
        return np.zeros((len(batch), 1, 1, 1), np.float32)
    def close(self):
        pass

def open(artifact, *, device, threads):
    return Abacus(device, threads)
"""


@pytest.fixture
def drop_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    path = [*fastfcn_infer.runtime.backends.__path__, str(tmp_path)]
    monkeypatch.setattr(fastfcn_infer.runtime.backends, "__path__", path)

    def drop(
        *,
        rank: int = 10**6,
        format: str = "onnx",
        requires: str = "numpy",
        devices: tuple[str, ...] = ("cpu",),
    ) -> None:
        text = DROPPED_IN.format(rank=rank, format=format, requires=requires, devices=devices)
        (tmp_path / "abacus.py").write_text(text)
        importlib.invalidate_caches()

    yield drop
    sys.modules.pop("fastfcn_infer.runtime.backends.abacus", None)
    vars(fastfcn_infer.runtime.backends).pop("abacus", None)


def test_a_file_dropped_into_the_folder_is_a_backend(drop_in: Any, artifact: Artifact) -> None:
    drop_in()
    assert backend.backend_names()[-1] == "abacus"
    opened = backend.open_backend("abacus", artifact, device="auto", threads=3)
    assert opened.facts.provider == "beads"
    assert opened.run(picture(4, 3, 8, 8)).shape == (4, 1, 1, 1)


def test_a_dropped_in_backend_of_lower_rank_is_what_auto_takes(
    drop_in: Any, artifact: Artifact
) -> None:
    drop_in(rank=-1)
    opened = backend.open_backend("auto", artifact, device="cpu", threads=1)
    assert opened.facts.backend == "abacus"


def refuse(artifact: Artifact, **_: Any) -> Any:
    raise GraphRefused("The abacus refused it: too many beads")


def test_auto_continues_after_a_backend_that_refuses_the_graph_and_warns(
    drop_in: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_in(rank=-1)
    monkeypatch.setattr(file_of("abacus"), "open", refuse)
    second = next(each for each in backend.backend_names()[1:] if backend.installed(each))
    assert artifact.folder is not None
    with (
        pytest.warns(
            RuntimeWarning, match=f"{second} runs this model.*abacus.*too many beads"
        ) as warned,
        Segmenter.from_pretrained(artifact.folder, device="cpu", threads=1) as segmenter,
    ):
        facts = segmenter.runtime
    assert [Path(each.filename) for each in warned] == [Path(__file__)]
    assert facts.backend == second
    assert facts.chosen == (
        f"backend {second}: the first installed one that runs this artifact",
        "backend abacus: skipped; The abacus refused it: too many beads",
    )


def test_a_backend_that_was_asked_for_and_refuses_is_an_error_that_names_another(
    drop_in: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_in()
    monkeypatch.setattr(file_of("abacus"), "open", refuse)
    with pytest.raises(GraphRefused, match=r"too many beads\nInstalled here as well: ") as caught:
        backend.open_backend("abacus", artifact, device="cpu", threads=1)
    named = str(caught.value).rpartition("--backend ")[2].removesuffix(".")
    opened = backend.open_backend(named, artifact, device="cpu", threads=1)
    assert opened.facts.backend == named
    opened.close()


def test_where_every_installed_backend_refuses_each_reason_and_what_to_install_is_named(
    drop_in: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_in(rank=-1)
    monkeypatch.setattr(file_of("abacus"), "open", refuse)
    monkeypatch.setattr(backend, "installed", lambda name: name == "abacus")
    with pytest.raises(GraphRefused, match="too many beads") as caught:
        backend.open_backend("auto", artifact, device="cpu", threads=1)
    for each in backend.backend_names():
        is_other = each != "abacus" and file_of(each).FORMAT in artifact.formats
        assert (install(file_of(each).EXTRA) in str(caught.value)) == is_other


def test_a_backend_that_fails_and_does_not_refuse_the_graph_is_not_replaced(
    drop_in: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(artifact: Artifact, **_: Any) -> Any:
        raise BackendError("The abacus fell down")

    drop_in(rank=-1)
    monkeypatch.setattr(file_of("abacus"), "open", fail)
    for name in ("auto", "abacus"):
        with pytest.raises(BackendError, match=r"^The abacus fell down$"):
            backend.open_backend(name, artifact, device="cpu", threads=1)


def test_a_backend_that_is_not_installed_names_its_extra(drop_in: Any, artifact: Artifact) -> None:
    drop_in(rank=-1, requires="no_such_runtime")
    with pytest.raises(BackendMissing, match=r"pip install .*\[abacus\]") as caught:
        backend.open_backend("abacus", artifact, device="cpu", threads=1)
    assert "no_such_runtime" in str(caught.value)
    opened = backend.open_backend("auto", artifact, device="cpu", threads=1)
    assert opened.facts.backend != "abacus"


def test_a_device_that_a_backend_never_serves_names_those_that_do(
    drop_in: Any, artifact: Artifact
) -> None:
    drop_in()
    with pytest.raises(DeviceUnavailable, match="Backends that do: ") as caught:
        backend.open_backend("abacus", artifact, device="cuda", threads=1)
    assert "abacus" not in str(caught.value).split("Backends that do: ")[1]


def test_a_format_the_artifact_does_not_hold_is_an_artifact_error(
    drop_in: Any, artifact: Artifact
) -> None:
    drop_in(format="paddle", rank=-1)
    with pytest.raises(ArtifactError, match="--format paddle"):
        backend.open_backend("abacus", artifact, device="cpu", threads=1)
    opened = backend.open_backend("auto", artifact, device="cpu", threads=1)
    assert opened.facts.backend != "abacus"


BROKEN = [
    "raise ImportError('libbeads.so.1: cannot open shared object file')",
    "raise OSError('libbeads.so.1: cannot open shared object file')",
    "import no_such_package_anywhere",
    "raise RuntimeError('compiled for another NumPy')",
    "raise AttributeError('module has no attribute beads')",
    "raise KeyError('beads')",
    "this is no Python",
    "raise SystemExit('no licence')",
    "class Panic(BaseException): pass\nraise Panic('beads')",
]


@pytest.fixture(params=BROKEN)
def broken(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """A package that is installed and cannot be imported."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "beads_runtime.py").write_text(str(request.param))
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    yield "beads_runtime"
    sys.modules.pop("beads_runtime", None)


def test_auto_continues_after_a_broken_installation_and_warns(
    drop_in: Any, artifact: Artifact, broken: str
) -> None:
    drop_in(rank=-1, requires=broken)
    with pytest.warns(RuntimeWarning, match="abacus.*cannot be imported") as warned:
        opened = backend.open_backend("auto", artifact, device="cpu", threads=1)
    assert [Path(each.filename) for each in warned] == [Path(__file__)]
    assert opened.facts.backend != "abacus"
    assert any("abacus: skipped" in note for note in opened.facts.chosen)
    opened.close()


def test_a_broken_installation_that_was_asked_for_is_an_error_with_its_reason(
    drop_in: Any, artifact: Artifact, broken: str
) -> None:
    drop_in(rank=-1, requires=broken)
    with pytest.raises(BackendMissing, match="cannot be imported") as caught:
        backend.open_backend("abacus", artifact, device="cpu", threads=1)
    assert type(caught.value.__cause__).__name__ in str(caught.value)
    assert install("abacus") in str(caught.value)
    found = backend.availability("abacus")
    assert found.installed
    assert found.fault == f"{type(caught.value.__cause__).__name__}: {caught.value.__cause__}"


def test_a_shared_library_that_is_missed_only_when_opening_is_a_broken_installation(
    drop_in: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(artifact: Artifact, **_: Any) -> Any:
        raise OSError("libbeads.so.1: cannot open shared object file")

    drop_in(rank=-1)
    monkeypatch.setattr(file_of("abacus"), "open", fail)
    with pytest.warns(RuntimeWarning, match=r"libbeads\.so\.1"):
        backend.open_backend("auto", artifact, device="cpu", threads=1).close()
    with pytest.raises(BackendMissing, match=r"libbeads\.so\.1"):
        backend.open_backend("abacus", artifact, device="cpu", threads=1)


def test_a_runtime_of_which_a_part_is_missing_is_a_broken_installation(
    drop_in: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(artifact: Artifact, **_: Any) -> Any:
        return importlib.import_module("json").Core()

    drop_in(rank=-1)
    monkeypatch.setattr(file_of("abacus"), "open", half)
    with pytest.warns(RuntimeWarning, match="no attribute 'Core'"):
        backend.open_backend("auto", artifact, device="cpu", threads=1).close()
    with pytest.raises(BackendMissing, match="no attribute 'Core'"):
        backend.open_backend("abacus", artifact, device="cpu", threads=1)


def test_a_broken_installation_is_described_by_a_bounded_message(
    drop_in: Any, artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "long_beads.py").write_text("raise ImportError('x' * 10**6)")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    drop_in(rank=-1, requires="long_beads")
    with pytest.raises(BackendMissing) as caught:
        backend.open_backend("abacus", artifact, device="cpu", threads=1)
    assert len(str(caught.value)) < 2000
    assert len(backend.availability("abacus").fault or "") < 2000


def test_a_file_that_is_gone_when_opening_is_not_taken_for_a_broken_installation(
    drop_in: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_in(rank=-1)
    gone = FileNotFoundError(2, "No such file or directory", "model.onnx")
    monkeypatch.setattr(file_of("abacus"), "open", lambda *_, **__: (_ for _ in ()).throw(gone))
    with pytest.raises(FileNotFoundError, match=r"model\.onnx"):
        backend.open_backend("auto", artifact, device="cpu", threads=1)


def unavailable(*_: Any, **__: Any) -> Any:
    raise DeviceUnavailable("it did not start")


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tensorrt"])
def test_auto_continues_after_a_backend_that_cannot_have_the_device(
    drop_in: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    drop_in(devices=("cpu", "cuda", "tensorrt"))
    for each in backend.backend_names():
        if each != "abacus":
            monkeypatch.setattr(file_of(each), "open", unavailable)
    with pytest.warns(RuntimeWarning, match=f"abacus runs this model on {device}.*did not start"):
        opened = backend.open_backend("auto", artifact, device=device, threads=1)
    assert opened.facts.device == device
    assert any("skipped; it did not start" in note for note in opened.facts.chosen)


def test_a_device_that_no_backend_can_have_is_an_error_that_lists_each_with_its_reason(
    drop_in: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_in(devices=("cuda",))
    monkeypatch.setattr(file_of("abacus"), "open", unavailable)
    monkeypatch.setattr(backend, "installed", lambda name: name == "abacus")
    with pytest.raises(DeviceUnavailable, match="device cuda:2") as caught:
        backend.open_backend("auto", artifact, device="cuda:2", threads=1)
    lines = str(caught.value).splitlines()[1:]
    assert sorted(line.split(":")[0].removeprefix("- ") for line in lines) == sorted(
        backend.backend_names()
    )
    assert "- abacus: it did not start" in lines
    assert "- open_vino: runs on cpu, not on cuda:2" in lines
    assert f"- onnx_runtime: not installed; {install('cpu')}" in lines
    assert "- paddle_inference: the model has no paddle graph" in lines


@pytest.mark.parametrize("works", [True, False])
def test_on_a_machine_with_a_gpu_auto_tries_every_backend_on_it_and_then_the_processor(
    drop_in: Any, artifact: Artifact, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    drop_in(devices=("cpu", "cuda"))
    abacus = file_of("abacus")
    abacus.providers = lambda: ["CUDA"]
    real = abacus.open
    seen: list[str] = []

    def open(artifact: Artifact, *, device: Device, threads: int) -> Any:
        seen.append(str(device))
        if device.kind == "cuda" and not works:
            raise DeviceUnavailable("no cuDNN")
        return real(artifact, device=device, threads=threads)

    monkeypatch.setattr(abacus, "open", open)
    monkeypatch.setattr(gpu, "find_gpu", lambda index: gpu.Gpu("H100", "00", 13000))
    for each in backend.backend_names():
        if each != "abacus":
            monkeypatch.setattr(file_of(each), "providers", lambda: ["CPUExecutionProvider"])
    if works:
        opened = backend.open_backend("auto", artifact, device="auto", threads=1)
        assert (opened.facts.backend, opened.facts.device) == ("abacus", "cuda")
        assert "device cuda: a GPU was found" in opened.facts.chosen
    else:
        with pytest.warns(RuntimeWarning, match="abacus on cuda was skipped: no cuDNN"):
            opened = backend.open_backend("auto", artifact, device="auto", threads=1)
        assert opened.facts.device == "cpu"
        first = next(each for each in backend.backend_names() if backend.installed(each))
        assert opened.facts.backend == first, "the fastest on a processor"
    assert seen == ["cuda"]
    opened.close()


def test_the_rest_of_an_uninstalled_package_is_not_an_installation(
    drop_in: Any, artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "site" / "beads_runtime" / "__pycache__").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    drop_in(rank=-1, requires="beads_runtime")
    assert not backend.installed("abacus")


def test_with_no_runtime_installed_every_way_to_get_one_is_named(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "installed", lambda name: False)
    with pytest.raises(BackendMissing, match="pip install") as caught:
        backend.open_backend("auto", artifact, device="cpu", threads=1)
    for each in backend.backend_names():
        if file_of(each).FORMAT in artifact.formats:
            assert f"[{file_of(each).EXTRA}]" in str(caught.value)
