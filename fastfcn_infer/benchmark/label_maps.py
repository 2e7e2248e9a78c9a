"""Labels beside timings: a report holds those of one picture, and how far two models agree.

A faster row is worth something if its labels are still right. Within a run, the labels of every model are
compared with those of the first one on the same pictures. For a comparison with a run of another day, a row
holds the labels of the bundled photograph.
"""

import base64
import hashlib
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.benchmark.report import Agreed, Report, Row
from fastfcn_infer.benchmark.workload import photograph
from fastfcn_infer.evaluation.agreement import Agreement, agreement
from fastfcn_infer.inference.predictor import Predictor
from fastfcn_infer.inference.views import Size

MOST_BYTES = 20_000  # of a compressed label map; a report stays small enough to be committed
_LINE = 4000  # characters


def pack_labels(labels: NDArray[Any]) -> tuple[str, ...]:
    """Compress a label map to lines of text.

    Rows are written as their difference from the row above, which is zero in most places.

    Args:
        labels: (H, W), 0 to 65535.

    Returns:
        Base64; empty if the map takes more than `MOST_BYTES`.
    """
    rows = labels.astype("<u2")
    rows[1:] ^= labels.astype("<u2")[:-1]
    data = zlib.compress(rows.tobytes(), 9)
    if len(data) > MOST_BYTES:
        return ()
    text = base64.b64encode(data).decode()
    return tuple(text[first : first + _LINE] for first in range(0, len(text), _LINE))


def unpack_labels(lines: Sequence[str], size: Size) -> NDArray[np.uint16]:
    """Restore a label map (H, W).

    Raises:
        ValueError: it is damaged, or of another size.
    """
    expected = 2 * size[0] * size[1]
    try:
        unpacking = zlib.decompressobj()
        data = unpacking.decompress(base64.b64decode("".join(lines), validate=True), expected + 1)
    except (ValueError, zlib.error) as error:
        raise ValueError(f"the label map of a row is damaged: {error}") from error
    if len(data) != expected:
        raise ValueError(f"the label map of a row is damaged: it is not {size[0]} x {size[1]}")
    rows = np.frombuffer(data, "<u2").reshape(size)
    return np.bitwise_xor.accumulate(rows, axis=0, dtype=np.uint16)


def check_labels(report: Report) -> Report:
    """Refuse a report with a damaged label map.

    Raises:
        ValueError: one is; names its row.
    """
    for row in report.rows:
        if row.labels:
            try:
                unpack_labels(row.labels, row.size)
            except ValueError as error:
                raise ValueError(f"{row.title}: {error}") from error
    return report


def hash_names(names: Sequence[str]) -> str:
    """Identify the classes of a model: labels of other classes cannot be compared."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def agreement_of_rows(row: Row, other: Row) -> tuple[Agreement | None, str]:
    """Compare the labels that two rows hold.

    Returns:
        The agreement; None and why not where there is none.

    Raises:
        ValueError: a label map is damaged.
    """
    if not row.labels or not other.labels:
        return None, "a report holds no labels of this picture"
    if row.classes != other.classes:
        return None, "the classes are others"
    if row.size != other.size:
        return None, "the pictures are of other sizes"
    maps = [unpack_labels(each.labels, each.size) for each in (row, other)]
    return agreement(maps[0], maps[1]), ""


@dataclass(frozen=True)
class _First:
    title: str
    classes: str
    predictor: Predictor
    seen: NDArray[Any]  # its labels of the photograph


class Reference:
    """Labels some pictures with each model that is measured, and compares them with those of the first.

    Args:
        size: height and width of the bundled photograph.
        images: files of the pictures that are compared; none: the photograph.
    """

    def __init__(self, size: Size, images: Sequence[Path]) -> None:
        self._size, self._images = size, images
        self._first: _First | None = None
        self._maps: list[NDArray[Any]] = []  # labels of the images by the first model
        self._known: dict[tuple[str, str, str], Row] = {}

    def complete(self, row: Row, predictor: Predictor) -> Row:
        """Add the labels of the photograph, and the agreement with the first model, to a row."""
        key = (row.model, row.backend, row.precision)
        if key not in self._known:
            self._known[key] = self._complete(row, predictor)
        known = self._known[key]
        return replace(row, labels=known.labels, classes=known.classes, agreement=known.agreement)

    def _complete(self, row: Row, predictor: Predictor) -> Row:
        classes = hash_names([each.name for each in predictor.model.classes])
        seen = predictor.predict(photograph(self._size, predictor.model.input)).labels
        agreed = None
        if self._first is None:
            self._first = _First(row.title, classes, predictor, seen)
        elif self._first.classes == classes:
            agreed = self._agreed(self._first, predictor, seen)
        return replace(row, labels=pack_labels(seen), classes=classes, agreement=agreed)

    def _agreed(self, first: _First, predictor: Predictor, seen: NDArray[Any]) -> Agreed:
        """Compare labels with those of the first model; `seen` are those of the photograph."""
        if not self._images:
            return Agreed(first.title, 1, agreement(seen, first.seen))
        if not self._maps:
            self._maps = [first.predictor.predict(image).labels for image in self._images]
        counts = [
            agreement(predictor.predict(image).labels, labels)
            for image, labels in zip(self._images, self._maps, strict=True)
        ]
        return Agreed(first.title, len(counts), sum(counts, Agreement()))
