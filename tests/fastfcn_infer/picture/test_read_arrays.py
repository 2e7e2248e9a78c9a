from typing import Any

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.read import read_picture
from odd_pictures import IMAGE, RGB, encode


def test_an_rgb_array_is_returned_as_it_is() -> None:
    assert read_picture(RGB) is RGB


def test_bgr_turns_the_channels_of_arrays_only() -> None:
    assert (read_picture(RGB[..., ::-1], color="bgr") == RGB).all()
    four = np.dstack([RGB[..., ::-1], RGB[..., :1]])
    assert (read_picture(four, color="bgr") == RGB).all()
    assert (read_picture(encode(IMAGE, "PNG"), color="bgr") == RGB).all()
    assert (read_picture(IMAGE, color="bgr") == RGB).all()
    with pytest.raises(ValueError, match="'rgb' or 'bgr'"):
        read_picture(RGB, color="RGBA")  # type: ignore[arg-type]


def test_sixteen_bits_become_eight_by_rounding() -> None:
    every = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    assert (read_picture(every)[..., 0] == np.rint(every / 257)).all()


def test_floats_and_truth_values_become_eight_bits() -> None:
    every = np.arange(256) / 255
    for dtype in (np.float16, np.float32, np.float64):
        assert (read_picture(every.astype(dtype)[None])[0, :, 1] == np.arange(256)).all()
    assert read_picture(np.array([[True, False]])).tolist() == [[[255] * 3, [0] * 3]]


SHAPES = st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
    lambda size: st.sampled_from([size, *((*size, channels) for channels in (1, 3, 4))])
)
DTYPES = st.sampled_from(["u1", "<u2", ">u2", "<f2", "<f4", ">f4", "<f8", ">f8", "?"])


@st.composite
def pictures(draw: st.DrawFn) -> NDArray[Any]:
    dtype = np.dtype(draw(DTYPES))
    elements = st.floats(0, 1, width=16) if dtype.kind == "f" else None
    array: NDArray[Any] = draw(arrays.arrays(dtype, draw(SHAPES), elements=elements))
    layout = draw(st.sampled_from(["C", "Fortran", "mirrored", "every second", "read-only"]))
    if layout == "Fortran":
        array = np.asfortranarray(array)
    if layout == "mirrored":
        array = np.ascontiguousarray(array[::-1, ::-1])[::-1, ::-1]
    if layout == "every second":
        array = np.repeat(array, 2, axis=1)[:, ::2]
    if layout == "read-only":
        array.flags.writeable = False
    return array


@pytest.mark.filterwarnings("ignore:A picture of 16 bits")  # most generated ones are dark
@settings(max_examples=400, deadline=None)
@given(pictures(), st.sampled_from(["rgb", "bgr"]))
def test_the_layout_of_an_array_changes_nothing(array: NDArray[Any], color: Any) -> None:
    before = array.copy()
    found = read_picture(array, color=color)
    assert (array == before).all()
    values = array.astype(np.float64)
    scaled = np.rint(values * {"u1": 1, "u2": 1 / 257}.get(array.dtype.str[1:], 255))
    planes = scaled[..., None] if array.ndim == 2 else scaled[..., :3]
    expected = np.broadcast_to(planes, (*array.shape[:2], 3))
    expected = expected if color == "rgb" else expected[..., ::-1]
    # Half a step: 16-bit floats have exact halves, which two roundings may take either way.
    assert found.shape == expected.shape
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert np.abs(found - expected).max() <= (1 if array.dtype.str[1:] == "f2" else 0)


BAD_ARRAYS = {
    "negative": np.array([[-0.1, 0.5]]),
    "above one": np.array([[0.5, 1.01]]),
    "like 0..255": RGB.astype(np.float32),
    "NaN": np.array([[0.5, np.nan]]),
    "infinite": np.array([[0.5, np.inf]]),
    "int64": RGB.astype(np.int64),
    "int8": RGB.astype(np.int8),
    "uint32": RGB.astype(np.uint32),
    "complex": RGB.astype(np.complex64),
    "objects": RGB.astype(object),
    "strings": np.array([["a"]]),
    "dates": np.zeros((2, 2), "M8[s]"),
    "records": np.zeros((2, 2), [("r", "u1"), ("g", "u1")]),
    "no dimension": np.array(3, np.uint8),
    "one dimension": np.zeros(3, np.uint8),
    "two channels": np.zeros((4, 4, 2), np.uint8),
    "five channels": np.zeros((4, 4, 5), np.uint8),
    "no channel": np.zeros((4, 4, 0), np.uint8),
    "channels first": np.zeros((3, 480, 640), np.uint8),
    "a batch": np.zeros((1, 4, 4, 3), np.uint8),
    "no rows": np.zeros((0, 4, 3), np.uint8),
    "no columns": np.zeros((4, 0, 3), np.float32),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_a_bad_array_is_refused(name: str) -> None:
    with pytest.raises(ImageError, match=r"The array of shape .* expected|finite"):
        read_picture(BAD_ARRAYS[name])


def test_the_message_says_what_to_do_with_an_array() -> None:
    for name, advice in {
        "like 0..255": "divide by 255",
        "int64": "astype",
        "channels first": r"transpose\(1, 2, 0\)",
        "a batch": "one by one",
        "above one": "from 0.5 to 1.01",
    }.items():
        with pytest.raises(ImageError, match=advice):
            read_picture(BAD_ARRAYS[name])
