"""The key scheme of the original code, which its Paddle port kept.

Only the names of a batch norm's statistics, the layout of matrices and some conventions differ;
those are in `dialects/wuhuikai.py` and `dialects/ncpaddle.py`.

Source: reference/fastfcn_semantics.md, 1.1, 2.2 and 2.3.
"""

from collections.abc import Mapping

from fastfcn_export.dialect.keys import Keys
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

UNUSED = {
    r"pretrained\.fc\.(weight|bias)": "ImageNet classifier of the backbone",
    r".*\.num_batches_tracked": "batch counters of training",
}
_PUBLISHED_WIDTHS = (64, 128, 256, 512)


def output_stride(keys: Keys) -> int:
    """Return 8 without JPU and with laterals, which need a dilated backbone; else 32."""
    return 8 if keys.any("head.connect.") or not keys.any("jpu.") else 32


def architecture(keys: Keys, stride: int, *, dropout: float) -> Architecture:
    """Describe the network from names and shapes."""
    head, classifier = _head(keys, dropout)
    classes = keys.width(f"{classifier}.weight", 150)
    auxiliary = None
    if keys.any("auxlayer."):
        auxiliary = Auxiliary(keys.width("auxlayer.conv5.0.weight", 256), dropout=dropout)
    return Architecture(
        classes,
        _backbone(keys, stride),
        _jpu(keys),
        head,
        auxiliary,
        semantic=keys.any("head.encmodule.selayer."),
    )


def _backbone(keys: Keys, output_stride: int) -> Backbone:
    # First dilation, then the others': half the stage's dilation, then all of it.
    plans = {
        32: ((2, 1, 1), (2, 1, 1)),
        16: ((2, 1, 1), (1, 1, 2)),
        8: ((1, 1, 2), (1, 2, 4)),
    }[output_stride]
    stages = []
    for number, (stride, first, dilation) in enumerate(((1, 1, 1), (2, 1, 1), *plans), start=1):
        blocks = keys.count(rf"pretrained\.layer{number}\.(\d+)\.")
        width = keys.width(
            f"pretrained.layer{number}.0.conv1.weight", _PUBLISHED_WIDTHS[number - 1]
        )
        stages.append(Stage(blocks, width, stride, first, dilation))
    one, two, three, four = stages
    bottleneck = keys.any("pretrained.layer1.0.conv3.")
    return Backbone(
        _stem(keys),
        "bottleneck" if bottleneck else "basic",
        (one, two, three, four),
        first_shortcut=bottleneck or keys.any("pretrained.layer1.0.downsample."),
    )


def _stem(keys: Keys) -> tuple[int, ...]:
    if not keys.any("pretrained.conv1.0."):
        return (keys.width("pretrained.conv1.weight", 64),)
    published = ((0, 64), (3, 64), (6, 128))
    return tuple(keys.width(f"pretrained.conv1.{i}.weight", width) for i, width in published)


def _jpu(keys: Keys) -> Jpu | JpuX | None:
    if keys.any("jpu.jum_"):
        published = ((1, 256), (2, 512))
        first, second = (keys.width(f"jpu.jum_{i}.conv_l.0.weight", w) for i, w in published)
        return JpuX((first, second))
    return Jpu(keys.width("jpu.conv3.0.weight", 512)) if keys.any("jpu.") else None


def _head(keys: Keys, dropout: float) -> tuple[Head, str]:
    """Return the head and the name of its classifier."""
    if keys.any("head.encmodule.") or keys.any("head.conv6."):
        width, _, kernel, _ = keys.shape("head.conv5.0.weight", (512, 0, 1, 1))
        codes = keys.shape("head.encmodule.encoding.3.codewords", (32, 512))[0]
        laterals = (2, 3) if keys.any("head.connect.") else ()
        return EncNet(width, kernel, codes, laterals, dropout=dropout), "head.conv6.1"
    if keys.any("head.aspp."):
        return DeepLab(keys.width("head.aspp.b0.0.weight", 256)), "head.block.4"
    if keys.any("head.conv5.0.conv1."):
        pool = keys.width("head.conv5.0.conv1.0.weight", 512)
        return Psp(keys.width("head.conv5.1.weight", 512), pool), "head.conv5.5"
    return Fcn(keys.width("head.conv5.0.weight", 512), dropout=dropout), "head.conv5.4"


