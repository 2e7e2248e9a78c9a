"""Which files are results of earlier runs, and what made them."""

import re
from pathlib import Path

from fastfcn_infer.errors import FastFCNError
from fastfcn_infer.picture.provenance import read_provenance

_ENDINGS = (
    *(
        "_labels.png",
        "_labels_raw.png",
        "_overlay.jpg",
        "_color.png",
        "_confidence.png",
        "_labels.tif",
    ),
    *("_overlay.mp4", "_color.mp4"),
)
_FOLDERS = (
    "panoptic",
    "SegmentationClass",
    "sheet",
)  # of formats whose files are named as the pictures


def is_result(path: Path) -> bool:
    """Tell whether a file is a result: by its name, and by what it says of itself."""
    name = path.name.lower()
    named = (
        name.endswith(_ENDINGS)
        or re.fullmatch(r"sheet(_\d+)?\.jpg", name) is not None
        or any(part in _FOLDERS for part in path.parts)
    )
    return named and read_any(path) is not None


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
