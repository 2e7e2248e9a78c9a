"""Checkpoints of the Paddle port of the original code, ncpaddle/FastFCN-paddle.

Source: reference/fastfcn_semantics.md, columns (b).
"""

from collections.abc import Mapping

from fastfcn_export.dialect import original_names
from fastfcn_export.dialect.dialect import IMAGENET_MEAN, IMAGENET_STD, PADDLE_NORM, Conventions
from fastfcn_export.dialect.keys import Keys
from fastfcn_export.network.architecture import Architecture
from fastfcn_infer.artifact.procedure import Procedure, Resize

CONVENTIONS = Conventions(
    align_corners=True,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    padding=(0.0, 0.0, 0.0),
    matrices_transposed=True,
    norm_parts=PADDLE_NORM,
    scores="fastfcn",
)
UNUSED = original_names.UNUSED
output_stride = original_names.output_stride
CROP_SIZE = 480  # of the short side in the port's only procedure that runs, its validation


def matches(keys: Keys) -> bool:
    """Tell by the backbone's name and Paddle's names of the statistics."""
    return keys.any("pretrained.") and keys.ends("._mean")


def architecture(keys: Keys, output_stride: int) -> Architecture:
    """Describe the network."""
    return original_names.architecture(keys, output_stride, dropout=0.0)


def layers(architecture: Architecture) -> Mapping[str, tuple[str, str]]:
    """Map our layers to the dialect's."""
    return original_names.layers(architecture)


def resize(classes: str | None) -> Resize | None:
    """Bring the short side to 480 pixels (4.2); the port crops then, we keep the whole picture."""
    return Resize("short_side", CROP_SIZE, align_corners=False)


def evaluation(classes: str | None, whole: Procedure) -> Procedure:
    """Return one view: the port's test scripts call torch and cannot run; it scores in its validation (4.2)."""
    return whole
