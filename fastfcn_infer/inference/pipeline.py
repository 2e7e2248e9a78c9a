"""The path of a picture, in one place: plan, prepare, run, merge, labels.

`segment` takes pictures all the way from pixels to labels. Code that needs what lies between (the
canaries and the exporter's verification compare outputs of the network) takes the same steps one by
one, with a `Job`.

The views of a picture are data. Windows, scales and mirrors are more views of a
picture; nothing here depends on how many there are, or of which kind.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.errors import ArtifactError, BackendError, ImageError
from fastfcn_infer.inference.bands import Band, bands, columns_seen, over_columns
from fastfcn_infer.inference.conventions import (
    BATCH,
    Conventions,
    check_held,
    check_procedure,
    check_views,
    held_bytes,
    views_per_call,
)
from fastfcn_infer.inference.labels import Labels, labels_from_logits
from fastfcn_infer.inference.merge import Merged, merge
from fastfcn_infer.inference.preprocess import Batch, Picture, prepare
from fastfcn_infer.inference.probability.kept import KeptScores, on_its_own, shares_of
from fastfcn_infer.inference.probability.relabel import Relabelling
from fastfcn_infer.inference.scores import TILE, Scores
from fastfcn_infer.inference.views import Size, View, plan
from fastfcn_infer.system.opencv import short_of_memory
from fastfcn_infer.system.stopwatch import timed

STAGES = ("preprocess", "network", "labels")  # keys of the timings of `segment`


class Network(Protocol):
    """Anything that runs a batch: a backend, or a network in training."""

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Compute the output (`manifest.Output`) for a batch (`manifest.Input`)."""


@dataclass(frozen=True)
class Part:
    """A view of one of a job's pictures, both by index."""

    picture: int
    view: int


Outputs: TypeAlias = list[dict[int, NDArray[Any]]]  # of each picture, by the index of the view
Call: TypeAlias = tuple[Part, ...]  # views of equal canvas, computed by one call of the network


