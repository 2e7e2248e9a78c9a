"""Signals in the main thread and elsewhere."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from arriving_signals import arrive
from command_line import ROOT
from fastfcn_training.loop.interrupt import Interrupt

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="a process cannot send itself these signals there"
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_remembered_and_answered(
    number: signal.Signals, capfd: pytest.CaptureFixture[str]
) -> None:
    with Interrupt() as interrupt:
        before = interrupt.requested
        arrive(number)
        assert (before, interrupt.requested) == (False, True)
    assert "again to stop at once" in capfd.readouterr().err


def test_an_invisible_one_says_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with Interrupt(visible=False) as interrupt:
        arrive(signal.SIGINT)
        assert interrupt.requested
    assert capfd.readouterr().err == ""


def test_the_second_one_interrupts_at_once() -> None:
    with Interrupt(visible=False), pytest.raises(KeyboardInterrupt):
        arrive(signal.SIGINT)
        arrive(signal.SIGINT)


def test_a_launcher_that_repeats_itself_ends_nothing_early(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with Interrupt() as interrupt:
        for _ in range(3):
            arrive(signal.SIGTERM)
        assert interrupt.requested
        with pytest.raises(KeyboardInterrupt):
            arrive(signal.SIGINT)
    assert capfd.readouterr().err.count("stopping") == 1


def test_afterwards_signals_mean_what_they_meant() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with Interrupt(visible=False):
            pass
        arrive(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_in_another_thread_it_does_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with Interrupt() as interrupt:
            seen.append((interrupt.requested, signal.getsignal(signal.SIGINT) is before))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(False, True)]


def test_a_signal_in_the_middle_of_a_line_on_standard_error_breaks_nothing() -> None:
    script = f"""
import io, os, signal, sys
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "training")!r}]
from fastfcn_training.loop.interrupt import Interrupt
class Raw(io.FileIO):
    def write(self, data):
        if bytes(data).startswith(b"a line") and not interrupt.requested:
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(data)
with Interrupt() as interrupt:
    raw = io.BufferedWriter(Raw(2, "w", closefd=False))
    sys.stderr = io.TextIOWrapper(raw, line_buffering=True)
    sys.stderr.write("a line")
    sys.stderr.flush()
    print(interrupt.requested)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
    assert "a line" in done.stderr
