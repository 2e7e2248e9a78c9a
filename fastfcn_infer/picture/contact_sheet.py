"""A contact sheet: for each picture a row of the picture, its overlay, and the areas of its classes."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.picture.annotation import Annotated
from fastfcn_infer.picture.drawing import blend
from fastfcn_infer.picture.legend import Entry, add_legend, draw_title, drawable, percent
from fastfcn_infer.picture.picture import Picture
from fastfcn_infer.system.excerpt import excerpt
from fastfcn_infer.system.opencv import cv2

WIDTH = 1500  # pixels of every row
_HEIGHT, _WIDEST = 380, 580  # of a picture in a row, at most
_LOWEST = 240  # of a row, for the legend
_GAP = 8
_GROUND = 24  # grey
_MOST = 16  # classes in a row
_LONGEST_TITLE = 300  # characters; more than fit


def sheet_row(found: Annotated, title: str) -> NDArray[np.uint8]:
    """Draw the row of a picture.

    Args:
        found: the picture and its labels.
        title: above the row.

    Returns:
        (H, `WIDTH`, 3) RGB.
    """
    height, width = found.labels.shape
    scale = min(_HEIGHT / height, _WIDEST / width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = cv2.resize(found.picture, size, interpolation=cv2.INTER_AREA)
    # Drawn at the size at which it is seen, so that borders are as thick as in any overlay.
    labels = cv2.resize(found.labels, size, interpolation=cv2.INTER_NEAREST)
    counts = np.bincount(found.labels.ravel(), minlength=len(found.names))
    colors = np.zeros((len(counts), 3), np.uint8)
    colors[: len(found.names)] = found.colors
    drawn = np.arange(len(counts)) < len(found.names)
    overlay = blend(np.asarray(picture, np.uint8), np.asarray(labels), colors, 0.5, drawn)
    high = max(_LOWEST, size[1])
    pair = np.full((high, 2 * _WIDEST + _GAP, 3), _GROUND, np.uint8)
    top, left = (high - size[1]) // 2, (_WIDEST - size[0]) // 2
    for at, image in ((left, picture), (_WIDEST + _GAP + left, overlay)):
        pair[top : top + size[1], at : at + size[0]] = image
    entries = _entries(found, counts[: len(found.names)])
    row = add_legend(pair, entries, lambda _: entries[-1], "right", lambda *_: 0.0)
    # The end of a path says more, and so do its letters when some cannot be drawn.
    title = title[-_LONGEST_TITLE:]
    head = draw_title(drawable(title, "".join(c if c.isascii() else "?" for c in title)), WIDTH)
    body = np.full((len(row) + _GAP, WIDTH, 3), _GROUND, np.uint8)
    body[: len(row), : row.shape[1]] = row[:, :WIDTH]
    return np.concatenate((head, body))


def contact_sheet(results: Iterable[Annotated]) -> Picture:
    """Draw a contact sheet: a row for each result with its picture, overlay, legend and areas.

    Args:
        results: of `Segmenter.predict`, `predict_batch` or `stream`; they are drawn one by one.

    Returns:
        (H, 1500, 3) RGB; up to 420 rows of pixels for each result.

    Raises:
        ValueError: there are no results, or one is something else, such as a picture that failed.
    """
    given: object = results
    if not isinstance(given, Iterable):
        raise ValueError(f"results is {excerpt(given)}; a list of results was expected")
    rows = []
    for number, found in enumerate(results, 1):
        if not isinstance(getattr(found, "labels", None), np.ndarray):
            raise ValueError(
                f"number {number} of the results is {excerpt(found)}, not a result of predict"
            )
        rows.append(sheet_row(found, _title(found, number)))
    if not rows:
        raise ValueError("a contact sheet of no results was asked for; at least one was expected")
    return Picture(np.concatenate(rows))


def _title(found: Annotated, number: int) -> str:
    name = found.source or f"picture {number}"
    return name if found.frame is None else f"{name}, frame {found.frame}"


def _entries(found: Annotated, counts: NDArray[np.int64]) -> list[Entry]:
    """Return a line for each class that is present; the last of `_MOST` lines counts the others."""
    total = counts.sum()  # without pixels of no class, as in `Segmentation.areas`
    order = [label for label in np.argsort(-counts, kind="stable").tolist() if counts[label]]
    shown = order if len(order) <= _MOST else order[: _MOST - 1]
    entries = [
        Entry(
            drawable(found.names[label], f"class {label}"),
            percent(int(counts[label]) / total),
            (int(red), int(green), int(blue)),
        )
        for label in shown
        for red, green, blue in [found.colors[label]]
    ]
    others = order[len(shown) :]
    if others:
        share = percent(int(counts[others].sum()) / total)
        entries.append(Entry(f"others ({len(others)})", share, None))
    return entries
