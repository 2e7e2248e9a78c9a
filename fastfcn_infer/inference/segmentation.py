"""The result of `Segmenter.predict`: a label for every pixel, to draw, measure and save."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, SupportsIndex, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.inference import areas
from fastfcn_infer.inference.annotated import Exports
from fastfcn_infer.inference.class_names import as_list, find_class
from fastfcn_infer.inference.probability.kept import KeptScores
from fastfcn_infer.inference.probability.result import WithScores
from fastfcn_infer.picture import annotation
from fastfcn_infer.picture.drawing import blend, paint
from fastfcn_infer.picture.label_map import encode_labels
from fastfcn_infer.picture.legend import Entry, Place, add_legend, drawable, percent
from fastfcn_infer.picture.notebook import as_html
from fastfcn_infer.picture.palette import Palette
from fastfcn_infer.picture.palette import palette as choose_palette
from fastfcn_infer.picture.picture import Picture
from fastfcn_infer.picture.provenance import with_provenance
from fastfcn_infer.system.atomic import write_file
from fastfcn_infer.system.excerpt import excerpt
from fastfcn_infer.system.json_bytes import json_bytes
from fastfcn_infer.system.number_range import check_number
from fastfcn_infer.system.several_files import write_files

Labels: TypeAlias = NDArray[np.uint8 | np.uint16]
Kind: TypeAlias = Literal[
    "labels",
    "labels-raw",
    "overlay",
    "color",
    "confidence",
    "npz",
    "json",
    "coco",
    "geojson",
    "labelme",
    "label-studio",
]

_IGNORED = (224, 224, 192)  # the colour of pixels without a class, as in Pascal VOC
_MIN_SHARE = 0.005  # of the picture; a class with less has no line in the legend

_KIND_OF_SUFFIX: dict[str, Kind] = {
    ".png": "labels",
    ".jpg": "overlay",
    ".jpeg": "overlay",
    ".npz": "npz",
    ".json": "json",
    ".geojson": "geojson",
}


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation(WithScores, Exports):
    """The labels of a picture, at the picture's size; its arrays cannot be written to."""

    labels: Labels  # (H, W), the index of the class of each pixel
    names: tuple[str, ...]  # of the C classes, in the order of the labels
    colors: NDArray[np.uint8]  # (C, 3) RGB
    picture: NDArray[
        np.uint8
    ]  # (H, W, 3) RGB, upright: what was labelled, see `multiband.visible`
    timings: Mapping[str, float] = field(default_factory=dict)  # stage -> seconds
    provenance: Mapping[str, str] = field(default_factory=dict)  # model, runtime, versions
    source: str | None = None  # path or address of the picture or video; None for other objects
    frame: int | None = None  # number of the frame of a video, from 0
    scores: KeptScores | None = None  # from which the labels follow; None: they were not kept
    ignore_label: int | None = (
        None  # label of pixels without a class, see `relabel`; None: there are none
    )
    time: float | None = None  # of a frame of a video file, seconds since the first one

    def __post_init__(self) -> None:
        """Check that the parts fit, and protect the arrays; the caller's own stay writable."""
        if self.labels.ndim != 2 or self.labels.dtype not in (np.uint8, np.uint16):
            raise ValueError(
                f"labels are {self.labels.dtype} {self.labels.shape}; "
                "uint8 or uint16 (H, W) was expected"
            )
        if self.picture.shape != (*self.labels.shape, 3):
            raise ValueError(f"picture {self.picture.shape} does not fit labels {self.size}")
        if self.colors.shape != (len(self.names), 3):
            raise ValueError(f"colors {self.colors.shape} do not fit {len(self.names)} names")
        self._check_labels()
        self._protect()

    def _check_labels(self) -> None:
        """Refuse labels that are neither of a class nor the one of pixels without a class."""
        if self.ignore_label is not None and self.ignore_label < len(self.names):
            raise ValueError(f"ignore_label {self.ignore_label} is that of a class")
        labels = self.labels
        if self.ignore_label is not None:
            labels = labels[labels != self.ignore_label]
        largest = int(labels.max(initial=0))
        if labels.size and largest >= len(self.names):
            raise ValueError(f"label {largest} has no name; there are {len(self.names)}")

    def _protect(self) -> None:
        for name in ("labels", "colors", "picture"):
            view = getattr(self, name).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Protect the arrays of a copy, too."""
        for name, value in state.items():
            object.__setattr__(self, name, value)
        self._protect()

    @property
    def size(self) -> tuple[int, int]:
        """Height and width, pixels, as in arrays; a PIL image's `size` is width and height."""
        return self.labels.shape[0], self.labels.shape[1]

    def mask(self, which: str | SupportsIndex) -> NDArray[np.bool_]:
        """Return the mask of a class.

        Args:
            which: a name (of all the classes that share it) or an index.

        Returns:
            (H, W) bool.

        Raises:
            ValueError: there is no such class; suggests similar names.
        """
        return np.asarray(np.isin(self.labels, find_class(self.names, which)))

    def areas(self) -> dict[str, float]:
        """Return the share of the picture of every class that is present, the largest first.

        Returns:
            Name -> fraction; they sum to 1. Classes of one name are added up. Pixels without a class
            (`ignore_label`) do not count.
        """
        return areas.shares(self.names, self._pixels)

    def with_palette(self, palette: Palette) -> "Segmentation":
        """Return the same result with other colours of the classes.

        Args:
            palette: "dataset": the colours it has. "paddleseg": those of PaddleSeg's predict.py, the
                colours of Pascal VOC shifted by one class. "distinct": colours that are as different as
                possible, also for people with red-green colour blindness; for up to about twenty classes.

        Raises:
            ValueError: there is no such palette.
        """
        return replace(self, colors=choose_palette(palette, self.colors))

    def colorize(self, palette: Palette = "dataset") -> Picture:
        """Paint every pixel in the colour of its class, or in that of another palette; see `with_palette`."""
        return Picture(paint(self.labels, self.with_palette(palette)._palette))

    def overlay(
        self,
        alpha: float = 0.5,
        legend: Place | bool = "auto",
        *,
        classes: str | SupportsIndex | Sequence[str | SupportsIndex] | None = None,
        min_share: float | None = None,
        shade: Literal["confidence"] | None = None,
        contours: bool = False,
        palette: Palette = "dataset",
    ) -> Picture:
        """Lay the colours over the picture.

        Args:
            alpha: 0, the picture alone, to 1, the colours alone.
            legend: where the classes are named: "auto", inside the picture, in the corner where
                it hides the least; pictures under 120 pixels get none. "right" or "below": beside
                the picture, which becomes larger. "none". True is "auto", False "none".
            classes: names or indices of the classes to draw; elsewhere the picture stays as it is.
                None: all.
            min_share: a class with a smaller share of the picture is drawn, but has no line in the
                legend; the last line, "others", counts these. None: 0.005, or 0 with `classes`.
            shade: "confidence": the colour of a pixel is as strong as its class is probable: `alpha` times
                `confidence`. None: equally strong everywhere.
            contours: draw the outline of every area as a line that scales with the picture; with
                ``alpha=0``, outlines alone.
            palette: other colours; see `with_palette`.

        Raises:
            ValueError: `alpha` or `min_share` is not in 0..1, `legend`, `shade` or `palette` is unknown, `contours`
                is neither True nor False, there is no such class, or the scores were not kept and are needed.
        """
        if isinstance(legend, bool):
            legend = "auto" if legend else "none"
        if min_share is None:
            min_share = _MIN_SHARE if classes is None else 0.0
        alpha = check_number("alpha", alpha, most=1)
        min_share = check_number("min_share", min_share, most=1)
        if legend not in get_args(Place):
            raise ValueError(
                f"legend is {excerpt(legend)}; one of {', '.join(get_args(Place))} was expected"
            )
        if shade not in (None, "confidence"):
            raise ValueError(f'shade is {excerpt(shade)}; "confidence" or None was expected')
        if not isinstance(contours, bool):
            raise ValueError(f"contours is {excerpt(contours)}; True or False was expected")
        given: object = palette  # an array, perhaps, which cannot be compared with a text
        if not (isinstance(given, str) and given == "dataset"):
            return self.with_palette(palette).overlay(
                alpha, legend, classes=classes, min_share=min_share, shade=shade, contours=contours
            )
        drawn = self._chosen(classes)
        strength = None if shade is None else self.confidence()
        mixed = blend(self.picture, self.labels, self._palette, alpha, drawn, strength, contours)
        shown = [index for index in self._present if drawn is None or drawn[index]]
        large = [index for index in shown if self._share([index]) >= min_share]
        entries = [self._entry(index) for index in large]
        if len(large) < len(shown):
            entries.append(self._others(shown[len(large) :]))
        picture = add_legend(
            mixed, entries, lambda nth: self._others(shown[nth:]), legend, self._hidden
        )
        return Picture(picture)

    def show(self) -> None:
        """Show the overlay; see `Picture.show`."""
        self.overlay().show()

    def save_labels(self, path: str | Path, *, palette: bool = True) -> None:
        """Write the labels to a PNG file, which is read back as the same labels.

        Args:
            path: ends in ``.png``.
            palette: show the labels in their colours. False: plain grey, black for the most part,
                for programs that turn a palette into colours, such as `cv2.imread`.

        Raises:
            ValueError: the suffix is not ``.png``.
            OSError: the file could not be written; what was there before still is.
        """
        self.save(path, kind="labels" if palette else "labels-raw")

    def save_overlay(
        self,
        path: str | Path,
        alpha: float = 0.5,
        legend: Place | bool = "auto",
        *,
        classes: str | SupportsIndex | Sequence[str | SupportsIndex] | None = None,
        min_share: float | None = None,
        shade: Literal["confidence"] | None = None,
        contours: bool = False,
        palette: Palette = "dataset",
    ) -> None:
        """Write the overlay to a file of any suffix that `Picture.save` takes; see `overlay`.

        Raises:
            ValueError: as `overlay` and `Picture.save` do.
            OSError: the file could not be written; what was there before still is.
        """
        self.overlay(
            alpha,
            legend,
            classes=classes,
            min_share=min_share,
            shade=shade,
            contours=contours,
            palette=palette,
        ).save(path)

    def save(self, path: str | Path, *, kind: Kind | None = None) -> None:
        """Write the result to a file; an older file is replaced in one step.

        PNG and JPEG files hold the provenance, too, as JSON: in a text chunk with the keyword
        ``fastfcn``, and in a comment.

        Args:
            path: `.png` the labels, shown in their colours; `.jpg`, `.jpeg` the overlay; `.npz` the
                arrays `labels`, `names`, `colors`; `.json` what `to_dict` gives; `.geojson` the regions.
            kind: what to write if the suffix does not say it: "labels", "labels-raw" (plain grey,
                see `save_labels`), "overlay", "color", "confidence" (a grey PNG, 0 to 255 for a
                confidence of 0 to 1), "npz", "json", or one of the formats "coco", "geojson", "labelme"
                and "label-studio", which are JSON files. Overlay and colour take any suffix that
                `Picture.save` takes.

        Raises:
            ValueError: neither suffix nor `kind` says what to write, they do not fit, or the scores that
                "confidence" needs were not kept.
            OSError: the file could not be written; what was there before still is.
        """
        chosen = self._kind(path, kind)
        if chosen in annotation.NAMES:
            annotation.write_alone(chosen, self, Path(path))
        else:
            write_file(Path(path), self._file(chosen, path))

    def save_each(self, paths: Mapping[Kind, str | Path]) -> None:
        """Write several results of one picture, as `save` writes each.

        They are flushed to the disk together, which takes less time than one after the other.

        Args:
            paths: where each kind is written to.

        Raises:
            ValueError, OSError: as `save`. Those before the one at fault are written.
        """
        files: dict[Path, bytes] = {}
        try:
            for kind, path in paths.items():
                if self._kind(path, kind) in annotation.NAMES:
                    annotation.write_alone(kind, self, Path(path))
                else:
                    files[Path(path)] = self._file(kind, path)
        finally:
            write_files(files)

    def _kind(self, path: str | Path, kind: Kind | None) -> Kind:
        """Return what is to be written to a file.

        Raises:
            ValueError: neither suffix nor kind says it.
        """
        chosen = kind or _KIND_OF_SUFFIX.get(Path(path).suffix.lower())
        if chosen is None or chosen not in (*get_args(Kind), *annotation.NAMES):
            known = dict.fromkeys((*get_args(Kind), *annotation.names_alone()))
            raise ValueError(
                f"{path}: it is not clear what to write. Use one of the suffixes "
                f"{', '.join(_KIND_OF_SUFFIX)}, or one of the kinds {', '.join(known)}; "
                f"found kind {kind!r}"
            )
        return chosen

    def _file(self, kind: Kind, path: str | Path) -> bytes:
        data = self._encode(kind, Path(path).suffix.lower())
        return with_provenance(data, self.provenance)

    def _encode(self, kind: Kind, suffix: str) -> bytes:
        if kind == "overlay":
            return self.overlay().encode(suffix)
        if kind == "color":
            return self.colorize().encode(suffix)
        expected = {"npz": ".npz", "json": ".json"}.get(kind, ".png")
        if suffix != expected:
            raise ValueError(f"kind {kind!r} is written to {expected} files, not to {suffix!r}")
        if kind == "labels":
            return encode_labels(self.labels, self._palette)
        if kind == "labels-raw":
            return encode_labels(self.labels)
        if kind == "confidence":
            return encode_labels(np.rint(self.confidence() * 255).astype(np.uint8))
        return self._npz() if kind == "npz" else json_bytes(self.to_dict(), indent=2)

    def _npz(self) -> bytes:
        arrays: dict[str, Any] = {
            "labels": self.labels,
            "names": np.array(self.names, np.str_),
            "colors": self.colors,
        }
        if self.ignore_label is not None:
            arrays["ignore_label"] = np.array(self.ignore_label)
        file = io.BytesIO()
        np.savez_compressed(file, **arrays)
        return file.getvalue()

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        return areas.count(self.labels, len(self.names))

    @cached_property
    def _pixels(self) -> list[int]:
        """The counts once more: so few are added up faster as Python's numbers."""
        return [int(pixels) for pixels in self._counts]

    @cached_property
    def _palette(self) -> NDArray[np.uint8]:
        """The colours of all labels, also of pixels without a class."""
        if self.ignore_label is None:
            return self.colors
        palette = np.empty((self.ignore_label + 1, 3), np.uint8)
        palette[:] = _IGNORED
        palette[: len(self.colors)] = self.colors
        return palette

    @property
    def _present(self) -> list[int]:
        """Labels of the classes that are present, the largest area first."""
        return areas.present(self._pixels)

    def _chosen(
        self, classes: str | SupportsIndex | Sequence[str | SupportsIndex] | None
    ) -> NDArray[np.bool_] | None:
        """Return which labels are those of the classes that are meant; None for all."""
        if classes is None and self.ignore_label is None:
            return None
        chosen = np.zeros(len(self._palette), np.bool_)
        for which in range(len(self.names)) if classes is None else as_list(classes):
            chosen[find_class(self.names, which)] = True
        return chosen

    def _hidden(self, rows: slice, columns: slice) -> float:
        """Add up the parts of the classes that lie in a part of the picture: 0 to C."""
        inside = areas.count(self.labels[rows, columns], len(self.names))
        return float((inside / np.maximum(self._counts, 1)).sum())

    def _share(self, indices: Sequence[int]) -> float:
        return sum(self._pixels[index] for index in indices) / sum(self._pixels)

    def _entry(self, index: int) -> Entry:
        red, green, blue = (int(value) for value in self.colors[index])
        name = drawable(self.names[index], instead=f"class {index}")
        return Entry(name, percent(self._share([index])), (red, green, blue))

    def _others(self, indices: Sequence[int]) -> Entry:
        return Entry(f"others ({len(indices)})", percent(self._share(indices)), None)

    def __repr__(self) -> str:
        """State the size and the largest classes."""
        areas = self.areas()
        largest = ", ".join(f"{name} {percent(share)}" for name, share in [*areas.items()][:3])
        largest = f": {largest}" if largest else ""
        more = ", ..." if len(areas) > 3 else ""
        height, width = self.size
        return (
            f"Segmentation({height} x {width}, "
            f"{len(areas)} of {len(self.names)} classes{largest}{more})"
        )

    def _repr_png_(self) -> bytes | None:
        """Show the overlay in a notebook."""
        return self.overlay()._repr_png_()

    def _repr_html_(self) -> str:
        """Show the overlay in a notebook, and the legend beside it as a table."""
        entries = [  # a browser draws any script
            replace(self._entry(index), name=self.names[index] or f"class {index}")
            for index in self._present
        ]
        return as_html(self.overlay(legend="none"), entries, repr(self))
