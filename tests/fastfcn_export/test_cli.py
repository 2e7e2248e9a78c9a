import argparse
import json
import os
import pickle
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from command_line import EMBEDDED, SEARCH_PATH
from exports import save_checkpoint, tensors_of
from fastfcn_export import Description
from fastfcn_export.__main__ import main
from fastfcn_export.target import fusion
from fastfcn_infer import __version__
from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.artifact.checked_file import hash_file
from fastfcn_infer.artifact.manifest import Source, read_manifest
from fastfcn_infer.runtime import backend
from fastfcn_infer.system.record import from_json
from hostile.assembler import array, bare, called, listed, mapping, named

pytest.importorskip("onnxruntime")

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    return str(save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32")))


@pytest.fixture
def out(tmp_path: Path) -> str:
    return str(tmp_path / "out")


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the command as a user would, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "fastfcn_export", *arguments],
        env={**os.environ, "PYTHONPATH": SEARCH_PATH},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_user_gets_results_on_stdout_and_progress_on_stderr(checkpoint: str, out: str) -> None:
    done = run(checkpoint, "-o", out, "--output-stride", "32")
    assert done.returncode == 0, done.stderr
    assert "dialect  paddleseg" in done.stdout
    assert re.search(r"verified \w+ .* worst difference \d\.\de-\d\d", done.stdout)
    for stage in ("read", "write onnx", "verify onnx", "seal"):
        assert re.search(rf"^ *\d+\.\d s  {stage}$", done.stderr, re.MULTILINE)
    written = open_artifact(Path(out)).manifest
    assert written is not None
    facts = hash_file(Path(checkpoint))
    assert written.source == Source(Path(checkpoint).name, facts.size, facts.sha256)


def test_a_user_gets_one_line_and_code_6_for_a_damaged_file(tmp_path: Path, out: str) -> None:
    broken = tmp_path / "model.pdparams"
    broken.write_bytes(b"\x80\x04")
    done = run(str(broken), "-o", out)
    assert done.returncode == 6
    assert "Traceback" not in done.stderr
    assert str(broken) in done.stderr
    assert done.stdout == ""


def test_help_names_every_option_and_exit_code() -> None:
    done = run("--help")
    assert done.returncode == 0
    for option in (
        "--output-folder", "--format", "--classes", "--dialect", "--output-stride", "--output ",
        "--accept-own-size", "--with-preprocess", "--shape", "--precision", "--verify", "--dry-run", "--force",
        "--json", "--version", "--weights-key", "--use-ema",
    ):  # fmt: skip
        assert option in done.stdout
    for code in ("0 fine", "1 a bug", "2 usage", "4 the graph", "5 a runtime", "6 the checkpoint"):
        assert code in done.stdout


def test_the_version_is_the_package_s(capsys: Captured) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"fastfcn-export {__version__}\n"


def test_quiet_prints_no_stages(checkpoint: str, out: str, capsys: Captured) -> None:
    assert main([checkpoint, "-o", out, "--verify", "off", "--quiet"]) == 0
    said, progress = capsys.readouterr()
    assert "artifact " in said
    assert " s  " not in progress


