"""Evaluations in processes of their own: checked by an independent reference, and really interrupted."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from camvid_tree import camvid_artifact, camvid_tree
from command_line import EMBEDDED, ROOT, SEARCH_PATH, fastfcn, python

CAMVID = ROOT.parent / "shared" / "data" / "camvid"
# Each picture takes a while, and says so.
SLOWLY = """
import sys, time
from fastfcn_infer.cli.main import main
from fastfcn_infer.system.progress import Progress
Progress.advance = lambda self, count=1: (print("counted", flush=True), time.sleep(0.3))
sys.exit(main(sys.argv[1:]))
"""


def test_an_independent_judge_finds_the_same_scores(tmp_path: Path) -> None:
    # Of a height that the model does not change: the judge resizes nothing.
    size = (360, 480)
    root = CAMVID if CAMVID.is_dir() else camvid_tree(tmp_path / "camvid", size=size)
    words = ["--dataset", "camvid", "--root", str(root), "--split", "test", "--limit", "6"]
    ended = fastfcn("evaluate", EMBEDDED, *words, "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (tmp_path / "ours.json").write_text(ended.stdout)
    judged = python(
        "-m", "benchmarks.accuracy", EMBEDDED, *words, "--against", "ours.json", cwd=tmp_path
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
    assert "worst difference from ours.json" in judged.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_a_real_interruption_of_a_real_process_keeps_the_counts(tmp_path: Path) -> None:
    camvid_artifact(tmp_path / "tiny")
    camvid_tree(tmp_path / "camvid")
    words = ["evaluate", "tiny", "--dataset", "camvid", "--root", "camvid", "--split", "test"]
    words += ["--backend", "onnx_runtime", "--state", "state.json"]
    with subprocess.Popen(
        [sys.executable, "-c", SLOWLY, *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": SEARCH_PATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert [process.stdout.readline() for _ in range(2)] == ["counted\n"] * 2
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the counts are kept in state.json" in err
    assert 2 <= json.loads((tmp_path / "state.json").read_text())["seen"] < 6
    ended = fastfcn(*words, "--json", cwd=tmp_path)
    whole = fastfcn(*words[:-2], "--json", cwd=tmp_path)
    assert ended.returncode == whole.returncode == 0
    assert json.loads(ended.stdout)["classes"] == json.loads(whole.stdout)["classes"]
