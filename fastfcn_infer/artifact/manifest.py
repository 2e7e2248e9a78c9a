"""The content of `manifest.json`: everything needed to run a frozen graph correctly.

`Model` is the part that belongs to the graph; its JSON is also stored inside the ONNX file
(metadata key ``fastfcn``), so that a lone ``.onnx`` works. `Manifest` adds what belongs to the
folder: sizes and hashes, the checkpoint it came from, the record of the verification, and of variants.

Manifests may be written by hand. Each part checks itself, and `Model` checks what the parts
make together: a combination that would give wrong labels, or none, is refused when it is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from fastfcn_infer.artifact import limits
from fastfcn_infer.artifact.procedure import LARGEST_NUMBER, Procedure, refuse
from fastfcn_infer.artifact.variant import GraphPrecision, Variant, faults_of_variants
from fastfcn_infer.errors import ArtifactError, ImageError
from fastfcn_infer.system import record
from fastfcn_infer.system.excerpt import excerpt

FORMAT_VERSION = 1
NAME = "manifest.json"
MOST_CLASSES = 65535  # a label has 16 bits at most
LONGEST_NAME = 256  # characters; arrays of names are as wide as the longest
RGB = 3  # channels of a picture in colours
MOST_CHANNELS = 512

_LARGEST_VALUE = 1e30  # of pixels in float32, with room for the arithmetic

Values = tuple[float, ...]  # one for each channel
Convention: TypeAlias = Literal["paddleseg", "fastfcn", "mmseg"]
"""How scores are computed, see `evaluation.metrics`."""


@dataclass(frozen=True)
class ClassInfo:
    """A class: its name and its colour (R, G, B), each 0..255."""

    name: str  # several classes may have the same
    color: tuple[int, int, int]  # red, green, blue

    def __post_init__(self) -> None:
        """Check the length of the name and the colour."""
        faults = []
        if len(self.name) > LONGEST_NAME:
            faults.append(_long_name(self.name))
        if any(not 0 <= value <= 255 for value in self.color):
            faults.append(f"color {self.color} is outside 0..255")
        refuse(faults)


@dataclass(frozen=True)
class Input:
    """The input of the graph.

    ``image`` is float32 (N, channels, H, W), ``(value / white - mean) / std``; three channels are RGB.
    ``pixels`` is uint8 (N, H, W, 3), RGB, and the graph normalises.

    `mean`, `std` and `padding`, the colour that pictures are padded with, have a value for each channel, on
    the scale 0..1 from black to white. `white` is the stored value that is 1 on that scale; null: 255 in
    8 bits, 65535 in 16, and 1 in floats, which have to be in 0..1 then.
    """

    name: Literal["image", "pixels"]  # of the input, which also says its type
    mean: Values  # of the normalisation
    std: Values  # standard deviation of the normalisation
    padding: Values  # colour that pictures are padded with
    shape: tuple[int | None, int | None, int | None] = (None, None, None)  # N, H, W; null: free
    white: float | None = field(default=None, metadata=record.OMITTED)  # stored value of white

    def __post_init__(self) -> None:
        """Check that pixels and padding can be normalised, and that the batch fits into memory."""
        refuse(self._faults_of_channels())
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
        if not all(size is None or 1 <= size <= LARGEST_NUMBER for size in self.shape):
            faults.append(f"shape {self.shape} must be positive or null")
        else:
            faults += self._too_large()
        refuse(faults)

    @property
    def channels(self) -> int:
        """How many channels pictures have: bands, as those of satellites are called."""
        return len(self.mean)

    def _faults_of_channels(self) -> list[str]:
        counts = (len(self.mean), len(self.std), len(self.padding))
        if len(set(counts)) > 1 or not 1 <= counts[0] <= MOST_CHANNELS:
            return [
                f"mean, std and padding have {counts[0]}, {counts[1]} and {counts[2]} values; one for each of 1 to "
                f"{MOST_CHANNELS} channels was expected"
            ]
        faults = []
        if self.name == "pixels" and self.channels != RGB:
            faults.append(f"the input 'pixels' is of {RGB} channels, found {self.channels}")
        if self.white is not None and self.channels == RGB:
            faults.append(f"white {self.white} is for pictures of other than {RGB} channels")
        if self.white is not None and not 0 < self.white < _LARGEST_VALUE:
            faults.append(f"white {self.white} must be positive")
        return faults

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
                limits.check_array(
                    (count or 1, self.channels, *size), 4, "The input of the network"
                )
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

    With a `threshold` the network has one logit z. The graph's two logits are 0 for the background and
    ``z - log(threshold / (1 - threshold))`` for the class, whose arg max is ``sigmoid(z) > threshold``.
    """

    name: Literal["logits", "probabilities", "labels"]  # of the output, which also says its type
    stride: int  # side of the input over that of the output
    threshold: float | None = field(default=None, metadata=record.OMITTED)  # for one logit

    def __post_init__(self) -> None:
        """Check the stride and the threshold."""
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ValueError(
                f"threshold {self.threshold} must be larger than 0 and smaller than 1"
            )
        if self.name == "probabilities" and not self.is_balanced:
            raise ValueError(
                f"threshold {self.threshold}: the larger one of two probabilities is decided at 0.5, so with "
                "another threshold the graph has to compute logits or labels (--output logits)"
            )
        if not 1 <= self.stride <= LARGEST_NUMBER:
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

    def check_merge(self, merge: str) -> None:
        """Refuse what merges views by the softmax of logits that a threshold has shifted.

        Args:
            merge: as of `Procedure`.

        Raises:
            ValueError: it does.
        """
        if self.threshold is None or merge == "logits":
            return
        if merge == "exp" or not self.is_balanced:
            raise ValueError(
                f"merging {merge} is not possible: the network has one logit and a threshold of {self.threshold}, "
                "which are exact for logits only. Choose a procedure that merges logits."
            )

    @property
    def is_balanced(self) -> bool:
        """Tell whether the softmax of the logits is the network's own probability."""
        return self.threshold in (None, 0.5)

    @property
    def itemsize(self) -> int:
        """Bytes of an element, at most."""
        return 2 if self.name == "labels" else 4


