"""What does Joint Pyramid Upsampling gain? The tables of jpu.json, for docs/speed.md and the README."""

from collections.abc import Sequence
from typing import Any

from benchmarks.markdown import table

_NAMES = {
    "encnet_resnet50": "EncNet, ResNet-50",
    "psp_resnet50": "PSP, ResNet-50",
    "deeplab_resnet50": "DeepLabV3, ResNet-50",
    "encnet_resnet101": "EncNet, ResNet-101",
    "psp_resnet101": "PSP, ResNet-101",
    "deeplab_resnet101": "DeepLabV3, ResNet-101",
    "mmseg_encnet_resnet50": "mmsegmentation's EncNet, ResNet-50",
}
_PARTS = {
    "backbone.stem": "stem",
    "backbone.stage1": "stage 1, stride 4",
    "backbone.stage2": "stage 2, stride 8",
    "backbone.stage3": "stage 3, stride 8 -> 16",
    "backbone.stage4": "stage 4, stride 8 -> 32",
    "jpu": "JPU: three 3x3 convolutions",
    "jpu.branch": "JPU: four separable branches",
    "head": "head",
}


def whole(results: dict[str, Any]) -> str:
    """Format all of it, for docs/speed.md.

    Args:
        results: the content of jpu.json.
    """
    parts = [
        _caption(results),
        _gain(results["rows"]),
        *(_parts(row) for row in results["rows"] if "seconds_by_part" in row),
    ]
    return "\n\n".join(parts)


def short(results: dict[str, Any]) -> str:
    """Format the README's table: OpenVINO's speed beside the published one."""
    size, version = results["size"], results["environment"]["versions"]["openvino"]
    lines = []
    for row in results["rows"]:
        published = row["published"]
        speed, faster = _speed(row, "open_vino")
        memory = [row["memory"][f"{form} open_vino"]["peak"] / 1e6 for form in ("dilated", "jpu")]
        lines.append(
            (
                _NAMES[row["network"]],
                f"{row['multiply_adds_ratio']:.2f} x",
                speed,
                faster.partition(" (")[0],
                f"{memory[0]:.0f} -> {memory[1]:.0f}",
                "" if published is None else f"{published[0]} -> {published[1]}",
                "" if published is None else f"{published[1] / published[0]:.2f} x",
            )
        )
    head = (
        f"dilated backbone -> JPU, {size} x {size}, OpenVINO {version}",
        *(
            "fewer multiply-adds",
            "pictures a second",
            "faster",
            "peak MB",
            "published, on GPUs",
            "faster",
        ),
    )
    return table(head, lines)


def _caption(results: dict[str, Any]) -> str:
    stamp, size = results["environment"], results["size"]
    versions = stamp["versions"]
    return (
        f"One picture of {size} x {size}, float32, {results['threads']} threads of {stamp['cpu']}, OpenVINO "
        f"{versions['openvino']}, ONNX Runtime {versions['onnxruntime']}; medians, ratios with quartiles from calls "
        "in turn. Each cell: dilated backbone without JPU -> JPU."
    )


def _gain(rows: Sequence[dict[str, Any]]) -> str:
    """Compare the pairs; a published ratio is that of the codes' own tables."""
    lines = []
    for row in rows:
        counts, published = row["multiply_adds"], row["published"]
        memory = [row["memory"][f"{form} open_vino"]["peak"] / 1e6 for form in ("dilated", "jpu")]
        theirs = "" if published is None else f"{published[0]} -> {published[1]}"
        lines.append(
            (
                _NAMES[row["network"]],
                f"{counts['dilated'] / 1e9:.1f} -> {counts['jpu'] / 1e9:.1f}",
                f"{row['multiply_adds_ratio']:.2f} x",
                *_speed(row, "open_vino"),
                *_speed(row, "onnx_runtime"),
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
    return table(head, lines)


def _speed(row: dict[str, Any], runtime: str) -> tuple[str, str]:
    speeds = [1 / row["seconds"][f"{form} {runtime}"]["median"] for form in ("dilated", "jpu")]
    found = row["ratios"][runtime]
    quartiles = f"{found['lower_quartile']:.2f} to {found['upper_quartile']:.2f}"
    return f"{speeds[0]:.2f} -> {speeds[1]:.2f}", f"{found['median']:.2f} x ({quartiles})"


def _parts(row: dict[str, Any]) -> str:
    """Say how much each part of a pair computes, and how long it takes."""
    counts, seconds = row["multiply_adds_by_part"], row["seconds_by_part"]
    runtimes = [name for name in ("open_vino", "torch") if f"jpu {name}" in seconds]

    def cell(found: Sequence[dict[str, float]], part: str, unit: float, digits: int) -> str:
        return " -> ".join(f"{each.get(part, 0) / unit:.{digits}f}" for each in found)

    lines = []
    for part, name in _PARTS.items():
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
    lines.append(("all", *(_sum(*each) for each in sums)))
    names = {"open_vino": "OpenVINO, ms", "torch": "eager PyTorch, ms"}
    title = f"{_NAMES[row['network']]}, part by part"
    return table((title, "multiply-adds, G", *(names[each] for each in runtimes)), lines)


def _sum(parts: Sequence[dict[str, float]], unit: float, digits: int) -> str:
    """Add up the parts of both forms, and divide."""
    one, other = (sum(each.values()) / unit for each in parts)
    return f"{one:.{digits}f} -> {other:.{digits}f} ({one / other:.2f} x)"
