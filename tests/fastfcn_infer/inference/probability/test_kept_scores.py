"""Probabilities from kept scores against the textbook in float64: every logit at full size, then softmax."""

import copy
import pickle
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Model, Output
from fastfcn_infer.artifact.procedure import Mirror, Procedure, Windows
from fastfcn_infer.inference.pipeline import segment
from fastfcn_infer.inference.probability.kept import KeptScores
from fastfcn_infer.inference.segmentation import Segmentation
from models import tiny_model, tiny_output
from tiny_reference import normalised, upsampled

Floats = NDArray[Any]

CLASSES = 6
CLOSE = 5e-6  # of probabilities; float32 logits of up to 40 are exact to 2e-6
PICTURE = np.random.default_rng(5).integers(0, 256, (75, 101, 3), np.uint8)
SIZE = (75, 101)


class Network:
    """The tiny network, twice as loud; `output` makes something else of its logits."""

    def __init__(self, output: str = "logits") -> None:
        self._output = output

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        logits = loud(batch)
        if self._output == "logits":
            return logits
        size = (batch.shape[2], batch.shape[3])
        z = np.stack([upsampled(one, size, align_corners=False) for one in logits])
        return np.stack([softmax(one) for one in z]).astype(np.float32)


def loud(batch: NDArray[Any]) -> NDArray[np.float32]:
    return np.asarray(2 * tiny_output(batch, CLASSES), np.float32)


def softmax(z: Floats) -> Floats:
    share = np.exp(z - z.max(0))
    return np.asarray(share / share.sum(0))


def model_of(**changes: Any) -> Model:
    return replace(tiny_model(CLASSES), **changes)


def result_of(
    model: Model, procedure: Procedure, picture: NDArray[np.uint8] = PICTURE
) -> Segmentation:
    kept: list[KeptScores] = []
    network = Network(model.output.name)
    (labels,) = segment([picture], model, network, procedure=procedure, kept=kept)
    names = tuple(one.name for one in model.classes)
    colors = np.array([one.color for one in model.classes], np.uint8)
    return Segmentation(labels, names, colors, picture, scores=kept[0])


def logits_of(planes: Floats, *, align_corners: bool) -> Floats:
    """Run the network on (3, h, w) and upsample its logits to that size."""
    (logits,) = loud(planes[None])
    return upsampled(logits, (planes.shape[1], planes.shape[2]), align_corners=align_corners)


def planes_of(model: Model, picture: NDArray[np.uint8] = PICTURE) -> Floats:
    return np.asarray(normalised(picture, model.input, (picture.shape[0], picture.shape[1]))[0])


def of_windows(planes: Floats, crop: int, stride: int) -> Floats:
    """The mean of the logits of windows; the last ones end at the border."""
    total, count = np.zeros((CLASSES, *SIZE)), np.zeros(SIZE)
    tops, lefts = (
        [*range(0, side - crop, stride), side - crop]
        for side in (planes.shape[1], planes.shape[2])
    )
    for top in tops:
        for left in lefts:
            place = slice(top, top + crop), slice(left, left + crop)
            total[:, place[0], place[1]] += logits_of(
                planes[:, place[0], place[1]], align_corners=False
            )
            count[place] += 1
    return np.asarray(total / count)


def mirrored(planes: Floats, axes: tuple[int, ...]) -> Floats:
    return np.flip(logits_of(np.flip(planes, axes), align_corners=False), axes)


