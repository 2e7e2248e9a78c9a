import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fastfcn_infer.runtime.engine_cache import Engines, UnsafeCacheError

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
    (entry,) = (path for path in root.iterdir() if path.is_dir())
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


def damage_flip(entry: Path) -> None:
    (entry / "net.engine").write_bytes(b"enginf")


def damage_cut(entry: Path) -> None:
    (entry / "net.engine").write_bytes(b"eng")


def damage_empty(entry: Path) -> None:
    (entry / "net.engine").write_bytes(b"")


def damage_missing(entry: Path) -> None:
    (entry / "net.engine").unlink()


def damage_planted(entry: Path) -> None:
    (entry / "planted.engine").write_bytes(b"evil")


def damage_no_seal(entry: Path) -> None:
    (entry / "manifest.json").unlink()


def damage_seal_of_nobody(entry: Path) -> None:
    (entry / "net.engine").write_bytes(b"evil")
    (entry / "manifest.json").write_text(json.dumps({"net.engine": "0" * 64}))


def damage_seal_no_json(entry: Path) -> None:
    (entry / "manifest.json").write_bytes(b"\xff\xfe{")


def damage_seal_other_type(entry: Path) -> None:
    (entry / "manifest.json").write_text('[["net.engine", 1]]')


def damage_seal_leaves(entry: Path) -> None:
    (entry / "manifest.json").write_text(json.dumps({"../secret": "0" * 64}))


def damage_swapped(entry: Path) -> None:
    """An engine of ours, rightly sealed, for something else."""
    root = entry.parent
    compile_in(root, {**THIS, "gpu": "other"}, b"other")
    (other,) = (path for path in root.iterdir() if path.is_dir() and path != entry)
    shutil.rmtree(entry)
    other.rename(entry)


def damage_folder(entry: Path) -> None:
    (entry / "net.engine").unlink()
    (entry / "net.engine").mkdir()


FAULTS = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", FAULTS, ids=lambda damage: damage.__name__)
def test_anything_but_what_was_kept_is_compiled_again_and_then_kept(
    root: Path, damage: object
) -> None:
    compile_in(root)
    assert callable(damage)
    damage(entry_of(root))
    assert [compile_in(root), compile_in(root)] == [True, False]


def test_another_users_secret_opens_nothing(root: Path) -> None:
    compile_in(root)
    (root / "secret").write_bytes(bytes(32))
    assert compile_in(root)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_cache_is_for_this_user_alone(root: Path) -> None:
    compile_in(root)
    assert root.stat().st_mode & 0o777 == 0o700
    assert (root / "secret").stat().st_mode & 0o777 == 0o600
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


def test_a_secret_of_the_wrong_length_is_refused(root: Path) -> None:
    compile_in(root)
    (root / "secret").write_bytes(b"")
    with pytest.raises(UnsafeCacheError, match="damaged"):
        Engines(root, THIS)


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


def test_nothing_is_left_of_a_copy_that_nobody_closed(root: Path) -> None:
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
    assert sorted(path.name for path in root.iterdir()) == sorted(["secret", entry_of(root).name])
