"""Contact sheet: pages of rows with picture, overlay, legend and areas."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.annotation import Annotated, Entry
from fastfcn_infer.picture.contact_sheet import WIDTH, sheet_row
from fastfcn_infer.picture.picture import Picture
from fastfcn_infer.picture.provenance import read_provenance, with_provenance
from fastfcn_infer.system.opencv import cv2

READER = "any viewer of pictures"
PLACE = "sheet/{}.jpg"
ALONE = (".jpg", ".jpeg")

_ROWS = 12  # of a page


def describe(found: Annotated, title: str) -> Picture:
    """Return the row of a picture."""
    return Picture(sheet_row(found, title))


def encode(found: Annotated, entry: Entry) -> dict[str, bytes]:
    """Write the row of a picture."""
    row = describe(found, entry.picture).encode(".jpg")
    return {PLACE.format(entry.name): with_provenance(row, found.provenance)}


def collect(folder: Path, names: Mapping[str, str]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Make the pages: ``sheet.jpg``, ``sheet_2.jpg`` and so on."""
    rows = [folder / PLACE.format(name) for name in names]
    for first in range(0, len(rows), _ROWS):
        paths = rows[first : first + _ROWS]
        page = np.concatenate([_row(path) for path in paths])
        data = with_provenance(Picture(page).encode(".jpg"), read_provenance(paths[0]) or {})
        yield f"sheet_{first // _ROWS + 1}.jpg" if first else "sheet.jpg", [data]


def _row(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    read = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if read is None or read.shape[1] != WIDTH:
        raise ImageError(f"{path} is damaged; make it again with --force")
    return np.asarray(cv2.cvtColor(read, cv2.COLOR_BGR2RGB), np.uint8)