MIRROR: Mirror = "horizontal"
# Name -> conventions of the model, procedure, and the textbook: probabilities from normalised planes.
CASES: dict[str, tuple[dict[str, Any], Procedure, Any]] = {
    "whole": ({}, Procedure(), lambda p: softmax(logits_of(p, align_corners=False))),
    "whole, align_corners": (
        {"align_corners": True},
        Procedure(),
        lambda p: softmax(logits_of(p, align_corners=True)),
    ),
    "a graph that ends in probabilities": (
        {"output": Output("probabilities", 1)},
        Procedure(),
        lambda p: softmax(logits_of(p, align_corners=False)),
    ),
    "windows": (
        {},
        Procedure(windows=Windows(48, 32)),
        lambda p: softmax(of_windows(p, 48, 32)),
    ),
    "mirrors, merged as logits": (
        {},
        Procedure(mirror=MIRROR),
        lambda p: softmax((mirrored(p, ()) + mirrored(p, (2,))) / 2),
    ),
    "mirrors, merged as probabilities": (
        {},
        Procedure(mirror=MIRROR, merge="probabilities"),
        lambda p: (softmax(mirrored(p, ())) + softmax(mirrored(p, (2,)))) / 2,
    ),
    "two equal scales, merged as exp": (
        {},
        Procedure(scales=(1.0, 1.001), merge="exp"),
        lambda p: softmax(logits_of(p, align_corners=False)),
    ),
}


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> tuple[Segmentation, Floats]:
    """A result, and the probabilities (C, H, W) of the textbook."""
    changes, procedure, textbook = CASES[request.param]
    model = model_of(**changes)
    return result_of(model, procedure), textbook(planes_of(model))


def close(found: Floats, expected: Floats) -> None:
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=CLOSE)


def test_confidence_margin_and_entropy_are_those_of_the_textbook(
    case: tuple[Segmentation, Floats],
) -> None:
    result, shares = case
    ordered = np.sort(shares, 0)
    close(result.confidence(), ordered[-1])
    close(result.margin(), ordered[-1] - ordered[-2])
    close(result.entropy() / 4, -(shares * np.log(shares + 1e-300)).sum(0) / 4)
    assert len(np.unique(result.labels)) > 2


def test_probabilities_come_in_the_order_that_is_asked_for(
    case: tuple[Segmentation, Floats],
) -> None:
    result, shares = case
    close(result.probabilities(["class 4", 0, "class 2"]), shares[[4, 0, 2]])
    close(result.probabilities("class 5"), shares[[5]])
    close(result.probabilities(range(CLASSES)).sum(0), np.ones(SIZE))


def test_the_first_of_the_most_probable_classes_is_the_label_and_the_others_follow(
    case: tuple[Segmentation, Floats],
) -> None:
    result, shares = case
    for k in (1, 3, CLASSES):
        indices, found = result.top(k)
        np.testing.assert_array_equal(indices[0], result.labels)
        assert indices.dtype == np.uint8
        assert (np.diff(np.sort(indices.astype(int), 0), axis=0) > 0).all()
        close(found, -np.sort(-shares, 0)[:k])
        close(np.take_along_axis(shares, indices.astype(int), 0).astype(np.float32), found)


def test_groups_are_the_arg_max_of_summed_probabilities(
    case: tuple[Segmentation, Floats],
) -> None:
    result, shares = case
    groups: dict[str, list[Any]] = {"odd": ["class 5", "class 1"], "even": [2, 4]}
    found = result.relabel(groups=groups)
    # Classes: 0, even at the place of 2, 3, odd at the place of 5.
    expected = np.stack([shares[0], shares[2] + shares[4], shares[3], shares[1] + shares[5]])
    assert found.names == ("class 0", "even", "class 3", "odd")
    np.testing.assert_array_equal(found.colors, result.colors[[0, 2, 3, 5]])
    chosen = np.take_along_axis(expected, found.labels[None].astype(int), 0)[0]
    assert (expected.max(0) - chosen).max() <= CLOSE
    close(found.confidence(), expected.max(0))
    close(found.probabilities(["odd", "class 0"]), expected[[3, 0]])
    np.testing.assert_array_equal(found.top(2)[0][0], found.labels)
    again = found.relabel(groups={"all but 0": [1, "class 3", 3]})
    close(again.probabilities(1)[0], 1 - shares[0])
    # A sum may win where no member of it does.
    plain = np.array([0, 3, 1, 2, 1, 3])[result.labels]
    assert (found.labels != plain).any()


