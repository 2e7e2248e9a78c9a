"""How far does a network see? The radius of its receptive field, layer by layer.

    python -m benchmarks.receptive_field

Prints the radius of published networks with a convolutional head. `Reach` is a target like those of
the exporter: the network itself is run, and a map is the number of pixels of the picture between two of its values and
the radius of what one value depends on. Heads with global context (pooling over the picture, EncNet's
encoding) see everything.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benchmarks.random_checkpoint import NETWORKS
from fastfcn_export.network.architecture import Architecture, Fcn
from fastfcn_export.network.fastfcn import fastfcn
from fastfcn_export.network.primitives import Norm


@dataclass(frozen=True)
class Map:
    """A feature map.

    Args:
        stride: pixels of the picture from one value to the next.
        radius: a value depends on this many pixels on each side of its own, at most.
    """

    stride: int
    radius: float

    def convolved(self, kernel: int, stride: int = 1, dilation: int = 1) -> "Map":
        """Convolve, padded so that the middle of the kernel is the value's own place."""
        further = kernel // 2 * dilation * self.stride
        return Map(self.stride * stride, self.radius + further)


class Reach:
    """The primitives of the network, on `Map`."""

    def conv_norm(
        self,
        x: Map,
        layer: str,
        width: int,
        *,
        kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        bias: bool = False,
        relu: bool = True,
    ) -> Map:
        """Follow a convolution."""
        return x.convolved(kernel, stride, dilation)

    def separable(
        self, x: Map, layer: str, width: int, *, dilation: int, norm: Norm = "batch"
    ) -> Map:
        """Follow a depthwise 3x3; group norm looks at the whole map."""
        return x.convolved(3, 1, dilation) if norm == "batch" else replace(x, radius=math.inf)

    def classify(self, x: Map, layer: str, classes: int) -> Map:
        """Follow a convolution of one pixel."""
        return x

    def max_pool(self, x: Map) -> Map:
        """Follow 3x3 with stride 2."""
        return x.convolved(3, 2)

    def average_pool(self, x: Map) -> Map:
        """Follow 2x2 with stride 2, no more than 3x3."""
        return x.convolved(3, 2)

    def grid_pools(self, x: Map, grids: Sequence[int]) -> list[Map]:
        """Follow means over a cell of a grid, which grows with the picture."""
        return [replace(x, radius=math.inf) for _ in grids]

    def add_relu(self, x: Map, y: Map) -> Map:
        """Take the wider of the two."""
        return self.concat([x, y])

    def resize(self, x: Map, like: Map, *, align_corners: bool) -> Map:
        """Follow an interpolation: between two values of the coarse map, which lie half a step aside."""
        further = 0.0 if x.stride == like.stride else 1.5 * x.stride
        return Map(like.stride, x.radius + further)

    def concat(self, maps: Sequence[Map]) -> Map:
        """Take the widest."""
        return Map(maps[0].stride, max(one.radius for one in maps))

    def encode(self, x: Map, layer: str, codes: int) -> Map:
        """Follow a sum over the picture."""
        return replace(x, radius=math.inf)

    def linear(self, x: Map, layer: str, width: int) -> Map:
        """Follow a product."""
        return x

    def gate(self, x: Map, vector: Map) -> Map:
        """Take the wider of the two."""
        return self.concat([x, vector])

    def dropout(self, x: Map, rate: float) -> Map:
        """Follow nothing."""
        return x


def radius(architecture: Architecture) -> float:
    """Return how many pixels on each side of it the label of a pixel depends on; inf: all of them."""
    logits = fastfcn(Reach(), architecture, Map(1, 0))
    return logits.radius + 1.5 * logits.stride  # upsampled to the picture


def main() -> int:
    """Print the radius of the published networks, with their own head and with a convolutional one."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    for name, network in NETWORKS.items():
        convolutional = replace(network.architecture, head=Fcn())
        print(
            f"{name:28} {radius(network.architecture):6.0f}   FCN head {radius(convolutional):6.0f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
