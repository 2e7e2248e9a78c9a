"""What can be said about label maps, and the command-line options of everything that reads them."""

import re
from collections.abc import Sequence
from typing import Literal, get_args

from fastfcn_infer.system.excerpt import printable

Orientation = Literal["auto", "upright", "stored"]
ORIENTATIONS: tuple[Orientation, ...] = get_args(Orientation)

IGNORE = 255  # label of pixels in no class, which are neither learned nor counted

MAP_HELP = (
    "How to read values in the label files that differ from the data set's: 255=1 for masks of 0 and 255, "
    "0=ignore,1-150=0-149 for files that count classes from 1; label 0 is the first class, 255 or ignore is "
    "no class"
)
ORIENTATION_HELP = (
    "Whether label maps of pictures that EXIF turns were drawn on the upright picture or on the pixels "
    "as stored (default: auto, found from the sizes)"
)
ACCEPT_HELP = "Continue even if nothing is labelled, only one class is, or a class has no pixel"


def read_map(text: str) -> dict[int, int]:
    """Read ``VALUE=LABEL[,VALUE=LABEL]``.

    Either may be a range, ``1-150``; LABEL may also be ``ignore``. A range of values has a range of as many
    labels, or one label for all.

    Raises:
        ValueError: it is something else, or has a value twice.
    """
    found: dict[int, int] = {}
    for word in text.split(","):
        left, _, right = word.strip().partition("=")
        values = _numbers(left)
        labels = _numbers(str(IGNORE) if right.lower() == "ignore" else right)
        if len(labels) == 1:
            labels = list(labels) * len(values)
        if not values or len(values) != len(labels) or not found.keys().isdisjoint(values):
            raise ValueError(
                f"--map-labels {printable(text)}: VALUE=LABEL[,VALUE=LABEL] was expected, such as "
                "255=1,128=ignore or 0=ignore,1-150=0-149, with each value once"
            )
        found.update(zip(values, labels, strict=True))
    return found


def _numbers(text: str) -> Sequence[int]:
    """Read a number, or a range of them; empty if it is neither."""
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
    return () if match is None else range(int(match[1]), int(match[2] or match[1]) + 1)
