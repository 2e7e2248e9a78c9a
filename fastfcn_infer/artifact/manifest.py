"""The content of `manifest.json`: everything needed to run a frozen graph correctly.

`Model` is the part that belongs to the graph; its JSON is also stored inside the ONNX file
(metadata key ``fastfcn``), so that a lone ``.onnx`` works. `Manifest` adds what belongs to the
folder: sizes and hashes, the checkpoint it came from, the record of the verification.

Manifests may be written by hand. Each part checks itself, and `Model` checks what the parts
make together: a combination that would give wrong labels, or none, is refused when it is read.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fastfcn_infer.artifact import limits
from fastfcn_infer.errors import ArtifactError, ImageError
from fastfcn_infer.system import record
from fastfcn_infer.system.excerpt import excerpt

FORMAT_VERSION = 1
NAME = "manifest.json"
MOST_CLASSES = 65535  # a label has 16 bits at most
LONGEST_NAME = 256  # characters; arrays of names are as wide as the longest

_LARGEST_NUMBER = (
    1 << 31
) - 1  # of pixels; what a picture makes of it is checked with the picture
_LARGEST_VALUE = 1e30  # of pixels in float32, with room for the arithmetic

Triple = tuple[float, float, float]
Interpolation = Literal["linear", "nearest", "cubic", "area", "lanczos4"]


@dataclass(frozen=True)
class ClassInfo:
    """A class: its name and its colour (R, G, B), each 0..255."""

    name: str
    color: tuple[int, int, int]

    def __post_init__(self) -> None:
        """Check the length of the name and the colour."""
        faults = []
        if len(self.name) > LONGEST_NAME:
            faults.append(_long_name(self.name))
        if any(not 0 <= value <= 255 for value in self.color):
            faults.append(f"color {self.color} is outside 0..255")
        _refuse(faults)


@dataclass(frozen=True)
class Input:
    """The input of the graph.

    ``image`` is float32 (N, 3, H, W), RGB, ``(pixel / 255 - mean) / std``;
    ``pixels`` is uint8 (N, H, W, 3), RGB, and the graph normalises.
    """

    name: Literal["image", "pixels"]
    mean: Triple  # RGB, on the scale 0..1
    std: Triple  # RGB, on the scale 0..1
    padding: Triple  # RGB, on the scale 0..1: the colour that pictures are padded with
    shape: tuple[int | None, int | None, int | None] = (None, None, None)  # N, H, W; null: free

    def __post_init__(self) -> None:
        """Check that pixels and padding can be normalised, and that the batch fits into memory."""
        faults = []
        if not all(value > 0 for value in self.std):
            faults.append(f"std {self.std} must be positive")
        elif not all(map(_in_float32, self._normalised())):
            faults.append(
                f"mean {self.mean}, std {self.std} and padding {self.padding} must be numbers, and "
                f"normalised values smaller than {_LARGEST_VALUE:g}"
            )
        if self.name == "pixels" and not all(0 <= value <= 1 for value in self.padding):
            faults.append(f"padding {self.padding} must be in 0..1 where the input is 'pixels'")
        if not all(size is None or 1 <= size <= _LARGEST_NUMBER for size in self.shape):
            faults.append(f"shape {self.shape} must be positive or null")
        else:
            faults += self._too_large()
        _refuse(faults)

    def _normalised(self) -> list[float]:
        """Return the scale and the shift of each channel, and its padding before and after."""
        values = []
        for mean, std, padding in zip(self.mean, self.std, self.padding, strict=True):
            values += [std, 1 / std, mean / std, 255 * padding, (padding - mean) / std]
        return values

    def _too_large(self) -> list[str]:
        """Check the sides that the graph fixes; those that the picture decides are checked with it."""
        count, height, width = self.shape
        size = (height or 1, width or 1)
        try:
            limits.check_picture(size, size, "fed as")
            if height is not None and width is not None:
                limits.check_array((count or 1, 3, *size), 4, "The input of the network")
        except ImageError:
            return [
                f"shape {self.shape} is larger than memory allows; see --shape of the exporter"
            ]
        return []


@dataclass(frozen=True)
class Output:
    """The output of the graph.

    ``logits`` float32 (N, C, ceil(H / stride), ceil(W / stride)); ``probabilities`` float32
    (N, C, H, W); ``labels`` uint8 or uint16 (N, H, W).
    """

    name: Literal["logits", "probabilities", "labels"]
    stride: int

    def __post_init__(self) -> None:
        """Check the stride."""
        if not 1 <= self.stride <= _LARGEST_NUMBER:
            raise ValueError(f"stride {self.stride} must be positive")
        if self.name != "logits" and self.stride != 1:
            raise ValueError(
                f"stride {self.stride} contradicts {self.name!r}, which has a value for every pixel "
                "of the input: 1 was expected"
            )

    def shape(self, count: int, classes: int, size: tuple[int, int]) -> tuple[int, ...]:
        """Return the shape of the output for `count` inputs of a size (height, width)."""
        if self.name == "labels":
            return (count, *size)
        return (count, classes, -(-size[0] // self.stride), -(-size[1] // self.stride))

    @property
    def itemsize(self) -> int:
        """Bytes of an element, at most."""
        return 2 if self.name == "labels" else 4


@dataclass(frozen=True)
class Resize:
    """How a picture is brought to the size that the network sees.

    ``long_side`` and ``short_side`` make that side `size` pixels long; ``fit`` makes the picture
    as large as it can be with its long side at most `size` and its short side at most `limit`.
    ``long_within`` changes only pictures whose long side is less than `size` or more than `limit`.
    These keep the aspect ratio; ``exact`` makes every picture `size` high and `width` wide.
    `align_corners` is the convention of the bilinear interpolation.

    `arithmetic` says whose: ``authors`` rounds as the rule's authors do and resizes bytes to bytes;
    ``paddleseg`` rounds sides times a factor to the nearest number, halves to the even one, resizes
    floats to floats, and its ``short_side`` may have a `limit`, for the long side.
    """

    rule: Literal["long_side", "short_side", "fit", "long_within", "exact"]
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
        if any(number is not None and number > _LARGEST_NUMBER for number in numbers):
            faults.append(f"sizes must be at most {_LARGEST_NUMBER}")
        if self.rule == "fit" and self.limit is None:
            faults.append("'limit' belongs to the rule 'fit'")
        if self.limit is not None and self.rule not in self._limited():
            faults.append(f"'limit' belongs to the rule 'fit', and not to {self.rule!r}")
        if self.rule == "long_within" and self.limit is not None and self.limit < self.size:
            faults.append(f"'limit' {self.limit} is less than 'size' {self.size}")
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
        _refuse(faults)

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
        if any(number is not None and number > _LARGEST_NUMBER for number in numbers[:2]):
            raise ValueError(f"sizes must be at most {_LARGEST_NUMBER}")


@dataclass(frozen=True)
class Procedure:
    """How the checkpoint's authors size a picture for the network; `resize` null: its own size.

    `frame` is what a picture is padded to before it is resized, `canvas` what it is padded to after.
    """

    kind: Literal["whole"]
    resize: Resize | None
    frame: Frame | None = field(default=None, metadata=record.OMITTED)
    canvas: Frame | None = field(default=None, metadata=record.OMITTED)


@dataclass(frozen=True)
class Network:
    """Facts about the network, for people and for reports; nothing is computed from them."""

    dialect: str
    backbone: str
    head: str
    jpu: str | None
    output_stride: int | None  # null: unknown
    laterals: bool
    parameters: int
    multiply_adds: int  # of one picture of 480 x 480; 0: not counted
    assumed: tuple[str, ...]  # what the checkpoint's keys could not tell, and the value taken
    # Of the scores that its training reported; null: what the dialect's authors score by.
    convention: Literal["paddleseg", "fastfcn", "mmseg"] | None = field(
        default=None, metadata=record.OMITTED
    )

    def __post_init__(self) -> None:
        """Check that the numbers are counts that a report can compute with."""
        counts = (self.parameters, self.multiply_adds, self.output_stride or 0)
        if not all(0 <= count < 1 << 63 for count in counts):
            raise ValueError("counts must not be negative, nor larger than 64 bits")


@dataclass(frozen=True)
class Model:
    """Everything needed to run the graph correctly."""

    name: str
    classes: tuple[ClassInfo, ...]
    input: Input
    output: Output
    align_corners: bool  # of the last resize, logits to picture
    precision: Literal["fp32", "fp16"]
    procedure: Procedure
    network: Network
    # How labels may differ from those of a plain export of the same checkpoint, in sentences.
    notes: tuple[str, ...] = field(default=(), metadata=record.OMITTED)

    def __post_init__(self) -> None:
        """Refuse what cannot be combined; the parts were checked each by itself."""
        faults = []
        if len(self.name) > LONGEST_NAME:
            faults.append(_long_name(self.name))
        if not 1 <= len(self.classes) <= MOST_CLASSES:
            faults.append(f"{len(self.classes)} classes; 1 to {MOST_CLASSES} were expected")
        if self.output.name == "labels":
            faults += _faults_of_labels(self.procedure, self.input)
        _refuse(faults + _faults_of_sizes(self.procedure, self.input))


def _faults_of_labels(procedure: Procedure, given: Input) -> list[str]:
    """Say why the labels that a graph computes would not be those of the picture's own pixels."""
    faults = []
    if procedure.resize is not None:
        faults.append(
            "the graph computes labels, and the procedure resizes pictures: labels cannot be "
            "resized back exactly. Export it with --output logits"
        )
    for name, frame in (("frame", procedure.frame), ("canvas", procedure.canvas)):
        if frame is None or not _larger((frame.height, frame.width), given.shape[1:]):
            continue
        faults.append(
            f"the graph computes labels of {given.shape[1]} x {given.shape[2]} pixels, and the "
            f"procedure's {name} of {frame.height} x {frame.width} is larger: labels cannot be "
            "resized back exactly. Export it with --output logits, or for that shape"
        )
    return faults


