"""What can be said about label maps, and the command-line options of everything that reads them."""

from typing import Literal, get_args

Orientation = Literal["auto", "upright", "stored"]
ORIENTATIONS: tuple[Orientation, ...] = get_args(Orientation)

IGNORE = 255  # label of pixels in no class, which are neither learned nor counted

MAP_HELP = (
    "Labels of values in the label files that the data set does not have, or has otherwise: 255=1 for "
    "masks of 0 and 255; 0 is the first class, 255 or ignore is none"
)
ORIENTATION_HELP = (
    "Whether label maps of pictures that EXIF turns were drawn on the upright picture or on the pixels "
    "as stored (default: auto, what the sizes say)"
)
ACCEPT_HELP = (
    "Continue although the labels lack something: nothing is labelled, or only one class, or a class "
    "has no pixel"
)


def read_map(text: str) -> dict[int, int]:
    """Read ``VALUE=LABEL[,VALUE=LABEL]``; LABEL may be ``ignore``.

    Raises:
        ValueError: it is something else, or has a value twice.
    """
    found: dict[int, int] = {}
    for word in text.split(","):
        value, _, label = word.strip().partition("=")
        label = str(IGNORE) if label.lower() == "ignore" else label
        if not (_is_number(value) and _is_number(label)) or int(value) in found:
            raise ValueError(
                f"--map-labels {text}: VALUE=LABEL[,VALUE=LABEL] was expected, such as 255=1,128=ignore, "
                "with each value once"
            )
        found[int(value)] = int(label)
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5
