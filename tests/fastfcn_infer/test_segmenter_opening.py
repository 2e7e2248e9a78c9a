import os
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from command_line import PHOTOGRAPH, python
from exports import save_checkpoint, tensors_of
from fastfcn_export import Options, Request, export
from fastfcn_export.dialect.dialect import to_dialect
from fastfcn_export.network.architecture import Architecture, Backbone, EncNet, Jpu, Stage
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.errors import BackendError, DeviceUnavailable, ImageError
from fastfcn_infer.picture.read import read_picture
from fastfcn_infer.runtime import opening
from fastfcn_infer.runtime.backend import open_backend
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system.machine import CpuBudget
from models import tiny_artifact

SEED = 50  # of the first sixty, the one whose labels vary most on a photograph
_STAGES = (Stage(2, 16, 1), Stage(2, 24, 2), Stage(2, 32, 2), Stage(2, 48, 2))
ARCHITECTURE = Architecture(
    classes=11,
    backbone=Backbone((8, 8, 16), "basic", _STAGES, pooled_shortcut=True),
    jpu=Jpu(24),
    head=EncNet(32, codes=16, project_bias=True, dropout=0.0),
)

# Of the pixels: where the best two classes are as near to each other as float32 can tell.
UNDECIDED_SHARE = 0.001


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    # Wide enough to see several classes in a photograph.
    weights = random_weights(ARCHITECTURE, SEED)
    return save_checkpoint(folder, "paddleseg", to_dialect("paddleseg", ARCHITECTURE, weights))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact") / "tiny"
    tiny_artifact(folder)
    return folder


def labels_of(
    checkpoint: Path, folder: Path, request: Request, picture: NDArray[np.uint8]
) -> bytes:
    export(checkpoint, folder, request)
    with Segmenter.from_pretrained(folder, threads=1) as segmenter:
        return segmenter.predict(picture).labels.astype(np.uint16).tobytes()


