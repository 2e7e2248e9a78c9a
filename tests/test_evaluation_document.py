"""The Python of docs/evaluation.md runs."""

import re
from pathlib import Path

import numpy as np
import pytest

from camvid_tree import camvid_artifact, camvid_tree
from fastfcn_infer import Segmenter

DOCUMENT = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text(encoding="utf-8")


def test_its_python_runs_and_ade20k_gets_labels_from_one_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pillow = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    camvid_artifact(tmp_path / "model")
    camvid_tree(tmp_path / "CamVid")
    picture = tmp_path / "CamVid" / "images" / "test" / "p0.png"
    with Segmenter.from_pretrained("model") as segmenter:
        result = segmenter.predict(picture)
    (tmp_path / "DIR").mkdir()
    result.save(tmp_path / "DIR" / "NAME.png")
    evaluating, submitting = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)
    names: dict[str, object] = {}
    exec(evaluating, names)  # the document's own words
    assert names["found"].pictures == 6  # type: ignore[attr-defined]
    exec(submitting, {})
    written = np.asarray(pillow.open(tmp_path / "NAME.png"))
    np.testing.assert_array_equal(written, result.labels + 1)
