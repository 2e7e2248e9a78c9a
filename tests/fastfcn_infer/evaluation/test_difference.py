"""How two models differ, against counts made by hand and with scikit-learn."""

import errno
import json
import os
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, jaccard_score

from command_line import fastfcn
from fastfcn_infer.cli.main import main
from fastfcn_infer.data.dataset import Sample
from fastfcn_infer.errors import DatasetError, EvaluationError, WriteError
from fastfcn_infer.evaluation.agreement import Agreement
from fastfcn_infer.evaluation.difference import (
    Difference,
    PictureDifference,
    compare,
    labelled,
    samples_of,
)
from fastfcn_infer.evaluation.difference_report import table, to_data, to_html
from fastfcn_infer.evaluation.difference_sheet import sheet
from fastfcn_infer.evaluation.metrics import Confusion
from fastfcn_infer.runtime.backends import open_vino
from fastfcn_infer.segmenter import Segmenter
from models import add_tiny_variant, tiny_artifact, tiny_model

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


def found_in(folder: Path, *names: str) -> dict[Path, Path]:
    return {folder / name: Path(name) for name in names}


def opened(folder: Path, procedure: str | None = None, name: str = "tiny") -> Segmenter:
    return Segmenter.from_pretrained(
        folder / name, backend="onnx_runtime", threads=1, procedure=procedure
    )


def differing(folder: Path) -> tuple[Difference, list[tuple[NDArray[np.uint8], ...]]]:
    """Compare ``whole`` with ``mmseg``; return the labels of both and the truth as well."""
    pictures = [folder / "pictures" / name for name in SIZES]
    samples = samples_of(found_in(folder / "pictures", *SIZES), folder / "labels")
    with opened(folder) as a, opened(folder, "mmseg") as b:
        dataset, _ = labelled(samples, a.model)
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


def counts_of(truth: NDArray[np.int_], labels: NDArray[np.int_]) -> Confusion:
    counts = Confusion(4)
    counts.add(labels, truth)
    return counts


def test_both_means_on_label_maps_are_over_the_same_classes() -> None:
    """The label maps lack class 3, which A alone predicts: in its mean it would count as an IoU of 0."""
    truth = np.array([0, 0, 0, 1, 1, 2, 2, 2, 255])
    first, second = np.array([0, 0, 3, 1, 1, 2, 2, 1, 3]), np.array([0, 0, 1, 1, 1, 2, 2, 1, 0])
    sides = ({"model": "a"}, {"model": "b"})
    names = ("road", "car", "sky", "sign")
    truths = counts_of(truth, first), counts_of(truth, second)
    found = Difference(sides, names, (), counts_of(first, second), truths)
    expected = [
        jaccard_score(truth[:8], labels[:8], labels=[0, 1, 2], average="macro")
        for labels in (first, second)
    ]
    assert found.true_mean_ious == pytest.approx(expected)
    assert expected[0] > expected[1] > jaccard_score(truth[:8], first[:8], average="macro")
    assert to_data(found)["mean_iou_classes"] == 3
    assert "over the 3 classes of the label maps" in table(found)


def test_less_than_all_is_never_written_as_100_percent() -> None:
    parts = (Agreement(10**9, 10**9 - 1, 10**9, 10**9),)
    pictures = tuple(PictureDifference("a.png", part) for part in parts)
    counts = Confusion.from_counts(np.diag([10**9 - 1, 1, 0]))
    text = table(Difference(({}, {}), ("x", "y", "z"), pictures, counts, None))
    assert "labels agree on 99.999 % of 1000000000 pixels in 1 picture, and on 100.000 %" in text
    assert "not shown: 1 class without a pixel" in text


def test_classes_in_another_order_are_matched_by_name(folder: Path) -> None:
    model = tiny_model(3, name="other")
    order = [2, 0, 1]
    tiny_artifact(folder / "other", replace(model, classes=tuple(model.classes[i] for i in order)))
    samples = samples_of(found_in(folder / "pictures", *SIZES), None)
    with opened(folder, "mmseg") as a, opened(folder, name="other") as b:
        found = compare(a, b, samples)
        by_number = compare(a, b, samples, ignore_names=True)
        first, second = (
            np.concatenate([each.predict(s.picture).labels.ravel() for s in samples])
            for each in (a, b)
        )
    by_name = np.array(order)[second]
    assert len(set(second.tolist())) > 1
    assert np.array_equal(found.between.counts, confusion_matrix(first, by_name, labels=range(3)))
    assert by_number.agreement.overall == (first == second).mean()
    assert found.notes == ("the classes of B are in another order; they were matched by name",)
    assert by_number.notes == ("the classes of B have other names; they were matched by number",)


