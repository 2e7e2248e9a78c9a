"""Which parts of a picture can be labelled before all of its views are computed.

Windows follow each other from top to bottom. Rows that no later window reaches are final, and the
outputs of windows that lie above all other rows are not needed any more. A picture that is too wide for
that is labelled in strips of columns, one after the other; windows over a border belong to two strips.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from fastfcn_infer.inference.views import Size, View


@dataclass(frozen=True)
class Band:
    """Rows of a picture that are labelled together.

    Args:
        rows: of the picture, with start and stop.
        views: indices of the views that they depend on; all later bands depend on none before these.
    """

    rows: slice
    views: range


def strips(width: int, step: int | None) -> tuple[slice, ...]:
    """Divide the columns of a picture into strips of `step` columns; None: a single one."""
    if step is None:
        return (slice(0, width),)
    return tuple(slice(first, min(first + step, width)) for first in range(0, width, step))


def over_columns(views: Sequence[View], columns: slice) -> tuple[View, ...]:
    """Return the views that pixels of some columns depend on, in their order.

    Args:
        views: whose windows are cut from the picture at its own size.
        columns: of the picture, with start and stop.
    """
    return tuple(
        view
        for view in views
        if view.window is not None
        and view.window.left < columns.stop
        and view.window.left + view.window.width > columns.start
    )


def columns_seen(views: Sequence[View], picture: Size) -> slice:
    """Return the columns of a picture that the windows of some views see."""
    windows = [view.window for view in views if view.window is not None]
    last = max(window.left + window.width for window in windows)
    return slice(min(window.left for window in windows), min(last, picture[1]))


def bands(views: Sequence[View], picture: Size, step: int) -> tuple[Band, ...]:
    """Divide a picture into bands, from top to bottom.

    Args:
        views: as `views.plan` plans them: the windows of a scale from top to bottom.
        picture: height and width, pixels.
        step: bands begin at multiples of this many rows.

    Returns:
        The bands; a single one where views are resized to the picture, or there is only one view.
    """
    whole = Band(slice(0, picture[0]), range(len(views)))
    spans = []
    for view in views:
        if view.window is None or view.size != picture or view.scale != views[0].scale:
            return (whole,)
        spans.append((view.window.top, view.window.top + view.window.height))
    found: list[Band] = []
    first = start = 0
    for end in range(1, len(spans) + 1):
        reached = spans[end][0] if end < len(spans) else None
        if reached == spans[end - 1][0]:
            continue
        stop = picture[0] if reached is None else reached // step * step
        if stop > start:
            while spans[first][1] <= start:
                first += 1
            found.append(Band(slice(start, stop), range(first, end)))
            start = stop
    return tuple(found)
