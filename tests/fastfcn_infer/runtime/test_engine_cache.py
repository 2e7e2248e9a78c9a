import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from fastfcn_infer.runtime.engine_cache import Engines, UnsafeCacheError
from fastfcn_infer.system import atomic

THIS = {"graph": "a" * 64, "runtime": "1.31", "gpu": "H100"}


def compile_in(root: Path, identity: Mapping[str, str] = THIS, engine: bytes = b"engine") -> bool:
    """Do what a runtime does; False where it found its engine."""
    engines = Engines(root, identity)
    file = engines.folder / "net.engine"
    compiled = not file.exists()
    if compiled:
        file.write_bytes(engine)
    assert file.read_bytes() == engine
    engines.keep()
    engines.close()
    assert not engines.folder.exists()
    return compiled


def entry_of(root: Path) -> Path:
    (entry,) = root.iterdir()
    return entry


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "engines"


def test_what_was_compiled_once_is_there_the_next_time(root: Path) -> None:
    assert [compile_in(root) for _ in range(3)] == [True, False, False]


@pytest.mark.parametrize("changed", [*THIS, "driver"])
def test_whatever_an_engine_depends_on_makes_another(root: Path, changed: str) -> None:
    compile_in(root)
    assert compile_in(root, {**THIS, changed: "other"}, b"another")
    assert not compile_in(root)


def damage_first_byte(entry: Path) -> None:
    flip(entry, 0)


def damage_hash(entry: Path) -> None:
    flip(entry, 31)


def damage_engine(entry: Path) -> None:
    flip(entry, entry.read_bytes().index(b"engine", 100))


def damage_last_byte(entry: Path) -> None:
    flip(entry, -1)


def flip(entry: Path, where: int) -> None:
    data = bytearray(entry.read_bytes())
    data[where] ^= 1
    entry.write_bytes(data)


def damage_cut(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes()[:-1])


def damage_appended(entry: Path) -> None:
    entry.write_bytes(entry.read_bytes() + b"more")


def damage_empty(entry: Path) -> None:
    entry.write_bytes(b"")


def damage_something_else(entry: Path) -> None:
    entry.write_bytes(b"evil" * 1000)


def damage_swapped(entry: Path) -> None:
    """A whole entry of ours, but of something else."""
    root = entry.parent
    compile_in(root, {**THIS, "gpu": "other"}, b"other")
    (other,) = (path for path in root.iterdir() if path != entry)
    other.replace(entry)


def damage_folder(entry: Path) -> None:
    entry.unlink()
    entry.mkdir()
    (entry / "net.engine").write_bytes(b"evil")


FAULTS = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", FAULTS, ids=lambda damage: damage.__name__)
def test_anything_but_what_was_kept_is_compiled_again_and_then_kept(
    root: Path, damage: object
) -> None:
    compile_in(root)
    assert callable(damage)
    damage(entry_of(root))
    assert [compile_in(root), compile_in(root)] == [True, False]
    entry_of(root)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_cache_is_for_this_user_alone(root: Path) -> None:
    compile_in(root)
    assert root.stat().st_mode & 0o777 == 0o700
    engines = Engines(root, THIS)
    assert engines.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize("mode", [0o755, 0o770, 0o701])
def test_a_folder_that_others_may_enter_is_refused(root: Path, mode: int) -> None:
    root.mkdir(parents=True)
    root.chmod(mode)
    with pytest.raises(UnsafeCacheError, match="open to others"):
        Engines(root, THIS)
    assert list(root.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_link_in_the_place_of_the_cache_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    root.parent.mkdir()
    root.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeCacheError, match="link"):
        Engines(root, THIS)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such owners")
