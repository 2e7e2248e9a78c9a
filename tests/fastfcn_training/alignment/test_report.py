"""A report says all numbers as data and the worst in words; what is not a number fails."""

import json
import math
from pathlib import Path

import pytest

from fastfcn_training.alignment.check import Comparison, Figure, absolute, relative
from fastfcn_training.alignment.report import report_data, report_text, write_report

GOOD = relative("good", 2.0, 2.0002, 1e-3)
BAD = absolute("bad", 3.0, 2.0, 1e-3)
BROKEN = relative("broken", math.nan, 2.0, 1e-3)


def comparison(*figures: Figure) -> Comparison:
    return Comparison("what we have", "what they have", "relative", figures)


def test_a_difference_is_of_the_kind_that_was_asked_for() -> None:
    assert GOOD.difference == pytest.approx(1e-4, rel=1e-3)
    assert BAD.difference == 1.0
    assert relative("", 0.25, 0.0, 1.0).difference == 0.25  # nothing to be relative to
    assert relative("", 1e-9, 2e-9, 1.0, floor=1e-6).difference == pytest.approx(1e-3)
    assert relative("", -3.0, -2.0, 1.0, floor=1e-6).difference == 0.5


def test_one_number_that_differs_fails_the_whole() -> None:
    assert comparison(GOOD, GOOD).passed
    assert not comparison(GOOD, BAD).passed
    assert not comparison(GOOD, BROKEN).passed
    assert not comparison().passed  # nothing compared is nothing shown


def test_the_worst_come_first() -> None:
    names = [figure.name for figure in comparison(GOOD, BROKEN, BAD).ranked]
    assert names == ["broken", "bad", "good"]
    exact = relative("exact", 1.0, 1.0, 0.0)  # 0 of what is allowed, which is 0
    assert [figure.name for figure in comparison(exact, GOOD).ranked] == ["good", "exact"]


def test_the_text_says_the_verdict_and_marks_what_failed() -> None:
    text = report_text("loss_diff", comparison(GOOD, BAD, BROKEN))
    assert text.startswith("loss_diff: FAILED: 2 of 3 numbers differ\n")
    assert {line.split()[0] for line in text.splitlines() if line.endswith("FAILED")} == {
        "bad",
        "broken",
    }
    assert "what we have" in text
    assert "what they have" in text
    assert report_text("loss_diff", comparison(GOOD)).startswith("loss_diff: passed\n")


def test_the_text_shows_the_worst_of_many() -> None:
    many = [relative(f"number {i}", 1.0 + i / 1000, 1.0, 1.0) for i in range(300)]
    text = report_text("bp_align_diff", comparison(*many))
    assert "300; the largest differences" in text
    assert "number 299" in text
    assert "number 200" not in text
    assert len(text.splitlines()) < 20


def test_the_data_are_json_whatever_the_numbers_are() -> None:
    data = report_data(comparison(GOOD, BROKEN))
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    good, broken = data["figures"]
    assert good == {
        "name": "good",
        "found": 2.0,
        "expected": 2.0002,
        "difference": GOOD.difference,
        "allowed": 1e-3,
        "passed": True,
    }
    assert (broken["found"], broken["difference"], broken["passed"]) == (None, None, False)


def test_both_files_are_written(tmp_path: Path) -> None:
    write_report(tmp_path, "loss_diff", comparison(GOOD), {"numpy": "1"}, 2.345)
    data = json.loads((tmp_path / "loss_diff.json").read_text())
    assert data["comparison"] == "loss_diff"
    assert (data["passed"], data["versions"], data["seconds"]) == (True, {"numpy": "1"}, 2.3)
    assert (tmp_path / "loss_diff.txt").read_text() == report_text("loss_diff", comparison(GOOD))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["loss_diff.json", "loss_diff.txt"]
