"""Arrays over the bytes of a file: every size is checked with Python's integers before NumPy sees it."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt

MAX_DIMENSIONS = 32
MAX_TENSORS = 20_000
"""More names take longer than a second to read; a large FastFCN has 700."""
_MAX_BYTES = 2**62


def sizes(value: object, what: str) -> tuple[int, ...]:
    """Check that `value` is a shape (or strides, or an order of axes): a few integers, none negative.

    Args:
        value: what the file holds where a shape belongs.
        what: what it is, for the message: "shape", "strides".

    Raises:
        CheckpointError: not a tuple or list, more than 32 items, or an item is not such an integer.
    """
    if type(value) not in (tuple, list) or not isinstance(value, Sequence):
        raise CheckpointError(f"has {type(value).__name__} for a tensor's {what}, not a tuple")
    if len(value) > MAX_DIMENSIONS:
        raise CheckpointError(
            f"has a {what} of {len(value)} dimensions; at most {MAX_DIMENSIONS} are read"
        )
    if any(type(item) is not int or item < 0 for item in value):
        raise CheckpointError(f"has the {what} {excerpt(value)}; expected integers of 0 or more")
    return tuple(value)


def contiguous(
    data: memoryview | bytes, dtype: np.dtype[np.generic], shape: tuple[int, ...], order: str = "C"
) -> NDArray[np.generic]:
    """View bytes as an array, without a copy.

    Args:
        data: exactly the bytes of the array.
        dtype: type of an element.
        shape: checked by `sizes`.
        order: "C" where the last axis lies densest, "F" where the first does.

    Returns:
        A read-only array of that shape.

    Raises:
        CheckpointError: the shape takes more or fewer bytes than there are.
    """
    needed = math.prod(shape) * dtype.itemsize
    if needed != len(data):
        raise CheckpointError(
            f"has a tensor of shape {excerpt(shape)} and type {dtype.name}, "
            f"which takes {excerpt(needed)} bytes, "
            f"but stores {len(data)} bytes for it"
        )
    if not needed:
        return empty(dtype, shape)
    # The two orders are spelled out because NumPy's types ask for literals.
    flat: NDArray[np.generic] = np.frombuffer(data, dtype)
    return flat.reshape(shape, order="F") if order == "F" else flat.reshape(shape)


def strided(
    storage: NDArray[np.generic], offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> NDArray[np.generic]:
    """View a part of a flat storage as an array, without a copy.

    Args:
        storage: (N,) elements, contiguous and read-only.
        offset: of the first element, in elements.
        shape: checked by `sizes`.
        strides: steps between adjacent elements along each axis, in elements; checked by `sizes`.

    Returns:
        A read-only array of that shape, whose base is `storage`.

    Raises:
        CheckpointError: shape and strides differ in length, or reach past the storage.
    """
    if len(shape) != len(strides):
        raise CheckpointError(
            f"has a tensor of shape {excerpt(shape)} but strides {excerpt(strides)}"
        )
    if not math.prod(shape):
        return empty(storage.dtype, shape)
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if offset < 0 or last >= len(storage):
        raise CheckpointError(
            f"has a tensor of shape {excerpt(shape)}, strides {excerpt(strides)} and offset {offset}, which "
            f"does not fit into its storage of {len(storage)} elements"
        )
    itemsize = storage.itemsize
    # A stride along an axis of one element is never used, and may be too large for NumPy.
    steps = tuple(
        stride * itemsize if size > 1 else itemsize
        for size, stride in zip(shape, strides, strict=True)
    )
    return np.ndarray(shape, storage.dtype, storage, offset * itemsize, steps)


def empty(dtype: np.dtype[np.generic], shape: tuple[int, ...]) -> NDArray[np.generic]:
    """Make a read-only array of no elements.

    Raises:
        CheckpointError: the sizes other than zero are so large that NumPy cannot hold the shape.
    """
    if math.prod(max(size, 1) for size in shape) * dtype.itemsize > _MAX_BYTES:
        raise CheckpointError(f"has a tensor of the impossible shape {excerpt(shape)}")
    array = np.empty(shape, dtype)
    array.flags.writeable = False
    return array


def float32_of_bfloat16(stored: NDArray[np.generic]) -> NDArray[np.float32]:
    """Widen bfloat16 to float32, exactly: a bfloat16 is the upper half of a float32.

    Args:
        stored: any shape, uint16, the bits of the numbers.

    Returns:
        The same shape, read-only; twice the bytes.
    """
    bits = np.left_shift(stored, np.uint32(16), dtype=np.uint32)
    widened = np.asarray(bits).view(np.float32)
    widened.flags.writeable = False
    return widened
