"""The options of an export."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from fastfcn_export.dialect.changes import Changes
from fastfcn_export.target.target import Options
from fastfcn_infer.artifact.manifest import Output
from fastfcn_infer.artifact.procedure import Resize

if TYPE_CHECKING:
    from typing_extensions import Unpack

PathLike = str | os.PathLike[str]


class ExportOptions(TypedDict, total=False):
    """The fields of `Request`, those of its `Options` among them, as keyword arguments."""

    formats: Sequence[str]
    classes: PathLike | None
    dialect: str | None
    output_stride: int | None
    output: Literal["logits", "probabilities", "labels"]
    with_preprocess: bool
    shape: tuple[int | None, int | None, int | None]
    precision: Literal["fp32", "fp16"]
    verify: bool
    min_agreement: float | None
    via: Literal["direct", "paddle2onnx"]
    accept_own_size: bool
    weights_key: str | None
    use_ema: bool
    threshold: float | None
    bands: int | None
    mean: tuple[float, ...] | None
    std: tuple[float, ...] | None
    pixel_range: float | None
    white: float | None
    channel_order: Literal["rgb", "bgr"] | None
    resize: str | Resize | None
    opset: int
    from_config: PathLike | None


@dataclass(frozen=True)
class Request:
    """What an export makes of a checkpoint.

    Args:
        formats: formats of the graph, as `--format` names them.
        classes: name of a class table, path of a JSON file, or None: the classes that the checkpoint
            names, else numbered ones.
        dialect: None: found from the keys.
        output_stride: stride of the backbone; None: what a checkpoint of fastfcn-train says, else the
            dialect's published default.
        output: what the graph computes.
        with_preprocess: the graph takes uint8 pixels and normalises them itself.
        options: fixed shape and precision of the graph.
        verify: prove the graph equal to the network before the artifact gets its name.
        min_agreement: in half precision: share of the pixels of the verification's picture, 0..1, whose label has to
            equal float32's; None: 0.995.
        via: how the ONNX file is made: our own nodes, or the Paddle program through paddle2onnx.
        accept_own_size: with labels as the output, export even if the authors resize pictures, which
            such a graph cannot undo; it sees pictures at their own size, and its labels differ.
        weights_key: which set of weights to take where the file has several, such as "ema_state_dict" or
            "state_dict.student"; None: the only one that fits.
        use_ema: take the moving average of the weights.
        threshold: for a network with one logit: pixels whose sigmoid is larger are of its class, all others
            background; None: the network has a logit for every class.
        bands: number of bands of the pictures, as the user knows it; None: as many as the first convolution takes.
        mean: mean of the normalisation, in the order of the channels; None: the dialect's, for three channels.
        std: standard deviation of the normalisation, in the order of the channels; None: the dialect's, for three channels.
        pixel_range: unit of `mean` and `std`: 1 if pixels are divided by 255 first, else 255; None: 1.
        white: for other than three channels: the stored value that is divided to 1 before pixels are normalised;
            None: 255, 65535 or 1.0, by the type of the picture.
        channel_order: order of the channels that the network was trained with; None: RGB.
        resize: how pictures are sized, such as "short_side:512" or "none"; None: as the dialect's authors do.
        from_config: a PaddleSeg YAML or an mmsegmentation configuration, from which the eight above are read
            where they are None; it is not run.
        source: who says these, for the manifest.

    Raises:
        ValueError: the threshold is not between 0 and 1, or its output cannot be probabilities; or the agreement is not
            in 0..1, or is for float32.
    """

    formats: Sequence[str] = ("onnx",)
    classes: PathLike | None = None
    dialect: str | None = None
    output_stride: int | None = None
    output: Literal["logits", "probabilities", "labels"] = "logits"
    with_preprocess: bool = False
    options: Options = field(default_factory=Options)
    verify: bool = True
    min_agreement: float | None = None
    via: Literal["direct", "paddle2onnx"] = "direct"
    accept_own_size: bool = False
    weights_key: str | None = None
    use_ema: bool = False
    threshold: float | None = None
    bands: int | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    pixel_range: float | None = None
    white: float | None = None
    channel_order: Literal["rgb", "bgr"] | None = None
    resize: str | Resize | None = None
    from_config: PathLike | None = None
    source: str = "the user"

    def __post_init__(self) -> None:
        """Check the threshold and the agreement, which nothing else does before the checkpoint is read."""
        Output(self.output, 1, self.threshold)
        _ = self.changes
        if self.min_agreement is None:
            return
        if self.options.precision != "fp16":
            raise ValueError(
                "min_agreement (--min-agreement) is for half precision and for int8; a graph in float32 has to compute "
                "what the network does"
            )
        if not 0 <= self.min_agreement <= 1:
            raise ValueError(
                f"min_agreement {self.min_agreement} (--min-agreement): a share from 0 to 1 was expected"
            )

    @property
    def changes(self) -> Changes:
        """What the user says that differs from the published recipe."""
        return Changes(**{field.name: getattr(self, field.name) for field in fields(Changes)})

    @classmethod
    def of(cls, **options: "Unpack[ExportOptions]") -> "Request":
        """Build a request from keyword arguments."""
        fields: dict[str, Any] = dict(options)
        of_graph = {
            name: fields.pop(name) for name in ("shape", "precision", "opset") if name in fields
        }
        return cls(options=Options(**of_graph), **fields)
