"""How a picture becomes labels, as data: sizes, scales, windows, mirrors, and how views are merged.

`PRESETS` has the procedures that the authors of the dialects evaluate with.

Source: reference/fastfcn_semantics.md, section 4.
"""

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from operator import index
from typing import Any, Literal, TypeAlias, get_args

from fastfcn_infer.system import record
from fastfcn_infer.system.excerpt import excerpt

Interpolation = Literal["linear", "nearest", "cubic", "area", "lanczos4"]
Kind = Literal[
    "whole",
    "tiles",
    "paddleseg",
    "paddleseg-slide",
    "paddleseg-ms-flip",
    "fastfcn",
    "fastfcn-ms",
    "mmseg",
    "mmseg-slide",
    "mmseg-tta",
    "custom",
]
Mirror = Literal["none", "horizontal", "vertical", "both"]
Merge = Literal["logits", "probabilities", "exp"]
Sides: TypeAlias = tuple[int, int]  # height, width

SMALLEST = 33  # pixels; the graphs are right for every side from here up
MOST_SCALES = 64
LARGEST_NUMBER = (1 << 31) - 1  # of pixels; what a picture makes of it is checked with the picture


@dataclass(frozen=True)
class Resize:
    """How a picture is brought to the size that the network sees.

    ``long_side`` and ``short_side`` make that side `size` pixels long; ``fit`` makes the picture
    as large as it can be with its long side at most `size` and its short side at most `limit`.
    ``long_within`` changes only pictures whose long side is less than `size` or more than `limit`.
    These keep the aspect ratio; ``exact`` makes every picture `size` high and `width` wide;
    ``scale`` changes nothing (`size` is 1) but says how a picture is resized to the scales of a
    `Procedure`, which multiply the sides of the picture, or else `size`.
    `align_corners` is the convention of the bilinear interpolation.

    `arithmetic` says whose: ``authors`` rounds as the rule's authors do and resizes bytes to bytes;
    ``paddleseg`` rounds sides times a factor to the nearest number, halves to the even one, resizes
    floats to floats, and its ``short_side`` may have a `limit`, for the long side.
    """

    rule: Literal["long_side", "short_side", "fit", "long_within", "exact", "scale"]
    size: int
    align_corners: bool
    limit: int | None = None
    width: int | None = field(default=None, metadata=record.OMITTED)
    divisor: int = field(
        default=1, metadata=record.OMITTED
    )  # sides are rounded up to its multiples
    arithmetic: Literal["authors", "paddleseg"] = field(default="authors", metadata=record.OMITTED)
    interpolation: Interpolation = field(default="linear", metadata=record.OMITTED)

    def __post_init__(self) -> None:
        """Check the numbers against the rule, and the interpolation against its convention."""
        numbers = (self.size, self.limit, self.width, self.divisor)
        if any(number is not None and number < 1 for number in numbers):
            raise ValueError("sizes must be positive")
        faults = []
        if any(number is not None and number > LARGEST_NUMBER for number in numbers):
            faults.append(f"sizes must be at most {LARGEST_NUMBER}")
        if self.rule == "fit" and self.limit is None:
            faults.append("'limit' belongs to the rule 'fit'")
        if self.limit is not None and self.rule not in self._limited():
            faults.append(f"'limit' belongs to the rule 'fit', and not to {self.rule!r}")
        if self.rule == "long_within" and self.limit is not None and self.limit < self.size:
            faults.append(f"'limit' {self.limit} is less than 'size' {self.size}")
        if self.rule == "scale" and (self.size, self.divisor) != (1, 1):
            faults.append("the rule 'scale' has no size and no divisor: 1 was expected")
        if (self.rule == "exact") != (self.width is not None):
            faults.append("'width' belongs to the rule 'exact', and only to it")
        if self.arithmetic != "paddleseg" and (
            self.rule in ("long_within", "exact") or self.divisor > 1
        ):
            faults.append("this rule and a divisor need the arithmetic 'paddleseg'")
        if self.align_corners and self.interpolation != "linear":
            faults.append(
                f"'align_corners' belongs to the interpolation 'linear', and not to "
                f"{self.interpolation!r}"
            )
        refuse(faults)

    def _limited(self) -> tuple[str, ...]:
        """Name the rules that may have a limit."""
        paddleseg = self.arithmetic == "paddleseg"
        return ("fit", "long_within", "short_side") if paddleseg else ("fit",)


