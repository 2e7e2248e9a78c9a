"""Threads that share a `Segmenter`, with pictures of several sizes and several procedures at once."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from exports import save_checkpoint, tensors_of
from fastfcn_export import Request, export
from fastfcn_infer import Procedure, Segmenter
from fastfcn_infer.artifact.procedure import Windows
from fastfcn_infer.runtime import backend
from networks import CASES
from paddle_models import PADDLE

CASE = "paddleseg_basic"
THREADS = 8
INSTALLED = [each for each in backend.backend_names() if backend.installed(each)]
PROCEDURES = (
    Procedure(),
    Procedure(windows=Windows(48, 32)),
    Procedure(scales=(0.75, 1.0, 1.25), mirror="horizontal"),
    Procedure(windows=Windows(48, 24, "pad", "gaussian"), mirror="both", merge="probabilities"),
    Procedure(scales=(1.0, 1.5), windows=Windows(64, 40, "pad"), merge="exp"),
)
SIZES = ((40, 72), (72, 40), (97, 61), (33, 128), (120, 120))


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact")
    dialect, _, stride = CASES[CASE]
    checkpoint = save_checkpoint(folder, dialect, tensors_of(CASE))
    formats = ("onnx", "paddle") if PADDLE else ("onnx",)
    request = Request(formats=formats, output_stride=stride, verify=False, accept_own_size=True)
    export(checkpoint, folder / "artifact", request)
    return folder / "artifact"


@pytest.fixture(params=INSTALLED)
def segmenter(request: pytest.FixtureRequest, artifact: Path) -> Iterator[Segmenter]:
    # One thread a run: Paddle then has as many predictors as there are processors.
    with Segmenter.from_pretrained(
        artifact, backend=request.param, device="cpu", threads=1
    ) as opened:
        yield opened


def picture(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw blocks of colour; a random network gives noise one class everywhere."""
    blocks = np.random.default_rng(number).choice(np.array([0, 255], np.uint8), (5, 5, 3))
    return np.asarray(cv2.resize(blocks, size[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)


def test_threads_with_other_sizes_and_procedures_get_what_each_gets_alone(
    segmenter: Segmenter,
) -> None:
    # Every thread has pictures of its own, so that the labels of another one would be seen.
    jobs = [
        (picture(number, size), procedure)
        for number, (size, procedure, _) in enumerate(product(SIZES, PROCEDURES, range(2)))
    ]
    alone = [segmenter.predict(given, procedure=how).labels for given, how in jobs]
    assert len({labels.tobytes() for labels in alone}) == len(jobs)
    start = threading.Barrier(THREADS)

    def work(thread: int) -> list[int]:
        # Each thread begins elsewhere, so that sizes and procedures of all kinds meet.
        start.wait()
        mine = list(range(thread, len(jobs), THREADS))
        turned = mine[thread:] + mine[:thread]
        return [
            index
            for index in turned
            if not np.array_equal(
                segmenter.predict(jobs[index][0], procedure=jobs[index][1]).labels, alone[index]
            )
        ]

    with ThreadPoolExecutor(THREADS) as pool:
        assert [index for found in pool.map(work, range(THREADS)) for index in found] == []
