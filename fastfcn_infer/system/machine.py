"""Processors and memory that this process may use; in a container, less than the machine has."""

import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

# All of them fill the same folder, cv2.
OPENCV_WHEELS = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
# Packages of the runtimes, see `runtime.backends`.
RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "openvino", "paddlepaddle", "paddlepaddle-gpu")
PACKAGES = (
    "fastfcn-infer",
    "numpy",
    *OPENCV_WHEELS,
    *RUNTIMES,
    "onnx",
    "safetensors",
    "pillow",
    "rasterio",
    "torch",
)

MOST_THREADS = 1024  # of a runtime; more end the process in some of them, for lack of memory

# What Linux calls the instructions that decide how fast a network is in some precision -> their names.
_FEATURES = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX512-VNNI",
    "avx512_bf16": "AVX512-BF16",
    "avx512_fp16": "AVX512-FP16",
    "amx_int8": "AMX-INT8",
    "amx_bf16": "AMX-BF16",
    "asimddp": "Arm DotProd",
    "i8mm": "Arm I8MM",
    "bf16": "Arm BF16",
}


@dataclass(frozen=True)
class CpuBudget:
    """The number of threads to start, and what it was taken from."""

    threads: int  # at least 1
    reason: str


@dataclass(frozen=True)
class MemoryBudget:
    """Memory that this process may use, bytes, and what it was taken from."""

    bytes: int
    reason: str


def cpu_budget(root: Path = Path("/")) -> CpuBudget:
    """Count the processors that this process may use.

    Args:
        root: where ``proc`` and ``sys`` are; another folder in tests.

    Returns:
        The smallest of the machine's count, the process's affinity and its control groups' quotas;
        a quota of 1.5 processors counts as 2.
    """
    limits = [(_processors(), "the processors of this machine")]
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        limits.append((len(os.sched_getaffinity(0)), "the affinity of this process (taskset)"))
    limits += _quotas(root)
    threads, reason = min(limits, key=lambda limit: limit[0])
    return CpuBudget(max(threads, 1), reason)


def _processors() -> int:
    count = getattr(os, "process_cpu_count", os.cpu_count)  # the former since Python 3.13
    return count() or 1


def memory_budget(root: Path = Path("/")) -> MemoryBudget | None:
    """Return how much memory this process may use; None if unknown.

    Args:
        root: where ``proc`` and ``sys`` are; another folder in tests.
    """
    limits = []
    for line in _read(root / "proc" / "meminfo").splitlines():
        key, _, value = line.partition(":")
        if key == "MemTotal":
            limits.append((1024 * int(value.split()[0]), "the memory of this machine"))
    for folder, version in _groups(root, "memory"):
        file = folder / ("memory.max" if version == 2 else "memory.limit_in_bytes")
        text = _read(file).strip()
        if text.isdecimal():  # not "max"
            limits.append((int(text), f"the control group's limit ({file.as_posix()})"))
    if limits:
        return MemoryBudget(*min(limits, key=lambda limit: limit[0]))
    names = getattr(os, "sysconf_names", {})  # not on Windows
    if "SC_PHYS_PAGES" not in names or root != Path("/"):
        return None
    pages = os.sysconf("SC_PHYS_PAGES")
    return MemoryBudget(pages * os.sysconf("SC_PAGE_SIZE"), "the memory of this machine")


