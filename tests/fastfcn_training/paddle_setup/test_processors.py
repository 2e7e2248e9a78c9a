"""What is chosen for the processors, and that it never overrides the user."""

import subprocess
import sys
from pathlib import Path

import pytest

from command_line import ROOT
from fastfcn_training.paddle_setup import processors


def test_paddle_gets_as_many_threads_as_there_are_cores() -> None:
    assert processors.settings("GenuineIntel", 6) == {"OMP_NUM_THREADS": "6"}


def test_the_matrix_library_takes_its_fast_path_on_amd_s_processors_too() -> None:
    chosen = processors.settings("AuthenticAMD", 2)
    assert chosen == {"OMP_NUM_THREADS": "2", "MKL_DEBUG_CPU_TYPE": "5"}


def test_what_the_user_has_set_stays_and_is_said() -> None:
    environment = {"OMP_NUM_THREADS": "1"}
    said = processors.prepare(environment)
    assert environment["OMP_NUM_THREADS"] == "1"
    assert "left as you set it: OMP_NUM_THREADS" in said


def test_what_was_chosen_is_said() -> None:
    environment: dict[str, str] = {}
    said = processors.prepare(environment)
    for name, value in environment.items():
        assert f"{name}={value}" in said


def test_processes_share_the_cores_and_have_one_each_at_least() -> None:
    alone: dict[str, str] = {}
    many: dict[str, str] = {}
    processors.prepare(alone)
    processors.prepare(many, processes=100 * int(alone["OMP_NUM_THREADS"]))
    assert many["OMP_NUM_THREADS"] == "1"


@pytest.mark.parametrize("paddle", [True, False])
def test_it_refuses_to_come_after_paddle_and_does_not_bring_it(
    paddle: bool, tmp_path: Path
) -> None:
    # A module of that name stands in for Paddle, which takes seconds to import.
    (tmp_path / "paddle.py").write_text("")
    script = f"""
import sys
sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}, {str(ROOT / "training")!r}]
if {paddle}: import paddle
from fastfcn_training.paddle_setup import processors
processors.prepare()
print("paddle" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    if paddle:
        assert "RuntimeError: prepare() was called too late" in done.stderr
    else:
        assert done.stdout == "False\n", done.stderr
