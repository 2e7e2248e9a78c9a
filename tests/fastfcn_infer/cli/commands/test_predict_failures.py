"""One picture or one result that fails does not end the run; the rest is done, exit 3."""

import errno
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fastfcn_infer.cli import earlier_results
from fastfcn_infer.cli.main import main
from fastfcn_infer.errors import BackendError, ImageError
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.runtime import pace as module
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system.machine import MemoryBudget
from models import tiny_artifact

WORDS = ["predict", "in", "-o", "out", "-m", "tiny", "--threads", "1"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and three pictures, the second larger, which is the current one."""
    tiny_artifact(tmp_path / "tiny")
    (tmp_path / "in").mkdir()
    for name, size in (("a", 40), ("b", 64), ("c", 40)):
        cv2.imwrite(str(tmp_path / "in" / f"{name}.png"), np.zeros((size, 50, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def of_opencv(code: int, text: str) -> cv2.error:
    error = cv2.error(text)
    error.code = code
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("5 GiB"),
        BackendError("the runtime refused"),
        OSError(errno.EIO, "bad"),
        of_opencv(cv2.Error.StsNoMem, "Insufficient memory"),
        of_opencv(cv2.Error.StsAssert, "Assertion failed"),
    ],
)
@pytest.mark.parametrize("stage", ["_label", "save_each"])
def test_the_rest_is_done_and_the_picture_is_listed_with_its_reason(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    stage: str,
) -> None:
    kind: type[Any] = Segmenter if stage == "_label" else Segmentation
    real = getattr(kind, stage)

    def fail(self: Any, *given: Any, **options: Any) -> Any:
        names = [self.source] if stage == "save_each" else [one.item.source for one in given[0]]
        if any(Path(name).name.startswith("b") for name in names):
            raise error
        return real(self, *given, **options)

    monkeypatch.setattr(kind, stage, fail)
    assert main(WORDS) == 3
    out, err = capsys.readouterr()
    assert out == "2 of 3 pictures segmented\n1 failed\n"
    assert err.startswith("failed: in/b.png: ")
    assert str(error) in err
    assert sorted(path.name for path in (here / "out").iterdir()) == [
        "a_labels.png",
        "c_labels.png",
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_disk_ends_the_run(
    here: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, "no more")

    monkeypatch.setattr(Segmentation, "save_each", fail)
    assert main(WORDS) not in (0, 1, 3)


def test_what_cannot_fit_into_memory_is_refused_with_the_figure(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    budget = MemoryBudget(1 << 20, "the memory of this container")
    monkeypatch.setattr(module, "memory_budget", lambda: budget)
    with (
        Segmenter.from_pretrained("tiny", threads=1) as segmenter,
        pytest.raises(
            ImageError, match=r"64 x 50 .* needs about \d\.\d GiB .*container, 0\.0 GiB"
        ),
    ):
        segmenter("in/b.png")
    assert main(WORDS) == 3
    assert capsys.readouterr().err.count("needs about") == 3


def test_an_interruption_says_how_many_are_done(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = Segmentation.save_each

    def stop(self: Segmentation, paths: Any) -> Any:
        if Path(str(self.source)).name.startswith("b"):
            raise KeyboardInterrupt
        return real(self, paths)

    monkeypatch.setattr(Segmentation, "save_each", stop)
    assert main(WORDS) == 130
    assert "interrupted: 1 of 3 pictures are done" in capsys.readouterr().err


def test_the_command_alone_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "predict" in capsys.readouterr().out


def test_quiet_prints_failures_only(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "in" / "notes.txt").write_text("x")
    assert main([*WORDS, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    (here / "in" / "d.png").write_text("text")
    assert main([*WORDS, "--quiet"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("failed: in/d.png: ")


def test_a_picture_that_vanishes_while_it_is_labelled_is_not_called_a_result(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = earlier_results.hash_picture

    def vanish(path: Path) -> str:
        if path.name == "b.png":
            path.unlink()
        return real(path)

    monkeypatch.setattr(earlier_results, "hash_picture", vanish)
    assert main(WORDS) == 3
    assert "b.png cannot be read any more: No such file" in capsys.readouterr().err