def available_memory(root: Path = Path("/")) -> int | None:
    """Return how many bytes this process can still take, without swapping; None if unknown.

    Args:
        root: where ``proc`` and ``sys`` are; another folder in tests.

    Source: Linux, proc(5) for MemAvailable; admin-guide/cgroup-v2 for memory.current and memory.stat:
    cached files are counted there, and given up when memory is short.
    """
    found = []
    for key, size in _sizes(root / "proc" / "meminfo"):
        if key == "MemAvailable":
            found.append(size)
    for folder, version in _groups(root, "memory"):
        limit = folder / ("memory.max" if version == 2 else "memory.limit_in_bytes")
        usage = folder / ("memory.current" if version == 2 else "memory.usage_in_bytes")
        texts = [_read(file).strip() for file in (limit, usage)]
        if all(text.isdecimal() for text in texts):
            stat = dict(line.split()[:2] for line in _read(folder / "memory.stat").splitlines())
            cached = int(stat.get("inactive_file", "0"))
            found.append(max(0, int(texts[0]) - int(texts[1]) + cached))
    if root == Path("/") and sys.platform == "linux":
        found += _address_space()
    return min(found, default=None)


def _address_space() -> list[int]:
    """Return what is left of the limit on this process's address space (``ulimit -v``)."""
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = dict(_sizes(Path("/proc/self/status"))).get("VmSize")
    return [] if limit == resource.RLIM_INFINITY or used is None else [max(0, limit - used)]


def _sizes(file: Path) -> Iterator[tuple[str, int]]:
    """Yield the lines of a file that give sizes in kB, in bytes."""
    for line in _read(file).splitlines():
        key, _, value = line.partition(":")
        if value.endswith(" kB"):
            yield key, 1024 * int(value.split()[0])


def cpu_model() -> str:
    """Return the name of the processor, or of its architecture if the system knows no more."""
    return cpu_fact("model name") or platform.processor() or platform.machine()


def cpu_features() -> tuple[str, ...] | None:
    """List the processor's instructions for matrix products; None if the system does not say (not Linux)."""
    flags = (cpu_fact("flags") or cpu_fact("Features")).split()
    return tuple(name for flag, name in _FEATURES.items() if flag in flags) if flags else None


def cpu_fact(name: str) -> str:
    """Read a fact about the first processor from Linux; empty on other systems.

    Args:
        name: a key of ``/proc/cpuinfo``, such as ``vendor_id`` or ``flags``.
    """
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """List the versions of those packages that are installed."""
    found = {}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def peak_memory() -> int | None:
    """Return the largest amount of memory this process has had so far, bytes; None if unknown."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not ru_maxrss: on Linux it starts with the parent's peak, across fork and exec.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    if sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return None


def _quotas(root: Path) -> Iterator[tuple[int, str]]:
    """Yield the quotas of every control group that this process is in."""
    for folder, version in _groups(root, "cpu"):
        if version == 2:
            yield from _quota(_read(folder / "cpu.max").split(), folder / "cpu.max")
        else:
            files = (folder / "cpu.cfs_quota_us", folder / "cpu.cfs_period_us")
            yield from _quota([_read(file).strip() for file in files], files[0])


def _groups(root: Path, controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the folder of every control group that binds this process, and the version, 1 or 2.

    Source: Linux, admin-guide/cgroup-v2 (cpu.max, memory.max), scheduler/sched-bwc and
    admin-guide/cgroup-v1/memory (version 1).
    """
    mounted = root / "sys" / "fs" / "cgroup"
    for line in _read(root / "proc" / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            for folder in _upwards(mounted, path):
                yield folder, 2
        elif controller in controllers.split(","):
            for name in dict.fromkeys((controllers, controller)):
                for folder in _upwards(mounted / name, path):
                    yield folder, 1


def _upwards(mounted: Path, path: str) -> Iterator[Path]:
    # A group is bound by those above it. In a container the path may be the host's and lead
    # nowhere; the container's own group is then what is mounted.
    group = PurePosixPath(path.lstrip("/"))
    if ".." not in group.parts:
        for part in (group, *group.parents):
            yield mounted / part


def _quota(fields: list[str], file: Path) -> Iterator[tuple[int, str]]:
    if len(fields) != 2 or not all(field.isdecimal() for field in fields):
        return  # "max", "-1" or no such file: no limit
    quota, period = map(int, fields)
    if quota and period:
        yield -(-quota // period), f"the control group's quota ({file.as_posix()})"


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
