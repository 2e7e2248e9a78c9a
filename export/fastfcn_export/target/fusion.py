"""The fusions: identities over the reals that make the network smaller and faster.

Every function takes the textbook's tensors and returns those of the fused network, in the
precision it is given. That both compute the same is tested in float64.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.network.architecture import EPSILON

Array = NDArray[Any]


@dataclass(frozen=True)
class BatchNorm:
    """A batch norm at inference: ``(x - mean) / sqrt(var + eps) * weight + bias``, vectors (C,)."""

    weight: Array
    bias: Array
    mean: Array
    var: Array

    def affine(self) -> tuple[Array, Array]:
        """Return `scale` and `shift`, float64: the norm is ``x * scale + shift``."""
        scale = self.weight.astype(np.float64) / np.sqrt(self.var.astype(np.float64) + EPSILON)
        return scale, self.bias - self.mean * scale


def fold_norm(weight: Array, bias: Array | None, norm: BatchNorm) -> tuple[Array, Array]:
    """Fold a batch norm into the convolution before it.

    Args:
        weight: (out, in / groups, k, k).
        bias: (out,), or None.
        norm: over `out` channels.

    Returns:
        Weight and bias of the one convolution that does both.
    """
    scale, shift = norm.affine()
    if bias is not None:
        shift = shift + bias * scale
    return _scale_rows(weight, scale), shift.astype(weight.dtype)


def fold_separable(
    depthwise: Array, inner: BatchNorm, pointwise: Array, outer: BatchNorm
) -> tuple[Array, Array, Array]:
    """Fold both batch norms of depthwise, norm, pointwise, norm.

    Nothing between the two convolutions is non-linear, so the inner shift, the same at every
    pixel, goes through the pointwise matrix into its bias.

    Args:
        depthwise: (C, 1, k, k).
        inner: over C channels.
        pointwise: (out, C, 1, 1).
        outer: over `out` channels.

    Returns:
        Depthwise weight (no bias), pointwise weight, pointwise bias.
    """
    inner_scale, inner_shift = inner.affine()
    carried = pointwise[:, :, 0, 0].astype(np.float64) @ inner_shift
    weight, bias = fold_norm(pointwise, carried, outer)
    return _scale_rows(depthwise, inner_scale), weight, bias


def fold_affine_before(pointwise: Array, weight: Array, bias: Array) -> tuple[Array, Array]:
    """Fold ``x * weight + bias`` into the pointwise convolution behind it.

    Args:
        pointwise: (out, C, 1, 1), without padding.
        weight: (C,).
        bias: (C,).

    Returns:
        Weight and bias of the one convolution that does both.
    """
    folded = pointwise * weight[None, :, None, None]
    carried = pointwise[:, :, 0, 0].astype(np.float64) @ bias.astype(np.float64)
    return folded, carried.astype(pointwise.dtype)


def encoding_terms(codewords: Array, scale: Array) -> tuple[Array, Array]:
    """Split ``scale * ||x - d||^2`` so that it needs one matrix product.

    ``scale * ||x||^2 + x @ matrix + offset``, because ``||x - d||^2 = ||x||^2 - 2 x.d + ||d||^2``.

    Args:
        codewords: d, (K, C).
        scale: (K,).

    Returns:
        `matrix` (C, K) and `offset` (K,).
    """
    matrix = (-2 * scale[:, None] * codewords).T
    offset = scale.astype(np.float64) * np.square(codewords.astype(np.float64)).sum(1)
    return np.ascontiguousarray(matrix), offset.astype(codewords.dtype)


def _scale_rows(weight: Array, scale: Array) -> Array:
    return np.asarray(weight * scale.astype(weight.dtype)[:, None, None, None])
