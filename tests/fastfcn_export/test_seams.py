"""Where windows of a picture get the labels of the whole picture: away from their borders, exactly.

Of a network with a convolutional head that has no `align_corners` inside, for windows whose place and
size are multiples of 32, in a picture whose size is one, too.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray

from benchmarks.receptive_field import radius
from exports import write_onnx
from fastfcn_export.dialect.dialect import recognise, to_dialect
from fastfcn_export.network.architecture import (
    Architecture,
    Backbone,
    EncNet,
    Fcn,
    Jpu,
    Psp,
    Stage,
)
from fastfcn_export.target.random_weights import random_weights
from fastfcn_infer.artifact.procedure import Procedure, Windows
from fastfcn_infer.inference.pipeline import Job
from models import tiny_model

Array = NDArray[Any]
CLASSES = 5
CROP, STEP = 608, 352  # multiples of 32
EQUAL = 1e-5  # of the largest logit
SHALLOW = Backbone(
    (4, 4, 8), "basic", (Stage(1, 8), Stage(1, 8, 2), Stage(1, 8, 2), Stage(1, 8, 2))
)
CONVOLUTIONAL = Architecture(
    CLASSES, SHALLOW, Jpu(8, align_corners=False, coarse_first=False), Fcn(8)
)


class Network:
    """A network with random weights in ONNX Runtime."""

    def __init__(self, architecture: Architecture, folder: Path) -> None:
        tensors = to_dialect("mmseg", architecture, random_weights(architecture))
        # The tensors are the same with every dilation and resize: they are ours to choose.
        found = replace(recognise(tensors, output_stride=32), architecture=architecture)
        self._session = onnxruntime.InferenceSession(str(write_onnx(found, folder)))

    def run(self, batch: Array) -> Array:
        """Compute logits."""
        return np.asarray(self._session.run(None, {"image": batch})[0])


def picture_of(width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (CROP, width, 3), np.uint8)


def scores(network: Network, picture: NDArray[np.uint8], procedure: Procedure) -> Array:
    job = Job([picture], tiny_model(CLASSES), procedure=procedure)
    outputs: dict[int, Array] = {}
    for call in job.calls:
        for part, output in job.split(call, network.run(job.batch(call))):
            outputs[part.view] = output
    return job.scores(0, outputs).tile(slice(0, picture.shape[0]), slice(0, picture.shape[1]))


def by_column(architecture: Architecture, folder: Path, width: int, step: int) -> Array:
    """Compare windows with the whole picture: the worst difference in each column of pixels."""
    network, picture = Network(architecture, folder), picture_of(width)
    whole = scores(network, picture, Procedure("whole"))
    tiled = scores(network, picture, Procedure(windows=Windows(CROP, step)))
    return np.asarray(np.abs(whole - tiled).max((0, 1)) / np.abs(whole).max())


def test_the_receptive_field_is_the_sum_of_the_layers() -> None:
    stem = 1 + 2 + 2 + 2  # three 3x3, the first with a step of 2, and the 3x3 of the pooling
    backbone = stem + (4 + 4) + (4 + 8) + (8 + 16) + (16 + 32)
    upsampling = 32 + 1.5 * 32 + 8 * 8  # of c4: 3x3, resize, 3x3 with dilation 8
    assert radius(CONVOLUTIONAL) == backbone + upsampling + 8 + 1.5 * 8
    assert radius(replace(CONVOLUTIONAL, head=EncNet(8, codes=4))) == float("inf")


def test_a_pixel_changes_no_logit_beyond_the_receptive_field(tmp_path: Path) -> None:
    network, picture = Network(CONVOLUTIONAL, tmp_path), picture_of(CROP + STEP)
    before = scores(network, picture, Procedure("whole"))
    for place in (448, 463, 479):
        other = picture.copy()
        other[:, place] = 255 - other[:, place]
        changed = (before != scores(network, other, Procedure("whole"))).any((0, 1))
        far = np.flatnonzero(changed) - place
        assert np.abs(far).max() <= radius(CONVOLUTIONAL)
        assert np.abs(far).max() > 40  # most of what it sees has little weight


def test_windows_equal_the_whole_picture_where_they_see_all_that_it_sees(tmp_path: Path) -> None:
    found = by_column(CONVOLUTIONAL, tmp_path, CROP + STEP, STEP)
    reach = int(radius(CONVOLUTIONAL))
    inside = np.r_[0 : CROP - reach, STEP + reach : CROP + STEP]
    assert len(inside) > 600
    assert found[inside].max() <= EQUAL
    assert found[STEP:CROP].min() > EQUAL  # where they overlap each lacks something


def test_a_window_that_starts_between_the_steps_of_the_backbone_differs_everywhere(
    tmp_path: Path,
) -> None:
    # The second window starts at 336, the third, which is moved back at the border, at 352.
    found = by_column(CONVOLUTIONAL, tmp_path, CROP + STEP, STEP - 16)
    reach = int(radius(CONVOLUTIONAL))
    assert found[: STEP - 16].max() <= EQUAL
    assert found[STEP + reach : CROP + STEP - 16].min() > 100 * EQUAL
    assert found[CROP + STEP - 16 :].max() <= EQUAL  # the third window alone


@pytest.mark.parametrize("less", [8, 16, 31])
def test_a_picture_that_is_no_multiple_of_the_largest_stride_differs_everywhere(
    tmp_path: Path, less: int
) -> None:
    assert by_column(CONVOLUTIONAL, tmp_path, CROP + STEP - less, STEP).min() > 10 * EQUAL


@pytest.mark.parametrize(
    "architecture",
    [
        pytest.param(replace(CONVOLUTIONAL, jpu=Jpu(8, align_corners=True)), id="align_corners"),
        pytest.param(replace(CONVOLUTIONAL, head=Psp(8, 8, align_corners=False)), id="pooling"),
    ],
)
def test_a_resize_by_corners_or_a_view_of_everything_makes_windows_differ_everywhere(
    tmp_path: Path, architecture: Architecture
) -> None:
    found = by_column(architecture, tmp_path, CROP + STEP, STEP)
    assert found.min() > 10 * EQUAL
