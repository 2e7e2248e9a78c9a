"""``fastfcn-train align``: reports, exit codes and what is said where."""

import json
from pathlib import Path

import pytest

pytest.importorskip("paddle")

from alignment_reference import SMALL
from command_line import python
from fastfcn_infer.cli import exit_codes
from fastfcn_infer.system import record
from fastfcn_training.__main__ import main
from fastfcn_training.alignment.check import check_names
from fastfcn_training.alignment.reference import read_reference
from fastfcn_training.paddle_setup import start


@pytest.fixture(autouse=True)
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paddle is running already in the tests' process."""
    monkeypatch.setattr(start, "start", lambda device: (f"device: {device}",))


def align(folder: Path, *words: str | Path) -> int:
    return main(["align", "--reference", str(SMALL), "-o", str(folder), *map(str, words)])


def wrong_reference(folder: Path) -> Path:
    """The loss is a ten-thousandth of itself away from what it should be."""
    data = record.to_data(read_reference(SMALL))
    data["training"]["evaluation_loss"] *= 1.0001
    path = folder / "wrong.json"
    path.write_text(json.dumps(data))
    return path


def test_each_comparison_leaves_a_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert align(tmp_path / "reports") == exit_codes.FINE
    written = {path.name for path in (tmp_path / "reports").iterdir()}
    assert written == {f"{name}.{kind}" for name in check_names() for kind in ("json", "txt")}
    for name in check_names():
        report = json.loads((tmp_path / "reports" / f"{name}.json").read_text())
        assert report["passed"] is True
        assert report["comparison"] == name
        assert report["figures"]
        assert "numpy" in report["versions"]
    out, err = capsys.readouterr()
    assert out.count(": passed\n") == len(check_names())
    assert "aligned; the reports are in" in out
    assert "device: cpu" in err


def test_a_difference_exits_with_4_and_the_other_comparisons_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = ("--only", "loss_diff", "--only", "metric_diff")
    code = align(tmp_path, "--reference", wrong_reference(tmp_path), *only)
    assert code == exit_codes.NOT_VERIFIED
    assert json.loads((tmp_path / "loss_diff.json").read_text())["passed"] is False
    assert json.loads((tmp_path / "metric_diff.json").read_text())["passed"] is True
    out, _ = capsys.readouterr()
    assert "loss_diff: FAILED: 1 of 1 numbers differ" in out
    assert "NOT aligned" in out


def test_json_is_all_that_stands_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    only = ("--only", "loss_diff", "--only", "metric_diff")
    code = align(tmp_path, "--json", "--reference", wrong_reference(tmp_path), *only)
    assert code == exit_codes.NOT_VERIFIED
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is False
    assert {name: c["passed"] for name, c in found["comparisons"].items()} == {
        "loss_diff": False,
        "metric_diff": True,
    }


def test_a_file_that_holds_no_recorded_values_exits_with_6(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "reference.json"
    path.write_text("{}")
    code = align(tmp_path, "--reference", path, "--json")
    assert code == exit_codes.BAD_FILE
    assert json.loads(capsys.readouterr().out)["error"] == "ArtifactError"


def test_an_unknown_comparison_is_refused_and_the_known_ones_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert align(tmp_path, "--only", "train_diff") == exit_codes.USAGE
    assert "train_align_diff" in capsys.readouterr().err


def test_a_root_without_camvid_exits_with_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = align(tmp_path, "--only", "train_align_diff", "--camvid", tmp_path / "nothing")
    assert code == exit_codes.SOME_FAILED
    assert "camvid" in capsys.readouterr().err


def test_a_process_of_its_own_aligns_without_a_warning(tmp_path: Path) -> None:
    done = python(  # which makes every warning an error
        "-m", "fastfcn_training", "align", "--only", "metric_diff", "--only", "loss_diff",
        "--reference", SMALL, "-o", tmp_path, "--json",
    )  # fmt: skip
    assert done.returncode == exit_codes.FINE, done.stderr
    assert json.loads(done.stdout)["passed"] is True
