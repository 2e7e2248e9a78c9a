"""Checkpoints of PaddleSeg's FastFCN.

Source: reference/fastfcn_semantics.md, columns (c).
"""

from collections.abc import Mapping

from fastfcn_export.dialect.dialect import PADDLE_NORM, Conventions
from fastfcn_export.dialect.keys import Keys
from fastfcn_export.network.architecture import (
    Architecture,
    Auxiliary,
    Backbone,
    EncNet,
    Jpu,
    Stage,
)
from fastfcn_infer.artifact.procedure import Procedure, Resize

CONVENTIONS = Conventions(
    align_corners=False,
    mean=(0.5, 0.5, 0.5),
    std=(0.5, 0.5, 0.5),
    padding=(0.5, 0.5, 0.5),
    matrices_transposed=True,
    norm_parts=PADDLE_NORM,
)
UNUSED: Mapping[str, str] = {}
_PUBLISHED_WIDTHS = (64, 128, 256, 512)


def matches(keys: Keys) -> bool:
    """Tell by the names of the backbone's blocks."""
    return keys.any("backbone.bb_") or keys.any("jpu_layer.")


def output_stride(keys: Keys) -> int:
    """Return 8, the default of PaddleSeg's backbone and of the published configuration."""
    return 8


def architecture(keys: Keys, output_stride: int) -> Architecture:
    """Describe the network."""
    width, _, kernel, _ = keys.shape("bottleneck._conv.weight", (512, 2048, 1, 1))
    head = EncNet(
        width,
        kernel,
        codes=keys.shape("enc_module.encoding.0.codewords", (32, 512))[0],
        laterals=(1, 2) if keys.any("lateral_convs.") else (),
        project_bias=True,
        dropout=0.0,
    )
    jpu = Jpu(keys.width("jpu_layer.conv3._conv.weight", 512)) if keys.any("jpu_layer.") else None
    auxiliary = None
    if keys.any("fcn_head."):
        auxiliary = Auxiliary(keys.width("fcn_head.conv_bn_relu._conv.weight", 512), bias=True)
    return Architecture(
        keys.width("cls_seg.weight", 150),
        _backbone(keys, output_stride),
        jpu,
        head,
        auxiliary,
        semantic=keys.any("se_layer."),
    )


def _backbone(keys: Keys, output_stride: int) -> Backbone:
    # A dilated stage dilates all its blocks alike, the first included.
    dilations = {8: (1, 1, 2, 4), 16: (1, 1, 1, 2), 32: (1, 1, 1, 1)}[output_stride]
    stages = []
    for index, dilation in enumerate(dilations):
        blocks = keys.count(rf"backbone\.bb_{index}_(\d+)\.")
        width = keys.width(f"backbone.bb_{index}_0.conv0._conv.weight", _PUBLISHED_WIDTHS[index])
        stride = 2 if index > 0 and dilation == 1 else 1
        stages.append(Stage(blocks, width, stride, dilation, dilation))
    one, two, three, four = stages
    published = ((1, 32), (2, 32), (3, 64))
    return Backbone(
        tuple(keys.width(f"backbone.conv1_{i}._conv.weight", width) for i, width in published),
        "bottleneck" if keys.any("backbone.bb_0_0.conv2.") else "basic",
        (one, two, three, four),
        pooled_shortcut=True,
    )


def layers(architecture: Architecture) -> Mapping[str, tuple[str, str]]:
    """Map our layers to the dialect's."""
    blocks = {f"backbone.stem.{i}": f"backbone.conv1_{i + 1}" for i in range(3)}
    for index, stage in enumerate(architecture.backbone.stages):
        for i in range(stage.blocks):
            ours, theirs = f"backbone.stage{index + 1}.{i}", f"backbone.bb_{index}_{i}"
            blocks |= {f"{ours}.conv{c}": f"{theirs}.conv{c - 1}" for c in (1, 2, 3)}
            blocks[f"{ours}.shortcut"] = f"{theirs}.short"
    blocks |= {f"jpu.p{n}": f"jpu_layer.conv{n}" for n in (3, 4, 5)}
    for i in range(4):
        branch = f"jpu_layer.dilation{i + 1}"
        blocks[f"jpu.branch{i}.depthwise"] = f"{branch}.depthwise_conv"
        blocks[f"jpu.branch{i}.pointwise"] = f"{branch}.piontwise_conv"  # their spelling
    blocks |= {
        "head.bottleneck": "bottleneck",
        "head.lateral0": "lateral_convs.0",
        "head.lateral1": "lateral_convs.1",
        "head.fusion": "fusion",
        "head.project": "enc_module.encoding_project",
        "auxiliary.conv": "fcn_head.conv_bn_relu",
    }
    names = {ours: (f"{block}._conv", f"{block}._batch_norm") for ours, block in blocks.items()}
    return names | {
        "head.encoding": ("enc_module.encoding.0", "enc_module.encoding.1"),
        "head.gate": ("enc_module.fc.0", ""),
        "head.semantic": ("se_layer", ""),
        "head.classifier": ("cls_seg", ""),
        "auxiliary.classifier": ("fcn_head.conv", ""),
    }


def resize(classes: str | None) -> Resize | None:
    """Return None: pictures keep their own size (4.3)."""
    return None


def evaluation(classes: str | None, whole: Procedure) -> Procedure:
    """Return one view, which is what its table of results begins with (4.3)."""
    return whole
