"""Draw labels: colours over the picture, outlines, and a readable legend."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _PANEL = (255, 255, 255), (24, 24, 24)
_PANEL_STRENGTH = 0.72
_SMALLEST = 120  # pixels of the shorter side; below it a legend would hide the picture
_MOST_ENTRIES = 12
_LONGEST_TEXT = 500  # characters; more than the widest panel shows, and little to measure


@dataclass(frozen=True)
class Entry:
    """A line of the legend; its text is cut off at the edge of the panel."""

    text: str
    color: tuple[int, int, int] | None  # R, G, B; None: a line without a colour


def blend(
    picture: NDArray[np.uint8],
    labels: NDArray[np.uint8 | np.uint16],
    colors: NDArray[np.uint8],
    alpha: float,
) -> NDArray[np.uint8]:
    """Lay the colours of the labels over a picture, and draw the borders in full colour.

    Args:
        picture: (H, W, 3) RGB.
        labels: (H, W).
        colors: (C, 3) RGB.
        alpha: 0, the picture alone, to 1, the colours alone.

    Returns:
        (H, W, 3) RGB, a new array.
    """
    painted = paint(labels, colors)
    mixed = np.asarray(cv2.addWeighted(painted, alpha, picture, 1 - alpha, 0), np.uint8)
    if 0 < alpha < 1:
        border = borders(labels, thickness=max(1, round(min(labels.shape) / 400)))
        cv2.copyTo(painted, border.view(np.uint8), mixed)
    return mixed


def paint(labels: NDArray[np.uint8 | np.uint16], colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colour every pixel by its label: (H, W) -> (H, W, 3) RGB."""
    return np.take(colors, labels, axis=0)


def borders(labels: NDArray[np.uint8 | np.uint16], thickness: int) -> NDArray[np.bool_]:
    """Find the pixels within `thickness` pixels above or left of another label: (H, W) bool."""
    found = np.zeros(labels.shape, np.bool_)
    for step in range(1, thickness + 1):
        found[:-step] |= labels[:-step] != labels[step:]
        found[:, :-step] |= labels[:, :-step] != labels[:, step:]
    return found


def draw_legend(picture: NDArray[np.uint8], entries: Sequence[Entry]) -> None:
    """Draw a panel with the first entries into the lower left corner of `picture`, in place.

    Letters grow with the picture; as many entries are drawn as fit, the last line counting the
    rest. A picture too small for a readable legend gets none.

    Args:
        picture: (H, W, 3) RGB.
        entries: the most important first.
    """
    height, width = picture.shape[:2]
    if min(height, width) < _SMALLEST or not entries:
        return
    line = max(12, round(min(height, width) / 25))  # pixels from one line to the next
    margin = line // 2
    room = min(_MOST_ENTRIES, (height - 4 * margin) // line)
    shown = [replace(entry, text=entry.text[:_LONGEST_TEXT]) for entry in entries[:room]]
    if len(shown) < len(entries):
        shown[-1] = Entry(f"and {len(entries) - room + 1} more", None)
    scale, stroke = line / 36, max(1, round(line / 18))
    widest = max(cv2.getTextSize(e.text, _FONT, scale, stroke)[0][0] for e in shown)
    panel_width = min(width - 2 * margin, widest + line + 3 * margin)
    left, top = margin, height - margin - len(shown) * line - margin
    panel = picture[top : height - margin, left : left + panel_width]
    panel[:] = cv2.addWeighted(
        panel, 1 - _PANEL_STRENGTH, np.full_like(panel, _PANEL), _PANEL_STRENGTH, 0
    )
    for row, entry in enumerate(shown):
        _draw_entry(panel, entry, margin // 2 + row * line, line, scale, stroke)


def _draw_entry(
    panel: NDArray[np.uint8], entry: Entry, top: int, line: int, scale: float, stroke: int
) -> None:
    margin, gap = line // 2, max(1, line // 8)
    if entry.color is not None:
        panel[top + gap : top + line - gap, margin : margin + line - 2 * gap] = entry.color
    # OpenCV draws into whole arrays only; a part of one is copied, drawn into and put back.
    canvas = np.ascontiguousarray(panel)
    place = (2 * margin + line - 2 * gap, top + round(line * 0.72))
    cv2.putText(canvas, entry.text, place, _FONT, scale, _INK, stroke, cv2.LINE_AA)
    panel[:] = canvas
