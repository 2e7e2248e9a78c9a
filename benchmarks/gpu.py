"""How exact and how fast are we on a GPU, against PyTorch on the same one?

    python -m benchmarks.gpu [--device cuda] [--output benchmarks/results/gpu.json]

Needs an NVIDIA GPU, onnxruntime-gpu, and PyTorch to compare with; takes under four minutes. ResNet-50-vd, JPU,
EncNet, 150 classes, 480 x 480, random weights, the same for all. The golden networks are those of the tests, with
what the original codes compute for them; the embedded model is compared with itself on the processor.

Each part runs in a process of its own (functions of `gpu_parts.py` and `gpu_torch.py`): one that fails or takes too
long costs its own figures only, and the script then exits with 1, as it does if a check fails.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parents[1] / "tests" / "data" / "golden"
LOGITS = 1e-4  # of the largest logit, float32
LABELS = {"fp32": 0.999, "fp16": 0.99}  # share of the pixels of the golden cases
EMBEDDED = 0.9999  # share of the pixels, GPU against processor
TOGETHER = 0.99  # share of the pixels, pictures labelled together against single calls
# The targets, on one H100 or H200: float16, 480 x 480.
COMPILED = 797  # pictures a second, torch.compile, batch of 8, measured on an H200 on 2026-11-27
COMPILED_ONE = 187  # and one at a time


@dataclass(frozen=True)
class Part:
    """A part of the benchmark: a function of a module, and the seconds that it may take."""

    module: str
    name: str
    seconds: float


PARTS = (
    Part("gpu_torch", "machine", 30),
    Part("gpu_parts", "golden", 100),
    Part("gpu_parts", "embedded", 30),
    Part("gpu_parts", "network", 80),
    Part("gpu_parts", "callers", 80),
    Part("gpu_parts", "tensorrt", 100),
    Part("gpu_torch", "eager", 40),
    Part("gpu_torch", "compiled", 100),
)


def run_part(part: Part, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Run a part in a process of its own.

    Returns:
        What it measured, the last line that it wrote; ``error`` with the reason if there is none. ``note``
        says that it took too long, and that only some of it was measured.
    """
    command = [sys.executable, "-m", "benchmarks.gpu", "--run", part.name, json.dumps(settings)]
    began = time.perf_counter()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=part.seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        late = f"stopped after {part.seconds:.0f} s"
        some = _last_record(error.stdout or b"")
        return {"error": late} if some is None else {**some, "note": late}
    found = _last_record(done.stdout)
    if done.returncode or found is None:
        reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
        return {"error": "".join(reason) or f"exit code {done.returncode}"}
    return {**found, "seconds": round(time.perf_counter() - began, 1)}


