"""Known problems of the packages that this one builds on, and what is done about each.

Only problems that a FastFCN network meets; ``fastfcn doctor`` prints those of the installed versions.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fastfcn_infer.system.machine import OPENCV_WHEELS

_PADDLE = ("paddlepaddle", "paddlepaddle-gpu")
_ONNX_RUNTIME = ("onnxruntime", "onnxruntime-gpu")


@dataclass(frozen=True)
class Problem:
    """A problem of some versions of a package.

    Args:
        packages: names of the wheels that have it.
        first: the oldest version with it; None if all old ones have it.
        last: the newest version with it; None if no version without it is known.
        symptom: what happens.
        response: what this package does, or the user should do.
        together: it occurs only if two of `packages` are installed at the same time.
    """

    packages: tuple[str, ...]
    first: str | None
    last: str | None
    symptom: str
    response: str
    together: bool = False

    def concerns(self, versions: Mapping[str, str]) -> tuple[str, ...]:
        """List the installed packages that have it, as ``name version``.

        Args:
            versions: package -> version of what is installed.
        """
        found = tuple(
            f"{name} {versions[name]}"
            for name in self.packages
            if name in versions and _within(versions[name], self.first, self.last)
        )
        needed = 2 if self.together else 1
        return found if len(found) >= needed else ()


PROBLEMS = (
    Problem(
        _PADDLE,
        "3.3.0",
        "3.3.1",
        "oneDNN stops with 'ConvertPirAttribute2RuntimeAttribute not support' (Paddle issue 77340)",
        "the pass that fails, onednn_placement_pass, is deleted; oneDNN stays on",
    ),
    Problem(
        _PADDLE,
        "3.2.0",
        "3.2.99",
        "oneDNN computes networks that resize maps wrongly (measured with 3.2.2)",
        "the pass that is wrong, onednn_placement_pass, is deleted, and a picture whose labels are "
        "known is run first: if they differ, oneDNN is turned off",
    ),
    Problem(
        _PADDLE,
        "3.3.1",
        "3.3.1",
        "enable_memory_optim fails: 'Not find ... memory_optimize_pass'",
        "it is not used",
    ),
    Problem(
        _PADDLE,
        None,
        None,
        "a .pdiparams file that was cut inside its last tensor loads and runs without an error",
        "size and SHA-256 of every file are checked before Paddle opens it",
    ),
    Problem(
        _PADDLE,
        None,
        None,
        "a predictor that several threads share mixes up their outputs (Paddle issue 56524)",
        "every predictor has a thread of its own",
    ),
    Problem(
        _PADDLE,
        None,
        None,
        "both wheels contain the same files: the one installed last wins, and the other's devices disappear",
        "uninstall both, then install the one you want",
        together=True,
    ),
    Problem(
        _ONNX_RUNTIME,
        None,
        None,
        "both wheels contain the same files: the one installed last wins, and the other's devices disappear",
        "uninstall both, then install the one you want",
        together=True,
    ),
    Problem(
        ("onnxruntime-gpu",),
        None,
        None,
        "a session silently runs on the CPU if the GPU's provider does not start",
        "the session is asked which providers it uses; a device that is not available is an error",
    ),
    Problem(
        ("onnxruntime-gpu",),
        None,
        None,
        "TensorRT may round float32 networks to TensorFloat-32, and no option of a session forbids it",
        "the model's runtime says so; set NVIDIA_TF32_OVERRIDE=0 before the process starts",
    ),
    Problem(
        ("openvino",),
        None,
        None,
        "it computes in bfloat16 by default if the processor can",
        "float32 is asked for",
    ),
    Problem(
        ("openvino",),
        None,
        None,
        "threads that open models at the same time, the first of the process, hang for ever",
        "models are opened one after the other",
    ),
    Problem(
        ("openvino",),
        None,
        None,
        "after two models were closed in the order in which they were opened, the next signal, such as "
        "Ctrl-C, ends the process with a segmentation fault",
        "each thread keeps its own stack for signals",
    ),
    Problem(
        ("openvino",),
        None,
        None,
        "importing it sends usage data to its vendor (openvino-telemetry)",
        "openvino-telemetry is kept from being imported, unless other code imported OpenVINO before",
    ),
    Problem(
        _ONNX_RUNTIME,
        "1.32",
        None,
        "importing it sends usage data to its vendor, and prints a warning without a home folder",
        "ORT_DISABLE_TELEMETRY is set, unless you set it or other code imported ONNX Runtime before",
    ),
    Problem(
        OPENCV_WHEELS,
        None,
        None,
        "these wheels contain the same cv2: the one installed last wins",
        "uninstall all of them, then: pip install opencv-python-headless",
        together=True,
    ),
    Problem(
        OPENCV_WHEELS,
        None,
        "4.11.99",
        "a crafted JPEG can write to memory that was never set (CVE-2025-53644)",
        "update OpenCV to 4.12 or later if you do not trust where pictures come from",
    ),
    Problem(
        ("onnx",),
        None,
        "1.20.99",
        "external data is followed out of the model's folder (CVE-2026-27489, CVE-2026-34447)",
        "external data is never written and never loaded",
    ),
)


def known_problems(versions: Mapping[str, str]) -> tuple[tuple[Problem, tuple[str, ...]], ...]:
    """Find the problems of what is installed, each with the packages that have it.

    Args:
        versions: package -> version.
    """
    found = ((problem, problem.concerns(versions)) for problem in PROBLEMS)
    return tuple((problem, who) for problem, who in found if who)


def parse_version(text: str) -> tuple[tuple[int, ...], bool]:
    """Make versions comparable: the numbers, and whether the release is final.

    Enough for the releases of the packages above; epochs are not supported. A local part ("+cpu")
    and what follows "post" are ignored, and 3.3.0 equals 3.3.

    Raises:
        ValueError: it does not begin with a number.
    """
    match = re.match(r"v?(\d+(?:\.\d+)*)(.*)", text.partition("+")[0].strip())
    if match is None:
        raise ValueError(f"{text!r} is not a version")
    numbers = [int(part) for part in match[1].split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    early = re.match(r"[.\-_]?(?:a|b|c|rc|alpha|beta|pre|dev)", match[2], re.IGNORECASE)
    return tuple(numbers), early is None


def _within(version: str, first: str | None, last: str | None) -> bool:
    try:
        found = parse_version(version)
    except ValueError:
        return True  # built by hand: better one warning too many
    return (first is None or parse_version(first) <= found) and (
        last is None or found <= parse_version(last)
    )
