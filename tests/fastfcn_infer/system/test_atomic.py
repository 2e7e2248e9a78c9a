import os
import shutil
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command_line import content
from fastfcn_infer.errors import ArtifactError
from fastfcn_infer.system import atomic

CALLS = ("open", "write", "fsync", "replace", "rename", "mkdir", "link")
FILES = {
    "A": {"manifest.json": b"{}", "model.onnx": b"a" * 5000, "golden/labels.png": b"A"},
    "B": {"manifest.json": b"[]", "model.onnx": b"b" * 9000, "paddle/net.json": b"B"},
}


def fill(folder: Path, which: str) -> None:
    for name, data in FILES[which].items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def ours(folder: Path) -> set[str]:
    """Name the files of A and B, if a manifest makes the folder ours."""
    if not (folder / "manifest.json").exists():
        raise ArtifactError(f"{sorted(path.name for path in folder.iterdir())}: not ours")
    return {name for files in FILES.values() for name in files}


class FailNth:
    """Make the n-th system call of the given kinds fail, once."""

    def __init__(self, n: int) -> None:
        self.left = n

    def wrap(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise OSError(28, "No space left on device (injected)")
            return call(*args, **kwargs)

        return counted


def run_failing(monkeypatch: pytest.MonkeyPatch, n: int, work: Callable[[], None]) -> bool:
    """Run `work` with its n-th call failing; True when it came through with fewer calls."""
    fault = FailNth(n)
    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, fault.wrap(getattr(os, name)))
        try:
            work()
        except OSError as error:
            assert "injected" in str(error)
    return fault.left > 0


def test_a_file_is_old_or_new_whichever_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "picture.png"
    for n in range(1, 50):
        path.write_bytes(b"old")
        passed = run_failing(monkeypatch, n, lambda: atomic.write_file(path, b"new" * 10))
        assert path.read_bytes() in (b"old", b"new" * 10), n
        assert [entry.name for entry in tmp_path.iterdir()] == ["picture.png"], n
        if passed:
            assert path.read_bytes() == b"new" * 10
            break
    assert passed and n > 4


@pytest.mark.parametrize("swap", [True, False])
@pytest.mark.parametrize("existing", [True, False])
def test_a_folder_is_old_or_new_whichever_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: bool, existing: bool
) -> None:
    if not swap:
        monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    folder = tmp_path / "artifact"

    def work() -> None:
        with atomic.write_folder(folder, replace=ours) as partial:
            fill(partial, "B")

    before = FILES["A"] if existing else {}
    for n in range(1, 100):
        if existing:
            with atomic.write_folder(folder, replace=ours) as partial:
                fill(partial, "A")
        passed = run_failing(monkeypatch, n, work)
        atomic.recover(folder)
        assert content(folder) in (before, FILES["B"]), n
        atomic.sweep(tmp_path, older_than=-1)  # the failing call may have been the cleaning up
        left = [entry.name for entry in tmp_path.iterdir() if entry.name != "artifact"]
        assert left == [], n
        if passed:
            assert content(folder) == FILES["B"]
            break
        if not existing and folder.exists():
            shutil.rmtree(folder)
    assert passed and n > 8


def test_an_error_in_the_block_leaves_everything_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    with atomic.write_folder(folder, replace=None) as partial:
        fill(partial, "A")
    with (
        pytest.raises(ZeroDivisionError),
        atomic.write_folder(folder, replace=ours) as partial,
    ):
        fill(partial, "B")
        raise ZeroDivisionError
    assert content(folder) == FILES["A"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["artifact"]


def test_an_existing_artifact_stops_the_work_before_it_starts(tmp_path: Path) -> None:
    fill(tmp_path, "A")
    ran = False
    with (
        pytest.raises(FileExistsError, match="--force"),
        atomic.write_folder(tmp_path, replace=None),
    ):
        ran = True
    assert not ran
    assert content(tmp_path) == FILES["A"]


def test_a_folder_that_is_not_an_artifact_is_never_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "holiday.jpg").write_bytes(b"dear")
    with (
        pytest.raises(ArtifactError, match=r"holiday\.jpg"),
        atomic.write_folder(folder, replace=ours),
    ):
        pytest.fail("the block ran")
    assert content(folder) == {"holiday.jpg": b"dear"}
    with (
        pytest.raises(ArtifactError, match="is a file"),
        atomic.write_folder(folder / "holiday.jpg", replace=ours),
    ):
        pytest.fail("the block ran")


