"""Joint Pyramid Upsampling: c2, c3, c4 in, one map at the stride of c2 out.

Source: the paper's section 3.3; reference/fastfcn_semantics.md, 1.2 and 1.3.
"""

from fastfcn_export.network.architecture import Jpu, JpuX
from fastfcn_export.network.primitives import Ops, T


def upsample(ops: Ops[T], jpu: Jpu | JpuX, c2: T, c3: T, c4: T) -> T:
    """Return the map (N, 4 * width, h, w), `h` and `w` those of `c2`."""
    if isinstance(jpu, JpuX):
        fine = _unit(ops, jpu, 0, c3, c2)
        return _unit(ops, jpu, 1, c4, fine)
    maps = [
        ops.conv_norm(c, f"jpu.p{number}", jpu.width, kernel=3)
        for number, c in ((3, c2), (4, c3), (5, c4))
    ]
    p3 = maps[0]
    pyramid = [ops.resize(p, p3, align_corners=jpu.align_corners) for p in maps]
    x = ops.concat(pyramid[::-1] if jpu.coarse_first else pyramid)
    return ops.concat(
        [
            ops.separable(x, f"jpu.branch{i}", jpu.width, dilation=dilation)
            for i, dilation in enumerate((1, 2, 4, 8))
        ]
    )


def _unit(ops: Ops[T], jpu: JpuX, number: int, low: T, high: T) -> T:
    layer = f"jpu.unit{number + 1}"
    width = jpu.widths[number]
    base = number + 1
    coarse = ops.conv_norm(low, f"{layer}.low", width, kernel=3)
    fine = ops.conv_norm(high, f"{layer}.high", width, kernel=3)
    coarse = ops.resize(coarse, fine, align_corners=jpu.align_corners)
    x = ops.concat([coarse, fine])
    branches = [
        ops.separable(x, f"{layer}.branch{i}", width, dilation=base * factor, norm="group")
        for i, factor in enumerate((1, 2, 4))
    ]
    return ops.concat([coarse, *branches])
