"""Probabilities by every procedure against its definition, in float64 and with all classes at full size."""

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.procedure import PRESETS, Procedure, Resize, Windows
from fastfcn_infer.inference.pipeline import segment
from fastfcn_infer.inference.probability.kept import KeptScores
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.inference.views import View, Window
from models import tiny_model, tiny_output
from tiny_reference import upsampled

Floats = NDArray[np.float64]

CLASSES = 7
_LONG = Resize("long_side", 70, align_corners=True)
_FIT = Resize("fit", 200, align_corners=False, limit=64)
PADDED = Windows(48, 32, "pad")
PROCEDURES = {
    "paddleseg-ms-flip": PRESETS["paddleseg-ms-flip"],
    "with windows": Procedure.preset("paddleseg-ms-flip", windows=Windows(40, 27)),
    "all mirror images": Procedure(mirror="both", merge="probabilities", scales=(1.0, 0.5)),
    "fastfcn": Procedure.preset("fastfcn", resize=_LONG, windows=PADDED),
    "fastfcn-ms": Procedure.preset("fastfcn-ms", resize=_LONG, windows=PADDED),
    "mmseg": Procedure.preset("mmseg", resize=_FIT),
    "mmseg-slide": Procedure.preset("mmseg-slide", resize=_FIT, windows=Windows(48, 31)),
    "mmseg-tta": PRESETS["mmseg-tta"],
}


