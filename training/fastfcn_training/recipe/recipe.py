"""Everything that decides what a training computes, as plain values.

A `Recipe` is made from the flags of the original code or from a PaddleSeg configuration, or read from
a file. It is stored with every checkpoint, so a training can be resumed, repeated and exported from
that alone. Lengths are counted in iterations: one iteration is one step of the optimiser. Every part
checks its values and raises a `ValueError` that lists all invalid ones.

Source: reference/fastfcn_semantics.md, 5.2 and 5.3.
"""

from dataclasses import dataclass, field
from typing import Literal

from fastfcn_export.network.choice import NetworkChoice
from fastfcn_infer.artifact.manifest import Convention
from fastfcn_infer.artifact.procedure import Resize
from fastfcn_infer.data.label_options import IGNORE, Orientation
from fastfcn_infer.system import record

Triple = tuple[float, float, float]
Range = tuple[float, float]


@dataclass(frozen=True)
class Data:
    """The data set and its normalisation.

    Args:
        dataset: name of the data set.
        split: training part.
        validation_split: validation part; None: no validation.
        mean, std: RGB, on the scale 0..1.
        map_labels: pairs of a value in the label files and its label, where it is not the data set's.
        label_orientation: of the label maps of pictures that EXIF turns; see
            `fastfcn_infer.data.dataset.Dataset`.
    """

    dataset: str
    split: str = "train"
    validation_split: str | None = "val"
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)
    map_labels: tuple[tuple[int, int], ...] = field(default=(), metadata=record.OMITTED)
    label_orientation: Orientation = field(default="auto", metadata=record.OMITTED)

    def __post_init__(self) -> None:
        """Refuse a deviation of 0 or less."""
        _require(self, std=(min(self.std) > 0, "more than 0 in each channel"))


@dataclass(frozen=True)
class Augmentation:
    """Augmentation of a training picture, in this order.

    Args:
        resize: ``short_side``: the short side becomes a whole number drawn from `scales` times
            `base_size`, pixels; ``scale``: both sides are multiplied by a factor from `scales`;
            ``long_side``: as ``short_side``, of the long side.
        base_size: pixels; not used by ``scale``.
        scales: smallest and largest factor.
        scale_step: smallest distance between two factors; as many as fit are spaced evenly from the
            smallest to the largest. None: any factor in between.
        rotation: largest angle in either direction, degrees.
        crop: height and width of the random crop, pixels; smaller pictures are padded.
        padding: RGB of padded pixels, on the scale 0..1.
        padding_label: label of padded pixels; None: ignored.
        mirror: probability of left-right mirroring.
        mirror_last: mirror after cropping, so that padding may be on the left, as in PaddleSeg; else
            mirror first, with padding on the right, as in the original.
        blur: probability of a Gaussian blur with a radius from 0 to 1 pixel.
        brightness, contrast, saturation: largest change in either direction, as a fraction; each
            applied with probability one half, in random order.
        hue: largest change in either direction, degrees (PaddleSeg's unit is 1/256 of the circle).
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
        """Refuse impossible values."""
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
    """The loss: cross entropy of the full-size logits, plus two auxiliary losses.

    Args:
        auxiliary: weight of the auxiliary head's cross entropy.
        semantic: weight of the binary cross entropy of which classes are present (SE loss).
        class_weights: one factor per class; empty: all 1.
        average: over the labelled pixels, weighted by class (``valid``), or over all pixels,
            unlabelled ones included (``all``, mmsegmentation).
    """

    auxiliary: float = 0.2
    semantic: float = 0.2
    class_weights: tuple[float, ...] = ()
    average: Literal["valid", "all"] = "valid"

    def __post_init__(self) -> None:
        """Refuse negative weights."""
        weights = self.class_weights or (1.0,)
        _require(
            self,
            auxiliary=(self.auxiliary >= 0, "at least 0"),
            semantic=(self.semantic >= 0, "at least 0"),
            class_weights=(min(weights) >= 0 and max(weights) > 0, "none below 0, not all 0"),
        )


@dataclass(frozen=True)
class Optimiser:
    """How the weights are updated.

    Args:
        kind: ``sgd`` with momentum, or ``adamw``.
        momentum: of ``sgd``.
        weight_decay: added to the gradient by ``sgd``, applied to the weight by ``adamw``.
        head_factor: learning rate of everything but the backbone, divided by the backbone's.
        clip_norm: largest norm of all gradients together; None: no clipping.
    """

    kind: Literal["sgd", "adamw"] = "sgd"
    momentum: float = 0.9
    weight_decay: float = 1e-4
    head_factor: float = 10.0
    clip_norm: float | None = None

    def __post_init__(self) -> None:
        """Refuse impossible constants."""
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
            ``step``: divided by 10 after every `step` iterations; ``one_cycle``: up by a cosine
            from 1/25 within `warm_up` iterations, then down by a cosine to 1/10000 of the start;
            ``constant``.
        rate: the highest.
        end: the last, of ``poly``.
        power: of ``poly``.
        step: iterations, of ``step``.
        warm_up: iterations; the rate grows linearly in them, except for ``one_cycle``.
        warm_up_from: rate of the first iteration of the warm-up.
        warm_up_apart: the schedule starts after the warm-up, as in PaddleSeg; else both start
            together, and the rate is multiplied by the completed fraction of the warm-up.
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
        """Refuse impossible rates."""
        apart = self.warm_up_apart and self.kind != "one_cycle"
        _require(
            self,
            rate=(self.rate > 0, "more than 0"),
            end=(0 <= self.end <= self.rate, f"0 to the highest rate, {self.rate}"),
            power=(self.power >= 0, "at least 0"),
            step=(self.step >= (1 if self.kind == "step" else 0), "iterations, at least 1"),
            warm_up=(self.warm_up >= 0, "at least 0"),
            warm_up_from=(
                0 <= self.warm_up_from <= (self.rate if apart else 0),
                "0, or with warm_up_apart up to the highest rate",
            ),
        )


@dataclass(frozen=True)
class Recipe:
    """A training.

    Args:
        iterations: steps of the optimiser.
        batch: pictures per batch of one process.
        accumulate: batches whose gradients are averaged in one step.
        seed: of initial weights, order, augmentation and dropout.
        precision: ``mixed``: float16 where that is safe, with scaled losses; needs a GPU.
        align_corners: of the resize from logits to picture.
        freeze_norms: batch norms keep their running statistics.
        resize: how pictures are resized for the network, at validation and in the exported model;
            None: not at all.
        validation_every: iterations; 0: only at the end.
        save_every: iterations; 0: only at the end.
        convention: of the validation scores. The best iteration is the one with the highest mean IoU;
            for ``fastfcn``, the highest average of mean IoU and pixel accuracy.
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
        """Refuse impossible lengths."""
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
    """Raise a `ValueError` that lists every field whose rule does not hold, and what is expected."""
    faults = [
        f"{name} is {getattr(record, name)}, expected {expected}"
        for name, (holds, expected) in rules.items()
        if not holds
    ]
    if faults:
        raise ValueError("; ".join(faults))
