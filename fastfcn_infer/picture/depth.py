"""Bring pixels of any type to one scale: to eight bits, or for other than colours to 0..255 without rounding."""

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError
from fastfcn_infer.system.warn import warn

_CAMERA_DEPTHS = (8, 10, 12, 14)  # bits in 16, of cameras and microscopes


def eight_bits(array: NDArray[Any], where: str, depth: int | None) -> NDArray[np.uint8]:
    """Bring pixels to 0..255 by the rule of their dtype.

    Args:
        array: of any dtype.
        where: names it in messages.
        depth: bits that 16 use; None: all, with a warning where none needs more than 14.

    Raises:
        ImageError: the dtype has no rule, or values are not what the rule expects.
    """
    if array.dtype.newbyteorder("=") == np.uint16:
        return _eight_of_sixteen(array, where, depth)
    if depth is not None:
        raise ImageError(
            f"{where} has pixels of {array.dtype}, and depth={depth} is for pixels of 16 bits, "
            "uint16; leave it out"
        )
    if array.dtype == np.uint8:
        return np.asarray(array)
    if array.dtype == np.bool_:
        return np.where(array, np.uint8(255), np.uint8(0))
    if array.dtype.kind != "f":
        raise ImageError(
            f"{where} cannot be used: uint8, uint16, bool, or float in 0..1 was expected. "
            "If the values are 0..255, pass array.astype(numpy.uint8)."
        )
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 1):  # a NaN makes both NaN, and every comparison false
        raise ImageError(
            f"{where} has values from {low} to {high}; floats have to be finite and in 0..1. "
            "If they are 0..255, divide by 255."
        )
    scaled: NDArray[Any] = np.rint(array.astype(np.promote_types(array.dtype, np.float32)) * 255)
    return scaled.astype(np.uint8)


def _eight_of_sixteen(
    array: NDArray[np.uint16], where: str, depth: int | None
) -> NDArray[np.uint8]:
    return np.take(_to_eight(_checked_depth(array, where, depth)), array)


def on_scale(
    array: NDArray[Any], where: str, depth: int | None, white: float | None
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Bring pixels to the scale 0..255 without rounding them.

    Args:
        array: of any dtype.
        where: names it in messages.
        depth: bits that 16 use; None: all, with a warning where none needs more than 14.
        white: value that becomes 255, whatever the dtype; other values may lie outside of 0..255 then. None:
            255, 65535 or ``2**depth - 1``, and 1, by the dtype.

    Returns:
        uint8 where nothing is to be computed; else float32.

    Raises:
        ImageError: the dtype has no rule, or values are not what the rule expects.
    """
    kind = array.dtype.newbyteorder("=")
    if white is None and kind == np.uint16:
        white = (1 << _checked_depth(array, where, depth)) - 1
    elif white is None:
        return _by_type(array, where, depth)
    elif depth is not None:
        raise ImageError(
            f"{where}: the model says itself that {white:g} is white, so depth={depth} cannot apply; leave it out"
        )
    if kind == np.uint8 and white == 255:
        return np.asarray(array)
    if kind.kind not in "uif":
        raise ImageError(f"{where} cannot be used: whole numbers or floats were expected.")
    if kind.kind == "f" and not np.isfinite(array).all():
        raise ImageError(f"{where} has values that are not finite. Replace them first.")
    scaled = np.multiply(array, np.float32(255 / white), dtype=np.float32, casting="unsafe")
    return np.asarray(scaled, np.float32)


def _by_type(
    array: NDArray[Any], where: str, depth: int | None
) -> NDArray[np.uint8] | NDArray[np.float32]:
    """Scale by the dtype's own white, which 16 bits are left out of."""
    if array.dtype.kind != "f" or depth is not None:
        if array.dtype.kind in "ui" and array.dtype.itemsize > 1:
            raise ImageError(
                f"{where} has pixels of {array.dtype}, and the model does not say which value is white. Export its "
                "checkpoint again with --white VALUE, or give uint8, uint16, or floats in 0..1."
            )
        return eight_bits(array, where, depth)
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 1):  # a NaN makes both NaN, and every comparison false
        raise ImageError(
            f"{where} has values from {low} to {high}, and floats have to be finite and in 0..1 unless the model says "
            "which value is white. Export its checkpoint again with --white VALUE, or scale them."
        )
    scaled = np.multiply(array, np.float32(255), dtype=np.float32, casting="unsafe")
    return np.asarray(scaled, np.float32)


def _checked_depth(array: NDArray[Any], where: str, depth: int | None) -> int:
    """Return the bits that values of 16 use."""
    highest = int(array.max())
    if depth is None:
        warn_of_few_bits(highest)
        depth = 16
    if highest >= 1 << depth:
        raise ImageError(
            f"{where} has values up to {highest}; depth={depth} allows {(1 << depth) - 1}. Its depth "
            f"is at least {highest.bit_length()}"
        )
    return depth


def warn_of_few_bits(highest: int) -> None:
    """Warn where the largest value of a picture of 16 bits looks like the white of fewer."""
    fits = next((bits for bits in _CAMERA_DEPTHS if highest < 1 << bits), None)
    if fits is not None and highest > 0:
        # The same sentence for all such pictures, so that Python shows it once and not for each.
        warn(
            f"A picture of 16 bits has no value above {(1 << fits) - 1}, as if it held {fits} bits: "
            f"it is taken as nearly black. If white is {(1 << fits) - 1}, say so: depth={fits} "
            f"(--depth {fits})."
        )


@functools.cache
def _to_eight(depth: int) -> NDArray[np.uint8]:
    """Return the table ``round(value * 255 / white)``; no array of wider numbers is made in between."""
    white = (1 << depth) - 1
    return ((2 * 255 * np.arange(white + 1) + white) // (2 * white)).astype(np.uint8)
