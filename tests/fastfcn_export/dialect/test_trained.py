import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exports import save_checkpoint, tensors_of
from fastfcn_export import describe_checkpoint, export
from fastfcn_export.__main__ import main
from fastfcn_export.checkpoint.read import CheckpointFile
from fastfcn_export.dialect.trained import KEY, read_trained
from fastfcn_export.network import choice
from fastfcn_export.target.random_weights import random_weights
from fastfcn_export.target.targets import reference
from fastfcn_infer import Segmenter
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.class_table import class_table
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.cli import exit_codes
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.inference.replay import replay
from fastfcn_infer.system.record import to_data, to_json
from hostile.safetensors_files import entry, file
from trained_files import CHOICES, trained, write_trained

pytest.importorskip("onnxruntime")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return write_trained(tmp_path / "model.safetensors")


@pytest.mark.parametrize("name", CHOICES)
def test_a_trained_network_of_any_choice_exports_and_is_proven(name: str, tmp_path: Path) -> None:
    said = trained(CHOICES[name])
    manifest = export(write_trained(tmp_path / "m.safetensors", said), tmp_path / "out")
    model = manifest.model
    record = manifest.verification
    assert record is not None
    assert record.worst_difference <= 1e-4  # of the largest logit, against the unfused network
    assert record.label_agreement >= 0.999
    assert model.classes == said.classes
    assert (model.input.mean, model.input.std) == (said.mean, said.std)
    assert model.input.padding == said.padding
    assert model.align_corners == said.align_corners
    assert model.procedure == Procedure("whole", None)
    network = model.network
    assert (network.dialect, network.convention, network.assumed) == ("fastfcn", "mmseg", ())
    assert (network.head, network.jpu) == (said.network.head, said.network.jpu)
    assert network.output_stride == said.network.output_stride
    assert network.laterals == said.network.laterals


def test_the_artifact_predicts_what_the_unfused_network_of_the_record_says(tmp_path: Path) -> None:
    said = trained(CHOICES["wuhuikai_v1c_laterals"])
    export(write_trained(tmp_path / "m.safetensors", said), tmp_path / "out")
    picture = np.random.default_rng(3).integers(0, 256, (65, 97, 3)).astype(np.uint8)
    image = ((picture / 255 - said.mean) / said.std).transpose(2, 0, 1)[None].astype(np.float32)
    architecture = choice.architecture(said.network, len(said.classes))
    logits = reference.logits(architecture, random_weights(architecture), image)
    full = reference.resize(logits, (65, 97), align_corners=said.align_corners)
    with Segmenter.from_pretrained(tmp_path / "out", device="cpu") as segmenter:
        labels = segmenter.predict(picture).labels
        assert replay(segmenter).passed
    assert (labels == full[0].argmax(0)).mean() > 0.999


def test_a_trained_checkpoint_is_opened_by_its_path_alone(
    checkpoint: Path, tmp_path: Path
) -> None:
    with Segmenter.from_pretrained(
        checkpoint, cache_dir=tmp_path / "cache", device="cpu"
    ) as found:
        assert found.model.classes == trained().classes


def test_classes_that_are_given_replace_the_names_and_must_be_as_many(
    checkpoint: Path, tmp_path: Path
) -> None:
    table = tmp_path / "names.json"
    table.write_text(json.dumps([{"name": n, "color": [1, 2, 3]} for n in "abcd"]))
    manifest = export(checkpoint, tmp_path / "out", classes=table, verify=False)
    assert [info.name for info in manifest.model.classes] == ["a", "b", "c", "d"]
    with pytest.raises(CheckpointError, match="has 4 classes, but camvid has 11"):
        export(checkpoint, tmp_path / "other", classes="camvid")


def test_options_that_contradict_the_file_are_refused_together(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        describe_checkpoint(checkpoint, dialect="paddleseg", output_stride=8)
    assert str(checkpoint) in str(caught.value)
    assert "dialect paddleseg was asked for, it has fastfcn" in str(caught.value)
    assert "output stride 8 was asked for, it has 32" in str(caught.value)


def test_options_that_repeat_what_the_file_says_are_accepted(checkpoint: Path) -> None:
    found = describe_checkpoint(checkpoint, dialect="fastfcn", output_stride=32)
    assert found == describe_checkpoint(checkpoint)


def test_a_dry_run_says_what_it_was_trained_on(
    checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(checkpoint), "--dry-run"]) == exit_codes.FINE
    told = capsys.readouterr().out
    assert "trained  beach train, 12345 iterations" in told
    assert "assumed" not in told


def test_a_checkpoint_without_its_metadata_is_refused(tmp_path: Path) -> None:
    path = write_trained(tmp_path / "m.safetensors", metadata={"format": "np"})
    with pytest.raises(CheckpointError, match="no metadata 'fastfcn'"):
        describe_checkpoint(path)


