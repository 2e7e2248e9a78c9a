"""What cannot be written is an error about the path that was asked for, and nothing half-written stays."""

import errno
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from fastfcn_infer.errors import FastFCNError, WriteError
from fastfcn_infer.system import atomic
from fastfcn_infer.system.writing import check_folder, make_folder, writing

KINDS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EIO)


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("number", KINDS)
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace"])
def test_a_file_is_written_whole_or_the_error_names_it_and_what_was_there_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    target = tmp_path / "result.png"
    atomic.write_file(target, b"before")

    def fail(*given: Any, **_: Any) -> Any:
        raise OSError(number, os.strerror(number), *map(str, given[:1] if call == "open" else ()))

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with pytest.raises(WriteError) as caught:
            atomic.write_file(target, b"after")
    error = caught.value
    assert (error.errno, error.filename) == (number, str(target))
    assert str(error).startswith(f"{target} cannot be written: {os.strerror(number)}. ")
    assert ".partial" not in str(error)
    assert issubclass(WriteError, FastFCNError)
    assert everything(tmp_path) == ["result.png"]
    assert target.read_bytes() == b"before"


@pytest.mark.parametrize("number", KINDS)
@pytest.mark.parametrize("call", ["mkdir", "fsync", "rename"])
def test_a_folder_is_written_whole_or_the_error_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, call: str
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)

    def fail(*given: Any, **_: Any) -> Any:
        named = [] if call == "fsync" else [str(given[0])]
        raise OSError(number, os.strerror(number), *named)

    with monkeypatch.context() as patch:
        patch.setattr(os, call, fail)
        with (
            pytest.raises(WriteError) as caught,
            atomic.write_folder(Path("link/artifact"), replace=None) as partial,
        ):
            (partial / "file").write_bytes(b"x")
    assert caught.value.filename == "link/artifact"
    assert caught.value.errno == number
    assert everything(tmp_path) == ["link", "real"]


def test_an_error_about_another_file_while_a_folder_is_filled_stays_what_it_is(
    tmp_path: Path,
) -> None:
    for error in (
        FileNotFoundError(errno.ENOENT, "gone", "checkpoint.pth"),
        PermissionError(errno.EACCES, "no", str(tmp_path / "other")),
        OSError("without a number"),
        WriteError(errno.ENOSPC, "full", "elsewhere"),
    ):
        with (
            pytest.raises(type(error)) as caught,
            atomic.write_folder(tmp_path / "a", replace=None),
        ):
            raise error
        assert caught.value is error
    for full in (
        OSError(errno.ENOSPC, "full"),  # as writing to an open file gives it
        OSError(errno.EACCES, "no", "source", None, str(tmp_path / ".partial" / "copy")),
        WriteError(errno.EACCES, "no", str(tmp_path / ".partial" / "manifest.json")),
    ):
        with pytest.raises(WriteError) as found, writing("asked", tmp_path / ".partial"):
            raise full
        assert found.value.filename == "asked"


def test_a_folder_that_cannot_be_made_or_written_is_refused_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(b"x")
    for folder in (Path("file"), Path("file/deep/er")):
        for refuse in (check_folder, make_folder):
            with pytest.raises(WriteError, match=f"^{folder} cannot be written: .*is a file"):
                refuse(folder)
    for folder in (Path(), Path("new/deep"), tmp_path / "new"):
        check_folder(folder)
    assert everything(tmp_path) == ["file"]
    make_folder(Path("new/deep"))
    make_folder(Path("new/deep"))
    assert everything(tmp_path) == ["file", "new", "new/deep"]


@pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() == 0, reason="modes do not bind an administrator"
)
def test_a_folder_without_the_right_to_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0o500)
    for folder in (tmp_path / "mine", tmp_path / "mine" / "deep"):
        with pytest.raises(WriteError, match=f"^{folder} cannot be written: Permission denied"):
            check_folder(folder)
