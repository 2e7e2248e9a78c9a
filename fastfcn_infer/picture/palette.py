"""Colours of classes other than those of the data set: PaddleSeg's, and ones that colour-blind people tell apart."""

from collections.abc import Sequence
from functools import cache
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.system.excerpt import excerpt

Palette: TypeAlias = Literal["dataset", "paddleseg", "distinct"]

# How colours look to those who lack the cones for red (protanopia) and for green (deuteranopia), of linear
# RGB. Source: G. M. Machado, M. M. Oliveira and L. A. F. Fernandes, "A Physiologically-based Model for
# Simulation of Color Vision Deficiency", 2009, table of matrices, severity 1.0.
PROTANOPIA = (
    (0.152286, 1.052583, -0.204868),
    (0.114503, 0.786281, 0.099216),
    (-0.003882, -0.048116, 1.051998),
)
DEUTERANOPIA = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)
_LEVELS = 9  # candidates of each channel
_LIGHTNESS = (25.0, 95.0)  # of colours that show on pictures; 0 is black, 100 white

_XYZ_OF_RGB = np.array(
    (
        (0.4124564, 0.3575761, 0.1804375),
        (0.2126729, 0.7151522, 0.0721750),
        (0.0193339, 0.1191920, 0.9503041),
    )
)
_WHITE = _XYZ_OF_RGB.sum(axis=1)  # D65


def palette(name: Palette, colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the colours of the classes in a palette.

    Args:
        name: "dataset": `colors`; "paddleseg": see `paddleseg`; "distinct": see `distinct`.
        colors: (C, 3) RGB, of the data set.

    Returns:
        (C, 3) RGB.

    Raises:
        ValueError: there is no palette of that name.
    """
    given: object = name  # an array of colours, perhaps, which cannot be compared with a text
    if not (isinstance(given, str) and given in get_args(Palette)):
        raise ValueError(
            f'palette is {excerpt(name)}; "dataset", "paddleseg" or "distinct" was expected. Colours of your '
            "own belong to the classes: fastfcn relabel MODEL --classes TABLE."
        )
    if name == "dataset":
        return colors
    return paddleseg(len(colors)) if name == "paddleseg" else distinct(len(colors))


def paddleseg(count: int) -> NDArray[np.uint8]:
    """Return the colours in which PaddleSeg's predict.py draws classes: (count, 3) RGB.

    They are those of Pascal VOC, shifted by one: class 0 has the colour of VOC's class 1, which is not black.

    Source: Pascal VOC development kit, VOClabelcolormap; PaddleSeg, utils/visualize.py, get_color_map_list,
    which leaves out the first colour.
    """
    index = np.arange(1, count + 1)
    found = np.zeros((count, 3), np.int64)
    for step in range(8):
        for channel in range(3):
            found[:, channel] |= (index >> (3 * step + channel) & 1) << (7 - step)
    return found.astype(np.uint8)


def distinct(count: int) -> NDArray[np.uint8]:
    """Return colours that those who see red and green alike tell apart, too: (count, 3) RGB.

    Each colour is, of 9 x 9 x 9 candidates, the one that is farthest from all before it, by the smallest of
    its distances as seen without red cones, without green cones, and with all. So a smaller palette is the
    beginning of a larger one. After some twenty colours the distances become small: no palette has hundreds of
    colours that differ for everyone.
    """
    chosen = list(_order())
    return np.array([chosen[index % len(chosen)] for index in range(count)], np.uint8)


@cache
def _order() -> tuple[tuple[int, int, int], ...]:
    """Sort the candidates by how far each is from those before it."""
    levels = np.round(np.linspace(0, 255, _LEVELS)).astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    seen = lab(grid)
    bright = (seen[:, 0] >= _LIGHTNESS[0]) & (seen[:, 0] <= _LIGHTNESS[1])
    grid = grid[bright]
    views = np.stack([lab(simulate(grid, eye)) for eye in (None, PROTANOPIA, DEUTERANOPIA)])
    first = int(np.argmin(np.abs(grid.astype(int) - (0, 96, 191)).sum(axis=1)))  # a blue
    order = [first]
    nearest = np.full(len(grid), np.inf)
    for _ in range(min(255, len(grid) - 1)):
        distance = np.linalg.norm(views - views[:, order[-1:]], axis=2).min(axis=0)
        nearest = np.minimum(nearest, distance)
        order.append(int(np.argmax(nearest)))
    return tuple((int(r), int(g), int(b)) for r, g, b in grid[order])


def simulate(
    colors: NDArray[np.uint8], eye: Sequence[Sequence[float]] | None
) -> NDArray[np.uint8]:
    """Show colours (N, 3) RGB as an eye sees them; None: all cones."""
    if eye is None:
        return colors
    seen = np.clip(_linear(colors) @ np.array(eye).T, 0, 1)
    curved = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    return np.asarray(np.round(255 * curved), np.uint8)


def lab(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return colours (N, 3) RGB in CIE L*a*b*, D65, in which distances are near those of perception.

    Source: IEC 61966-2-1 (sRGB); CIE 015:2018, 8.2.1.
    """
    share = _linear(colors) @ _XYZ_OF_RGB.T / _WHITE
    root = np.where(share > (6 / 29) ** 3, np.cbrt(share), share / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = root.T
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=1)


def _linear(colors: NDArray[np.uint8]) -> NDArray[np.float64]:
    share = colors / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