@pytest.mark.parametrize("size", [(128, 192), (227, 365), (20, 330)])
def test_the_same_checkpoint_gives_the_same_labels_whatever_its_graph_is_fed_and_answers(
    checkpoint: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    picture = read_picture(PHOTOGRAPH)[-size[0] :, -size[1] :]
    canvas = (max(size[0], 33), max(size[1], 33))
    requests = {
        "logits": Request(verify=False, output_stride=32),
        "probabilities": Request(verify=False, output_stride=32, output="probabilities"),
        "labels": Request(verify=False, output_stride=32, output="labels"),
        "pixels": Request(verify=False, output_stride=32, with_preprocess=True),
        "fixed": Request(verify=False, output_stride=32, options=Options((2, *canvas))),
    }
    if min(size) < 33:
        del requests["pixels"]  # the padding of this model, 127.5, is no byte
    found = {
        name: np.frombuffer(labels_of(checkpoint, tmp_path / name, request, picture), np.uint16)
        for name, request in requests.items()
    }
    assert len(np.unique(found["logits"])) > 1
    for name, labels in found.items():
        assert (labels != found["logits"]).mean() <= UNDECIDED_SHARE, name


def test_a_picture_larger_than_a_fixed_graph_of_labels_is_refused(
    checkpoint: Path, tmp_path: Path
) -> None:
    request = Request(
        verify=False, output_stride=32, output="labels", options=Options((1, 64, 96))
    )
    export(checkpoint, tmp_path / "a", request)
    with Segmenter.from_pretrained(tmp_path / "a", threads=1) as segmenter:
        assert segmenter.predict(np.zeros((64, 50, 3), np.uint8)).size == (64, 50)
        with pytest.raises(ImageError, match="65 x 50"):
            segmenter.predict(np.zeros((65, 50, 3), np.uint8))


def test_a_graph_of_labels_sees_pictures_at_their_own_size_whatever_its_authors_do(
    tmp_path: Path,
) -> None:
    checkpoint = save_checkpoint(tmp_path, "ncpaddle", tensors_of("ncpaddle_fcn"))
    request = Request(verify=False, output="labels", accept_own_size=True)
    export(checkpoint, tmp_path / "labels", request)
    with Segmenter.from_pretrained(tmp_path / "labels", threads=1) as segmenter:
        assert segmenter.model.procedure.resize is None
        assert segmenter.predict(np.zeros((20, 77, 3), np.uint8)).size == (20, 77)


def test_the_runtime_says_what_runs_and_what_was_chosen(tiny: Path) -> None:
    with Segmenter.from_pretrained(tiny) as segmenter:
        facts = segmenter.runtime
        assert facts.backend in repr(segmenter)
    assert facts.backend
    assert facts.provider
    assert facts.device != "auto"
    assert facts.threads >= 1
    assert facts.versions["numpy"] == np.__version__
    assert {note.split()[0] for note in facts.chosen} == {"threads", "backend", "device"}


def test_what_the_user_chose_is_not_among_what_was_chosen(tiny: Path) -> None:
    with Segmenter.from_pretrained(
        tiny, threads=1, backend="onnx_runtime", device="cpu"
    ) as segmenter:
        facts = segmenter.runtime
    assert (facts.backend, facts.device, facts.threads) == ("onnx_runtime", "cpu", 1)
    assert facts.chosen == ()


def test_threads_are_those_of_the_budget_with_its_reason(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "cpu_budget", lambda: CpuBudget(3, "somebody said so"))
    with Segmenter.from_pretrained(tiny) as segmenter:
        assert segmenter.runtime.threads == 3
        assert "threads 3: somebody said so" in segmenter.runtime.chosen
    with Segmenter.from_pretrained(tiny, threads=2) as segmenter:
        assert segmenter.runtime.threads == 2


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes have no affinity here")
def test_a_process_bound_to_one_processor_computes_with_one_thread() -> None:
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from fastfcn_infer import Segmenter\n"
        "print(Segmenter.from_pretrained().runtime.threads)"
    )
    ended = python("-c", code)
    assert (ended.stdout, ended.stderr) == ("1\n", "")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"threads": 0}, ValueError),
        ({"threads": -1}, ValueError),
        ({"device": "npu"}, DeviceUnavailable),
        ({"device": "cuda:x"}, DeviceUnavailable),
        ({"backend": "onnxruntimes"}, BackendError),
    ],
)
def test_what_cannot_be_had_is_an_error_and_nothing_else_is_taken(
    tiny: Path, options: dict[str, str], error: type[Exception]
) -> None:
    with pytest.raises(error, match=str(next(iter(options.values())))):
        Segmenter.from_pretrained(tiny, **options)  # type: ignore[arg-type] # wrong on purpose


def test_a_lone_onnx_file_gives_the_labels_of_its_artifact(tiny: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (40, 60, 3), np.uint8)
    with (
        Segmenter.from_pretrained(tiny, threads=1) as whole,
        Segmenter.from_pretrained(tiny / "model.onnx", threads=1) as lone,
    ):
        expected, found = whole.predict(picture), lone.predict(picture)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert set(expected.provenance) - set(found.provenance) == {"checkpoint"}


def test_a_segmenter_can_be_made_of_an_artifact_and_a_backend(tiny: Path) -> None:
    artifact = open_artifact(tiny)
    backend = open_backend("auto", artifact, device="cpu", threads=1)
    with Segmenter(artifact, backend) as segmenter:
        assert segmenter.artifact is artifact
        assert segmenter.model is artifact.model
        assert segmenter.runtime is backend.facts


def test_opening_and_predicting_load_neither_paddle_nor_torch_nor_onnx() -> None:
    code = (
        "import sys, numpy\n"
        "from fastfcn_infer import Segmenter\n"
        "Segmenter.from_pretrained().predict(numpy.zeros((40, 40, 3), numpy.uint8))\n"
        "print([m for m in ('onnx', 'paddle', 'torch', 'PIL', 'fastfcn_export') if m in sys.modules])"
    )
    ended = python("-c", code)
    assert (ended.stdout, ended.stderr) == ("[]\n", ""), sys.version
