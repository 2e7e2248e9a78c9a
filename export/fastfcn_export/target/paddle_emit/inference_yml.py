"""Write `inference.yml`, the description that PaddleX and PaddleSeg's deploy script read."""

from collections.abc import Iterable

from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.procedure import Resize

# PaddleX runs models of its table only and compares this name with the one that it is asked for:
# it chooses the code around the network, which is the same for every plain segmentation network.
PADDLEX_NAME = "Deeplabv3-R50"

_OPERATORS = {"logits": "none", "probabilities": "softmax", "labels": "argmax"}


def inference_yml(model: Model, program: str, weights: str) -> str:
    """Write the text of the file; any YAML reader reads it.

    Both readers feed normalised (N, channels, H, W), so a model that takes pixels lists no transforms and
    serves neither. Neither resizes logits: PaddleX needs ``labels``. The resize of the procedure is
    listed as PaddleSeg's transform of the same rule; sizes may differ by a pixel, as it rounds
    differently, and it interpolates floats, with half-pixel centres.

    Args:
        model: the description.
        program: name of the program's file, in the same folder.
        weights: name of the weights' file, in the same folder.
    """
    n, height, width = model.input.shape
    channels = model.input.channels
    shape = [n, channels, height, width]
    if model.input.name == "pixels":
        shape = [n, height, width, channels]
    kind = "float32" if model.output.name != "labels" else _label_kind(model)
    lines = [
        f"# {_text(model.name)}, written by fastfcn-export. PaddleX runs it by the name below.",
        "Global:",
        f"  model_name: {_text(PADDLEX_NAME)}",
        "Deploy:",
        f"  model: {_text(program)}",
        f"  params: {_text(weights)}",
        f"  input_shape: {_list('-1' if size is None else str(size) for size in shape)}",
        f"  output_op: {_text(_OPERATORS[model.output.name])}",
        f"  output_dtype: {_text(kind)}",
        "  transforms:" if model.input.name == "image" else "  transforms: []",
    ]
    if model.input.name == "image":
        lines += [] if model.procedure.resize is None else _resize(model.procedure.resize)
        lines += [
            f"  - type: {_text('Normalize')}",
            f"    mean: {_list(map(repr, model.input.mean))}",
            f"    std: {_list(map(repr, model.input.std))}",
        ]
    lines += ["label_list:", *(f"- {_text(entry.name)}" for entry in model.classes)]
    return "\n".join(lines) + "\n"


def _resize(resize: Resize) -> list[str]:
    """List the transform of PaddleSeg 2.8 (transforms/transforms.py) that follows the same rule."""
    if resize.rule == "long_side":
        kind, arguments = "ResizeByLong", {"long_size": resize.size}
    elif resize.rule == "short_side":
        kind, arguments = "ResizeByShort", {"short_size": resize.size}
        arguments |= {} if resize.limit is None else {"max_size": resize.limit}
    elif resize.rule == "long_within":
        kind, arguments = "LimitLong", {"min_long": resize.size}
        arguments |= {} if resize.limit is None else {"max_long": resize.limit}
    else:
        return _resize_to(resize)
    return [f"  - type: {_text(kind)}", *(f"    {k}: {v}" for k, v in arguments.items())]


def _resize_to(resize: Resize) -> list[str]:
    keep = resize.rule == "fit"
    width, height = (resize.size, resize.limit) if keep else (resize.width, resize.size)
    lines = [
        f"  - type: {_text('Resize')}",
        f"    target_size: [{width}, {height}]",
        f"    keep_ratio: {str(keep).lower()}",
        f"    interp: {_text(resize.interpolation.upper())}",
    ]
    return lines + ([f"    size_divisor: {resize.divisor}"] if resize.divisor > 1 else [])


def _label_kind(model: Model) -> str:
    return "uint8" if len(model.classes) <= 256 else "int32"


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(values)}]"


def _text(value: str) -> str:
    """Quote a text for YAML: what cannot be printed is escaped."""
    plain = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in value)
    return f'"{"".join(plain)}"'
