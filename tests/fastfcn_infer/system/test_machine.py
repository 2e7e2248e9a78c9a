import os
import sys
from pathlib import Path

import pytest

from command_line import python
from fastfcn_infer.system.machine import available_memory, cpu_budget, memory_budget


@pytest.fixture(autouse=True)
def sixteen_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "process_cpu_count", lambda: 16, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)), raising=False)


def group(root: Path, line: str, files: dict[str, str]) -> Path:
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "cgroup").write_text(line + "\n")
    for name, text in files.items():
        path = root / "sys" / "fs" / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_control_groups_the_affinity_decides(tmp_path: Path) -> None:
    budget = cpu_budget(tmp_path)
    assert budget.threads == 12
    assert "affinity" in budget.reason


def test_without_an_affinity_the_machine_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    budget = cpu_budget(tmp_path)
    assert budget.threads == 16
    assert "this machine" in budget.reason


@pytest.mark.parametrize(
    ("text", "threads"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("10000 100000\n", 1),
        ("max 100000\n", 12),
        ("9900000 100000\n", 12),
        ("nonsense", 12),
        ("0 0", 12),
    ],
)
def test_a_quota_of_version_2_is_rounded_up(tmp_path: Path, text: str, threads: int) -> None:
    budget = cpu_budget(group(tmp_path, "0::/", {"cpu.max": text}))
    assert budget.threads == threads
    assert ("cpu.max" in budget.reason) == (threads < 12)


def test_a_group_is_bound_by_the_groups_above_it(tmp_path: Path) -> None:
    files = {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000", "a/b/c/cpu.max": "5 1"}
    assert cpu_budget(group(tmp_path, "0::/a/b/c", files)).threads == 3


@pytest.mark.parametrize("mounted", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize("path", ["/", "/docker/0123"])
def test_a_quota_of_version_1_counts(tmp_path: Path, mounted: str, path: str) -> None:
    place = f"{mounted}{path}".rstrip("/")
    files = {f"{place}/cpu.cfs_quota_us": "350000\n", f"{place}/cpu.cfs_period_us": "100000\n"}
    lines = f"5:memory:/x\n4:cpu,cpuacct:{path}\n3:cpuset:/"
    assert cpu_budget(group(tmp_path, lines, files)).threads == 4


def test_no_quota_in_version_1_is_no_limit(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}
    assert cpu_budget(group(tmp_path, "4:cpu:/", files)).threads == 12


def test_a_host_path_that_leads_nowhere_falls_back_to_what_is_mounted(tmp_path: Path) -> None:
    files = {"cpu/cpu.cfs_quota_us": "100000", "cpu/cpu.cfs_period_us": "100000"}
    assert cpu_budget(group(tmp_path, "4:cpu:/kubepods/pod1", files)).threads == 1


def test_a_group_path_never_leads_out_of_the_mount(tmp_path: Path) -> None:
    root = group(tmp_path, "0::/../../outside", {})
    (root / "sys" / "outside").mkdir(parents=True)
    (root / "sys" / "outside" / "cpu.max").write_text("1 1")
    assert cpu_budget(root).threads == 12


def test_this_machine_gives_at_least_one_thread() -> None:
    assert cpu_budget().threads >= 1


def with_memory(root: Path, kilobytes: int) -> Path:
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc" / "meminfo").write_text(f"MemTotal:  {kilobytes} kB\nMemFree:  1 kB\n")
    return root


def test_without_control_groups_memory_is_the_machines(tmp_path: Path) -> None:
    found = memory_budget(with_memory(tmp_path, 2048))
    assert found is not None
    assert found.bytes == 2048 * 1024
    assert "this machine" in found.reason


@pytest.mark.parametrize(
    ("line", "file", "text", "limited"),
    [
        ("0::/a", "a/memory.max", "1000\n", True),
        ("0::/a/b", "a/memory.max", "1000\n", True),
        ("0::/a", "a/memory.max", "max\n", False),
        ("0::/a", "a/memory.max", "9223372036854771712\n", False),
        ("7:memory:/a", "memory/a/memory.limit_in_bytes", "1000\n", True),
        ("7:cpu:/a", "memory/a/memory.limit_in_bytes", "1000\n", False),
    ],
)
def test_a_group_may_leave_less_memory(
    tmp_path: Path, line: str, file: str, text: str, limited: bool
) -> None:
    found = memory_budget(with_memory(group(tmp_path, line, {file: text}), 2048))
    assert found is not None
    assert (found.bytes == 1000) == limited
    assert (Path(file).name in found.reason) == limited


def test_the_memory_is_unknown_if_no_file_says_it(tmp_path: Path) -> None:
    assert memory_budget(tmp_path) is None


def test_what_is_available_is_the_least_that_the_machine_and_its_groups_leave(
    tmp_path: Path,
) -> None:
    files = {
        "a/memory.max": "9000000\n",
        "a/memory.current": "5000000\n",
        "a/memory.stat": "anon 1\ninactive_file 1000000\n",
    }
    root = group(tmp_path, "0::/a", files)
    assert available_memory(root) == 5_000_000
    (root / "proc" / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    2048 kB\n")
    assert available_memory(root) == 2048 * 1024


@pytest.mark.parametrize("text", ["max\n", "", "nonsense"])
def test_a_group_without_a_limit_leaves_what_the_machine_has(tmp_path: Path, text: str) -> None:
    root = group(tmp_path, "0::/a", {"a/memory.max": text, "a/memory.current": "5\n"})
    (root / "proc" / "meminfo").write_text("MemAvailable: 2048 kB\n")
    assert available_memory(root) == 2048 * 1024


def test_what_is_available_is_unknown_if_no_file_says_it(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is read on Linux")
def test_a_limit_on_the_address_space_counts() -> None:
    code = (
        "import resource\n"
        "from fastfcn_infer.system.machine import available_memory\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n"
        "found = available_memory()\n"
        "assert found is not None and 0 < found < 1 << 30, found\n"
    )
    assert python("-c", code).returncode == 0
