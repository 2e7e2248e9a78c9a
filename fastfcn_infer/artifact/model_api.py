"""What OpenVINO's Model API reads of an ONNX file, beside our own description of it.

The Model API resizes pictures to a graph of a fixed shape, and feeds them at their own size to one of a free
shape. It resizes the arg max of the logits to the picture by nearest neighbours, so its masks are coarser than
ours.

Source: the parameters ``model_info ...`` of openvino-model-api 0.4 (`ImageModel`, `SegmentationModel`).
"""

from collections.abc import Iterable

from fastfcn_infer.artifact.manifest import RGB, Model

PREFIX = "model_info "  # of the keys of the file's metadata

_WHITE = 255  # of the pictures that the Model API reads


def model_api_metadata(model: Model) -> dict[str, str]:
    """Return the entries that let the Model API open a graph.

    Args:
        model: its description.

    Returns:
        Keys and values for the file's metadata; empty if the Model API cannot run such a graph: one that
        computes labels, takes other than three channels, or several pictures at once.
    """
    several = model.input.shape[0] not in (None, 1)
    if model.output.name == "labels" or model.input.channels != RGB or several:
        return {}
    values = {
        "model_type": "Segmentation",
        # Names are separated by spaces.
        "labels": " ".join("_".join(each.name.split()) or "_" for each in model.classes),
        "resize_type": "standard",
        "reverse_input_channels": "True",  # the Model API takes BGR, as OpenCV reads it
        "blur_strength": "-1",  # the plain arg max
    }
    if model.input.name == "image":
        values["mean_values"] = _numbers(_WHITE * value for value in model.input.mean)
        values["scale_values"] = _numbers(_WHITE * value for value in model.input.std)
    return {PREFIX + key: value for key, value in values.items()}


def _numbers(values: Iterable[float]) -> str:
    return " ".join(f"{value:.9g}" for value in values)
