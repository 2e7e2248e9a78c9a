"""How users name devices and runtimes."""

from pathlib import Path

import pytest

from fastfcn_infer.artifact.artifact import Artifact, open_artifact
from fastfcn_infer.errors import BackendError, DeviceUnavailable
from fastfcn_infer.runtime import backend
from fastfcn_infer.runtime.device import parse_device
from models import tiny_artifact, tiny_model


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder: Path = tmp_path_factory.mktemp("artifact")
    tiny_artifact(folder, tiny_model(5))
    return open_artifact(folder)


@pytest.mark.parametrize("device", ["cuda:", "cuda:x", "cpu:0", "", "npu", "openvin"])
def test_an_unknown_device_is_an_error_that_lists_the_known(
    artifact: Artifact, device: str
) -> None:
    with pytest.raises(DeviceUnavailable, match="tensorrt"):
        backend.open_backend("auto", artifact, device=device, threads=1)


@pytest.mark.parametrize(
    ("text", "kind", "index"),
    [("auto", "auto", 0), ("cpu", "cpu", 0), ("cuda", "cuda", 0), ("cuda:1", "cuda", 1)],
)
def test_devices_are_read_as_users_type_them(text: str, kind: str, index: int) -> None:
    device = parse_device(text)
    assert (device.kind, device.index, str(device)) == (kind, index, text)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        *((0, "cuda"), (1, "cuda:1"), ("0", "cuda"), ("2", "cuda:2")),
        *(("gpu", "cuda"), ("gpu:3", "cuda:3"), ("CPU", "cpu"), (" cuda:1 ", "cuda:1")),
    ],
)
def test_devices_are_read_as_other_libraries_write_them(typed: str | int, meant: str) -> None:
    assert str(parse_device(typed)) == meant


@pytest.mark.parametrize(
    "typed", ["", "cuda:", "cuda1", "gpu1", -1, True, "1000", "cpu:0", "\u0661:0"]
)
def test_what_is_no_device_is_refused(typed: str | int) -> None:
    known = "is unknown; known: auto, cpu, cuda.*; or the name of a backend: .*open_vino"
    with pytest.raises(DeviceUnavailable, match=known):
        parse_device(typed)


@pytest.mark.parametrize(
    ("name", "device"),
    [("OpenVINO", "cpu"), ("openvino", "auto"), ("open-vino", "cpu"), ("auto", "openvino")],
)
def test_a_runtime_is_found_however_it_is_spelled(
    name: str, device: str, artifact: Artifact
) -> None:
    pytest.importorskip("openvino")
    opened = backend.open_backend(name, artifact, device=device, threads=1)
    assert (opened.facts.backend, opened.facts.device) == ("open_vino", "cpu")
    opened.close()


def test_a_runtime_as_the_device_of_another_is_refused(artifact: Artifact) -> None:
    with pytest.raises(DeviceUnavailable, match="'openvino' is unknown"):
        backend.open_backend("onnx_runtime", artifact, device="openvino", threads=1)


def test_an_unknown_backend_is_an_error_that_lists_the_known(artifact: Artifact) -> None:
    for wrong in ("caffe", "../backends", "fastfcn_infer"):
        with pytest.raises(BackendError, match="is unknown") as caught:
            backend.open_backend(wrong, artifact, device="cpu", threads=1)
        assert all(each in str(caught.value) for each in backend.backend_names())
