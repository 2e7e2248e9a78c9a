"""The result of `Segmenter.predict`: a label for every pixel, to draw, measure and save."""

import difflib
import io
import json
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, SupportsIndex, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.inference import areas
from fastfcn_infer.picture.drawing import blend, paint
from fastfcn_infer.picture.label_map import encode_labels
from fastfcn_infer.picture.legend import Entry, Place, add_legend, drawable
from fastfcn_infer.picture.picture import Picture
from fastfcn_infer.picture.provenance import with_provenance
from fastfcn_infer.system.atomic import write_file

Labels: TypeAlias = NDArray[np.uint8 | np.uint16]
Kind: TypeAlias = Literal["labels", "labels-raw", "overlay", "color", "npz", "json"]

_MIN_SHARE = 0.005  # of the picture; a class with less has no line in the legend

_KIND_OF_SUFFIX: dict[str, Kind] = {
    ".png": "labels",
    ".jpg": "overlay",
    ".jpeg": "overlay",
    ".npz": "npz",
    ".json": "json",
}


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation:
    """The labels of a picture, at the picture's size; its arrays cannot be written to."""

    labels: Labels  # (H, W), the index of the class of each pixel
    names: tuple[str, ...]  # of the C classes
    colors: NDArray[np.uint8]  # (C, 3) RGB
    picture: NDArray[
        np.uint8
    ]  # (H, W, 3) RGB, upright: what was labelled, see `multiband.visible`
    timings: Mapping[str, float] = field(default_factory=dict)  # stage -> seconds
    provenance: Mapping[str, str] = field(default_factory=dict)  # model, runtime, versions
    source: str | None = None  # path or address of the picture or video; None for other objects
    frame: int | None = None  # of a video, from 0

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
        if self.labels.size and int(self.labels.max()) >= len(self.names):
            raise ValueError(f"label {self.labels.max()} has no name; there are {len(self.names)}")
        for name in ("labels", "colors", "picture"):
            view = getattr(self, name).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)

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
        return np.asarray(np.isin(self.labels, self._indices(which)))

    def _indices(self, which: str | SupportsIndex) -> list[int]:
        """Return the indices of a class given by name or index; ValueError if there is none."""
        if isinstance(which, str):
            indices = [index for index, name in enumerate(self.names) if name == which]
            if not indices:
                raise ValueError(f"there is no class {which!r}{self._alike(which)}")
            return indices
        index = operator.index(which)
        if not 0 <= index < len(self.names):
            raise ValueError(f"there is no class {index}; expected 0 to {len(self.names) - 1}")
        return [index]

    def areas(self) -> dict[str, float]:
        """Return the share of the picture of every class that is present, the largest first.

        Returns:
            Name -> fraction; they sum to 1. Classes of one name are added up.
        """
        return areas.shares(self.names, self._counts.tolist())

    def colorize(self) -> Picture:
        """Paint every pixel in the colour of its class."""
        return Picture(paint(self.labels, self.colors))

    def overlay(
        self,
        alpha: float = 0.5,
        legend: Place | bool = "auto",
        *,
        classes: str | SupportsIndex | Sequence[str | SupportsIndex] | None = None,
        min_share: float | None = None,
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

        Raises:
            ValueError: `alpha` or `min_share` is not in 0..1, `legend` is unknown, or there is no
                such class.
        """
        if isinstance(legend, bool):
            legend = "auto" if legend else "none"
        if min_share is None:
            min_share = _MIN_SHARE if classes is None else 0.0
        for name, value in (("alpha", alpha), ("min_share", min_share)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; 0 to 1 was expected")
        if legend not in get_args(Place):
            raise ValueError(f"legend is {legend!r}; one of {', '.join(get_args(Place))} expected")
        drawn = self._chosen(classes)
        mixed = blend(self.picture, self.labels, self.colors, alpha, drawn)
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
    ) -> None:
        """Write the overlay to a file of any suffix that `Picture.save` takes; see `overlay`.

        Raises:
            ValueError: as `overlay` and `Picture.save` do.
            OSError: the file could not be written; what was there before still is.
        """
        self.overlay(alpha, legend, classes=classes, min_share=min_share).save(path)

    def save(self, path: str | Path, *, kind: Kind | None = None) -> None:
        """Write the result to a file; an older file is replaced in one step.

        PNG and JPEG files hold the provenance, too, as JSON: in a text chunk with the keyword
        ``fastfcn``, and in a comment.

        Args:
            path: `.png` the labels, shown in their colours; `.jpg`, `.jpeg` the overlay; `.npz` the
                arrays `labels`, `names`, `colors`; `.json` areas, names, timings and provenance.
            kind: what to write if the suffix does not say it: "labels", "labels-raw" (plain grey,
                see `save_labels`), "overlay", "color", "npz" or "json". Overlay and colour take any suffix that `Picture.save` takes.

        Raises:
            ValueError: neither suffix nor `kind` says what to write, or they do not fit.
            OSError: the file could not be written; what was there before still is.
        """
        suffix = Path(path).suffix.lower()
        chosen = kind or _KIND_OF_SUFFIX.get(suffix)
        if chosen is None or chosen not in get_args(Kind):
            raise ValueError(
                f"{path}: it is not clear what to write. Use one of the suffixes "
                f"{', '.join(_KIND_OF_SUFFIX)}, or one of the kinds {', '.join(get_args(Kind))}; "
                f"found kind {kind!r}"
            )
        data = self._encode(chosen, suffix)
        write_file(Path(path), with_provenance(data, self.provenance))

    def _encode(self, kind: Kind, suffix: str) -> bytes:
        if kind == "overlay":
            return self.overlay().encode(suffix)
        if kind == "color":
            return self.colorize().encode(suffix)
        expected = {"labels": ".png", "labels-raw": ".png", "npz": ".npz", "json": ".json"}[kind]
        if suffix != expected:
            raise ValueError(f"kind {kind!r} is written to {expected} files, not to {suffix!r}")
        if kind == "labels":
            return encode_labels(self.labels, self.colors)
        if kind == "labels-raw":
            return encode_labels(self.labels)
        return self._npz() if kind == "npz" else self._json()

    def _npz(self) -> bytes:
        file = io.BytesIO()
        np.savez_compressed(
            file, labels=self.labels, names=np.array(self.names, np.str_), colors=self.colors
        )
        return file.getvalue()

    def _json(self) -> bytes:
        facts = {
            "size": self.size,
            "areas": areas.rows(self.names, self._counts.tolist()),
            "names": self.names,
            "timings": dict(self.timings),
            "provenance": dict(self.provenance),
        }
        return (json.dumps(facts, indent=2, ensure_ascii=False) + "\n").encode()

    @cached_property
    def _counts(self) -> NDArray[np.int64]:
        return areas.count(self.labels, len(self.names))

    @property
    def _present(self) -> list[int]:
        """Labels of the classes that are present, the largest area first."""
        return areas.present(self._counts.tolist())

    def _chosen(
        self, classes: str | SupportsIndex | Sequence[str | SupportsIndex] | None
    ) -> NDArray[np.bool_] | None:
        """Return which of the C classes are meant, None for all."""
        if classes is None:
            return None
        if isinstance(classes, str) or not isinstance(classes, Iterable):
            classes = [classes]
        chosen = np.zeros(len(self.names), np.bool_)
        for which in classes:
            chosen[self._indices(which)] = True
        return chosen

    def _hidden(self, rows: slice, columns: slice) -> float:
        """Add up the parts of the classes that lie in a part of the picture: 0 to C."""
        inside = areas.count(self.labels[rows, columns], len(self.names))
        return float((inside / np.maximum(self._counts, 1)).sum())

    def _share(self, indices: Sequence[int]) -> float:
        return int(self._counts[list(indices)].sum()) / self.labels.size

    def _entry(self, index: int) -> Entry:
        red, green, blue = (int(value) for value in self.colors[index])
        name = drawable(self.names[index], instead=f"class {index}")
        return Entry(name, _percent(self._share([index])), (red, green, blue))

    def _others(self, indices: Sequence[int]) -> Entry:
        return Entry(f"others ({len(indices)})", _percent(self._share(indices)), None)

    def _alike(self, name: str) -> str:
        close = difflib.get_close_matches(name, dict.fromkeys(self.names), cutoff=0.5)
        if close:
            return f"; did you mean {' or '.join(map(repr, close))}?"
        return f"; there are {len(self.names)}, listed in `.names`"

    def __repr__(self) -> str:
        """State the size and the largest classes."""
        areas = self.areas()
        largest = ", ".join(f"{name} {_percent(share)}" for name, share in [*areas.items()][:3])
        more = ", ..." if len(areas) > 3 else ""
        height, width = self.size
        return (
            f"Segmentation({height} x {width}, "
            f"{len(areas)} of {len(self.names)} classes: {largest}{more})"
        )

    def _repr_png_(self) -> bytes | None:
        """Show the overlay in a notebook."""
        return self.overlay()._repr_png_()


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %") if share >= 0.01 else "< 1 %"
