"""Draw labels over a picture: colours and outlines; `legend` names them."""

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.system.opencv import cv2


def blend(
    picture: NDArray[np.uint8],
    labels: NDArray[np.uint8 | np.uint16],
    colors: NDArray[np.uint8],
    alpha: float,
    drawn: NDArray[np.bool_] | None = None,
    strength: NDArray[np.float32] | None = None,
    contours: bool = False,
) -> NDArray[np.uint8]:
    """Lay the colours of the labels over a picture, and draw the borders in full colour.

    Args:
        picture: (H, W, 3) RGB.
        labels: (H, W).
        colors: (C, 3) RGB.
        alpha: 0, the picture alone, to 1, the colours alone.
        drawn: (C,) the classes to draw; where others are, the picture stays as it is. None: all.
        strength: (H, W) 0 to 1, what `alpha` is multiplied by in each pixel; None: 1.
        contours: draw the outlines as lines of about 1/80 of the shorter side, whatever `alpha` is.

    Returns:
        (H, W, 3) RGB, a new array.
    """
    painted = paint(labels, colors)
    if strength is None:
        mixed = np.asarray(cv2.addWeighted(painted, alpha, picture, 1 - alpha, 0), np.uint8)
    else:
        share = np.asarray(np.float32(alpha) * strength, np.float32)
        mixed = np.asarray(cv2.blendLinear(painted, picture, share, 1 - share), np.uint8)
    inside = None if drawn is None else drawn[labels]
    if inside is not None:
        np.copyto(mixed, picture, where=~inside[:, :, None])
    side = min(labels.shape)
    if contours:
        _draw_contours(mixed, labels, painted, max(2, round(side / 160)), inside)
    elif 0 < alpha < 1:
        border = borders(labels, thickness=max(1, round(side / 400)))
        if inside is not None:
            border &= inside
        cv2.copyTo(painted, border.view(np.uint8), mixed)
    return mixed


def _draw_contours(
    mixed: NDArray[np.uint8],
    labels: NDArray[np.uint8 | np.uint16],
    painted: NDArray[np.uint8],
    thickness: int,
    inside: NDArray[np.bool_] | None,
) -> None:
    """Draw a line in the colour of each area along its inner side, and a thin dark one between two."""
    for width, color in ((thickness, painted), (max(1, thickness // 3), np.zeros_like(painted))):
        line = borders(labels, width)
        line |= borders(labels[::-1, ::-1], width)[::-1, ::-1]  # on both sides
        if inside is not None:
            line &= inside
        cv2.copyTo(color, line.view(np.uint8), mixed)


def paint(labels: NDArray[np.uint8 | np.uint16], colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour every pixel by its label: (H, W) -> (H, W, 3) RGB."""
    if labels.dtype != np.uint8 or not labels.size:
        return np.take(colors, labels, axis=0)
    table = np.zeros((256, 1, 3), np.uint8)
    table[: len(colors), 0] = colors[:256]
    # A table of bytes: three times as fast as NumPy, which turns every label into 64 bits. As one row, which OpenCV
    # does not divide among its threads; see `bands`.
    painted = cv2.applyColorMap(np.ascontiguousarray(labels).reshape(1, -1), table)
    return np.asarray(painted, np.uint8).reshape(*labels.shape, 3)


def borders(labels: NDArray[np.uint8 | np.uint16], thickness: int) -> NDArray[np.bool_]:
    """Find the pixels within `thickness` pixels above or left of another label: (H, W) bool."""
    found = np.zeros(labels.shape, np.bool_)
    for step in range(1, thickness + 1):
        found[:-step] |= labels[:-step] != labels[step:]
        found[:, :-step] |= labels[:, :-step] != labels[:, step:]
    return found
