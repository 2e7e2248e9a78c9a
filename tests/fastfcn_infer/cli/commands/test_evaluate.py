import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from camvid_tree import CLASSES, VOID, camvid_artifact, camvid_tree, write_png
from exports import save_checkpoint, tensors_of
from fastfcn_infer import Segmenter, open_dataset
from fastfcn_infer.artifact.procedure import PRESETS
from fastfcn_infer.cli.main import main
from fastfcn_infer.system.progress import Progress

DATA = ("--dataset", "camvid", "--root", "camvid", "--split", "test")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny model, six pictures with labels and a cache, which is the current one."""
    camvid_artifact(tmp_path / "tiny")
    camvid_tree(tmp_path / "camvid")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTFCN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def run(*words: str) -> int:
    return main(["evaluate", "tiny", *DATA, "--backend", "onnx_runtime", *words])


def as_json(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> dict[str, Any]:
    assert run(*words, "--json") == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def counted(data: dict[str, Any]) -> dict[str, Any]:
    return {key: data[key] for key in data if key not in ("seconds", "images_per_second")}


def interrupt_after(pictures: int, monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter([None] * (pictures - 1))
    real = Progress.advance

    def advance(bar: Progress, count: float = 1) -> None:
        real(bar, count)
        if next(left, False) is False:
            monkeypatch.undo()
            raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "advance", advance)


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_scores_are_those_of_segmenter_evaluate(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = as_json(capsys)
    with Segmenter.from_pretrained("tiny", backend="onnx_runtime") as segmenter:
        expected = segmenter.evaluate(open_dataset("camvid", "camvid", "test"))
    assert data["mean_iou"] == expected.scores.mean_iou
    assert data["kappa"] == expected.scores.kappa
    assert [row["dice"] for row in data["classes"]] == list(expected.scores.dice)
    assert [row["name"] for row in data["classes"]] == list(expected.names)
    assert sum(row["pixels"] for row in data["classes"]) == data["pixels"]
    assert (data["pictures"], data["failed"], data["convention"]) == (6, [], "paddleseg")
    assert data["provenance"]["backend"] == "onnx_runtime"
    assert data["images_per_second"] == pytest.approx(6 / data["seconds"])


def test_the_table_has_a_line_for_each_class_and_the_means_below(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = as_json(capsys)
    assert run() == 0
    out, err = capsys.readouterr()
    head, *rows = out.splitlines()
    assert head.split()[:4] == ["label", "class", "pixels", "%"]
    for row, line in zip(data["classes"], rows[:11], strict=True):
        words = line.split()
        assert words[:2] == [str(row["label"]), row["name"]]
        shares = [row["pixels"] / data["pixels"], row["iou"], row["precision"], row["recall"]]
        assert words[2:] == [f"{100 * share:.2f}" for share in (*shares, row["dice"])]
    assert f"mean IoU {100 * data['mean_iou']:.2f} %" in out
    assert f"Kappa {data['kappa']:.4f}" in out
    assert "6 pictures" in out
    assert err == ""


def test_conventions_differ_in_the_class_that_is_nowhere(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Labels of class 10 are nowhere; the tiny network of this seed does not predict it either.
    ious = {
        name: as_json(capsys, "--convention", name)["classes"][10]["iou"]
        for name in ("paddleseg", "fastfcn", "mmseg")
    }
    assert ious == {"paddleseg": 1, "fastfcn": 0, "mmseg": None}
    assert run("--convention", "mmseg") == 0
    assert "10  bicyclist" in (line := capsys.readouterr().out.splitlines()[11])
    assert line.split()[3:] == ["-"] * 4  # after its share of the pixels
    assert run("--convention", "fastfcn") == 0
    out = capsys.readouterr().out
    assert "final score" in out
    assert "1 of 11 classes are neither in the labels nor predicted" in out
    assert as_json(capsys)["classes_nowhere"] == 1


def test_a_run_of_a_checkpoint_of_the_original_code_is_scored_as_its_authors_do(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    camvid_artifact(here / "original", "wuhuikai")
    assert main(["evaluate", "original", *DATA, "--json", "--limit", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["convention"] == "fastfcn"


def test_bad_files_are_reported_the_rest_is_counted_and_the_code_is_3(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "camvid/images/test/p1.png").write_text("text")
    assert run() == 3
    out, err = capsys.readouterr()
    assert "5 pictures" in out
    assert "Pictures that failed and are not counted: 1" in out
    assert err.startswith("failed: p1: camvid/images/test/p1.png")
    data = as_json(capsys, code=3)
    assert data["pictures"] == 5
    assert [row["name"] for row in data["failed"]] == ["p1"]


def test_after_ctrl_c_the_same_command_goes_on_and_every_picture_counts_once(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = as_json(capsys)
    assert files(here / "cache") == []
    interrupt_after(4, monkeypatch)
    assert run() == 130
    monkeypatch.chdir(here)
    monkeypatch.setenv("FASTFCN_CACHE", str(here / "cache"))
    out, err = capsys.readouterr()
    (state,) = files(here / "cache" / "evaluations")
    assert out == ""
    assert err.splitlines() == [
        "interrupted: 4 of 6 pictures are done; the counts are kept in "
        f"{state}; the same command continues there"
    ]
    assert run("--json") == 0
    out, err = capsys.readouterr()
    assert err.startswith(f"Continuing from {state}: 4 pictures are counted already, 2 are left")
    assert counted(json.loads(out)) == counted(whole)
    assert files(here / "cache") == []


def test_a_missing_or_empty_prediction_is_made_by_the_next_run(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = as_json(capsys, "--save-predictions", "out")
    expected = {path: path.read_bytes() for path in files(here / "out") if path.suffix == ".png"}
    assert len(expected) == 6
    (here / "out/p1.png").unlink()
    (here / "out/p4.png").write_bytes(b"")
    assert run("--save-predictions", "out", "--json") == 0
    out, err = capsys.readouterr()
    assert "6 pictures are counted already, 2 are left" in err
    assert counted(json.loads(out)) == counted(whole)
    for path, content in expected.items():
        assert path.read_bytes() == content


def test_a_fresh_run_forgets_what_an_interrupted_one_counted(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupt_after(2, monkeypatch)
    assert run("--state", str(here / "state.json")) == 130
    monkeypatch.chdir(here)
    capsys.readouterr()
    data = as_json(capsys, "--state", "state.json", "--fresh")
    assert data["pictures"] == 6
    assert run("--state", "state.json") == 0
    assert "6 pictures are counted already" in capsys.readouterr().err
    assert (here / "state.json").exists()


def test_a_state_of_another_part_is_exit_code_2_and_says_what_differs(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--save-predictions", "out") == 0
    camvid_tree(here / "camvid", split="val")
    capsys.readouterr()
    given = ["evaluate", "tiny", "--dataset", "camvid", "--root", "camvid"]
    assert main([*given, "--backend", "onnx_runtime", "--save-predictions", "out"]) == 2
    assert "- split: test then, val now" in capsys.readouterr().err
    assert sorted(path.name for path in files(here / "out")) == [
        "evaluation.json",
        *(f"p{index}.png" for index in range(6)),
    ]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--split", "minival"], 3, "no part 'minival'"),
        (["--root", "elsewhere"], 3, "elsewhere"),
        (["--dataset", "camvod"], 2, "no data set is called 'camvod'"),
        (["--limit", "0"], 2, "limit is 0"),
        (["--convention", "voc"], 2, "voc"),
        (["--state", "a", "--save-predictions", "b"], 2, "not allowed with"),
        (["--backend", "frob"], 2, "frob"),
    ],
)
def test_what_makes_no_sense_has_its_exit_code_before_anything_is_written(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    assert run(*words, "--json") == code
    assert said in json.loads(capsys.readouterr().out)["message"]
    assert files(here / "cache") == []
    assert not (here / "b").exists()


def test_the_embedded_model_is_scored_on_test_and_elsewhere_only_on_demand(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val"):
        camvid_tree(here / "camvid", split=split, pictures=1)
    words = ["evaluate", "--dataset", "camvid", "--root", "camvid", "--limit", "1"]
    assert main([*words, "--json"]) == 0
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert (data["split"], data["trained_on"], data["warnings"]) == ("test", False, [])
    assert err == "note: scoring the part test: the model was trained on val\n"
    for split in ("train", "val"):
        assert main([*words, "--split", split]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert f"was trained on camvid, part {split}" in err
        assert "--allow-trained" in err
    assert main([*words, "--split", "val", "--allow-trained"]) == 0
    assert "WARNING: the model was trained on camvid, part val" in capsys.readouterr().out
    assert main([*words, "--split", "val", "--allow-trained", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["trained_on"] is True
    assert "trained on camvid, part val" in data["warnings"][0]


def test_labels_that_tell_nothing_are_refused_and_mapped_or_scored_on_demand(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for index in range(6):
        labels = np.zeros((45, 60), np.uint8)
        labels[:9] = 255
        write_png(here / f"camvid/labels/test/p{index}.png", labels)
    assert run() == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "every labelled pixel is 'sky'" in err
    assert "--map-labels 255=10" in err
    assert "--accept-labels" in err
    assert files(here / "cache") == []
    assert "every labelled pixel is 'sky'" in as_json(capsys, "--accept-labels")["warnings"][0]
    data = as_json(capsys, "--map-labels", "255=10")
    assert data["warnings"] == []
    assert data["classes"][10]["pixels"] == 6 * 9 * 60
    assert run("--map-labels", "255=10") == 0
    assert (
        "9 of 11 classes have no labelled pixel in these pictures: build"
        in capsys.readouterr().out
    )


def test_pictures_turned_by_exif_are_scored_with_labels_that_are_turned_with_them(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = as_json(capsys)
    folder = here / "camvid"
    for index in range(6):
        picture, labels = (folder / f"{kind}/test/p{index}.png" for kind in ("images", "labels"))
        image = Image.open(picture).transpose(Image.Transpose.ROTATE_90)
        exif = image.getexif()
        exif[274] = 6  # to be turned to the right, back to what it was
        image.save(picture, exif=exif)
        Image.open(labels).transpose(Image.Transpose.ROTATE_90).save(labels)
    after = as_json(capsys)
    assert "6 pictures (p0, p1, p2, ... and 3 more) are turned by EXIF" in after["notes"][0]
    assert counted(after) | {"notes": []} == counted(before)
    assert run() == 0
    assert "\nnote: 6 pictures (p0, " in capsys.readouterr().out
    assert as_json(capsys, "--label-orientation", "upright", code=3)["pictures"] == 0


def test_other_classes_are_exit_code_2(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save_checkpoint(here, "paddleseg", tensors_of("paddleseg_os32"))
    given = ["evaluate", str(path), *DATA, "--output-stride", "32", "--json"]
    assert main(given) == 2
    message = json.loads(capsys.readouterr().out)
    assert message["error"] == "EvaluationError"
    assert "camvid has 11" in message["message"]


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_scores_what_its_saved_predictions_score(
    here: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    data = as_json(capsys, "--procedure", name, "--save-predictions", "saved", "--limit", "2")
    assert data["provenance"]["procedure"] == name
    assert data["pictures"] == 2
    confusion = np.zeros((CLASSES, CLASSES), np.int64)
    with Segmenter.from_pretrained("tiny", backend="onnx_runtime") as segmenter:
        for index in range(2):
            saved = np.asarray(Image.open(f"saved/p{index}.png"))
            picture = Path("camvid/images/test") / f"p{index}.png"
            np.testing.assert_array_equal(saved, segmenter.predict(picture, procedure=name).labels)
            truth = np.asarray(Image.open(f"camvid/labels/test/p{index}.png"))
            kept = truth != VOID
            np.add.at(confusion, (truth[kept], saved[kept]), 1)
    assert data["pixel_accuracy"] == pytest.approx(np.trace(confusion) / confusion.sum())


@pytest.mark.parametrize("name", PRESETS)
def test_an_interrupted_evaluation_continues_with_its_procedure_and_no_other(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    state, other = (
        ("--state", "state.json", "--limit", "3"),
        "mmseg" if name == "fastfcn" else "fastfcn",
    )
    expected = as_json(capsys, "--procedure", name, "--limit", "3")
    with monkeypatch.context() as patched:
        interrupt_after(2, patched)
        assert run("--procedure", name, *state) == 130
    assert run("--procedure", other, *state) == 2
    assert "procedure" in capsys.readouterr().err
    found = as_json(capsys, "--procedure", name, *state)
    assert counted(found) == counted(expected)


def test_each_procedure_has_counts_of_its_own_in_the_cache(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PRESETS:
        with monkeypatch.context() as patched:
            interrupt_after(2, patched)
            assert run("--procedure", name) == 130
    kept = len(list((here / "cache").rglob("camvid-test-*.json")))
    assert kept == len(PRESETS)