def test_a_folder_filled_by_somebody_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    with (
        pytest.raises(FileExistsError),
        atomic.write_folder(folder, replace=None) as partial,
    ):
        fill(partial, "B")
        folder.mkdir()
        fill(folder, "A")
    assert content(folder) == FILES["A"]


def test_an_empty_folder_is_replaced_when_asked(tmp_path: Path) -> None:
    with atomic.write_folder(tmp_path / "new", replace=ours) as partial:
        fill(partial, "A")
    (tmp_path / "empty").mkdir()
    with atomic.write_folder(tmp_path / "empty", replace=ours) as partial:
        fill(partial, "A")
    assert content(tmp_path / "empty") == FILES["A"]


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_to_an_artifact_stays_a_link(tmp_path: Path) -> None:
    with atomic.write_folder(tmp_path / "real", replace=None) as partial:
        fill(partial, "A")
    link = tmp_path / "latest"
    link.symlink_to("real")
    with atomic.write_folder(link, replace=ours) as partial:
        fill(partial, "B")
    assert link.is_symlink()
    assert content(tmp_path / "real") == FILES["B"]


@pytest.mark.skipif(os.name == "nt", reason="modes are a POSIX matter")
def test_results_follow_the_users_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        atomic.write_file(tmp_path / "file", b"")
        with atomic.write_folder(tmp_path / "folder", replace=None):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750


@pytest.mark.skipif(os.name == "nt", reason="names may be shorter there")
def test_a_name_as_long_as_the_file_system_allows_can_be_written(tmp_path: Path) -> None:
    atomic.write_file(tmp_path / ("n" * 255), b"x")
    assert (tmp_path / ("n" * 255)).read_bytes() == b"x"


def test_sweeping_takes_our_old_leftovers_and_nothing_else(tmp_path: Path) -> None:
    ours = tmp_path / ".artifact.0123456789abcdef.partial"
    young = tmp_path / ".artifact.fedcba9876543210.partial"
    theirs = [tmp_path / ".config.partial", tmp_path / "x.0123456789abcdef.partial"]
    for path in (ours, young, *theirs):
        path.mkdir()
        (path / "file").write_bytes(b"x")
    file = tmp_path / ".fastfcn.0123456789abcdef.partial"
    file.write_bytes(b"x")
    for path in (ours, file, *theirs):
        os.utime(path, (time.time() - 90000,) * 2)
    atomic.sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([young, *theirs])


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be locked on Windows")
def test_a_folder_that_is_being_filled_is_not_swept_however_long_that_takes(
    tmp_path: Path,
) -> None:
    week_ago = time.time() - 7 * 86400
    with atomic.write_folder(tmp_path / "new", replace=None) as partial:
        (partial / "file").write_bytes(b"data")
        os.utime(partial, (week_ago, week_ago))
        atomic.sweep(tmp_path)
        atomic.sweep(tmp_path, older_than=0)
    assert (tmp_path / "new" / "file").read_bytes() == b"data"
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_where_folders_cannot_be_locked_their_age_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")

    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    week_ago = time.time() - 7 * 86400
    with atomic.write_folder(tmp_path / "new", replace=None) as partial:
        atomic.sweep(tmp_path)
        assert partial.is_dir()
        os.utime(partial, (week_ago, week_ago))
        atomic.sweep(tmp_path)
        assert not partial.exists()
        partial.mkdir()


def test_a_replacement_cut_off_between_its_two_renames_is_undone(tmp_path: Path) -> None:
    folder = tmp_path / "artifact"
    fill_target = tmp_path / ".artifact.0123456789abcdef.old"
    fill_target.mkdir()
    fill(fill_target, "A")
    atomic.recover(folder)
    assert content(folder) == FILES["A"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["artifact"]


MINE = {"notes.txt": b"1", ".hidden": b"2", "golden/my.png": b"3", "sub/deep/file": b"4"}


def with_mine(folder: Path) -> Path:
    folder.mkdir()
    fill(folder, "A")
    for name, data in MINE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "empty").mkdir()
    return folder