class Network:
    def __init__(self, loudness: float = 3) -> None:
        self._loudness = loudness

    def run(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(self._loudness * tiny_output(batch, CLASSES), np.float32)


def softmax(z: Floats) -> Floats:
    share = np.exp(z - z.max(0))
    return np.asarray(share / share.sum(0))


def of_view(view: View, output: NDArray[Any]) -> Floats:
    """Return the logits of what the network was fed, as the picture lies."""
    logits = upsampled(output, view.canvas, align_corners=False)
    return logits[:, :: -1 if view.flipped else 1, :: -1 if view.mirrored else 1]


def averaged(parts: list[tuple[Window | None, Floats]], size: tuple[int, int]) -> Floats:
    """Return the mean of windows where they overlap; what reaches beyond the border is cut off."""
    total, count = np.zeros((CLASSES, *size)), np.zeros(size)
    for window, values in parts:
        top, left = (window.top, window.left) if window else (0, 0)
        inside = values[:, : size[0] - top, : size[1] - left]
        place = slice(top, top + inside.shape[1]), slice(left, left + inside.shape[2])
        total[:, place[0], place[1]] += inside
        count[place] += 1
    return np.asarray(total / count)


def textbook(kept: KeptScores) -> Floats:
    """Return the probabilities (C, H, W) as the docstring of `Procedure` defines the merge."""
    procedure, maps = kept.procedure, []
    seen = [(view, of_view(view, o)) for view, o in zip(kept.views, kept.outputs, strict=True)]
    for scale in range(len(procedure.scales)):
        found = [(view, logits) for view, logits in seen if view.scale == scale]
        size = found[0][0].size
        if procedure.merge == "exp":
            windows = dict.fromkeys(view.window for view, _ in found)
            parts = [(w, np.exp(sum(z for view, z in found if view.window == w))) for w in windows]
            images = [averaged(parts, size)]
        else:
            images = [
                averaged([(view.window, z) for view, z in found if side == _side(view)], size)
                for side in sorted({_side(view) for view, _ in found})
            ]
        maps += [
            upsampled(one, kept.size, align_corners=procedure.align_corners) for one in images
        ]
    if procedure.merge == "probabilities":
        return np.asarray(np.mean([softmax(one) for one in maps], 0))
    total = np.sum(maps, 0)
    return np.asarray(
        total / total.sum(0) if procedure.merge == "exp" else softmax(total / len(maps))
    )


def _side(view: View) -> tuple[bool, bool]:
    return view.mirrored, view.flipped


def labelled(name: str, size: tuple[int, int], network: Network) -> tuple[Segmentation, Floats]:
    """Return a result and the probabilities of the textbook."""
    small = np.random.default_rng(size).integers(0, 256, (7, 9, 3), np.uint8)
    picture = np.asarray(cv2.resize(small, size[::-1], interpolation=cv2.INTER_CUBIC), np.uint8)
    model, kept = tiny_model(CLASSES), list[KeptScores]()
    (labels,) = segment([picture], model, network, procedure=PROCEDURES[name], kept=kept)
    names = tuple(one.name for one in model.classes)
    colors = np.zeros((CLASSES, 3), np.uint8)
    return Segmentation(labels, names, colors, picture, scores=kept[0]), textbook(kept[0])


@pytest.mark.parametrize("size", [(50, 83), (1, 61), (1, 1)], ids=str)
@pytest.mark.parametrize("name", PROCEDURES)
def test_every_value_is_that_of_the_textbook(name: str, size: tuple[int, int]) -> None:
    result, shares = labelled(name, size, Network())
    labels = result.labels
    ordered = -np.sort(-shares, 0)
    close(result.confidence(), ordered[0])
    close(result.margin(), ordered[0] - ordered[1])
    close(result.entropy() / 4, -(shares * np.log(np.maximum(shares, 1e-300))).sum(0) / 4)
    close(result.probabilities([5, "class 2"]), shares[[5, 2]])
    indices, found = result.top(3)
    close(found, ordered[:3])
    close(np.take_along_axis(shares, indices.astype(int), 0), found)
    # 1 at the place of 1 and 6, then 3, and 2 at the place of 4, 2 and 5.
    groups: dict[str, list[str | int]] = {"one": [1, "class 6"], "two": [4, "class 2", 5]}
    grouped = result.relabel(groups=groups, min_confidence=0.5)
    sums = np.stack([shares[0], shares[[1, 6]].sum(0), shares[3], shares[[4, 2, 5]].sum(0)])
    assert grouped.names == ("class 0", "one", "class 3", "two")
    close(grouped.confidence(), sums.max(0))
    sure = grouped.labels != 255
    assert np.abs(sums.max(0) - 0.5)[sure != (sums.max(0) >= 0.5)].max(initial=0) <= 1e-5
    chosen = np.take_along_axis(sums, np.where(sure, grouped.labels, 0)[None].astype(int), 0)[0]
    assert (sums.max(0) - chosen)[sure].max(initial=0) <= 1e-5
    if size[0] > 1:
        assert len(np.unique(labels)) > 2
        assert 0.05 < sure.mean() < 1


@pytest.mark.parametrize("name", ["fastfcn-ms", "mmseg-tta", "paddleseg-ms-flip"])
def test_logits_of_hundreds_lose_no_class(name: str) -> None:
    """Also where exp of all classes is 0 in float32 beside that of other pixels of the tile."""
    result, shares = labelled(name, (50, 83), Network(60))
    assert max(float(np.abs(one).max()) for one in result.scores.outputs) > 200  # type: ignore[union-attr]
    chosen = np.take_along_axis(shares, result.labels[None].astype(int), 0)[0]
    assert (shares.max(0) - chosen).max() < 1e-4  # of logits that float32 knows to 2e-5
    np.testing.assert_allclose(result.confidence(), shares.max(0), rtol=0, atol=1e-4)


def close(found: NDArray[Any], expected: NDArray[Any]) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_the_procedures_differ() -> None:
    """Or one could be taken for another without being noticed."""
    picture = np.random.default_rng(0).integers(0, 256, (50, 83, 3), np.uint8)
    found = []
    for procedure in PROCEDURES.values():
        kept: list[KeptScores] = []
        segment([picture], tiny_model(CLASSES), Network(), procedure=procedure, kept=kept)
        found.append(textbook(kept[0]))
    for index, one in enumerate(found):
        for other in found[:index]:
            assert np.abs(one - other).max() > 0.01