def test_a_folder_or_an_entry_of_another_user_is_not_used(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_in(root)
    real = os.fstat

    def others(descriptor: int) -> os.stat_result:
        fields = list(real(descriptor))
        fields[4] = os.geteuid() + 1
        return os.stat_result(fields)

    monkeypatch.setattr(os, "fstat", others)
    assert compile_in(root)
    monkeypatch.undo()
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.raises(UnsafeCacheError, match="belongs to another user"):
        Engines(root, THIS)


def test_what_could_not_be_kept_is_an_error_and_is_not_taken_for_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = Engines(root, THIS)

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "write_file", full)
        (engines.folder / "net.engine").write_bytes(b"engine")
        with pytest.raises(OSError, match="No space left"):
            engines.keep()
    engines.keep()  # nothing new, so nothing is tried
    (engines.folder / "second.engine").write_bytes(b"second")
    engines.keep()
    engines.close()
    again = Engines(root, THIS)
    assert sorted(path.name for path in again.folder.iterdir()) == ["net.engine", "second.engine"]


def test_a_folder_that_is_gone_is_an_error_of_keeping(root: Path) -> None:
    engines = Engines(root, THIS)
    shutil.rmtree(engines.folder)
    with pytest.raises(FileNotFoundError):
        engines.keep()
    engines.close()


OTHER = """
import os, signal, sys
from pathlib import Path
from fastfcn_infer.runtime.engine_cache import Engines

engines = Engines(Path(sys.argv[1]), {"graph": "another"})
print(engines.folder, flush=True)
sys.stdin.read(1)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be locked on Windows")
def test_a_folder_in_use_outlives_a_week_without_work_and_not_its_process(root: Path) -> None:
    rooms = os.pathsep.join(filter(None, sys.path))
    week_ago = time.time() - 7 * 86400
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": rooms},
    ) as other:
        assert other.stdout is not None and other.stdin is not None
        theirs = Path(other.stdout.readline().strip())
        ours = Engines(root, THIS)
        for folder in (ours.folder, theirs):
            os.utime(folder, (week_ago, week_ago))
        Engines(root, THIS).close()
        assert ours.folder.is_dir() and theirs.is_dir()
        other.stdin.write("x")
        other.stdin.close()
        other.wait()
        assert theirs.is_dir()
    Engines(root, THIS).close()
    assert ours.folder.is_dir() and not theirs.exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_that_ends_leaves_its_parents_folder_alone(root: Path) -> None:
    engines = Engines(root, THIS)
    child = os.fork()
    if child == 0:
        try:
            engines.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert engines.folder.is_dir()
    engines.close()
    assert not engines.folder.exists()


def test_the_runtime_works_on_a_copy_and_nothing_is_kept_unless_it_is_said(root: Path) -> None:
    compile_in(root)
    engines = Engines(root, THIS)
    (engines.folder / "net.engine").write_bytes(b"half writ")
    engines.close()
    assert not compile_in(root)


def test_an_engine_for_one_more_shape_is_kept_beside_the_first(root: Path) -> None:
    compile_in(root)
    engines = Engines(root, THIS)
    (engines.folder / "second.engine").write_bytes(b"second")
    engines.keep()
    engines.close()
    again = Engines(root, THIS)
    assert sorted(path.name for path in again.folder.iterdir()) == ["net.engine", "second.engine"]


def test_nothing_is_left_of_a_copy_that_was_not_closed(root: Path) -> None:
    engines = Engines(root, THIS)
    folder = engines.folder
    del engines
    assert not folder.exists()


MANY = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2].split("|")
from test_engine_cache import compile_in
for _ in range(5):
    compile_in(Path(sys.argv[1]))
"""


def test_eight_processes_at_once_all_succeed_and_leave_one_whole_entry(root: Path) -> None:
    paths = "|".join([str(Path(__file__).parent), *filter(None, sys.path)])
    command = [sys.executable, "-c", MANY, str(root), paths]
    processes = [subprocess.Popen(command) for _ in range(8)]
    assert [process.wait() for process in processes] == [0] * 8
    assert not compile_in(root)
    entry_of(root)