def _faults_of_sizes(procedure: Procedure, given: Input) -> list[str]:
    """Say why no picture at all can pass through a procedure."""
    faults = []
    resize, frame, canvas = procedure.resize, procedure.frame, procedure.canvas
    seen: tuple[int | None, int | None] = (None, None)  # what every picture is resized to
    if resize is None and frame is not None:
        seen = (frame.height, frame.width)
    elif resize is not None and resize.width is not None:
        step = resize.divisor
        seen = (-(-resize.size // step) * step, -(-resize.width // step) * step)
    if canvas is not None and _larger(seen, (canvas.height, canvas.width)):
        faults.append(
            f"every picture would be {seen[0]} x {seen[1]} before it is padded to the canvas of "
            f"{canvas.height} x {canvas.width}, which is smaller"
        )
    bytes_only = resize is not None and resize.arithmetic == "authors" and not resize.align_corners
    if frame is not None and bytes_only and not all(0 <= value <= 1 for value in given.padding):
        faults.append(
            f"padding {given.padding} must be in 0..1 where a frame is resized as bytes "
            "(the arithmetic 'authors')"
        )
    return faults


def _larger(size: tuple[int | None, int | None], room: tuple[int | None, int | None]) -> bool:
    """Tell whether one side is longer than the same side of the room; None: unknown, or free."""
    return any(
        side is not None and most is not None and side > most
        for side, most in zip(size, room, strict=True)
    )


def _in_float32(value: float) -> bool:
    return abs(value) < _LARGEST_VALUE  # false for NaN


def _long_name(name: str) -> str:
    return f"the name {name[:40]!r}... has {len(name)} characters; at most {LONGEST_NAME} were expected"


def _refuse(faults: list[str]) -> None:
    """Raise ValueError with all faults, if there are any."""
    if faults:
        raise ValueError("; ".join(faults))


@dataclass(frozen=True)
class FileFacts:
    """Size in bytes and SHA-256 (hexadecimal) of a file."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Source:
    """The checkpoint the graph was made from."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Verification:
    """What was compared with what, and how far apart they were."""

    reference: str
    runtime: str
    picture: str
    worst_difference: float  # of the logits, as a fraction of the largest logit
    allowed_difference: float
    label_agreement: float  # share of pixels with the same label
    required_agreement: float
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Manifest:
    """The whole of `manifest.json`."""

    format_version: Literal[1]
    model: Model
    files: Mapping[str, FileFacts]  # relative path with forward slashes -> facts
    source: Source
    verification: Verification | None
    producer: Mapping[str, str]  # package -> version

    def __post_init__(self) -> None:
        """Refuse file names that leave the folder."""
        for name in self.files:
            parts = name.split("/")
            if name.startswith("/") or "\\" in name or ":" in name or {"", ".", ".."} & set(parts):
                raise ValueError(f"file name {excerpt(name)} does not stay inside the artifact")


def read_manifest(text: str | bytes, where: str) -> Manifest:
    """Read the text of a `manifest.json`; `where` names the file in messages.

    Raises:
        ArtifactError: not a manifest; lists every fault.
    """
    return _read(Manifest, text, where)


def read_model(text: str | bytes, where: str) -> Model:
    """Read the text that an ONNX file carries; `where` names the file in messages.

    Raises:
        ArtifactError: not a model description; lists every fault.
    """
    return _read(Model, text, where)


def _read(kind: type[record.T], text: str | bytes, where: str) -> record.T:
    try:
        return record.from_json(kind, text)
    except record.RecordError as error:
        raise ArtifactError(
            f"{where} is not a manifest of format {FORMAT_VERSION}: {error}. "
            "Export the checkpoint again with fastfcn-export."
        ) from error
