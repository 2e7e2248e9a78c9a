import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from fastfcn_infer.artifact import artifact, checked_file
from fastfcn_infer.artifact.manifest import Source
from fastfcn_infer.errors import ArtifactError
from models import tiny_artifact, tiny_model, tiny_onnx

SOURCE = Source("checkpoint.pdparams", 1, "0" * 64)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_artifact(tmp_path / "tiny")
    return tmp_path / "tiny"


def edit_manifest(folder: Path, **changes: Any) -> None:
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    data.update(changes)
    path.write_text(json.dumps(data))


def test_a_whole_folder_opens_with_every_listed_file(folder: Path) -> None:
    opened = artifact.open_artifact(folder)
    assert opened.model == tiny_model()
    assert opened.folder == folder
    assert sorted(opened.files) == ["golden/input.png", "golden/labels.png", "model.onnx"]
    assert opened.path("onnx") == folder / "model.onnx"
    assert opened.formats == ("onnx",)
    assert opened.unlisted == ()
    assert artifact.open_artifact(folder / "manifest.json") == opened


def test_the_manifest_lists_sizes_and_hashes_as_hashlib_sees_them(folder: Path) -> None:
    data = json.loads((folder / "manifest.json").read_text())
    assert set(data["files"]) == {"golden/input.png", "golden/labels.png", "model.onnx"}
    for name, facts in data["files"].items():
        content = (folder / name).read_bytes()
        assert facts == {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_lone_onnx_file_of_ours_is_an_artifact(folder: Path, tmp_path: Path) -> None:
    lone = tmp_path / "lone.onnx"
    (folder / "model.onnx").rename(lone)
    opened = artifact.open_artifact(lone)
    assert (opened.folder, opened.manifest) == (None, None)
    assert opened.model == tiny_model()
    assert opened.path("onnx") == lone


def test_every_fault_is_in_one_message(folder: Path) -> None:
    (folder / "golden" / "input.png").unlink()
    (folder / "golden" / "labels.png").write_bytes(b"LABELS")
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"more")
    with pytest.raises(ArtifactError) as caught:
        artifact.open_artifact(folder)
    text = str(caught.value)
    assert "golden/input.png: missing" in text
    assert "golden/labels.png: changed" in text
    assert "model.onnx: " in text and "bytes," in text


def test_a_cut_or_a_flipped_bit_anywhere_is_noticed(folder: Path) -> None:
    path = folder / "model.onnx"
    data = path.read_bytes()
    for position in range(0, len(data), 37):
        path.write_bytes(data[:position])
        with pytest.raises(ArtifactError, match=r"model\.onnx"):
            artifact.open_artifact(folder)
        path.write_bytes(
            data[:position] + bytes([data[position] ^ (1 << position % 8)]) + data[position + 1 :]
        )
        with pytest.raises(ArtifactError, match=r"model\.onnx: changed"):
            artifact.open_artifact(folder)


def test_a_graph_of_another_model_is_noticed_though_all_hashes_fit(folder: Path) -> None:
    tiny_onnx(folder / "model.onnx", tiny_model(4))
    content = (folder / "model.onnx").read_bytes()
    facts = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit_manifest(folder, files={"model.onnx": facts})
    with pytest.raises(ArtifactError, match="describes another model than manifest"):
        artifact.open_artifact(folder)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/../../b", "C:\\x", "a\\b"])