@dataclass(frozen=True)
class Frame:
    """What a picture is padded to, at the right and at the bottom, in `Input.padding`.

    Either `height` and `width`, pixels, or `aspect_ratio`: one side grows until width / height is it.
    """

    height: int | None = None
    width: int | None = None
    aspect_ratio: float | None = None

    def __post_init__(self) -> None:
        """Check that it is one of the two."""
        numbers = (self.height, self.width, self.aspect_ratio)
        if [number is not None for number in numbers] not in (
            [True, True, False],
            [False, False, True],
        ):
            raise ValueError("a frame is 'height' and 'width', or an 'aspect_ratio'")
        if any(number is not None and number <= 0 for number in numbers):
            raise ValueError("sizes must be positive")
        if self.aspect_ratio is not None and not math.isfinite(self.aspect_ratio):
            raise ValueError(f"the aspect ratio {self.aspect_ratio} must be a finite number")
        if any(number is not None and number > LARGEST_NUMBER for number in numbers[:2]):
            raise ValueError(f"sizes must be at most {LARGEST_NUMBER}")


@dataclass(frozen=True)
class Windows:
    """Windows that cover a resized picture.

    Args:
        crop: height and width of a window, pixels; one number for both. Best what the network was
            trained with.
        stride: step from window to window, pixels; None: two thirds of the crop.
        border: what happens to a window that would reach beyond the picture: ``shift`` moves it back,
            and a picture smaller than the crop is one window; ``pad`` fills it up to the crop.
        weight: how much a window's pixels count where windows overlap: all alike (``coverage``), or less
            towards its borders (``gaussian``, a deviation of an eighth of the crop, as in MONAI).
    """

    crop: Sides
    stride: Sides
    border: Literal["shift", "pad"] = "shift"
    weight: Literal["coverage", "gaussian"] = "coverage"

    def __init__(
        self,
        crop: int | Sides,
        stride: int | Sides | None = None,
        border: Literal["shift", "pad"] = "shift",
        weight: Literal["coverage", "gaussian"] = "coverage",
    ) -> None:
        """Check that windows of this kind leave no pixel out; all faults at once."""
        faults: list[str] = []
        sides = _sides("crop", crop, faults)
        if sides and not all(SMALLEST <= side <= LARGEST_NUMBER for side in sides):
            bound = (
                f"at least {SMALLEST}" if min(sides) < SMALLEST else f"at most {LARGEST_NUMBER}"
            )
            faults.append(f"the crop {_x(sides)} must have {bound} pixels a side")
        if stride is None:
            steps: Sides | None = None if sides is None or faults else _two_thirds(sides)
        else:
            steps = _sides("stride", stride, faults)
        most = sides or (LARGEST_NUMBER, LARGEST_NUMBER)
        if steps and not all(1 <= step <= side for step, side in zip(steps, most, strict=True)):
            crop_text = f" {_x(sides)}" if sides else ""
            faults.append(
                f"the stride {_x(steps)} must be from 1 to the crop{crop_text}, or pixels between "
                "windows would be missed"
            )
        faults += _unknown("border", border, _BORDERS) + _unknown("weight", weight, _WEIGHTS)
        refuse(faults)
        for name, value in (
            ("crop", sides),
            ("stride", steps),
            ("border", border),
            ("weight", weight),
        ):
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Procedure:
    """How a picture becomes labels.

    A picture is padded to `frame`, resized, once for each of `scales`, and cut into `windows` or
    padded to `canvas`; each of these is fed to the network as it is, and mirrored. The logits of a
    window are upsampled to the window and averaged where windows overlap (with ``exp``, exp of
    them); the map of a scale is resized to the picture, and the maps of all scales are merged.

    Args:
        kind: the name of a preset whose settings these are, or ``custom``.
        resize: None: the picture's own size.
        frame: what a picture is padded to before it is resized.
        canvas: what it is padded to afterwards.
        scales: factors of the size that `resize` makes, or with its rule ``scale`` of the picture's.
        windows: None: the whole picture is fed at once.
        mirror: mirror images that the network sees as well.
        merge: ``logits``: their mean; ``probabilities``: the mean of the softmax of each scale and
            mirror image, of logits at the size of the picture;
            ``exp``: as the original code, exp of the sum over mirror images, the sum over scales.
        align_corners: convention of the resize of a scale's map to the picture.
        twice: one view of the whole picture is upsampled in two steps, too: to what the network was
            fed, then to the picture. Otherwise it is upsampled to the picture at once.
    """

    kind: Kind = "custom"
    resize: Resize | None = None
    frame: Frame | None = field(default=None, metadata=record.OMITTED)
    canvas: Frame | None = field(default=None, metadata=record.OMITTED)
    scales: tuple[float, ...] = field(default=(1.0,), metadata=record.OMITTED)
    windows: Windows | None = field(default=None, metadata=record.OMITTED)
    mirror: Mirror = field(default="none", metadata=record.OMITTED)
    merge: Merge = field(default="logits", metadata=record.OMITTED)
    align_corners: bool = field(default=False, metadata=record.OMITTED)
    twice: bool = field(default=False, metadata=record.OMITTED)

    def __post_init__(self) -> None:
        """Check that the settings go together; all faults at once."""
        faults = self._wrong_types()
        faults += _unknown("kind", self.kind, get_args(Kind))
        faults += _unknown("mirror", self.mirror, _MIRRORS)
        faults += _unknown("merge", self.merge, _MERGES)
        if faults:
            refuse(faults)
        if not self.is_whole and (self.frame is not None or self.canvas is not None):
            faults.append("a frame or a canvas goes with one view of the whole picture only")
        if self.resize is not None and self.resize.rule == "exact" and self.scales != (1.0,):
            faults.append("scales need a resize that keeps the aspect ratio, or none")
        refuse(faults)

    def _wrong_types(self) -> list[str]:
        """Check what each setting is, and make a tuple of floats of the scales."""
        faults = []
        try:
            given = tuple(self.scales)
            if any(isinstance(scale, str | bool) for scale in given):
                raise TypeError
            scales = tuple(float(scale) for scale in given)
        except (TypeError, ValueError, OverflowError):
            faults.append(
                f"scales {excerpt(self.scales)}: numbers were expected, such as (0.75, 1.0)"
            )
        else:
            object.__setattr__(self, "scales", scales)
            if not 1 <= len(scales) <= MOST_SCALES:
                faults.append(f"1 to {MOST_SCALES} scales were expected, found {len(scales)}")
            if not all(0 < scale <= 64 for scale in scales):
                faults.append(f"scales must be more than 0 and at most 64, found {scales[:8]}")
        for name, kind in (
            ("resize", Resize),
            ("frame", Frame),
            ("canvas", Frame),
            ("windows", Windows),
        ):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                faults.append(
                    f"{name} is {excerpt(value)}; a {kind.__name__} or None was expected"
                )
        for name in ("align_corners", "twice"):
            if not isinstance(getattr(self, name), bool):
                faults.append(
                    f"{name} is {excerpt(getattr(self, name))}; True or False was expected"
                )
        return faults

    @property
    def is_one_view(self) -> bool:
        """Tell whether one view of the whole picture decides."""
        plain = self.scales == (1.0,) and self.windows is None and self.mirror == "none"
        return plain and self.merge == "logits"

    @property
    def is_whole(self) -> bool:
        """Tell whether one view of the whole picture decides, its logits resized in one step."""
        return self.is_one_view and not self.twice

    @property
    def mirrors_windows(self) -> bool:
        """Tell whether windows are mirrored where they lie, and not cut from the mirrored picture.

        The original code pads a window and mirrors it. PaddleSeg and mmsegmentation mirror the picture
        and slide over that; windows that are moved back at its border then lie elsewhere.
        """
        return self.windows is None or self.windows.border == "pad" or self.merge == "exp"

    @classmethod
    def preset(cls, name: str, **changes: Any) -> "Procedure":
        """Return a preset, with some settings changed.

        Args:
            name: a key of `PRESETS`.
            **changes: settings to replace, such as ``scales=(0.75, 1, 1.5)``.

        Raises:
            ValueError: there is no such preset, or the settings do not go together.
        """
        faults, known = [], tuple(field.name for field in fields(cls))
        if name not in PRESETS:
            faults.append(
                f"{excerpt(name)} is not a procedure; expected one of {', '.join(PRESETS)}"
                f"{_hint(name, tuple(PRESETS))}"
            )
        faults += [
            f"a procedure has no setting {setting!r}{_hint(setting, known) or '; it has ' + ', '.join(known)}"
            for setting in sorted(set(changes) - set(known))
        ]
        found = PRESETS["whole"] if faults else PRESETS[name]
        mine = {setting: value for setting, value in changes.items() if setting in known}
        try:
            changed = replace(found, **{"kind": "custom", **mine}) if mine else found
        except ValueError as error:
            faults.append(str(error))
        refuse(faults)
        return changed