def layers(architecture: Architecture) -> Mapping[str, tuple[str, str]]:
    """Map our layers to the scheme's prefixes: of the layer, and of its norm."""
    names = _backbone_layers(architecture.backbone)
    names |= {f"jpu.p{n}": (f"jpu.conv{n}.0", f"jpu.conv{n}.1") for n in (3, 4, 5)}
    names |= _branches("jpu", "jpu", 4)
    for unit in (1, 2):
        theirs = f"jpu.jum_{unit}"
        names[f"jpu.unit{unit}.low"] = (f"{theirs}.conv_l.0", f"{theirs}.conv_l.1")
        names[f"jpu.unit{unit}.high"] = (f"{theirs}.conv_h.0", f"{theirs}.conv_h.1")
        names |= _branches(f"jpu.unit{unit}", theirs, 3)
    names |= {
        "auxiliary.conv": ("auxlayer.conv5.0", "auxlayer.conv5.1"),
        "auxiliary.classifier": ("auxlayer.conv5.4", ""),
    }
    return names | _head_layers(architecture.head)


def _backbone_layers(backbone: Backbone) -> dict[str, tuple[str, str]]:
    if len(backbone.stem) == 1:
        names = {"backbone.stem.0": ("pretrained.conv1", "pretrained.bn1")}
    else:
        names = {
            "backbone.stem.0": ("pretrained.conv1.0", "pretrained.conv1.1"),
            "backbone.stem.1": ("pretrained.conv1.3", "pretrained.conv1.4"),
            "backbone.stem.2": ("pretrained.conv1.6", "pretrained.bn1"),
        }
    for number, stage in enumerate(backbone.stages, start=1):
        for i in range(stage.blocks):
            ours, theirs = f"backbone.stage{number}.{i}", f"pretrained.layer{number}.{i}"
            names |= {
                f"{ours}.conv{c}": (f"{theirs}.conv{c}", f"{theirs}.bn{c}") for c in (1, 2, 3)
            }
            names[f"{ours}.shortcut"] = (f"{theirs}.downsample.0", f"{theirs}.downsample.1")
    return names


def _branches(ours: str, theirs: str, count: int) -> dict[str, tuple[str, str]]:
    names = {}
    for i in range(count):
        branch = f"{theirs}.dilation{i + 1}"
        names[f"{ours}.branch{i}.depthwise"] = (f"{branch}.0.conv1", f"{branch}.0.bn")
        names[f"{ours}.branch{i}.pointwise"] = (f"{branch}.0.pointwise", f"{branch}.1")
    return names


def _head_layers(head: Head) -> dict[str, tuple[str, str]]:
    if isinstance(head, EncNet):
        module = "head.encmodule"
        return {
            "head.bottleneck": ("head.conv5.0", "head.conv5.1"),
            "head.lateral0": ("head.connect.0.0", "head.connect.0.1"),
            "head.lateral1": ("head.connect.1.0", "head.connect.1.1"),
            "head.fusion": ("head.fusion.0", "head.fusion.1"),
            "head.project": (f"{module}.encoding.0", f"{module}.encoding.1"),
            "head.encoding": (f"{module}.encoding.3", f"{module}.encoding.4"),
            "head.gate": (f"{module}.fc.0", ""),
            "head.semantic": (f"{module}.selayer", ""),
            "head.classifier": ("head.conv6.1", ""),
        }
    if isinstance(head, Psp):
        pools = {
            f"head.pool{i}": (f"head.conv5.0.conv{i + 1}.0", f"head.conv5.0.conv{i + 1}.1")
            for i in range(4)
        }
        return pools | {
            "head.bottleneck": ("head.conv5.1", "head.conv5.2"),
            "head.classifier": ("head.conv5.5", ""),
        }
    if isinstance(head, DeepLab):
        atrous = {f"head.atrous{i}": (f"head.aspp.b{i}.0", f"head.aspp.b{i}.1") for i in range(4)}
        return atrous | {
            "head.image": ("head.aspp.b4.gap.1", "head.aspp.b4.gap.2"),
            "head.project": ("head.aspp.project.0", "head.aspp.project.1"),
            "head.block": ("head.block.0", "head.block.1"),
            "head.classifier": ("head.block.4", ""),
        }
    return {
        "head.conv": ("head.conv5.0", "head.conv5.1"),
        "head.classifier": ("head.conv5.4", ""),
    }
