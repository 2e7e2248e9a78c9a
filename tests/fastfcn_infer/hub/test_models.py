import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from exports import save_checkpoint, tensors_of
from fastfcn_infer.artifact.artifact import Artifact, open_artifact
from fastfcn_infer.artifact.class_table import numbered_classes
from fastfcn_infer.errors import ArtifactError, CheckpointError, DownloadError
from fastfcn_infer.hub import catalogue
from fastfcn_infer.hub import models as module
from fastfcn_infer.hub.conversion import Conversion
from fastfcn_infer.hub.models import EMBEDDED, find_model
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system.record import to_json
from models import tiny_artifact

DOWNLOADED = "fastfcn-resnet50-ade20k"  # has an address
BY_HAND = next(entry for entry in catalogue.entries() if entry.url is None)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_artifact(tmp_path / "tiny")
    return tmp_path / "tiny"


def found(model: Any, cache: Path, **options: Any) -> Artifact:
    return find_model(model, cache, Conversion(), **{"local_files_only": False, **options})


@pytest.mark.usefixtures("no_network")
def test_no_name_means_the_model_that_comes_with_the_package(tmp_path: Path) -> None:
    artifact = found(None, tmp_path)
    assert artifact.model.name == EMBEDDED
    assert found(EMBEDDED, tmp_path) == artifact
    assert artifact.manifest is not None
    assert artifact.manifest.verification is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("no_network")
def test_a_folder_its_manifest_and_a_lone_onnx_file_are_opened_where_they_are(
    folder: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    expected = open_artifact(folder)
    for model in (folder, str(folder), folder / "manifest.json"):
        assert found(model, cache) == expected
    assert found(folder / "model.onnx", cache).model == expected.model
    assert not cache.exists()


def test_a_relative_path_without_a_separator_is_a_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    assert found("tiny", folder).model.name == "tiny"
    monkeypatch.chdir(folder)
    assert found("model.onnx", folder).model.name == "tiny"


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "model", ["gone/model", "./gone", "gone.onnx", "gone.pdparams", "gone.PTH", Path("gone")]
)
def test_a_path_that_does_not_exist_is_reported_as_a_path_and_not_as_an_unknown_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str | Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match=r"gone.* does not exist") as caught:
        found(model, tmp_path)
    assert "catalogue" not in str(caught.value)


@pytest.mark.usefixtures("no_network")
def test_the_error_for_a_misspelt_name_suggests_the_right_one(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=f"Did you mean '{DOWNLOADED}'"):
        found("fastfcn-resnet50-ade2ok", tmp_path)


@pytest.mark.usefixtures("no_network")
def test_the_error_for_a_file_that_only_people_can_download_names_the_page(tmp_path: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        found(BY_HAND.name, tmp_path)
    assert BY_HAND.page in str(caught.value)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("way", ["argument", "variable"])
def test_offline_a_name_that_is_not_in_the_cache_is_an_error_and_no_socket_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("FASTFCN_OFFLINE", "1" if way == "variable" else "")
    with pytest.raises(DownloadError):
        found(DOWNLOADED, tmp_path, local_files_only=way == "argument")
    with pytest.raises(DownloadError):
        Segmenter.from_pretrained(
            DOWNLOADED, cache_dir=tmp_path, local_files_only=way == "argument"
        )


def test_the_catalogue_gives_a_names_conventions_unless_the_user_gives_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Path, Conversion, Path]] = []

    def fetch(name: str, cache: Path | None, *, local_files_only: bool) -> Path:
        return Path(name) / f"{cache}" / str(local_files_only)

    monkeypatch.setattr(catalogue, "fetch", fetch)
    monkeypatch.setattr(module, "converted", lambda *given: asked.append(given))
    find_model(DOWNLOADED, tmp_path, Conversion(), local_files_only=True)
    entry = catalogue.find(DOWNLOADED)
    table = tmp_path / "mine.json"
    table.write_text(to_json(numbered_classes(150)))
    find_model(DOWNLOADED, tmp_path, Conversion(table, entry.dialect, 16), local_files_only=False)
    assert [conversion for _, conversion, _ in asked] == [
        Conversion(entry.classes, entry.dialect, entry.output_stride),
        Conversion(table, entry.dialect, 16),
    ]
    assert {cache for _, _, cache in asked} == {tmp_path / "artifacts"}
    assert [path.name for path, _, _ in asked] == ["True", "False"]


@pytest.mark.parametrize("suffix", [".pdparams", ".PDPARAMS"])
def test_a_checkpoint_is_converted_into_the_cache_whatever_the_case_of_its_suffix(
    tmp_path: Path, suffix: str
) -> None:
    path = save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))
    path = path.rename(tmp_path / f"net{suffix}")
    artifact = found(path, tmp_path / "cache")
    assert artifact.folder is not None
    assert artifact.folder.parent == tmp_path / "cache" / "artifacts"
    assert artifact.model.network.dialect == "paddleseg"


def test_without_a_cache_folder_the_users_own_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTFCN_CACHE", str(tmp_path / "own"))
    path = save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))
    with Segmenter.from_pretrained(path, threads=1, output_stride=32) as segmenter:
        assert segmenter.artifact.folder is not None
        assert segmenter.artifact.folder.parent == tmp_path / "own" / "artifacts"


def test_a_file_that_is_no_checkpoint_is_a_checkpoint_error(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(CheckpointError, match=r"net\.pth"):
        found(path, tmp_path / "cache")
    assert "torch" not in str(sys.exc_info())
    assert list((tmp_path / "cache").rglob("manifest.json")) == []
