"""What the author of a checkpoint changed in the published recipe, as the user says it.

Normalisation, order of the channels and size of pictures leave no trace in weights. What is said replaces the
dialect's conventions, and the manifest records that it was said (`network.assumed`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from fastfcn_export.dialect.dialect import FIRST, Conventions, Recognised
from fastfcn_export.network.primitives import Weights
from fastfcn_infer.artifact.manifest import MOST_CHANNELS, RGB, Input, Values
from fastfcn_infer.artifact.procedure import Resize
from fastfcn_infer.errors import CheckpointError

ChannelOrder = Literal["rgb", "bgr"]
PIXELS = 255.0  # the range of a byte
_RULES = "none, short_side:512, long_side:520, fit:2048x512 (long side at most x short side at most), or exact:512x1024 (height x width)"


@dataclass(frozen=True)
class Changes:
    """What differs from the dialect's published recipe; None: nothing.

    Args:
        mean: in the order of the channels, in the unit of `pixel_range`.
        std: in the order of the channels, in the unit of `pixel_range`.
        pixel_range: 1: pixels are divided by 255 before they are normalised; 255: they are not. None: 1.
        channel_order: of what the network was trained with; None: RGB.
        resize: of pictures; a rule as `parse_resize` reads it, or the rule itself.
        threshold: of the sigmoid of one logit.
        bands: channels of the picture; None: as many as the first convolution takes.
        white: stored value that is 1 before pixels are normalised, of other than three channels; None: by the
            type of the picture.
    """

    mean: Values | None = None
    std: Values | None = None
    pixel_range: float | None = None
    channel_order: ChannelOrder | None = None
    resize: str | Resize | None = None
    threshold: float | None = None
    bands: int | None = None
    white: float | None = None

    def __post_init__(self) -> None:
        """Refuse a rule that is none, and values whose unit is in doubt."""
        if isinstance(self.resize, str):
            parse_resize(self.resize, None)
        if (self.mean is None) != (self.std is None):
            raise ValueError("--mean and --std belong together: give both")
        if self.bands is not None and not 1 <= self.bands <= MOST_CHANNELS:
            raise ValueError(f"--bands {self.bands}: 1 to {MOST_CHANNELS} were expected")
        if self.mean and self.std and len(self.mean) != len(self.std):
            raise ValueError(
                f"--mean has {len(self.mean)} values and --std {len(self.std)}: one for each band was expected"
            )
        if self.white is not None and not 0 < self.white < float("inf"):
            raise ValueError(f"--white {self.white} must be positive")
        if self.pixel_range not in (None, 1.0, PIXELS):
            raise ValueError(f"the pixel range {self.pixel_range} is neither 1 nor 255")
        if self.mean is None or self.std is None:
            if self.pixel_range is not None:
                raise ValueError("--pixel-range is the unit of --mean and --std: give both")
            return
        if self.pixel_range is self.white is None and max(*map(abs, self.mean), *self.std) > 1:
            stored = (
                "" if len(self.mean) == RGB else ", or if they are of stored values, --white 1"
            )
            raise ValueError(
                f"the mean {_text(self.mean)} and the deviation {_text(self.std)} look like those of pixels in "
                f"0..255. Say so with --pixel-range 255, or if pixels are divided by 255 first, --pixel-range 1{stored}"
            )

    def over(self, others: "Changes") -> "Changes":
        """Return these, and the others where these say nothing; the normalisation is one setting."""
        taken = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) is not None
        }
        if "mean" in taken:
            taken |= {"pixel_range": self.pixel_range, "white": self.white}
        return replace(others, **taken)


def parse_resize(rule: str, published: Resize | None) -> Resize | None:
    """Read a rule such as ``short_side:512``; ``none`` is None.

    Args:
        rule: as the user writes it.
        published: of the dialect, whose convention of corners is kept; None: it does not resize.

    Raises:
        ValueError: it is not a rule; lists them.
    """
    if rule == "none":
        return None
    corners = published is not None and published.align_corners
    match = re.fullmatch(r"(short_side|long_side|fit|exact):(\d{1,9})(?:x(\d{1,9}))?", rule)
    if match is not None:
        kind, first, second = match[1], int(match[2]), match[3] and int(match[3])
        if kind == "short_side" and not second:
            return Resize("short_side", first, align_corners=corners)
        if kind == "long_side" and not second:
            return Resize("long_side", first, align_corners=corners)
        if kind == "fit" and second:
            return Resize("fit", first, align_corners=corners, limit=second)
        if kind == "exact" and second:
            return exact(first, second)
    raise ValueError(f"--resize {rule[:40]!r} is not a rule; expected {_RULES}")


def exact(height: int, width: int) -> Resize:
    """Return the rule that stretches pictures to a size."""
    return Resize("exact", height, align_corners=False, width=width, arithmetic="paddleseg")


def changed(
    recognised: Recognised, changes: Changes, source: str, *, to_describe: bool = False
) -> Recognised:
    """Replace a dialect's conventions by what is said, and record that.

    Args:
        recognised: the checkpoint.
        changes: what is said.
        source: who says it: "the user", or the name of a configuration.
        to_describe: nothing is to be exported, so that a normalisation may be missing.

    Raises:
        CheckpointError: the checkpoint describes itself, so there is nothing to say; or what is said does not
            fit its number of channels, or nothing is said about other than three.
        ValueError: values that no normalisation has.
    """
    channels = recognised.architecture.channels
    said_right = changes.bands in (None, channels)
    if to_describe and channels != RGB and changes.mean is None and said_right:
        return _undecided(recognised)
    _check_channels(channels, changes, source, recognised.dialect)
    said = replace(changes, threshold=None, bands=None)
    if said == Changes():
        return recognised
    if recognised.trained is not None:
        raise CheckpointError(
            "the checkpoint is of fastfcn-train and says itself how pictures are prepared. Leave --mean, --std, "
            "--channel-order, --resize and --from-config out."
        )
    bgr = said.channel_order == "bgr"
    conventions, found = recognised.conventions, list(recognised.found)
    if channels != RGB:
        too = "" if changes.bands is None else f", and as said by {source}"
        found.append(
            f"pictures of {_count(channels)}, as many as the first convolution takes{too}"
        )
    if said.mean is not None:
        conventions = _normalised(conventions, said, channels)
        order = "RGB" if channels == RGB else "by band"
        found.append(
            f"mean {_text(conventions.mean)} and deviation {_text(conventions.std)} ({order}, 0..1), as said by {source}"
        )
    if said.white is not None:
        found.append(f"the stored value {said.white:g} is 1 on that scale, as said by {source}")
    if said.channel_order is not None:
        how = (
            "; the graph takes RGB, its first convolution has the channels swapped" if bgr else ""
        )
        found.append(
            f"channels in the order {said.channel_order.upper()}, as said by {source}{how}"
        )
    resize = recognised.resize
    if said.resize is not None:
        rule = said.resize
        taken = parse_resize(rule, resize(None)) if isinstance(rule, str) else rule
        found.append(f"resize {'none' if taken is None else taken.rule}, as said by {source}")

        def resize(classes: str | None) -> Resize | None:
            return taken

    return replace(
        recognised,
        conventions=conventions,
        found=tuple(found),
        resize=resize,
        takes_bgr=bgr,
    )


def _normalised(conventions: Conventions, said: Changes, channels: int) -> Conventions:
    """Replace a dialect's normalisation by what is said."""
    unit, turn = said.pixel_range or 1.0, -1 if said.channel_order == "bgr" else 1
    mean, std = (
        tuple(value / unit for value in values[::turn])
        for values in (said.mean or (), said.std or ())
    )
    padding = conventions.padding
    if padding == conventions.mean:
        padding = mean
    elif channels != RGB:
        padding = (padding[0],) * channels  # black or grey, in every dialect
    Input("image", mean, std, padding, white=said.white)
    return replace(conventions, mean=mean, std=std, padding=padding, white=said.white)