def refuse(faults: list[str]) -> None:
    """Raise a ValueError with all faults, if there are any."""
    if faults:
        raise ValueError("; ".join(faults))


def _sides(name: str, given: object, faults: list[str]) -> Sides | None:
    """Read one number or two, height and width; None with a fault if they are none."""
    pair = given if isinstance(given, tuple | list) else (given, given)
    try:
        numbers = tuple(index(side) for side in pair if not isinstance(side, bool))
    except TypeError:
        numbers = ()
    if len(pair) != 2 or len(numbers) != 2:
        faults.append(
            f"the {name} {excerpt(given)} must be a whole number of pixels, or two: (height, width)"
        )
        return None
    return numbers[0], numbers[1]


def _two_thirds(crop: Sides) -> Sides:
    return crop[0] * 2 // 3, crop[1] * 2 // 3


def _unknown(name: str, value: object, known: tuple[str, ...]) -> list[str]:
    if isinstance(value, str) and value in known:
        return []
    return [f"{name} {excerpt(value)} is none of {', '.join(known)}{_hint(value, known)}"]


def _hint(value: object, known: tuple[str, ...]) -> str:
    """Suggest what was probably meant."""
    text = value.lower() if isinstance(value, str) else ""
    close = difflib.get_close_matches(text, known, 1, 0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _x(sides: Sides) -> str:
    return f"{sides[0]} x {sides[1]}"


_MIRRORS = ("none", "horizontal", "vertical", "both")
_BORDERS = ("shift", "pad")
_WEIGHTS = ("coverage", "gaussian")
_MERGES = ("logits", "probabilities", "exp")
_OF_PICTURE = {
    "paddleseg": Resize("scale", 1, align_corners=False, arithmetic="paddleseg"),
    "mmseg": Resize("scale", 1, align_corners=False),
}
_FASTFCN = Procedure(
    "fastfcn",
    Resize("long_side", 520, align_corners=True),
    windows=Windows(480, 320, "pad"),
    merge="exp",
    align_corners=True,
)
_MMSEG = Resize("fit", 2048, align_corners=False, limit=512)
_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)

PRESETS: Mapping[str, Procedure] = {
    "whole": Procedure("whole"),
    "tiles": Procedure("tiles", windows=Windows(480, 320)),
    "paddleseg": Procedure("paddleseg"),
    "paddleseg-slide": Procedure("paddleseg-slide", windows=Windows(480, 320)),
    "paddleseg-ms-flip": Procedure(
        "paddleseg-ms-flip",
        _OF_PICTURE["paddleseg"],
        scales=(0.75, 1.0, 1.25),
        mirror="horizontal",
    ),
    "fastfcn": _FASTFCN,
    "fastfcn-ms": replace(_FASTFCN, kind="fastfcn-ms", scales=_SCALES, mirror="horizontal"),
    "mmseg": Procedure("mmseg", _MMSEG, twice=True),
    "mmseg-slide": Procedure("mmseg-slide", _MMSEG, windows=Windows(512, 341)),
    "mmseg-tta": Procedure(
        "mmseg-tta",
        _OF_PICTURE["mmseg"],
        scales=_SCALES,
        mirror="horizontal",
        merge="probabilities",
    ),
}
