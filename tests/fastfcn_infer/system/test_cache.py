import sys
from pathlib import Path

import pytest

from fastfcn_infer.errors import DownloadError
from fastfcn_infer.system.cache import cache_folder


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FASTFCN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)


def test_the_variable_takes_precedence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FASTFCN_CACHE", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "mine"


def test_a_relative_folder_is_made_absolute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTFCN_CACHE", "here")
    assert cache_folder() == Path.cwd() / "here"


@pytest.mark.parametrize(
    ("system", "parts"),
    [
        ("linux", (".cache", "fastfcn")),
        ("darwin", ("Library", "Caches", "fastfcn")),
        ("win32", ("AppData", "Local", "fastfcn", "Cache")),
    ],
)
def test_each_system_has_its_own_folder_for_caches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, system: str, parts: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    assert cache_folder() == tmp_path.joinpath(*parts)


def test_xdg_cache_home_is_used_if_it_is_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "fastfcn"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "fastfcn"


def test_without_a_home_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(DownloadError, match="FASTFCN_CACHE"):
        cache_folder()


def test_without_a_home_a_variable_that_begins_with_it_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def homeless(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", homeless)
    monkeypatch.setenv("FASTFCN_CACHE", "~/mine")
    with pytest.raises(DownloadError, match="--cache-dir"):
        cache_folder()


def test_asking_for_the_folder_creates_nothing(tmp_path: Path) -> None:
    cache_folder()
    assert list(tmp_path.iterdir()) == []