def test_the_same_files_run_in_the_same_way_are_pointed_out(folder: Path) -> None:
    samples = samples_of(found_in(folder / "pictures", "a.png"), None)
    with opened(folder) as a, opened(folder) as b, opened(folder, "mmseg") as c:
        assert "A and B are the same files" in compare(a, b, samples).notes[0]
        assert compare(a, c, samples).notes == ()


def test_more_classes_than_a_label_map_holds_are_compared_without_one(folder: Path) -> None:
    tiny_artifact(folder / "many", tiny_model(300))
    pictures = folder / "pictures"
    with opened(folder, name="many") as a, opened(folder, "mmseg", name="many") as b:
        found = compare(a, b, samples_of(found_in(pictures, *SIZES), None))
        first, second = (
            np.concatenate([each.predict(pictures / name).labels.ravel() for name in SIZES])
            for each in (a, b)
        )
        with pytest.raises(EvaluationError, match="at most 255"):
            labelled([], a.model)
    assert first.max() > 255
    assert found.mean_iou == pytest.approx(jaccard_score(first, second, average="macro"))


def test_a_picture_that_cannot_be_read_is_named_and_left_out(folder: Path) -> None:
    (folder / "pictures" / "bad.png").write_bytes(b"no picture")
    samples = samples_of(found_in(folder / "pictures", *SIZES, "bad.png"), None)
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


def test_each_picture_needs_a_label_map_of_its_own(folder: Path) -> None:
    (folder / "labels" / "b.png").unlink()
    with pytest.raises(DatasetError, match=r"1 of 3 pictures have no label map: .*labels/b\.png"):
        samples_of(found_in(folder / "pictures", *SIZES), folder / "labels")
    twins = {folder / "x" / "a.png": Path("a.png"), folder / "y" / "a.jpg": Path("a.jpg")}
    with pytest.raises(DatasetError, match=r"a\.png and a\.jpg have one label map, .*a\.png"):
        samples_of(twins, folder / "labels")
    for place in ("x", "y"):
        (folder / "labels" / place).mkdir()
        (folder / "labels" / place / "a.png").touch()
    samples = samples_of(found_in(folder, "x/a.png", "y/a.jpg"), folder / "labels")
    assert [sample.label for sample in samples] == [
        folder / "labels" / place / "a.png" for place in ("x", "y")
    ]


def test_an_ending_in_capitals_is_one_of_a_label_map_too(folder: Path) -> None:
    (folder / "labels" / "a.png").rename(folder / "labels" / "a.PNG")
    (sample,) = samples_of(found_in(folder / "pictures", "a.png"), folder / "labels")
    assert sample.label is not None
    assert sample.label.samefile(folder / "labels" / "a.PNG")


def test_pictures_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = found_in(tmp_path, "x/a.png", "y/a.png")
    assert [sample.name for sample in samples_of(paths, None)] == [str(path) for path in paths]
    single = found_in(tmp_path, "x/a.png")
    assert samples_of(single, None) == [Sample("a.png", tmp_path / "x" / "a.png", None)]


@pytest.mark.parametrize("white", [None, 10000.0])
def test_pictures_of_bands_are_scaled_once(tmp_path: Path, white: float | None) -> None:
    rasterio = pytest.importorskip("rasterio")
    tiny_artifact(tmp_path / "bands", tiny_model(3, channels=4, white=white))
    values = np.random.default_rng(0).integers(0, 10000, (4, 40, 48)).astype(np.uint16)
    values[:, 0, 0] = 65535
    path = tmp_path / "bands.tif"
    profile = {"driver": "GTiff", "height": 40, "width": 48, "count": 4, "dtype": "uint16"}
    with rasterio.open(
        path, "w", transform=rasterio.Affine(1, 0, 0, 0, -1, 40), **profile
    ) as file:
        file.write(values)
    model = Segmenter.from_pretrained(tmp_path / "bands", backend="onnx_runtime", threads=1)
    with model as a:
        found = compare(a, a, samples_of({path: Path("bands.tif")}, None))
        labels = a.predict(path).labels
    assert found.failed == {}
    assert np.array_equal(found.between.counts.sum(0), np.bincount(labels.ravel(), minlength=3))


