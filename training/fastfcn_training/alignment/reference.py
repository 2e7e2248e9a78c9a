"""Values that the original codes gave, recorded: what the comparisons compare with.

``reference.json`` beside this file holds those of wuhuikai/FastFCN in PyTorch (EncNet, ResNet-50,
JPU, dropout off) and of PaddleSeg's scores. Weights, pictures and labels are made by `values`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fastfcn_export.network import choice
from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.choice import NetworkChoice
from fastfcn_export.network.primitives import Weights
from fastfcn_export.target.targets import cost
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.evaluation.metrics import Convention
from fastfcn_infer.system import record
from fastfcn_training.alignment import values
from fastfcn_training.recipe.recipe import Losses, Optimiser

RECORDED = Path(__file__).parent / "reference.json"


@dataclass(frozen=True)
class Forward:
    """Logits of one picture in evaluation mode, at the network's own resolution.

    Args:
        classes: of the network.
        seed, height, width: of its input.
        shape: classes, h, w of the logits.
        every: only every so many-th logit is recorded, in row-major order.
        logits: those.
        means: of each class, over all pixels.
        largest: absolute value of all logits.
    """

    classes: int
    seed: int
    height: int
    width: int
    shape: tuple[int, int, int]
    every: int
    logits: tuple[float, ...]
    means: tuple[float, ...]
    largest: float


@dataclass(frozen=True)
class Steps:
    """Some steps of training on one batch, by one code.

    In float32 such numbers are not sharp. Fifty layers whose norms see a few dozen pixels make a
    percent of a rounding: a ReLU or two switch, and gradients jump.

    Args:
        origin: the code.
        precision: of its arithmetic.
        losses: before each step.
        gradient_norms: our name of every tensor -> length of its gradient before the first step.
        loss_spreads: standard deviations of `losses` over runs in this precision whose weights were
            moved at random by up to 5e-7 of themselves, by which sums of two engines differ as
            well; none: the numbers are sharp.
        norm_spreads: likewise of `gradient_norms`.
    """

    origin: str
    precision: Literal["float32", "float64"]
    losses: tuple[float, ...]
    gradient_norms: Mapping[str, float]
    loss_spreads: tuple[float, ...] = ()
    norm_spreads: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Training:
    """A batch, the loss in evaluation mode, and what training on it does.

    Args:
        classes: of the network.
        seeds: of the pictures.
        labels_seed: of their labels.
        height, width: pixels.
        align_corners: of the resize from logits to picture.
        losses: what is minimised.
        optimiser: that makes the steps.
        rate: learning rate of the backbone in all steps.
        evaluation_loss: before the first step, in evaluation mode.
        steps: by several codes.
    """

    classes: int
    seeds: tuple[int, ...]
    labels_seed: int
    height: int
    width: int
    align_corners: bool
    losses: Losses
    optimiser: Optimiser
    rate: float
    evaluation_loss: float
    steps: tuple[Steps, ...]


@dataclass(frozen=True)
class Metrics:
    """Scores of label maps, in one code's convention; shares of 1.

    Args:
        classes: number of classes.
        seed, shape: of the label maps.
        convention: of the scores.
        mean_iou, pixel_accuracy, kappa, mean_dice: as `fastfcn_infer.evaluation.metrics.Scores` has them.
        iou, dice: of each class.
    """

    classes: int
    seed: int
    shape: tuple[int, int, int]
    convention: Convention
    mean_iou: float
    pixel_accuracy: float
    kappa: float
    mean_dice: float
    iou: tuple[float, ...]
    dice: tuple[float, ...]


@dataclass(frozen=True)
class Reference:
    """All recorded values.

    Args:
        format_version: of this record.
        origin: which codes gave the values.
        network: of `forward` and `training`.
        names: our name of every tensor -> the name in the code that gave the values.
        forward, training, metrics: the values.
    """

    format_version: Literal[1]
    origin: str
    network: NetworkChoice
    names: Mapping[str, str]
    forward: Forward
    training: Training
    metrics: Metrics

    def architecture(self, classes: int) -> Architecture:
        """Describe the network in full."""
        return choice.architecture(self.network, classes)

    def weights(self, classes: int) -> Weights:
        """Draw the network's tensors, by our names, float32."""
        shapes = cost.tensors(self.architecture(classes))
        return {
            name: values.tensor(name, self.names[name], shape) for name, shape in shapes.items()
        }


def read_reference(path: Path = RECORDED) -> Reference:
    """Read recorded values.

    Raises:
        ArtifactError: the file is no such record, or speaks of another network's tensors; lists
            all faults.
        OSError: it cannot be read.
    """
    try:
        found = record.from_json(Reference, path.read_bytes())
    except record.RecordError as error:
        raise ArtifactError(f"{path} holds no recorded values: {error}") from error
    tensors = cost.tensors(found.architecture(found.training.classes))
    learned = {name for name in tensors if not name.endswith((".norm.mean", ".norm.var"))}
    faults = _faults("names", set(found.names), set(tensors))
    for i, steps in enumerate(found.training.steps):
        faults += _faults(f"steps[{i}].gradient_norms", set(steps.gradient_norms), learned)
        if steps.norm_spreads:
            faults += _faults(f"steps[{i}].norm_spreads", set(steps.norm_spreads), learned)
        if not steps.losses or len(steps.loss_spreads) not in (0, len(steps.losses)):
            faults.append(
                f"steps[{i}] has {len(steps.losses)} losses and {len(steps.loss_spreads)} spreads"
            )
    if faults:
        raise ArtifactError(f"{path} does not fit its network: {'; '.join(faults)}")
    return found


def _faults(field: str, found: set[str], expected: set[str]) -> list[str]:
    faults = []
    if missing := sorted(expected - found):
        faults.append(f"{field} lacks {', '.join(missing)}")
    if strange := sorted(found - expected):
        faults.append(f"{field} has {', '.join(strange)}, which the network has not")
    return faults
