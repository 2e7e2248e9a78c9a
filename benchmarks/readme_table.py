"""Which figures do the README and docs/speed.md show? Prints their tables from results/*.json.

    python -m benchmarks.readme_table

Tests compare both documents with these tables, so no figure in a table is entered manually.
"""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

AT_MOST = ("network_over_floor", "predict_over_network", "open_vino_over_floor")
RESULTS = Path(__file__).with_name("results")
_JPU_NAMES = {
    "encnet_resnet50": "EncNet, ResNet-50",
    "psp_resnet50": "PSP, ResNet-50",
    "deeplab_resnet50": "DeepLabV3, ResNet-50",
    "encnet_resnet101": "EncNet, ResNet-101",
    "psp_resnet101": "PSP, ResNet-101",
    "deeplab_resnet101": "DeepLabV3, ResNet-101",
    "mmseg_encnet_resnet50": "mmsegmentation's EncNet, ResNet-50",
}
_JPU_PARTS = {
    "backbone.stem": "stem",
    "backbone.stage1": "stage 1, stride 4",
    "backbone.stage2": "stage 2, stride 8",
    "backbone.stage3": "stage 3, stride 8 -> 16",
    "backbone.stage4": "stage 4, stride 8 -> 32",
    "jpu": "JPU: three 3x3 convolutions",
    "jpu.branch": "JPU: four separable branches",
    "head": "head",
}


def tables(folder: Path = RESULTS) -> str:
    """Format the README's tables.

    Args:
        folder: holds network.json, paddleseg_peer.json and gpu.json, and runtimes.json once that was run.

    Raises:
        FileNotFoundError: one of them is missing.
    """
    file = folder / "runtimes.json"
    runtimes = json.loads(file.read_text()) if file.is_file() else None
    network, peer = _results(folder, "network"), _results(folder, "paddleseg_peer")
    parts = [
        _caption(network),
        _table(
            ("what", "seconds", "ratio", "target"),
            [*_speed(network, peer), *_same_runtime(peer), *_open_vino(runtimes)],
        ),
        *([] if runtimes is None else [_runtimes(runtimes)]),
        _gpu(_results(folder, "gpu")),
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
        _table(("what", "seconds", "target"), _start_up(start_up)),
        _table(("converting a checkpoint", "seconds", "peak memory / weights"), _export(cost)),
    ]
    return "\n\n".join(parts)


def jpu_tables(folder: Path = RESULTS) -> str:
    """Format what Joint Pyramid Upsampling gains, for docs/speed.md.

    Args:
        folder: holds jpu.json once that was run.
    """
    if not (folder / "jpu.json").is_file():
        return "Not measured yet."
    results = _results(folder, "jpu")
    parts = [
        _jpu_caption(results),
        _jpu_gain(results["rows"]),
        *(_jpu_parts(row) for row in results["rows"] if "seconds_by_part" in row),
    ]
    return "\n\n".join(parts)


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
    return _table(head, lines)


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
    return _table(head, lines)


def _jpu_caption(results: dict[str, Any]) -> str:
    stamp, size = results["environment"], results["size"]
    versions = stamp["versions"]
    return (
        f"One picture of {size} x {size}, float32, {results['threads']} threads of {stamp['cpu']}, OpenVINO "
        f"{versions['openvino']}, ONNX Runtime {versions['onnxruntime']}; medians, ratios with quartiles from calls "
        "in turn. Each cell: dilated backbone without JPU -> JPU."
    )


def _jpu_gain(rows: Sequence[dict[str, Any]]) -> str:
    """Compare the pairs; a published ratio is that of the codes' own tables."""
    lines = []
    for row in rows:
        counts, published = row["multiply_adds"], row["published"]
        memory = [row["memory"][f"{form} open_vino"]["peak"] / 1e6 for form in ("dilated", "jpu")]
        theirs = "" if published is None else f"{published[0]} -> {published[1]}"
        lines.append(
            (
                _JPU_NAMES[row["network"]],
                f"{counts['dilated'] / 1e9:.1f} -> {counts['jpu'] / 1e9:.1f}",
                f"{row['multiply_adds_ratio']:.2f} x",
                *_jpu_speed(row, "open_vino"),
                *_jpu_speed(row, "onnx_runtime"),
                f"{memory[0]:.0f} -> {memory[1]:.0f}",
                theirs,
                "" if published is None else f"{published[1] / published[0]:.2f} x",
            )
        )
    head = (
        *("network", "multiply-adds, G", "fewer by"),
        *("OpenVINO, pictures a second", "faster by", "ONNX Runtime", "faster by"),
        *("peak MB, OpenVINO", "published, pictures a second", "faster by"),
    )
    return _table(head, lines)


def _jpu_speed(row: dict[str, Any], runtime: str) -> tuple[str, str]:
    speeds = [1 / row["seconds"][f"{form} {runtime}"]["median"] for form in ("dilated", "jpu")]
    found = row["ratios"][runtime]
    quartiles = f"{found['lower_quartile']:.2f} to {found['upper_quartile']:.2f}"
    return f"{speeds[0]:.2f} -> {speeds[1]:.2f}", f"{found['median']:.2f} x ({quartiles})"


def _jpu_parts(row: dict[str, Any]) -> str:
    """Say how much each part of a pair computes, and how long it takes."""
    counts, seconds = row["multiply_adds_by_part"], row["seconds_by_part"]
    runtimes = [name for name in ("open_vino", "torch") if f"jpu {name}" in seconds]

    def cell(found: Sequence[dict[str, float]], part: str, unit: float, digits: int) -> str:
        return " -> ".join(f"{each.get(part, 0) / unit:.{digits}f}" for each in found)

    lines = []
    for part, name in _JPU_PARTS.items():
        times = [
            cell([seconds[f"{form} {runtime}"] for form in ("dilated", "jpu")], part, 1e-3, 0)
            for runtime in runtimes
        ]
        work = cell([counts["dilated"], counts["jpu"]], part, 1e9, 1)
        lines.append((name, work, *times))
    sums = [
        ((counts["dilated"], counts["jpu"]), 1e9, 1),
        *(((seconds[f"dilated {r}"], seconds[f"jpu {r}"]), 1e-3, 0) for r in runtimes),
    ]
    lines.append(("all", *(_jpu_sum(*each) for each in sums)))
    names = {"open_vino": "OpenVINO, ms", "torch": "eager PyTorch, ms"}
    title = f"{_JPU_NAMES[row['network']]}, part by part"
    return _table((title, "multiply-adds, G", *(names[each] for each in runtimes)), lines)


def _jpu_sum(parts: Sequence[dict[str, float]], unit: float, digits: int) -> str:
    """Add up the parts of both forms, and divide."""
    one, other = (sum(each.values()) / unit for each in parts)
    return f"{one:.{digits}f} -> {other:.{digits}f} ({one / other:.2f} x)"


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


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def main() -> int:
    """Print the tables."""
    print(f"{tables()}\n\n{further_tables()}\n\n{jpu_tables()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
