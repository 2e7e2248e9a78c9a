import itertools
import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from command_line import PHOTOGRAPH, fastfcn
from exports import save_checkpoint, tensors_of
from fastfcn_infer.artifact.procedure import Procedure, Resize, Windows
from fastfcn_infer.cli.main import main
from fastfcn_infer.cli.output import KINDS
from fastfcn_infer.segmenter import Segmenter
from models import tiny_artifact, tiny_model


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny model and two pictures, which is the current one."""
    tiny_artifact(tmp_path / "tiny")
    for index, name in enumerate(("in/a.png", "in/deep/b.png")):
        write(tmp_path / name, index)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, seed: int, size: tuple[int, int] = (40, 50)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    path.write_bytes(cv2.imencode(".png", picture)[1].tobytes())


def predict(*words: str) -> int:
    return main(["predict", "-m", "tiny", "--threads", "1", *words])


def names(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def labels_in(path: Path) -> Any:
    pillow = pytest.importorskip("PIL.Image")
    return np.asarray(pillow.open(path))


def test_the_labels_written_are_the_labels_predicted(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict("in", "-o", "out") == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("1 of 1 pictures segmented\n", "")
    assert names(here / "out") == ["a_labels.png"]
    with Segmenter.from_pretrained("tiny") as segmenter:
        expected = segmenter.predict("in/a.png").labels
    np.testing.assert_array_equal(labels_in(here / "out" / "a_labels.png"), expected)


def test_every_kind_is_written_where_asked_and_folders_are_kept(here: Path) -> None:
    assert predict("in", "-o", "out", "--save", ",".join(KINDS), "--recursive") == 0
    ends = sorted(end for end, _ in KINDS.values())
    assert names(here / "out") == [f"{stem}{end}" for stem in ("a", "deep/b") for end in ends]
    facts = json.loads((here / "out" / "a.json").read_text())
    assert facts["size"] == [40, 50]
    assert facts["provenance"]["model"] == "tiny"
    for end in ("_overlay.jpg", "_color.png"):
        picture = cv2.imread(str(here / "out" / f"a{end}"))
        assert picture is not None
        assert picture.shape == (40, 50, 3)
    raw = cv2.imread(str(here / "out" / "a_labels_raw.png"))
    colored = cv2.imread(str(here / "out" / "a_labels.png"), cv2.IMREAD_COLOR)
    assert raw is not None
    assert colored is not None
    assert not np.array_equal(raw, colored)
    assert (raw == raw[:, :, :1]).all()


def test_files_folders_and_globs_can_be_mixed(here: Path) -> None:
    assert predict("in/a.png", "in", "in/*/*.png", "-o", "new/out") == 0
    assert names(here / "new" / "out") == ["a_labels.png", "b_labels.png"]


def test_bad_pictures_are_reported_and_skipped_with_exit_code_3(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "in" / "bad.jpg").write_bytes(PHOTOGRAPH.read_bytes()[:1000])
    (here / "in" / "text.png").write_text("text")
    write(here / "in" / "z.png", 3)
    assert predict("in", "-o", "out") == 3
    out, err = capsys.readouterr()
    assert out == "2 of 4 pictures segmented\n2 failed\n"
    first, second = err.splitlines()
    assert first.startswith("failed: in/bad.jpg: ")
    assert second.startswith("failed: in/text.png: ")
    assert names(here / "out") == ["a_labels.png", "z_labels.png"]


def test_as_json_each_picture_has_its_report_and_nothing_else_is_on_standard_output(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "in" / "text.png").write_text("text")
    assert predict("in", "-o", "out", "--json-list") == 3
    out, err = capsys.readouterr()
    good, bad = json.loads(out)
    assert good["source"] == "in/a.png"
    assert good["status"] == "done"
    assert good["written"] == ["out/a_labels.png"]
    assert sum(good["areas"].values()) == pytest.approx(1)
    assert good["seconds"] > 0
    assert (bad["source"], bad["status"]) == ("in/text.png", "failed")
    assert bad["error"]
    assert err == ""


def test_nothing_is_overwritten_without_force(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = here / "out" / "a_overlay.jpg"
    mine.parent.mkdir()
    mine.write_text("mine")
    assert predict("in", "-o", "out", "--save", "labels,overlay") == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "1 of 1 pictures segmented\nResults that existed already and were left alone: 1."
    )
    assert mine.read_text() == "mine"
    assert names(here / "out") == ["a_labels.png", "a_overlay.jpg"]
    assert predict("in", "-o", "out", "--save", "labels,overlay", "--json-list") == 0
    (report,) = json.loads(capsys.readouterr().out)
    assert report == {
        "source": "in/a.png",
        "status": "exists",
        "kept": ["out/a_labels.png", "out/a_overlay.jpg"],
        "written": [],
    }
    assert mine.read_text() == "mine"
    assert predict("in", "-o", "out", "--save", "labels,overlay", "--force") == 0
    assert cv2.imread(str(mine)) is not None
    assert names(here / "out") == ["a_labels.png", "a_overlay.jpg"]


SETS = [kinds for count in (1, len(KINDS) - 1) for kinds in itertools.combinations(KINDS, count)]


def test_whatever_an_earlier_run_saved_the_next_one_makes_what_is_missing(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = nullcontext(Segmenter.from_pretrained("tiny", threads=1))
    monkeypatch.setattr(Segmenter, "from_pretrained", lambda *_, **__: opened)

    def results(kinds: Sequence[str]) -> list[str]:
        return sorted(f"a{KINDS[kind][0]}" for kind in kinds)

    def save(folder: str, kinds: Sequence[str]) -> Any:
        assert predict("in", "-o", folder, "--save", ",".join(kinds), "--json-list") == 0
        return json.loads(capsys.readouterr().out)

    for index, (first, then) in enumerate(itertools.product(SETS, SETS)):
        folder = here / f"out{index}"
        for name in results(first):
            folder.mkdir(exist_ok=True)
            (folder / name).write_text("earlier")
        (report,) = save(folder.name, then)
        assert names(folder) == sorted({*results(first), *results(then)})
        for name in results(first):
            assert (folder / name).read_text() == "earlier"
        new = [kind for kind in then if kind not in first]
        assert report["status"] == ("done" if new else "exists")
        assert len(report["written"]) == len(new)
        assert len(report["kept"]) == len(then) - len(new)
        assert all(Path(path).stat().st_size > 7 for path in report["written"])


def test_an_empty_file_is_no_result(here: Path) -> None:
    (here / "out").mkdir()
    (here / "out" / "a_labels.png").write_bytes(b"")
    (here / "out" / "a_overlay.jpg").symlink_to(here / "gone.jpg")
    assert predict("in", "-o", "out", "--save", "labels, overlay") == 0
    for name in ("a_labels.png", "a_overlay.jpg"):
        assert cv2.imread(str(here / "out" / name)) is not None


def test_a_result_that_failed_is_tried_again_and_fails_again(here: Path) -> None:
    write(here / "in" / "a.png", 1, (70_000, 1))  # no JPEG is as high
    for _ in range(2):
        assert predict("in", "-o", "out", "--save", "labels,overlay") == 3
        assert names(here / "out") == ["a_labels.png"]


def test_a_picture_over_the_limit_is_one_failed_picture(here: Path) -> None:
    write(here / "in" / "large.png", 1, (41, 50))
    assert predict("in", "-o", "out", "--max-pixels", "2000") == 3
    assert names(here / "out") == ["a_labels.png"]


def test_an_overlay_that_no_jpeg_can_hold_is_one_failed_picture(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here / "in" / "b.png", 1, (70_000, 1))
    assert predict("in", "-o", "out", "--save", "overlay") == 3
    out, err = capsys.readouterr()
    assert out == "1 of 2 pictures segmented\n1 failed\n"
    assert err.startswith("failed: in/b.png: ")
    assert names(here / "out") == ["a_overlay.jpg"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gone.jpg", "-o", "out"], "gone.jpg: no such file"),
        (["empty", "-o", "out"], "no picture in empty"),
        (["in", "-o", "out", "--save", "labels,masks"], "--save masks"),
        (["in", "-o", "out", "--save", ""], "expected one or more of labels"),
        (["in", "-o", "out", "--threads", "0"], "threads is 0"),
        (["in", "-o", "out", "--threads", "100000"], "threads is 100000; 1 to 1024 were expected"),
        (["in", "-o", "out", "--max-pixels", "0"], "--max-pixels 0"),
        (["in", "-o", "out", "--max-pixels", "-1"], "--max-pixels -1"),
    ],
)
def test_what_makes_no_sense_is_exit_code_2(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    (here / "empty").mkdir()
    assert predict(*words, "--json") == 2
    assert said in json.loads(capsys.readouterr().out)["message"]
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--device", "npu"], 2),
        (["--backend", "frob"], 2),
        (["--device", "cuda:77"], 5),
        (["-m", "gone/model"], 6),
        (["-m", "fastfcn-resnet50-ade20k", "--offline"], 3),
    ],
)
def test_models_and_runtimes_that_are_not_there_have_their_exit_codes(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int
) -> None:
    given = ["predict", "-m", "tiny", "in", "-o", "out", "--cache-dir", "cache"]
    assert main([*given, *words, "--json"]) == code
    assert json.loads(capsys.readouterr().out)["code"] == code
    assert not (here / "out").exists()


def test_a_tampered_model_is_exit_code_6(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = here / "tiny" / "model.onnx"
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert predict("in", "-o", "out", "--json") == 6
    assert "changed" in json.loads(capsys.readouterr().out)["message"]


def test_a_checkpoint_is_converted_into_the_cache_that_was_named(here: Path) -> None:
    path = save_checkpoint(here, "paddleseg", tensors_of("paddleseg_os32"))
    given = ["predict", "in", "-o", "out", "-m", str(path), "--cache-dir", "cache"]
    assert main([*given, "--output-stride", "32", "--dialect", "paddleseg"]) == 0
    assert len(list((here / "cache" / "artifacts").glob("*/manifest.json"))) == 1
    assert names(here / "out") == ["a_labels.png"]


def test_on_a_terminal_a_bar_is_drawn_on_standard_error_and_the_result_stays_clean(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert predict("in", "-o", "out", "--recursive", "--json-list") == 0
    out, err = capsys.readouterr()
    assert len(json.loads(out)) == 2
    assert "2 of 2 pictures" in err


def test_from_a_shell_results_are_on_standard_output_and_failures_on_standard_error(
    here: Path,
) -> None:
    (here / "in" / "text.png").write_text("text")
    ended = fastfcn("predict", "in", "-o", "out", "-m", "tiny", cwd=here)
    assert ended.returncode == 3
    assert ended.stdout == "1 of 2 pictures segmented\n1 failed\n"
    assert ended.stderr.startswith("failed: in/text.png: ")
    ended = fastfcn("predict", "in", "-o", "out2", "--json-list", cwd=here)
    assert ended.returncode == 3
    assert [report["status"] for report in json.loads(ended.stdout)] == ["done", "failed"]
    assert ended.stderr == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--procedure", "nosuch"], "fastfcn-ms"),
        (["--scales", "0,1"], "more than 0"),
        (["--scales", "x"], "0.75,1,1.25"),
        (["--crop", "20"], "at least 33"),
        (["--crop", "64", "--stride", "65"], "missed"),
        (["--crop", "1x2x3"], "HEIGHTxWIDTH"),
        (["--stride", "10"], "--crop"),
        (
            ["--scales", "0", "--crop", "20"],
            "at least 33 pixels a side; scales must be more than 0",
        ),
        (
            ["--procedure", "tilez", "--scales", "x", "--stride", "9"],
            "were expected, such as 0.75,1,1.25; --stride needs",
        ),
        (["--procedure", ""], "'' is not a procedure"),
        (["--procedure", "Tiles"], "did you mean 'tiles'?"),
        (["--scales", "1,nan,1e400"], "found (1.0, nan, inf)"),
        (["--scales", ""], "--scales : numbers"),
        (["--crop", "480x", "--stride", "1.5"], "--stride 1.5: HEIGHTxWIDTH was expected"),
        (["--crop", "-5"], "--crop -5"),
        (["--mirror", "left", "--merge", "logit"], "mirror 'left' is none of none, horizontal"),
        (["--mirror", "left", "--merge", "logit"], "did you mean 'logits'?"),
    ],
)
def test_a_procedure_that_makes_no_sense_is_exit_code_2_before_anything_is_opened(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["predict", "in", "-o", "out", "-m", "no such model", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (here / "out").exists()


@pytest.mark.parametrize(
    ("words", "procedure"),
    [
        (["--procedure", "tiles"], Procedure.preset("tiles")),
        (["--mirror", "horizontal"], Procedure("custom", mirror="horizontal")),
        (
            ["--procedure", "tiles", "--crop", "40x48", "--scales", "1,2", "--merge", "exp"],
            Procedure(windows=Windows((40, 48)), scales=(1.0, 2.0), merge="exp"),
        ),
    ],
)
def test_the_labels_are_those_of_the_procedure_that_was_asked_for(
    here: Path, words: list[str], procedure: Procedure
) -> None:
    write(here / "in" / "a.png", 3, (90, 120))
    assert predict("in", "-o", "out", *words) == 0
    with Segmenter.from_pretrained(here / "tiny") as segmenter:
        expected = segmenter(here / "in" / "a.png", procedure)
    assert expected.provenance["procedure"] == procedure.kind
    np.testing.assert_array_equal(labels_in(here / "out" / "a_labels.png"), expected.labels)


def test_options_alone_change_the_models_own_procedure(
    here: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Procedure("whole", Resize("short_side", 64, align_corners=False))
    tiny_artifact(tmp_path / "resizing", replace(tiny_model(), procedure=own))
    write(here / "in" / "a.png", 3, (90, 120))
    words = ["predict", "in", "-o", "out", "-m", str(tmp_path / "resizing")]
    assert main([*words, "--mirror", "horizontal"]) == 0
    with Segmenter.from_pretrained(tmp_path / "resizing") as segmenter:
        asked = replace(own, kind="custom", mirror="horizontal")
        expected = segmenter.predict(here / "in" / "a.png", asked)
    np.testing.assert_array_equal(labels_in(here / "out" / "a_labels.png"), expected.labels)
