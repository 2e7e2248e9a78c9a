import ctypes
from pathlib import Path
from typing import Any

import pytest

from fastfcn_infer.runtime import gpu


class Driver:
    """The driver's functions as they answer on a machine with `count` devices."""

    def __init__(self, count: int = 1, start: int = 0, describe: int = 0) -> None:
        self.count, self.start, self.describe = count, start, describe

    def cuInit(self, flags: int) -> int:  # noqa: N802 - the driver's names
        return self.start

    def cuDeviceGetCount(self, count: Any) -> int:  # noqa: N802
        count._obj.value = self.count
        return 0

    def cuDriverGetVersion(self, version: Any) -> int:  # noqa: N802
        version._obj.value = 13010
        return 0

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        device._obj.value = index
        return 0

    def cuDeviceGetName(self, name: Any, size: int, device: Any) -> int:  # noqa: N802
        name.value = f"GPU {device.value}".encode()
        return self.describe

    def cuDeviceGetUuid(self, uuid: Any, device: Any) -> int:  # noqa: N802
        uuid._obj[15] = 7
        return 0

    def cuDeviceGetAttribute(self, value: Any, which: int, device: Any) -> int:  # noqa: N802
        value._obj.value = {75: 8, 76: 9}[which]
        return self.describe


def pretend(monkeypatch: pytest.MonkeyPatch, driver: Driver | None) -> None:
    def load(name: str) -> Driver:
        if driver is None:
            raise OSError(f"{name}: cannot open shared object file: No such file or directory")
        return driver

    monkeypatch.setattr(ctypes, "CDLL", load)


def test_a_gpu_is_told_apart_by_name_number_and_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, Driver(count=2))
    assert gpu.find_gpu(1) == gpu.Gpu("GPU 1", "00" * 15 + "07", 13010)


def test_the_compute_capability_is_the_drivers_or_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    for driver, known in ((Driver(), (8, 9)), (Driver(describe=3), None), (None, None)):
        pretend(monkeypatch, driver)
        assert gpu.compute_capability(0) == known


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (None, "no NVIDIA driver"),
        (Driver(start=100), "error 100"),
        (Driver(count=1), "sees 1 devices, and number 1"),
        (Driver(count=2, describe=3), "does not describe its device 1"),
    ],
)
def test_what_is_missing_is_said(
    monkeypatch: pytest.MonkeyPatch, driver: Driver | None, reason: str
) -> None:
    pretend(monkeypatch, driver)
    found = gpu.find_gpu(1)
    assert isinstance(found, str)
    assert reason in found


def test_only_a_missing_library_counts_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = iter(["libcudnn.so.9: cannot open shared object file", "undefined symbol: x"])

    def load(name: str) -> None:
        raise OSError(next(texts))

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert gpu.missing_library(Path("a.so")) == "libcudnn.so.9: cannot open shared object file"
    assert gpu.missing_library(Path("a.so")) is None


def test_a_library_that_is_not_there_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu.library_version("no_such_library_anywhere", "version") == ""
