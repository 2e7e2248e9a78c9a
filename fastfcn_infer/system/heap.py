"""Give memory that was freed back to the system."""

import ctypes
import functools
import sys
from collections.abc import Callable


def give_back() -> None:
    """Give free memory of the C heap back to the system, where its library can do that.

    glibc keeps what was freed between blocks that are still in use. Maps of a network whose sizes change every time
    leave such holes, which soon are several times as large as the maps themselves.

    Source: malloc_trim(3); since glibc 2.8 it gives back whole pages anywhere in the heap.
    """
    _trim()(0)


@functools.cache
def _trim() -> Callable[[int], object]:
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim.argtypes = [ctypes.c_size_t]
            trim.restype = ctypes.c_int
            return lambda pad: trim(pad)
    return lambda pad: None
