"""Full disks and read-only targets: one line about the user's path, exit code 9, in all three commands.

A limit on the size of files stands for a full disk: it fails in the same system calls.
"""

import errno
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from camvid_tree import camvid_artifact, camvid_tree
from command_line import EMBEDDED, PHOTOGRAPH, python
from exports import save_checkpoint, tensors_of
from fastfcn_infer.cli.main import main
from fastfcn_infer.inference.segmentation import Segmentation

EVALUATE = ("evaluate", "tiny", "--dataset", "camvid", "--root", "camvid", "--split", "test")
LIMITED = (
    "import resource, runpy, sys\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
    "sys.argv[0:2] = []\nsys.argv[0:0] = ['command']\n"
    "runpy.run_module(MODULE, run_name='__main__')"
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    camvid_artifact(tmp_path / "tiny")
    for split in ("train", "test"):
        camvid_tree(tmp_path / "camvid", split=split)
    save_checkpoint(tmp_path, "paddleseg", tensors_of("paddleseg_os32"))
    (tmp_path / "file").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def limited(module: str, *words: str) -> subprocess.CompletedProcess[str]:
    return python("-c", LIMITED.replace("MODULE", repr(module)), "-", *words, cwd=Path.cwd())


@pytest.mark.skipif(sys.platform == "win32", reason="it has no such limit")
@pytest.mark.parametrize(
    ("module", "words", "named"),
    [
        ("fastfcn_infer", ["predict", str(PHOTOGRAPH), "-o", "out"], "out/street_labels.png"),
        ("fastfcn_infer", ["predict", str(PHOTOGRAPH), "-o", "a.png"], "a.png"),
        ("fastfcn_infer", ["demo", "-o", "out"], "out/fastfcn_demo_labels.png"),
        ("fastfcn_infer", ["relabel", str(EMBEDDED), "--classes", "camvid", "-o", "out"], "out"),
        (
            "fastfcn_infer",
            [*EVALUATE, "--save-predictions", "out"],
            "out/evaluation.json",
        ),
        ("fastfcn_export", ["model.pdparams", "--output-stride", "32", "-o", "out/x"], "out/x"),
    ],
)
def test_a_full_disk_ends_a_command_with_the_path_that_was_given(
    here: Path, module: str, words: list[str], named: str
) -> None:
    ended = limited(module, *words)
    last = ended.stderr.splitlines()[-1]
    assert (ended.returncode, ended.stdout) == (9, "")
    assert last.startswith(f"WriteError: {named} cannot be written: {os.strerror(errno.EFBIG)}")
    left = [path for path in here.rglob("*") if path.is_file() and ".partial" in str(path)]
    assert left == []
    ended = limited(module, *words, "--json")
    assert ended.returncode == 9
    report = json.loads(ended.stdout.splitlines()[-1])
    assert (report["error"], report["code"]) == ("WriteError", 9)


@pytest.mark.parametrize("target", ["file", "file/deep"])
@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("fastfcn_infer.cli.main", ["predict", str(PHOTOGRAPH), "-o"]),
        ("fastfcn_infer.cli.main", ["demo", "-o"]),
        (
            "fastfcn_infer.cli.main",
            [*EVALUATE, "--save-predictions"],
        ),
        ("fastfcn_export.__main__", ["model.pdparams", "--output-stride", "32", "-o"]),
        ("fastfcn_training.__main__", ["align", "-o"]),
    ],
)
def test_a_file_in_the_way_of_a_folder_is_named_before_anything_is_computed(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    module: str,
    words: list[str],
    target: str,
) -> None:
    assert importlib.import_module(module).main([*words, target]) == 9
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[-1].startswith(f"WriteError: {target} cannot be written: ")
    assert (here / "file").read_bytes() == b"x"


def test_a_disk_that_fills_up_says_how_many_pictures_are_done(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = Segmentation.save_each

    def save_each(self: Segmentation, paths: Any) -> None:
        if Path(str(self.source)).name.startswith("p2"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, paths)

    monkeypatch.setattr(Segmentation, "save_each", save_each)
    (here / "in").mkdir()
    for index in range(4):
        cv2.imwrite(f"in/p{index}.png", np.zeros((40, 50, 3), np.uint8))
    assert main(["predict", "in", "-o", "out", "-m", "tiny"]) == 9
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("2 of 4 pictures are done\n") and err.count("\n") == 2


def test_results_that_all_exist_need_no_right_to_write(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(PHOTOGRAPH), "-o", "out", "-m", "tiny"]
    assert main(words) == 0
    monkeypatch.setattr("fastfcn_infer.cli.output.check_folder", None)  # would be called
    assert main(words) == 0
    assert "left alone: 1" in capsys.readouterr().out