class Job:
    """Pictures, their views, and the calls of the network that cover all of them.

    Args:
        pictures: of any sizes.
        model: its conventions.
        procedure: how they become labels; None: the model's.
        batch: views in one call at most; ignored where the graph fixes the number.
        columns: of the only picture, that are labelled; None: all. The procedure cuts windows from the
            picture at its own size then, and columns start at a multiple of a tile's width.
        planned: all views of the only picture, if they are known already.
        relabelling: what becomes of the labels of `label_band`; None: nothing. The procedure has several views
            then.

    Raises:
        ValueError: the model's output does not allow the procedure.
        ImageError: a picture does not fit the model, see `views.plan`, or its labels would have to
            be resized, or what the network computes for it would be too large.
    """

    def __init__(
        self,
        pictures: Sequence[Picture],
        model: Conventions,
        *,
        procedure: Procedure | None = None,
        batch: int = BATCH,
        columns: slice | None = None,
        planned: tuple[View, ...] | None = None,
        relabelling: Relabelling | None = None,
    ) -> None:
        self._pictures, self._model, self._relabelling = pictures, model, relabelling
        self._procedure = model.procedure if procedure is None else procedure
        check_procedure(self._procedure, model)
        self.sizes: tuple[Size, ...] = tuple((p.shape[0], p.shape[1]) for p in pictures)
        self._planned: tuple[tuple[View, ...], ...] = (
            tuple(plan(self._procedure, model.input.shape[1:], size) for size in self.sizes)
            if planned is None
            else (planned,)
        )
        self.views, self._columns = self._planned, columns
        if columns is not None:
            self.views = (over_columns(self._planned[0], columns),)
        self.bands: tuple[tuple[Band, ...], ...] = tuple(
            bands(views, size, TILE[0]) for size, views in zip(self.sizes, self.views, strict=True)
        )
        for size, views, cut in zip(self.sizes, self.views, self.bands, strict=True):
            check_views(views, cut, size, model)
        self.calls = _calls(self.views, partial(views_per_call, model, batch=batch))

    @property
    def planned(self) -> int:
        """How many views there are, those included that other columns of the picture depend on."""
        return sum(map(len, self._planned))

    @property
    def columns(self) -> slice:
        """The columns of the first picture that are labelled."""
        return slice(0, self.sizes[0][1]) if self._columns is None else self._columns

    @property
    def seen(self) -> slice:
        """The columns of the first picture that the views of these see."""
        if self._columns is None:
            return self.columns
        return columns_seen(self.views[0], self.sizes[0])

    def held_bytes(self, picture: int) -> int:
        """Return the size of the outputs that the labels of a band of a picture depend on, at most."""
        return held_bytes(self._model, self.views[picture], self.bands[picture])

    def batch(self, call: Call) -> Batch:
        """Make the batch of a call, float32 (N, channels, h, w) or uint8 (N, h, w, 3).

        N is the number of the call's parts, or the one that the graph fixes; then padding follows.
        """
        looks = [(self._pictures[part.picture], self._view(part)) for part in call]
        return prepare(looks, self._model.input, self._procedure.resize)

    def merged(self, outputs: Sequence[NDArray[Any]]) -> list[Merged]:
        """Merge the outputs of all views of each picture.

        Args:
            outputs: of each call, in the order of `calls`; more than a call has parts is padding.

        Raises:
            ArtifactError: an output is not what the model describes.
            BackendError: some outputs are missing.
        """
        held: list[dict[int, NDArray[Any]]] = [{} for _ in self.views]
        for call, output in zip(self.calls, outputs, strict=True):
            for part, one in self.split(call, output):
                held[part.picture][part.view] = one
        return [self.merge(picture, found) for picture, found in enumerate(held)]

    def split(self, call: Call, output: NDArray[Any]) -> Iterator[tuple[Part, NDArray[Any]]]:
        """Pair the parts of a call with their outputs; what follows them is padding of the batch.

        Raises:
            ArtifactError: the output is not what the model describes.
            BackendError: some outputs are missing.
        """
        if len(output) < len(call):
            raise BackendError(
                f"The network computed {output.shape} for a batch of {len(call)}: outputs are missing."
            )
        model, canvas = self._model, self._view(call[0]).canvas
        expected = model.output.shape(len(output), len(model.classes), canvas)
        # Logits of another stride cover the canvas as well, and give the right labels.
        sized = model.output.name != "logits"
        if output.ndim != len(expected) or (sized and output.shape[-2:] != canvas):
            raise ArtifactError(
                f"The graph of {model.name} computed {output.shape} for an input of {canvas[0]} x "
                f"{canvas[1]}; its manifest describes {model.output.name} of {len(model.classes)} "
                f"classes, {expected}. Correct the manifest, or export the model again."
            )
        return zip(call, output, strict=False)

    def label(self, picture: int, outputs: Mapping[int, NDArray[Any]]) -> Labels:
        """Label a picture from the outputs of all its views, by the index of the view.

        Raises:
            ArtifactError: the graph computes other classes than the model has.
            BackendError: some outputs are infinite or not a number.
        """
        whole = Band(slice(0, self.sizes[picture][0]), range(len(self.views[picture])))
        return self.label_band(picture, whole, outputs)

    def label_band(self, picture: int, band: Band, outputs: Mapping[int, NDArray[Any]]) -> Labels:
        """Label some rows of a picture, of the job's columns, from the outputs of the views that they depend on.

        Raises:
            ArtifactError: the graph computes other classes than the model has.
            BackendError: some outputs are infinite or not a number.
        """
        if self._procedure.is_whole:
            return labels(self.merge(picture, outputs), self._model)
        scores = self._scores(picture, outputs, band.views)
        found = scores.labels(band.rows, self._columns)
        if self._relabelling is None:
            return found
        grouping = self._relabelling.grouping
        shares = shares_of(scores, self._procedure, self._model.output, grouping.new)
        new = self._relabelling.new_labels(found)
        columns = slice(0, self.sizes[picture][1]) if self._columns is None else self._columns
        return self._relabelling.apply(shares, new, band.rows, columns)[1]

    def scores(self, picture: int, outputs: Mapping[int, NDArray[Any]]) -> Scores:
        """Merge the outputs of all views of a picture, computed where they are asked for."""
        return self._scores(picture, outputs, range(len(self.views[picture])))

    def check_kept(self) -> None:
        """Refuse to keep outputs that are too large together.

        Raises:
            ImageError: they are.
        """
        for views, size in zip(self.views, self.sizes, strict=True):
            every = Band(slice(0, size[0]), range(len(views)))
            check_held(views, [every], size, self._model)

    def keep(
        self, picture: int, outputs: Mapping[int, NDArray[Any]], labels: Labels
    ) -> KeptScores:
        """Put together what a picture was labelled from.

        Args:
            picture: its index.
            outputs: of all its views.
            labels: of the picture.
        """
        views = self.views[picture]
        return KeptScores(
            views,
            tuple(outputs[index] for index in range(len(views))),
            labels,
            self._procedure,
            self._model.align_corners,
            self._model.output,
        )

    def _scores(self, picture: int, outputs: Mapping[int, NDArray[Any]], needed: range) -> Scores:
        views, model = self.views[picture], self._model
        found = [outputs[index] for index in needed]
        for output in found:
            _check_classes(output, model)
        return Scores(
            [views[index] for index in needed],
            found,
            self.sizes[picture],
            self._procedure,
            align_corners=model.align_corners,
            probabilities=model.output.name == "probabilities",
            planned=self._planned[picture],
        )

    def merge(self, picture: int, outputs: Mapping[int, NDArray[Any]]) -> Merged:
        """Merge the outputs of all views of one picture, by the index of the view."""
        views = self.views[picture]
        return merge(views, [outputs[index] for index in range(len(views))], self.sizes[picture])

    def _view(self, part: Part) -> View:
        return self.views[part.picture][part.view]


