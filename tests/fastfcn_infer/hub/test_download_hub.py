"""Downloads from a hub on this machine by the real huggingface_hub."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from command_line import fastfcn, python
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.errors import ArtifactError, DownloadError
from fastfcn_infer.hub import download as module
from fastfcn_infer.hub.download import HubName, download_artifact, parse_hub_name
from fastfcn_infer.hub.models import find_artifact
from fastfcn_infer.segmenter import Segmenter
from hub_server import HubServer
from models import tiny_artifact, tiny_model

LISTED = ["golden/input.png", "golden/labels.png", "manifest.json", "model.onnx"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[HubServer]:
    """Serve ``me/tiny``: an artifact and two files that do not belong to it."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("FASTFCN_OFFLINE", raising=False)
    server = HubServer()
    monkeypatch.setattr(constants, "ENDPOINT", server.address)
    template = server.address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    tiny_artifact(tmp_path / "tiny")
    server.add("me/tiny", tmp_path / "tiny")
    server.repositories["me/tiny"] |= {"README.md": b"about", "large.bin": bytes(1000)}
    yield server
    server.stop()


@pytest.mark.parametrize(
    ("name", "repository", "revision"),
    [
        ("hub:owner/name", "owner/name", None),
        ("hub:Own_er-1/na.me", "Own_er-1/na.me", None),
        ("hub:owner/name@v1.0", "owner/name", "v1.0"),
        ("hub:owner/name@refs/pr/1", "owner/name", "refs/pr/1"),
        ("hub:owner/name@" + "0f" * 20, "owner/name", "0f" * 20),
        ("hub:owner/name@a--b", "owner/name", "a--b"),
    ],
)
def test_a_name_is_owner_name_and_perhaps_a_revision(
    name: str, repository: str, revision: str | None
) -> None:
    assert parse_hub_name(name) == HubName(repository, revision)


@pytest.mark.parametrize(
    "name",
    [
        "hub:",
        "hub:name",
        "hub:/name",
        "hub:owner/",
        "hub:owner/name/more",
        "hub:../name",
        "hub:owner/..",
        "hub:owner/.",
        "hub:.hidden/name",
        "hub:owner/na..me",
        "hub:ow--ner/name",
        "hub:owner/name@",
        "hub:owner/name@../../x",
        "hub:owner/name@a/../b",
        "hub:owner/name@/etc",
        "hub:owner/name@a@b",
        "hub:owner/na me",
        "hub:owner\\name",
        "hub:owner/name\n",
        "hub:owner/näme",
        "hub:https://host/owner/name",
        "hub:owner/" + "n" * 97,
        "hub:" + "x" * 100_000,
    ],
)
def test_other_forms_are_refused_before_anything_is_imported_or_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "package", None)
    for local_files_only in (True, False):
        with pytest.raises(ArtifactError, match="hub:OWNER/NAME") as caught:
            find_artifact(name, tmp_path / "cache", local_files_only=local_files_only)
    assert len(str(caught.value)) < 500
    assert list(tmp_path.iterdir()) == []