def test_no_file_outside_the_folder_can_be_listed(folder: Path, name: str) -> None:
    edit_manifest(folder, files={name: {"size": 1, "sha256": "0" * 64}})
    with pytest.raises(ArtifactError, match="does not stay inside"):
        artifact.open_artifact(folder)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_a_link_that_leaves_the_folder_is_refused_though_its_content_fits(folder: Path) -> None:
    outside = folder.parent / "outside.onnx"
    (folder / "model.onnx").rename(outside)
    (folder / "model.onnx").symlink_to(outside)
    with pytest.raises(ArtifactError, match="leaves the folder"):
        artifact.open_artifact(folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such files there")
def test_a_pipe_in_place_of_a_file_is_refused_and_never_waited_for(folder: Path) -> None:
    (folder / "golden" / "input.png").unlink()
    os.mkfifo(folder / "golden" / "input.png")
    with pytest.raises(ArtifactError, match="not a regular file"):
        artifact.open_artifact(folder)


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_an_artifact_behind_a_link_opens(folder: Path) -> None:
    link = folder.parent / "latest"
    link.symlink_to(folder)
    assert artifact.open_artifact(link).model == tiny_model()


def test_files_that_are_not_listed_are_reported_and_not_used(folder: Path) -> None:
    (folder / "notes.txt").write_text("mine")
    (folder / "paddle").mkdir()
    (folder / "paddle" / "inference.json").write_text("{}")
    opened = artifact.open_artifact(folder)
    assert opened.unlisted == ("notes.txt", "paddle/inference.json")
    with pytest.raises(ArtifactError, match="--format paddle"):
        opened.path("paddle")


def test_a_folder_without_a_manifest_is_told_what_it_holds(tmp_path: Path) -> None:
    for name, hint in {
        "model.pdparams": r"fastfcn-export \S+/model\.pdparams -o model-artifact$",
        "net.onnx": "give its path",
        "cat.jpg": "Give the folder",
    }.items():
        place = tmp_path / name.replace(".", "_")
        place.mkdir()
        (place / name).write_bytes(b"x")
        with pytest.raises(ArtifactError, match=hint) as caught:
            artifact.open_artifact(place)
        assert name in str(caught.value)


def test_paths_that_are_no_artifact_are_refused_by_kind(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="does not exist"):
        artifact.open_artifact(tmp_path / "nothing" / "here")
    checkpoint = tmp_path / "model.PDPARAMS"
    checkpoint.write_bytes(b"x")
    with pytest.raises(ArtifactError, match="is a checkpoint"):
        artifact.open_artifact(checkpoint)


def test_a_manifest_that_is_no_manifest_lists_its_faults(folder: Path) -> None:
    edit_manifest(folder, format_version=2, surprise=1)
    with pytest.raises(ArtifactError, match="format_version") as caught:
        artifact.open_artifact(folder)
    assert "surprise: unknown key" in str(caught.value)
    (folder / "manifest.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ArtifactError, match="not JSON"):
        artifact.open_artifact(folder)


def test_sealing_refuses_what_could_not_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no graph"):
        artifact.seal(tmp_path, tiny_model(), SOURCE, None, {})
    tiny_onnx(tmp_path / "model.onnx", tiny_model(5))
    with pytest.raises(ArtifactError, match="describes another model than"):
        artifact.seal(tmp_path, tiny_model(), SOURCE, None, {})
    assert not (tmp_path / "manifest.json").exists()


def test_an_artifact_replaced_while_it_is_read_opens_old_or_new(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, pending = checked_file.check_file, [True]

    def replace_then_check(path: Path) -> Any:
        if pending:
            pending.clear()
            with artifact.write_artifact(folder, replace=True) as partial:
                (partial / "unused").mkdir()
                tiny_artifact(partial / "unused" / "x", tiny_model(7, name="newer"))
                for entry in sorted((partial / "unused" / "x").iterdir()):
                    entry.rename(partial / entry.name)
                (partial / "unused" / "x").rmdir()
                (partial / "unused").rmdir()
        return real(path)

    monkeypatch.setattr(artifact, "check_file", replace_then_check)
    assert artifact.open_artifact(folder).model.name == "newer"


def test_an_export_cut_off_between_two_renames_still_opens(folder: Path) -> None:
    folder.rename(folder.parent / ".tiny.0123456789abcdef.old")
    assert artifact.open_artifact(folder).model == tiny_model()


def test_a_large_file_is_hashed_in_pieces_that_are_neither_tiny_nor_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, data = tmp_path / "big", os.urandom((3 << 20) + 5)
    path.write_bytes(data)
    expected, sha256 = hashlib.sha256(data).hexdigest(), hashlib.sha256
    pieces: list[int] = []

    class Counted:
        def __init__(self) -> None:
            self._digest = sha256()
            self.hexdigest = self._digest.hexdigest

        def update(self, piece: memoryview) -> None:
            pieces.append(len(piece))
            self._digest.update(piece)

    monkeypatch.setattr(hashlib, "sha256", Counted)
    facts = checked_file.hash_file(path)
    assert (facts.size, facts.sha256) == (len(data), expected)
    assert all(1 << 16 <= piece <= 1 << 20 for piece in pieces[:-1])


@pytest.mark.parametrize("name", ["deploy.yaml", "inference.yml"])
def test_a_folder_that_paddleseg_exported_gets_a_hint_of_the_command(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(
        ArtifactError, match=r"PaddleSeg or PaddleX.*fastfcn-export .* -o \S+-artifact$"
    ):
        artifact.open_artifact(tmp_path)
