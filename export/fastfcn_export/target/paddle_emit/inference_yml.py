"""Write `inference.yml`, the description that PaddleX and PaddleSeg's deploy script read."""

from collections.abc import Iterable

from fastfcn_infer.artifact.manifest import Model

# PaddleX runs models of its table only and compares this name with the one that it is asked for:
# it chooses the code around the network, which is the same for every plain segmentation network.
PADDLEX_NAME = "Deeplabv3-R50"

_OPERATORS = {"logits": "none", "probabilities": "softmax", "labels": "argmax"}


def inference_yml(model: Model, program: str, weights: str) -> str:
    """Write the text of the file; any YAML reader reads it.

    Both readers feed normalised (N, 3, H, W), so a model that is fed pixels lists no transforms and
    serves neither. Neither resizes logits: PaddleX wants ``labels``.

    Args:
        model: the description.
        program: name of the program's file, in the same folder.
        weights: name of the weights' file, in the same folder.
    """
    n, height, width = model.input.shape
    shape = [n, 3, height, width] if model.input.name == "image" else [n, height, width, 3]
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
        lines += [
            f"  - type: {_text('Normalize')}",
            f"    mean: {_list(map(repr, model.input.mean))}",
            f"    std: {_list(map(repr, model.input.std))}",
        ]
    lines += ["label_list:", *(f"- {_text(entry.name)}" for entry in model.classes)]
    return "\n".join(lines) + "\n"


def _label_kind(model: Model) -> str:
    return "uint8" if len(model.classes) <= 256 else "int32"


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(values)}]"


def _text(value: str) -> str:
    """Quote a text for YAML: what cannot be printed is escaped."""
    plain = (c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in value)
    return f'"{"".join(plain)}"'
