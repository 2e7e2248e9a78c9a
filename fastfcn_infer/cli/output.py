"""Which results ``fastfcn predict`` writes, and where: what ``-o`` and ``--save`` say together."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_infer.system import registry
from fastfcn_infer.system.atomic import has_content
from fastfcn_infer.system.writing import check_folder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fastfcn_infer.cli.inputs import Job
    from fastfcn_infer.picture.annotation import Entry

# Kind -> ending of its files in a folder, and the suffixes that a file named by -o may have.
KINDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "labels": ("_labels.png", (".png", ".tif")),
    "labels-raw": ("_labels_raw.png", (".png",)),
    "overlay": (
        "_overlay.jpg",
        (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".mp4"),
    ),
    "color": ("_color.png", (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".mp4")),
    "confidence": ("_confidence.png", (".png",)),
    "json": (".json", (".json",)),
}
# Formats of annotations, whose files are where the format says: `picture/annotation.py`.
ANNOTATIONS = tuple(
    name.replace("_", "-") for name in registry.names("fastfcn_infer.picture.annotations")
)
ALL_KINDS = (*KINDS, *ANNOTATIONS)
RASTER_KINDS = {"labels": "_labels.tif", "json": ".json", "geojson": ".geojson"}
# Of a video: a video, a folder with a label map for each frame, or a file.
FILM_KINDS = {
    "overlay": "_overlay.mp4",
    "color": "_color.mp4",
    "labels": "_labels",
    "labels-raw": "_labels_raw",
    "confidence": "_confidence",
    "json": ".json",
}
# Names that end in one of these are meant as files, which no result is written to; others may be folders.
_OTHER_FILES = frozenset(
    (
        *(".avi", ".csv", ".gif", ".gpkg", ".html", ".jp2", ".mkv", ".mov", ".npy", ".npz"),
        *(".pdf", ".shp", ".svg", ".tsv", ".txt", ".xml", ".zip"),
    )
)


@dataclass(frozen=True)
class Output:
    """What is written for every picture, and where.

    Args:
        folder: of the results.
        kinds: of `ALL_KINDS`.
        file: of the only result of the only picture, if ``-o`` names one.
        min_area: pixels; smaller regions have no polygon.
        simplify: pixels; how far outlines of polygons may move.
    """

    folder: Path
    kinds: tuple[str, ...]
    file: Path | None = None
    min_area: int = 0
    simplify: float = 0.0

    def __post_init__(self) -> None:
        """Refuse numbers that make no sense.

        Raises:
            ValueError: an option of polygons is negative or infinite.
        """
        for option, value in (("--min-area", self.min_area), ("--simplify", self.simplify)):
            if not 0 <= value < math.inf:
                raise ValueError(f"{option} {value}: a number of at least 0 was expected")

    def made_by(self) -> dict[str, str]:
        """Return what polygons depend on, but for the labels."""
        from fastfcn_infer.picture import annotation

        return {annotation.OUTLINES: annotation.outlines(self.min_area, self.simplify)}

    def check(self, pictures: int, *, force: bool) -> None:
        """Refuse several pictures for one file, and a file that exists unless it may be replaced.

        Raises:
            ValueError: one of these.
        """
        if self.file is None:
            return
        if pictures > 1:
            raise ValueError(
                f"-o {self.file} is a file, for one picture, and there are {pictures}; give a folder"
            )
        if not force and has_content(self.file):
            raise ValueError(f"-o {self.file} exists; give --force to replace it, or another name")

    def check_classes(self, names: Sequence[str], colors: "NDArray[np.uint8]") -> None:
        """Refuse formats that cannot hold these classes, before a picture is labelled.

        Args:
            names: of the classes.
            colors: (C, 3) RGB.

        Raises:
            ValueError: a format cannot.
        """
        import numpy as np

        from fastfcn_infer.errors import ImageError
        from fastfcn_infer.inference.segmentation import Segmentation
        from fastfcn_infer.picture.annotation import Entry, load

        dot = np.zeros((1, 1), np.uint8)
        found = Segmentation(dot, tuple(names), colors, np.zeros((1, 1, 3), np.uint8))
        for kind in self.kinds:
            if kind in ANNOTATIONS:
                try:
                    load(kind).encode(found, Entry(self.folder, "dot", "dot.png"))
                except ImageError as error:
                    raise ValueError(f"--save {kind}: {error}") from error

    def check_writable(self, found: "Sequence[Job]") -> None:
        """Refuse a folder that nothing can be written to, unless all results exist.

        Raises:
            WriteError: it cannot be written, or is a file.
        """
        if not all(has_content(path) for job in found for path in self.paths(job).values()):
            check_folder(self.folder)

    def paths(self, job: "Job") -> dict[str, Path]:
        """Return kind -> path of the results of a picture."""
        from fastfcn_infer.picture import annotation

        found = self._paths(job, {kind: KINDS[kind][0] for kind in self.kinds if kind in KINDS})
        for kind in self.kinds:
            if kind in ANNOTATIONS:
                place = annotation.place(kind, self.folder, self.entry(job).name)
                found[kind] = place if self.file is None else self.file
        return found

    def entry(self, job: "Job") -> "Entry":
        """Return where the annotations of a picture are written, and what a data set calls it."""
        from fastfcn_infer.picture.annotation import Entry

        name = job.target.relative_to(self.folder)
        return Entry(
            self.folder,
            name.as_posix(),
            job.picture or job.source.name,
            self.file,
            self.min_area,
            self.simplify,
        )

    def raster_paths(self, job: "Job") -> dict[str, Path]:
        """Return kind -> path of the results of a raster, of which only some kinds can be saved."""
        endings = {kind: RASTER_KINDS[kind] for kind in self.kinds if kind in RASTER_KINDS}
        return self._paths(job, endings)

    def raster_labels(self, job: "Job") -> Path:
        """Return the path of the labels of a raster, which are written whatever is saved."""
        return self._paths(job, {"labels": RASTER_KINDS["labels"]})["labels"]

    def film_paths(self, job: "Job") -> dict[str, Path]:
        """Return kind -> path of the results of a video, of which only some kinds can be saved."""
        endings = {kind: FILM_KINDS[kind] for kind in self.kinds if kind in FILM_KINDS}
        return self._paths(job, endings)

    def _paths(self, job: "Job", endings: Mapping[str, str]) -> dict[str, Path]:
        if self.file is not None:
            return dict.fromkeys(endings, self.file)
        name = job.target.name
        return {kind: job.target.with_name(name + ending) for kind, ending in endings.items()}


def choose_output(output: str | None, save: str | None) -> Output:
    """Put ``-o`` and ``--save`` together.

    Args:
        output: a folder; or a file, known by its suffix, for the one result of one picture. None:
            nothing is written.
        save: kinds of results, separated by commas; None: what the suffix of the file says, and
            labels in a folder.

    Raises:
        ValueError: a kind is unknown, a file is to hold several kinds, or its suffix cannot.
    """
    words = [] if save is None else [word.strip() for word in save.split(",")]
    kinds = [*dict.fromkeys(words)]
    unknown = [kind for kind in kinds if kind not in ALL_KINDS]
    if unknown:
        raise ValueError(
            f"--save {', '.join(word or repr(word) for word in unknown)}: expected one or more of {', '.join(ALL_KINDS)}"
        )
    if output == "-":
        raise ValueError(
            "-o -: results are not written to standard output; give a folder, or a file such as "
            "labels.png"
        )
    path = Path(output or ".")
    suffix = path.suffix.lower()
    is_folder = path.is_dir() or str(output).endswith(("/", os.sep))
    held = () if is_folder else _held_by(suffix)
    if not is_folder and suffix in _OTHER_FILES:
        raise ValueError(
            f"-o {path}: no result is written to a {suffix} file; give another suffix, or a folder ({path}/ is one)"
        )
    if not held:
        return Output(path, tuple(kinds or ["labels"]))
    kinds = kinds or [held[0]]
    if len(kinds) > 1:
        raise ValueError(
            f"-o {path} is one file, and --save {save} are {len(kinds)} results; give a folder"
        )
    if not _suffixes(kinds[0]):
        raise ValueError(f"-o {path}: --save {kinds[0]} is a folder of files; give a folder")
    if kinds[0] not in held:
        raise ValueError(
            f"-o {path}: --save {kinds[0]} is written to {' or '.join(_suffixes(kinds[0]))} files"
        )
    return Output(path.parent, tuple(kinds), path)


def _held_by(suffix: str) -> tuple[str, ...]:
    """Name the kinds of results that a file with a suffix may hold, the one first that it says."""
    if not suffix:
        return ()
    kinds = dict.fromkeys(("labels", "json", *ALL_KINDS))
    return tuple(kind for kind in kinds if suffix in _suffixes(kind))


def _suffixes(kind: str) -> tuple[str, ...]:
    """Return the suffixes that a file, named by ``-o``, may have for one kind of result."""
    if kind in KINDS:
        return KINDS[kind][1]
    from fastfcn_infer.picture import annotation

    return annotation.load(kind).ALONE
