"""Which files are results of earlier runs, and what made them."""

import re
from functools import cache
from pathlib import Path, PurePosixPath

from fastfcn_infer.errors import FastFCNError
from fastfcn_infer.picture import annotation
from fastfcn_infer.picture.provenance import read_provenance

_ENDINGS = (
    "_labels.png",
    "_labels_raw.png",
    "_overlay.jpg",
    "_color.png",
    "_confidence.png",
    "_labels.tif",
    "_overlay.mp4",
    "_color.mp4",
)


_OF_FRAMES = ("_labels", "_labels_raw", "_confidence")  # folders of the label maps of a video


def is_result(path: Path) -> bool:
    """Tell whether a file is a result: by its name, and by what it says of itself."""
    named = path.name.lower().endswith(_ENDINGS) or _is_of_format(path)
    named = named or path.parent.name.lower().endswith(_OF_FRAMES)
    return named and read_any(path) is not None


def _is_of_format(path: Path) -> bool:
    """Tell by the name whether a file may be one of a format of annotations: sheet_2.jpg, or in its folder."""
    name = re.sub(r"_\d+$", "", path.stem.lower())
    return name in annotation.NAMES or not _folders().isdisjoint(path.parts)


@cache
def _folders() -> frozenset[str]:
    """Name the folders of the formats' files, which are named as the pictures."""
    places = (PurePosixPath(annotation.load(name).PLACE) for name in annotation.NAMES)
    return frozenset(place.parent.name for place in places) - {""}


def read_any(path: Path) -> dict[str, str] | None:
    """Read what made a result, also of a raster or a video; None if unknown."""
    suffix = path.suffix.lower()
    if suffix not in (".tif", ".mp4"):
        return read_provenance(path)
    from fastfcn_infer.inference.raster.target import read_raster_provenance
    from fastfcn_infer.inference.stream.film import read_film_provenance

    try:
        return read_raster_provenance(path) if suffix == ".tif" else read_film_provenance(path)
    except (FastFCNError, OSError):
        return None
