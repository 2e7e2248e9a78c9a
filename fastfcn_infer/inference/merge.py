"""Putting the answers to the views together, at the size of the picture.

The procedure "whole" has one view, so its answer is the answer; windows, scales and mirrors join
here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.labels import Labels, labels_from_logits
from fastfcn_infer.inference.views import Size, View


@dataclass(frozen=True)
class Merged:
    """One map for the whole picture.

    Args:
        scores: (C, h, w) logits or probabilities, or (h, w) labels.
        size: height and width, in pixels of the picture, of what `scores` covers, padding included.
        picture: height and width of the picture; it lies at the top left.
    """

    scores: NDArray[Any]
    size: Size
    picture: Size


def merge(views: Sequence[View], answers: NDArray[Any], picture: Size) -> Merged:
    """Merge what the graph answered, one answer a view.

    Args:
        views: as planned.
        answers: (N, C, h, w) or (N, h, w), in the order of the views; more of them are padding.
        picture: height and width, pixels.
    """
    (view,) = views
    whole_picture = view.frame or picture
    if answers.ndim == 4 and answers.shape[2:] == view.canvas:
        # An answer for every pixel: what was answered to the padding is cut off before it can flow in.
        scores = answers[0][..., : view.size[0], : view.size[1]]
        return Merged(scores, whole_picture, picture)
    size = tuple(
        # The canvas in pixels of the picture; without padding that is the picture itself.
        whole if part == full else max(whole, round(full * whole / part))
        for whole, part, full in zip(whole_picture, view.size, view.canvas, strict=True)
    )
    return Merged(answers[0], (size[0], size[1]), picture)


def labels(merged: Merged, model: Model) -> Labels:
    """Return the labels (H, W) of the picture, uint8 or uint16.

    Raises:
        ImageError: the graph answers labels, and the picture had to be reduced to fit into it.
    """
    if model.output.name == "labels":
        height, width = merged.picture
        if height > merged.scores.shape[0] or width > merged.scores.shape[1]:
            raise ImageError(
                f"A picture of {height} x {width} pixels does not fit into the "
                f"{merged.scores.shape[0]} x {merged.scores.shape[1]} of {model.name}, which was "
                "exported with --output labels: labels cannot be resized exactly. Cut the picture, "
                "or export with --output logits."
            )
        return np.ascontiguousarray(merged.scores[:height, :width])
    return labels_from_logits(
        merged.scores, merged.size, align_corners=model.align_corners, region=merged.picture
    )
