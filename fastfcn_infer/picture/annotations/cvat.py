"""CVAT's "Segmentation mask 1.1": a folder of coloured masks with a table of colours."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.annotation import Annotated, Entry
from fastfcn_infer.picture.drawing import paint
from fastfcn_infer.picture.picture import Picture
from fastfcn_infer.picture.provenance import with_provenance
from fastfcn_infer.system.excerpt import excerpt

READER = "CVAT, datumaro"
PLACE = "cvat/SegmentationClass/{}.png"
ALONE = ()

_BACKGROUND = "background"
Color = tuple[int, ...]


def color_table(names: Sequence[str], colors: NDArray[np.uint8]) -> dict[str, Color]:
    """Return the colour of each name: the class's own, unless an earlier class or the background has it.

    A mask names classes by their colours, so no two may share one; classes of one name are one class.
    Black is the background, which CVAT expects.

    Raises:
        ImageError: a name cannot be written into the table.
    """
    table: dict[str, Color] = {_BACKGROUND: (0, 0, 0)}
    own = {tuple(color) for color in colors.tolist()}
    free = (
        color
        for number in range(1, 1 << 24)
        if (color := (number * 73 % 256, number * 151 % 256, number * 199 // 256 % 256)) not in own
    )
    for name, color in zip(names, colors.tolist(), strict=True):
        plain = name and name == name.strip() and name.isprintable()
        if not plain or ":" in name or name.startswith("#"):
            raise ImageError(
                f"CVAT's table of labels cannot hold the name {excerpt(name)}: it has a line for each class, in "
                "which colons, a # in the beginning and spaces at the ends mean something. Give the class "
                "another name (fastfcn relabel)."
            )
        if name in table:
            continue
        wanted = tuple(color)
        while wanted in table.values():
            wanted = next(free)
        table[name] = wanted
    return table


def describe(found: Annotated) -> dict[str, Color]:
    """Return the table of colours."""
    return color_table(found.names, found.colors)


def encode(found: Annotated, entry: Entry) -> dict[str, bytes]:
    """Write the table and a mask."""
    table = describe(found)
    lines = [f"{name}:{','.join(map(str, color))}::\n" for name, color in table.items()]
    head = "# label:color_rgb:parts:actions\n"
    # What has no class is background: black.
    colors = np.zeros((1 << 16 if found.labels.dtype == np.uint16 else 256, 3), np.uint8)
    colors[: len(found.names)] = [table[name] for name in found.names]
    mask = Picture(paint(found.labels, colors)).encode(".png")
    return {
        "cvat/labelmap.txt": (head + "".join(lines)).encode(),
        PLACE.format(entry.name): with_provenance(mask, found.provenance),
    }


def collect(folder: Path, names: Mapping[str, str]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Make the list of pictures."""
    listed = "".join(f"{name}\n" for name in names)
    # As the file system has them: not every name is UTF-8.
    data = listed.encode("utf-8", "surrogateescape")
    yield "cvat/ImageSets/Segmentation/default.txt", [data]
