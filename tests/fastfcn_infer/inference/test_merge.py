import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.inference.merge import merge
from fastfcn_infer.inference.views import View

Size = tuple[int, int]


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
    outputs = scores(3, 5, 5)[None]
    merged = merge([view(picture, size, canvas)], list(outputs), picture)
    assert merged.size == covered
    assert merged.picture == picture
    np.testing.assert_array_equal(merged.scores, outputs[0])


def test_an_output_for_every_pixel_is_cut_before_it_is_resized() -> None:
    """Padding must not flow into the picture: PaddleSeg cuts first, then resizes."""
    outputs = scores(3, 40, 60)[None]
    outputs[:, :, 30:] = outputs[:, :, :, 50:] = 1e6
    merged = merge([view((60, 100), (30, 50), (40, 60))], list(outputs), (60, 100))
    np.testing.assert_array_equal(merged.scores, outputs[0, :, :30, :50])
    assert merged.size == merged.picture == (60, 100)


def test_what_was_framed_before_it_was_resized_is_cut_after_it_is_resized_back() -> None:
    framed = View(0, 0, 60, 100, (33, 40), (33, 40), frame=(80, 100))
    merged = merge([framed], [scores(3, 33, 40)], (60, 100))
    assert (merged.size, merged.picture) == ((80, 100), (60, 100))
