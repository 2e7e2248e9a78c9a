"""Merge the outputs for the views of a picture into one map for the whole picture.

It is for procedures of one view, where there is nothing to merge; `scores` merges windows, scales and
mirror images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

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


def merge(views: Sequence[View], outputs: Sequence[NDArray[Any]], picture: Size) -> Merged:
    """Merge the outputs of the network for all views of a picture.

    Args:
        views: as planned.
        outputs: (C, h, w) or (h, w) for each view.
        picture: height and width, pixels.
    """
    (view,) = views
    (output,) = outputs
    whole_picture = view.frame or picture
    if output.ndim == 3 and output.shape[1:] == view.canvas:
        # One value per pixel: the padding is cut off before interpolation could mix it in.
        scores = output[..., : view.size[0], : view.size[1]]
        return Merged(scores, whole_picture, picture)
    size = tuple(
        # The canvas in pixels of the picture; without padding that is the picture itself.
        whole if part == full else max(whole, round(full * whole / part))
        for whole, part, full in zip(whole_picture, view.size, view.canvas, strict=True)
    )
    return Merged(output, (size[0], size[1]), picture)
