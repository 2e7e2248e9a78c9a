"""Run lengths, judged by pycocotools and by a decoder of the format that Label Studio's SDK describes."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.picture.run_lengths import brush, coco_rle, compress

# What label-studio-sdk 2.1.2 (converter/brush.py, encode_rle) makes of the mask below.
SDK_MASK = np.array([[0, 1, 1], [0, 0, 1]], bool)
SDK_BYTES = [0, 0, 0, 24, 57, 27, 252, 96, 19, 255, 206, 1, 31, 248]


def masks() -> list[NDArray[np.bool_]]:
    random = np.random.default_rng(0)
    found = [random.random(random.integers(1, 40, 2)) < random.random() for _ in range(60)]
    found += [np.repeat(np.repeat(one, 37, 0), 41, 1) for one in found[:4]]
    return [*found, np.zeros((3, 5), bool), np.ones((3, 5), bool), np.ones((260, 300), bool)]


def decode_brush(data: Sequence[int]) -> NDArray[np.uint8]:
    bits = "".join(f"{byte:08b}" for byte in data)
    at = 0

    def read(size: int) -> int:
        nonlocal at
        at += size
        return int(bits[at - size : at], 2)

    count, word = read(32), read(5) + 1
    sizes = [read(4) + 1 for _ in range(4)]
    values: list[int] = []
    while len(values) < count:
        same = read(1)
        length = read(sizes[read(2)]) + 1
        values += [read(word)] * length if same else [read(word) for _ in range(length)]
    return np.array(values, np.uint8)


def test_run_lengths_are_those_of_pycocotools() -> None:
    judge = pytest.importorskip("pycocotools.mask")
    for mask in masks():
        expected = judge.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert coco_rle(mask) == {
            "size": list(mask.shape),
            "counts": expected["counts"].decode("ascii"),
        }


def test_run_lengths_of_a_known_mask_need_no_judge() -> None:
    # Column by column: 1 zero, 2 ones, 1 zero, 2 ones; from the fourth on the difference from the second before.
    assert coco_rle(np.array([[0, 1, 1], [1, 0, 1]], bool))["counts"] == "1210"
    assert compress(np.array([], np.int64)) == ""


def test_the_decoder_of_this_test_reads_what_label_studio_writes() -> None:
    expected = np.repeat(SDK_MASK.ravel(), 4) * 255
    np.testing.assert_array_equal(decode_brush(SDK_BYTES), expected)


@pytest.mark.parametrize("own", [True, False])
def test_a_brush_mask_is_read_back_in_all_four_channels(own: bool) -> None:
    decode = decode_brush
    if not own:
        decode = pytest.importorskip("label_studio_sdk.converter.brush").decode_rle
    for mask in masks()[40 if own else 0 :]:
        found = np.asarray(decode(brush(mask))).reshape(*mask.shape, 4)
        np.testing.assert_array_equal(found, np.repeat(mask[:, :, None], 4, axis=2) * 255)
