"""A model on this machine needs no home folder, no cache and no network: each is taken away."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from camvid_tree import camvid_artifact, camvid_tree
from command_line import EMBEDDED, PHOTOGRAPH, SEARCH_PATH
from exports import save_checkpoint, tensors_of

# Runs commands, whose words come as JSON, in one process; prints their exit codes and errors.
SCRIPT = """
import contextlib, io, json, os, pwd, sys
def refuse(*_):
    raise KeyError("no entry")
pwd.getpwuid = pwd.getpwnam = refuse
def forbid(event, _):
    if event.startswith("socket."):
        os.write(2, event.encode())
        os._exit(99)
sys.addaudithook(forbid)
from fastfcn_infer.cli.main import main
for words in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(words)
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)
"""

Ended = tuple[int, str, str]


def without(what: str, here: Path, commands: list[list[str]]) -> list[Ended]:
    """Run commands without a network and without a "home" folder or a usable "cache"."""
    env = {key: value for key, value in os.environ.items() if key not in ("HOME", "USERPROFILE")}
    for name in ("FASTFCN_CACHE", "XDG_CACHE_HOME", "FASTFCN_OFFLINE"):
        env.pop(name, None)
    if what in ("cache", "home that is a file"):
        (here / "a file").write_bytes(b"")
        env["FASTFCN_CACHE" if what == "cache" else "HOME"] = str(here / "a file")
    env["PYTHONPATH"] = SEARCH_PATH
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        capture_output=True,
        text=True,
        cwd=here,
        env=env,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    found: list[Ended] = [tuple(json.loads(line)) for line in ended.stdout.splitlines()]
    assert len(found) == len(commands)
    return found


@pytest.fixture
def here(tmp_path: Path) -> Path:
    camvid_artifact(tmp_path / "tiny")
    camvid_tree(tmp_path / "camvid")
    return tmp_path


pytestmark = pytest.mark.skipif(os.name == "nt", reason="home folders are found otherwise there")


@pytest.mark.parametrize("what", ["home", "cache"])
def test_models_on_this_machine_need_neither_home_nor_cache_nor_network(
    here: Path, what: str
) -> None:
    embedded = EMBEDDED.name
    models = [str(EMBEDDED), str(EMBEDDED / "model.onnx"), embedded]
    commands = [["predict", str(PHOTOGRAPH), "-o", "out"]]
    commands += [
        ["predict", str(PHOTOGRAPH), "-o", f"out{index}", "-m", model]
        for index, model in enumerate(models)
    ]
    commands += [["info", model] for model in models]
    commands += [["verify", model] for model in (str(EMBEDDED), embedded)]
    commands += [["benchmark", embedded, "--size", "64x64", "--seconds", "0.01"]]
    commands += [["demo", "-o", "demo"]]
    commands += [["models"], ["models", "--json"], ["datasets"]]
    commands += [["datasets", "camvid", "--root", "camvid", "--split", "test"]]
    for words, (code, _, err) in zip(commands, without(what, here, commands), strict=True):
        assert (words, code, err) == (words, 0, "")


@pytest.mark.parametrize("what", ["home", "cache"])
def test_an_evaluation_without_a_cache_says_that_its_counts_are_not_kept(
    here: Path, what: str
) -> None:
    words = ["evaluate", "tiny", "--dataset", "camvid", "--root", "camvid", "--split", "test"]
    kept = [*words, "--state", "state.json"]
    (code, out, err), explicit = without(what, here, [words, kept])
    assert code == 0
    assert "mean IoU" in out
    assert "The counts are not kept" in err and "--state FILE" in err
    assert (explicit[0], explicit[2]) == (0, "")


@pytest.mark.parametrize("what", ["home", "cache"])
def test_what_needs_a_cache_says_how_to_choose_one(here: Path, what: str) -> None:
    checkpoint = save_checkpoint(here, "paddleseg", tensors_of("paddleseg_os32"))
    models = [str(checkpoint), "fastfcn-resnet50-ade20k", "hub:owner/name"]
    # With the extra `hub` the name of a model on the hub would be looked up, which opens a socket.
    offline = [
        ["predict", str(PHOTOGRAPH), "-o", "out", "-m", model, "--offline"] for model in models
    ]
    ended = without(what, here, offline)
    for model, (code, out, err) in zip(models, ended, strict=True):
        assert (model, code, out) == (model, 3, "")
        assert err.startswith("DownloadError: ")
    if what == "home":
        for _, _, err in ended:
            assert "FASTFCN_CACHE" in err and "--cache-dir" in err
    else:
        assert "cannot be used" in ended[0][2] and "--cache-dir" in ended[0][2]
    given = ["predict", str(PHOTOGRAPH), "-o", "out", "-m", str(checkpoint)]
    given += ["--output-stride", "32", "--cache-dir", "own"]
    ((code, _, err),) = without(what, here, [given])
    assert (code, err) == (0, "")


@pytest.mark.parametrize("what", ["home", "cache"])
def test_the_doctor_says_what_is_wrong_with_the_cache(here: Path, what: str) -> None:
    commands = [["doctor"], ["doctor", "--json"]]
    ((*fine, text, _), (_, data, err)) = without(what, here, commands)
    assert (fine, err) == ([0], "")
    (line,) = [line for line in text.splitlines() if line.startswith("cache ")]
    found = json.loads(data)
    if what == "home":
        assert "none: There is no home folder" in line and "FASTFCN_CACHE" in line
        assert found["cache"] is None
        assert "no home folder" in found["no_cache"]
    else:
        assert str(here / "a file") in line and "not a folder" in line
        assert found["cache"] == str(here / "a file")


def test_a_home_that_cannot_be_written_to_is_one_sentence_with_the_way_out(here: Path) -> None:
    checkpoint = str(save_checkpoint(here, "paddleseg", tensors_of("paddleseg_os32")))
    score = ["evaluate", "tiny", "--dataset", "camvid", "--root", "camvid", "--split", "test"]
    label, scored, converted, doctor = without(
        "home that is a file",
        here,
        [
            ["predict", str(PHOTOGRAPH), "-o", "out"],
            score,
            ["predict", str(PHOTOGRAPH), "-o", "out2", "-m", checkpoint],
            ["doctor"],
        ],
    )
    assert (label[0], label[2]) == (0, "")
    assert scored[0] == 0 and "mean IoU" in scored[1]
    code, out, err = converted
    assert (code, out, err.count("\n")) == (3, "", 1)
    for _, _, said in (scored, converted):
        assert "Not a directory" in said and "--cache-dir" in said
        assert str(here / "a file") in said
    (line,) = [line for line in doctor[1].splitlines() if line.startswith("cache ")]
    assert doctor[0] == 0
    assert "cannot be written to: Not a directory" in line and "--cache-dir" in line
