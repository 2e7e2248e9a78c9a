import inspect
from pathlib import Path

import cv2
import numpy as np
import pytest

from camvid_tree import camvid_tree
from command_line import PHOTOGRAPH, ROOT, python
from fastfcn_infer.data.dataset import open_dataset
from fastfcn_infer.segmenter import Segmenter

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


@pytest.fixture(scope="module")
def largest() -> str:
    with Segmenter.from_pretrained(threads=1) as segmenter:
        return next(iter(segmenter.predict(PHOTOGRAPH).areas()))


def example(name: str) -> Path:
    return ROOT / "examples" / name


def test_every_example_has_a_test_here() -> None:
    text = Path(inspect.getfile(test_every_example_has_a_test_here)).read_text(encoding="utf-8")
    assert EXAMPLES
    assert [path.name for path in EXAMPLES if f'"{path.name}"' not in text] == []


def test_segment_one_prints_the_areas_and_writes_the_overlay(tmp_path: Path, largest: str) -> None:
    ended = python(example("segment_one.py"), PHOTOGRAPH, cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    first, *rest = ended.stdout.splitlines()
    assert first.split()[0] == largest
    shares = [float(line.split()[-1].rstrip("%")) for line in (first, *rest)]
    assert shares == sorted(shares, reverse=True)
    # Each share is printed to a tenth of a percent.
    assert sum(shares) == pytest.approx(100, abs=0.05 * len(shares))
    overlay = cv2.imread(str(tmp_path / "overlay.jpg"))
    photograph = cv2.imread(str(PHOTOGRAPH))
    assert overlay is not None
    assert photograph is not None
    assert overlay.shape == photograph.shape


def test_cut_out_keeps_the_class_and_whitens_the_rest(tmp_path: Path, largest: str) -> None:
    target = tmp_path / "cut.png"
    ended = python(example("cut_out.py"), PHOTOGRAPH, largest, target)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    found = cv2.imread(str(target))
    assert found is not None
    with Segmenter.from_pretrained(threads=1) as segmenter:
        result = segmenter.predict(PHOTOGRAPH)
    mask = result.mask(largest)
    assert 0 < mask.mean() < 1
    np.testing.assert_array_equal(found[:, :, ::-1][mask], result.picture[mask])
    assert (found[~mask] == 255).all()


def test_many_threads_answers_in_order_and_a_bad_picture_is_one_line(
    tmp_path: Path, largest: str
) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_text("text")
    ended = python(example("many_threads.py"), PHOTOGRAPH, bad, PHOTOGRAPH)
    assert ended.returncode == 0
    assert ended.stdout == f"{PHOTOGRAPH}: mostly {largest}\n" * 2
    assert ended.stderr.startswith(f"{bad}: ")
    assert ended.stderr.count("\n") == 1


def test_worst_classes_are_those_of_the_lowest_iou_and_what_they_were_taken_for(
    tmp_path: Path,
) -> None:
    root = camvid_tree(tmp_path / "camvid")
    ended = python(example("worst_classes.py"), "camvid", root, "test")
    assert (ended.returncode, ended.stderr) == (0, "")
    head, *rows = ended.stdout.splitlines()
    with Segmenter.from_pretrained(threads=1) as segmenter:
        found = segmenter.evaluate(open_dataset("camvid", root, "test"))
    assert head == f"mean IoU {found.scores.mean_iou:.1%} on 6 pictures"
    assert len(rows) == 5
    worst = sorted(found.scores.iou)[:5]
    for row, iou in zip(rows, worst, strict=True):
        name, share, taken = row.replace(", mistaken for ", " ").split()
        assert share == f"{iou:.1%}"
        counts = found.confusion.counts[found.names.index(name)]
        wrong = {other: counts[label] for label, other in enumerate(found.names) if other != name}
        assert taken == "nothing" or wrong[taken] == max(wrong.values()) > 0