def test_ctrl_c_says_at_which_stage_and_that_nothing_was_written(
    checkpoint: str, out: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fastfcn_export.convert.seal", interrupted)
        assert main([checkpoint, "-o", out, "--verify", "off", "--quiet"]) == 130
        err = capsys.readouterr().err
        assert err.endswith(f"interrupted: stopped at the stage 'seal'; {out} was not written\n")
        assert [path.name for path in Path(out).parent.iterdir() if "partial" in path.name] == []
    assert main([checkpoint, "-o", out, "--verify", "off", "--quiet"]) == 0
    monkeypatch.setattr("fastfcn_export.convert.seal", interrupted)
    assert main([checkpoint, "-o", out, "--verify", "off", "--force"]) == 130
    assert "is what it was before" in capsys.readouterr().err


def test_json_prints_the_manifest_and_nothing_else(
    checkpoint: str, out: str, capsys: Captured
) -> None:
    assert main([checkpoint, "-o", out, "--json", "--verify", "off"]) == 0
    printed = capsys.readouterr()
    assert read_manifest(printed.out, "stdout") == open_artifact(Path(out)).manifest
    assert printed.err == ""


def test_a_dry_run_describes_and_writes_nothing(
    checkpoint: str, tmp_path: Path, capsys: Captured
) -> None:
    assert main([checkpoint, "--dry-run"]) == 0
    text = capsys.readouterr().out
    for part in ("dialect  paddleseg", "encnet", "parameters", "multiply-adds", "backbone.stage3",
                 "memory   weights", "assumed  output stride 8"):  # fmt: skip
        assert part in text
    assert [path.name for path in tmp_path.iterdir()] == ["model.pdparams"]


def test_a_dry_run_of_a_folder_says_that_only_checkpoints_are_described(
    tmp_path: Path, capsys: Captured
) -> None:
    assert main([str(tmp_path), "--dry-run"]) == 6
    assert "only checkpoints can be described without exporting" in capsys.readouterr().err


def test_a_dry_run_in_json_is_a_description(checkpoint: str, capsys: Captured) -> None:
    assert main([checkpoint, "--dry-run", "--json", "--output-stride", "16"]) == 0
    found = from_json(Description, capsys.readouterr().out)
    assert found.network.output_stride == 16
    assert found.network.assumed == ()


def test_what_was_assumed_is_in_the_output_of_an_export(
    checkpoint: str, out: str, capsys: Captured
) -> None:
    assert main([checkpoint, "-o", out, "--verify", "off"]) == 0
    text = capsys.readouterr().out
    assert "assumed  output stride 8 and dilations" in text
    assert "not verified (--verify off)" in text


def test_every_option_reaches_the_artifact(checkpoint: str, out: str, tmp_path: Path) -> None:
    table = [{"name": f"thing {i}", "color": [0, 0, i]} for i in range(6)]
    (tmp_path / "things.json").write_text(json.dumps(table))
    options = (
        "--format onnx --dialect paddleseg --output-stride 32 --output probabilities "
        f"--with-preprocess --shape 1x64x96 --precision fp16 --classes {tmp_path}/things.json"
    )
    assert main([checkpoint, "-o", out, *options.split()]) == 0
    model = open_artifact(Path(out)).model
    assert (model.input.name, model.input.shape) == ("pixels", (1, 64, 96))
    assert (model.output.name, model.precision) == ("probabilities", "fp16")
    assert model.network.output_stride == 32
    assert model.classes[5].name == "thing 5"


@pytest.fixture
def resized(tmp_path: Path) -> str:
    """A checkpoint whose authors resize pictures."""
    folder = tmp_path / "resized"
    folder.mkdir()
    return str(save_checkpoint(folder, "ncpaddle", tensors_of("ncpaddle_fcn")))


@pytest.mark.parametrize("dry_run", [[], ["--dry-run"]])
def test_labels_that_drop_the_authors_resize_are_code_2_and_name_the_flag(
    resized: str, out: str, dry_run: list[str], capsys: Captured
) -> None:
    assert main([resized, "-o", out, "--output", "labels", *dry_run]) == 2
    printed = capsys.readouterr()
    assert "resize pictures to a short side of 480 pixels" in printed.err
    assert "--accept-own-size" in printed.err
    assert printed.out == ""
    assert not Path(out).exists()


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_what_is_dropped_is_on_stderr_and_in_the_manifest(
    resized: str, out: str, as_json: list[str], capsys: Captured
) -> None:
    options = ["--output", "labels", "--accept-own-size", "--verify", "off", *as_json]
    assert main([resized, "-o", out, *options]) == 0
    printed = capsys.readouterr()
    (note,) = open_artifact(Path(out)).model.notes
    assert f"note: {note}\n" in printed.err
    assert "the authors' resize was dropped" in note
    if as_json:
        assert read_manifest(printed.out, "stdout").model.notes == (note,)
    written = json.loads((Path(out) / "manifest.json").read_text(encoding="utf-8"))
    assert written["model"]["notes"] == [note]


def test_a_dry_run_says_how_pictures_are_sized_and_what_an_export_would_note(
    resized: str, checkpoint: str, capsys: Captured
) -> None:
    assert main([resized, "--dry-run", "--precision", "fp16"]) == 0
    printed = capsys.readouterr()
    assert "pictures resized to a short side of 480 pixels" in printed.out
    assert printed.err.startswith("note: --precision fp16: ")
    assert main([resized, "--dry-run", "--json", "--precision", "fp16"]) == 0
    found = from_json(Description, capsys.readouterr().out)
    assert found.procedure is not None and found.procedure.resize is not None
    assert len(found.notes) == 1
    assert main([checkpoint, "--dry-run"]) == 0
    printed = capsys.readouterr()
    assert "pictures at their own size" in printed.out
    assert printed.err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "-o FOLDER is missing"),
        (["-o", "x", "--output-stride", "4"], "invalid choice"),
        (["-o", "x", "--shape", "1x20x64"], "H, W from 33"),
        (["-o", "x", "--shape", "0x64x64"], "N from 1"),
        (["-o", "x", "--shape", "64x64"], "NxHxW"),
        (["-o", "x", "--precision", "int4"], "invalid choice"),
        (["-o", "x", "--no-such-option"], "unrecognized arguments"),
    ],
)
def test_a_mistake_in_the_options_is_code_2(
    options: list[str], message: str, capsys: Captured
) -> None:
    assert main(["model.pth", *options]) == 2
    assert message in capsys.readouterr().err


