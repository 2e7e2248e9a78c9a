"""What the author of a checkpoint changed in the published recipe, as the user says it.

Normalisation, order of the channels and size of pictures leave no trace in weights. What is said replaces the
dialect's conventions, and the manifest records that it was said (`network.assumed`).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from fastfcn_export.dialect.dialect import Recognised
from fastfcn_export.network.primitives import Weights
from fastfcn_infer.artifact.manifest import Input
from fastfcn_infer.artifact.procedure import Resize
from fastfcn_infer.errors import CheckpointError

Triple = tuple[float, float, float]
ChannelOrder = Literal["rgb", "bgr"]
PIXELS = 255.0  # the range of a byte
_FIRST = "backbone.stem.0.conv.weight"
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
    """

    mean: Triple | None = None
    std: Triple | None = None
    pixel_range: float | None = None
    channel_order: ChannelOrder | None = None
    resize: str | Resize | None = None
    threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse a rule that is none, and values whose unit is in doubt."""
        if isinstance(self.resize, str):
            parse_resize(self.resize, None)
        if (self.mean is None) != (self.std is None):
            raise ValueError("--mean and --std belong together: give both")
        if self.pixel_range not in (None, 1.0, PIXELS):
            raise ValueError(f"the pixel range {self.pixel_range} is neither 1 nor 255")
        if self.mean is None or self.std is None:
            if self.pixel_range is not None:
                raise ValueError("--pixel-range is the unit of --mean and --std: give both")
            return
        if self.pixel_range is None and max(*map(abs, self.mean), *self.std) > 1:
            raise ValueError(
                f"the mean {_text(self.mean)} and the deviation {_text(self.std)} look like those of pixels in "
                "0..255. Say so with --pixel-range 255, or if pixels are divided by 255 first, --pixel-range 1"
            )

    def over(self, others: "Changes") -> "Changes":
        """Return these, and the others where these say nothing; the normalisation is one setting."""
        taken = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) is not None
        }
        if "mean" in taken:
            taken["pixel_range"] = self.pixel_range
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


def changed(recognised: Recognised, changes: Changes, source: str) -> Recognised:
    """Replace a dialect's conventions by what is said, and record that.

    Args:
        recognised: the checkpoint.
        changes: what is said.
        source: who says it: "the user", or the name of a configuration.

    Raises:
        CheckpointError: the checkpoint describes itself, so there is nothing to say.
        ValueError: values that no normalisation has.
    """
    said = replace(changes, threshold=None)
    if said == Changes():
        return recognised
    if recognised.trained is not None:
        raise CheckpointError(
            "the checkpoint is of fastfcn-train and says itself how pictures are prepared. Leave --mean, --std, "
            "--channel-order, --resize and --from-config out."
        )
    conventions, found = recognised.conventions, list(recognised.found)
    bgr = said.channel_order == "bgr"
    if said.mean is not None and said.std is not None:
        unit, turn = said.pixel_range or 1.0, -1 if bgr else 1
        mean, std = (_triple(value[::turn], unit) for value in (said.mean, said.std))
        padded = mean if conventions.padding == conventions.mean else conventions.padding
        Input("image", mean, std, padded)
        conventions = replace(conventions, mean=mean, std=std, padding=padded)
        found.append(
            f"mean {_text(mean)} and deviation {_text(std)} (RGB, 0..1), as said by {source}"
        )
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


def with_rgb(recognised: Recognised) -> Weights:
    """Return the weights of the network that takes RGB."""
    weights = recognised.weights
    if not recognised.takes_bgr:
        return weights
    return {**weights, _FIRST: np.ascontiguousarray(weights[_FIRST][:, ::-1])}


def _triple(values: Sequence[float], unit: float) -> Triple:
    red, green, blue = (value / unit for value in values)
    return red, green, blue


def _text(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
