"""The legend of an overlay: a panel inside the picture, at its right, or below it.

Sizes follow the picture: letters are about 1/36 of its shorter side and never too small to read.
"""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.system.opencv import cv2

Place: TypeAlias = Literal["auto", "right", "below", "none"]

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_INK, _PANEL = (255, 255, 255), 24  # white, and a dark grey
_PANEL_STRENGTH = 0.72  # inside a picture, what it hides shines through
_SMALLEST = 120  # pixels of the shorter side; below it a legend inside would hide the picture
_MOST_INSIDE, _MOST_OUTSIDE = 12, 40  # entries
_WIDEST_INSIDE, _HIGHEST_INSIDE = 0.45, 0.6  # of the picture's sides
_LONGEST_TEXT = 500  # characters; more than the widest panel shows, and little to measure
_FONT_HAS_ONLY_ASCII = int(cv2.__version__.split(".")[0]) < 5


@dataclass(frozen=True)
class Entry:
    """A line of the legend; a name that is too long is shortened, its share never."""

    name: str
    share: str
    color: tuple[int, int, int] | None  # R, G, B; None: a line without a colour


@dataclass(frozen=True)
class _Style:
    """Lengths in pixels."""

    line: int  # from one line to the next

    @property
    def margin(self) -> int:
        return self.line // 2

    @property
    def scale(self) -> float:
        return self.line / 36

    @property
    def stroke(self) -> int:
        return max(1, round(self.line / 18))

    def width(self, text: str) -> int:
        """Width of a text."""
        return _width(text[:_LONGEST_TEXT], self.scale, self.stroke)


@lru_cache(4096)  # the pictures of a folder have the same classes, and often one size
def _width(text: str, scale: float, stroke: int) -> int:
    return int(cv2.getTextSize(text, _FONT, scale, stroke)[0][0])


@dataclass(frozen=True)
class _Table:
    """Entries whose names fit their column, ready to be drawn."""

    entries: tuple[Entry, ...]
    style: _Style
    names: int  # width of the column of names
    shares: int  # width of the column of shares

    @property
    def width(self) -> int:
        """Width of one line: margins, swatch, name, share."""
        return self.style.line + self.names + self.shares + 4 * self.style.margin

    def height(self, lines: int) -> int:
        return lines * self.style.line + 2 * self.style.margin