def _last_record(output: str | bytes) -> dict[str, Any] | None:
    """Read the last line that is a whole record: a process may be stopped while it writes one."""
    text = output if isinstance(output, str) else output.decode(errors="replace")
    for line in reversed(text.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            return found
    return None


def measure(name: str, settings: str) -> int:
    """Run a part in this process; the last line of standard output is what it measured."""
    from benchmarks.gpu_settings import Settings

    (part,) = [part for part in PARTS if part.name == name]
    function = getattr(importlib.import_module(f"benchmarks.{part.module}"), name)
    print(json.dumps(function(Settings(settings))))
    return 0


def faults(parts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """List the parts that failed and the checks that did not pass."""
    found = [f"{name}: {part['error']}" for name, part in parts.items() if "error" in part]
    for case in parts.get("golden", {}).get("cases", ()):
        precision = case["precision"]
        if precision == "fp32" and not case["difference"] <= LOGITS:
            found.append(f"golden {case['name']}: logits differ by {case['difference']:.1e}")
        if not case["labels"] >= LABELS[precision]:
            found.append(f"golden {case['name']}, {precision}: {case['labels']:.3%} of the labels")
    for row in parts.get("callers", {}).get("rows", ()):
        if not row["agreement"] >= TOGETHER:
            found.append(f"{row['form']}: {row['agreement']:.3%} of the labels of single calls")
    for row in parts.get("tensorrt", {}).get("rows", ()):
        if not row.get("agreement", 1.0) >= LABELS["fp16"]:
            found.append(f"{row['form']}: {row['agreement']:.3%} of the processor's labels")
    for case in parts.get("embedded", {}).get("pictures", ()):
        if not case["agreement"] >= EMBEDDED:
            found.append(f"embedded, {case['picture']}: {case['agreement']:.4%} of the labels")
    return found


def targets(parts: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Compare with the targets; a figure is None if it was not measured."""
    alone = {
        (row["form"], row["batch"]): row["per_second"]
        for row in parts.get("network", {}).get("rows", ())
    }
    through = {row["form"]: row for row in parts.get("callers", {}).get("rows", ())}
    compiled = {
        row["batch"]: row["per_second"] for row in parts.get("compiled", {}).get("rows", ())
    }
    best = max(through.values(), key=lambda row: float(row["stream"]), default=None)
    eight, one = alone.get(("float16", 8)), alone.get(("float16", 1))
    rows = [
        ("network, float16, batch of 8, pictures a second", eight, 1.4 * COMPILED),
        ("network, float16, batch of 1, pictures a second", one, 2.5 * COMPILED_ONE),
        ("the same, batch of 8, over torch.compile here", _over(eight, compiled.get(8)), 1.4),
        ("the same, batch of 1, over torch.compile here", _over(one, compiled.get(1)), 2.5),
        (
            "pictures through the Segmenter, batches of 8, over the network alone",
            None if best is None else _over(best["stream"], alone.get((best["network"], 8))),
            0.8,
        ),
        (
            "one caller, pictures a second",
            max((float(row["one"]) for row in through.values()), default=None),
            300.0,
        ),
    ]
    return [
        {
            "what": what,
            "measured": measured,
            "target": target,
            "met": None if measured is None else measured >= target,
        }
        for what, measured, target in rows
    ]


def _over(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one / other


def table(results: Mapping[str, Any]) -> str:
    """Format the results for people."""
    parts = results["parts"]
    lines = [f"{results['card']}, {results['size']} x {results['size']}"]
    for name in ("golden", "embedded"):
        lines += _checks(name, parts.get(name, {}))
    lines += ["", f"{'network alone, pictures a second':44}" + _heads(results["batches"])]
    for name in ("network", "tensorrt", "eager", "compiled"):
        lines += _speeds(parts.get(name, {}).get("rows", ()), results["batches"])
    lines += [
        "",
        f"{'through the Segmenter, pictures a second':44}" + _heads(("one", "eight", "stream")),
    ]
    for row in parts.get("callers", {}).get("rows", ()):
        lines.append(
            f"{row['form']:44}" + _heads(round(row[k]) for k in ("one", "eight", "stream"))
        )
    lines.append("")
    for row in results["targets"]:
        measured = "not measured" if row["measured"] is None else f"{row['measured']:.4g}"
        said = "" if row["met"] is None else "met" if row["met"] else "MISSED"
        lines.append(f"{row['what']:70}{measured:>14} of {row['target']:.4g} {said}")
    return "\n".join([*lines, *(f"FAULT {fault}" for fault in results["faults"])])


def _heads(words: Iterable[object]) -> str:
    return "".join(f"{word!s:>10}" for word in words)


def _checks(name: str, part: Mapping[str, Any]) -> list[str]:
    cases = part.get("cases", part.get("pictures", ()))
    if not cases:
        return [f"{name}: no case was run"]
    lines = []
    for precision in dict.fromkeys(case.get("precision", "fp32") for case in cases):
        those = [case for case in cases if case.get("precision", "fp32") == precision]
        worst = min(case.get("labels", case.get("agreement")) for case in those)
        text = f"{name}, {precision}: {len(those)} cases, labels at worst {worst:.4%}"
        if "difference" in those[0]:
            text += f", logits {max(case['difference'] for case in those):.1e} of the largest"
        lines.append(text)
    return lines


def _speeds(rows: Sequence[Mapping[str, Any]], batches: Sequence[int]) -> list[str]:
    forms = dict.fromkeys(row["form"] for row in rows)
    found = {(row["form"], row["batch"]): f"{row['per_second']:.0f}" for row in rows}
    return [f"{form:44}" + _heads(found.get((form, n), "-") for n in batches) for form in forms]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N or cpu")
    parser.add_argument("--network", help="of random_checkpoint.py (default: its MAIN)")
    parser.add_argument("--size", type=int, default=480, help="height and width of the pictures")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--seconds", type=float, default=0.5, help="of each measurement")
    parser.add_argument("--pictures", type=int, default=400, help="of the stream")
    parser.add_argument("--forms", nargs="+", help="of the network (default: all)")
    parser.add_argument("--golden", type=Path, default=GOLDEN, help="folder of golden cases")
    parser.add_argument("--parts", nargs="+", choices=[part.name for part in PARTS])
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    parser.add_argument("--run", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.run is not None:
        return measure(*given.run)
    # Here, as they take a second, and each part is a process.
    from benchmarks.machine_facts import environment, write_results
    from benchmarks.random_checkpoint import MAIN

    given.network = given.network or MAIN
    names = ("device", "network", "size", "batches", "seconds", "pictures", "forms")
    settings = {name: getattr(given, name) for name in names}
    began, parts = time.perf_counter(), dict[str, dict[str, Any]]()
    results: dict[str, Any] = {
        "network": given.network,
        "environment": environment(),
        "size": given.size,
        "batches": given.batches,
    }
    with tempfile.TemporaryDirectory() as folder:
        settings |= {"golden": os.fspath(given.golden.resolve()), "folder": folder}
        for part in PARTS:
            if given.parts is not None and part.name not in given.parts:
                continue
            parts[part.name] = run_part(part, settings)
            results |= {
                "card": parts.get("machine", {}).get("card", given.device),
                "seconds": round(time.perf_counter() - began, 1),
                "parts": parts,
                "targets": targets(parts),
                "faults": faults(parts),
            }
            print(f"{part.name}: {json.dumps(parts[part.name])[:200]}", flush=True)
            write_results(results, given.output)  # at once: what was measured is not lost
    print(table(results))
    return int(bool(results["faults"]))


if __name__ == "__main__":
    sys.exit(main())
