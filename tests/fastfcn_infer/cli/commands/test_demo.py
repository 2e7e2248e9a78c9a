import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from command_line import PHOTOGRAPH, fastfcn
from fastfcn_infer.cli.main import main
from fastfcn_infer.segmenter import Segmenter

LABELS, OVERLAY = "fastfcn_demo_labels.png", "fastfcn_demo_overlay.jpg"


def test_the_demo_writes_the_labels_and_the_overlay_of_the_photograph(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pillow = pytest.importorskip("PIL.Image")
    assert main(["demo", "-o", str(tmp_path / "new" / "folder"), "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    folder = tmp_path / "new" / "folder"
    assert report["written"] == [str(folder / LABELS), str(folder / OVERLAY)]
    assert sum(report["areas"].values()) == pytest.approx(1)
    assert report["seconds"] == pytest.approx(sum(report["timings"].values()))
    assert err == ""
    with Segmenter.from_pretrained(threads=1) as segmenter:
        expected = segmenter.predict(PHOTOGRAPH).labels
    np.testing.assert_array_equal(np.asarray(pillow.open(folder / LABELS)), expected)
    overlay = cv2.imread(str(folder / OVERLAY))
    assert overlay is not None
    assert overlay.shape == (*expected.shape, 3)


def test_from_a_shell_the_demo_needs_nothing_and_tells_what_it_saw(
    tmp_path: Path,
) -> None:
    ended = fastfcn("demo", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == [LABELS, OVERLAY]
    for part in ("street.jpg, 614 x 920", "public domain", "road", "runtime", "time"):
        assert part in ended.stdout


def test_a_runtime_that_is_not_there_is_exit_code_5(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["demo", "-o", str(tmp_path), "--device", "cuda:77", "--json"]) == 5
    assert json.loads(capsys.readouterr().out)["code"] == 5
    assert list(tmp_path.iterdir()) == []