def test_the_sheet_has_one_width_for_pictures_of_every_shape(folder: Path) -> None:
    shapes = {"wide.png": (8, 4000), "tall.png": (4000, 8), "a.png": SIZES["a.png"]}
    for name, size in shapes.items():
        cv2.imwrite(str(folder / "pictures" / name), np.full((*size, 3), 90, np.uint8))
    with opened(folder) as a, opened(folder, "mmseg") as b:
        drawn = {
            name: sheet(a, b, [(folder / "pictures" / name, name, 1.0)]).array.shape
            for name in shapes
        }
    assert len({width for _, width, _ in drawn.values()}) == 1
    assert max(height for height, *_ in drawn.values()) < 400


def test_the_sheet_shows_both_sides_in_the_colours_of_a(folder: Path) -> None:
    """Equal labels look equal, whatever the colours and the order of B."""
    model = tiny_model(3, name="other")
    other = tuple(replace(each, color=(250, 9, 9)) for each in model.classes)
    tiny_artifact(folder / "other", replace(model, classes=other))
    pictures = [(folder / "pictures" / name, name, 1.0) for name in SIZES]
    with opened(folder) as a, opened(folder, name="other") as b:
        drawn = sheet(a, b, pictures).array
    head = 36  # the line that names A and B
    width = drawn.shape[1] // 4
    titled = drawn[2 * head : 2 * head + 200]  # the first picture
    assert np.array_equal(titled[:, width : 2 * width], titled[:, 2 * width : 3 * width])
    assert not np.array_equal(titled[:, :width], titled[:, width : 2 * width])
    legend = drawn[-36:]
    for color in (model.classes[0].color, model.classes[2].color):
        assert (legend == color).all(-1).sum() > 100


def test_the_page_is_whole_and_shows_no_markup_of_names(folder: Path) -> None:
    odd = folder / "pictures" / "<b>&.png"
    (folder / "pictures" / "a.png").rename(odd)
    with opened(folder) as a, opened(folder, "mmseg") as b:
        (odd.parent / "<i>.png").write_bytes(b"no picture")
        found = compare(a, b, samples_of(found_in(odd.parent, odd.name, "<i>.png"), None))
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
    assert {"<b>&.png", "<i>.png", "Pictures that failed"} <= set(texts)


def test_the_command_compares_runtimes_and_judges_the_agreement(folder: Path) -> None:
    words = ("diff", folder / "tiny", "--images", folder / "pictures")
    drawn = ("--sheet", folder / "new" / "sheet.png", "--html", folder / "new" / "page.html")
    labels = ("--labels", folder / "labels", "--min-agreement", "1", "--json")
    ended = fastfcn(*words, "--backend", "openvino,onnx_runtime", *drawn, *labels)
    assert (ended.returncode, ended.stderr) == (0, "")
    data = json.loads(ended.stdout)
    assert (data["a"]["backend"], data["b"]["backend"]) == ("open_vino", "onnx_runtime")
    assert data["agreement"] == 1
    assert data["mean_iou"]["a"] == data["mean_iou"]["b"]
    assert cv2.imread(str(folder / "new" / "sheet.png")) is not None
    assert "data:image/jpeg;base64" in (folder / "new" / "page.html").read_text()
    ended = fastfcn(*words, "--procedure", "whole,mmseg", "--min-agreement", "0.9999")
    assert ended.returncode == 7
    assert "at least 99.99 % was expected" in ended.stderr


def test_the_command_compares_precisions_of_one_artifact(folder: Path) -> None:
    add_tiny_variant(folder / "tiny")
    words = ("diff", folder / "tiny", "--images", folder / "pictures", "--json", "--limit", "2")
    for second, backend in (("int8", "onnx_runtime"), ("bf16", "open_vino")):
        ended = fastfcn(*words, "--precision", f"fp32,{second}", "--backend", backend)
        data = json.loads(ended.stdout)
        refused = open_vino.refusal("bf16") if second == "bf16" else None
        if refused is not None:  # this processor has no arithmetic for it
            assert ended.returncode == 5
            assert refused in data["message"]
            continue
        assert (ended.returncode, ended.stderr) == (0, "")
        assert [data[side]["precision"] for side in "ab"] == ["fp32", second]
        assert [len(data["pictures"]), data["failed"]] == [2, []]
        assert data["agreement"] > 0.9