def _undecided(recognised: Recognised) -> Recognised:
    """Describe a network whose pictures have other than three bands, and nothing is said about them."""
    channels = recognised.architecture.channels
    zero, one = (0.0,) * channels, (1.0,) * channels
    sentence = (
        f"pictures of {_count(channels)}, as many as the first convolution takes; their mean and deviation are not "
        "known, and an export needs them (--mean and --std, or --from-config)"
    )
    return replace(
        recognised,
        conventions=replace(recognised.conventions, mean=zero, std=one, padding=zero),
        found=(*recognised.found, sentence),
    )


def with_rgb(recognised: Recognised) -> Weights:
    """Return the weights of the network that takes RGB."""
    weights = recognised.weights
    if not recognised.takes_bgr:
        return weights
    return {**weights, FIRST: np.ascontiguousarray(weights[FIRST][:, ::-1])}


def _check_channels(channels: int, changes: Changes, source: str, dialect: str) -> None:
    """Refuse what does not fit the number of channels that the weights have."""
    takes = f"the first convolution takes {_count(channels)}"
    if changes.bands not in (None, channels):
        raise CheckpointError(
            f"{takes}, and {source} says {changes.bands}. Leave --bands out, or check that this is the checkpoint"
        )
    mean = changes.mean
    if channels != RGB and mean is None:
        values = ",".join(["M"] * min(channels, 4) + ["..."] * (channels > 4))
        raise CheckpointError(
            f"{takes}, and the published mean and deviation of {dialect} are those of RGB. Say what the network was "
            f"trained with: --mean {values} --std {values.replace('M', 'S')}, {_count(channels, 'value')} each (in the "
            "range 0..1; see --white and --pixel-range), or --from-config FILE"
        )
    if mean is not None and len(mean) != channels:
        raise CheckpointError(
            f"{takes}, and {source} says a mean and a deviation of {_count(len(mean), 'value')}: as many were expected"
        )
    if channels != RGB and changes.channel_order is not None:
        raise CheckpointError(
            f"{takes}, and the order {changes.channel_order.upper()} is of three. Leave --channel-order out: bands stay in "
            "the order of the picture"
        )
    if channels == RGB and changes.white is not None:
        raise CheckpointError(
            f"{takes}, and --white is for other than three. Values of three channels are scaled by the type of the "
            "picture; see --pixel-range"
        )


def _count(number: int, what: str = "band") -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _text(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
