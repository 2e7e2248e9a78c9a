"""Batches: their contents with any number of workers, and what happens if a file is broken."""

import multiprocessing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import labelled_pictures
from fastfcn_infer.data.dataset import Dataset, open_dataset
from fastfcn_infer.errors import DatasetError, ImageError
from fastfcn_training.data.batches import Batch, batches, network_input
from fastfcn_training.data.sampler import Sampler
from fastfcn_training.recipe.recipe import Augmentation

CAMVID = Path(__file__).parents[4] / "shared" / "data" / "camvid"  # lies here on some machines
PLAN = Augmentation(base_size=24, crop=(20, 28), rotation=10, brightness=0.4, hue=20)
PLAIN = Augmentation(resize=None, crop=(24, 32), mirror=0, blur=0)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return labelled_pictures.make(tmp_path_factory.mktemp("made"), 10)


def read(
    dataset: Dataset, sampler: Sampler, count: int, start: int = 0, workers: int = 0
) -> list[Batch]:
    with batches(dataset, PLAN, sampler, start=start, workers=workers) as stream:
        return list(islice(stream, count))


def assert_equal(first: list[Batch], second: list[Batch]) -> None:
    assert [batch.names for batch in first] == [batch.names for batch in second]
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.pixels, other.pixels)
        assert np.array_equal(one.labels, other.labels)


def test_each_picture_comes_with_its_labels_and_its_name(dataset: Dataset) -> None:
    with batches(dataset, PLAIN, Sampler(10, 3, seed=1)) as stream:
        for batch in islice(stream, 7):
            assert batch.pixels.shape == (3, 24, 32, 3)
            assert batch.labels.shape == (3, 24, 32)
            assert batch.pixels.dtype == batch.labels.dtype == np.uint8
            for name, pixels, labels in zip(batch.names, batch.pixels, batch.labels, strict=True):
                number = int(name[1:])
                assert np.unique(labels).tolist() == [number, 255]
                assert np.array_equal(pixels[..., 2], labels)
                assert np.unique(pixels[..., 0]).tolist() == [number]
                assert np.unique(pixels[..., 1]).tolist() == [2 * number]


def test_names_are_those_of_the_order(dataset: Dataset) -> None:
    sampler = Sampler(10, 4, seed=3)
    expected = [tuple(f"s{draw.index}" for draw in sampler.draws(number)) for number in range(5)]
    assert [batch.names for batch in read(dataset, sampler, 5)] == expected


def test_workers_change_nothing(dataset: Dataset) -> None:
    sampler = Sampler(10, 4, seed=1)
    assert_equal(read(dataset, sampler, 6), read(dataset, sampler, 6, workers=2))


def test_going_on_at_a_batch_gives_what_an_uninterrupted_stream_gives(dataset: Dataset) -> None:
    sampler = Sampler(10, 4, seed=1)
    assert_equal(read(dataset, sampler, 9)[5:], read(dataset, sampler, 4, start=5))


def test_two_processes_see_together_what_one_with_the_doubled_batch_sees(dataset: Dataset) -> None:
    alone = read(dataset, Sampler(10, 4, seed=1), 3)
    shares = [read(dataset, Sampler(10, 2, 1, rank, 2), 3) for rank in range(2)]
    for whole, first, second in zip(alone, *shares, strict=True):
        assert whole.names == first.names + second.names
        assert np.array_equal(whole.pixels, np.concatenate([first.pixels, second.pixels]))
        assert np.array_equal(whole.labels, np.concatenate([first.labels, second.labels]))


def test_a_sample_looks_different_in_the_next_epoch(dataset: Dataset) -> None:
    seen: dict[str, list[NDArray[np.uint8]]] = {}
    for batch in read(dataset, Sampler(10, 5, seed=1), 4):
        for name, pixels in zip(batch.names, batch.pixels, strict=True):
            seen.setdefault(name, []).append(pixels)
    assert all(not np.array_equal(first, second) for first, second in seen.values())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_picture_that_cannot_be_read_is_named(
    dataset: Dataset, tmp_path: Path, workers: int
) -> None:
    missing = tmp_path / "nowhere.png"
    broken = labelled_pictures.with_picture(dataset, 4, missing)
    with pytest.raises(ImageError, match=r"nowhere\.png"):
        read(broken, Sampler(10, 5, seed=1), 2, workers=workers)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("workers", [0, 1])
def test_labels_of_another_size_than_their_picture_are_refused_naming_both_files(
    dataset: Dataset, tmp_path: Path, workers: int
) -> None:
    cv2.imwrite(str(tmp_path / "wide.png"), np.zeros((24, 33, 3), np.uint8))
    wrong = labelled_pictures.with_picture(dataset, 4, tmp_path / "wide.png")
    with pytest.raises(DatasetError, match=r"wide\.png(.|\n)*labels 4\.png"):
        read(wrong, Sampler(10, 5, seed=1), 2, workers=workers)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_picture_stops_its_own_batch_and_none_before(
    dataset: Dataset, tmp_path: Path, workers: int
) -> None:
    sampler = Sampler(10, 2, seed=1)
    last = sampler.draws(2)[0].index
    broken = labelled_pictures.with_picture(dataset, last, tmp_path / "nowhere.png")
    with batches(broken, PLAN, sampler, workers=workers) as stream:
        assert_equal(list(islice(stream, 2)), read(dataset, sampler, 2))
        with pytest.raises(ImageError):
            next(stream)


def test_a_part_without_labels_is_refused(dataset: Dataset) -> None:
    bare = replace(dataset, samples=tuple(replace(s, label=None) for s in dataset.samples))
    with batches(bare, PLAN, Sampler(10, 2, seed=1)) as stream, pytest.raises(DatasetError):
        next(stream)


def test_a_dead_worker_is_an_error_that_names_pictures_and_leaves_no_process(
    dataset: Dataset,
) -> None:
    with batches(dataset, PLAN, Sampler(10, 2, seed=1), workers=2) as stream:
        next(stream)
        for worker in multiprocessing.active_children():
            worker.kill()
        with pytest.raises(DatasetError, match=r"worker process died.*picture \d\.png"):
            for _ in stream:
                pass
    assert multiprocessing.active_children() == []


def test_leaving_early_leaves_no_process(dataset: Dataset) -> None:
    with batches(dataset, PLAN, Sampler(10, 2, seed=1), workers=2) as stream:
        next(stream)
        assert len(multiprocessing.active_children()) >= 1
    assert multiprocessing.active_children() == []


def test_the_network_is_fed_channels_first_and_normalised() -> None:
    pixels = np.random.default_rng(0).integers(256, size=(2, 5, 7, 3), dtype=np.uint8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    fed = network_input(pixels, mean, std)
    assert fed.dtype == np.float32
    assert fed.flags.c_contiguous
    expected = ((pixels / 255 - mean) / std).transpose(0, 3, 1, 2)
    assert fed.shape == expected.shape
    assert np.abs(fed - expected).max() < 1e-6


@pytest.mark.skipif(not CAMVID.is_dir(), reason="CamVid is not here")
def test_camvid_fills_batches() -> None:
    camvid = open_dataset("camvid", CAMVID, "train")
    sampler = Sampler(len(camvid.samples), 4, seed=0)
    plan = Augmentation(resize="scale", crop=(240, 320))
    with batches(camvid, plan, sampler) as stream:
        batch = next(stream)
    assert batch.pixels.shape == (4, 240, 320, 3)
    assert batch.pixels.std() > 20
    assert set(np.unique(batch.labels).tolist()) <= {*range(11), 255}