@short_of_memory()
def segment(
    pictures: Sequence[Picture],
    model: Conventions,
    network: Network,
    *,
    procedure: Procedure | None = None,
    batch: int = BATCH,
    timings: dict[str, float] | None = None,
    kept: list[KeptScores] | None = None,
) -> list[Labels]:
    """Label every pixel of some pictures.

    Views of equal canvas share calls of the network, whichever pictures they belong to. The outputs
    of a picture are released as soon as it is labelled.

    Args:
        pictures: (H, W, channels), of any sizes; see `preprocess.Picture`.
        model: its conventions.
        network: computes batches.
        procedure: how pictures become labels; None: the model's.
        batch: views in one call at most; ignored where the graph fixes the number.
        timings: the seconds of each of `STAGES` are added to it.
        kept: the scores of each picture are added to it; None: they are released.

    Returns:
        For each picture (H, W), uint8 or uint16.

    Raises:
        ValueError: the model's output does not allow the procedure.
        ImageError: a picture does not fit the model; see `Job`.
        ArtifactError: the network computes something else than the model describes.
        BackendError: the network failed.
    """
    taken = {} if timings is None else timings
    with timed(taken, "preprocess"):
        job = Job(pictures, model, procedure=procedure, batch=batch)
    found: dict[int, Labels] = {}
    outputs: Outputs | None = None
    if kept is not None:
        job.check_kept()
        outputs = [{} for _ in pictures]
    for picture, band, rows in labelled(job, network, timings=taken, kept=outputs):
        if len(job.bands[picture]) == 1:
            found[picture] = rows
        else:
            whole = found.setdefault(picture, np.empty(job.sizes[picture], rows.dtype))
            whole[band.rows] = rows
    if kept is not None and outputs is not None:
        kept += [job.keep(index, outputs[index], found[index]) for index in range(len(pictures))]
    return [found[index] for index in range(len(pictures))]