def add_legend(
    picture: NDArray[np.uint8],
    entries: Sequence[Entry],
    rest: Callable[[int], Entry],
    place: Place,
    hidden: Callable[[slice, slice], float],
    *,
    line: int | None = None,
) -> NDArray[np.uint8]:
    """Add the panel with the names.

    Args:
        picture: (H, W, 3) RGB; "auto" draws into it.
        entries: the most important first.
        rest: makes the line that counts the entries from the nth on, of those that do not fit.
        place: "auto": in the corner where it hides the least, if the picture is large enough for
            it; "right", "below": beside the picture, which becomes larger; "none".
        hidden: says how much of worth a panel at these rows and columns would hide.
        line: pixels from one line to the next; None: as the size of the picture suggests.

    Returns:
        The picture, or a larger one.
    """
    if place == "none" or not entries:
        return picture
    height, width = picture.shape[:2]
    style = _Style(max(12, round(min(height, width) / 25)) if line is None else line)
    if place == "auto":
        _draw_inside(picture, entries, rest, style, hidden)
        return picture
    shown = _fitting(entries, rest, _MOST_OUTSIDE)
    table = _table(shown, style, 16 * style.line)
    if place == "right":
        lines = max(min(len(shown), (height - 2 * style.margin) // style.line), 1)
        lines = max(lines, min(len(shown), _MOST_INSIDE))
        columns = -(-len(shown) // lines)
        panel = _panel(max(height, table.height(lines)), columns * table.width)
        canvas = _panel(len(panel), width + panel.shape[1])
        at = 0, width
    else:
        columns = min(len(shown), max(1, width // table.width))
        lines = -(-len(shown) // columns)
        panel = _panel(table.height(lines), max(width, columns * table.width))
        canvas = _panel(height + len(panel), panel.shape[1])
        at = height, 0
    _draw_table(panel, table, lines)
    canvas[:height, :width] = picture
    canvas[at[0] : at[0] + panel.shape[0], at[1] : at[1] + panel.shape[1]] = panel
    return canvas


def drawable(name: str, instead: str) -> str:
    """Return a name as it can be drawn.

    OpenCV 5 draws most scripts. Before it draws ASCII alone: accents are dropped, and a name in
    another script is replaced.

    Args:
        name: in any script.
        instead: ASCII, what stands for a name that cannot be drawn.
    """
    name = " ".join("".join(c if c.isprintable() else " " for c in name[:_LONGEST_TEXT]).split())
    if not _FONT_HAS_ONLY_ASCII:
        return name or instead
    parts = unicodedata.normalize("NFKD", name.replace("ß", "ss"))
    plain = "".join(c for c in parts if not unicodedata.combining(c))
    return plain if plain and plain.isascii() else instead


def percent(share: float) -> str:
    """Write a share, 0 to 1, as it stands in a legend."""
    return f"{share:.0%}".replace("%", " %") if share >= 0.01 else "< 1 %"


def draw_title(text: str, width: int, line: int = 24) -> NDArray[np.uint8]:
    """Draw a line of text: (line + margin, width, 3) RGB.

    A path that is too long loses its beginning: the name of the file tells pictures apart.
    """
    style = _Style(line)
    strip = _panel(line + style.margin, width)
    shown = _shortened(text[::-1], width - 2 * style.margin, style)[::-1]
    at = style.margin, round(line * 1.05)
    cv2.putText(strip, shown, at, _FONT, style.scale, _INK, style.stroke, cv2.LINE_AA)
    return strip


def _draw_inside(
    picture: NDArray[np.uint8],
    entries: Sequence[Entry],
    rest: Callable[[int], Entry],
    style: _Style,
    hidden: Callable[[slice, slice], float],
) -> None:
    """Draw into the corner that hides the least; a picture too small for a panel gets none."""
    height, width = picture.shape[:2]
    if min(height, width) < _SMALLEST:
        return
    room = int(height * _HIGHEST_INSIDE - 2 * style.margin) // style.line
    shown = _fitting(entries, rest, min(_MOST_INSIDE, room))
    margin = style.margin
    widest = max(round(width * _WIDEST_INSIDE), min(width - 2 * margin, 12 * style.line))
    table = _table(shown, style, widest)
    high, wide = table.height(len(shown)), table.width
    corners = [
        (slice(top, top + high), slice(left, left + wide))
        for left in (margin, width - margin - wide)
        for top in (height - margin - high, margin)
    ]
    rows, columns = min(corners, key=lambda corner: hidden(*corner))
    part = picture[rows, columns]
    panel = _panel(high, wide)
    panel = np.asarray(cv2.addWeighted(part, 1 - _PANEL_STRENGTH, panel, _PANEL_STRENGTH, 0))
    _draw_table(panel, table, len(shown))
    part[:] = panel


def _fitting(
    entries: Sequence[Entry], rest: Callable[[int], Entry], most: int
) -> tuple[Entry, ...]:
    """Keep as many entries as fit; the last line counts the others."""
    if len(entries) <= most:
        return tuple(entries)
    return (*entries[: most - 1], rest(most - 1))


def _table(entries: Sequence[Entry], style: _Style, widest: int) -> _Table:
    """Shorten the names so that a line is at most `widest` pixels wide."""
    shares = max(style.width(entry.share) for entry in entries)
    room = max(style.line, widest - shares - style.line - 4 * style.margin)
    short = tuple(replace(e, name=_shortened(e.name, room, style)) for e in entries)
    return _Table(short, style, max(style.width(entry.name) for entry in short), shares)


def _shortened(name: str, room: int, style: _Style) -> str:
    """Cut a name so that it fits `room` pixels, and mark the cut by dots."""
    name = name[:_LONGEST_TEXT]
    if style.width(name) <= room:
        return name
    low, high = 0, len(name)
    while low < high:  # the longest beginning that fits
        middle = (low + high + 1) // 2
        if style.width(f"{name[:middle].rstrip()}...") <= room:
            low = middle
        else:
            high = middle - 1
    return f"{name[:low].rstrip()}..."


def _panel(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), _PANEL, np.uint8)


def _draw_table(panel: NDArray[np.uint8], table: _Table, lines: int) -> None:
    """Draw the entries from above to below, then from left to right."""
    for index, entry in enumerate(table.entries):
        column, row = divmod(index, lines)
        top = table.style.margin + row * table.style.line
        _draw_entry(panel, entry, table, top, column * table.width)


def _draw_entry(
    panel: NDArray[np.uint8], entry: Entry, table: _Table, top: int, left: int
) -> None:
    style = table.style
    gap = max(1, style.line // 8)
    left += style.margin
    if entry.color is not None:
        # Outlined: a dark swatch would be lost on the dark panel.
        outline = max(1, style.line // 20)
        outer = slice(top + gap, top + style.line - gap), slice(left, left + style.line - 2 * gap)
        inner = tuple(slice(s.start + outline, s.stop - outline) for s in outer)
        panel[outer] = _INK
        panel[inner] = entry.color
    base = top + round(style.line * 0.72)
    name_at = left + style.line + style.margin
    share_at = name_at + table.names + style.margin + table.shares - style.width(entry.share)
    for text, at in ((entry.name, name_at), (entry.share, share_at)):
        cv2.putText(panel, text, (at, base), _FONT, style.scale, _INK, style.stroke, cv2.LINE_AA)
