"""Compare a graph in another precision with the one in float32, on pictures that nothing was adjusted to."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from fastfcn_export.quantization.pictures import Pictures
from fastfcn_export.quantization.settings import QuantizationSettings
from fastfcn_infer.artifact.artifact import FORMATS, Artifact
from fastfcn_infer.artifact.golden import carries_golden, compare, read_golden
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.variant import (
    GoldenAgreement,
    GraphPrecision,
    LabelAgreement,
    TaskLoss,
)
from fastfcn_infer.errors import VerificationError
from fastfcn_infer.evaluation.agreement import NEAR, Agreement, agreement
from fastfcn_infer.evaluation.metrics import Confusion, mean_iou_of_true_classes
from fastfcn_infer.inference.multiband import read_pixels
from fastfcn_infer.inference.pipeline import segment
from fastfcn_infer.runtime.backend import Backend, RuntimeFacts, open_backend
from fastfcn_infer.system.machine import cpu_budget
from fastfcn_infer.system.percent import percent
from fastfcn_infer.system.progress import Progress

Labels = NDArray[Any]

_ROOM = 0.02  # of the golden picture's agreement, for other processors and runtimes


@contextmanager
def opened(graph: Path, model: Model, precision: GraphPrecision) -> Iterator[Backend]:
    """Open a graph that is in no artifact yet, in the runtime and with the settings that a user would get.

    Args:
        graph: an ``.onnx`` file.
        model: describes the network.
        precision: of the graph; runtimes have settings for it.

    Raises:
        BackendMissing: no runtime is installed.
        GraphRefused: none takes the graph.
    """
    described = replace(model, precision=precision)
    artifact = Artifact(None, described, None, {FORMATS["onnx"]: graph})
    backend = open_backend("auto", artifact, device="cpu", threads=cpu_budget().threads)
    try:
        yield backend
    finally:
        backend.close()


@dataclass(frozen=True)
class Judged:
    """What a comparison found.

    Args:
        agreement: of labels with those of float32.
        loss: of mean IoU, points (hundredths); None without labels.
        mean_iou: of the graph, and of the one in float32, 0..1; None without labels.
        facts: of the runtime.
        settings: what was required.
    """

    agreement: Agreement
    mean_iou: tuple[float, float] | None
    facts: RuntimeFacts
    settings: QuantizationSettings

    @property
    def loss(self) -> float | None:
        """Mean IoU that was lost, points (hundredths); None without labels."""
        return None if self.mean_iou is None else 100 * (self.mean_iou[1] - self.mean_iou[0])

    @property
    def holds(self) -> bool:
        """Tell whether the graph is good enough."""
        if self.agreement.overall < self.settings.min_agreement:
            return False
        if self.mean_iou is None:
            return True
        return self.mean_iou[1] - self.mean_iou[0] <= self.settings.max_loss / 100

    def __str__(self) -> str:
        """Say the figures."""
        inner = self.agreement.away_from_boundaries
        text = f"{percent(self.agreement.overall, 2)}% of the labels equal float32's"
        if self.agreement.inner_pixels:
            text += (
                f" ({percent(inner, 2)}% of those more than {NEAR} pixels away from a boundary)"
            )
        if self.mean_iou is not None and self.loss is not None:
            text += f", and mean IoU is {self.mean_iou[0]:.4f}, {_change(-self.loss)}"
        return text


def _change(points: float) -> str:
    return f"{abs(points):.2f} points {'more' if points > 0 else 'less'}"


class Judge:
    """Compares graphs with one in float32, whose labels are computed once.

    Args:
        original: the graph in float32.
        model: its description.
        held: pictures, of which those of a data set have labels.
        settings: what is required.
    """

    def __init__(
        self, original: Path, model: Model, held: Pictures, settings: QuantizationSettings
    ) -> None:
        self._model, self._held, self._settings = model, held, settings
        self._expected, _ = self._labels(original, "fp32")

    def judge(self, graph: Path) -> Judged:
        """Compare a graph in int8.

        Raises:
            ImageError, DatasetError: a picture or its labels cannot be read.
            BackendError: the runtime failed.
        """
        found, facts = self._labels(graph, "int8")
        total = Agreement()
        for labels, expected in zip(found, self._expected, strict=True):
            total += agreement(labels, expected)
        return Judged(total, self._mean_ious(found), facts, self._settings)

    def _labels(self, graph: Path, precision: GraphPrecision) -> tuple[list[Labels], RuntimeFacts]:
        """Label all pictures by the model's procedure."""
        found = []
        with (
            opened(graph, self._model, precision) as backend,
            Progress(
                f"label in {precision}", total=len(self._held.samples), unit="pictures"
            ) as bar,
        ):
            for sample in self._held.samples:
                picture = read_pixels(sample.picture, self._model.input)
                found += segment([picture], self._model, backend)
                bar.advance()
            return found, backend.facts

    def _mean_ious(self, found: list[Labels]) -> tuple[float, float] | None:
        """Score both graphs over the classes that occur in the labels; None if there are no labels."""
        dataset = self._held.dataset
        if dataset is None:
            return None
        ours, theirs = Confusion(len(dataset.classes)), Confusion(len(dataset.classes))
        for sample, labels, expected in zip(
            self._held.samples, found, self._expected, strict=True
        ):
            truth = dataset.read(sample, self._model.input)[1]
            ours.add(labels, truth)
            theirs.add(expected, truth)
        return mean_iou_of_true_classes(ours), mean_iou_of_true_classes(theirs)


