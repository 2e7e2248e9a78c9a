"""The contract of a format of annotations, and how one is written; `annotations/` holds one file per format.

A file of `annotations/` is an `AnnotationFile`. Formats are read by other tools, so each is checked in the
tests by the reader of its tool.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.geometry.regions import Region
from fastfcn_infer.system import registry
from fastfcn_infer.system.atomic import write_file, write_parts
from fastfcn_infer.system.excerpt import excerpt
from fastfcn_infer.system.json_bytes import json_bytes

_PACKAGE = "fastfcn_infer.picture.annotations"

NAMES = tuple(name.replace("_", "-") for name in registry.names(_PACKAGE))


class Annotated(Protocol):
    """A picture with a label for every pixel; `Segmentation` is one."""

    @property
    def labels(self) -> NDArray[np.uint8 | np.uint16]:
        """(H, W); a label that has no name is that of no class."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the C classes."""

    @property
    def colors(self) -> NDArray[np.uint8]:
        """(C, 3) RGB."""

    @property
    def picture(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB."""

    @property
    def source(self) -> str | None:
        """Path or address of the picture."""

    @property
    def frame(self) -> int | None:
        """Number of the frame of a video."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """What made the labels."""

    def regions(self, min_area: int = 0, simplify: float = 0.0) -> list[Region]:
        """Return the connected regions of all classes, the largest first."""

    def to_geojson(self, *, min_area: int = 0, simplify: float = 0.0) -> dict[str, Any]:
        """Return the regions as GeoJSON."""


@dataclass(frozen=True)
class Entry:
    """Where the annotations of a picture are written.

    Args:
        folder: of all results.
        name: of the results, with sub-folders, without an ending.
        picture: path of the picture in the data set, with its suffix.
        alone: the only file to write, if it was named; None: `AnnotationFile.PLACE` says where.
        min_area: pixels; smaller regions are left out of formats of polygons.
        simplify: pixels; how far outlines may move to become simpler.
    """

    folder: Path
    name: str
    picture: str
    alone: Path | None = None
    min_area: int = 0
    simplify: float = 0.0

    @classmethod
    def of_file(cls, found: "Annotated", path: Path) -> "Entry":
        """Return the entry of a single picture whose annotations are written to a file of that path."""
        return cls(path.parent, path.stem, picture_name(found), path)


class AnnotationFile(Protocol):
    """What a module of `annotations/` offers."""

    READER: str
    """Which tool reads the format, for people."""

    PLACE: str
    """Path of a picture's file in the folder of results, with ``{}`` for `Entry.name`."""

    ALONE: tuple[str, ...]
    """Suffixes of a file that holds all there is of one picture; empty: the format is a folder."""

    def describe(self, found: Annotated, *args: Any, **options: Any) -> Any:
        """Return what is written as Python's objects; each format has options of its own."""

    def encode(self, found: Annotated, entry: Entry) -> dict[str, bytes]:
        """Write a picture's annotations.

        Returns:
            Path in the folder of results -> content; `PLACE` is the last of them.

        Raises:
            ValueError: the format cannot hold these classes; says why.
        """

    def collect(
        self, folder: Path, names: Mapping[str, str]
    ) -> Iterator[tuple[str, Iterable[bytes]]]:
        """Make the files over all pictures.

        Args:
            folder: of the results.
            names: `Entry.name` -> `Entry.picture` of those whose files are there. The files may be of an earlier
                command that named other folders, and so called the pictures otherwise.

        Yields:
            Path in the folder, and the content in parts.
        """


def load(name: str) -> AnnotationFile:
    """Import the format of a name of `NAMES`."""
    return cast(AnnotationFile, registry.load(_PACKAGE, name.replace("-", "_")))


def names_alone() -> tuple[str, ...]:
    """List the formats of which a file can hold all there is of a picture."""
    return tuple(name for name in NAMES if load(name).ALONE)


def place(kind: str, folder: Path, name: str) -> Path:
    """Return the path of a picture's file of a format."""
    return folder / load(kind).PLACE.format(name)


def write(kind: str, found: Annotated, entry: Entry) -> None:
    """Write the annotations of a picture; each file is replaced in one step.

    Raises:
        ImageError: the format cannot hold these classes.
        OSError: a file could not be written.
    """
    module = load(kind)
    files = module.encode(found, entry)
    if entry.alone is not None:
        write_file(entry.alone, files[module.PLACE.format(entry.name)])
        return
    for relative, data in files.items():
        path = entry.folder / relative
        if not _holds(path, data):  # what all pictures share is the same for each
            write_parts(path, (data,))


def write_alone(kind: str, found: Annotated, path: Path) -> None:
    """Write the annotations of a picture into one file.

    Raises:
        ValueError: the format has other suffixes, or is a folder.
        ImageError: the format cannot hold these classes.
        OSError: the file could not be written.
    """
    module = load(kind)
    if not module.ALONE:
        raise ValueError(
            f"kind {kind!r} is a folder of files, which fastfcn predict --save {kind} writes; one file holds "
            f"{', '.join(names_alone())}"
        )
    if path.suffix.lower() not in module.ALONE:
        raise ValueError(
            f"kind {kind!r} is written to {' or '.join(module.ALONE)} files, not to {path.suffix!r}"
        )
    write(kind, found, Entry.of_file(found, path))


def write_folder(kind: str, found: Annotated, folder: Path, name: str) -> None:
    """Write the annotations of a picture into a folder of their format, beside those of other pictures.

    Raises:
        ValueError: `name` is no name of a file.
        ImageError: the format cannot hold these classes, or the folder has pictures of other classes.
        OSError: a file could not be written.
    """
    if name in (".", "..") or Path(name).name != name:
        raise ValueError(f"{excerpt(name)} is no name of a file without folders and suffix")
    module = load(kind)
    below = module.PLACE.split("/")[0]
    files = {
        folder / relative.removeprefix(f"{below}/"): data
        for relative, data in module.encode(found, Entry(folder, name, name)).items()
    }
    for path in [*files][:-1]:  # what all pictures share
        if path.exists() and not _holds(path, files[path]):
            raise ImageError(f"{path} is of other classes than this picture; give another folder")
    for path, data in files.items():
        write_parts(path, (data,))
    pattern = module.PLACE.removeprefix(f"{below}/")
    names = sorted(path.stem for path in folder.glob(pattern.format("*")))
    for relative, parts in module.collect(folder.parent, {name: name for name in names}):
        write_parts(folder / relative.removeprefix(f"{below}/"), parts)


def write_collection(kind: str, folder: Path, names: Mapping[str, str]) -> list[Path]:
    """Write the files over all pictures from the files of each.

    Args:
        kind: of `NAMES`.
        folder: of the results.
        names: `Entry.name` -> `Entry.picture` of those that have a file there.

    Returns:
        What was written; nothing if the format has no such file.

    Raises:
        ImageError: the files of the pictures are damaged, or do not fit together.
        OSError: a file could not be written; what was there before still is.
    """
    written = []
    for relative, parts in load(kind).collect(folder, names):
        write_parts(folder / relative, parts)
        written.append(folder / relative)
    return written


def present(found: Annotated) -> list[int]:
    """Return the labels of the classes that have pixels, in their order."""
    count = np.bincount(found.labels.ravel(), minlength=len(found.names))
    return [int(label) for label in np.flatnonzero(count[: len(found.names)])]


def picture_name(found: Annotated) -> str:
    """Return the name of the picture's file; empty if it came from none."""
    return "" if found.source is None else Path(found.source).name


def categories(found: Annotated) -> list[dict[str, Any]]:
    """Return all classes as COCO lists categories; the id of each is its label + 1.

    Ids begin with 1 as COCO's do: readers such as datumaro, which CVAT uses, take 0 for no category. A name
    that an earlier class has is followed by the label, as in "screen (130)": readers such as datumaro refuse
    a name that is there twice.
    """
    taken, different = set(found.names), list[str]()
    for label, name in enumerate(found.names):
        other = name
        while other in different or (other != name and other in taken):
            other = f"{other} ({label})"
        different.append(other)
    return [
        {
            "id": label + 1,
            "name": different[label],
            "supercategory": "",
            "isthing": 0,
            "color": color,
        }
        for label, (name, color) in enumerate(zip(found.names, found.colors.tolist(), strict=True))
    ]


OUTLINES = "outlines"
"""The key in the provenance of polygons under which `outlines` stands."""


def outlines(min_area: int, simplify: float) -> str:
    """Say how polygons were made, for their provenance."""
    return f"min_area {min_area}, simplify {float(simplify):g}"


def read_json(path: Path) -> dict[str, Any]:
    """Read a picture's annotations back.

    Raises:
        ImageError: the file is damaged.
    """
    try:
        found = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ImageError(f"{path} is damaged ({error}); make it again with --force") from error
    if not isinstance(found, dict):
        raise ImageError(f"{path} holds no annotations; make it again with --force")
    return found


def files(folder: Path, place: str, names: Mapping[str, str]) -> dict[Path, str]:
    """Return the file of each picture, and what the data set calls the picture; see `AnnotationFile.collect`."""
    return {folder / place.format(name): picture for name, picture in names.items()}


def join_coco(pictures: Mapping[Path, str]) -> Iterator[bytes]:
    """Join files in COCO's format, each of one picture, into one; pictures are numbered from 1.

    Args:
        pictures: at least one file, and what the data set calls its picture.

    Raises:
        ImageError: a file is damaged, or has other categories than the first.
    """
    paths = [*pictures]
    first = _coco(paths[0])
    images = []
    for number, (path, picture) in enumerate(pictures.items(), 1):
        found = _coco(path)
        if found["categories"] != first["categories"]:
            raise ImageError(
                f"{path} has other classes than {paths[0]}; --force makes all of them again"
            )
        images.append({**found["images"][0], "id": number, "file_name": picture})
    head = {"info": first.get("info", {}), "categories": first["categories"], "images": images}
    yield json_bytes(head)[:-2] + b', "annotations": ['
    count = 0
    for number, path in enumerate(paths, 1):
        for one in _coco(path)["annotations"]:
            count += 1
            numbered = {**one, "image_id": number} | ({"id": count} if "id" in one else {})
            yield (b",\n" if count > 1 else b"\n") + json_bytes(numbered)[:-1]
    yield b"\n]}\n"


def _coco(path: Path) -> dict[str, Any]:
    """Read what `coco` or `coco_panoptic` wrote for one picture."""
    found = read_json(path)
    lists = (found.get("categories"), found.get("images"), found.get("annotations"))
    if not all(isinstance(one, list) for one in lists) or len(found["images"]) != 1:
        raise ImageError(f"{path} holds no annotations of one picture; make it again with --force")
    return found


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.stat().st_size == len(data) and path.read_bytes() == data
    except OSError:
        return False
