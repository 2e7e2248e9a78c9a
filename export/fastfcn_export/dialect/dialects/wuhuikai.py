"""Checkpoints of the original PyTorch code, wuhuikai/FastFCN.

Source: reference/fastfcn_semantics.md, columns (a).
"""

from collections.abc import Mapping
from dataclasses import replace

from fastfcn_export.dialect import original_names
from fastfcn_export.dialect.dialect import IMAGENET_MEAN, IMAGENET_STD, TORCH_NORM, Conventions
from fastfcn_export.dialect.keys import Keys
from fastfcn_export.network.architecture import Architecture
from fastfcn_infer.artifact.procedure import Procedure, Resize

CONVENTIONS = Conventions(
    align_corners=True,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    padding=(0.0, 0.0, 0.0),
    matrices_transposed=False,
    norm_parts=TORCH_NORM,
    scores="fastfcn",
)
UNUSED = original_names.UNUSED
output_stride = original_names.output_stride
BASE_SIZE = 520  # of the long side at test time, in every script of the authors


def matches(keys: Keys) -> bool:
    """Tell by the backbone's name and torch's names of the statistics."""
    return keys.any("pretrained.") and keys.ends(".running_mean")


def architecture(keys: Keys, output_stride: int) -> Architecture:
    """Describe the network."""
    return original_names.architecture(keys, output_stride, dropout=0.1)


def layers(architecture: Architecture) -> Mapping[str, tuple[str, str]]:
    """Map our layers to the dialect's."""
    return original_names.layers(architecture)


def resize(classes: str | None) -> Resize | None:
    """Bring the long side to 520 pixels, interpolating the normalised picture (4.1)."""
    return Resize("long_side", BASE_SIZE, align_corners=True)


def evaluation(classes: str | None, whole: Procedure) -> Procedure:
    """Return six scales, two more for Cityscapes, in windows and with mirror images (4.1)."""
    if whole.resize != resize(classes):
        return whole  # the authors' sizes are not those of this checkpoint
    multiple = Procedure.preset("fastfcn-ms")
    if classes != "cityscapes":
        return multiple
    return replace(multiple, kind="custom", scales=(*multiple.scales, 2.0, 2.25))
