"""Which figures do the README and docs/speed.md show? Prints their tables from results/*.json.

    python -m benchmarks.readme_table

Tests compare both documents with these tables, so no figure in a table is entered manually.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import jpu_table
from benchmarks.markdown import table

AT_MOST = ("network_over_floor", "predict_over_network", "open_vino_over_floor")
RESULTS = Path(__file__).with_name("results")


def tables(folder: Path = RESULTS) -> str:
    """Format the README's tables.

    Args:
        folder: holds network.json, paddleseg_peer.json and gpu.json, and runtimes.json, precision.json and
            jpu.json once they were run.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    runtimes, precision, jpu = (_found(folder, name) for name in ("runtimes", "precision", "jpu"))
    network, peer = _results(folder, "network"), _results(folder, "paddleseg_peer")
    parts = [
        _caption(network),
        table(
            ("what", "seconds", "ratio", "target"),
            [*_speed(network, peer), *_same_runtime(peer), *_open_vino(runtimes)],
        ),
        *([] if runtimes is None else [_runtimes(runtimes)]),
        *([] if precision is None else [_precision(precision)]),
        _gpu(_results(folder, "gpu")),
        *([] if jpu is None else [jpu_table.short(jpu)]),
    ]
    return "\n\n".join(parts)


def further_tables(folder: Path = RESULTS) -> str:
    """Format the tables of docs/speed.md.

    Args:
        folder: holds start_up.json and export_cost.json.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    start_up, cost = _results(folder, "start_up"), _results(folder, "export_cost")
    parts = [
        table(("what", "seconds", "target"), _start_up(start_up)),
        table(("converting a checkpoint", "seconds", "peak memory / weights"), _export(cost)),
    ]
    return "\n\n".join(parts)


def jpu_tables(folder: Path = RESULTS) -> str:
    """Format what Joint Pyramid Upsampling gains, for docs/speed.md.

    Args:
        folder: holds jpu.json once that was run.
    """
    results = _found(folder, "jpu")
    return "Not measured yet." if results is None else jpu_table.whole(results)


def _found(folder: Path, name: str) -> dict[str, Any] | None:
    return _results(folder, name) if (folder / f"{name}.json").is_file() else None


def _results(folder: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
    return found


def _caption(network: dict[str, Any]) -> str:
    stamp = network["environment"]
    height, width = network["size"]
    return (
        f"One picture of {height} x {width}, ResNet-50-vd, JPU, EncNet, 150 classes, "
        f"{network['multiply_adds'] / 1e9:.1f} G multiply-adds, float32, {network['threads']} "
        f"threads of {stamp['cpu']}, ONNX Runtime {stamp['versions']['onnxruntime']}; medians, "
        "each ratio from calls in turn in one run."
    )


def _speed(network: dict[str, Any], peer: dict[str, Any]) -> Iterator[Sequence[str]]:
    seconds = {name: row["median"] for name, row in network["seconds"].items()}
    torch = min(seconds[n] for n in seconds if n.startswith("torch") and "stride-8" in n)
    paddle = min(peer["seconds"][n]["median"] for n in ("argmax, 10 threads", "argmax, 2 threads"))
    versions = network["environment"]["versions"]
    theirs = peer["their_environment"]["versions"]
    over_floor = network["ratios"]["network_over_floor"]["median"]
    yield (
        "network: 2 x multiply-adds at the machine's matrix-product rate",
        f"{seconds['network'] / over_floor:.3f}",
        "",
        "",
    )
    yield "network", f"{seconds['network']:.3f}", *_ratio(network, "network_over_floor", "of that")
    yield (
        "`predict`, decoded picture to labels",
        f"{seconds['predict']:.3f}",
        *_ratio(network, "predict_over_network", "the network"),
    )
    yield (
        f"the network in eager PyTorch {versions['torch']}, its faster memory format",
        f"{torch:.3f}",
        *_ratio(network, "torch_over_network", "the network"),
    )
    yield (
        f"PaddleSeg {theirs['paddleseg']}'s own export, Paddle Inference {theirs['paddlepaddle']}, "
        "picture to labels",
        f"{paddle:.2f}",
        *_ratio(peer, "paddleseg_over_predict", "`predict`"),
    )


def _same_runtime(peer: dict[str, Any]) -> Iterator[Sequence[str]]:
    name = "predict, our Paddle export"
    if name in peer["seconds"]:
        version = peer["environment"]["versions"]["paddlepaddle"]
        _, target = _ratio(peer, "paddleseg_over_our_paddle", "")
        shown = f"{peer['ratios']['paddleseg_over_our_paddle']['median']:.1f} x faster than theirs"
        yield (
            f"`predict` on our own export of the same weights, Paddle Inference {version}",
            f"{peer['seconds'][name]['median']:.3f}",
            shown,
            target,
        )


def _open_vino(runtimes: dict[str, Any] | None) -> Iterator[Sequence[str]]:
    if runtimes is not None and "open_vino" in runtimes["floor"]["seconds"]:
        version = runtimes["environment"]["versions"]["openvino"]
        bounded = {"ratios": runtimes["floor"]["ratios"], "targets": runtimes["targets"]}
        yield (
            f"network, OpenVINO {version}",
            f"{runtimes['floor']['seconds']['open_vino']['median']:.3f}",
            *_ratio(bounded, "open_vino_over_floor", "that floor, in its own run"),
        )


def _runtimes(results: dict[str, Any]) -> str:
    """Compare the runtimes: pictures a second, each cell end to end and the network alone."""
    rows: dict[str, dict[str, Any]] = {}
    for row in results["rows"]:
        height, width = row["size"]
        case = f"{height} x {width}, batch {row['batch']}"
        rows.setdefault(row["backend"], {})[case] = row
    cases = list(dict.fromkeys(case for row in rows.values() for case in row))
    lines = [
        (
            f"`{backend}` ({found[cases[0]]['provider']})",
            *(f"{found[case]['ips']:.2f} ({found[case]['network_ips']:.2f})" for case in cases),
            f"{found[cases[0]]['cold_start_seconds']:.1f}",
            f"{(found[cases[0]]['peak_memory_bytes'] or 0) / 1e6:.0f}",
        )
        for backend, found in rows.items()
    ]
    head = ("pictures a second (network alone)", *cases, "cold start, s", "peak MB")
    return table(head, lines)


def _precision(results: dict[str, Any]) -> str:
    """Compare the precisions of a processor: speed of two networks, and what the labels lose."""
    speed, accuracy = results["speed"], results["accuracy"]
    stamp, (height, width) = speed["environment"], speed["size"]
    networks = list(dict.fromkeys(name.split(", ")[0] for name in speed["seconds"]))
    lines = []
    for way in dict.fromkeys(name.partition(", ")[2] for name in speed["seconds"]):
        cells = []
        for network in networks:
            name = f"{network}, {way}"
            faster = speed["times_faster_than_fp32"].get(name)
            shown = "" if faster is None else f" ({faster['median']:.2f} x)"
            cells.append(f"{1 / speed['seconds'][name]['median']:.2f}{shown}")
        row = accuracy["rows"][way]
        lines.append(
            (
                f"`{way.replace(', ', '`, ')}",
                *cells,
                f"{100 * row['mean_iou']:.2f}",
                f"{100 * row['labels_of_fp32']:.2f} "
                f"({100 * row['labels_of_fp32_away_from_boundaries']:.2f})",
            )
        )
    features = ", ".join(each for each in stamp["features"] if each not in ("AVX2", "FMA"))
    head = (
        f"{height} x {width}, {speed['threads']} threads of {stamp['cpu']} with {features}: pictures a second, "
        "network alone",
        *("ResNet-50 as above", "the embedded model"),
        f"its mean IoU, {accuracy['pictures']} pictures",
        "labels as in float32, % (away from boundaries)",
    )
    return table(head, lines)


def _gpu(results: dict[str, Any]) -> str:
    """Compare forms of the network on a GPU, pictures a second, with PyTorch on the same card."""
    parts, size = results["parts"], results["size"]
    versions = results["environment"]["versions"]
    found: dict[str, dict[int, float]] = {}
    for part in ("network", "compiled", "eager"):
        for row in parts[part]["rows"]:
            found.setdefault(row["form"], {})[row["batch"]] = row["per_second"]
    through = {row["form"]: row for row in parts["callers"]["rows"]}
    forms = (
        *("float32", "TF32", "float16", "float16, bytes to labels"),
        *("torch.compile, float16, channels last", "eager PyTorch, float16, channels last"),
    )
    lines = [
        (
            form,
            f"{found[form][1]:.0f}",
            f"{found[form][8]:.0f}",
            f"{through[form]['one']:.0f}" if form in through else "",
            f"{through[form]['stream']:.0f}" if form in through else "",
        )
        for form in forms
    ]
    card, runtime = results["card"], versions["onnxruntime-gpu"]
    head = (
        f"{card}, {size} x {size}, pictures a second: ONNX Runtime {runtime}, PyTorch {versions['torch']}",
        *("network, batch 1", "batch 8", "`predict`", "`predict_batch`"),
    )
    return table(head, lines)


def _ratio(results: dict[str, Any], name: str, of: str) -> tuple[str, str]:
    median, target = results["ratios"][name]["median"], results["targets"][name]
    bound = "at most" if name in AT_MOST else "at least"
    digits = 2 if median < 2 else 1
    return f"{median:.{digits}f} x {of}", f"{bound} {target} x"


def _start_up(results: dict[str, Any]) -> Iterator[Sequence[str]]:
    for name, row in results["seconds"].items():
        if name == "fastfcn --version, as installed":
            continue
        target = results["targets"].get(name)
        shown = f"`{name}`" if name.startswith(("import", "fastfcn")) else name
        yield shown, f"{row['median']:.2f}", "" if target is None else f"under {target}"


def _export(results: dict[str, Any]) -> Iterator[Sequence[str]]:
    for row in results["jobs"]:
        if row["file"].endswith(".pdparams") and row["job"] != "read, every tensor copied":
            yield row["job"], f"{row['median']:.1f}", f"{row['peak_over_weights']:.1f}"


def main() -> int:
    """Print the tables."""
    print(f"{tables()}\n\n{further_tables()}\n\n{jpu_tables()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
