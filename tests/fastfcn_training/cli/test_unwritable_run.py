"""A training whose folder cannot be written ends with exit code 9 and names it: at once, and later."""

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("safetensors")

from camvid_tree import camvid_tree
from fastfcn_infer.cli import exit_codes
from fastfcn_infer.errors import WriteError
from fastfcn_infer.system import record
from fastfcn_training import __main__ as command
from fastfcn_training.errors import NotSaved, TrainingError
from fastfcn_training.loop.log import TrainingLog
from small_trainings import RECIPE


@pytest.mark.parametrize("target", ["file/deep", "file/deep/er"])
def test_a_folder_that_cannot_be_made_is_named_before_anything_is_learned(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    target: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_bytes(b"x")
    camvid_tree(tmp_path / "camvid", split="train")
    camvid_tree(tmp_path / "camvid", split="val")
    recipe = replace(
        RECIPE,
        data=replace(RECIPE.data, dataset="camvid"),
        losses=replace(RECIPE.losses, class_weights=()),
    )
    (tmp_path / "recipe.json").write_text(record.to_json(recipe), encoding="utf-8")
    words = ["--recipe", "recipe.json", "--root", "camvid", "-o", target]
    assert command.main(words) == exit_codes.NOT_WRITTEN == 9
    assert capsys.readouterr().err.startswith(f"WriteError: {target} cannot be written: ")


@pytest.mark.parametrize(("kind", "code"), [(NotSaved, 9), (TrainingError, 8)])
def test_what_cannot_be_saved_has_another_code_than_what_cannot_be_learned(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception], code: int
) -> None:
    def fail(_: object) -> int:
        raise kind("what is wrong")

    monkeypatch.setattr(command, "_train", fail)
    assert command.main([]) == code


def test_a_log_on_a_full_disk_is_named_also_when_it_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def write(self, _: bytes) -> Any:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        close = flush = lambda self: self.write(b"")

    for end in ("write", "close"):
        log = TrainingLog(tmp_path / end, visible=False)
        assert log._file is not None
        log._file.close()
        log._file = Full()  # type: ignore[assignment]
        with pytest.raises(WriteError) as caught, log:
            if end == "write":
                log.write("step", "text", 1)
        assert caught.value.filename == str(tmp_path / end / "log.jsonl")
        assert caught.value.errno == errno.ENOSPC