def test_the_files_of_the_artifact_are_downloaded_and_no_others(
    hub: HubServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    artifact = find_artifact("hub:me/tiny", tmp_path / "cache", local_files_only=False)
    assert artifact.model == tiny_model()
    assert hub.downloaded == LISTED
    assert artifact.folder is not None
    assert artifact.folder.is_relative_to(tmp_path / "cache" / "hub")
    assert artifact.unlisted == ()
    assert capfd.readouterr() == ("", "")


def test_what_was_downloaded_before_is_used_and_a_new_version_is_noticed(
    hub: HubServer, tmp_path: Path
) -> None:
    first = download_artifact("hub:me/tiny", tmp_path)
    hub.asked.clear()
    assert download_artifact("hub:me/tiny", tmp_path) == first
    assert hub.downloaded == []
    hub.asked.clear()
    assert download_artifact("hub:me/tiny", tmp_path, local_files_only=True) == first
    assert hub.asked == []
    tiny_artifact(tmp_path / "five", tiny_model(5))
    hub.add("me/tiny", tmp_path / "five")
    second = download_artifact("hub:me/tiny", tmp_path)
    assert len(open_artifact(second).model.classes) == 5
    assert len(open_artifact(first).model.classes) == 3
    assert download_artifact("hub:me/tiny", tmp_path, local_files_only=True) == second


@pytest.mark.parametrize("revision", ["v1", "commit"])
def test_a_revision_is_a_tag_or_a_commit(hub: HubServer, tmp_path: Path, revision: str) -> None:
    commit = hub.commit("me/tiny")
    name = f"hub:me/tiny@{commit if revision == 'commit' else revision}"
    assert download_artifact(name, tmp_path).name == commit
    assert download_artifact(name, tmp_path, local_files_only=True).name == commit


def test_without_a_network_what_was_downloaded_before_is_used(
    hub: HubServer, tmp_path: Path
) -> None:
    folder = download_artifact("hub:me/tiny", tmp_path)
    hub.stop()
    assert download_artifact("hub:me/tiny", tmp_path) == folder
    with pytest.raises(DownloadError, match="hub:me/tiny@v1 was not downloaded"):
        download_artifact("hub:me/tiny@v1", tmp_path)


@pytest.mark.parametrize("name", ["hub:me/nothing", "hub:me/tiny@v2"])
def test_an_unknown_repository_or_revision_is_named(
    hub: HubServer, tmp_path: Path, name: str
) -> None:
    with pytest.raises(DownloadError, match="Not Found") as caught:
        download_artifact(name, tmp_path)
    assert name in str(caught.value)
    assert "HF_TOKEN" in str(caught.value)


@pytest.mark.parametrize("way", ["argument", "variable", "HF_HUB_OFFLINE"])
def test_offline_nothing_is_requested_and_the_error_names_the_switch(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("FASTFCN_OFFLINE", "1" if way == "variable" else "")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", way == "HF_HUB_OFFLINE")
    switch = {"argument": "--offline", "variable": "FASTFCN_OFFLINE"}.get(way, way)
    with pytest.raises(DownloadError, match=switch):
        download_artifact("hub:me/tiny", tmp_path, local_files_only=way == "argument")
    assert hub.asked == []


def test_a_download_that_is_cut_off_is_completed_by_the_next_one(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between attempts
    hub.faults["model.onnx"] = "cut 100"
    with pytest.raises(DownloadError, match="hub:me/tiny was not downloaded"):
        download_artifact("hub:me/tiny", tmp_path)
    assert not [path for path in tmp_path.rglob("model.onnx") if path.parent.name != "tiny"]
    with pytest.raises(DownloadError, match="not all of it"):
        download_artifact("hub:me/tiny", tmp_path, local_files_only=True)
    hub.faults.clear()
    assert open_artifact(download_artifact("hub:me/tiny", tmp_path)).model == tiny_model()


def test_a_repository_that_is_no_artifact_is_refused_with_what_it_holds(
    hub: HubServer, tmp_path: Path
) -> None:
    hub.repositories["me/weights"] = {"README.md": b"about", "net.pth": bytes(1000)}
    with pytest.raises(ArtifactError, match=r"it holds README\.md, net\.pth") as caught:
        download_artifact("hub:me/weights", tmp_path)
    assert "hub:me/weights is not an artifact" in str(caught.value)
    assert hub.downloaded == []
    hub.repositories["me/many"] = {f"{index:04}.bin": b"" for index in range(1000)}
    with pytest.raises(ArtifactError, match=r"0007\.bin and 992 more"):
        download_artifact("hub:me/many", tmp_path)
    hub.repositories["me/hostile"] = {"\x1b[2J.bin": b""}
    with pytest.raises(ArtifactError, match=r"it holds \\x1b\[2J\.bin"):
        download_artifact("hub:me/hostile", tmp_path)
    hub.repositories["me/several"] = {"r50/manifest.json": b"{}", "r18/manifest.json": b"{}"}
    with pytest.raises(
        ArtifactError, match=r"such as r18/manifest\.json, download the sub-folder"
    ):
        download_artifact("hub:me/several", tmp_path)
    hub.repositories["me/extension"] = {"manifest.json": b'{"manifest_version": 3}'}
    with pytest.raises(
        ArtifactError, match=r"hub:me/extension was downloaded, but .* is not a manifest"
    ):
        download_artifact("hub:me/extension", tmp_path)


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_an_artifact_that_is_damaged_on_the_hub_is_never_opened(
    hub: HubServer, tmp_path: Path, damage: str
) -> None:
    files = hub.repositories["me/tiny"]
    if damage == "changed":
        files["model.onnx"] = files["model.onnx"][:-1] + b"!"
    else:
        del files["model.onnx"]
    with pytest.raises(ArtifactError, match=f"model.onnx: {damage}") as caught:
        find_artifact("hub:me/tiny", tmp_path / "cache", local_files_only=False)
    assert str(caught.value).startswith("hub:me/tiny was downloaded, but")
    repository = tmp_path / "cache" / "hub" / "models--me--tiny"
    assert f"To download it again, delete {repository}." in str(caught.value)
    shutil.rmtree(repository)
    hub.add("me/tiny", tmp_path / "tiny")
    found = find_artifact("hub:me/tiny", tmp_path / "cache", local_files_only=False)
    assert found.model == tiny_model()


def test_a_manifest_cannot_ask_for_files_outside_the_folder(
    hub: HubServer, tmp_path: Path
) -> None:
    files = hub.repositories["me/tiny"]
    files["manifest.json"] = files["manifest.json"].replace(
        b"golden/input.png", b"../../input.png"
    )
    with pytest.raises(ArtifactError, match="does not stay inside"):
        download_artifact("hub:me/tiny", tmp_path)
    assert hub.downloaded == ["manifest.json"]


def test_a_cache_that_is_a_file_is_named_with_what_to_do(hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="FASTFCN_CACHE"):
        download_artifact("hub:me/tiny", tmp_path / "file")


def test_a_full_disk_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.delenv("FASTFCN_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(DownloadError, match=r"No space left.*--cache-dir") as caught:
        download_artifact("hub:me/tiny", tmp_path)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_copy_of_the_cache_under_another_name_may_not_link_outside_itself(
    hub: HubServer, tmp_path: Path
) -> None:
    folder = download_artifact("hub:me/tiny", tmp_path / "cache")
    assert (folder / "model.onnx").is_symlink()
    copy = Path(shutil.copytree(folder, tmp_path / "a" / "b" / "copy", symlinks=True))
    with pytest.raises(ArtifactError, match=r"model\.onnx"):
        open_artifact(copy)
    outside = tmp_path / "outside.onnx"
    shutil.copy(folder / "model.onnx", outside)
    (folder / "model.onnx").unlink()
    (folder / "model.onnx").symlink_to(outside)
    with pytest.raises(ArtifactError, match="a link that leaves the folder"):
        open_artifact(folder)


def test_a_segmenter_opens_the_name(hub: HubServer, tmp_path: Path) -> None:
    with Segmenter.from_pretrained("hub:me/tiny", cache_dir=tmp_path, threads=1) as segmenter:
        assert segmenter.model == tiny_model()


def test_in_a_process_of_its_own_the_address_comes_from_the_environment(
    hub: HubServer, tmp_path: Path
) -> None:
    env = {"HF_ENDPOINT": hub.address, "FASTFCN_CACHE": str(tmp_path / "cache")}
    env |= {"HF_HOME": str(tmp_path / "home"), "HF_TOKEN": "hf_secret"}
    ended = python("-m", "fastfcn_infer", "info", "hub:me/tiny", env=env)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "class 0, class 1, class 2" in ended.stdout
    assert "Bearer hf_secret" in hub.tokens
    refused = python("-m", "fastfcn_infer", "info", "hub:me/nothing", env=env)
    assert (refused.returncode, refused.stdout) == (3, "")
    assert refused.stderr.startswith("DownloadError: hub:me/nothing was not downloaded")
    assert refused.stderr.count("\n") == 1
    hub.repositories["me/weights"] = {"net.pth": b"weights"}
    refused = python("-m", "fastfcn_infer", "info", "hub:me/weights", env=env)
    assert refused.stderr.startswith("ArtifactError: hub:me/weights is not an artifact")
    assert refused.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [("info",), ("verify",), ("benchmark", "--seconds", "0.1")])
def test_commands_take_the_name_and_the_cache_folder(tmp_path: Path, words: tuple[str]) -> None:
    ended = fastfcn(*words, "hub:me/tiny", "--offline", "--cache-dir", tmp_path / "cache")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert f"hub:me/tiny was not downloaded to {tmp_path / 'cache' / 'hub'} before" in ended.stderr
