"""Label Studio: tasks with predictions of its brush, and the labelling interface they need."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.annotation import (
    Annotated,
    Entry,
    files,
    picture_name,
    present,
    read_json,
)
from fastfcn_infer.picture.run_lengths import brush
from fastfcn_infer.system.excerpt import excerpt
from fastfcn_infer.system.json_bytes import json_bytes

READER = "Label Studio"
PLACE = "label-studio/{}.json"
ALONE = (".json",)

# Source: XML 1.0, fifth edition, 2.2 (Char).
_NOT_IN_XML = re.compile(r"[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FROM, _TO = "label", "image"  # the names of the interface's parts


def describe(found: Annotated, image: str | None = None) -> dict[str, Any]:
    """Return a task; see `Segmentation.to_label_studio`."""
    height, width = found.labels.shape
    return {
        "data": {_TO: picture_name(found) if image is None else image},
        "predictions": [
            {
                "model_version": found.provenance.get("model", "fastfcn-infer"),
                "result": [
                    {
                        "id": f"class-{label}",
                        "type": "brushlabels",
                        "from_name": _FROM,
                        "to_name": _TO,
                        "original_width": width,
                        "original_height": height,
                        "image_rotation": 0,
                        "value": {
                            "format": "rle",
                            "rle": brush(found.labels == label),
                            "brushlabels": [found.names[label]],
                        },
                    }
                    for label in present(found)
                ],
            }
        ],
        "provenance": dict(found.provenance),
    }


def interface(found: Annotated) -> str:
    """Return the labelling interface in which the predictions are shown.

    Raises:
        ImageError: the name of a class cannot be written in XML.
    """
    for name in found.names:
        if _NOT_IN_XML.search(name):
            raise ImageError(
                f"Label Studio's interface is XML, which cannot hold the name {excerpt(name)}. Give the class "
                "another name (fastfcn relabel)."
            )
    colors = dict(zip(found.names, found.colors.tolist(), strict=True))
    labels = "".join(
        f'    <Label value={quoteattr(name)} background="#{r:02x}{g:02x}{b:02x}"/>\n'
        for name, (r, g, b) in colors.items()
    )
    return (
        f'<View>\n  <Image name="{_TO}" value="${_TO}" zoom="true"/>\n'
        f'  <BrushLabels name="{_FROM}" toName="{_TO}">\n{labels}  </BrushLabels>\n</View>\n'
    )


def encode(found: Annotated, entry: Entry) -> dict[str, bytes]:
    """Write the interface and a task."""
    task = json_bytes(describe(found, entry.picture))
    return {"label-studio.xml": interface(found).encode(), PLACE.format(entry.name): task}


def collect(folder: Path, names: Mapping[str, str]) -> Iterator[tuple[str, Iterable[bytes]]]:
    """Make ``label-studio.json``, the list of tasks."""
    yield "label-studio.json", _tasks(files(folder, PLACE, names))


def _tasks(pictures: Mapping[Path, str]) -> Iterator[bytes]:
    yield b"["
    for index, (path, picture) in enumerate(pictures.items()):
        task = {**read_json(path), "data": {_TO: picture}}
        task.pop("provenance", None)
        yield (b",\n" if index else b"\n") + json_bytes(task)[:-1]
    yield b"\n]\n"
