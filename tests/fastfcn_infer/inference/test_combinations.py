"""Whatever a manifest may combine gives the labels of the textbook, computed here in float64.

The picture, the procedures and the shapes are such that every size can be computed by hand. The network
is a known function of each pixel, so that nothing but the path of the picture can be wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Input, Model, Output
from fastfcn_infer.artifact.procedure import Frame, Procedure, Resize
from fastfcn_infer.errors import ArtifactError, ImageError
from fastfcn_infer.inference.pipeline import segment
from models import tiny_model
from tiny_reference import upsampled, wrong_labels

Size = tuple[int, int]
Array = NDArray[Any]

PICTURE: Size = (40, 60)
MODES = {
    "linear": cv2.INTER_LINEAR,
    "nearest": cv2.INTER_NEAREST,
    "cubic": cv2.INTER_CUBIC,
    "area": cv2.INTER_AREA,
    "lanczos4": cv2.INTER_LANCZOS4,
}


@dataclass(frozen=True)
class Case:
    """A procedure, and what it makes of the picture: padded to, resized to, padded to again."""

    resize: Resize | None
    size: Size
    canvas: Size
    frame: tuple[Frame, Size] | None = None
    padded: Frame | None = None

    @property
    def procedure(self) -> Procedure:
        """The procedure."""
        return Procedure("whole", self.resize, self.frame and self.frame[0], self.padded)


def authors(rule: Any, size: int, *, align_corners: bool = False, **more: Any) -> Resize:
    return Resize(rule, size, align_corners, **more)


def paddleseg(rule: Any, size: int, **more: Any) -> Resize:
    return Resize(rule, size, align_corners=False, arithmetic="paddleseg", **more)


SQUARE, FIXED = (Frame(aspect_ratio=1.0), (60, 60)), (Frame(50, 80), (50, 80))
CASES: Mapping[str, Case] = {
    "own size": Case(None, (40, 60), (40, 60)),
    "short side": Case(authors("short_side", 80), (80, 120), (80, 120)),
    "long side, aligned": Case(
        authors("long_side", 120, align_corners=True), (80, 120), (80, 120)
    ),
    "fit": Case(authors("fit", 2048, limit=20), (20, 30), (33, 33)),
    "bytes, nearest": Case(
        authors("short_side", 80, interpolation="nearest"), (80, 120), (80, 120)
    ),
    "bytes, area": Case(authors("short_side", 20, interpolation="area"), (20, 30), (33, 33)),
    "bytes, cubic": Case(authors("short_side", 80, interpolation="cubic"), (80, 120), (80, 120)),
    "bytes, lanczos": Case(
        authors("short_side", 80, interpolation="lanczos4"), (80, 120), (80, 120)
    ),
    "exact, linear": Case(paddleseg("exact", 64, width=96), (64, 96), (64, 96)),
    "exact, cubic": Case(
        paddleseg("exact", 80, width=120, interpolation="cubic"), (80, 120), (80, 120)
    ),
    "exact, lanczos": Case(
        paddleseg("exact", 80, width=120, interpolation="lanczos4"), (80, 120), (80, 120)
    ),
    "exact, area": Case(
        paddleseg("exact", 20, width=30, interpolation="area"), (20, 30), (33, 33)
    ),
    "exact, aligned": Case(
        replace(paddleseg("exact", 80, width=120), align_corners=True), (80, 120), (80, 120)
    ),
    "multiples of 32": Case(paddleseg("exact", 60, width=90, divisor=32), (64, 96), (64, 96)),
    "long side within": Case(paddleseg("long_within", 10, limit=30), (20, 30), (33, 33)),
    "short side limited": Case(paddleseg("short_side", 80, limit=120), (80, 120), (80, 120)),
    "square, resized, padded": Case(
        paddleseg("long_side", 120), (120, 120), (128, 160), SQUARE, Frame(128, 160)
    ),
    "frame of floats": Case(paddleseg("short_side", 100), (100, 160), (100, 160), FIXED),
    "frame of bytes": Case(authors("short_side", 100), (100, 160), (100, 160), FIXED),
    "frame, aligned": Case(
        authors("short_side", 100, align_corners=True), (100, 160), (100, 160), FIXED
    ),
    "frame alone": Case(None, (50, 80), (50, 80), FIXED),
    "canvas": Case(None, (40, 60), (48, 64), None, Frame(48, 64)),
    "canvas of a ratio": Case(None, (40, 60), (40, 80), None, Frame(aspect_ratio=2.0)),
    "frame and canvas": Case(None, (50, 80), (64, 96), FIXED, Frame(64, 96)),
}
SHAPES = [(None, None, None), (2, None, None), (1, 160, 192), (3, 20, 40), (None, 40, None)]
OUTPUTS = [Output("logits", 8), Output("logits", 1), Output("probabilities", 1)]
INPUT = Input("image", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (0.5, 0.1, 0.9))


class PixelByPixel:
    """A network whose scores are a known function of each pixel, or of every eighth."""

    def __init__(self, model: Model) -> None:
        self._model = model
        random = np.random.default_rng(len(model.classes))
        self._weights = random.normal(size=(len(model.classes), 3))
        self._bias = random.normal(size=len(model.classes))

    def run(self, batch: Array) -> Array:
        """Compute the output as the manifest describes it."""
        model = self._model
        assert batch.dtype == (np.uint8 if model.input.name == "pixels" else np.float32)
        if model.input.name == "pixels":
            batch = ((batch / 255 - model.input.mean) / model.input.std).transpose(0, 3, 1, 2)
        found = self.output(batch)
        kinds: Any = (np.uint8, np.uint16)
        labels = model.output.name == "labels"
        return found.astype(kinds[len(model.classes) > 256] if labels else np.float32)

    def output(self, image: Array) -> Array:
        """Compute it in float64, of a normalised (N, 3, H, W)."""
        stride = self._model.output.stride
        seen = image[:, :, ::stride, ::stride].astype(np.float64)
        scores: Array = np.einsum("kc,nchw->nkhw", self._weights, seen)
        scores += self._bias[:, None, None]
        if self._model.output.name == "labels":
            return np.asarray(scores.argmax(axis=1))
        if self._model.output.name == "probabilities":
            powers = np.exp(scores - scores.max(axis=1, keepdims=True))
            return np.asarray(powers / powers.sum(axis=1, keepdims=True))
        return scores


def noise() -> NDArray[np.uint8]:
    """Blocks of two pixels: what interpolates beyond 0..255 does so here, often."""
    random = np.random.default_rng(7)
    small = random.choice(np.array([0, 9, 128, 240, 255], np.uint8), (20, 30, 3))
    return np.asarray(small.repeat(2, 0).repeat(2, 1))


def textbook_size(case: Case, model: Model) -> tuple[Size, Size]:
    """Return what the picture is resized and padded to, for a graph that may fix its input."""
    _, height, width = model.input.shape
    size, canvas = case.size, case.canvas
    own = size if case.padded is None else case.canvas  # 33 x 33 is no rule of the procedure
    fixed = (height or own[0], width or own[1])
    if own[0] > fixed[0] or own[1] > fixed[1]:
        factor = min(fixed[0] / own[0], fixed[1] / own[1])
        size = (int(size[0] * factor + 0.5), int(size[1] * factor + 0.5))
        own = (int(own[0] * factor + 0.5), int(own[1] * factor + 0.5))
        canvas = (max(own[0], 33), max(own[1], 33))
    return size, (height or canvas[0], width or canvas[1])


def textbook_input(case: Case, model: Model, size: Size, canvas: Size) -> Array:
    """Pad, resize, pad and normalise in float64: (1, 3, h, w)."""
    given, resize = model.input, case.resize
    colour = 255 * np.array(given.padding)
    as_bytes = resize is not None and resize.arithmetic == "authors" and not resize.align_corners
    whole: Array = noise().astype(np.float64)
    if case.frame is not None:
        framed = np.empty((*case.frame[1], 3))
        framed[:] = np.rint(colour) if as_bytes else colour
        framed[: whole.shape[0], : whole.shape[1]] = whole
        whole = framed
    elif resize is None:
        as_bytes = True
    if size != whole.shape[:2]:
        if resize is not None and resize.align_corners:
            planes = upsampled(whole.transpose(2, 0, 1), size, align_corners=True)
            whole = planes.transpose(1, 2, 0)
        else:
            mode = MODES["linear" if resize is None else resize.interpolation]
            source = whole.astype(np.uint8) if as_bytes else whole
            whole = cv2.resize(source, size[::-1], interpolation=mode).astype(np.float64)
    if given.name == "pixels":
        # To the nearest byte, and none is less than 0 or more than 255.
        whole, colour = np.rint(whole.clip(0, 255)), np.rint(colour)
    padded = np.empty((*canvas, 3))
    padded[:] = colour
    padded[: size[0], : size[1]] = whole
    return np.asarray(((padded / 255 - given.mean) / given.std).transpose(2, 0, 1)[None])


def textbook_scores(case: Case, model: Model) -> Array:
    """Return the scores (C, H, W) of each pixel of the picture."""
    size, canvas = textbook_size(case, model)
    (scores,) = PixelByPixel(model).output(textbook_input(case, model, size, canvas))
    whole = case.frame[1] if case.frame else PICTURE
    if scores.shape[1:] == canvas:
        scores, covered = scores[:, : size[0], : size[1]], whole
    else:
        # As many pixels of the picture as the canvas covers.
        covered = (
            max(whole[0], round(canvas[0] * whole[0] / size[0])),
            max(whole[1], round(canvas[1] * whole[1] / size[1])),
        )
    full = upsampled(scores, covered, align_corners=model.align_corners)
    return full[:, : PICTURE[0], : PICTURE[1]]


def model_of(case: Case, output: Output, name: Any, shape: Any, **more: Any) -> Model:
    return replace(
        tiny_model(more.pop("classes", 5)),
        input=replace(INPUT, name=name, shape=shape),
        output=output,
        procedure=case.procedure,
        **more,
    )


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("name", ["image", "pixels"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_scores_of_any_output_and_any_shape_become_the_labels_of_the_textbook(
    case: Case, name: Any, align_corners: bool
) -> None:
    # A value halfway between two bytes is rounded either way, by float32 and by float64.
    ties = 2 if name == "pixels" else 0
    for output in OUTPUTS:
        for shape in SHAPES:
            model = model_of(case, output, name, shape, align_corners=align_corners)
            (found,) = segment([noise()], model, PixelByPixel(model))
            assert found.dtype == np.uint8
            expected = textbook_scores(case, model)
            assert np.unique(found).size > 2
            assert wrong_labels(found, expected) <= ties, (output, shape)


@pytest.mark.parametrize("name", ["image", "pixels"])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_labels_of_a_graph_are_right_or_refused_and_never_those_of_other_pixels(
    case: Case, name: Any
) -> None:
    for shape in SHAPES:
        try:
            model = model_of(case, Output("labels", 1), name, shape)
        except ValueError as error:
            assert "labels" in str(error)
            assert case.resize is not None or shape == (3, 20, 40) or shape == (None, 40, None)
            continue
        assert case.resize is None
        size, canvas = textbook_size(case, model)
        whole = case.frame[1] if case.frame else PICTURE
        if size != whole:
            with pytest.raises(ImageError, match=r"40 x 60 .*--output logits"):
                segment([noise()], model, PixelByPixel(model))
            continue
        (found,) = segment([noise()], model, PixelByPixel(model))
        (expected,) = PixelByPixel(model).output(textbook_input(case, model, size, canvas))
        np.testing.assert_array_equal(found, expected[: PICTURE[0], : PICTURE[1]])


@pytest.mark.parametrize("output", [*OUTPUTS, Output("labels", 1)], ids=str)
def test_more_classes_than_a_byte_counts_give_labels_of_sixteen_bits(output: Output) -> None:
    case = CASES["own size"]
    model = model_of(case, output, "image", (None, None, None), classes=300)
    (found,) = segment([noise()], model, PixelByPixel(model))
    assert found.dtype == np.uint16
    assert found.max() > 255
    if output.name != "labels":
        assert wrong_labels(found, textbook_scores(case, model)) == 0


@pytest.mark.parametrize(
    ("described", "computed", "said"),
    [
        (Output("logits", 8), Output("labels", 1), "its manifest describes logits of 5 classes"),
        (Output("labels", 1), Output("logits", 8), "its manifest describes labels of 5 classes"),
        (Output("probabilities", 1), Output("logits", 8), "describes probabilities of 5 classes"),
    ],
)
def test_an_output_of_another_kind_than_the_manifest_describes_is_refused(
    described: Output, computed: Output, said: str
) -> None:
    model = model_of(CASES["own size"], described, "image", (None, None, None))
    with pytest.raises(ArtifactError, match=said):
        segment([noise()], model, PixelByPixel(replace(model, output=computed)))


@pytest.mark.parametrize("output", [*OUTPUTS, Output("labels", 1)], ids=str)
def test_other_classes_than_the_manifest_lists_are_refused(output: Output) -> None:
    model = model_of(CASES["own size"], output, "image", (None, None, None))
    more = replace(model, classes=tiny_model(9).classes)
    with pytest.raises(ArtifactError, match="and its manifest has 5 classes"):
        segment([noise()], model, PixelByPixel(more))


def test_logits_of_another_stride_than_described_give_the_same_labels() -> None:
    model = model_of(CASES["own size"], Output("logits", 8), "image", (None, None, None))
    network = PixelByPixel(model)
    expected = segment([noise()], model, network)
    other = replace(model, output=Output("logits", 4))
    np.testing.assert_array_equal(segment([noise()], other, network), expected)


def test_labels_of_another_type_than_described_are_refused() -> None:
    model = model_of(CASES["own size"], Output("labels", 1), "image", (None, None, None))

    class Wide(PixelByPixel):
        def run(self, batch: Array) -> Array:
            return super().run(batch).astype(np.int64)

    with pytest.raises(ArtifactError, match="labels of type int64, not uint8 or uint16"):
        segment([noise()], model, Wide(model))