def test_an_unknown_format_is_code_2(checkpoint: str, out: str, capsys: Captured) -> None:
    assert main([checkpoint, "-o", out, "--format", "tflite"]) == 2
    assert "unknown format tflite; known: " in capsys.readouterr().err


def test_a_folder_that_is_there_is_code_2_and_force_replaces_it(
    checkpoint: str, out: str, capsys: Captured
) -> None:
    assert main([checkpoint, "-o", out, "--verify", "off"]) == 0
    assert main([checkpoint, "-o", out, "--verify", "off"]) == 2
    assert "out" in capsys.readouterr().err
    assert main([checkpoint, "-o", out, "--verify", "off", "--force", "--shape", "1x64x64"]) == 0
    assert open_artifact(Path(out)).model.input.shape == (1, 64, 64)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_force_keeps_a_users_own_files_and_names_them_on_stderr(
    checkpoint: str, out: str, options: list[str]
) -> None:
    common = [checkpoint, "-o", out, "--verify", "off", *options]
    assert run(*common).returncode == 0
    (Path(out) / "notes.txt").write_text("mine")
    done = run(*common, "--force")
    assert done.returncode == 0
    assert "which were left: notes.txt" in done.stderr
    assert "notes.txt" not in done.stdout
    assert (Path(out) / "notes.txt").read_text() == "mine"


def test_force_leaves_a_browser_extension_alone_and_is_code_6(
    checkpoint: str, out: str, capsys: Captured
) -> None:
    files = {"manifest.json": '{"manifest_version": 3, "name": "x"}', "background.js": "// x"}
    Path(out).mkdir()
    for name, text in files.items():
        (Path(out) / name).write_text(text)
    assert main([checkpoint, "-o", out, "--force"]) == 6
    assert "background.js" in capsys.readouterr().err
    assert {path.name: path.read_text() for path in Path(out).iterdir()} == files


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    ("options", "code", "error", "message"),
    [
        (["--dialect", "caffe"], 2, "UnknownDialect", "unknown dialect 'caffe'"),
        (["--dialect", "mmseg"], 6, "CheckpointError", "missing: backbone."),
        (["--classes", "ade20k"], 6, "CheckpointError", "6 classes, but ade20k has 150"),
        (["--classes", "none.json"], 2, "UnknownClassTable", "none.json"),
    ],
)
def test_errors_have_their_codes_and_are_objects_in_json(
    checkpoint: str,
    out: str,
    capsys: Captured,
    options: list[str],
    code: int,
    error: str,
    message: str,
    as_json: bool,
) -> None:
    assert main([checkpoint, "-o", out, *options, *(["--json"] if as_json else [])]) == code
    printed = capsys.readouterr()
    if as_json:
        found = json.loads(printed.out)
        assert (found["error"], found["code"]) == (error, code)
        assert message in found["message"]
        assert printed.err == ""
    else:
        assert f"{error}: " in printed.err
        assert message in printed.err
        assert printed.out == ""
    assert not Path(out).exists()


@pytest.mark.parametrize(
    "options", [["-o", "OUT"], ["-o", "OUT", "--precision", "fp16"], ["--dry-run"]]
)
def test_an_artifact_in_place_of_a_checkpoint_is_code_2_and_says_what_it_can_become(
    out: str, capsys: Captured, options: list[str]
) -> None:
    assert main([str(EMBEDDED), *(out if word == "OUT" else word for word in options)]) == 2
    message = capsys.readouterr().err
    assert "is an artifact already" in message
    assert "--precision int8 --calibrate PICTURES adds a graph" in message
    assert not Path(out).exists()


