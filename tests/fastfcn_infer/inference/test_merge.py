from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Output
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.merge import Merged, labels, merge
from fastfcn_infer.inference.views import View
from judge import upsampled, wrong_labels
from models import tiny_model

Size = tuple[int, int]

LABELS = replace(tiny_model(), output=Output("labels", 1))


def scores(classes: int, height: int, width: int) -> NDArray[np.float32]:
    random = np.random.default_rng((classes, height, width))
    return random.normal(size=(classes, height, width)).astype(np.float32)


def view(picture: Size, size: Size, canvas: Size) -> View:
    return View(0, 0, *picture, size, canvas)


@pytest.mark.parametrize(
    ("picture", "size", "canvas", "covered"),
    [
        ((40, 50), (40, 50), (40, 50), (40, 50)),
        ((5, 50), (5, 50), (33, 50), (33, 50)),
        ((80, 100), (40, 50), (40, 50), (80, 100)),
        ((80, 100), (40, 50), (60, 50), (120, 100)),
        # 33 rows of the canvas at 3.9 rows of the picture each.
        ((39, 400), (10, 103), (33, 103), (129, 400)),
    ],
)
def test_a_map_covers_the_picture_and_its_padding_in_pixels_of_the_picture(
    picture: Size, size: Size, canvas: Size, covered: Size
) -> None:
    answers = scores(3, 5, 5)[None]
    merged = merge([view(picture, size, canvas)], answers, picture)
    assert merged.size == covered
    assert merged.picture == picture
    np.testing.assert_array_equal(merged.scores, answers[0])


def test_what_is_answered_to_the_padding_of_a_fixed_batch_is_dropped() -> None:
    answers = np.stack([scores(3, 5, 5), *[np.full((3, 5, 5), np.nan, np.float32)] * 3])
    merged = merge([view((40, 40), (40, 40), (40, 40))], answers, (40, 40))
    np.testing.assert_array_equal(merged.scores, answers[0])


def test_an_answer_for_every_pixel_is_cut_before_it_is_resized() -> None:
    """Padding must not flow into the picture: PaddleSeg cuts first, then resizes."""
    answers = scores(3, 40, 60)[None]
    answers[:, :, 30:] = answers[:, :, :, 50:] = 1e6
    merged = merge([view((60, 100), (30, 50), (40, 60))], answers, (60, 100))
    np.testing.assert_array_equal(merged.scores, answers[0, :, :30, :50])
    assert merged.size == merged.picture == (60, 100)


def test_what_was_framed_before_it_was_resized_is_cut_after_it_is_resized_back() -> None:
    framed = View(0, 0, 60, 100, (33, 40), (33, 40), frame=(80, 100))
    merged = merge([framed], scores(3, 33, 40)[None], (60, 100))
    assert (merged.size, merged.picture) == ((80, 100), (60, 100))


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
def test_answered_labels_are_cut_to_the_picture(kind: Any) -> None:
    answer = np.arange(40 * 50).reshape(40, 50).astype(kind)
    found = labels(Merged(answer, (40, 50), (33, 20)), LABELS)
    assert found.dtype == kind
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, answer[:33, :20])
    np.testing.assert_array_equal(labels(Merged(answer, (40, 50), (40, 50)), LABELS), answer)


@pytest.mark.parametrize("picture", [(41, 50), (40, 51), (400, 500)])
def test_answered_labels_smaller_than_the_picture_are_an_error_about_the_picture(
    picture: Size,
) -> None:
    answer = np.zeros((40, 50), np.uint8)
    with pytest.raises(ImageError, match=r"40 x 50.*--output logits"):
        labels(Merged(answer, picture, picture), LABELS)
