"""Names and colours of the classes, as training programs write them beside the weights.

mmsegmentation 0.x writes ``meta = {"CLASSES": (...), "PALETTE": [...]}``, mmengine ``meta =
{"dataset_meta": {"classes": (...), "palette": [...]}}``; others put such keys at the top.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from fastfcn_export.checkpoint.container import Contents
from fastfcn_infer.artifact.class_table import numbered_classes
from fastfcn_infer.artifact.manifest import LONGEST_NAME, MOST_CLASSES, ClassInfo
from fastfcn_infer.errors import CheckpointError

_NAMES = ("classes", "class_names")
_COLOURS = ("palette", "colors")
_INNER = ("meta", "dataset_meta", "metainfo")


def named_classes(contents: Contents) -> tuple[ClassInfo, ...] | None:
    """Read names and colours of classes; None if the checkpoint does not say them.

    Colours that are missing, or not one per class, are numbered ones.
    """
    for level in _levels(contents.tree, len(_INNER)):
        names = _names(_entry(level, _NAMES))
        if names:
            colours = _colours(contents, _entry(level, _COLOURS), len(names))
            return tuple(ClassInfo(name, c) for name, c in zip(names, colours, strict=True))
    return None


def _levels(state: object, depth: int) -> Iterator[dict[object, object]]:
    """The dicts that may hold the names, inner ones first."""
    if isinstance(state, dict):
        if depth:
            for key in _INNER:
                yield from _levels(_entry(state, (key,)), depth - 1)
        yield state


def _entry(state: dict[object, object], keys: Sequence[str]) -> object:
    spelled = (spelling for key in keys for spelling in (key, key.upper()))
    return next((state[key] for key in spelled if key in state), None)


def _names(found: object) -> list[str]:
    if not isinstance(found, tuple | list) or not 1 <= len(found) <= MOST_CLASSES:
        return []
    names = [name for name in found if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME]
    return [name for name in names if name.isprintable()] if len(names) == len(found) else []


def _colours(contents: Contents, found: object, count: int) -> list[tuple[int, int, int]]:
    try:
        rows = contents.convert(found)
    except CheckpointError:
        rows = None
    if isinstance(rows, np.ndarray) and rows.shape == (count, 3):
        rows = rows.tolist()
    if isinstance(rows, tuple | list) and len(rows) == count and all(map(_is_colour, rows)):
        return [(int(row[0]), int(row[1]), int(row[2])) for row in rows]
    return [entry.color for entry in numbered_classes(count)]


def _is_colour(row: object) -> bool:
    return (
        isinstance(row, tuple | list)
        and len(row) == 3
        and all(type(value) is int and 0 <= value <= 255 for value in row)
    )
