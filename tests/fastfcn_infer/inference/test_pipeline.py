"""Many pictures give what each gives alone, in as few calls of the network as their sizes allow."""

import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Model, Output
from fastfcn_infer.artifact.procedure import Frame, Procedure, Resize
from fastfcn_infer.errors import BackendError, ImageError
from fastfcn_infer.inference.conventions import BATCH
from fastfcn_infer.inference.merge import Merged
from fastfcn_infer.inference.pipeline import STAGES, Job, labels, segment
from models import tiny_model, tiny_output
from tiny_reference import normalised, upsampled, wrong_labels

Size = tuple[int, int]

LABELS = replace(tiny_model(2000), output=Output("labels", 1))


class Recorder:
    """The tiny network in NumPy; notes the shape of each batch."""

    def __init__(self, model: Model) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self._classes = len(model.classes)

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        self.shapes.append(batch.shape)
        return tiny_output(batch, self._classes)


def fixed(count: int | None, height: int | None = None, width: int | None = None) -> Model:
    model = tiny_model()
    return replace(model, input=replace(model.input, shape=(count, height, width)))


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng((height, width, seed)).integers(
        0, 256, (height, width, 3), np.uint8
    )


def scores(classes: int, height: int, width: int) -> NDArray[np.float32]:
    random = np.random.default_rng((classes, height, width))
    return random.normal(size=(classes, height, width)).astype(np.float32)


def test_a_picture_becomes_the_arg_max_of_its_upsampled_logits() -> None:
    model, picture = tiny_model(), noise(50, 70)
    (found,) = segment([picture], model, Recorder(model))
    (logits,) = tiny_output(normalised(picture, model.input, (50, 70)), 3)
    # The 50 rows lie at every eighth pixel: 7 x 9 positions over 50 x 70 pixels.
    expected = upsampled(logits, (50, 70), align_corners=False)
    assert wrong_labels(found, expected) == 0


