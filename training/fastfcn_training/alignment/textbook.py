"""A small FastFCN written as in its papers; it shares nothing with our code but the names.

Convolutions, pooling and derivatives are Paddle's; norms, encoding and resize follow their
definitions.

Source: Wu et al., FastFCN, 2019, section 3.3; Zhang et al., Context Encoding for Semantic
Segmentation, 2018, sections 3 and 4; He et al., 2015; reference/fastfcn_semantics.md, 1.1 to 1.8.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

Tensor = Any  # paddle.Tensor; Paddle's types are not known where the types are checked


@dataclass(frozen=True)
class Widths:
    """Channels of the backbone's first stage, JPU, head and auxiliary head; number of code words."""

    backbone: int
    jpu: int
    head: int
    auxiliary: int
    codes: int


class Norm(nn.Layer):  # type: ignore[misc]
    """Batch norm over all axes except the second."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = self.create_parameter([channels])
        self.bias = self.create_parameter([channels], is_bias=True)
        self.register_buffer("mean", paddle.zeros([channels]))
        self.register_buffer("var", paddle.ones([channels]))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise."""
        shape = [1, -1] + [1] * (x.ndim - 2)
        mean, var = self.mean, self.var
        if self.training:
            axes = [axis for axis in range(x.ndim) if axis != 1]
            mean = x.mean(axes)
            var = ((x - mean.reshape(shape)) ** 2).mean(axes)
            self.mean.set_value(0.9 * self.mean + 0.1 * mean.detach())
            self.var.set_value(0.9 * self.var + 0.1 * var.detach())
        x = (x - mean.reshape(shape)) / (var.reshape(shape) + 1e-5).sqrt()
        return x * self.weight.reshape(shape) + self.bias.reshape(shape)