def test_an_error_begins_a_line_of_its_own_after_the_progress(
    checkpoint: str, out: str, capsys: Captured
) -> None:
    assert main([checkpoint, "-o", out, "--classes", "ade20k"]) == 6
    lines = capsys.readouterr().err.splitlines()
    assert any(line.startswith("CheckpointError: ") for line in lines)


def test_a_graph_that_is_not_the_network_is_code_4(
    checkpoint: str, out: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = fusion.fold_norm
    monkeypatch.setattr(
        fusion, "fold_norm", lambda *given: tuple(1.01 * array for array in right(*given))
    )
    assert main([checkpoint, "-o", out, "--json"]) == 4
    assert json.loads(capsys.readouterr().out)["error"] == "VerificationError"
    assert not Path(out).exists()


def test_a_missing_runtime_is_code_5(
    checkpoint: str, out: str, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "installed", lambda name: False)
    assert main([checkpoint, "-o", out, "--json"]) == 5
    found = json.loads(capsys.readouterr().out)
    assert found["error"] == "BackendMissing"
    assert "pip install" in found["message"]
    assert not Path(out).exists()


@pytest.fixture
def wild(tmp_path: Path) -> str:
    """A checkpoint with two sets of weights for ADE20K and objects beside them."""
    tensors = dict(tensors_of("mmseg_psp"))
    for name in ("decode_head.conv_seg.weight", "decode_head.conv_seg.bias"):
        tensors[name] = np.resize(tensors[name], (150, *tensors[name].shape[1:]))
    tree = {
        "args": argparse.Namespace(lr=0.1), "state_dict": {f"model.{k}": v for k, v in tensors.items()},
        "ema_state_dict": {name: 2 * value for name, value in tensors.items()},
    }  # fmt: skip
    path = tmp_path / "my model.pth"
    path.write_bytes(pickle.dumps(tree, 4))
    return str(path)


def test_a_dry_run_names_what_is_skipped_and_which_weights_and_classes_there_are(
    wild: str, capsys: Captured
) -> None:
    assert main([wild, "--dry-run"]) == 0
    text = capsys.readouterr().out
    for line in (
        "the weights are those under 'state_dict' whose names begin with 'model.'",
        "the file holds a moving average, too: --use-ema takes it",
        'classes  called "class 0" to "class 149"; ade20k has as many (--classes ade20k)',
        "skipped  beside the weights, neither built nor called: argparse.Namespace",
    ):
        assert line in text
    assert main([wild, "--dry-run", "--json"]) == 0
    assert from_json(Description, capsys.readouterr().out).skipped == ("argparse.Namespace",)


def test_what_is_skipped_is_listed_in_bounded_text(tmp_path: Path, capsys: Captured) -> None:
    names = listed(*(called(named("a" * 300, f"B{i}")) for i in range(3000)))
    tensors = {name: array(value) for name, value in tensors_of("mmseg_psp").items()}
    (tmp_path / "x.pth").write_bytes(
        bare(mapping({"notes": names, "state_dict": mapping(tensors)}))
    )
    assert main([str(tmp_path / "x.pth"), "--dry-run"]) == 0
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("skipped"))
    assert len(line) < 3000
    assert line.endswith("and 2980 more")


def test_the_command_that_a_dry_run_suggests_exports_the_checkpoint(
    wild: str, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([wild, "--dry-run", "--use-ema", "--verify", "off"]) == 0
    (line,) = (x for x in capsys.readouterr().out.splitlines() if x.startswith("next "))
    command, *words = shlex.split(line.removeprefix("next"))
    assert (command, words[-4:]) == ("fastfcn-export", ["-o", "my model", "--classes", "ade20k"])
    assert main(words) == 0
    assert "classes  wall, building, sky" in capsys.readouterr().out
    assert open_artifact(tmp_path / "my model").model.classes[0].name == "wall"


def test_an_export_says_that_classes_are_only_numbered_and_how_to_name_them(
    wild: str, checkpoint: str, out: str, capsys: Captured
) -> None:
    assert main([checkpoint, "-o", out, "--verify", "off"]) == 0
    assert '"class 5"; --classes FILE.json names them' in capsys.readouterr().out
    assert (
        main([wild, "-o", out, "--verify", "off", "--force", "--weights-key", "ema_state_dict"])
        == 0
    )
    printed = capsys.readouterr().out
    assert "ade20k has as many (--classes ade20k)" in printed
    assert "the weights are those under 'ema_state_dict'" in printed