def test_uncertain_pixels_get_the_ignore_label(case: tuple[Segmentation, Floats]) -> None:
    result, shares = case
    found = result.relabel(min_confidence=0.6)
    certain = found.labels != 255
    wrong = certain != (shares.max(0) >= 0.6)
    assert np.abs(shares.max(0) - 0.6)[wrong].max(initial=0) <= CLOSE
    assert 0.05 < certain.mean() < 0.95
    np.testing.assert_array_equal(found.labels[certain], result.labels[certain])
    assert found.ignore_label == 255
    assert found.provenance["min_confidence"] == "0.6"
    np.testing.assert_array_equal(found.confidence(), result.confidence())
    back = found.relabel()
    np.testing.assert_array_equal(back.labels, result.labels)
    assert "min_confidence" not in back.provenance


def one_view(labels: NDArray[Any], logits: Floats, output: Output) -> Segmentation:
    """A result of one view, made by hand."""
    height, width = labels.shape
    model = replace(tiny_model(len(logits)), output=output)
    kept: list[KeptScores] = []

    class Given:
        def run(self, batch: NDArray[Any]) -> NDArray[Any]:
            return logits[None].astype(np.float32)

    picture = np.zeros((height, width, 3), np.uint8)
    (found,) = segment([picture], model, Given(), procedure=Procedure(), kept=kept)
    colors = np.zeros((len(logits), 3), np.uint8)
    return Segmentation(
        found, tuple(one.name for one in model.classes), colors, picture, scores=kept[0]
    )


def test_ties_go_to_the_lowest_class_in_every_method() -> None:
    logits = np.zeros((5, 5, 6))
    logits[1] = -1000
    result = one_view(np.zeros((40, 48)), logits, Output("logits", 8))
    indices, shares = result.top(5)
    np.testing.assert_array_equal(indices[:, 7, 9], [0, 2, 3, 4, 1])
    np.testing.assert_array_equal(shares[:, 7, 9], [0.25, 0.25, 0.25, 0.25, 0])
    assert not result.margin().any()
    np.testing.assert_allclose(result.entropy(), np.log(4), rtol=1e-6)
    groups = {"a": ["class 4", "class 3"], "b": ["class 2", "class 0"]}
    found = result.relabel(groups=groups)
    # The groups take the places of the classes that they name first: b before a, and both have a half.
    assert found.names == ("class 1", "b", "a")
    assert (found.labels == 1).all()
    assert (result.relabel(min_confidence=0.25).labels == 0).all()
    assert (result.relabel(min_confidence=0.2500001).labels == 255).all()


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_one_logit_gives_the_probability_of_its_sigmoid_whatever_the_threshold(
    threshold: float,
) -> None:
    z = np.random.default_rng(1).normal(size=(1, 6, 7)) * 2
    shift = np.log(threshold / (1 - threshold))
    logits = np.concatenate([np.zeros_like(z), z - shift])
    result = one_view(np.zeros((48, 56)), logits, Output("logits", 8, threshold))
    sigmoid = 1 / (1 + np.exp(-upsampled(z, (48, 56), align_corners=False)[0]))
    label = (sigmoid > threshold).astype(np.uint8)
    np.testing.assert_array_equal(result.labels, label)
    close(result.probabilities([1])[0], sigmoid)
    of_label = np.where(label == 1, sigmoid, 1 - sigmoid)
    close(result.confidence(), of_label)
    close(result.margin(), 2 * of_label - 1)
    np.testing.assert_array_equal(result.top(2)[0], [label, 1 - label])
    if threshold == 0.5:
        assert result.relabel(groups={"both": [0, 1]}).names == ("both",)
    else:
        with pytest.raises(ValueError, match=r"threshold of 0\.3.*--threshold 0\.5"):
            result.relabel(groups={"both": [0, 1]})


