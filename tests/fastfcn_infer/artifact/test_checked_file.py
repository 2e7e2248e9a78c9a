import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from fastfcn_infer.artifact import checked_file
from fastfcn_infer.artifact.checked_file import CheckedFile, check_file
from fastfcn_infer.errors import ArtifactError

WAS, IS = b"what was checked", b"what came after!"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(WAS)
    return path


@pytest.fixture(params=["settled", "young"])
def checked(
    request: pytest.FixtureRequest, path: Path, monkeypatch: pytest.MonkeyPatch
) -> CheckedFile:
    monkeypatch.setattr(checked_file, "_YOUNG", -1 if request.param == "settled" else 3600)
    found, facts = check_file(path)
    assert (found.settled, facts.size) == (request.param == "settled", len(WAS))
    time.sleep(0.05)  # the clock that file systems take times from may tick every 10 ms only
    return found


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(IS)
    os.utime(other, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    other.replace(path)


def overwrite(path: Path) -> None:
    before = path.stat()
    path.write_bytes(IS)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def shorten(path: Path) -> None:
    path.write_bytes(WAS[:-1])


def link(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(IS)
    path.unlink()
    path.symlink_to(other)


def remove(path: Path) -> None:
    path.unlink()


CHANGES = [replace, overwrite, shorten, link, remove]


def count(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    hashed: list[str] = []
    real = checked_file._facts

    def counted(file: BinaryIO) -> object:
        hashed.append("once")
        return real(file)

    monkeypatch.setattr(checked_file, "_facts", counted)
    return hashed


def test_a_file_that_stays_is_hashed_again_only_if_it_was_young(
    checked: CheckedFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = count(monkeypatch)
    assert checked.read() == WAS
    with checked.unchanged():
        pass
    assert len(hashed) == (0 if checked.settled else 2)


def test_a_file_that_was_only_touched_is_the_same(checked: CheckedFile) -> None:
    os.utime(checked.path)
    assert checked.read() == WAS
    with checked.unchanged():
        pass


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_since_is_neither_read_nor_opened(
    checked: CheckedFile, change: Callable[[Path], None]
) -> None:
    change(checked.path)
    with pytest.raises(ArtifactError, match="was checked"):
        checked.read()
    with pytest.raises(ArtifactError, match="was checked"), checked.unchanged():
        pytest.fail("the block ran")


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_during_the_block_is_noticed_also_behind_an_error(
    checked: CheckedFile, change: Callable[[Path], None]
) -> None:
    with pytest.raises(ArtifactError, match="was checked"), checked.unchanged():
        change(checked.path)
        raise RuntimeError("a runtime does not understand it")


def test_a_file_that_is_exchanged_and_put_back_during_the_block_is_noticed(
    checked: CheckedFile,
) -> None:
    aside = checked.path.with_name("aside")
    with pytest.raises(ArtifactError, match="was changed"), checked.unchanged():
        checked.path.replace(aside)
        checked.path.write_bytes(IS)
        os.utime(aside, (0, 0))
        aside.replace(checked.path)


def test_a_file_that_is_written_while_it_is_hashed_is_not_trusted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked_file, "_YOUNG", -1)

    def measure(file: BinaryIO) -> bytes:
        data = file.read()
        path.write_bytes(IS)
        return data

    os.utime(path, (0, 0))
    data, _, settled = checked_file.measured(path, measure)
    assert (data, settled) == (WAS, False)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_is_an_error_and_does_not_wait(checked: CheckedFile) -> None:
    checked.path.unlink()
    os.mkfifo(checked.path)
    with pytest.raises(ArtifactError, match="not a regular file"):
        checked.read()
    with pytest.raises(OSError, match="not a regular file"):
        check_file(checked.path)