def test_a_bad_picture_or_label_map_does_not_end_the_comparison(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "pictures" / "bad.png").write_bytes(b"no picture")
    (folder / "labels" / "bad.png").write_bytes((folder / "labels" / "a.png").read_bytes())
    cv2.imwrite(str(folder / "labels" / "b.png"), np.zeros((5, 5), np.uint8))
    cv2.imwrite(str(folder / "labels" / "c.png"), np.full((8, 8), 300, np.uint16))
    words = ("--procedure", "whole,mmseg", "--backend", "onnx_runtime", "--json")
    options = ("--images", folder / "pictures", "--labels", folder / "labels", *words)
    assert main(["diff", str(folder / "tiny"), *map(str, options)]) == 3
    data = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in data["failed"]] == ["b.png", "bad.png", "c.png"]
    assert [each["name"] for each in data["pictures"]] == ["a.png"]


def test_labels_that_score_nothing_have_to_be_accepted(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--procedure", "whole,mmseg", "--backend", "onnx_runtime", "--limit", "1")
    nothing = ("--labels", folder / "labels", "--map-labels", "0=ignore,1=ignore,2=ignore")
    command = ["diff", folder / "tiny", "--images", folder / "pictures", *words, *nothing]
    assert main([*map(str, command)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "--accept-labels" in err
    assert main([*map(str, command), "--accept-labels"]) == 0
    out, _ = capsys.readouterr()
    assert "mean IoU on the label maps: A - %, B - %, difference - points" in out


def test_a_sheet_replaces_no_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither of those that are compared, nor of those that a limit leaves out."""
    before = (folder / "pictures" / "c.png").read_bytes()
    images = ("--images", str(folder / "pictures" / "*.png"), "--limit", "1")
    words = ("--procedure", "whole,mmseg", "--sheet", str(folder / "pictures" / "c.png"))
    assert main(["diff", str(folder / "tiny"), *images, *words]) == 2
    assert "is one of the pictures" in capsys.readouterr().err
    assert (folder / "pictures" / "c.png").read_bytes() == before


@pytest.mark.parametrize("option", ["--sheet", "--html"])
def test_a_full_disk_does_not_cost_the_result(
    folder: Path, option: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(path: Path, *_: object) -> None:
        raise WriteError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr("fastfcn_infer.system.atomic.write_file", full)
    monkeypatch.setattr("fastfcn_infer.picture.picture.write_file", full)
    target = str(folder / f"x{'.png' if option == '--sheet' else '.html'}")
    words = ("--images", str(folder / "pictures"), "--json", "--backend", "onnx_runtime")
    sides = ("--procedure", "whole,mmseg", "--quiet")
    assert main(["diff", str(folder / "tiny"), *words, *sides, option, target]) == 9
    out, err = capsys.readouterr()
    assert len(json.loads(out)["pictures"]) == 3
    assert target in err
    assert "No space left" in err


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ((), "A and B are the same"),
        (("--precision", "fp32,int8,bf16"), "one value, or two, A,B, were expected"),
        (("--precision", "fp32,"), "one value, or two"),
        (("--procedure", "whole,mmseg", "--min-agreement", "99"), "a share from 0 to 1"),
        (("--procedure", "whole,mmseg", "--labels", "nowhere"), "a folder was expected"),
        (("--procedure", "whole,mmseg", "--html", "page.txt"), "has to end in .html"),
        (("--procedure", "whole,mmseg", "--sheet", "."), "has to end in .png"),
        (("--procedure", "whole,mmseg", "--sheet", "FOLDER.png"), "a folder has this name"),
        (("--procedure", "whole,tilez"), "tilez"),
        (("--procedure", "whole,mmseg", "--map-labels", "1=0"), "for the label maps of --labels"),
        (("--procedure", "whole,mmseg", "--sheet", "pictures/new.png"), "files are compared"),
        (
            ("--procedure", "whole,mmseg", "--labels", "labels", "--sheet", "labels/other.png"),
            "files are compared",
        ),
    ],
)
def test_wrong_command_lines_are_one_sentence(
    folder: Path, more: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "FOLDER.png").mkdir()
    ours = ("FOLDER", "pictures", "labels")
    more = tuple(str(folder / word) if word.startswith(ours) else word for word in more)
    assert main(["diff", str(folder / "tiny"), "--images", str(folder / "pictures"), *more]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1
