import json
from pathlib import Path

import pytest

from command_line import EMBEDDED
from exports import save_checkpoint, tensors_of
from fastfcn_infer.artifact.manifest import read_manifest, read_model
from fastfcn_infer.cli.main import main
from fastfcn_infer.hub.catalogue import entries
from fastfcn_infer.system.install import install
from models import tiny_artifact, tiny_model


def info(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    code = main(["info", *map(str, words)])
    return code, *capsys.readouterr()


def test_as_json_an_artifact_is_its_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = info(capsys, EMBEDDED, "--json")
    text = (EMBEDDED / "manifest.json").read_text(encoding="utf-8")
    assert (code, err) == (0, "")
    assert read_manifest(out, "out") == read_manifest(text, "file")
    assert info(capsys, EMBEDDED / "manifest.json", "--json") == (code, out, err)


def test_an_artifact_for_people_names_its_classes_network_and_files(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = info(capsys, EMBEDDED)
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    manifest = read_manifest((EMBEDDED / "manifest.json").read_bytes(), "file")
    names = ", ".join(entry.name for entry in manifest.model.classes)
    assert f"classes {len(manifest.model.classes)}: {names}" in lines
    assert f"backbone {manifest.model.network.backbone}" in lines
    assert f"parameters {manifest.model.network.parameters:,}" in lines
    for name, facts in manifest.files.items():
        assert name in lines
        assert f"sha256 {facts.sha256}" in lines


def test_a_lone_onnx_file_is_its_description(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    tiny_artifact(tmp_path / "tiny")
    code, out, _ = info(capsys, tmp_path / "tiny" / "model.onnx", "--json")
    assert code == 0
    assert read_model(out, "out") == tiny_model()
    code, out, _ = info(capsys, tmp_path / "tiny" / "model.onnx")
    assert code == 0
    assert "class 0, class 1, class 2" in out


@pytest.mark.parametrize("suffix", [".pdparams", ".PDPARAMS"])
def test_a_checkpoint_is_described_and_nothing_is_written(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str
) -> None:
    path = save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))
    path = path.rename(tmp_path / f"net{suffix}")
    code, out, err = info(capsys, path, "--json", "--output-stride", "32")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    assert facts["classes"] == 6
    assert facts["network"]["dialect"] == "paddleseg"
    assert facts["network"]["output_stride"] == 32
    # Without the auxiliary head and the semantic encoding, which the graph leaves out.
    assert facts["network"]["parameters"] < sum(
        array.size for array in tensors_of("paddleseg_os32").values()
    )
    code, out, err = info(capsys, path)
    assert (code, err) == (0, "")
    assert "paddleseg" in out
    assert list(tmp_path.iterdir()) == [path]


def test_a_published_model_is_described_without_a_download(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for entry in entries():
        code, out, err = info(capsys, entry.name, "--json")
        assert (code, err) == (0, "")
        told = json.loads(out)
        assert (told["name"], told["dialect"]) == (entry.name, entry.dialect)
        assert told["file"].startswith("downloaded" if entry.url else "by hand, from https://")
        assert told["figures"] == entry.figures
    code, out, _ = info(capsys, "fastfcn-resnet50-ade20k")
    assert code == 0
    assert "mIoU" in out
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_nearly_published_is_answered_with_those_that_are(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, _, err = info(capsys, "fastfcn-resnet50-ade")
    assert code == 6
    assert "Did you mean 'fastfcn-resnet50-ade20k'" in err
    code, _, err = info(capsys, "fastfcn-resnet50-ade20k", "--output-stride", "32")
    assert code == 2
    assert "output stride 8" in err


@pytest.mark.parametrize("name", ["gone", "gone.onnx", "gone.pth", "empty", "text.pth"])
def test_what_is_neither_is_exit_code_6(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pth").write_text("text")
    code, out, err = info(capsys, tmp_path / name, "--json")
    assert (code, err) == (6, "")
    assert name in json.loads(out)["message"]
    code, out, err = info(capsys, tmp_path / name)
    assert (code, out) == (6, "")
    assert name in err


def test_files_are_checked_on_the_way(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    tiny_artifact(tmp_path / "tiny")
    (tmp_path / "tiny" / "golden" / "input.png").write_bytes(b"another")
    code, out, _ = info(capsys, tmp_path / "tiny", "--json")
    assert code == 6
    assert "golden/input.png: changed" in json.loads(out)["message"]


def test_a_checkpoint_without_an_exporter_is_exit_code_5(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **wanted: ())
    code, out, _ = info(capsys, path, "--json")
    assert code == 5
    assert install("export") in json.loads(out)["message"]
