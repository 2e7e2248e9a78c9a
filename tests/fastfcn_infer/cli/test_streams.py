"""Whatever standard output is, no report is lost: letters that it lacks, a closed pipe, a full disk."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from camvid_tree import camvid_artifact, camvid_tree
from command_line import SEARCH_PATH, python
from exports import save_checkpoint, tensors_of
from fastfcn_infer.cli import exit_codes, streams
from fastfcn_infer.cli.main import main

# Letters of Latin-1 and of other scripts, beyond the first plane, and an undecodable byte of a name.
TEXT = "Straße é → 道路 😀 \udcff"
ENCODINGS = ("ascii", "latin-1", "cp1252", "utf-8", "koi8-r")
# Names of files are bytes to a process that runs so.
ASCII_SYSTEM = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
COMMANDS = ("fastfcn_infer", "fastfcn_export", "fastfcn_training")


def printing(text: str) -> int:
    print(text)  # noqa: T201 - as commands do
    return 0


def written(encoding: str, command: Callable[[], int]) -> tuple[int, bytes]:
    """Run a command with a standard output of this encoding, which it leaves as it was."""
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    with contextlib.redirect_stdout(output):
        code = command()
    assert (output.encoding, output.errors) == (encoding, "strict")
    output.flush()
    assert isinstance(output.buffer, io.BytesIO)
    return code, output.buffer.getvalue()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_text_keeps_what_the_encoding_has_and_escapes_the_rest(encoding: str) -> None:
    code, found = written(encoding, lambda: exit_codes.run(lambda: printing(TEXT), as_json=False))
    # The byte of a name that is no text comes out as it is on the disk.
    assert (code, found) == (0, TEXT[:-1].encode(encoding, "backslashreplace") + b"\xff\n")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_json_is_utf_8_and_equal_in_any_encoding(encoding: str) -> None:
    data = {"name": TEXT, TEXT: [TEXT]}
    text = json.dumps(data, ensure_ascii=False, indent=2)
    code, found = written(encoding, lambda: exit_codes.run(lambda: printing(text), as_json=True))
    assert (code, json.loads(found.decode("utf-8"))) == (0, data)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_error_is_not_lost_either(encoding: str) -> None:
    def fail() -> int:
        raise ValueError(TEXT)

    code, found = written(encoding, lambda: exit_codes.run(fail, as_json=True))
    assert (code, json.loads(found.decode("utf-8"))["message"]) == (2, TEXT)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_report_that_is_read_as_a_file_is_utf_8_whatever_option_asked_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.chdir(tmp_path)
    camvid_artifact(tmp_path / "modèle")
    camvid_artifact(tmp_path / "道路")
    words = ["benchmark", "modèle", "道路", "--size", "64x64", "--seconds", "0.01"]
    code, found = written(encoding, lambda: main([*words, "--threads", "1", "--format", "json"]))
    assert code == 0
    text = json.dumps(json.loads(found.decode("utf-8")), ensure_ascii=False)
    assert "modèle" in text and "道路" in text


def test_other_streams_than_pythons_and_none_are_left_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = io.StringIO()
    monkeypatch.setattr(sys, "stdout", taken)
    assert exit_codes.run(lambda: printing(TEXT), as_json=False) == 0
    assert taken.getvalue() == f"{TEXT}\n"
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert exit_codes.run(lambda: printing(TEXT), as_json=True) == 0
    streams.flush()
    streams.drop_unwritable()


def closed_pipe(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command whose reader has gone, as that of `| head -1` has after a line."""
    read, write = os.pipe()
    os.close(read)
    try:
        return subprocess.run(
            [sys.executable, "-m", *words],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SEARCH_PATH},
            timeout=120,
            check=False,
        )
    finally:
        os.close(write)


@pytest.mark.parametrize(
    "words",
    [
        ["fastfcn_infer", "models"],
        ["fastfcn_infer", "models", "--json"],
        ["fastfcn_infer", "info", "nosuch", "--json"],
        *([command, "--help"] for command in COMMANDS),
    ],
)
def test_a_closed_pipe_ends_a_command_as_shells_expect(words: list[str]) -> None:
    ended = closed_pipe(*words)
    # argparse itself passes over a help text that cannot be written.
    codes = {0, 128 + 13} if "--help" in words else {128 + 13}
    assert ended.returncode in codes
    assert ended.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="it stands for a full disk")
@pytest.mark.parametrize("words", [["models"], ["models", "--json"]])
def test_a_full_disk_behind_standard_output_is_one_line(words: list[str]) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        ended = subprocess.run(
            [sys.executable, "-m", "fastfcn_infer", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SEARCH_PATH},
            timeout=120,
            check=False,
        )
    assert ended.returncode == exit_codes.NOT_WRITTEN
    assert ended.stderr.count("\n") == 1
    assert "No space left" in ended.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes there")
def test_names_of_files_that_are_no_text_are_scored_labelled_and_exported(tmp_path: Path) -> None:
    camvid_artifact(tmp_path / "tiny")
    camvid_tree(tmp_path / "camvid", pictures=3)
    for place in (b"images", b"labels"):
        folder = os.fsencode(tmp_path) + b"/camvid/" + place + b"/test/"
        os.rename(folder + b"p1.png", folder + b"p\xff.png")  # noqa: PTH104 - bytes
        os.rename(folder + b"p2.png", folder + "pé.png".encode())  # noqa: PTH104 - bytes
    save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))
    score = ["fastfcn_infer", "evaluate", "tiny", "--dataset", "camvid", "--root", "camvid"]
    label = ["fastfcn_infer", "predict", "camvid/images/test", "-o", "läbels", "-m", "tiny"]
    for words in (
        [*score, "--split", "test", "--save-predictions", "scored", "--json"],
        [*label, "--save", "labels,json,coco,labelme", "--json"],
        ["fastfcn_export", "model.pdparams", "--output-stride", "32", "-o", "modèle", "--json"],
    ):
        ended = python("-m", *words, cwd=tmp_path, env=ASCII_SYSTEM)
        assert (words, ended.returncode, ended.stderr) == (words, 0, "")
        for text in [ended.stdout] if "predict" not in words else ended.stdout.splitlines():
            assert json.loads(text)
    assert len(list((tmp_path / "läbels").glob("*_labels.png"))) == 3
    facts = [json.loads(file.read_bytes()) for file in (tmp_path / "läbels").glob("p*.json")]
    assert "p\udcff.png" in {Path(each["source"]).name for each in facts}
    manifest = json.loads((tmp_path / "modèle" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["model"]["name"] == "modèle"
    # The state of an evaluation is the same for a process that knows the letters.
    again = python("-m", *score, "--split", "test", "--save-predictions", "scored", cwd=tmp_path)
    assert again.returncode == 0
    assert "3 pictures are counted already" in again.stderr