def test_tensors_that_do_not_fit_the_record_are_all_listed(tmp_path: Path) -> None:
    said = trained(CHOICES["paddleseg"])
    wider = replace(said, network=replace(said.network, head_width=16, jpu=None))
    path = write_trained(tmp_path / "m.safetensors", said, {KEY: to_json(wider)})
    with pytest.raises(CheckpointError, match="metadata describes") as caught:
        describe_checkpoint(path)
    told = str(caught.value)
    assert "misshapen: head.classifier.weight is (4, 12, 1, 1), expected (4, 16, 1, 1)" in told
    assert told.count("unexpected: jpu.") == 15 + 4 * 10


def changed(**values: Any) -> str:
    return json.dumps(to_data(trained()) | values)


def networks(**values: Any) -> str:
    return changed(network=to_data(trained().network) | values)


HOSTILE: dict[str, tuple[str, tuple[str, ...]]] = {
    "no JSON": ("{", ("not JSON",)),
    "a list": ("[]", ("object was expected",)),
    "nothing in it": ("{}", ("network: missing", "classes: missing", "iterations: missing")),
    "another format": (changed(format_version=2), ("format_version: 2 is none of 1",)),
    "unknown keys": (changed(harm=1, more=2), ("harm: unknown key", "more: unknown key")),
    "unknown keys of the network": (networks(harm=1), ("network.harm: unknown key",)),
    "an unknown backbone": (networks(backbone="resnet7"), ("network.backbone",)),
    "sizes that no memory holds": (
        networks(backbone_width=10**9, jpu_width=10**12, codes=10**4000, head_width=0),
        ("backbone_width is", "jpu_width is", "codes is", "head_width is 0"),
    ),
    "a number of a million digits": (f'{{"iterations": {"9" * 100_000}}}', ("not JSON",)),
    "a number of classes": (changed(classes=10**9), ("classes: a list was expected",)),
    "no classes, no deviation, years backwards": (
        changed(classes=[], std=[0.1, 0, 0.1], iterations=-1),
        ("0 classes", "std", "iterations is -1"),
    ),
    "pixels beyond float32": (changed(mean=[1e300, 0, 0]), ("normalised values smaller",)),
    "too many classes": (
        changed(classes=[{"name": "", "color": [0, 0, 0]}] * 65536).replace(", ", ","),
        ("texts of at most",),  # longer than any note
    ),
    "a colour outside": (changed(classes=[{"name": "a", "color": [0, 0, 256]}]), ("outside",)),
    "an endless mean": (changed(mean=[0, 0, float("inf")]), ("mean[2]",)),
    "lists in lists": ("[" * 400_000, ("not JSON",)),
    "a network its family has not": (networks(form="deep"), ("paddleseg has vd backbones only",)),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_metadata_that_no_training_writes_is_refused_and_buys_no_memory(
    what: str, tmp_path: Path
) -> None:
    text, finds = HOSTILE[what]
    path = write_trained(tmp_path / "m.safetensors", metadata={KEY: text})
    tracemalloc.start()
    try:
        with pytest.raises(CheckpointError) as caught:
            describe_checkpoint(path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    assert str(path) in str(caught.value)
    assert [find for find in finds if find not in str(caught.value)] == []


def test_a_record_without_the_fields_added_later_is_read_with_their_defaults(
    tmp_path: Path,
) -> None:
    data = to_data(trained())
    del data["convention"]
    found = read_trained(write_trained(tmp_path / "m", metadata={KEY: json.dumps(data)}))
    assert found == replace(trained(), convention="paddleseg")


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b'{"__metadata__":{"a":"b","fastfcn":"x\\u00e9\\n"},"t":%s}', "xé\n"),
        (b'{"t":%s,"__metadata__":{"\\u0066astfcn":"x"}}', "x"),
        (b'{"t":%s,"__metadata__":{"a":"b"}}', None),
        (b'{"t":%s,"__metadata__":{}}', None),
        (b'{"t":%s}', None),
    ],
)
def test_a_note_is_found_wherever_it_stands(
    header: bytes, found: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(file(header % entry(), bytes(8)))
    assert CheckpointFile(path).note(KEY) == found


def test_a_note_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    header = b'{"t":%s,"__metadata__":{"fastfcn":"a","fastfcn":"b"}}' % entry()
    path.write_bytes(file(header, bytes(8)))
    with pytest.raises(CheckpointError, match="name 'fastfcn' twice"):
        CheckpointFile(path).note(KEY)


def test_files_of_other_kinds_say_nothing_of_themselves(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))
    assert read_trained(path) is None


@pytest.mark.parametrize("read", [read_trained, describe_checkpoint], ids=["record", "all"])
def test_a_file_that_is_not_there_is_named(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.safetensors"):
        read(tmp_path / "gone.safetensors")


def test_the_table_of_the_training_is_told_from_the_file(tmp_path: Path) -> None:
    said = replace(trained(), classes=class_table("camvid"))
    export(write_trained(tmp_path / "m.safetensors", said), tmp_path / "out", verify=False)
    assert open_artifact(tmp_path / "out").model.classes == class_table("camvid")
