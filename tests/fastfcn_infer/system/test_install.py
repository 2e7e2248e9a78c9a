"""The command that installs an extra, however this package was installed."""

import json
import shlex
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from command_line import ROOT
from fastfcn_infer.system import install as module
from fastfcn_infer.system.install import install


@pytest.fixture(autouse=True)
def forget() -> Iterator[None]:
    module._source.cache_clear()
    yield
    module._source.cache_clear()


def installed(monkeypatch: pytest.MonkeyPatch, origin: Any) -> None:
    text = origin if isinstance(origin, str | None) else json.dumps(origin)
    found = SimpleNamespace(read_text=lambda name: text if name == "direct_url.json" else None)
    monkeypatch.setattr(metadata, "distribution", lambda name: found)


def clone(folder: Path) -> Path:
    (folder / "fastfcn_infer").mkdir(parents=True)
    (folder / "pyproject.toml").touch()
    return folder


@pytest.mark.parametrize("name", ["clone", "a clone's {0}"])
@pytest.mark.parametrize(("facts", "option"), [({}, ""), ({"editable": True}, "-e ")])
def test_from_a_clone_the_extra_is_installed_from_there(
    name: str, facts: Any, option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = clone(tmp_path / name)
    installed(monkeypatch, {"url": folder.as_uri(), "dir_info": facts})
    assert install("cpu") == f'cd {shlex.quote(str(folder))} && pip install {option}".[cpu]"'


@pytest.mark.parametrize(
    ("origin", "requirement"),
    [
        (None, "fastfcn-infer[cpu]"),
        ("damaged {", "fastfcn-infer[cpu]"),
        (
            {"url": "file:///a/b.whl", "archive_info": {}},
            "fastfcn-infer[cpu] @ file:///a/b.whl",
        ),
        (
            {"url": "https://a.example/b", "vcs_info": {"vcs": "git", "commit_id": "0"}},
            "fastfcn-infer[cpu] @ git+https://a.example/b",
        ),
        (
            {"url": "file:///a/{0}$x.whl", "archive_info": {}},
            "fastfcn-infer[cpu] @ file:///a/%7B0%7D%24x.whl",
        ),
    ],
)
def test_otherwise_it_comes_from_where_the_package_came(
    origin: Any, requirement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, origin)
    monkeypatch.setattr(module, "_is_clone", lambda folder: False)
    assert install("cpu") == f'pip install "{requirement}"'
    assert install("cpu", "--upgrade") == f'pip install "{requirement}" --upgrade'


def test_a_clone_that_was_deleted_is_not_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, {"url": (tmp_path / "gone").as_uri(), "dir_info": {}})
    assert install("cpu") == 'pip install "fastfcn-infer[cpu]"'


def test_run_from_a_clone_that_was_never_installed_it_names_the_clone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", fail)
    assert install("cpu") == f'cd {shlex.quote(str(ROOT))} && pip install ".[cpu]"'


def test_every_extra_that_a_message_names_exists() -> None:
    import re

    extras = set(
        re.findall(r"^([\w-]+) = \[", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    )
    named = set()
    for folder in ("fastfcn_infer", "export", "training"):
        for path in (ROOT / folder).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            assert 'pip install "fastfcn-infer[' not in text, path
            named |= set(re.findall(r"""\binstall\(["']([\w-]+)["']""", text))
            named |= set(re.findall(r'^EXTRA = "([\w-]+)"', text, re.MULTILINE))
    assert {"export", "formats", "geo", "hub"} <= named
    assert named <= extras
