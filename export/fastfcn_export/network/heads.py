"""The heads: from the upsampled map to logits.

Source: reference/fastfcn_semantics.md, 1.4 to 1.8.
"""

from collections.abc import Sequence

from fastfcn_export.network.architecture import (
    Aspp,
    Auxiliary,
    DeepLab,
    EncNet,
    Fcn,
    Head,
    Psp,
)
from fastfcn_export.network.primitives import Ops, T

GRIDS = (1, 2, 3, 6)
ATROUS = (12, 24, 36)
"""Dilations of atrous pooling's branches after the first, which is 1 x 1."""


def logits(
    ops: Ops[T], head: Head, x: T, features: Sequence[T], classes: int
) -> tuple[T, T | None]:
    """Return the logits of `x`, and the vector of the semantic encoding where the head has one.

    `features` are c1..c4, for laterals.
    """
    if isinstance(head, EncNet):
        return _encnet(ops, head, x, features, classes)
    if isinstance(head, Psp):
        return _psp(ops, head, x, classes), None
    if isinstance(head, DeepLab):
        return _deeplab(ops, head, x, classes), None
    if isinstance(head, Aspp):
        return _aspp(ops, head, x, classes), None
    return _fcn(ops, head, x, classes), None


def auxiliary_logits(ops: Ops[T], head: Auxiliary, c3: T, classes: int) -> T:
    """Return the logits of the auxiliary head, which only training has."""
    x = ops.conv_norm(c3, "auxiliary.conv", head.width, kernel=3, bias=head.bias)
    return ops.classify(ops.dropout(x, head.dropout), "auxiliary.classifier", classes)


def _encnet(ops: Ops[T], head: EncNet, x: T, features: Sequence[T], classes: int) -> tuple[T, T]:
    x = ops.conv_norm(x, "head.bottleneck", head.width, kernel=head.kernel)
    if head.laterals:
        joined = [x]
        for index, number in enumerate(head.laterals):
            side = ops.conv_norm(features[number - 1], f"head.lateral{index}", head.width)
            joined.append(ops.resize(side, x, align_corners=False))
        x = ops.conv_norm(ops.concat(joined), "head.fusion", head.width, kernel=3)
    z = ops.conv_norm(x, "head.project", head.width, bias=head.project_bias)
    encoding = ops.encode(z, "head.encoding", head.codes)
    x = ops.gate(x, ops.linear(encoding, "head.gate", head.width))
    x = ops.dropout(x, head.dropout)
    return ops.classify(x, "head.classifier", classes), encoding


def _psp(ops: Ops[T], head: Psp, x: T, classes: int) -> T:
    maps = [x]
    for index, grid in enumerate(ops.grid_pools(x, GRIDS)):
        y = ops.conv_norm(grid, f"head.pool{index}", head.pool_width)
        maps.append(ops.resize(y, x, align_corners=head.align_corners))
    x = ops.conv_norm(ops.concat(maps), "head.bottleneck", head.width, kernel=3)
    return ops.classify(ops.dropout(x, 0.1), "head.classifier", classes)


def _atrous(ops: Ops[T], x: T, width: int) -> list[T]:
    maps = [ops.conv_norm(x, "head.atrous0", width)]
    for index, dilation in enumerate(ATROUS, start=1):
        maps.append(ops.conv_norm(x, f"head.atrous{index}", width, kernel=3, dilation=dilation))
    return maps


def _image_pool(ops: Ops[T], x: T, width: int) -> T:
    # A map of one pixel, so resizing it means repeating it, whatever the convention.
    (mean,) = ops.grid_pools(x, (1,))
    y = ops.conv_norm(mean, "head.image", width)
    return ops.resize(y, x, align_corners=True)


def _deeplab(ops: Ops[T], head: DeepLab, x: T, classes: int) -> T:
    maps = [*_atrous(ops, x, head.width), _image_pool(ops, x, head.width)]
    x = ops.dropout(ops.conv_norm(ops.concat(maps), "head.project", head.width), 0.5)
    x = ops.conv_norm(x, "head.block", head.width, kernel=3)
    return ops.classify(ops.dropout(x, 0.1), "head.classifier", classes)


def _aspp(ops: Ops[T], head: Aspp, x: T, classes: int) -> T:
    maps = [_image_pool(ops, x, head.width), *_atrous(ops, x, head.width)]
    x = ops.conv_norm(ops.concat(maps), "head.bottleneck", head.width, kernel=3)
    return ops.classify(ops.dropout(x, 0.1), "head.classifier", classes)


def _fcn(ops: Ops[T], head: Fcn, x: T, classes: int) -> T:
    x = ops.conv_norm(x, "head.conv", head.width, kernel=3)
    return ops.classify(ops.dropout(x, head.dropout), "head.classifier", classes)
