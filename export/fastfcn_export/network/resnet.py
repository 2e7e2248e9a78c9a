"""The backbone: a ResNet with a plain or deep stem, basic or bottleneck blocks.

Source: reference/fastfcn_semantics.md, 1.1. The stride and the dilation are always on a 3x3.
"""

from fastfcn_export.network.architecture import Backbone, Stage
from fastfcn_export.network.primitives import Ops, T


def resnet(ops: Ops[T], backbone: Backbone, image: T) -> tuple[T, T, T, T]:
    """Return c1, c2, c3, c4; `image` is (N, channels, H, W)."""
    x = _stem(ops, backbone.stem, image)
    maps = []
    for number, stage in enumerate(backbone.stages, start=1):
        for index in range(stage.blocks):
            x = _block(ops, backbone, stage, f"backbone.stage{number}.{index}", x)
        maps.append(x)
    c1, c2, c3, c4 = maps
    return c1, c2, c3, c4


def _stem(ops: Ops[T], widths: tuple[int, ...], image: T) -> T:
    kernel = 7 if len(widths) == 1 else 3
    x = image
    for index, width in enumerate(widths):
        stride = 2 if index == 0 else 1
        x = ops.conv_norm(x, f"backbone.stem.{index}", width, kernel=kernel, stride=stride)
    return ops.max_pool(x)


def _block(ops: Ops[T], backbone: Backbone, stage: Stage, layer: str, x: T) -> T:
    first = layer.endswith(".0")
    stride = stage.stride if first else 1
    dilation = stage.first_dilation if first else stage.dilation
    width = stage.width
    if backbone.block == "bottleneck":
        y = ops.conv_norm(x, f"{layer}.conv1", width)
        y = ops.conv_norm(y, f"{layer}.conv2", width, kernel=3, stride=stride, dilation=dilation)
        y = ops.conv_norm(y, f"{layer}.conv3", width * backbone.expansion, relu=False)
    else:
        y = ops.conv_norm(x, f"{layer}.conv1", width, kernel=3, stride=stride, dilation=dilation)
        y = ops.conv_norm(
            y, f"{layer}.conv2", width, kernel=3, dilation=stage.dilation, relu=False
        )
    if not first or (layer == "backbone.stage1.0" and not backbone.first_shortcut):
        return ops.add_relu(y, x)
    return ops.add_relu(y, _shortcut(ops, backbone, layer, x, width * backbone.expansion, stride))


def _shortcut(ops: Ops[T], backbone: Backbone, layer: str, x: T, width: int, stride: int) -> T:
    if backbone.pooled_shortcut and stride == 2:
        x = ops.average_pool(x)
        stride = 1
    return ops.conv_norm(x, f"{layer}.shortcut", width, stride=stride, relu=False)
