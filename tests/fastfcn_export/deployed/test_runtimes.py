"""Every runtime that is installed runs every deployed network whose sizes are free; none is named here."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from deployments import ENDS, FREE, PADDLE_2, put_converter_on_path, unpack
from fastfcn_export import Request, export
from fastfcn_infer.artifact.artifact import FORMATS, Artifact, open_artifact
from fastfcn_infer.artifact.manifest import Output
from fastfcn_infer.errors import GraphRefused
from fastfcn_infer.runtime import backend

SIZES = [(2, 3, 64, 96), (1, 3, 57, 83), (2, 3, 64, 96)]
ANSWERS: dict[str, Output] = {
    "none": Output("logits", 1),
    "softmax": Output("probabilities", 1),
    "argmax": Output("labels", 1),
}


OF_PROGRAMS = [name for name in backend.backend_names() if backend.format_of(name) != "onnx"]
PAIRS = [
    (case, name)
    for case in FREE
    for name in backend.backend_names()
    if not (case in PADDLE_2 and name in OF_PROGRAMS)  # these are refused, see below
]


@pytest.fixture(scope="module")
def deployed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    unpack(request.param, folder / "deployed")
    with pytest.MonkeyPatch.context() as patch:
        put_converter_on_path(folder / "bin", patch)
        export(folder / "deployed", folder / "out", Request(verify=False))
    return request.param, folder


@pytest.fixture
def opened(request: pytest.FixtureRequest, deployed: Any) -> Iterator[tuple[backend.Backend, str]]:
    """Open the graph, or the program itself with the end it was deployed with."""
    name, (case, folder) = request.param, deployed
    if not backend.installed(name):
        pytest.skip(f"{name} is not installed")
    artifact, end = open_artifact(folder / "out"), "none"
    if name in OF_PROGRAMS:
        end = ENDS[case]
        artifact = program_of(case, folder, name)
    opened = backend.open_backend(name, artifact, device="cpu", threads=1)
    yield opened, end
    opened.close()


def program_of(case: str, folder: Path, name: str) -> Artifact:
    """Return the program that was deployed as the artifact of a runtime of programs."""
    model = replace(open_artifact(folder / "out").model, output=ANSWERS[ENDS[case]])
    kind = "pdmodel" if case in PADDLE_2 else "json"
    (program,) = folder.glob(f"deployed/*.{kind}")
    return Artifact(None, model, None, {FORMATS[backend.format_of(name)]: program})


@pytest.mark.parametrize(("deployed", "opened"), PAIRS, indirect=True)
def test_every_installed_runtime_runs_deployed_networks_at_any_size_as_onnx_runtime_does(
    opened: tuple[backend.Backend, str], deployed: Any
) -> None:
    (runtime, end), (_, folder) = opened, deployed
    judge = onnxruntime.InferenceSession(str(folder / "out" / "model.onnx"))
    for size in SIZES:
        batch = np.random.default_rng(0).normal(size=size).astype(np.float32)
        found = runtime.run(batch)
        (logits,) = judge.run(["logits"], {"image": batch})
        assert found.shape == (logits[:, 0].shape if end == "argmax" else logits.shape)
        expected = ended(logits, end)
        if end == "argmax":
            assert np.unique(expected).size > 3  # else equal labels would say little
            assert (found == expected).mean() > 0.999
        else:
            assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("deployed", PADDLE_2, indirect=True)
@pytest.mark.parametrize("name", OF_PROGRAMS)
def test_a_program_of_paddle_2_is_refused_by_the_runtimes_of_programs(
    deployed: Any, name: str
) -> None:
    if not backend.installed(name):
        pytest.skip(f"{name} is not installed")
    case, folder = deployed
    with pytest.raises(GraphRefused, match="version 2"):
        backend.open_backend(name, program_of(case, folder, name), device="cpu", threads=1)


def ended(logits: NDArray[Any], end: str) -> NDArray[Any]:
    if end == "argmax":
        return np.asarray(logits.argmax(1))
    share = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(share / share.sum(1, keepdims=True)) if end == "softmax" else logits


def test_an_export_goes_on_where_the_runtime_that_auto_prefers_refuses_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = [
        name
        for name in backend.backend_names()
        if backend.installed(name) and backend.format_of(name) == "onnx"
    ]
    if not others:
        pytest.skip("needs two runtimes that read ONNX")

    def refuse(*_: Any, **__: Any) -> Any:
        raise GraphRefused("it does not like it")

    monkeypatch.setattr(f"fastfcn_infer.runtime.backends.{first}.open", refuse)
    put_converter_on_path(tmp_path / "bin", monkeypatch)
    unpack("tiny_none", tmp_path / "deployed")
    with pytest.warns(RuntimeWarning, match=f"{others[0]} runs this model.*does not like it"):
        export(tmp_path / "deployed", tmp_path / "out", Request(verify=False))
    assert open_artifact(tmp_path / "out").formats == ("onnx",)
