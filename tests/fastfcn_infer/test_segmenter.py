import gc
import socket
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from fastfcn_infer import segmenter as module
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.manifest import Input, Model
from fastfcn_infer.artifact.procedure import Procedure, Resize
from fastfcn_infer.errors import ArtifactError, BackendError, ImageError
from fastfcn_infer.runtime.backend import Backend, open_backend
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model, tiny_output
from tiny_reference import normalised, upsampled, whole_scores, wrong_labels

SIZES = [(1, 1), (1, 50), (50, 1), (32, 34), (33, 33), (47, 65), (200, 31), (64, 128)]
# Neither the mean nor grey, so that a wrong padding shows in the labels near it.
GIVEN = Input("image", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), (0.1, 0.7, 0.9))


class Spy:
    """A backend that remembers what it was fed."""

    def __init__(self, backend: Backend) -> None:
        self.facts, self.close, self._run = backend.facts, backend.close, backend.run
        self.fed: list[NDArray[Any]] = []

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        self.fed.append(batch)
        return self._run(batch)


def opened(folder: Path, model: Model) -> tuple[Segmenter, Spy]:
    tiny_artifact(folder, model)
    artifact = open_artifact(folder)
    spy = Spy(open_backend("auto", artifact, device="cpu", threads=1))
    return Segmenter(artifact, spy), spy


