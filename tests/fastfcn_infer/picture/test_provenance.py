"""The text inside a result that says what made it."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from fastfcn_infer.picture.provenance import read_provenance, with_provenance

FACTS = {"fastfcn-infer": "1", "model": "Straße 😀", "long": "x" * 5000}
PICTURE = np.random.default_rng(0).integers(0, 256, (64, 70, 3), np.uint8)


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_a_picture_keeps_its_pixels_and_says_what_made_it(tmp_path: Path, ending: str) -> None:
    plain = cv2.imencode(ending, PICTURE)[1].tobytes()
    path = tmp_path / f"a{ending}"
    path.write_bytes(with_provenance(plain, FACTS))
    assert read_provenance(path) == FACTS
    before = cv2.imdecode(np.frombuffer(plain, np.uint8), cv2.IMREAD_UNCHANGED)
    after = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(before, after)
    pillow = pytest.importorskip("PIL.Image")
    opened = pillow.open(path)
    opened.verify()  # checks the checksums of a PNG file


def test_other_files_and_too_long_facts_leave_the_bytes_as_they_are() -> None:
    png = cv2.imencode(".png", PICTURE)[1].tobytes()
    assert with_provenance(b"RIFF", FACTS) == b"RIFF"
    assert with_provenance(png, {"a": "x" * 70_000}) == png
    assert with_provenance(png, {}) == png


@pytest.mark.parametrize("ending", [".png", ".jpg", ".json"])
def test_what_is_cut_off_or_of_others_says_nothing(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    whole = b'{"provenance": {"model": "mine"}}'
    if ending != ".json":
        whole = with_provenance(cv2.imencode(ending, PICTURE)[1].tobytes(), {"other": "x"})
    for length in [*range(40), len(whole) // 2, len(whole) - 20, len(whole)]:
        path.write_bytes(whole[: max(length, 0)])
        assert read_provenance(path) is None
    path.write_text('{"provenance": ' + "[" * 100_000)
    assert read_provenance(path) is None
    assert read_provenance(tmp_path / "gone.png") is None