def labelled(
    job: Job,
    network: Network,
    *,
    timings: dict[str, float],
    first: int = 0,
    kept: Outputs | None = None,
) -> Iterator[tuple[int, Band, Labels]]:
    """Label the bands of all pictures of a job as their views are computed.

    Outputs are released as soon as no later band depends on them.

    Args:
        job: pictures and calls.
        network: computes batches.
        timings: the seconds of each of `STAGES` are added to it.
        first: index of the band of each picture to begin with.
        kept: of each picture, the outputs of all its views are added to it; None: they are not kept.

    Yields:
        Picture, band, and the labels of its rows, uint8 or uint16; the bands of each picture in order.

    Raises:
        ImageError, ArtifactError, BackendError: as `segment`.
    """
    held: list[dict[int, NDArray[Any]]] = [{} for _ in job.bands]
    waiting = [list(reversed(bands[first:])) for bands in job.bands]
    for call in job.calls:
        if not any(_is_needed(part, waiting) for part in call):
            continue
        with timed(timings, "preprocess"):
            fed = job.batch(call)
        with timed(timings, "network"):
            output = network.run(fed)
        for part, one in job.split(call, output):
            outputs, bands = held[part.picture], waiting[part.picture]
            outputs[part.view] = one
            if kept is not None:
                kept[part.picture][part.view] = on_its_own(one)
            while bands and _is_complete(bands[-1], outputs):
                band = bands.pop()
                with timed(timings, "labels"):
                    rows = job.label_band(part.picture, band, outputs)
                needed = bands[-1].views.start if bands else len(job.views[part.picture])
                for index in [index for index in outputs if index < needed]:
                    del outputs[index]
                yield part.picture, band, rows


def _is_needed(part: Part, waiting: Sequence[Sequence[Band]]) -> bool:
    """Tell whether a band that is not labelled yet depends on a view."""
    bands = waiting[part.picture]
    return bool(bands) and part.view >= bands[-1].views.start


def _is_complete(band: Band, outputs: Mapping[int, object]) -> bool:
    """Tell whether all views of a band are computed; what is held begins with its first one."""
    # The windows of several bands are computed in order; those of several sizes make one band.
    return len(outputs) >= len(band.views) and band.views[-1] in outputs


def labels(merged: Merged, model: Conventions) -> Labels:
    """Return the labels (H, W) of a picture, uint8 or uint16.

    Raises:
        ImageError: the graph computes labels, and the picture had to be reduced to fit into it.
        ArtifactError: the graph computes other classes than the model has.
    """
    _check_classes(merged.scores, model)
    if model.output.name == "labels":
        height, width = merged.picture
        if height > merged.scores.shape[0] or width > merged.scores.shape[1]:
            raise ImageError(
                f"A picture of {height} x {width} pixels does not fit into the "
                f"{merged.scores.shape[0]} x {merged.scores.shape[1]} of {model.name}, which was "
                "exported with --output labels: labels cannot be resized exactly. Crop the picture, "
                "or export with --output logits."
            )
        return np.ascontiguousarray(merged.scores[:height, :width])
    return labels_from_logits(
        merged.scores, merged.size, align_corners=model.align_corners, region=merged.picture
    )


def _check_classes(found: NDArray[Any], model: Conventions) -> None:
    """Compare scores (C, h, w) or labels (h, w) with the classes of the manifest."""
    classes, fault = len(model.classes), ""
    if model.output.name != "labels":
        if len(found) != classes:
            fault = f"scores of {len(found)} classes"
    elif found.dtype not in (np.uint8, np.uint16):
        fault = f"labels of type {found.dtype}, not uint8 or uint16"
    elif int(found.max()) >= classes:
        fault = f"the label {found.max()}"
    if fault:
        raise ArtifactError(
            f"The graph of {model.name} computed {fault}, and its manifest has {classes} classes. "
            "Correct the manifest, or export the model again."
        )


def _calls(views: Sequence[Sequence[View]], most_of: Callable[[Size], int]) -> tuple[Call, ...]:
    """Group the views of all pictures by their canvas, as many in a group as go into a call."""
    groups: dict[Size, list[Part]] = {}
    for picture, planned in enumerate(views):
        for index, view in enumerate(planned):
            groups.setdefault(view.canvas, []).append(Part(picture, index))
    return tuple(
        tuple(parts[first : first + most])
        for parts, most in ((parts, most_of(canvas)) for canvas, parts in groups.items())
        for first in range(0, len(parts), most)
    )
