"""A network by the names its users choose: "resnet50", "jpu", "encnet", 8 or 32.

The published networks are a few dozen combinations of such choices; each family of checkpoints
builds the same choice with small differences of its own.

Source: reference/fastfcn_semantics.md, 1.1 to 1.9.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fastfcn_export.network.architecture import (
    Architecture,
    Auxiliary,
    Backbone,
    DeepLab,
    EncNet,
    Fcn,
    Head,
    Jpu,
    JpuX,
    Psp,
    Stage,
)

Depth = Literal["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]
Form = Literal["plain", "deep", "v1c", "vd"]
Family = Literal["wuhuikai", "ncpaddle", "paddleseg"]

_BLOCKS: Mapping[str, tuple[int, int, int, int]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}
_STRIDES = {32: (1, 2, 2, 2), 16: (1, 2, 2, 1), 8: (1, 2, 1, 1)}
# Wider than any network, and small enough that shapes stay numbers one can compute with and print.
_WIDEST = 65536
_DILATIONS = {32: (1, 1, 1, 1), 16: (1, 1, 1, 2), 8: (1, 1, 2, 4)}


@dataclass(frozen=True)
class NetworkChoice:
    """The choices that a user makes about a network.

    Args:
        backbone: depth of the ResNet.
        form: of its stem and shortcuts: ``plain`` has a 7x7 stem; ``deep`` three 3x3
            convolutions that end twice as wide as the first stage (the original code's); ``v1c``
            the same, as wide as the first stage; ``vd`` that, and shortcuts that average.
        backbone_width: channels of the first stage; each next stage has twice as many.
        output_stride: pixels of the picture per pixel of c4, 8, 16 or 32.
        jpu: the upsampling; None for a dilated network without one.
        jpu_width: channels of each of its inputs, or of the second unit of ``jpu_x``.
        head: from features to logits.
        head_width: channels of the head; None: 256 for deeplab, else 512.
        codes: code words of encnet.
        laterals: fine features join behind the bottleneck of encnet.
        auxiliary: train a head on c3 as well.
        auxiliary_width: its channels; None: the family's, 256 or 512.
        semantic: train encnet's layer that tells which classes are present.
        family: whose details: resize conventions, biases, dropout, dilation of first blocks.

    Raises:
        ValueError: the family has no such network, or a size cannot be; lists all faults.
    """

    backbone: Depth = "resnet50"
    form: Form = "deep"
    backbone_width: int = 64
    output_stride: Literal[8, 16, 32] = 32
    jpu: Literal["jpu", "jpu_x"] | None = "jpu"
    jpu_width: int = 512
    head: Literal["encnet", "psp", "deeplab", "fcn"] = "encnet"
    head_width: int | None = None
    codes: int = 32
    laterals: bool = False
    auxiliary: bool = True
    auxiliary_width: int | None = None
    semantic: bool = True
    family: Family = "wuhuikai"

    def __post_init__(self) -> None:
        """Refuse what cannot be built."""
        faults = self._faults()
        if faults:
            raise ValueError("; ".join(faults))

    def _faults(self) -> list[str]:
        sizes = {
            "backbone_width": self.backbone_width,
            "jpu_width": self.jpu_width,
            "head_width": self.head_width,
            "codes": self.codes,
            "auxiliary_width": self.auxiliary_width,
        }
        faults = [
            f"{name} is {size}; 1 to {_WIDEST} were expected"
            for name, size in sizes.items()
            if size is not None and not 1 <= size <= _WIDEST
        ]
        if self.form in ("v1c", "vd") and self.backbone_width % 2:
            faults.append(f"backbone_width is {self.backbone_width}; {self.form} halves it")
        if self.head != "encnet" and (self.laterals or self.semantic):
            faults.append(f"laterals and semantic are parts of encnet; the head is {self.head}")
        if self.jpu == "jpu_x" and self.jpu_width % 64:
            faults.append(
                f"jpu_width is {self.jpu_width}; jpu_x needs a multiple of 64, for its group norms"
            )
        if self.family == "paddleseg":
            faults += self._paddleseg_faults()
        else:
            faults += self._original_faults()
        return faults

    def _original_faults(self) -> list[str]:
        """Find what neither the original code nor its Paddle port can build."""
        faults = []
        if self.form == "vd":
            faults.append(f"{self.family} has no vd backbone; the family paddleseg has")
        if self.laterals and self.output_stride != 8:
            faults.append(
                f"laterals of {self.family} need c2, c3 and the head's map at one size: output "
                f"stride 8; it is {self.output_stride}"
            )
        if self.family == "ncpaddle" and self.head in ("psp", "deeplab"):
            faults.append(f"ncpaddle has the heads encnet and fcn; the head is {self.head}")
        return faults

    def _paddleseg_faults(self) -> list[str]:
        faults = []
        if self.form != "vd":
            faults.append(f"paddleseg has vd backbones only; the form is {self.form}")
        if self.head != "encnet":
            faults.append(f"paddleseg has the head encnet only; the head is {self.head}")
        if self.jpu == "jpu_x":
            faults.append("paddleseg has no jpu_x")
        return faults


def architecture(choice: NetworkChoice, classes: int) -> Architecture:
    """Describe the network in full."""
    return Architecture(
        classes,
        _backbone(choice),
        _jpu(choice),
        _head(choice),
        _auxiliary(choice) if choice.auxiliary else None,
        choice.semantic,
    )


def _backbone(choice: NetworkChoice) -> Backbone:
    stages = []
    dilations = _DILATIONS[choice.output_stride]
    for index, dilation in enumerate(dilations):
        # The first block of a stage that is dilated instead of halving the map looks as far as
        # the stage before, except at PaddleSeg.
        first = dilation if choice.family == "paddleseg" else dilations[max(index - 1, 0)]
        stages.append(
            Stage(
                _BLOCKS[choice.backbone][index],
                choice.backbone_width * 2**index,
                _STRIDES[choice.output_stride][index],
                first,
                dilation,
            )
        )
    one, two, three, four = stages
    bottleneck = choice.backbone not in ("resnet18", "resnet34")
    return Backbone(
        _stem(choice.form, choice.backbone_width),
        "bottleneck" if bottleneck else "basic",
        (one, two, three, four),
        pooled_shortcut=choice.form == "vd",
        # Needed where the stem's width is not the first stage's.
        first_shortcut=bottleneck or choice.form in ("deep", "vd"),
    )


def _stem(form: Form, width: int) -> tuple[int, ...]:
    if form == "plain":
        return (width,)
    if form == "deep":
        return (width, width, 2 * width)
    return (width // 2, width // 2, width)


def _jpu(choice: NetworkChoice) -> Jpu | JpuX | None:
    if choice.jpu is None:
        return None
    if choice.jpu == "jpu_x":
        return JpuX((choice.jpu_width // 2, choice.jpu_width))
    return Jpu(choice.jpu_width)


def _head(choice: NetworkChoice) -> Head:
    if choice.head == "deeplab":
        return DeepLab(choice.head_width or 256)
    width = choice.head_width or 512
    if choice.head == "psp":
        return Psp(width, width)
    if choice.head == "fcn":
        return Fcn(width, dropout=_dropout(choice))
    theirs = choice.family == "paddleseg"
    fine = ((1, 2) if theirs else (2, 3)) if choice.laterals else ()
    return EncNet(
        width,
        kernel=1 if choice.jpu else 3,
        codes=choice.codes,
        laterals=fine,
        project_bias=theirs,
        dropout=0.1 if choice.family == "wuhuikai" else 0.0,
    )


def _auxiliary(choice: NetworkChoice) -> Auxiliary:
    theirs = choice.family == "paddleseg"
    width = choice.auxiliary_width or (512 if theirs else 256)
    return Auxiliary(width, bias=theirs, dropout=_dropout(choice))


def _dropout(choice: NetworkChoice) -> float:
    """Rate in the plain convolutional heads; the port turned it off."""
    return 0.0 if choice.family == "ncpaddle" else 0.1
