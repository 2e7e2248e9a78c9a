"""The deployed models that tests need, as data; `deployed_maker.py` makes them."""

from typing import Any, NamedTuple

import cv2
import numpy as np

CLASSES = 19  # of the networks at their published widths; the tiny ones have 5
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


class Case(NamedTuple):
    """A model to build and export.

    Args:
        network: a function of this file, by name.
        output_op: none, softmax or argmax.
        transforms: of the YAML.
        shape: of the input; None: free.
        layout: of the files: paddleseg (deploy.yaml), paddlex (inference.yml).
        old: to be made by Paddle 2, which writes a ``.pdmodel``.
        size: height and width of the picture.
    """

    network: str
    output_op: str
    transforms: list[dict[str, Any]]
    shape: list[int | None] | None = None
    layout: str = "paddleseg"
    old: bool = False
    size: tuple[int, int] = (45, 70)


KEEP = {"type": "Resize", "target_size": [60, 50], "keep_ratio": True, "size_divisor": 32}
EXACT = {"type": "Resize", "target_size": [512, 512]}
CASES = {
    "tiny_none": Case("tiny_segformer", "none", [KEEP, {"type": "Normalize"}]),
    "tiny_argmax": Case(
        "tiny_liteseg",
        "argmax",
        [{"type": "Resize", "target_size": [128, 64]}, {"type": "Normalize", **IMAGENET}],
        [1, 3, 64, 128],
        "paddlex",
    ),
    "tiny_softmax": Case(
        "tiny_segformer",
        "softmax",
        [
            {"type": "PaddingByAspectRatio", "aspect_ratio": 1.7777778},
            {"type": "ResizeByLong", "long_size": 64},
            {"type": "Normalize"},
        ],
        old=True,
    ),
    "tiny_fastfcn": Case("tiny_fastfcn", "argmax", [{"type": "Normalize"}]),
    "tiny_emanet": Case("tiny_emanet", "softmax", [{"type": "Normalize"}]),
    "fastfcn": Case("fastfcn", "argmax", [{"type": "Normalize"}], size=(213, 320)),
    "pp_liteseg": Case(
        "pp_liteseg",
        "argmax",
        [EXACT, {"type": "Normalize", **IMAGENET}],
        [1, 3, 512, 512],
        "paddlex",
        size=(213, 320),
    ),
    "ocrnet": Case(
        "ocrnet",
        "softmax",
        [
            {"type": "ResizeByShort", "short_size": 200},
            {"type": "Padding", "target_size": [320, 224]},
            {"type": "Normalize"},
        ],
        size=(213, 320),
    ),
    "segformer": Case(
        "segformer",
        "none",
        [{"type": "LimitLong", "max_long": 256}, {"type": "Normalize", **IMAGENET}],
        size=(213, 320),
    ),
    "segformer_old": Case(
        "segformer", "argmax", [{"type": "Normalize"}], old=True, size=(213, 320)
    ),
}
NORMAL = {"type": "Normalize"}
TRANSFORMS: list[list[dict[str, Any]]] = [
    [],
    [NORMAL],
    [{"type": "Normalize", **IMAGENET}],
    [{"type": "Normalize", "mean": [0.25], "std": [0.75]}],
    [{"type": "Resize", "target_size": [21, 13]}, NORMAL],
    [{"type": "Resize", "target_size": [21, 13], "size_divisor": 8}, NORMAL],
    [{"type": "Resize", "target_size": [21, 13], "keep_ratio": True}, NORMAL],
    [NORMAL, {"type": "Resize", "target_size": [25, 14], "keep_ratio": True, "size_divisor": 4}],
    [{"type": "Resize", "target_size": [14, 14], "interp": "AREA"}, NORMAL],
    [{"type": "Resize", "target_size": [23, 14], "interp": "NEAREST"}, NORMAL],
    [{"type": "Resize", "target_size": [23, 14], "interp": "CUBIC"}, NORMAL],
    [{"type": "ResizeByLong", "long_size": 22}, NORMAL],
    [{"type": "ResizeByShort", "short_size": 9}, NORMAL],
    [{"type": "ResizeByShort", "short_size": 17, "max_size": 18}, NORMAL],
    [{"type": "LimitLong", "max_long": 13}, NORMAL],
    [{"type": "LimitLong", "min_long": 24, "max_long": 99}, NORMAL],
    [{"type": "LimitLong", "min_long": 5}, NORMAL],
    [{"type": "Padding", "target_size": [20, 21]}, NORMAL],
    [NORMAL, {"type": "Padding", "target_size": [20, 21], "im_padding_value": 0}],
    [{"type": "ResizeByLong", "long_size": 16}, {"type": "Padding", "target_size": [16, 16]}, NORMAL],
    [{"type": "PaddingByAspectRatio"}, {"type": "Resize", "target_size": [15, 15]}, NORMAL],
    [NORMAL, {"type": "PaddingByAspectRatio", "aspect_ratio": 2.5, "im_padding_value": 0}],
]  # fmt: skip
SIZES = ((11, 19), (19, 12), (15, 15))  # pictures for the transforms, (height, width)


def picture(size: tuple[int, int]) -> Any:
    """Make a picture (H, W, 3) uint8, RGB, of soft and hard edges."""
    random = np.random.default_rng(size)
    coarse = random.integers(0, 256, (7, 9, 3)).astype(np.uint8)
    soft = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    return soft ^ (np.indices(size).sum(0) // 16 % 2 * 96).astype(np.uint8)[..., None]
