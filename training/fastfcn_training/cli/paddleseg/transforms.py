"""Translation of PaddleSeg's transforms into an `Augmentation`.

Source: reference/fastfcn_semantics.md, 5.3.
"""

from collections.abc import Sequence
from typing import Any

from fastfcn_infer.system.excerpt import excerpt, listing
from fastfcn_training.cli.paddleseg import data_schema as data
from fastfcn_training.recipe.recipe import Augmentation, Triple

_ORDER = (
    data.ResizeStepScaling,
    data.RandomPaddingCrop,
    data.RandomHorizontalFlip,
    data.RandomDistort,
    data.Normalize,
)
_NO_FLIP = data.RandomHorizontalFlip(0)
_NO_DISTORTION = data.RandomDistort(
    brightness_range=0, contrast_range=0, saturation_range=0, hue_range=0
)
_PLACE = "train_dataset.transforms"


def augmentation(transforms: Sequence[Any], faults: list[str]) -> Augmentation:
    """Translate the transforms; adds their faults to `faults`."""
    found = {type(transform).__name__: transform for transform in transforms}
    names = [type(transform).__name__ for transform in transforms]
    order = [kind.__name__ for kind in _ORDER]
    if names != [name for name in order if name in found]:
        faults.append(
            f"{_PLACE}: {listing(names)}; expected, each at most once and in this order: "
            f"{', '.join(order)}"
        )
    crop: data.RandomPaddingCrop | None = found.get("RandomPaddingCrop")
    if crop is None:
        faults.append(f"{_PLACE}: RandomPaddingCrop is missing; it sets the size of a batch")
        return Augmentation()
    flip: data.RandomHorizontalFlip = found.get("RandomHorizontalFlip", _NO_FLIP)
    distort: data.RandomDistort = found.get("RandomDistort", _NO_DISTORTION)
    resize: data.ResizeStepScaling | None = found.get("ResizeStepScaling")
    value, label = crop.im_padding_value, crop.label_padding_value
    red, green, blue = value if isinstance(value, tuple) else (value, value, value)
    try:
        return Augmentation(
            resize=None if resize is None else "scale",
            scales=(1, 1)
            if resize is None
            else (resize.min_scale_factor, resize.max_scale_factor),
            scale_step=None if resize is None else resize.scale_step_size or None,
            crop=(crop.crop_size[1], crop.crop_size[0]),
            padding=(red / 255, green / 255, blue / 255),
            padding_label=None if label == 255 else label,
            mirror=flip.prob,
            mirror_last=True,
            blur=0,
            brightness=distort.brightness_range,
            contrast=distort.contrast_range,
            saturation=distort.saturation_range,
            hue=distort.hue_range * 360 / 256,
        )
    except ValueError as error:
        faults.append(f"{_PLACE}: {error}")
        return Augmentation()


def normalisation(transforms: Sequence[Any], faults: list[str]) -> tuple[Triple, Triple]:
    """Give mean and standard deviation of each channel; adds their faults to `faults`."""
    last = transforms[-1] if transforms else None
    if not isinstance(last, data.Normalize):
        faults.append(f"{_PLACE}: the last one must be Normalize")
        return (0, 0, 0), (1, 1, 1)
    return _triple("mean", last.mean, faults), _triple("std", last.std, faults)


def _triple(name: str, values: tuple[float, ...], faults: list[str]) -> Triple:
    """Expand one number to all channels, or take three."""
    if len(values) not in (1, 3) or (name == "std" and min(values) <= 0):
        faults.append(
            f"{_PLACE}: Normalize.{name} is {excerpt(values)}, expected one number or three"
        )
        return (1, 1, 1)
    one, two, three = values * 3 if len(values) == 1 else values
    return one, two, three