@given(
    sizes=st.lists(st.sampled_from([(33, 40), (40, 33), (64, 48)]), max_size=7),
    batch=st.integers(1, 4),
    count=st.sampled_from([None, 1, 3]),
)
def test_pictures_together_get_the_labels_that_each_gets_alone_in_their_order(
    sizes: list[Size], batch: int, count: int | None
) -> None:
    model, free = fixed(count), tiny_model()
    pictures = [noise(*size, seed) for seed, size in enumerate(sizes)]
    network = Recorder(model)
    found = segment(pictures, model, network, batch=batch)
    assert len(found) == len(pictures)
    for labelled, picture in zip(found, pictures, strict=True):
        (alone,) = segment([picture], free, Recorder(free))
        np.testing.assert_array_equal(labelled, alone)
    # Every size needs its pictures divided by the most that go into one call, rounded up.
    most = count or batch
    assert len(network.shapes) == sum(-(-sizes.count(size) // most) for size in set(sizes))
    assert all(len_ == count or (count is None and len_ <= batch) for len_, *_ in network.shapes)


def test_pictures_of_many_sizes_share_one_call_where_the_graph_fixes_the_canvas() -> None:
    model = fixed(None, 64, 64)
    network = Recorder(model)
    segment([noise(64, 64), noise(40, 64), noise(33, 50)], model, network)
    assert network.shapes == [(3, 3, 64, 64)]


def test_the_default_batch_bounds_a_call() -> None:
    model = tiny_model()
    network = Recorder(model)
    segment([noise(33, 33)] * (BATCH + 1), model, network)
    assert [shape[0] for shape in network.shapes] == [BATCH, 1]


def test_no_picture_needs_no_call() -> None:
    network = Recorder(tiny_model())
    assert segment([], tiny_model(), network) == []
    assert network.shapes == []


def test_timings_add_up_over_calls() -> None:
    model = tiny_model()
    timings = {"network": 1000.0}
    segment([noise(33, 40), noise(40, 33)], model, Recorder(model), timings=timings)
    assert set(timings) == set(STAGES)
    assert timings["network"] > 1000.0


def test_a_network_that_leaves_outputs_out_is_an_error() -> None:
    class Short:
        def run(self, batch: NDArray[Any]) -> NDArray[Any]:
            return tiny_output(batch, 3)[:-1]

    with pytest.raises(BackendError, match=r"outputs are missing"):
        segment([noise(40, 40)] * 2, tiny_model(), Short())


def test_a_picture_that_does_not_fit_is_refused_before_any_other_is_run() -> None:
    model = tiny_model()
    huge = replace(
        model, procedure=replace(model.procedure, resize=Resize("short_side", 64, False))
    )
    network = Recorder(model)
    with pytest.raises(ImageError, match="network"):
        segment([noise(40, 40), np.zeros((1, 1 << 20, 3), np.uint8)], huge, network)
    assert network.shapes == []


def test_a_job_done_step_by_step_is_the_same_as_segment() -> None:
    model = fixed(2)
    pictures = [noise(40, 40, 1), noise(48, 33, 2), noise(40, 40, 3)]
    job, network = Job(pictures, model), Recorder(model)
    merged = job.merged([network.run(job.batch(call)) for call in job.calls])
    expected = segment(pictures, model, Recorder(model))
    for one, two in zip(merged, expected, strict=True):
        np.testing.assert_array_equal(labels(one, model), two)


@pytest.mark.parametrize("align_corners", [False, True])
def test_labels_are_the_arg_max_of_the_part_that_the_picture_covers(align_corners: bool) -> None:
    model = replace(tiny_model(), align_corners=align_corners)
    logits = scores(3, 5, 7)
    found = labels(Merged(logits, (40, 56), (33, 20)), model)
    expected = upsampled(logits, (40, 56), align_corners=align_corners)[:, :33, :20]
    assert wrong_labels(found, expected) == 0


def test_probabilities_at_the_size_of_the_picture_give_their_arg_max() -> None:
    model = replace(tiny_model(), output=Output("probabilities", 1))
    shares = scores(3, 40, 50)
    found = labels(Merged(shares, (40, 50), (33, 50)), model)
    np.testing.assert_array_equal(found, shares.argmax(axis=0)[:33])


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_computed_labels_are_cut_to_the_picture(kind: Any) -> None:
    answer = np.arange(40 * 50).reshape(40, 50).astype(kind)
    found = labels(Merged(answer, (40, 50), (33, 20)), LABELS)
    assert found.dtype == kind
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, answer[:33, :20])
    np.testing.assert_array_equal(labels(Merged(answer, (40, 50), (40, 50)), LABELS), answer)


@pytest.mark.parametrize("picture", [(41, 50), (40, 51), (400, 500)])
def test_computed_labels_smaller_than_the_picture_are_an_error_about_the_picture(
    picture: Size,
) -> None:
    answer = np.zeros((40, 50), np.uint8)
    with pytest.raises(ImageError, match=r"40 x 50.*--output logits"):
        labels(Merged(answer, picture, picture), LABELS)


class Never:
    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        raise AssertionError("the network was run")


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            replace(tiny_model(20000), output=Output("probabilities", 1)),
            r"The probabilities of tiny for a picture of 400 x 500 pixels would be 1 x 20000 x 400 x "
            r"500, 14\.9 GiB; at most 8 GiB",
        ),
        (
            replace(fixed(50_000), classes=tiny_model(1000).classes),
            r"The logits of tiny .* would be 50000 x 1000 x 50 x 63",
        ),
        (fixed(10_000), r"The input of the network would be 10000 x 3 x 400 x 500"),
    ],
)
def test_what_would_be_too_large_to_compute_is_refused_before_it_is_made(
    model: Model, said: str
) -> None:
    picture = noise(400, 500)
    tracemalloc.start()
    try:
        with pytest.raises(ImageError, match=said):
            segment([picture], model, Never())
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_views_share_a_call_as_far_as_their_outputs_together_are_not_too_large() -> None:
    model = replace(tiny_model(20000), output=Output("probabilities", 1))
    pictures = [np.zeros((160, 200, 3), np.uint8)] * 9  # 2.4 GiB of probabilities each
    job = Job(pictures, model)
    assert [len(call) for call in job.calls] == [3, 3, 3]


def test_a_picture_that_a_graph_of_labels_would_see_reduced_is_refused_and_not_run() -> None:
    """Its canvas is larger than the picture, so that the labels would be as many as expected."""
    model = fixed(None, 64, 64)
    procedure = Procedure("whole", None, canvas=Frame(aspect_ratio=3.0))
    model = replace(model, output=Output("labels", 1), procedure=procedure)
    with pytest.raises(ImageError, match=r"50 x 60 .*64 x 64 .*reduced.*--output logits"):
        segment([noise(50, 60)], model, Never())
