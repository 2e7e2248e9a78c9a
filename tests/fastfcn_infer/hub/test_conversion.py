import json
import os
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastfcn_export
from command_line import python
from exports import save_checkpoint, tensors_of
from fastfcn_infer.artifact.checked_file import hash_file
from fastfcn_infer.errors import ArtifactError, BackendError, BackendMissing, CheckpointError
from fastfcn_infer.hub import conversion as module
from fastfcn_infer.hub.conversion import (
    CHECKPOINT,
    GROUP,
    Conversion,
    Converter,
    converted,
    describe_checkpoint,
)
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system.install import install

OS32 = Conversion(output_stride=32)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))


def forbid_export(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the checkpoint was converted")

    monkeypatch.setattr(fastfcn_export, "export", refuse)


def count_exports(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    made: list[Path] = []
    export = fastfcn_export.export

    def counted(checkpoint: Path, folder: Path, *rest: Any, **options: Any) -> Any:
        made.append(folder)
        return export(checkpoint, folder, *rest, **options)

    monkeypatch.setattr(fastfcn_export, "export", counted)
    return made


def test_a_conversion_is_a_verified_artifact_of_that_checkpoint(
    checkpoint: Path, tmp_path: Path
) -> None:
    artifact = converted(checkpoint, OS32, tmp_path / "cache")
    assert artifact.manifest is not None
    assert artifact.manifest.source.sha256 == hash_file(checkpoint).sha256
    assert artifact.manifest.verification is not None
    assert artifact.manifest.verification.label_agreement > 0.999
    assert artifact.model.network.output_stride == 32


def test_the_second_time_the_cache_answers_also_under_another_name(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = converted(checkpoint, OS32, tmp_path / "cache")
    forbid_export(monkeypatch)
    assert converted(checkpoint, OS32, tmp_path / "cache") == first
    (tmp_path / "other").mkdir()
    moved = Path(shutil.move(checkpoint, tmp_path / "other" / checkpoint.name))
    assert converted(moved, OS32, tmp_path / "cache") == first


def test_threads_that_need_a_conversion_at_once_share_the_first_ones(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = count_exports(monkeypatch)

    def predict(_: int) -> int:
        with Segmenter.from_pretrained(
            checkpoint, cache_dir=tmp_path / "cache", output_stride=32, threads=1
        ) as segmenter:
            return int(segmenter.predict(np.zeros((40, 50, 3), np.uint8)).labels.sum())

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(predict, range(8)))) == 1
    assert len(made) == 1


def test_what_another_process_converted_meanwhile_is_used_and_not_replaced(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = fastfcn_export.export
    first: list[os.stat_result] = []

    def late(checkpoint: Path, folder: Path, *rest: Any, **options: Any) -> Any:
        def report(stage: str) -> None:
            if stage == "seal":
                export(checkpoint, folder, *rest, **options)  # by the other process
                first.append((folder / "model.onnx").stat())

        return export(checkpoint, folder, *rest, **options, report=report)

    monkeypatch.setattr(fastfcn_export, "export", late)
    found = converted(checkpoint, OS32, tmp_path / "cache")
    assert found.files["model.onnx"].stat() == first[0]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [found.folder.name]  # type: ignore[union-attr]


def test_a_changed_checkpoint_is_converted_anew_beside_the_old_one(
    checkpoint: Path, tmp_path: Path
) -> None:
    first = converted(checkpoint, OS32, tmp_path / "cache")
    tensors = tensors_of("paddleseg_os32")
    name = max(tensors, key=lambda key: tensors[key].size)
    tensors[name] = tensors[name] * np.float32(1.5)
    save_checkpoint(tmp_path, "paddleseg", tensors)
    second = converted(checkpoint, OS32, tmp_path / "cache")
    assert first.manifest is not None
    assert second.manifest is not None
    assert second.folder != first.folder
    assert second.manifest.source != first.manifest.source
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_whatever_the_user_says_and_our_version_make_a_conversion_of_its_own(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "classes.json"
    made = count_exports(monkeypatch)

    def classes(first: str) -> str:
        names = [first, *"bcdef"]
        entries = [{"name": name, "color": [i, i, i]} for i, name in enumerate(names)]
        table.write_text(json.dumps(entries))
        artifact = converted(checkpoint, Conversion(table, None, 32), tmp_path / "cache")
        return artifact.model.classes[0].name

    converted(checkpoint, OS32, tmp_path / "cache")
    converted(checkpoint, Conversion(None, "paddleseg", 32), tmp_path / "cache")
    assert classes("a") == "a"
    # The same path, other content.
    assert classes("z") == "z"
    monkeypatch.setattr(module, "__version__", "99")
    converted(checkpoint, OS32, tmp_path / "cache")
    assert len(set(made)) == len(made) == 5


@pytest.mark.parametrize("what", ["checkpoint", "class table"])
def test_a_file_that_changes_during_the_conversion_is_an_error_and_never_found_in_the_cache(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    table = tmp_path / "classes.json"
    entries = [{"name": name, "color": [1, 2, 3]} for name in "abcdef"]
    table.write_text(json.dumps(entries))
    before = {path: path.read_bytes() for path in (checkpoint, table)}
    export = fastfcn_export.export

    def change_then_export(*given: Any, **options: Any) -> Any:
        if what == "checkpoint":
            tensors = tensors_of("paddleseg_os32")
            save_checkpoint(tmp_path, "paddleseg", {k: v * 0.5 for k, v in tensors.items()})
        else:
            table.write_text(json.dumps(entries[::-1]))
        return export(*given, **options)

    asked = Conversion(table, None, 32)
    monkeypatch.setattr(fastfcn_export, "export", change_then_export)
    with pytest.raises(ArtifactError, match=f"the {what}.* was changed while"):
        converted(checkpoint, asked, tmp_path / "cache")
    monkeypatch.setattr(fastfcn_export, "export", export)
    for path, data in before.items():
        path.write_bytes(data)
    found = converted(checkpoint, asked, tmp_path / "cache")
    assert found.manifest is not None
    assert found.manifest.source.sha256 == hash_file(checkpoint).sha256
    assert [entry.name for entry in found.model.classes] == list("abcdef")


@pytest.mark.parametrize("damage", ["byte", "cut", "gone", "manifest"])
def test_a_damaged_conversion_is_made_again_in_its_place(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    first = converted(checkpoint, OS32, tmp_path / "cache")
    assert first.folder is not None
    graph = first.folder / "model.onnx"
    content = bytearray(graph.read_bytes())
    if damage == "byte":
        content[len(content) // 2] ^= 1
        graph.write_bytes(content)
    elif damage == "cut":
        graph.write_bytes(content[:-1])
    elif damage == "gone":
        graph.unlink()
    else:
        (first.folder / "manifest.json").write_text("{")
    made = count_exports(monkeypatch)
    second = converted(checkpoint, OS32, tmp_path / "cache")
    assert made == [first.folder]
    assert second.folder == first.folder
    assert second.manifest == first.manifest


def test_a_folder_of_somebody_elses_in_the_place_of_a_conversion_is_left_alone(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = converted(checkpoint, OS32, tmp_path / "cache").folder
    assert folder is not None
    (folder / "manifest.json").unlink()
    before = sorted(folder.rglob("*"))
    with pytest.raises(ArtifactError, match="empty this one yourself"):
        converted(checkpoint, OS32, tmp_path / "cache")
    assert sorted(folder.rglob("*")) == before


def announce(monkeypatch: pytest.MonkeyPatch, *values: str) -> None:
    """Pretend that the installed distributions announce these exporters."""
    entries = [metadata.EntryPoint(CHECKPOINT, value, GROUP) for value in values]
    entries.append(metadata.EntryPoint("other", "no_such_package", GROUP))

    def entry_points(*, group: str, name: str) -> metadata.EntryPoints:
        return metadata.EntryPoints(entries).select(group=group, name=name)

    monkeypatch.setattr(metadata, "entry_points", entry_points)


def actions(checkpoint: Path, cache: Path) -> list[Callable[[], object]]:
    return [
        lambda: converted(checkpoint, OS32, cache),
        lambda: describe_checkpoint(checkpoint, OS32),
        lambda: Segmenter.from_pretrained(checkpoint, cache_dir=cache),
    ]


def test_the_exporter_is_announced_once_and_is_a_converter() -> None:
    (entry,) = {*metadata.entry_points(group=GROUP)}
    converter: Converter = fastfcn_export
    assert entry.load() is converter


def test_the_files_of_something_else_in_the_place_of_a_conversion_are_kept(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = converted(checkpoint, OS32, tmp_path / "cache").folder
    assert folder is not None
    (folder / "notes.txt").write_text("mine")
    (folder / "model.onnx").write_bytes(b"damaged")
    with pytest.warns(RuntimeWarning, match=r"left: notes\.txt"):
        assert converted(checkpoint, OS32, tmp_path / "cache").folder == folder
    (folder / "manifest.json").write_text('{"manifest_version": 3}')
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    with pytest.raises(ArtifactError, match="empty this one yourself"):
        converted(checkpoint, OS32, tmp_path / "cache")
    assert {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()} == before


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((), "No exporter is installed"),
        (("no_such_package",), "No module named 'no_such_package'"),
        (("no_such_package",) * 2, "No module named 'no_such_package'"),
        (("fastfcn_export:no_such_name",), "no_such_name"),
        (("broken_exporter",), "libonnx.so: cannot open"),
    ],
)
def test_without_an_exporter_that_can_be_imported_an_error_names_the_extra(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: tuple[str, ...],
    reason: str,
) -> None:
    (tmp_path / "broken_exporter.py").write_text("raise OSError('libonnx.so: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    announce(monkeypatch, *values)
    for action in actions(checkpoint, tmp_path / "cache"):
        with pytest.raises(BackendMissing, match=r"pip install .*\[export\]") as caught:
            action()
        assert reason in str(caught.value)
        assert str(checkpoint) in str(caught.value)
    assert not (tmp_path / "cache").exists()


def test_one_exporter_announced_by_several_distributions_is_one(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announce(monkeypatch, "fastfcn_export", "fastfcn_export")
    assert converted(checkpoint, OS32, tmp_path / "cache").formats == ("onnx",)
    assert describe_checkpoint(checkpoint, OS32).classes == 6


@pytest.mark.parametrize("values", [("a_fork", "fastfcn_export"), ("fastfcn_export", "a_fork")])
def test_of_several_exporters_none_is_taken_and_the_error_names_them_all(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: tuple[str, ...]
) -> None:
    announce(monkeypatch, *values)
    for action in actions(checkpoint, tmp_path / "cache"):
        with pytest.raises(BackendError, match="a_fork, fastfcn_export") as caught:
            action()
        assert not isinstance(caught.value, BackendMissing)


def test_without_onnx_an_error_names_the_extra_and_a_checkpoint_is_still_described(
    checkpoint: Path, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "sys.modules['onnx'] = None\n"
        "from fastfcn_infer.hub.conversion import Conversion, converted, describe_checkpoint\n"
        "given = Path(sys.argv[1]), Conversion(output_stride=32)\n"
        "print(describe_checkpoint(*given).classes)\n"
        "converted(*given, Path(sys.argv[2]))"
    )
    ended = python("-c", code, checkpoint, tmp_path / "cache")
    assert ended.stdout == "6\n"
    last = ended.stderr.splitlines()[-1]
    assert last.startswith("fastfcn_infer.errors.BackendMissing: ")
    for part in (str(checkpoint), "'onnx'", install("export")):
        assert part in last
    assert not (tmp_path / "cache").exists()


def test_what_is_converted_already_is_opened_without_an_exporter(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = converted(checkpoint, OS32, tmp_path / "cache")
    announce(monkeypatch)
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert converted(checkpoint, OS32, tmp_path / "cache") == first


def test_a_checkpoint_is_described_without_writing_anything(
    checkpoint: Path, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    description = describe_checkpoint(checkpoint, OS32)
    assert description.network.dialect == "paddleseg"
    assert description.classes == 6
    assert sorted(tmp_path.rglob("*")) == before


def test_a_checkpoint_of_another_dialect_than_said_is_refused_and_leaves_nothing(
    checkpoint: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError):
        converted(checkpoint, Conversion(None, "wuhuikai", 32), tmp_path / "cache")
    with pytest.raises(CheckpointError, match="classes"):
        converted(checkpoint, Conversion("voc", None, 32), tmp_path / "cache")
    assert list((tmp_path / "cache").rglob("*.onnx")) == []


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("model_best.pth.tar", "model_best"),
        ("net.v2.pdparams", "net.v2"),
        ("net.safetensors", "net"),
        (".pth", "checkpoint"),
    ],
)
def test_the_folder_of_a_conversion_bears_the_name_of_its_checkpoint(
    checkpoint: Path, tmp_path: Path, name: str, stem: str
) -> None:
    folder = converted(checkpoint.rename(tmp_path / name), OS32, tmp_path / "cache").folder
    assert folder is not None
    assert folder.name.rpartition("-")[0] == stem
