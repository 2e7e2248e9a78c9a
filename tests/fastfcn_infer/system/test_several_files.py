"""Several files that are written together are each old or new at every moment."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastfcn_infer.errors import WriteError
from fastfcn_infer.system.several_files import write_files


def fail_at(monkeypatch: pytest.MonkeyPatch, calls: tuple[str, ...], nth: int) -> list[str]:
    """Let the nth of some system calls fail; return the list that they are recorded in."""
    made: list[str] = []

    def wrapped(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **options: Any) -> Any:
            made.append(name)
            if len(made) == nth:
                raise OSError(28, "No space left on device")
            return call(*args, **options)

        return counted

    for name in calls:
        monkeypatch.setattr(os, name, wrapped(name, getattr(os, name)))
    return made


def test_files_are_written_whole_and_replace_older_ones(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    files = {tmp_path / "a": b"a" * 100_000, tmp_path / "b": b"", tmp_path / "below" / "c": b"c"}
    (tmp_path / "a").write_bytes(b"old")
    write_files(files)
    write_files({})
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == files


def test_whichever_call_fails_each_file_is_old_or_new_and_nothing_else_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = tmp_path / "one", tmp_path / "two"
    made: list[str] = []
    for nth in range(1, 20):
        for path in paths:
            path.write_bytes(b"old")
        with monkeypatch.context() as patch:
            made = fail_at(patch, ("open", "write", "fsync", "replace"), nth)
            try:
                write_files(dict.fromkeys(paths, b"new"))
            except WriteError as error:
                assert error.filename in (*map(str, paths), str(tmp_path))
        found = [path.read_bytes() for path in paths]
        assert set(found) <= {b"old", b"new"}
        assert sorted(tmp_path.iterdir()) == [*paths]
        if "replace" not in made[:nth]:
            assert found == [b"old", b"old"]
        if len(made) < nth:
            break
    assert found == [b"new", b"new"]
    assert (
        len(made) == 10
    )  # two files are opened, written, flushed and renamed, one folder is opened and flushed


def test_all_are_flushed_before_the_first_is_renamed_and_their_folder_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fail_at(monkeypatch, ("fsync", "replace"), 0)
    write_files({tmp_path / "one": b"1", tmp_path / "two": b"2"})
    assert made == ["fsync", "fsync", "replace", "replace", "fsync"]
