"""How two models differ, against counts made by hand and with scikit-learn."""

import json
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import jaccard_score

from command_line import fastfcn
from fastfcn_infer.data.dataset import Sample
from fastfcn_infer.errors import DatasetError, EvaluationError
from fastfcn_infer.evaluation.difference import Difference, compare, labelled, samples_of
from fastfcn_infer.evaluation.difference_report import table, to_data, to_html
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model

SIZES = {"a.png": (16, 24), "b.png": (24, 16), "c.png": (8, 8)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures with label maps of classes 0 to 2, some pixels being of no class."""
    random = np.random.default_rng(0)
    for name, size in SIZES.items():
        for part, array in (
            ("pictures", random.integers(0, 256, (*size, 3), np.uint8)),
            ("labels", random.choice([0, 1, 2, 255], size).astype(np.uint8)),
        ):
            (tmp_path / part).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / part / name), array)
    tiny_artifact(tmp_path / "tiny")
    return tmp_path


def opened(folder: Path, procedure: str | None = None) -> Segmenter:
    return Segmenter.from_pretrained(
        folder / "tiny", backend="onnx_runtime", threads=1, procedure=procedure
    )


def differing(folder: Path) -> tuple[Difference, list[tuple[NDArray[np.uint8], ...]]]:
    """Compare ``whole`` with ``mmseg``; return the labels of both and the truth as well."""
    pictures = [folder / "pictures" / name for name in SIZES]
    samples = samples_of(pictures, folder / "labels")
    rules = {"map_labels": {}, "label_orientation": "auto"}
    with opened(folder) as a, opened(folder, "mmseg") as b:
        dataset, _ = labelled(samples, a, rules)
        found = compare(a, b, samples, dataset)
        maps = [
            (
                a.predict(path).labels,
                b.predict(path).labels,
                cv2.imread(str(folder / "labels" / path.name), cv2.IMREAD_UNCHANGED),
            )
            for path in pictures
        ]
    return found, maps  # type: ignore[return-value]


def test_counts_are_those_of_other_programs(folder: Path) -> None:
    found, maps = differing(folder)
    first, second, truth = (
        np.concatenate([np.ravel(part) for part in parts]) for parts in zip(*maps, strict=True)
    )
    assert 0 < (first != second).sum() < first.size
    assert found.agreement.pixels == first.size
    assert found.agreement.overall == (first == second).mean()
    assert found.mean_iou == pytest.approx(jaccard_score(first, second, average="macro"))
    known = truth != 255
    means = [
        jaccard_score(truth[known], labels[known], average="macro") for labels in (first, second)
    ]
    assert found.true_mean_ious == pytest.approx(means)
    data = to_data(found)
    assert [each["pixels"]["b"] for each in data["classes"]] == np.bincount(second).tolist()
    shares = {name: (a == b).mean() for name, (a, b, _) in zip(SIZES, maps, strict=True)}
    assert [each["name"] for each in data["pictures"]] == sorted(shares, key=lambda n: shares[n])


def test_a_picture_that_cannot_be_read_is_named_and_left_out(folder: Path) -> None:
    (folder / "pictures" / "bad.png").write_bytes(b"no picture")
    samples = samples_of([folder / "pictures" / name for name in (*SIZES, "bad.png")], None)
    with opened(folder) as a, opened(folder, "mmseg") as b:
        found = compare(a, b, samples)
    assert list(found.failed) == ["bad.png"]
    assert len(found.pictures) == 3
    assert found.true_mean_ious is None
    assert "Pictures that failed and are not counted: 1" in table(found)


def test_models_of_other_classes_are_refused(folder: Path, tmp_path: Path) -> None:
    tiny_artifact(tmp_path / "five", tiny_model(5))
    options = {"backend": "onnx_runtime", "threads": 1}
    with (
        opened(folder) as a,
        Segmenter.from_pretrained(tmp_path / "five", **options) as b,  # type: ignore[arg-type]
        pytest.raises(EvaluationError, match=r"has 3 classes and .* 5"),
    ):
        compare(a, b, [])


def test_missing_label_maps_are_named(folder: Path) -> None:
    (folder / "labels" / "b.png").unlink()
    with pytest.raises(
        DatasetError, match=r"1 of 3 pictures have no label map in .*: b\.png|such as b"
    ):
        samples_of([folder / "pictures" / name for name in SIZES], folder / "labels")


def test_pictures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / "x" / "a.png", tmp_path / "y" / "a.png"]
    assert [sample.name for sample in samples_of(paths, None)] == [str(path) for path in paths]
    assert samples_of(paths[:1], None) == [Sample("a.png", paths[0], None)]


def test_the_page_is_whole_and_shows_no_markup_of_names(folder: Path) -> None:
    odd = folder / "pictures" / "<b>&.png"
    (folder / "pictures" / "a.png").rename(odd)
    with opened(folder) as a, opened(folder, "mmseg") as b:
        found = compare(a, b, samples_of([odd], None))
    open_tags: list[str] = []
    texts: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "img"):
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

        def handle_data(self, data: str) -> None:
            texts.append(data)

    reader = Reader()
    reader.feed(to_html(found, None))
    reader.close()
    assert open_tags == []
    assert "<b>&.png" in texts


def test_the_command_compares_runtimes_and_judges_the_agreement(folder: Path) -> None:
    words = ("diff", folder / "tiny", "--images", folder / "pictures")
    drawn = ("--sheet", folder / "sheet.png", "--html", folder / "page.html")
    labels = ("--labels", folder / "labels", "--min-agreement", "1", "--json")
    ended = fastfcn(*words, "--backend", "openvino,onnx_runtime", *drawn, *labels)
    assert (ended.returncode, ended.stderr) == (0, "")
    data = json.loads(ended.stdout)
    assert (data["a"]["backend"], data["b"]["backend"]) == ("open_vino", "onnx_runtime")
    assert data["agreement"] == 1
    assert data["mean_iou"]["a"] == data["mean_iou"]["b"]
    assert cv2.imread(str(folder / "sheet.png")) is not None
    assert "data:image/jpeg;base64" in (folder / "page.html").read_text()
    ended = fastfcn(*words, "--procedure", "whole,mmseg", "--min-agreement", "0.9999")
    assert ended.returncode == 7
    assert "at least 0.9999 was asked for" in ended.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "A and B are the same"),
        (("--precision", "fp32,int8,bf16"), "one value, or two, A,B, were expected"),
        (("--precision", "fp32,"), "one value, or two"),
        (("--procedure", "whole,mmseg", "--min-agreement", "99"), "a share from 0 to 1"),
        (("--procedure", "whole,mmseg", "--labels", "nowhere"), "a folder was expected"),
        (("--procedure", "whole,mmseg", "--html", "page.txt"), "has to end in .html"),
        (("--procedure", "whole,tilez"), "tilez"),
    ],
)
def test_wrong_command_lines_are_one_sentence(
    folder: Path, more: tuple[str, ...], said: str
) -> None:
    ended = fastfcn("diff", folder / "tiny", "--images", folder / "pictures", *more)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1
