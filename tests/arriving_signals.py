"""Signals as Python sees them, without the operating system.

A real signal may be handled on whatever stack a native library has set up for the process of the
tests, which loads a dozen of them and has crashed there. Processes that do one thing get real ones.
"""

import _thread
import signal


def arrive(number: signal.Signals) -> None:
    """Let Python's handler of a signal run, as if the signal had come to this process."""
    _thread.interrupt_main(number)
    for _ in range(100):  # Python looks for signals when it jumps back
        pass