def test_no_method_makes_an_array_of_all_classes_at_the_size_of_the_picture() -> None:
    random = np.random.default_rng(2)
    logits = random.normal(size=(150, 32, 40)) * 5
    result = one_view(np.zeros((256, 320)), logits, Output("logits", 8))
    everything = 150 * 256 * 320 * 4
    calls: dict[str, Any] = {
        "confidence": result.confidence,
        "margin": result.margin,
        "entropy": result.entropy,
        "probabilities": lambda: result.probabilities(["class 3", "class 7"]),
        "top": lambda: result.top(2),
        "relabel": lambda: result.relabel(groups={"a": [1, 2, 3]}, min_confidence=0.5),
    }
    for name, call in calls.items():
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < everything / 4, name


def test_classes_that_are_left_out_of_a_tile_do_not_matter() -> None:
    """Most of 150 classes cannot count where others are far above them."""
    random = np.random.default_rng(7)
    coarse = random.normal(size=(150, 3, 4)) * 15
    logits = upsampled(coarse, (12, 14), align_corners=False).astype(np.float32)
    result = one_view(np.zeros((96, 112)), logits, Output("logits", 8))
    z = upsampled(logits, (96, 112), align_corners=False)
    shares = softmax(z)
    ordered = -np.sort(-shares, 0)
    close(result.confidence(), ordered[0])
    close(result.margin(), ordered[0] - ordered[1])
    close(result.entropy() / 4, -(shares * np.log(shares + 1e-300)).sum(0) / 4)
    for k in (3, 140):
        indices, found = result.top(k)
        close(found, ordered[:k])
        # The order is that of the logits, also where the probabilities are next to 0.
        chosen = np.take_along_axis(z, indices.astype(int), 0)
        np.testing.assert_allclose(chosen, -np.sort(-z, 0)[:k], rtol=0, atol=1e-4)
    assert (ordered[139] < 1e-20).any()
    grouped = result.relabel(groups={"a": range(0, 75), "b": range(75, 150)})
    close(grouped.confidence(), np.maximum(shares[:75].sum(0), shares[75:].sum(0)))


def test_classes_whose_probability_is_0_in_float32_are_in_the_order_of_their_logits() -> None:
    logits = np.broadcast_to(30.0 * np.arange(8)[:, None, None], (8, 5, 6))
    result = one_view(np.zeros((40, 48)), logits, Output("logits", 8))
    for k in (2, 5, 8):
        indices, shares = result.top(k)
        np.testing.assert_array_equal(indices[:, 3, 4], np.arange(7, 7 - k, -1))
    assert not shares[-2:].any()


@pytest.mark.parametrize(("classes", "ignored"), [(255, 255), (256, 65535), (257, 65535)])
def test_the_ignore_label_is_no_class_and_fits_into_the_labels(classes: int, ignored: int) -> None:
    logits = np.zeros((classes, 5, 6))
    logits[-1, :, 3:] = 20
    result = one_view(np.zeros((40, 48)), logits, Output("logits", 8))
    found = result.relabel(min_confidence=0.5)
    assert found.ignore_label == ignored
    assert found.labels.dtype == (np.uint8 if ignored == 255 else np.uint16)
    assert set(np.unique(found.labels)) == {classes - 1, ignored}
    # Fewer classes need fewer bits.
    grouped = result.relabel(groups={"a": range(0, classes - 3)}, min_confidence=0.5)
    assert grouped.labels.dtype == np.uint8
    assert set(np.unique(grouped.labels)) == {0, 3}


def test_a_copy_keeps_the_scores_and_the_protection_of_the_arrays() -> None:
    result = result_of(model_of(), Procedure(mirror=MIRROR))
    confidence = result.confidence()
    for twin in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result), copy.copy(result)):
        np.testing.assert_array_equal(twin.confidence(), confidence)
        for array in (twin.labels, twin.colors, twin.picture):
            assert not array.flags.writeable