class ConvNorm(nn.Layer):  # type: ignore[misc]
    """A convolution without a bias, and batch norm."""

    def __init__(
        self, before: int, after: int, kernel: int, *, stride: int = 1, dilation: int = 1,
        groups: int = 1,
    ) -> None:  # fmt: skip
        super().__init__()
        padding = dilation * (kernel // 2)
        self.conv = nn.Conv2D(
            before, after, kernel, stride, padding, dilation, groups, bias_attr=False
        )
        self.norm = Norm(after)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve and normalise."""
        return self.norm(self.conv(x))


class Block(nn.Layer):  # type: ignore[misc]
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(before, after, 3, stride=stride)
        self.conv2 = ConvNorm(after, after, 3)
        if before != after or stride != 1:
            self.shortcut = ConvNorm(before, after, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Add the output of the convolutions to the input."""
        y = self.conv2(nn.functional.relu(self.conv1(x)))
        return nn.functional.relu(y + (self.shortcut(x) if hasattr(self, "shortcut") else x))


class Backbone(nn.Layer):  # type: ignore[misc]
    """ResNet-18 with three 3x3 convolutions in place of the 7x7 one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.LayerList(
            [
                ConvNorm(3, width, 3, stride=2),
                ConvNorm(width, width, 3),
                ConvNorm(width, 2 * width, 3),
            ]
        )
        self.stage1 = nn.LayerList([Block(2 * width, width, 1), Block(width, width, 1)])
        self.stage2 = nn.LayerList([Block(width, 2 * width, 2), Block(2 * width, 2 * width, 1)])
        self.stage3 = nn.LayerList(
            [Block(2 * width, 4 * width, 2), Block(4 * width, 4 * width, 1)]
        )
        self.stage4 = nn.LayerList(
            [Block(4 * width, 8 * width, 2), Block(8 * width, 8 * width, 1)]
        )
        self.pool = nn.MaxPool2D(3, 2, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Compute the maps at strides 4, 8, 16 and 32."""
        for layer in self.stem:
            x = nn.functional.relu(layer(x))
        x = self.pool(x)
        maps = []
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            for block in stage:
                x = block(x)
            maps.append(x)
        return maps


class Separable(nn.Layer):  # type: ignore[misc]
    """A dilated depthwise convolution and a pointwise one, with no activation in between."""

    def __init__(self, before: int, after: int, dilation: int) -> None:
        super().__init__()
        self.depthwise = ConvNorm(before, before, 3, dilation=dilation, groups=before)
        self.pointwise = ConvNorm(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve each channel, then mix them."""
        return nn.functional.relu(self.pointwise(self.depthwise(x)))


class Jpu(nn.Layer):  # type: ignore[misc]
    """Joint pyramid upsampling: three maps in, one at stride 8 out."""

    def __init__(self, width: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.p3 = ConvNorm(channels[0], width, 3)
        self.p4 = ConvNorm(channels[1], width, 3)
        self.p5 = ConvNorm(channels[2], width, 3)
        for i in range(4):
            setattr(self, f"branch{i}", Separable(3 * width, width, 2**i))

    def forward(self, c2: Tensor, c3: Tensor, c4: Tensor) -> Tensor:
        """Bring all to one width and size, the coarsest first; apply four dilations."""
        p3, p4, p5 = (
            nn.functional.relu(layer(c))
            for layer, c in ((self.p3, c2), (self.p4, c3), (self.p5, c4))
        )
        size = p3.shape[2:]
        x = paddle.concat([bilinear(p5, size), bilinear(p4, size), p3], 1)
        branches = (self.branch0, self.branch1, self.branch2, self.branch3)
        return paddle.concat([branch(x) for branch in branches], 1)


class Encoding(nn.Layer):  # type: ignore[misc]
    """Residuals of all pixels to all code words, softly assigned to the words and summed."""

    def __init__(self, channels: int, codes: int) -> None:
        super().__init__()
        self.codewords = self.create_parameter([codes, channels])
        self.scale = self.create_parameter([codes])
        self.norm = Norm(codes)

    def forward(self, x: Tensor) -> Tensor:
        """Encode a map (N, C, H, W) as vectors (N, C)."""
        pixels = x.flatten(2).transpose([0, 2, 1]).unsqueeze(2)  # (N, P, 1, C)
        residuals = pixels - self.codewords  # (N, P, K, C)
        weight = (self.scale * (residuals**2).sum(3)).exp()
        weight = weight / weight.sum(2, keepdim=True)
        encoding = (weight.unsqueeze(3) * residuals).sum(1)  # (N, K, C)
        return nn.functional.relu(self.norm(encoding)).mean(1)


class Head(nn.Layer):  # type: ignore[misc]
    """Context encoding: a summary of the picture weights the channels and predicts its classes."""

    def __init__(self, before: int, width: int, codes: int, classes: int) -> None:
        super().__init__()
        self.bottleneck = ConvNorm(before, width, 1)
        self.project = ConvNorm(width, width, 1)
        self.encoding = Encoding(width, codes)
        self.gate = nn.Linear(width, width)
        self.semantic = nn.Linear(width, classes)
        self.classifier = nn.Conv2D(width, classes, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Compute logits of pixels (N, classes, h, w) and of the picture (N, classes)."""
        x = nn.functional.relu(self.bottleneck(x))
        summary = self.encoding(nn.functional.relu(self.project(x)))
        share = 1 / (1 + (-self.gate(summary)).exp())
        x = nn.functional.relu(x + x * share.unsqueeze(-1).unsqueeze(-1))
        return self.classifier(x), self.semantic(summary)


class AuxiliaryHead(nn.Layer):  # type: ignore[misc]
    """Logits from the map at stride 16."""

    def __init__(self, before: int, width: int, classes: int) -> None:
        super().__init__()
        self.conv = ConvNorm(before, width, 3)
        self.classifier = nn.Conv2D(width, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, classes, h, w)."""
        return self.classifier(nn.functional.relu(self.conv(x)))


class FastFCN(nn.Layer):  # type: ignore[misc]
    """The whole network."""

    def __init__(self, widths: Widths, classes: int) -> None:
        super().__init__()
        width = widths.backbone
        self.backbone = Backbone(width)
        self.jpu = Jpu(widths.jpu, [2 * width, 4 * width, 8 * width])
        self.head = Head(4 * widths.jpu, widths.head, widths.codes, classes)
        self.auxiliary = AuxiliaryHead(4 * width, widths.auxiliary, classes)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Compute logits of pixels, of the auxiliary head, and of the picture."""
        _, c2, c3, c4 = self.backbone(image)
        main, semantic = self.head(self.jpu(c2, c3, c4))
        return main, self.auxiliary(c3), semantic


def bilinear(x: Tensor, size: Sequence[int]) -> Tensor:
    """Resize bilinearly with aligned corners, as a matrix product over rows and columns."""
    rows, columns = (
        paddle.to_tensor(_shares(held, wanted)).astype(x.dtype)
        for held, wanted in zip(x.shape[2:], size, strict=True)
    )
    return paddle.matmul(paddle.matmul(rows, x), columns, transpose_y=True)


def _shares(held: int, wanted: int) -> NDArray[np.float64]:
    """Give the weight of each source pixel in each target pixel: (wanted, held)."""
    at = np.linspace(0, held - 1, wanted)[:, None]
    return np.asarray(np.maximum(0, 1 - np.abs(at - np.arange(held))))
