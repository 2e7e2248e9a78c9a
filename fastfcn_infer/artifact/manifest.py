"""What has to be known to run a frozen graph right: the text of `manifest.json`.

`Model` is the part that belongs to the graph; its JSON is also stored inside the ONNX file
(metadata key ``fastfcn``), so that a lone ``.onnx`` works. `Manifest` adds what belongs to the
folder: sizes and hashes, the checkpoint it came from, the record of the verification.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.system import record

FORMAT_VERSION = 1
NAME = "manifest.json"

Triple = tuple[float, float, float]
Interpolation = Literal["linear", "nearest", "cubic", "area", "lanczos4"]


@dataclass(frozen=True)
class ClassInfo:
    """A class: its name and its colour (R, G, B), each 0..255."""

    name: str
    color: tuple[int, int, int]

    def __post_init__(self) -> None:
        """Check the colour."""
        if any(not 0 <= value <= 255 for value in self.color):
            raise ValueError(f"color {self.color} is outside 0..255")


@dataclass(frozen=True)
class Input:
    """What the graph is fed.

    ``image`` is float32 (N, 3, H, W), RGB, ``(pixel / 255 - mean) / std``;
    ``pixels`` is uint8 (N, H, W, 3), RGB, and the graph normalises.
    """

    name: Literal["image", "pixels"]
    mean: Triple  # RGB, on the scale 0..1
    std: Triple  # RGB, on the scale 0..1
    padding: Triple  # RGB, on the scale 0..1: the colour that pictures are padded with
    shape: tuple[int | None, int | None, int | None] = (None, None, None)  # N, H, W; null: free

    def __post_init__(self) -> None:
        """Check that one can divide by the deviations."""
        if any(value <= 0 for value in self.std):
            raise ValueError(f"std {self.std} must be positive")
        if any(size is not None and size < 1 for size in self.shape):
            raise ValueError(f"shape {self.shape} must be positive or null")


@dataclass(frozen=True)
class Output:
    """What the graph answers.

    ``logits`` float32 (N, C, ceil(H / stride), ceil(W / stride)); ``probabilities`` float32
    (N, C, H, W); ``labels`` uint8 or uint16 (N, H, W).
    """

    name: Literal["logits", "probabilities", "labels"]
    stride: int


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
        """Check the numbers against the rule."""
        numbers = (self.size, self.limit, self.width, self.divisor)
        if any(number is not None and number < 1 for number in numbers):
            raise ValueError("sizes must be positive")
        paddleseg = self.arithmetic == "paddleseg"
        limited = ("fit", "long_within", "short_side") if paddleseg else ("fit",)
        if self.rule == "fit" and self.limit is None:
            raise ValueError("'limit' belongs to the rule 'fit'")
        if self.limit is not None and self.rule not in limited:
            raise ValueError(f"'limit' belongs to the rule 'fit', and not to {self.rule!r}")
        if (self.rule == "exact") != (self.width is not None):
            raise ValueError("'width' belongs to the rule 'exact', and only to it")
        if not paddleseg and (self.rule in ("long_within", "exact") or self.divisor > 1):
            raise ValueError("this rule and a divisor need the arithmetic 'paddleseg'")


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


@dataclass(frozen=True)
class Procedure:
    """How the checkpoint's authors look at a picture; `resize` null: at its own size.

    `frame` is what a picture is padded to before it is resized, `canvas` what it is padded to after.
    """

    kind: Literal["whole"]
    resize: Resize | None
    frame: Frame | None = field(default=None, metadata=record.OMITTED)
    canvas: Frame | None = field(default=None, metadata=record.OMITTED)


@dataclass(frozen=True)
class Network:
    """Facts about the network, for people and for reports; no answer is computed from them."""

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


@dataclass(frozen=True)
class Model:
    """All that is needed to run the graph right."""

    name: str
    classes: tuple[ClassInfo, ...]
    input: Input
    output: Output
    align_corners: bool  # of the last resize, logits to picture
    precision: Literal["fp32", "fp16"]
    procedure: Procedure
    network: Network

    def __post_init__(self) -> None:
        """Check the number of classes."""
        if not 1 <= len(self.classes) <= 65535:
            raise ValueError(f"{len(self.classes)} classes; 1 to 65535 were expected")


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
                raise ValueError(f"file name {name!r} does not stay inside the artifact")


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