def test_a_shaded_overlay_is_as_strong_as_the_class_is_probable() -> None:
    result = result_of(model_of(), Procedure())
    shaded = np.asarray(result.overlay(0.8, legend=False, shade="confidence"), float)
    share = 0.8 * result.confidence()[..., None]
    expected = share * result.colors[result.labels] + (1 - share) * PICTURE
    # Borders are drawn in full colour.
    drawn = (np.abs(shaded - result.colors[result.labels]) < 1).all(-1)
    assert 0 < drawn.mean() < 0.5
    assert np.abs(shaded - expected)[~drawn].max() <= 1
    with pytest.raises(ValueError, match="shade is 'margin'"):
        result.overlay(shade="margin")  # type: ignore[arg-type]


def test_outputs_of_one_call_are_not_kept_for_each_of_its_pictures() -> None:
    kept: list[KeptScores] = []
    segment([PICTURE] * 3, model_of(), Network(), procedure=Procedure(), kept=kept)
    for one in kept:
        (output,) = one.outputs
        assert one.nbytes == output.nbytes == CLASSES * 10 * 13 * 4
        assert output.base is None


def test_classes_that_share_a_name_are_added_up_by_name_and_apart_by_index() -> None:
    result = result_of(model_of(), Procedure())
    alike = replace(result, names=("a", "b", "a", "c", "d", "e"))
    apart = alike.probabilities([0, 2])
    np.testing.assert_allclose(alike.probabilities("a")[0], apart.sum(0), rtol=0, atol=CLOSE)
    assert alike.relabel(groups={"ab": ["a", "b"]}).names == ("ab", "c", "d", "e")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda r: r.probabilities(["clas 3"]), "did you mean 'class 3'"),
        (lambda r: r.probabilities([]), "empty"),
        (lambda r: r.top(0), "1 to 6"),
        (lambda r: r.top(7), "1 to 6"),
        (lambda r: r.top("2"), "k is '2'; a whole number from 1 to 6"),
        (lambda r: r.top(2.0), "k is 2.0; a whole number"),
        (lambda r: r.probabilities([True, False]), "True is no class"),
        (lambda r: r.probabilities(b"class 1"), "is no class"),
        (lambda r: r.relabel(min_confidence=True), "min_confidence is True; 0 to 1"),
        (lambda r: r.relabel(min_confidence=1.5), "min_confidence is 1.5; 0 to 1"),
        (lambda r: r.relabel(min_confidence=float("nan")), "min_confidence is nan"),
        (lambda r: r.relabel(min_confidence="0.5"), "min_confidence is '0.5'; 0 to 1"),
        (
            lambda r: r.relabel(groups={"a": [1.5]}),
            "group 'a': 1.5 is no class; a name or an index",
        ),
        (lambda r: r.relabel(groups={"a": None}), "group 'a': None is no class"),
        (lambda r: r.probabilities([[0, 1]]), "is no class; a name or an index was expected"),
        (lambda r: r.relabel(groups={"a": ["class 9"]}), "group 'a': there is no class 'class 9'"),
        (lambda r: r.relabel(groups={"a": [1], "b": [1, 2]}), "in the groups 'a' and 'b'"),
        (lambda r: r.relabel(groups={"a": []}), "group 'a' has no classes"),
        (lambda r: r.relabel(groups=["class 1"]), "a mapping such as"),
        (lambda r: r.relabel(groups={"class 0": [1, 2]}), "name of a class that is in no group"),
    ],
)
def test_what_makes_no_sense_is_refused(call: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call(result_of(model_of(), Procedure()))


def test_without_scores_each_method_says_how_to_keep_them() -> None:
    bare = replace(result_of(model_of(), Procedure()), scores=None)
    for call in (
        bare.confidence,
        bare.margin,
        bare.entropy,
        lambda: bare.probabilities([0]),
        lambda: bare.top(1),
        lambda: bare.relabel(min_confidence=0.5),
        lambda: bare.overlay(shade="confidence"),
    ):
        with pytest.raises(ValueError, match='keep="scores"'):
            call()
