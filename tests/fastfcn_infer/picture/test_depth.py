"""Fewer bits in 16: noticed, and read right where the number of bits is given."""

import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fastfcn_infer.cli.main import main
from fastfcn_infer.errors import ImageError
from fastfcn_infer.picture.read import read_picture


def ramp(bits: int) -> Any:
    """Every value of some bits, in an array of 16."""
    return np.arange(1 << bits, dtype=np.uint16).reshape(16, -1)


@pytest.mark.parametrize("bits", range(8, 17))
def test_white_of_any_depth_becomes_255_and_all_values_are_rounded(bits: int) -> None:
    found = read_picture(ramp(bits), depth=bits)[..., 0]
    exact = ramp(bits).astype(np.float64) * 255 / ((1 << bits) - 1)
    assert (found == np.floor(exact + 0.5)).all()
    assert (found.min(), found.max()) == (0, 255)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("bits", [10, 12, 14])
def test_a_file_that_uses_fewer_bits_is_noticed_and_the_option_is_named(
    tmp_path: Path, suffix: str, bits: int
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(cv2.imencode(suffix, np.dstack([ramp(bits)] * 3))[1].tobytes())
    with pytest.warns(RuntimeWarning, match=rf"no value above .* depth={bits} \(--depth {bits}\)"):
        assert read_picture(path).max() == round(((1 << bits) - 1) / 257)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(path, depth=bits).max() == 255


def test_arrays_and_pil_images_are_noticed_too() -> None:
    with pytest.warns(RuntimeWarning, match="depth=12"):
        read_picture(ramp(12))
    with pytest.warns(RuntimeWarning, match="depth=12"):
        read_picture(Image.fromarray(ramp(12)))
    assert read_picture(Image.fromarray(ramp(12)), depth=12).max() == 255


def test_all_bits_a_black_picture_and_shifted_values_are_no_reason_to_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_picture(ramp(16))
        read_picture(np.zeros((4, 4), np.uint16))
        assert read_picture(ramp(12) << 4).max() == 255


def test_values_beyond_the_depth_and_pictures_of_other_bits_are_refused() -> None:
    with pytest.raises(ImageError, match=r"up to 4095; depth=10 allows 1023.* at least 12"):
        read_picture(ramp(12), depth=10)
    for other in (np.zeros((2, 2), np.uint8), np.zeros((2, 2)), np.zeros((2, 2), bool)):
        with pytest.raises(ImageError, match="depth=12 is for pixels of 16 bits"):
            read_picture(other, depth=12)
    for depth in (7, 17, 0, -12):
        with pytest.raises(ValueError, match="8 to 16 bits"):
            read_picture(ramp(12), depth=depth)


def test_the_command_has_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dark.png").write_bytes(cv2.imencode(".png", ramp(12))[1].tobytes())
    assert main(["predict", "dark.png", "-o", "out", "--depth", "12"]) == 0
    assert "16 bits" not in capsys.readouterr().err
    assert main(["predict", "dark.png", "-o", "out", "--force", "--depth", "11"]) == 3
    assert "depth=11 allows 2047" in "".join(capsys.readouterr())
    assert main(["predict", "dark.png", "-o", "out", "--force", "--depth", "40"]) == 2
    assert "8 to 16 bits" in capsys.readouterr().err
