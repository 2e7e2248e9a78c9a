"""Only an artifact is replaced, and only the files that its manifest lists."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from command_line import content
from fastfcn_infer.artifact.artifact import open_artifact, write_artifact
from fastfcn_infer.errors import ArtifactError
from models import tiny_artifact, tiny_model

EXTENSION = {"manifest_version": 3, "name": "A browser extension", "version": "1.0"}
MINE = {"notes.txt": b"1", ".hidden": b"2", "golden/my.png": b"3", "sub/deep/file": b"4"}


def replace(folder: Path) -> None:
    with write_artifact(folder, replace=True) as partial:
        tiny_artifact(partial, tiny_model(7, name="newer"))


def write_mine(folder: Path) -> None:
    for name, data in MINE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    tiny_artifact(folder)
    return folder


def edit_manifest(folder: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = folder / "manifest.json"
    data = json.loads(path.read_bytes())
    edit(data)
    path.write_text(json.dumps(data))


def test_an_artifact_is_replaced_and_everything_else_in_its_folder_is_kept(folder: Path) -> None:
    write_mine(folder)
    with pytest.warns(RuntimeWarning, match=r"notes\.txt") as caught:
        replace(folder)
    assert all(name in str(caught[0].message) for name in MINE)
    opened = open_artifact(folder)
    assert opened.model.name == "newer"
    assert opened.unlisted == tuple(sorted(MINE))
    assert {name: data for name, data in content(folder).items() if name in MINE} == MINE


@pytest.mark.skipif(os.name == "nt", reason="Windows has no modes")
def test_folders_keep_their_permissions_when_an_artifact_is_replaced(folder: Path) -> None:
    write_mine(folder)
    (folder / "empty").mkdir()
    modes = {"empty": 0o711, "sub/deep": 0o500, "sub": 0o500, "golden": 0o750, ".": 0o700}
    for name, mode in modes.items():
        (folder / name).chmod(mode)
    with pytest.warns(RuntimeWarning, match="empty"):
        replace(folder)
    assert {name: stat.S_IMODE((folder / name).stat().st_mode) for name in modes} == modes


def test_a_damaged_artifact_is_replaced(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"damaged")
    (folder / "golden" / "input.png").unlink()
    replace(folder)
    assert open_artifact(folder).model.name == "newer"


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    replace(tmp_path / "empty")
    assert open_artifact(tmp_path / "empty").model.name == "newer"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(EXTENSION),
        json.dumps({"name": "A web app", "icons": [], "start_url": "/"}),
        json.dumps({"files": {"notes.txt": {"size": 1, "sha256": "0"}}}),
        "[]",
        "{",
        "",
        "\xff",
    ],
)
def test_a_folder_with_the_manifest_of_something_else_is_left_alone(
    tmp_path: Path, text: str
) -> None:
    folder = tmp_path / "extension"
    write_mine(folder)
    (folder / "manifest.json").write_text(text, encoding="latin-1")
    before = content(folder)
    with pytest.raises(
        ArtifactError, match=r"is not replaced: its manifest\.json is not"
    ) as caught:
        replace(folder)
    assert "notes.txt" in str(caught.value)
    assert content(folder) == before
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(
    "name",
    [
        "../outside.txt",
        "golden/../../outside.txt",
        "..",
        ".",
        "",
        "golden/",
        "/outside.txt",
        "C:/outside.txt",
        "C:outside.txt",
        "..\\outside.txt",
        "golden\\..\\..\\outside.txt",
    ],
)
def test_a_manifest_that_lists_what_is_outside_its_folder_is_not_ours(
    folder: Path, name: str
) -> None:
    outside = folder.parent / "outside.txt"
    outside.write_bytes(b"mine")
    listed = (
        name.replace("/outside", f"{outside.parent.as_posix()}/outside")
        if name[:1] == "/"
        else name
    )
    edit_manifest(folder, lambda data: data["files"].update({listed: data["files"]["model.onnx"]}))
    before = content(folder)
    with pytest.raises(ArtifactError, match="is not replaced"):
        replace(folder)
    assert content(folder) == before
    assert outside.read_bytes() == b"mine"


def test_a_folder_that_a_manifest_lists_as_a_file_keeps_its_content(folder: Path) -> None:
    write_mine(folder)
    facts = {"size": 1, "sha256": "0" * 64}
    edit_manifest(folder, lambda data: data["files"].update({"sub": facts, "sub/deep": facts}))
    with pytest.warns(RuntimeWarning, match="sub/deep/file"):
        replace(folder)
    assert (folder / "sub" / "deep" / "file").read_bytes() == b"4"


def test_links_are_kept_or_removed_and_never_followed(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    write_mine(elsewhere)
    (folder / "link").symlink_to(elsewhere, target_is_directory=True)
    (folder / "listed").symlink_to(elsewhere / "notes.txt")
    facts = {"size": 1, "sha256": "0" * 64}
    edit_manifest(
        folder, lambda data: data["files"].update({"listed": facts, "link/notes.txt": facts})
    )
    with pytest.warns(RuntimeWarning, match="were left: link$"):
        replace(folder)
    assert content(elsewhere) == MINE
    assert (folder / "link").is_symlink()
    assert not (folder / "listed").is_symlink()


def test_a_linked_folder_in_the_place_of_a_new_one_stops_the_replacement(
    folder: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    (folder / "golden").rename(elsewhere)
    (folder / "golden").symlink_to(elsewhere, target_is_directory=True)
    before = content(elsewhere)
    with pytest.raises(ArtifactError, match="move it away"):
        replace(folder)
    assert content(elsewhere) == before
    assert open_artifact_name(folder) == "tiny"


def open_artifact_name(folder: Path) -> str:
    return str(json.loads((folder / "manifest.json").read_bytes())["model"]["name"])


def test_an_artifact_is_not_replaced_unasked(folder: Path) -> None:
    before = content(folder)
    with pytest.raises(FileExistsError), write_artifact(folder, replace=False):
        pytest.fail("the block ran")
    assert content(folder) == before
