"""Checkpoints of mmsegmentation's FastFCN.

Source: reference/fastfcn_semantics.md, columns (d).
"""

from collections.abc import Mapping
from dataclasses import replace

from fastfcn_export.dialect.dialect import IMAGENET_MEAN, IMAGENET_STD, TORCH_NORM, Conventions
from fastfcn_export.dialect.keys import Keys
from fastfcn_export.network.architecture import (
    Architecture,
    Aspp,
    Auxiliary,
    Backbone,
    EncNet,
    Fcn,
    Head,
    Jpu,
    Psp,
    Stage,
)
from fastfcn_infer.artifact.procedure import Kind, Procedure, Resize

CONVENTIONS = Conventions(
    align_corners=False,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    padding=IMAGENET_MEAN,
    matrices_transposed=False,
    norm_parts=TORCH_NORM,
    scores="mmseg",
)
UNUSED = {r".*\.num_batches_tracked": "batch counters of training"}
_PUBLISHED_WIDTHS = (64, 128, 256, 512)
_DEEP_STEM = ((0, 1, 32), (3, 4, 32), (6, 7, 64))  # convolution, norm, published width


def matches(keys: Keys) -> bool:
    """Tell by the names of the head and the neck."""
    return keys.any("decode_head.") or keys.any("neck.")


def output_stride(keys: Keys) -> int:
    """Return 32, the stride of every FastFCN configuration (which dilates nevertheless)."""
    return 32 if keys.any("neck.") else 8


def architecture(keys: Keys, output_stride: int) -> Architecture:
    """Describe the network."""
    jpu = None
    if keys.any("neck."):
        width = keys.width("neck.conv_layers.0.0.conv.weight", 512)
        jpu = Jpu(width, align_corners=False, coarse_first=False)
    auxiliary = None
    if keys.any("auxiliary_head."):
        auxiliary = Auxiliary(keys.width("auxiliary_head.convs.0.conv.weight", 256))
    return Architecture(
        keys.width("decode_head.conv_seg.weight", 150),
        _backbone(keys, output_stride),
        jpu,
        _head(keys),
        auxiliary,
        semantic=keys.any("decode_head.se_layer."),
    )