def noise(size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.random.default_rng(size).integers(0, 256, (*size, 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifact") / "tiny"
    tiny_artifact(folder, tiny_model(5))
    return folder


@pytest.fixture(scope="module")
def tiny(folder: Path) -> Iterator[Segmenter]:
    with Segmenter.from_pretrained(folder, threads=1) as segmenter:
        yield segmenter


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_labels_have_the_size_of_the_picture_and_are_the_arg_max_in_float64(
    tmp_path: Path, size: tuple[int, int], align_corners: bool
) -> None:
    model = replace(tiny_model(7), input=GIVEN, align_corners=align_corners)
    segmenter, _ = opened(tmp_path / "a", model)
    picture = noise(size)
    labels = segmenter.predict(picture).labels
    assert labels.dtype == np.uint8
    assert wrong_labels(labels, whole_scores(model, picture)) == 0


def test_small_pictures_are_padded_at_the_right_and_below_with_the_padding_colour(
    tmp_path: Path,
) -> None:
    segmenter, spy = opened(tmp_path / "a", replace(tiny_model(), input=GIVEN))
    picture = noise((5, 40))
    segmenter.predict(picture)
    (batch,) = spy.fed
    assert batch.shape == (1, 3, 33, 40)
    assert batch.dtype == np.float32
    # float32 keeps seven digits.
    np.testing.assert_allclose(batch, normalised(picture, GIVEN, (33, 40)), rtol=0, atol=1e-5)


def test_more_than_256_classes_give_labels_of_sixteen_bits(tmp_path: Path) -> None:
    model = tiny_model(300)
    segmenter, _ = opened(tmp_path / "a", model)
    picture = noise((40, 40))
    labels = segmenter.predict(picture).labels
    assert labels.dtype == np.uint16
    assert wrong_labels(labels, whole_scores(model, picture)) == 0


@pytest.mark.parametrize("size", [(10, 90), (64, 96)])
def test_a_graph_of_fixed_size_and_count_is_fed_exactly_that(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    given = replace(GIVEN, shape=(4, 64, 96))
    model = replace(tiny_model(7), input=given)
    segmenter, spy = opened(tmp_path / "a", model)
    picture = noise(size)
    labels = segmenter.predict(picture).labels
    (batch,) = spy.fed
    assert batch.shape == (4, 3, 64, 96)
    padding = normalised(np.empty((0, 0, 3)), given, (64, 96))
    np.testing.assert_allclose(batch[1:], np.repeat(padding, 3, 0), rtol=0, atol=1e-5)
    (logits,) = tiny_output(normalised(picture, given, (64, 96)), 7)
    scores = upsampled(logits, (64, 96), align_corners=False)
    assert wrong_labels(labels, scores[:, : size[0], : size[1]]) == 0


def test_a_picture_larger_than_a_fixed_graph_is_reduced_and_its_labels_enlarged(
    tmp_path: Path,
) -> None:
    given = replace(GIVEN, shape=(1, 64, 96))
    segmenter, _ = opened(tmp_path / "a", replace(tiny_model(7), input=given))
    picture = noise((200, 300))
    small = cv2.resize(picture, (96, 64), interpolation=cv2.INTER_LINEAR)
    (logits,) = tiny_output(normalised(small, given, (64, 96)), 7)
    scores = upsampled(logits, (200, 300), align_corners=False)
    assert wrong_labels(segmenter.predict(picture).labels, scores) == 0


def test_a_graph_of_pixels_is_fed_the_pixels_themselves(tmp_path: Path) -> None:
    model = tiny_model(7, input_name="pixels")
    segmenter, spy = opened(tmp_path / "a", model)
    picture = noise((47, 20))
    labels = segmenter.predict(picture).labels
    (batch,) = spy.fed
    expected = np.full((1, 47, 33, 3), 128, np.uint8)  # 255 times the padding, 0.5, to even
    expected[0, :, :20] = picture
    np.testing.assert_array_equal(batch, expected)
    (logits,) = tiny_output(expected, 7)
    scores = upsampled(logits, (47, 33), align_corners=False)[:, :, :20]
    assert wrong_labels(labels, scores) == 0


def test_a_picture_too_long_and_thin_to_be_resized_is_refused_before_the_network(
    tmp_path: Path,
) -> None:
    procedure = Procedure("whole", Resize("short_side", 480, align_corners=False))
    segmenter, spy = opened(tmp_path / "a", replace(tiny_model(), procedure=procedure))
    with pytest.raises(ImageError, match="1 x 200000"):
        segmenter.predict(np.zeros((1, 200000, 3), np.uint8))
    assert spy.fed == []


def test_thirty_two_threads_never_get_anothers_answer(tiny: Segmenter) -> None:
    random = np.random.default_rng(0)
    colours = random.integers(0, 256, (4000, 3), np.uint8)
    plain = normalised(colours[:, None], tiny.model.input, (4000, 1))[0, :, :, 0]
    scores = tiny_output(plain.T[:, :, None, None], 5)[:, :, 0, 0]
    best = np.sort(scores, axis=1)
    sure = np.flatnonzero(best[:, -1] - best[:, -2] > 0.01)[:960]
    answers = scores.argmax(axis=1)
    assert len(sure) == 960
    assert np.bincount(answers[sure], minlength=5).min() > 20
    start = threading.Barrier(32)

    def work(thread: int) -> list[tuple[int, set[int]]]:
        start.wait()
        found = []
        for card in sure[thread::32]:
            # A size of its own for each thread; whole cells, so that no padding is in sight.
            size = (40 + 8 * (thread % 8), 40 + 8 * (thread // 8))
            result = tiny.predict(np.full((*size, 3), colours[card], np.uint8))
            assert result.size == size
            found.append((int(answers[card]), set(np.unique(result.labels).tolist())))
        return found

    with ThreadPoolExecutor(32) as pool:
        cards = [card for found in pool.map(work, range(32)) for card in found]
    assert len(cards) == 960
    assert [(expected, found) for expected, found in cards if found != {expected}] == []


def test_the_callers_array_is_neither_changed_nor_locked(tiny: Segmenter) -> None:
    picture = noise((40, 50))
    before = picture.copy()
    result = tiny.predict(picture)
    np.testing.assert_array_equal(picture, before)
    assert picture.flags.writeable
    assert not result.labels.flags.writeable


def test_bgr_arrays_are_rgb_arrays_turned_round(tiny: Segmenter) -> None:
    picture = noise((40, 50))
    turned = np.ascontiguousarray(picture[:, :, ::-1])
    rgb, bgr = tiny.predict(picture), tiny.predict(turned, color="bgr")
    np.testing.assert_array_equal(bgr.labels, rgb.labels)
    np.testing.assert_array_equal(bgr.picture, rgb.picture)
    assert (tiny.predict(turned).labels != rgb.labels).any()


def test_a_result_says_what_took_how_long_and_what_made_it(tiny: Segmenter) -> None:
    result = tiny.predict(noise((40, 50)))
    assert list(result.timings) == ["decode", "preprocess", "network", "labels"]
    assert all(seconds >= 0 for seconds in result.timings.values())
    facts = tiny.runtime
    expected = {
        "model": "tiny",
        "checkpoint": "0" * 64,
        "dialect": "paddleseg",
        "procedure": "whole",
        "backend": facts.backend,
        "provider": facts.provider,
        "device": "cpu",
    }
    assert expected.items() <= result.provenance.items()
    assert facts.versions.items() <= result.provenance.items()
    assert result.names == tiny.names == tuple(f"class {i}" for i in range(5))
    np.testing.assert_array_equal(result.colors, [(i, 128, 255) for i in range(5)])


def test_more_pixels_than_allowed_are_refused(tiny: Segmenter) -> None:
    with pytest.raises(ImageError):
        tiny.predict(noise((10, 11)), max_pixels=109)
    assert tiny.predict(noise((10, 11)), max_pixels=110).size == (10, 11)


def test_a_closed_segmenter_says_so_and_closing_twice_is_harmless(folder: Path) -> None:
    with Segmenter.from_pretrained(folder, threads=1) as segmenter:
        segmenter.predict(noise((8, 8)))
    segmenter.close()
    with pytest.raises(BackendError, match="closed"):
        segmenter.predict(noise((8, 8)))
    with pytest.raises(KeyError), Segmenter.from_pretrained(folder, threads=1) as segmenter:
        raise KeyError
    with pytest.raises(BackendError, match="closed"):
        segmenter.predict(noise((8, 8)))


def test_opening_the_embedded_model_touches_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    with Segmenter.from_pretrained(threads=1) as segmenter:
        assert segmenter.model.name == "fastfcn-resnet18-camvid"
        assert segmenter.predict(noise((40, 40))).size == (40, 40)
        assert "fastfcn-resnet18-camvid" in repr(segmenter)


@pytest.mark.parametrize("name", ["model.onnx", "golden/input.png", "golden/labels.png"])
def test_one_changed_byte_of_any_file_is_found_before_a_runtime_opens_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a runtime was opened")

    tiny_artifact(tmp_path / "a")
    monkeypatch.setattr(module, "open_as_asked", refuse)
    data = bytearray((tmp_path / "a" / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "a" / name).write_bytes(data)
    with pytest.raises(ArtifactError, match=f"{name}: changed"):
        Segmenter.from_pretrained(tmp_path / "a")


def test_a_segmenter_that_is_dropped_releases_its_graph_at_once(folder: Path) -> None:
    gc.collect()
    gc.disable()  # a cycle of references would wait for it, with hundreds of megabytes
    try:
        segmenter = Segmenter.from_pretrained(folder, threads=1)
        segmenter.plan((64, 64))
        segmenter.predict(np.zeros((64, 64, 3), np.uint8))
        with segmenter.stream([np.zeros((64, 64, 3), np.uint8)]) as stream:
            list(stream)
        del stream
        backend = weakref.ref(segmenter._backend)
        del segmenter
        assert backend() is None
    finally:
        gc.enable()