@pytest.mark.parametrize("swap", [True, False])
@pytest.mark.parametrize("links", [True, False])
def test_files_that_are_not_ours_are_kept_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: bool, links: bool
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "no hard links here")

    if not swap:
        monkeypatch.setattr(atomic, "_exchange", lambda first, second: False)
    if not links:
        monkeypatch.setattr(os, "link", refuse)
    folder = with_mine(tmp_path / "artifact")
    (folder / "link").symlink_to("../elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_bytes(b"5")
    with (
        pytest.warns(
            RuntimeWarning, match=r"\.hidden, empty, golden/my\.png, late, link, notes\.txt"
        ),
        atomic.write_folder(folder, replace=ours) as partial,
    ):
        fill(partial, "B")
        # What appears while the block runs is kept as well.
        (folder / "late").write_bytes(b"6")
    assert content(folder) == {**FILES["B"], **MINE, "late": b"6"}
    assert (folder / "empty").is_dir()
    assert (folder / "link").is_symlink()
    assert content(tmp_path / "elsewhere") == {"file": b"5"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artifact", "elsewhere"]


def test_what_appears_at_the_last_moment_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = with_mine(tmp_path / "artifact")
    take = atomic._take_place

    def interrupted(*given: Any) -> None:
        (folder / "sub" / "late").write_bytes(b"6")
        take(*given)

    monkeypatch.setattr(atomic, "_take_place", interrupted)
    with pytest.warns(RuntimeWarning), atomic.write_folder(folder, replace=ours) as partial:
        fill(partial, "B")
    assert content(folder) == {**FILES["B"], **MINE, "sub/late": b"6"}


@pytest.mark.parametrize(
    ("mine", "new"), [("x", "x"), ("x", "x/y"), ("x/y", "x"), ("link", "link/y")]
)
def test_a_file_of_somebody_else_with_the_name_of_a_new_one_stops_the_replacement(
    tmp_path: Path, mine: str, new: str
) -> None:
    folder = tmp_path / "artifact"
    folder.mkdir()
    fill(folder, "A")
    (folder / mine).parent.mkdir(exist_ok=True)
    if mine == "link":
        (tmp_path / "elsewhere").mkdir()
        (folder / mine).symlink_to(tmp_path / "elsewhere")
    else:
        (folder / mine).write_bytes(b"mine")
    before = content(folder)
    with (
        pytest.raises(ArtifactError, match="move it away") as caught,
        atomic.write_folder(folder, replace=ours) as partial,
    ):
        fill(partial, "B")
        (partial / new).parent.mkdir(exist_ok=True)
        (partial / new).write_bytes(b"new")
    assert str(folder / mine) in str(caught.value)
    assert content(folder) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"artifact", "elsewhere"}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_folder_with_a_pipe_is_not_replaced(tmp_path: Path) -> None:
    fill(tmp_path, "A")
    os.mkfifo(tmp_path / "pipe")
    with (
        pytest.raises(ArtifactError, match="pipe"),
        atomic.write_folder(tmp_path, replace=ours) as partial,
    ):
        fill(partial, "B")
    assert (tmp_path / "model.onnx").read_bytes() == FILES["A"]["model.onnx"]


def test_the_other_files_survive_whichever_call_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def work() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with atomic.write_folder(folder, replace=ours) as partial:
                fill(partial, "B")

    for n in range(1, 200):
        folder = with_mine(tmp_path / "artifact")
        passed = run_failing(monkeypatch, n, work)
        assert content(folder) in ({**FILES["A"], **MINE}, {**FILES["B"], **MINE}), n
        shutil.rmtree(folder)
        if passed:
            break
    assert passed and n > 12


@pytest.mark.skipif(os.name == "nt", reason="files cannot be locked on Windows")
def test_a_file_that_is_being_written_is_not_swept_and_one_that_was_left_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = tmp_path / ".fastfcn.0123456789abcdef.partial"
    left.write_bytes(b"half")  # a moment ago, by a process that is gone
    real, seen = os.fsync, []

    def sweep(descriptor: int) -> None:
        real(descriptor)
        for mine in {path for path in tmp_path.iterdir() if ".partial" in path.name} - {left}:
            os.utime(mine, (time.time() - 60,) * 2)
            atomic.sweep(tmp_path, atomic.ABANDONED)
            seen.append(mine.exists())

    monkeypatch.setattr(os, "fsync", sweep)
    atomic.write_file(tmp_path / "file", b"whole")
    assert seen == [True]
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert not left.exists()


@pytest.mark.skipif(os.name == "nt", reason="files cannot be locked on Windows")
def test_a_new_file_that_was_taken_for_one_that_was_left_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    real = fcntl.flock
    taken: list[Path] = []

    def late(descriptor: int, how: int) -> None:
        if how & fcntl.LOCK_SH and not taken:  # another process sweeps before the file is locked
            taken.extend(tmp_path.iterdir())
            atomic.sweep(tmp_path)
        real(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    atomic.write_file(tmp_path / "file", b"whole")
    assert len(taken) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"whole"
