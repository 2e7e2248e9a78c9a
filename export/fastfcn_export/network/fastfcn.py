"""The whole network: backbone, upsampling, head."""

from dataclasses import dataclass
from typing import Generic

from fastfcn_export.network.architecture import Architecture
from fastfcn_export.network.heads import auxiliary_logits, logits
from fastfcn_export.network.jpu import upsample
from fastfcn_export.network.primitives import Ops, T
from fastfcn_export.network.resnet import resnet


@dataclass(frozen=True)
class Outputs(Generic[T]):
    """The outputs that training computes losses from.

    Args:
        main: logits (N, classes, h, w).
        auxiliary: logits of the head on c3, at its stride; None without one.
        semantic: logits (N, classes) of the presence of each class; None without the SE layer.
    """

    main: T
    auxiliary: T | None
    semantic: T | None


def fastfcn(ops: Ops[T], architecture: Architecture, image: T) -> T:
    """Return the logits (N, classes, h, w) of `image` (N, channels, H, W), normalised."""
    features = resnet(ops, architecture.backbone, image)
    main, _ = logits(
        ops,
        architecture.head,
        _decoded(ops, architecture, features),
        features,
        architecture.classes,
    )
    return main


def fastfcn_training(ops: Ops[T], architecture: Architecture, image: T) -> Outputs[T]:
    """Return the logits and the outputs of the parts that only training uses."""
    features = resnet(ops, architecture.backbone, image)
    decoded = _decoded(ops, architecture, features)
    main, encoding = logits(ops, architecture.head, decoded, features, architecture.classes)
    auxiliary = semantic = None
    if architecture.auxiliary is not None:
        auxiliary = auxiliary_logits(
            ops, architecture.auxiliary, features[2], architecture.classes
        )
    if architecture.semantic and encoding is not None:
        semantic = ops.linear(encoding, "head.semantic", architecture.classes)
    return Outputs(main, auxiliary, semantic)


def _decoded(ops: Ops[T], architecture: Architecture, features: tuple[T, T, T, T]) -> T:
    _, c2, c3, c4 = features
    return c4 if architecture.jpu is None else upsample(ops, architecture.jpu, c2, c3, c4)