@dataclass(frozen=True)
class Network:
    """Facts about the network, for people and for reports; nothing is computed from them."""

    dialect: str  # whose checkpoint it was
    backbone: str
    head: str
    jpu: str | None  # null: the network has none
    output_stride: int | None  # null: unknown
    laterals: bool  # whether the head also uses earlier stages
    parameters: int  # number of weights
    multiply_adds: int  # of one picture of 480 x 480; 0: not counted
    assumed: tuple[str, ...]  # what the checkpoint did not contain, and the value that was used
    # How its training, or the authors of its dialect, score; null: older exporters did not record it.
    convention: Convention | None = field(default=None, metadata=record.OMITTED)

    def __post_init__(self) -> None:
        """Check that the numbers are counts that a report can compute with."""
        counts = (self.parameters, self.multiply_adds, self.output_stride or 0)
        if not all(0 <= count < 1 << 63 for count in counts):
            raise ValueError("counts must not be negative, nor larger than 64 bits")


@dataclass(frozen=True)
class TrainedOn:
    """Pictures that the weights were trained on: scores on them say little about other pictures.

    Args:
        dataset: name of the data set, as `fastfcn datasets` lists it.
        parts: names of its parts.
        pictures: their number; 0: unknown.
        sample: fingerprints of some of the pictures, which recognise them in any folder and under
            any name; see `fastfcn_infer.data.trained_on`.
    """

    dataset: str
    parts: tuple[str, ...]
    pictures: int = 0
    sample: tuple[str, ...] = field(default=(), metadata=record.OMITTED)


@dataclass(frozen=True)
class Model:
    """Everything needed to run the graph correctly."""

    name: str  # for messages and provenance
    classes: tuple[ClassInfo, ...]  # in the order of the labels
    input: Input
    output: Output
    align_corners: bool  # convention of the last resize, from logits to the picture
    precision: GraphPrecision  # in which the graph stores weights and computes
    procedure: Procedure  # used by default
    network: Network
    # How labels may differ from those of a plain export of the same checkpoint, in sentences.
    notes: tuple[str, ...] = field(default=(), metadata=record.OMITTED)
    # What the weights were trained on, pretraining of a backbone left out; empty: unknown.
    trained_on: tuple[TrainedOn, ...] = field(default=(), metadata=record.OMITTED)
    # What the checkpoint's authors publish their scores with, if it is not `procedure`.
    published: Procedure | None = field(default=None, metadata=record.OMITTED)

    def __post_init__(self) -> None:
        """Refuse what cannot be combined; the parts were checked each by itself."""
        faults = []
        if len(self.name) > LONGEST_NAME:
            faults.append(_long_name(self.name))
        if len(self.classes) == 1:
            faults.append(
                "1 class, which every pixel would be labelled as. A network with one logit is exported with "
                "fastfcn-export --threshold and has two: the background and the class"
            )
        elif not 1 <= len(self.classes) <= MOST_CLASSES:
            faults.append(f"{len(self.classes)} classes; 2 to {MOST_CLASSES} were expected")
        elif self.output.threshold is not None and len(self.classes) != 2:
            faults.append(f"{len(self.classes)} classes; with a threshold 2 were expected")
        if self.output.name == "labels":
            faults += _faults_of_labels(self.procedure, self.input)
        refuse(faults + _faults_of_sizes(self.procedure, self.input))


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


@dataclass(frozen=True)
class FileFacts:
    """Size in bytes and SHA-256 (hexadecimal) of a file."""

    size: int  # bytes
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

    reference: str  # what the graph was compared with
    runtime: str  # with which the graph was run
    picture: str  # the input of both
    worst_difference: float  # of the outputs, as a fraction of the largest output
    allowed_difference: float
    label_agreement: float  # share of pixels with the same label
    required_agreement: float
    versions: Mapping[str, str]  # package -> version


@dataclass(frozen=True)
class Manifest:
    """The whole of `manifest.json`."""

    format_version: Literal[1]
    model: Model  # all that is needed to run the graph
    files: Mapping[str, FileFacts]  # relative path with forward slashes -> facts
    source: Source  # the checkpoint
    verification: Verification | None  # its record; null: the export was not verified
    producer: Mapping[str, str]  # package -> version
    # Precision -> how the same network in that precision was made and proven.
    variants: Mapping[str, Variant] = field(default_factory=dict, metadata=record.OMITTED)

    def __post_init__(self) -> None:
        """Refuse file names that leave the folder, and variants without a file or a record."""
        for name in self.files:
            parts = name.split("/")
            if name.startswith("/") or "\\" in name or ":" in name or {"", ".", ".."} & set(parts):
                raise ValueError(f"file name {excerpt(name)} does not stay inside the artifact")
        refuse(faults_of_variants(self.variants, self.files, self.model.precision))


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
