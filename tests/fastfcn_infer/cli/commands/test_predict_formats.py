"""``fastfcn predict --save`` with formats of annotations, one file over all pictures where it is so."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from command_line import content
from fastfcn_infer.cli.main import main
from fastfcn_infer.picture.palette import distinct
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact

FORMATS = "coco,coco-panoptic,geojson,labelme,cvat,label-studio"
WHOLE = ("annotations.json", "panoptic.json", "label-studio.json")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    tiny_artifact(tmp_path / "tiny")
    for index, name in enumerate(("a.png", "sub/a.png", "sub/b.jpg")):
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        picture = np.random.default_rng(index).integers(0, 256, (40, 50, 3), np.uint8)
        cv2.imwrite(str(path), picture)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def predict(*words: str) -> int:
    return main(["predict", "-m", "tiny", "--threads", "1", "--quiet", *words])


def read(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def test_formats_have_a_file_for_each_picture_and_one_over_all(here: Path) -> None:
    assert predict("in", "--recursive", "-o", "out", "--save", f"labels,{FORMATS}") == 0
    coco = read("out/annotations.json")
    assert [(one["id"], one["file_name"]) for one in coco["images"]] == [
        (1, "a.png"),
        (2, "sub/a.png"),
        (3, "sub/b.jpg"),
    ]
    assert [one["id"] for one in coco["annotations"]] == [*range(1, len(coco["annotations"]) + 1)]
    total = {1: 0, 2: 0, 3: 0}
    for one in coco["annotations"]:
        total[one["image_id"]] += one["area"]
    assert total == dict.fromkeys((1, 2, 3), 40 * 50)
    for one in read("out/panoptic.json")["annotations"]:
        assert (here / "out" / "panoptic" / one["file_name"]).is_file()
    tasks = read("out/label-studio.json")
    assert [task["data"]["image"] for task in tasks] == ["a.png", "sub/a.png", "sub/b.jpg"]
    listed = (here / "out/cvat/ImageSets/Segmentation/default.txt").read_text()
    assert listed == "a\nsub/a\nsub/b\n"
    labelme = here / "out" / "labelme" / "sub" / "b.json"
    assert (labelme.parent / read(labelme)["imagePath"]).samefile(here / "in/sub/b.jpg")
    assert read("out/sub/b.geojson")["units"] == "pixels"


def test_a_second_run_makes_nothing_again_and_takes_no_result_for_a_picture(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["in", "--recursive", "-o", "in/out", "--save", FORMATS]
    assert predict(*words) == 0
    before = content(here / "in" / "out")
    for name in WHOLE:
        (here / "in" / "out" / name).unlink()
    assert main(["predict", "-m", "tiny", "--threads", "1", *words]) == 0
    assert content(here / "in" / "out") == before
    said = capsys.readouterr().out
    assert "0 of 3 pictures segmented" in said
    assert "Over all pictures: in/out/annotations.json" in said


def test_a_resumed_job_ends_with_whole_files(here: Path) -> None:
    job = ["in", "--recursive", "--save", FORMATS]
    assert predict(*job, "-o", "clean") == 0
    # Stopped after the first picture, before the files over all pictures.
    assert predict("in/a.png", "-o", "out", "--save", FORMATS, "--resume", "job.jsonl") == 0
    for name in WHOLE:
        (here / "out" / name).unlink()
    assert predict(*job, "-o", "out", "--resume", "job.jsonl") == 0
    whole = [read(f"{folder}/annotations.json") for folder in ("clean", "out")]
    assert whole[0] == whole[1]
    # A part that was lost is made again, though the record says that its picture is done.
    (here / "out" / "coco" / "sub" / "a.json").unlink()
    assert predict(*job, "-o", "out", "--resume", "job.jsonl") == 0
    assert read("out/annotations.json") == whole[0]


def test_pictures_of_several_folders_are_called_by_their_paths_below_the_one_they_share(
    here: Path,
) -> None:
    files = "coco,coco-panoptic,label-studio"
    assert predict("in/a.png", "-o", "out", "--save", files) == 0
    assert read("out/annotations.json")["images"][0]["file_name"] == "a.png"
    # What the first command left is used again, under the name that it has now.
    for sources in (["in/a.png", "in/sub/b.jpg"], ["in/a.png", "in/sub"], ["in/*.png", "in/s*/*"]):
        assert predict(*sources, "-o", "out", "--save", files) == 0
        tasks = read("out/label-studio.json")
        for names in (
            [one["file_name"] for one in read("out/annotations.json")["images"]],
            [one["file_name"] for one in read("out/panoptic.json")["images"]],
            [task["data"]["image"] for task in tasks],
        ):
            assert len(set(names)) == len(names) >= 2
            assert {(here / "in" / name).is_file() for name in names} == {True}


def test_a_picture_that_fails_is_in_no_file(here: Path) -> None:
    (here / "in" / "bad.png").write_text("text")
    assert predict("in", "-o", "out", "--save", "coco") == 3
    assert [one["file_name"] for one in read("out/annotations.json")["images"]] == ["a.png"]


def test_one_picture_is_written_to_one_file_where_the_format_is_one(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("in/a.png", "-o", "a.geojson") == 0
    assert read("a.geojson")["type"] == "FeatureCollection"
    assert predict("in/a.png", "-o", "a.json", "--save", "coco") == 0
    assert len(read("a.json")["images"]) == 1
    assert not (here / "annotations.json").exists()
    assert predict("in/a.png", "-o", "b.json", "--save", "cvat") == 2
    assert "--save cvat is a folder of files; give a folder" in capsys.readouterr().err


@pytest.mark.parametrize("file", ["a.csv", "sub/A.GIF", "a.npz"])
def test_a_file_of_a_format_that_nothing_is_written_to_does_not_become_a_folder(
    here: Path, capsys: pytest.CaptureFixture[str], file: str
) -> None:
    for save in ([], ["--save", "overlay"], ["--save", "coco"]):
        assert predict("in/a.png", "-o", file, *save) == 2
        said = f"no result is written to a {Path(file).suffix.lower()} file"
        assert said in capsys.readouterr().err
        assert not (here / file).exists()
    assert predict("in/a.png", "-o", f"{file}/", "--save", "json,json") == 0
    assert predict("in/a.png", "-o", "run.2") == 0
    assert (here / file / "a.json").is_file()
    assert (here / "run.2" / "a_labels.png").is_file()
    assert predict("in/a.png", "-o", "b.json", "--save", "json,json") == 0


def test_classes_that_a_format_cannot_hold_are_refused_before_a_picture_is_labelled(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    groups = json.dumps({"a:b\x01": ["class 0", "class 1"]})
    (here / "groups.json").write_text(groups)
    for kind, said in (("cvat", "CVAT's table"), ("label-studio", "Label Studio's interface")):
        words = ["in", "-o", "out", "--save", f"labels,{kind}", "--groups", "groups.json"]
        assert predict(*words) == 2
        assert f"--save {kind}: {said}" in capsys.readouterr().err
    assert not (here / "out").exists()


def test_a_damaged_part_is_an_error_that_says_what_to_do(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("in", "-o", "out", "--save", "coco") == 0
    for text, why in (("{", "is damaged"), ("[]", "no annotations"), ("{}", "of one picture")):
        (here / "out" / "coco" / "a.json").write_text(text)
        assert predict("in", "-o", "out", "--save", "coco") != 0
        assert why in capsys.readouterr().err


def test_pictures_of_other_classes_are_not_joined(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["in", "--recursive", "-o", "out", "--save", "coco"]
    assert predict(*words) == 0
    part = here / "out" / "coco" / "sub" / "b.json"
    other = read(part)
    other["categories"][0]["name"] = "other"
    part.write_text(json.dumps(other))
    assert predict(*words) != 0
    assert "has other classes than" in capsys.readouterr().err


def test_a_georeferenced_raster_becomes_geojson_on_the_ground(here: Path) -> None:
    rasterio = pytest.importorskip("rasterio")
    transform = rasterio.transform.Affine(10, 0, 500_000, 0, -10, 5_000_000)
    profile = {"width": 60, "height": 50, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open("map.tif", "w", driver="GTiff", transform=transform, **profile) as file:
        file.write(np.random.default_rng(0).integers(0, 256, (3, 50, 60), np.uint8))
    assert predict("map.tif", "-o", "out", "--save", "geojson") == 0
    found = read("out/map.geojson")
    assert found["units"] == "degrees"
    assert sum(one["properties"]["area"] for one in found["features"]) == 60 * 50
    longitudes = [x for f in found["features"] for x, _ in f["geometry"]["coordinates"][0]]
    assert min(longitudes) == pytest.approx(15)
    assert predict("map.tif", "-o", "other", "--save", "coco") == 3  # of pictures only


def test_a_video_has_no_annotations(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "film.mp4").write_bytes(b"any")
    assert predict("film.mp4", "-o", "out", "--save", "coco") == 3
    assert (
        "is labelled as a video, and --save coco is for pictures only" in capsys.readouterr().err
    )


def test_a_folder_becomes_a_contact_sheet_and_colours_are_chosen(here: Path) -> None:
    words = ["in", "--recursive", "--save", "labels,color,sheet"]
    assert predict(*words, "-o", "out", "--palette", "distinct") == 0
    sheet = cv2.imread("out/sheet.jpg")
    assert sheet is not None
    assert sheet.shape[0] > 3 * 240  # a row for each picture
    # OpenCV shows a palette in its colours.
    color, label = (
        np.asarray(cv2.imread(f"out/a_{name}.png"))[:, :, ::-1] for name in ("color", "labels")
    )
    np.testing.assert_array_equal(color, label)
    with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
        expected = segmenter.predict("in/a.png")
    np.testing.assert_array_equal(color, distinct(len(expected.names))[expected.labels])
    # Results in other colours are not passed off as this run's.
    assert predict(*words, "-o", "out") == 2


def test_polygons_are_simplified_and_earlier_ones_are_not_passed_off_as_such(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["in/a.png", "-o", "out", "--save", "geojson,labelme", "--simplify", "1.5"]
    assert predict(*words, "--min-area", "4") == 0
    with Segmenter.from_pretrained("tiny", threads=1) as segmenter:
        result = segmenter.predict("in/a.png")
    expected = result.to_geojson(min_area=4, simplify=1.5)
    assert read("out/a.geojson")["features"] == expected["features"]
    shapes = result.to_labelme(min_area=4, simplify=1.5)["shapes"]
    assert read("out/labelme/a.json")["shapes"] == shapes
    assert predict(*words) == 2
    said = capsys.readouterr().err
    assert "other outlines (--min-area, --simplify)" in said
    assert predict(*words[:-1], "-1") == 2
    assert "--simplify -1.0: a number of at least 0 was expected" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere all names are text")
def test_a_picture_whose_name_is_no_text_is_named_in_every_format(here: Path) -> None:
    source = Path(os.fsdecode(b"stra\xdfe.png"))
    Path("in/a.png").rename(source)

    assert predict(str(source), "-o", "out", "--save", f"labels,json,sheet,{FORMATS}") == 0

    name = source.stem
    assert read(f"out/{name}.json")["source"] == str(source)
    assert read("out/annotations.json")["images"][0]["file_name"] == source.name
    assert read("out/label-studio.json")[0]["data"]["image"] == source.name
    assert read(f"out/labelme/{name}.json")["imagePath"].endswith(source.name)
