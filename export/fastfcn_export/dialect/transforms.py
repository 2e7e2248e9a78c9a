"""Translate PaddleSeg's transforms, as a deployment's YAML lists them, into the manifest's procedure.

A step that is left out or guessed makes a model give wrong labels silently, so everything that the
manifest cannot express is an error that names the transform.

Source: PaddleSeg 2.8, transforms/transforms.py: names, defaults, arithmetic.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

from fastfcn_infer.artifact.manifest import RGB, Values
from fastfcn_infer.artifact.procedure import Frame, Interpolation, Procedure, Resize
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt, listing, printable

_GREY = 127.5  # what PaddleSeg pads with, on the scale that the pixels have then
_BYTES = (0.0, 1 / 255)  # mean and deviation that leave pixels on the scale 0..255
_NOTHING = object()
# Arguments that concern label maps only.
_UNUSED = {"Padding": ("label_padding_value",), "PaddingByAspectRatio": ("label_padding_value",)}


@dataclass(frozen=True)
class Preprocessing:
    """What a list of transforms does to a picture; values are for each channel, RGB if three, on the scale 0..1."""

    mean: Values
    std: Values
    padding: Values
    procedure: Procedure


@dataclass
class _Found:
    """What was found so far, in the order of the list."""

    mean: Values | None = None
    std: Values | None = None
    resize: Resize | None = None
    frame: Frame | None = None
    canvas: Frame | None = None
    padding: float | None = None  # the number in the YAML
    padded_after_normalize: bool = False


def preprocessing(
    transforms: Sequence[Mapping[str, Any]], where: str, channels: int = RGB
) -> Preprocessing:
    """Translate a list of transforms into normalisation, padding and procedure.

    Args:
        transforms: of the YAML, each with its ``type``.
        where: the YAML's name, for messages.
        channels: of the pictures.

    Raises:
        CheckpointError: a transform is unknown, random, wrong, or in a position where its effect
            cannot be undone exactly; names it.
    """
    found = _Found()
    for item in transforms:
        arguments = dict(item)
        kind = arguments.pop("type", None)
        apply = _KNOWN.get(kind) if isinstance(kind, str) else None
        if apply is None:
            raise CheckpointError(
                f"{where}: the transform {excerpt(kind)} is unknown; known are "
                f"{', '.join(_KNOWN)}. Its effect on pictures would be a guess."
            )
        for name in _UNUSED.get(str(kind), ()):
            arguments.pop(name, None)
        given = _Arguments(str(kind), arguments, where, channels)
        apply(found, given)
        given.finish()
    return _summary(found, channels)


def _summary(found: _Found, channels: int) -> Preprocessing:
    mean = found.mean or (_BYTES[0],) * channels
    std = found.std or (_BYTES[1],) * channels
    value = _GREY if found.padding is None else found.padding
    padding: Values = (value / 255,) * channels
    if found.padded_after_normalize:
        # The value is of a normalised pixel then.
        padding = tuple(value * s + m for m, s in zip(mean, std, strict=True))
    return Preprocessing(
        mean, std, padding, Procedure("whole", found.resize, found.frame, found.canvas)
    )


class _Arguments:
    """The arguments of one transform; each is taken once, and none may be left over."""

    def __init__(self, kind: str, given: dict[str, Any], where: str, channels: int) -> None:
        self.kind, self._given, self._where, self._channels = kind, given, where, channels

    def wrong(self, why: str) -> CheckpointError:
        """Return the error that names this transform."""
        return CheckpointError(f"{self._where}: the transform {self.kind} {why}.")

    def take(self, name: str, default: Any = _NOTHING) -> Any:
        """Take an argument of any type."""
        value = self._given.pop(name, default)
        if value is _NOTHING:
            raise self.wrong(f"has no {name!r}")
        return value

    def number(self, name: str, default: float) -> float:
        """Take a finite number."""
        value = self.take(name, default)
        if not _is_number(value):
            raise self.wrong(f"has {name!r} {excerpt(value)}; a number was expected")
        return float(value)

    def whole(self, name: str, default: Any = _NOTHING) -> int | None:
        """Take a positive whole number; None stays None."""
        value = self.take(name, default)
        if value is None or (_is_number(value) and value == int(value) and value >= 1):
            return None if value is None else int(value)
        raise self.wrong(f"has {name!r} {excerpt(value)}; a positive whole number was expected")

    def size(self, name: str, default: Any = _NOTHING) -> tuple[int, int]:
        """Take a width and a height, in this order."""
        value = self.take(name, default)
        fine = isinstance(value, list | tuple) and len(value) == 2
        if not fine or not all(type(side) is int and side >= 1 for side in value):
            raise self.wrong(f"has {name!r} {excerpt(value)}; a width and a height were expected")
        return value[0], value[1]

    def values(self, name: str, default: float) -> Values:
        """Take one number for all channels, or one for each."""
        value = self.take(name, [default])
        if (
            not isinstance(value, list)
            or len(value) not in (1, self._channels)
            or not all(map(_is_number, value))
        ):
            many = "three" if self._channels == RGB else str(self._channels)
            raise self.wrong(f"has {name!r} {excerpt(value)}; one number or {many} were expected")
        return tuple(float(x) for x in (value * self._channels if len(value) == 1 else value))

    def finish(self) -> None:
        """Reject arguments that were not taken."""
        if self._given:
            raise self.wrong(
                f"has unknown arguments: {listing(sorted(map(excerpt, self._given)))}"
            )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and type(value) is not bool and math.isfinite(value)


def _normalize(found: _Found, given: _Arguments) -> None:
    if found.mean is not None:
        raise given.wrong("is listed twice")
    found.mean, found.std = given.values("mean", 0.5), given.values("std", 0.5)
    if min(found.std) <= 0:
        raise given.wrong(f"has 'std' {list(found.std)}; positive numbers were expected")


def _put_resize(found: _Found, given: _Arguments, rule: dict[str, Any]) -> None:
    if found.resize is not None:
        raise given.wrong("resizes a second time, which cannot be undone in one step")
    # A frame that was to be the last step is the first one now.
    found.frame, found.canvas = found.canvas, None
    try:
        found.resize = Resize(align_corners=False, arithmetic="paddleseg", **rule)
    except ValueError as error:
        raise given.wrong(f"is not possible: {printable(str(error), 1000)}") from error


def _resize(found: _Found, given: _Arguments) -> None:
    width, height = given.size("target_size", (512, 512))
    keep = given.take("keep_ratio", False)
    rule: dict[str, Any] = {"rule": "exact", "size": height, "width": width}
    if keep:
        rule = {"rule": "fit", "size": max(width, height), "limit": min(width, height)}
    mode = str(given.take("interp", "LINEAR")).lower()
    if mode not in get_args(Interpolation):
        raise given.wrong(f"has 'interp' {excerpt(mode.upper())}, which is random or unknown")
    rule["interpolation"] = cast("Interpolation", mode)
    _put_resize(found, given, {**rule, "divisor": given.whole("size_divisor", None) or 1})


def _by_long(found: _Found, given: _Arguments) -> None:
    _put_resize(found, given, {"rule": "long_side", "size": given.whole("long_size")})


def _by_short(found: _Found, given: _Arguments) -> None:
    short, most = given.whole("short_size"), given.whole("max_size", None)
    _put_resize(found, given, {"rule": "short_side", "size": short, "limit": most})


def _limit_long(found: _Found, given: _Arguments) -> None:
    most, least = given.whole("max_long", None), given.whole("min_long", None)
    if most is not None and least is not None and least > most:
        raise given.wrong(f"has 'min_long' {least} and 'max_long' {most}")
    _put_resize(found, given, {"rule": "long_within", "size": least or 1, "limit": most})


def _put_padding(found: _Found, given: _Arguments, sizes: dict[str, Any]) -> None:
    if found.canvas is not None:
        raise given.wrong("pads a second time in a row")
    value, after = given.number("im_padding_value", _GREY), found.mean is not None
    if found.padding is not None and (found.padding, found.padded_after_normalize) != (
        value,
        after,
    ):
        raise given.wrong("pads with another colour than the padding before it")
    try:
        found.canvas = Frame(**sizes)
    except ValueError as error:
        raise given.wrong(f"is not possible: {error}") from error
    found.padding, found.padded_after_normalize = value, after


def _padding(found: _Found, given: _Arguments) -> None:
    width, height = given.size("target_size")
    _put_padding(found, given, {"height": height, "width": width})


def _padding_by_ratio(found: _Found, given: _Arguments) -> None:
    ratio = given.number("aspect_ratio", 1)
    if ratio <= 0:
        raise given.wrong(f"has 'aspect_ratio' {ratio}; a positive number was expected")
    _put_padding(found, given, {"aspect_ratio": ratio})


_KNOWN: Mapping[str, Callable[[_Found, _Arguments], None]] = {
    "Normalize": _normalize,
    "Resize": _resize,
    "ResizeByLong": _by_long,
    "ResizeByShort": _by_short,
    "LimitLong": _limit_long,
    "Padding": _padding,
    "PaddingByAspectRatio": _padding_by_ratio,
}
