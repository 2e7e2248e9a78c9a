"""The path of a picture, in one place: plan, prepare, run, merge, labels.

`segment` takes pictures all the way from pixels to labels. Code that needs what lies between (the
canaries and the exporter's verification compare outputs of the network) takes the same steps one by
one, with a `Job`.

How a picture is looked at is data: its views. Windows, scales and mirrors are more views of a
picture; nothing here depends on how many there are, or of which kind.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Input, Output, Procedure
from fastfcn_infer.errors import BackendError, ImageError
from fastfcn_infer.inference.labels import Labels, labels_from_logits
from fastfcn_infer.inference.merge import Merged, merge
from fastfcn_infer.inference.preprocess import Batch, prepare
from fastfcn_infer.inference.views import Size, View, plan
from fastfcn_infer.system.stopwatch import timed

Picture: TypeAlias = NDArray[np.uint8]  # (H, W, 3), RGB

STAGES = ("preprocess", "network", "labels")  # keys of the timings of `segment`
BATCH = 8  # views in one call of the network, where the graph does not fix the number


class Network(Protocol):
    """Anything that runs a batch: a backend, or a network in training."""

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Compute the output (`manifest.Output`) for a batch (`manifest.Input`)."""


class Conventions(Protocol):
    """What the pipeline needs to know about a model; a `manifest.Model` provides it."""

    @property
    def name(self) -> str:
        """Name of the model, for messages."""

    @property
    def input(self) -> Input:
        """What the network is fed."""

    @property
    def output(self) -> Output:
        """What the network computes."""

    @property
    def align_corners(self) -> bool:
        """Convention of the resize from the output to the picture."""

    @property
    def procedure(self) -> Procedure:
        """How pictures are resized and padded."""


@dataclass(frozen=True)
class Part:
    """A view of one of a job's pictures, both by index."""

    picture: int
    view: int


Call: TypeAlias = tuple[Part, ...]  # views of equal canvas, computed by one call of the network


class Job:
    """Pictures, their views, and the calls of the network that cover all of them.

    Args:
        pictures: of any sizes.
        model: its conventions.
        batch: views in one call at most; ignored where the graph fixes the number.

    Raises:
        ImageError: a picture does not fit the model; see `views.plan`.
    """

    def __init__(
        self, pictures: Sequence[Picture], model: Conventions, *, batch: int = BATCH
    ) -> None:
        self._pictures, self._model = pictures, model
        self.sizes: tuple[Size, ...] = tuple((p.shape[0], p.shape[1]) for p in pictures)
        shape = model.input.shape
        self.views: tuple[tuple[View, ...], ...] = tuple(
            plan(model.procedure, shape[1:], size) for size in self.sizes
        )
        self.calls = _calls(self.views, shape[0] or batch)

    def batch(self, call: Call) -> Batch:
        """Make the batch of a call, float32 (N, 3, h, w) or uint8 (N, h, w, 3).

        N is the number of the call's parts, or the one that the graph fixes; then padding follows.
        """
        looks = [(self._pictures[part.picture], self._view(part)) for part in call]
        return prepare(looks, self._model.input, self._model.procedure.resize)

    def merged(self, outputs: Sequence[NDArray[Any]]) -> list[Merged]:
        """Merge the outputs of all views of each picture.

        Args:
            outputs: of each call, in the order of `calls`; more than a call has parts is padding.
        """
        held: list[dict[int, NDArray[Any]]] = [{} for _ in self.views]
        for call, output in zip(self.calls, outputs, strict=True):
            for part, one in _outputs(call, output):
                held[part.picture][part.view] = one
        return [self.merge(picture, found) for picture, found in enumerate(held)]

    def merge(self, picture: int, outputs: Mapping[int, NDArray[Any]]) -> Merged:
        """Merge the outputs of all views of one picture, by the index of the view."""
        views = self.views[picture]
        return merge(views, [outputs[index] for index in range(len(views))], self.sizes[picture])

    def _view(self, part: Part) -> View:
        return self.views[part.picture][part.view]


def segment(
    pictures: Sequence[Picture],
    model: Conventions,
    network: Network,
    *,
    batch: int = BATCH,
    timings: dict[str, float] | None = None,
) -> list[Labels]:
    """Label every pixel of some pictures.

    Views of equal canvas share calls of the network, whichever pictures they belong to. The outputs
    of a picture are released as soon as it is labelled.

    Args:
        pictures: (H, W, 3) uint8 RGB, of any sizes.
        model: its conventions.
        network: computes batches.
        batch: views in one call at most; ignored where the graph fixes the number.
        timings: the seconds of each of `STAGES` are added to it.

    Returns:
        For each picture (H, W), uint8 or uint16.

    Raises:
        ImageError: a picture does not fit the model; see `views.plan`.
        BackendError: the network failed.
    """
    taken = {} if timings is None else timings
    with timed(taken, "preprocess"):
        job = Job(pictures, model, batch=batch)
    held: list[dict[int, NDArray[Any]]] = [{} for _ in pictures]
    found: dict[int, Labels] = {}
    for call in job.calls:
        with timed(taken, "preprocess"):
            fed = job.batch(call)
        with timed(taken, "network"):
            output = network.run(fed)
        with timed(taken, "labels"):
            for part, one in _outputs(call, output):
                outputs = held[part.picture]
                outputs[part.view] = one
                if len(outputs) == len(job.views[part.picture]):
                    found[part.picture] = labels(job.merge(part.picture, outputs), model)
                    outputs.clear()
    return [found[index] for index in range(len(pictures))]


def labels(merged: Merged, model: Conventions) -> Labels:
    """Return the labels (H, W) of a picture, uint8 or uint16.

    Raises:
        ImageError: the graph computes labels, and the picture had to be reduced to fit into it.
    """
    if model.output.name == "labels":
        height, width = merged.picture
        if height > merged.scores.shape[0] or width > merged.scores.shape[1]:
            raise ImageError(
                f"A picture of {height} x {width} pixels does not fit into the "
                f"{merged.scores.shape[0]} x {merged.scores.shape[1]} of {model.name}, which was "
                "exported with --output labels: labels cannot be resized exactly. Cut the picture, "
                "or export with --output logits."
            )
        return np.ascontiguousarray(merged.scores[:height, :width])
    return labels_from_logits(
        merged.scores, merged.size, align_corners=model.align_corners, region=merged.picture
    )


def _calls(views: Sequence[Sequence[View]], most: int) -> tuple[Call, ...]:
    """Group the views of all pictures by their canvas, at most `most` in a group."""
    groups: dict[Size, list[Part]] = {}
    for picture, planned in enumerate(views):
        for index, view in enumerate(planned):
            groups.setdefault(view.canvas, []).append(Part(picture, index))
    return tuple(
        tuple(parts[first : first + most])
        for parts in groups.values()
        for first in range(0, len(parts), most)
    )


def _outputs(call: Call, output: NDArray[Any]) -> Iterator[tuple[Part, NDArray[Any]]]:
    """Pair the parts of a call with their outputs; what follows them is padding of the batch."""
    if len(output) < len(call):
        raise BackendError(
            f"The network computed {output.shape} for a batch of {len(call)}: outputs are missing."
        )
    return zip(call, output, strict=False)
