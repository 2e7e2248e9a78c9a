"""Schema of the sections about data in a PaddleSeg configuration; see `schema`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kinds = Mapping[str, type[Any]]  # value of ``type`` -> dataclass of the section


def only(section: object, **values: float) -> None:
    """Raise a `ValueError` that lists every field without its only supported value."""
    faults = [
        f"{name} is {getattr(section, name)}; only {value} is supported here"
        for name, value in values.items()
        if getattr(section, name) != value
    ]
    if faults:
        raise ValueError("; ".join(faults))


@dataclass(frozen=True)
class Dataset:
    """``train_dataset`` and ``val_dataset``, except ``transforms``."""

    type: Literal["ADE20K", "Cityscapes", "PascalContext", "PascalVOC", "Dataset"]
    mode: Literal["train", "val", "trainval", "trainaug"]
    dataset_root: str | None = None
    edge: Literal[False] = False
    num_classes: int | None = None
    train_path: str | None = None
    val_path: str | None = None
    test_path: str | None = None
    separator: str = " "
    ignore_index: Literal[255] = 255
    img_channels: Literal[3] = 3


@dataclass(frozen=True)
class ResizeStepScaling:
    """A transform."""

    min_scale_factor: float = 0.75
    max_scale_factor: float = 1.25
    scale_step_size: float = 0.25


@dataclass(frozen=True)
class RandomPaddingCrop:
    """A transform; `crop_size` is width and height."""

    crop_size: tuple[int, int] = (512, 512)
    im_padding_value: float | tuple[float, float, float] = 127.5
    label_padding_value: int = 255
    category_max_ratio: float = 1.0
    ignore_index: Literal[255] = 255
    loop_times: int = 10

    def __post_init__(self) -> None:
        """Refuse to search for crops with several classes."""
        only(self, category_max_ratio=1)


@dataclass(frozen=True)
class RandomHorizontalFlip:
    """A transform."""

    prob: float = 0.5


@dataclass(frozen=True)
class RandomDistort:
    """A transform; `hue_range` is in 256ths of the circle."""

    brightness_range: float = 0.5
    brightness_prob: float = 0.5
    contrast_range: float = 0.5
    contrast_prob: float = 0.5
    saturation_range: float = 0.5
    saturation_prob: float = 0.5
    hue_range: float = 18
    hue_prob: float = 0.5
    sharpness_range: float = 0.5
    sharpness_prob: float = 0

    def __post_init__(self) -> None:
        """Refuse other probabilities than the published ones."""
        only(
            self,
            brightness_prob=0.5,
            contrast_prob=0.5,
            saturation_prob=0.5,
            hue_prob=0.5,
            sharpness_prob=0,
        )


@dataclass(frozen=True)
class Normalize:
    """A transform; one number for all channels, or one for each."""

    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)


@dataclass(frozen=True)
class Padding:
    """A transform of ``val_dataset``, ignored here."""

    target_size: tuple[int, int]
    im_padding_value: float | tuple[float, float, float] = 127.5
    label_padding_value: int = 255


TRANSFORMS: Kinds = {
    kind.__name__: kind
    for kind in (
        ResizeStepScaling,
        RandomPaddingCrop,
        RandomHorizontalFlip,
        RandomDistort,
        Normalize,
    )
}
VALIDATION_TRANSFORMS: Kinds = {"Normalize": Normalize, "Padding": Padding}
