"""Everything that decides what a training computes, as plain values.

Two ways lead to a `Recipe`: the flags of the original code and PaddleSeg's configuration files. It
is stored with every checkpoint, so a training can be resumed, repeated and exported from that file
alone. Lengths are counted in iterations: one iteration is one step of the optimiser. Every part
refuses values that make no sense with a `ValueError` that lists all of them.

Source: reference/fastfcn_semantics.md, 5.2 and 5.3.
"""

from dataclasses import dataclass, field
from typing import Literal

from fastfcn_export.network.choice import NetworkChoice
from fastfcn_infer.artifact.manifest import Resize
from fastfcn_infer.data.dataset import IGNORE
from fastfcn_infer.evaluation.metrics import Convention

Triple = tuple[float, float, float]
Range = tuple[float, float]


@dataclass(frozen=True)
class Data:
    """What is learned from.

    Args:
        dataset: name of the data set.
        split: part to learn from.
        validation_split: part to validate on; None: no validation.
        mean, std: RGB, on the scale 0..1.
    """

    dataset: str
    split: str = "train"
    validation_split: str | None = "val"
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        """Refuse a deviation that nothing can be divided by."""
        _require(self, std=(min(self.std) > 0, "more than 0 in each channel"))


@dataclass(frozen=True)
class Augmentation:
    """What happens to a picture before it is learned, in this order.

    Args:
        resize: ``short_side``: the short side becomes a whole number drawn from `scales` times
            `base_size`, pixels; ``scale``: both sides are multiplied by a factor from `scales`;
            ``long_side``: as ``short_side``, of the long side.
        base_size: pixels; not used by ``scale``.
        scales: smallest and largest factor.
        scale_step: factors are as many as fit with at least this between them, evenly spaced from
            the smallest to the largest; None: any factor between.
        rotation: largest angle either way, degrees.
        crop: height and width, pixels, of the random cut; smaller pictures are padded.
        padding: RGB, on the scale 0..1, of pixels that pad; their label is ignored.
        padding_label: label of pixels that pad; None: ignored.
        mirror: probability of left-right mirroring.
        mirror_last: it comes after the cut, so padding may be on the left, as PaddleSeg's; else it
            comes first and padding is on the right, as the original's.
        blur: probability of a Gaussian blur with a radius from 0 to 1 pixel.
        brightness, contrast, saturation: largest change either way, as a share; each with
            probability one half, in random order.
        hue: largest change either way, degrees (PaddleSeg counts in 256ths of the circle).
    """

    resize: Literal["short_side", "long_side", "scale"] | None = "short_side"
    base_size: int = 520
    scales: Range = (0.5, 2.0)
    scale_step: float | None = None
    rotation: float = 0.0
    crop: tuple[int, int] = (480, 480)
    padding: Triple = (0.0, 0.0, 0.0)
    padding_label: int | None = None
    mirror: float = 0.5
    mirror_last: bool = False
    blur: float = 0.5
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be done to a picture."""
        low, high = self.scales
        step, label = self.scale_step, self.padding_label
        _require(
            self,
            base_size=(self.base_size >= 1, "at least 1"),
            scales=(0 < low <= high, "two factors above 0, the smaller one first"),
            scale_step=(step is None or step > 0, "more than 0"),
            rotation=(0 <= self.rotation <= 180, "0 to 180"),
            crop=(min(self.crop) >= 1, "at least 1 x 1"),
            padding_label=(label is None or 0 <= label <= IGNORE, f"0 to {IGNORE}"),
            mirror=(0 <= self.mirror <= 1, "0 to 1"),
            blur=(0 <= self.blur <= 1, "0 to 1"),
            brightness=(0 <= self.brightness <= 1, "0 to 1"),
            contrast=(0 <= self.contrast <= 1, "0 to 1"),
            saturation=(0 <= self.saturation <= 1, "0 to 1"),
            hue=(0 <= self.hue <= 180, "0 to 180"),
        )


@dataclass(frozen=True)
class Losses:
    """What is minimised: cross entropy of the logits at full size, and two helpers.

    Args:
        auxiliary: weight of the auxiliary head's cross entropy.
        semantic: weight of the binary cross entropy of the classes' presence.
        class_weights: one factor a class; empty: all 1.
        average: over the pixels that count, by the weights of their classes (``valid``), or over
            all pixels, those without a label included (``all``, mmsegmentation).
    """

    auxiliary: float = 0.2
    semantic: float = 0.2
    class_weights: tuple[float, ...] = ()
    average: Literal["valid", "all"] = "valid"

    def __post_init__(self) -> None:
        """Refuse weights that reward mistakes."""
        weights = self.class_weights or (1.0,)
        _require(
            self,
            auxiliary=(self.auxiliary >= 0, "at least 0"),
            semantic=(self.semantic >= 0, "at least 0"),
            class_weights=(min(weights) >= 0 and max(weights) > 0, "none below 0, not all 0"),
        )


@dataclass(frozen=True)
class Optimiser:
    """How the weights move.

    Args:
        kind: ``sgd`` with momentum, or ``adamw``.
        momentum: of ``sgd``.
        weight_decay: added to the gradient by ``sgd``, applied to the weight by ``adamw``.
        head_factor: learning rate of all but the backbone, over the backbone's.
        clip_norm: largest norm of all gradients together; None: any.
    """

    kind: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    head_factor: float = 10.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        """Refuse constants that make no step downhill."""
        _require(
            self,
            momentum=(0 <= self.momentum < 1, "0 or more, below 1"),
            weight_decay=(self.weight_decay >= 0, "at least 0"),
            head_factor=(self.head_factor > 0, "more than 0"),
            clip_norm=(self.clip_norm is None or self.clip_norm > 0, "more than 0"),
        )


@dataclass(frozen=True)
class Schedule:
    """The learning rate of the backbone, iteration by iteration.

    Args:
        kind: ``poly``: ``(rate - end) * (1 - t / T) ** power + end``; ``cos``: half a cosine to 0;
            ``step``: a tenth after every `step` iterations; ``one_cycle``: up by a cosine from a
            25th within `warm_up` iterations, then down by a cosine to a 10000th of the start;
            ``constant``.
        rate: the largest.
        end: the last, of ``poly``.
        power: of ``poly``.
        step: iterations, of ``step``.
        warm_up: iterations; for all kinds but ``one_cycle`` the rate grows linearly.
        warm_up_from: rate of the first iteration of the warm-up.
        warm_up_apart: the shape begins where the warm-up ends, as PaddleSeg's does; else it has
            begun with it, and is multiplied by the share of the warm-up that is over.
    """

    kind: Literal["poly", "cos", "step", "one_cycle", "constant"] = "poly"
    rate: float = 0.01
    end: float = 0.0
    power: float = 0.9
    step: int = 0
    warm_up: int = 0
    warm_up_from: float = 0.0
    warm_up_apart: bool = False

    def __post_init__(self) -> None:
        """Refuse rates that are none."""
        apart = self.warm_up_apart and self.kind != "one_cycle"
        _require(
            self,
            rate=(self.rate > 0, "more than 0"),
            end=(0 <= self.end <= self.rate, f"0 to the largest rate, {self.rate}"),
            power=(self.power >= 0, "at least 0"),
            step=(self.step >= (1 if self.kind == "step" else 0), "iterations, at least 1"),
            warm_up=(self.warm_up >= 0, "at least 0"),
            warm_up_from=(
                0 <= self.warm_up_from <= (self.rate if apart else 0),
                "0, or with warm_up_apart up to the largest rate",
            ),
        )


@dataclass(frozen=True)
class Recipe:
    """A training.

    Args:
        iterations: steps of the optimiser.
        batch: pictures of one step of one process, without accumulation.
        accumulate: batches whose gradients are averaged for one step.
        seed: of initial weights, order, augmentation and dropout.
        precision: ``mixed``: float16 arithmetic with scaled losses where the device has it.
        align_corners: of the resize from logits to picture.
        freeze_norms: batch norms keep their statistics.
        resize: how a picture is sized for the network at validation, and by whoever runs the
            model; None: not at all.
        validation_every: iterations; 0: only at the end.
        save_every: iterations; 0: only at the end.
        convention: of the scores that validation reports; the best iteration is the one with the
            highest mean IoU, by ``fastfcn`` the highest mean of it and pixel accuracy.
    """

    data: Data
    iterations: int
    batch: int
    network: NetworkChoice = field(default_factory=NetworkChoice)
    augmentation: Augmentation = field(default_factory=Augmentation)
    losses: Losses = field(default_factory=Losses)
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    accumulate: int = 1
    seed: int = 0
    precision: Literal["fp32", "mixed"] = "fp32"
    align_corners: bool = True
    freeze_norms: bool = False
    resize: Resize | None = None
    validation_every: int = 0
    save_every: int = 1000
    convention: Convention = "paddleseg"

    def __post_init__(self) -> None:
        """Refuse lengths that are none."""
        _require(
            self,
            iterations=(self.iterations >= 1, "at least 1"),
            batch=(self.batch >= 1, "at least 1"),
            accumulate=(self.accumulate >= 1, "at least 1"),
            seed=(self.seed >= 0, "at least 0"),
            validation_every=(self.validation_every >= 0, "at least 0"),
            save_every=(self.save_every >= 0, "at least 0"),
        )


def _require(record: object, **rules: tuple[bool, str]) -> None:
    """Raise a `ValueError` that lists every field whose rule does not hold, and what would."""
    faults = [
        f"{name} is {getattr(record, name)}, expected {expected}"
        for name, (holds, expected) in rules.items()
        if not holds
    ]
    if faults:
        raise ValueError("; ".join(faults))