def _backbone(keys: Keys, output_stride: int) -> Backbone:
    strides, dilations = {
        32: ((1, 2, 2, 2), (1, 1, 2, 4)),
        16: ((1, 2, 2, 1), (1, 1, 1, 2)),
        8: ((1, 2, 1, 1), (1, 1, 2, 4)),
    }[output_stride]
    stages = []
    for number, (stride, dilation) in enumerate(zip(strides, dilations, strict=True), start=1):
        blocks = keys.count(rf"backbone\.layer{number}\.(\d+)\.")
        width = keys.width(f"backbone.layer{number}.0.conv1.weight", _PUBLISHED_WIDTHS[number - 1])
        # Dilation is contracted: the first block has half of it.
        stages.append(Stage(blocks, width, stride, max(1, dilation // 2), dilation))
    one, two, three, four = stages
    if keys.any("backbone.stem."):
        stem = tuple(keys.width(f"backbone.stem.{i}.weight", width) for i, _, width in _DEEP_STEM)
    else:
        stem = (keys.width("backbone.conv1.weight", 64),)
    bottleneck = keys.any("backbone.layer1.0.conv3.")
    return Backbone(
        stem,
        "bottleneck" if bottleneck else "basic",
        (one, two, three, four),
        first_shortcut=bottleneck or keys.any("backbone.layer1.0.downsample."),
    )


def _head(keys: Keys) -> Head:
    if keys.any("decode_head.enc_module."):
        width, _, kernel, _ = keys.shape("decode_head.bottleneck.conv.weight", (512, 2048, 3, 3))
        codes = keys.shape("decode_head.enc_module.encoding.0.codewords", (32, 512))[0]
        laterals = (2, 3) if keys.any("decode_head.lateral_convs.") else ()
        return EncNet(width, kernel, codes, laterals)
    if keys.any("decode_head.psp_modules."):
        pool = keys.width("decode_head.psp_modules.0.1.conv.weight", 512)
        width = keys.width("decode_head.bottleneck.conv.weight", 512)
        return Psp(width, pool, align_corners=False)
    if keys.any("decode_head.aspp_modules."):
        return Aspp(keys.width("decode_head.aspp_modules.0.conv.weight", 512))
    return Fcn(keys.width("decode_head.convs.0.conv.weight", 512))


def layers(architecture: Architecture) -> Mapping[str, tuple[str, str]]:
    """Map our layers to the dialect's."""
    names = _backbone_layers(architecture.backbone)
    modules = {f"jpu.p{n}": f"neck.conv_layers.{n - 3}.0" for n in (3, 4, 5)}
    for i in range(4):
        branch = f"neck.dilation_layers.{i}.0"
        modules[f"jpu.branch{i}.depthwise"] = f"{branch}.depthwise_conv"
        modules[f"jpu.branch{i}.pointwise"] = f"{branch}.pointwise_conv"
        modules[f"head.pool{i}"] = f"decode_head.psp_modules.{i}.1"
        modules[f"head.atrous{i}"] = f"decode_head.aspp_modules.{i}"
    modules |= {
        "head.bottleneck": "decode_head.bottleneck",
        "head.lateral0": "decode_head.lateral_convs.0",
        "head.lateral1": "decode_head.lateral_convs.1",
        "head.fusion": "decode_head.fusion",
        "head.project": "decode_head.enc_module.encoding_project",
        "head.image": "decode_head.image_pool.1",
        "head.conv": "decode_head.convs.0",
        "auxiliary.conv": "auxiliary_head.convs.0",
    }
    names |= {ours: (f"{module}.conv", f"{module}.bn") for ours, module in modules.items()}
    encoding = "decode_head.enc_module.encoding"
    return names | {
        "head.encoding": (f"{encoding}.0", f"{encoding}.1"),
        "head.gate": ("decode_head.enc_module.fc.0", ""),
        "head.semantic": ("decode_head.se_layer", ""),
        "head.classifier": ("decode_head.conv_seg", ""),
        "auxiliary.classifier": ("auxiliary_head.conv_seg", ""),
    }


def _backbone_layers(backbone: Backbone) -> dict[str, tuple[str, str]]:
    if len(backbone.stem) == 1:
        names = {"backbone.stem.0": ("backbone.conv1", "backbone.bn1")}
    else:
        names = {
            f"backbone.stem.{index}": (f"backbone.stem.{conv}", f"backbone.stem.{norm}")
            for index, (conv, norm, _) in enumerate(_DEEP_STEM)
        }
    for number, stage in enumerate(backbone.stages, start=1):
        for i in range(stage.blocks):
            ours, theirs = f"backbone.stage{number}.{i}", f"backbone.layer{number}.{i}"
            names |= {
                f"{ours}.conv{c}": (f"{theirs}.conv{c}", f"{theirs}.bn{c}") for c in (1, 2, 3)
            }
            names[f"{ours}.shortcut"] = (f"{theirs}.downsample.0", f"{theirs}.downsample.1")
    return names


def resize(classes: str | None) -> Resize | None:
    """Fit pictures into 2048 x 512, Cityscapes into 2048 x 1024 (4.4)."""
    limit = 1024 if classes == "cityscapes" else 512
    return Resize("fit", 2048, align_corners=False, limit=limit)


def evaluation(classes: str | None, whole: Procedure) -> Procedure:
    """Return one view whose logits are resized twice, to the network's input and then to the picture (4.4)."""
    if whole.resize is None:
        return whole  # the network's input is the picture
    usual = Procedure.preset("mmseg")
    kind: Kind = "mmseg" if whole.resize == usual.resize else "custom"
    return replace(usual, kind=kind, resize=whole.resize)
