"""The slow and plain way to the labels of a tiny model, in float64, as its users would write it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Input, Model
from models import tiny_output

Floats = NDArray[np.float64]
SMALLEST = 33  # pixels: smaller pictures are padded to this

# Of the largest score: what float32 may do to a difference of two scores.
UNDECIDED = 1e-5


def normalised(pixels: NDArray[Any], given: Input, canvas: tuple[int, int]) -> Floats:
    """Normalise (H, W, 3) pixels and pad them to the canvas: (1, 3, h, w)."""
    colour = np.array(given.padding) * 255
    whole = np.empty((*canvas, 3))
    whole[:] = colour
    whole[: pixels.shape[0], : pixels.shape[1]] = pixels
    planes: Floats = ((whole / 255 - given.mean) / given.std).transpose(2, 0, 1)[None]
    return planes


def upsampled(scores: NDArray[Any], size: tuple[int, int], *, align_corners: bool) -> Floats:
    """Resize (C, h, w) bilinearly by the definition: rows, then columns."""
    result = scores.astype(np.float64)
    for axis, length in ((1, size[0]), (2, size[1])):
        held = result.shape[axis]
        pixel = np.arange(length)
        if align_corners:
            at = pixel * ((held - 1) / max(length - 1, 1))
        else:
            at = (pixel + 0.5) * (held / length) - 0.5
        at = np.clip(at, 0, held - 1)
        low = np.minimum(np.floor(at).astype(int), held - 1)
        high = np.minimum(low + 1, held - 1)
        shape = [1, 1, 1]
        shape[axis] = length
        share = (at - low).reshape(shape)
        result = result.take(low, axis) * (1 - share) + result.take(high, axis) * share
    return result


def whole_scores(model: Model, picture: NDArray[np.uint8]) -> Floats:
    """Scores (C, H, W) of a picture that is fed to a tiny model at its own size."""
    canvas = (max(picture.shape[0], SMALLEST), max(picture.shape[1], SMALLEST))
    (logits,) = tiny_output(normalised(picture, model.input, canvas), len(model.classes))
    scores = upsampled(logits, canvas, align_corners=model.align_corners)
    return scores[:, : picture.shape[0], : picture.shape[1]]


def wrong_labels(labels: NDArray[Any], scores: Floats) -> int:
    """Count the labels that are not the arg max, where float32 can tell the arg max."""
    assert labels.shape == scores.shape[1:]
    chosen = np.take_along_axis(scores, labels.astype(int)[None], 0)[0]
    return int((scores.max(axis=0) - chosen > UNDECIDED * np.abs(scores).max()).sum())
