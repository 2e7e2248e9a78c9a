"""What can differ between two FastFCN networks, as plain values.

The functions beside this file turn an `Architecture` into layers; a dialect makes one from a
checkpoint's keys and shapes. Feature maps are called c1..c4 after the backbone's stages.
"""

from dataclasses import dataclass
from typing import Literal

EPSILON = 1e-5  # of every normalisation, in every dialect (reference/fastfcn_semantics.md, 1.10)


@dataclass(frozen=True)
class Stage:
    """One of the backbone's four stages.

    Args:
        blocks: residual blocks.
        width: channels of the 3x3 convolutions; a bottleneck's output has four times as many.
        stride: 1 or 2, of the first block.
        first_dilation: of the first block's 3x3 convolution.
        dilation: of the other blocks'.
    """

    blocks: int
    width: int
    stride: int = 1
    first_dilation: int = 1
    dilation: int = 1


@dataclass(frozen=True)
class Backbone:
    """A ResNet.

    Args:
        stem: widths of the stem's convolutions: one for a 7x7, three for three 3x3.
        block: two 3x3 convolutions, or 1x1, 3x3, 1x1 with four times the width at the end.
        stages: four of them.
        pooled_shortcut: a shortcut that halves the map averages 2x2 pixels and then convolves
            with stride 1 (ResNet-vd) instead of convolving with stride 2.
        first_shortcut: the very first block has a convolution in its shortcut.
    """

    stem: tuple[int, ...]
    block: Literal["basic", "bottleneck"]
    stages: tuple[Stage, Stage, Stage, Stage]
    pooled_shortcut: bool = False
    first_shortcut: bool = True

    @property
    def expansion(self) -> int:
        """Output channels of a block, divided by its width."""
        return 4 if self.block == "bottleneck" else 1

    @property
    def output_stride(self) -> int:
        """Pixels of the picture per pixel of c4."""
        stride = 4
        for stage in self.stages:
            stride *= stage.stride
        return stride


@dataclass(frozen=True)
class Jpu:
    """Joint Pyramid Upsampling.

    Args:
        width: channels each of c2, c3, c4 is brought to.
        align_corners: of the resize of the coarser maps.
        coarse_first: concatenated in the order c4, c3, c2; else c2, c3, c4 (mmsegmentation).
    """

    width: int = 512
    align_corners: bool = True
    coarse_first: bool = True


@dataclass(frozen=True)
class JpuX:
    """The chained variant with group norm; `widths` of its two units."""

    widths: tuple[int, int] = (256, 512)
    align_corners: bool = True


@dataclass(frozen=True)
class EncNet:
    """Context encoding head.

    Args:
        width: channels of everything in the head.
        kernel: of the bottleneck convolution, 1 or 3.
        codes: code words.
        laterals: numbers of the feature maps (1 for c1, ...) that join behind the bottleneck.
        project_bias: the projection before the encoding has a bias (PaddleSeg).
        dropout: channel dropout before the classifier, in training.
    """

    width: int = 512
    kernel: int = 1
    codes: int = 32
    laterals: tuple[int, ...] = ()
    project_bias: bool = False
    dropout: float = 0.1


@dataclass(frozen=True)
class Psp:
    """Pyramid pooling head; `pool_width` channels for each of the four grids."""

    width: int = 512
    pool_width: int = 512
    align_corners: bool = True


@dataclass(frozen=True)
class DeepLab:
    """DeepLabV3 head of the original code: image pooling last, 1x1 projection, 3x3 block."""

    width: int = 256


@dataclass(frozen=True)
class Aspp:
    """DeepLabV3 head of mmsegmentation: image pooling first, 3x3 bottleneck."""

    width: int = 512


@dataclass(frozen=True)
class Fcn:
    """Fully convolutional head: one 3x3 convolution; channel dropout in training."""

    width: int = 512
    dropout: float = 0.1


@dataclass(frozen=True)
class Auxiliary:
    """The head on c3, for training only; channel dropout before its classifier."""

    width: int = 256
    bias: bool = False
    dropout: float = 0.1


Head = EncNet | Psp | DeepLab | Aspp | Fcn


@dataclass(frozen=True)
class Architecture:
    """A whole network.

    Args:
        classes: of the logits.
        backbone: the ResNet.
        jpu: the upsampling; None without one.
        head: from features to logits.
        auxiliary: the head on c3, of training only; None without one.
        semantic: has the SE layer, of training only.
        channels: of the picture that the first convolution takes.
    """

    classes: int
    backbone: Backbone
    jpu: Jpu | JpuX | None
    head: Head
    auxiliary: Auxiliary | None = None
    semantic: bool = False
    channels: int = 3

    @property
    def logits_stride(self) -> int:
        """Pixels of the picture per pixel of the logits."""
        if self.jpu is None:
            return self.backbone.output_stride
        return 4 * self.backbone.stages[1].stride


_DEPTHS: dict[tuple[str, tuple[int, ...]], str] = {
    ("basic", (2, 2, 2, 2)): "resnet18",
    ("basic", (3, 4, 6, 3)): "resnet34",
    ("bottleneck", (3, 4, 6, 3)): "resnet50",
    ("bottleneck", (3, 4, 23, 3)): "resnet101",
    ("bottleneck", (3, 8, 36, 3)): "resnet152",
}


def backbone_name(backbone: Backbone) -> str:
    """Name of the backbone as its authors call it: ``resnet50``, ``resnet50_vd``, ``resnet50_v1c``.

    v1c has a deep stem that ends in the width of the first stage; the deep stem of the original
    code is twice as wide, and goes without a name.
    """
    blocks = tuple(stage.blocks for stage in backbone.stages)
    plain = "resnet_" + "_".join(map(str, blocks))
    name = _DEPTHS.get((backbone.block, blocks), plain)
    if backbone.pooled_shortcut:
        return name + "_vd"
    deep = len(backbone.stem) == 3 and backbone.stem[-1] == backbone.stages[0].width
    return name + ("_v1c" if deep else "")


def head_name(head: Head) -> str:
    """Name of the head: encnet, psp, deeplab, aspp or fcn."""
    return type(head).__name__.lower()


def jpu_name(jpu: Jpu | JpuX | None) -> str | None:
    """Name of the upsampling: jpu, jpu_x, or None."""
    if jpu is None:
        return None
    return "jpu" if isinstance(jpu, Jpu) else "jpu_x"