def require(judged: Judged, held: Pictures) -> None:
    """Refuse a graph that is not good enough.

    Raises:
        VerificationError: it is not; with the figures, what was required, and what can be done.
    """
    if judged.holds:
        return
    settings = judged.settings
    required = f"{settings.min_agreement:.2%} of the labels"
    if judged.loss is not None:
        required += f" and at most {settings.max_loss:g} points of mean IoU less"
    raise VerificationError(
        f"The graph in int8 is not good enough: on {len(held.samples)} held-out pictures of {held.source} {judged}; "
        f"required: {required}. Nothing was written. Calibrate on more pictures or on such as the model was "
        "trained for (--calibrate, --calibration-pictures), search longer for layers that have to stay in float32 "
        "(--search-seconds), use --reduce-range on a processor without VNNI, or accept less (--min-agreement, "
        "--max-loss)."
    )


def agreement_record(judged: Judged, held: Pictures) -> LabelAgreement:
    """Record the agreement of a graph that is good enough."""
    found = judged.agreement
    return LabelAgreement(
        pictures=len(held.samples),
        source=held.source,
        overall=found.overall,
        required=judged.settings.min_agreement,
        interior=found.away_from_boundaries if found.inner_pixels else None,
        margin=NEAR,
    )


def loss_record(judged: Judged, held: Pictures) -> TaskLoss | None:
    """Record the mean IoU of a graph that is good enough; None without labels."""
    if judged.mean_iou is None:
        return None
    ours, theirs = judged.mean_iou
    return TaskLoss(
        dataset=held.source,
        pictures=len(held.samples),
        mean_iou=ours,
        mean_iou_fp32=theirs,
        allowed_loss=judged.settings.max_loss / 100,
    )


def golden_record(artifact: Artifact, graph: Path) -> GoldenAgreement | None:
    """Label the artifact's golden picture with a graph in int8; None if the artifact carries none."""
    if not carries_golden(artifact):
        return None
    golden, model = read_golden(artifact), artifact.model
    with opened(graph, model, "int8") as backend:
        picture = read_pixels(golden.picture, model.input)
        (labels,) = segment([picture], model, backend)
    found = compare(golden, labels, "int8").agreement
    return GoldenAgreement(found, max(0, math.floor(100 * (found - _ROOM))) / 100)
