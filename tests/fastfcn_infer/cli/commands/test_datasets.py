import json
import socket
from pathlib import Path

import pytest
from PIL import Image

from command_line import python
from dataset_trees import numbers, write_labels, write_list, write_picture
from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.cli.main import main
from fastfcn_infer.data.dataset import dataset_names, layout


def make(root: Path) -> None:
    for name, values in {"a": (0, 1), "b": (1, 11)}.items():
        write_picture(root / f"images/val/{name}.jpg")
        write_labels(root / f"labels/val/{name}.png", numbers(*values))


def test_every_data_set_is_listed_with_its_layout_and_page_and_nothing_is_fetched(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    assert main(["datasets"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    for name in dataset_names():
        described = layout(name)
        assert f"\n{name}: " in "\n" + out
        assert described.PAGE in out
        for line in described.LAYOUT.splitlines():
            assert line in out


def test_as_json_the_list_has_classes_and_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert tuple(entries) == dataset_names()
    assert entries["voc"]["classes"] == [entry.name for entry in class_table("voc")]
    assert entries["ade20k"]["splits"]["train"] == 20210
    assert entries["listed"]["classes"] == []


def test_one_data_set_is_described_by_its_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets", "voc"]) == 0
    out = capsys.readouterr().out
    assert "SegmentationClassAug" in out
    assert "ADEChallengeData2016" not in out


def test_pictures_below_a_root_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path)
    assert main(["datasets", "camvid", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        "camvid, val: 2 pictures (as published: 101), 2 label maps\n"
    )


def test_label_files_are_read_and_counted_on_demand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path)
    words = ["datasets", "camvid", "--root", str(tmp_path), "--split", "val", "--check-labels"]
    assert main(words) == 3
    out, err = capsys.readouterr()
    assert err.startswith(
        "camvid, part val: 9 of 11 classes have no pixel in its 2 label maps: pole"
    )
    assert "--map-labels" not in err  # 11 is CamVid's own value of ignored pixels
    words.append("--accept-labels")
    assert main(words) == 0
    assert capsys.readouterr().out == out
    rows = [line.split() for line in out.splitlines()]
    assert rows[2:4] == [["sky", "12", "33.3333%", "1"], ["building", "24", "66.6667%", "2"]]
    assert rows[-1][:3] == ["ignored:", "12", "pixels,"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["classes"][1] == {"name": "building", "pixels": 24, "pictures": 2}
    assert (found["pictures"], found["labels"], found["ignored"], found["faults"]) == (
        2,
        2,
        12,
        [],
    )


def test_bad_label_files_are_named_and_exit_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path)
    for number in range(12):
        write_picture(tmp_path / f"images/val/x{number}.jpg")
        write_labels(tmp_path / f"labels/val/x{number}.png", numbers(99))
    words = ["datasets", "camvid", "--root", str(tmp_path), "--check-labels"]
    assert main(words) == 3
    out, err = capsys.readouterr()
    assert "sky" in out
    assert err.count("holds 99") == 10
    assert "bad label files: 12; 2 of them are not shown" in err
    assert main([*words, "--json"]) == 3
    assert len(json.loads(capsys.readouterr().out)["faults"]) == 12


def test_a_wrong_layout_exits_with_3_and_shows_the_tree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "train/a.jpg")
    assert main(["datasets", "camvid", "--root", str(tmp_path), "--split", "train"]) == 3
    err = capsys.readouterr().err
    assert "the folder trainannot cannot be read" in err
    assert "    train/\n      a.jpg" in err


@pytest.mark.parametrize(
    "words",
    [
        ["--root", "x"],
        ["camvid", "--split", "val"],
        ["camvid", "--check-labels"],
        ["camvid", "--map-labels", "255=1"],
        ["camvid", "--accept-labels"],
        ["camvid", "--root", "x", "--map-labels", "255=1"],
        ["camvid", "--root", "x", "--label-orientation", "stored"],
        ["camvid", "--root", "x", "--accept-labels"],
    ],
)
def test_options_that_make_no_sense_alone_are_a_usage_error(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["datasets", *words]) == 2
    assert "fastfcn datasets: error: " in capsys.readouterr().err


def test_masks_of_0_and_255_are_explained_and_mapped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "classes.json").write_text(
        '[{"name": "floor", "color": [0, 0, 0]}, {"name": "crack", "color": [1, 0, 0]}]'
    )
    write_picture(tmp_path / "a.jpg")
    write_labels(tmp_path / "a.png", numbers(0, 255))
    write_list(tmp_path / "train.txt", ["a.jpg a.png"])
    words = ["datasets", "listed", "--root", str(tmp_path), "--split", "train", "--check-labels"]
    assert main(words) == 3
    assert "If 255 means 'crack', give --map-labels 255=1" in capsys.readouterr().err
    assert main([*words, "--json"]) == 3
    assert "every labelled pixel is 'floor'" in json.loads(capsys.readouterr().out)["lacking"][0]
    assert main([*words, "--map-labels", "255=1", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["pixels"] for entry in found["classes"]] == [12, 12]
    assert (found["ignored"], found["lacking"]) == (0, [])
    assert main([*words, "--map-labels", "255=2"]) == 2
    assert main([*words, "--map-labels", "crack"]) == 2


def test_labels_of_another_size_and_turned_pictures_are_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path)
    write_labels(tmp_path / "labels/val/a.png", numbers(0, 1).T.copy())
    image = Image.open(tmp_path / "images/val/b.jpg")
    exif = image.getexif()
    exif[274] = 3
    image.save(tmp_path / "images/val/b.jpg", exif=exif)
    words = ["datasets", "camvid", "--root", str(tmp_path), "--check-labels", "--accept-labels"]
    assert main(words) == 3
    out, err = capsys.readouterr()
    assert "a.jpg has 6 x 4 pixels, but its label map" in err
    assert "note: 1 picture (b) is turned by EXIF" in out
    assert "--label-orientation stored" in out
    assert main([*words, "--json", "--label-orientation", "stored"]) == 3
    found = json.loads(capsys.readouterr().out)
    assert len(found["faults"]) == 1
    assert "as --label-orientation stored says" in found["notes"][0]


def test_listing_loads_no_runtime() -> None:
    code = (
        "import sys\n"
        "from fastfcn_infer.cli.main import main\n"
        "main(['datasets', '--json'])\n"
        "print([m for m in ('onnxruntime', 'openvino', 'onnx', 'paddle') if m in sys.modules])"
    )
    ended = python("-c", code)
    assert ended.stdout.endswith("\n[]\n")
    assert (ended.returncode, ended.stderr) == (0, "")
