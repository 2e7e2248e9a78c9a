"""What a PaddleSeg configuration says about pictures and labels."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastfcn_export.checkpoint.safe_yaml import read_yaml
from fastfcn_export.dialect.changes import PIXELS, Changes
from fastfcn_export.dialect.config.python_literals import values
from fastfcn_export.dialect.transforms import preprocessing
from fastfcn_infer.artifact.manifest import MOST_CHANNELS, RGB
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt

_DEEPEST = 8  # files, each the base of another
_MOST_FILES = 64
_THRESHOLD = 0.5  # of the sigmoid, in PaddleSeg


def read(path: Path, said: Changes) -> Changes:
    """Read a configuration and its bases, whatever is said beside it.

    Raises:
        CheckpointError: it cannot be read, says nothing about pictures, or something that cannot be exported.
        BackendMissing: PyYAML is not installed.
    """
    found = _read(path, 0, [])
    dataset = found.get("val_dataset")
    transforms = dataset.get("transforms") if isinstance(dataset, dict) else None
    if not isinstance(transforms, list) or not all(isinstance(item, dict) for item in transforms):
        raise CheckpointError(f"{path} has no list of transforms in its val_dataset")
    bands = _bands(found, path)
    channels = said.bands or bands or _values(transforms)
    prepared = preprocessing(transforms, path.name, channels)
    procedure = prepared.procedure
    if procedure.frame is not None or procedure.canvas is not None:
        raise CheckpointError(
            f"{path} pads pictures in its val_dataset, which an export of a checkpoint cannot. Export the model with "
            "PaddleSeg's tools/export.py and give the folder that it writes."
        )
    resize = "none" if procedure.resize is None else procedure.resize
    is_rgb = channels == RGB
    return Changes(
        prepared.mean,
        prepared.std,
        1.0,
        "rgb" if is_rgb else None,
        resize,
        _threshold(found, path),
        bands,
        white=None if is_rgb else PIXELS,  # PaddleSeg divides by it, whatever the type
    )


def _bands(found: Mapping[str, Any], path: Path) -> int | None:
    """Return the channels that the network is said to take; None if it is not said."""
    model = found.get("model")
    backbone = model.get("backbone") if isinstance(model, dict) else None
    said = backbone.get("in_channels") if isinstance(backbone, dict) else None
    if said is not None and (type(said) is not int or not 1 <= said <= MOST_CHANNELS):
        raise CheckpointError(f"{path}: in_channels of the backbone is {excerpt(said)}")
    return said


def _values(transforms: list[dict[str, Any]]) -> int:
    """Return how many channels pictures are normalised for, by the number of values."""
    for item in transforms:
        mean = item.get("mean")
        if item.get("type") == "Normalize" and isinstance(mean, list) and len(mean) > 1:
            return len(mean)
    return RGB


def _threshold(found: Mapping[str, Any], path: Path) -> float | None:
    model, dataset = found.get("model"), found.get("train_dataset")
    counts = [part.get("num_classes") for part in (model, dataset) if isinstance(part, dict)]
    classes = next((count for count in counts if count is not None), None)
    dicts = [value for value in values(dict(found)) if isinstance(value, dict)]
    if classes != 1 and any(value.get("use_multilabel") for value in dicts):
        raise CheckpointError(
            f"{path} sets use_multilabel: its network gives a pixel several labels, each by a threshold of its own. An "
            "artifact has one label for a pixel, so the checkpoint cannot be exported."
        )
    return _THRESHOLD if classes == 1 else None


def _read(path: Path, depth: int, seen: list[Path]) -> dict[str, Any]:
    seen.append(path)
    if depth > _DEEPEST or len(seen) > _MOST_FILES:
        raise CheckpointError(f"{path}: its _base_ files lead to too many others")
    try:
        found = read_yaml(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    if not isinstance(found, dict):
        raise CheckpointError(
            f"{path} is not a configuration: it is no mapping of names to values"
        )
    base = found.pop("_base_", [])
    merged: dict[str, Any] = {}
    for name in base if isinstance(base, list) else [base]:
        if not isinstance(name, str) or not name.endswith((".yml", ".yaml")):
            raise CheckpointError(f"{path}: _base_ does not name YAML files: {excerpt(base)}")
        merged = _merged(merged, _read(path.parent / name, depth + 1, seen))
    return _merged(merged, found)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge as PaddleSeg does: key by key, unless ``_inherited_`` is false."""
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and value.get("_inherited_", True):
            found[key] = _merged(old, value)
        else:
            found[key] = value
    return found
