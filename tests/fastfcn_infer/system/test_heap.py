import platform
import re
from pathlib import Path

import pytest

from fastfcn_infer.system import heap


def resident() -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's heap")
def test_holes_between_used_blocks_go_back_to_the_system() -> None:
    blocks = [bytearray(b"x") * 65536 for _ in range(3200)]  # 200 MB, too small to be mapped
    kept = blocks[::16]
    del blocks
    before = resident()
    heap.give_back()
    assert resident() < before - 100e6
    assert all(block == bytearray(b"x") * 65536 for block in kept)


def test_other_systems_have_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("ctypes.CDLL", None)  # would fail if it were called
    heap._trim.cache_clear()
    try:
        assert heap._trim()(0) is None
    finally:
        heap._trim.cache_clear()
