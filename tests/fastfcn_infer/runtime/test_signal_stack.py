"""Signals reach Python whatever a runtime did to the stack that they are handled on."""

import sys

import pytest

from command_line import python

SCRIPT = """
import os, signal, sys
from fastfcn_infer import Segmenter

heard = []
signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
opened = [Segmenter.from_pretrained(backend=sys.argv[1], threads=1) for _ in range(2)]
for index in map(int, sys.argv[2]):
    opened[index].close()
os.kill(os.getpid(), signal.SIGINT)
print(heard == [signal.SIGINT])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself this signal")
@pytest.mark.parametrize("order", ["01", "10", "0", ""])
@pytest.mark.parametrize("backend", ["open_vino", "onnx_runtime"])
def test_a_signal_is_heard_after_models_were_closed_in_any_order(backend: str, order: str) -> None:
    pytest.importorskip({"open_vino": "openvino", "onnx_runtime": "onnxruntime"}[backend])
    ended = python("-c", SCRIPT, backend, order)
    assert (ended.returncode, ended.stdout) == (0, "True\n"), ended.stderr
