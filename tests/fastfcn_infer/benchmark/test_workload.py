from pathlib import Path

import cv2
import numpy as np
import pytest

from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.benchmark.workload import (
    Case,
    check_scenario,
    faster,
    files_of,
    find_images,
    label_batch,
    label_files,
    label_stream,
    network_alone,
    photograph,
    pictures_of,
    sizes_of,
)
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.pipeline import STAGES
from fastfcn_infer.runtime.backend import open_backend
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model

SMALL = (64, 96)


@pytest.fixture
def segmenter(tmp_path: Path) -> Segmenter:
    tiny_artifact(tmp_path / "tiny")
    artifact = open_artifact(tmp_path / "tiny")
    return Segmenter(artifact, open_backend("onnx_runtime", artifact, device="cpu", threads=1))


@pytest.fixture
def images(tmp_path: Path) -> tuple[Path, ...]:
    folder = tmp_path / "images"
    folder.mkdir()
    for number, (height, width) in enumerate([(40, 60), (40, 60), (60, 40)]):
        picture = np.full((height, width, 3), 80 * number, np.uint8)
        assert cv2.imwrite(str(folder / f"{number}.png"), picture)
    (folder / "notes.txt").write_text("no picture")
    return find_images(folder, 16)


def test_batches_and_streams_label_every_picture_and_time_every_stage(
    segmenter: Segmenter,
) -> None:
    for label in (label_batch, label_stream):
        taken = label(segmenter, [photograph(SMALL)] * 5)
        assert set(taken) == {*STAGES, "total"}
        assert min(taken.values()) > 0


def test_a_folder_is_read_from_files_and_its_results_are_those_of_predict(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    results.mkdir()
    with files_of(Case(SMALL, 11, "folder"), ()) as files:
        assert len(set(files)) == 11
        taken = label_files(segmenter, files, results)
        expected = segmenter.predict(files[0])
    assert not files[0].exists()
    assert taken["total"] > 0
    names = sorted(path.name for path in results.iterdir())
    assert names == sorted(
        f"{number:04}_{kind}" for number in range(11) for kind in ("labels.png", "overlay.jpg")
    )
    kept = cv2.imread(str(results / "0010_labels.png"))
    assert kept is not None
    expected.save(tmp_path / "one.png", kind="labels")
    assert np.array_equal(kept, np.asarray(cv2.imread(str(tmp_path / "one.png"))))


def test_a_picture_that_cannot_be_read_ends_the_run(
    segmenter: Segmenter, images: tuple[Path, ...], tmp_path: Path
) -> None:
    images[1].write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"1\.png"):
        label_files(segmenter, images, tmp_path)


@pytest.mark.parametrize(("batch", "count"), [(1, 5), (4, 5), (4, 40)])
def test_the_network_alone_sees_every_view_and_what_a_few_take_is_scaled(
    segmenter: Segmenter, batch: int, count: int
) -> None:
    fed = []

    class Network:
        def run(self, views: np.ndarray) -> np.ndarray:
            fed.append(len(views))
            return views

    run = network_alone(segmenter, Network(), [photograph(SMALL)], batch, count)
    taken = run()
    assert sum(fed) == min(count, 16)
    assert max(fed) == min(batch, 16)
    assert taken["network"] == taken["total"] > 0


def test_the_faster_of_two_is_taken_after_a_warm_up() -> None:
    seconds = {"a": [9.0, 2.0], "b": [1.0, 3.0]}
    first, second = (lambda name=name: {"total": seconds[name].pop(0)} for name in "ab")
    assert faster([first, second]) is first


def test_pictures_of_the_user_take_turns_and_keep_their_sizes(images: tuple[Path, ...]) -> None:
    given = tiny_model().input
    assert len(images) == 3
    assert sizes_of(images) == [(40, 60), (60, 40)]
    for scenario, batch, count in (("single", 1, 3), ("single", 2, 4), ("stream", 7, 7)):
        seen = pictures_of(Case((40, 60), batch, check_scenario(scenario)), images, given)
        assert len(seen) == count
        assert [one.shape[0] for one in seen[:4]] == [40, 40, 60, 40][:count]


def test_only_pictures_are_accepted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        find_images(tmp_path / "gone", 3)
    (tmp_path / "list.txt").write_text("film.mp4\n")
    with pytest.raises(ValueError, match="not a folder of picture files"):
        find_images(tmp_path / "list.txt", 3)
    with pytest.raises(ValueError, match="not a folder of picture files"):
        find_images(Path("camera:0"), 3)
    with pytest.raises(ValueError, match="scenario 'burst' is unknown; known: single, batch"):
        check_scenario("burst")
