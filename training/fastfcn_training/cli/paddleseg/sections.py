"""A PaddleSeg configuration taken apart: every section as a dataclass, all faults at once."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fastfcn_infer.system import record
from fastfcn_training.cli.paddleseg import picture_schema, schema

_SECTIONS = (
    *("model", "loss", "lr_scheduler", "optimizer", "train_dataset", "val_dataset"),
    *("global", "train", "test", "test_config", "export"),
)


@dataclass(frozen=True)
class Parts:
    """The sections.

    Args:
        top: what is in no section.
        model, backbone: the network.
        losses: of the network's outputs, in their order, of `schema.LOSSES`.
        coefficients: one a loss.
        schedule: one of `schema.SCHEDULES`.
        optimiser: one of `schema.OPTIMISERS`.
        learned: the data set to learn from.
        transforms: of its pictures, of `picture_schema.TRANSFORMS`.
        validated: the data set to validate on, if there is one.
        validation_transforms: of its pictures, of `picture_schema.VALIDATION_TRANSFORMS`.
        everywhere, train: how the training is carried out.
    """

    top: schema.Top
    model: schema.Model
    backbone: schema.Backbone
    losses: tuple[Any, ...]
    coefficients: tuple[float, ...]
    schedule: Any
    optimiser: Any
    learned: picture_schema.Dataset
    transforms: tuple[Any, ...]
    validated: picture_schema.Dataset | None
    validation_transforms: tuple[Any, ...]
    everywhere: schema.Everywhere
    train: schema.Train


def take_apart(config: Mapping[str, Any]) -> Parts:
    """Read every section; ``export`` has nothing to do with a training.

    Raises:
        ValueError: keys are unknown or missing, values are of another kind, or cannot be learned
            with here; lists all of them, one a line.
    """
    reader = _Reader()
    model, loss, learned, validated = (
        reader.mapping(name, config.get(name, {}))
        for name in ("model", "loss", "train_dataset", "val_dataset")
    )
    for name in ("test", "test_config"):
        reader.one(schema.Test, name, config.get(name, {}))
    top = reader.one(schema.Top, "", _without(config, *_SECTIONS), more=_SECTIONS)
    coefficients = reader.one(
        schema.Coefficients, "loss", _without(loss, "types"), more=("types",)
    )
    parts = Parts(
        top=top,
        model=reader.one(schema.Model, "model", _without(model, "backbone"), more=("backbone",)),
        backbone=reader.one(schema.Backbone, "model.backbone", model.get("backbone", {})),
        losses=reader.many(schema.LOSSES, "loss.types", loss.get("types", [])),
        coefficients=coefficients.coef if coefficients else (),
        schedule=reader.typed(schema.SCHEDULES, "lr_scheduler", config.get("lr_scheduler", {})),
        optimiser=reader.typed(schema.OPTIMISERS, "optimizer", config.get("optimizer", {})),
        learned=reader.one(
            picture_schema.Dataset, "train_dataset", _without(learned, "transforms")
        ),
        transforms=reader.many(
            picture_schema.TRANSFORMS, "train_dataset.transforms", learned.get("transforms", [])
        ),
        validated=None
        if not validated
        else reader.one(picture_schema.Dataset, "val_dataset", _without(validated, "transforms")),
        validation_transforms=reader.many(
            picture_schema.VALIDATION_TRANSFORMS,
            "val_dataset.transforms",
            validated.get("transforms", []),
        ),
        everywhere=reader.one(schema.Everywhere, "global", config.get("global", {})),
        train=reader.one(schema.Train, "train", config.get("train", {})),
    )
    if reader.faults:
        raise ValueError("\n".join(reader.faults))
    return parts


class _Reader:
    """Reads sections and remembers what is wrong with them; a section at fault becomes None.

    Attributes:
        faults: with the paths of the keys.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []

    def mapping(self, path: str, data: object) -> Mapping[str, Any]:
        if isinstance(data, dict):
            return data
        self.faults.append(f"{path}: keys with values were expected, found {data!r}")
        return {}

    def one(self, kind: type[Any], path: str, data: object, *, more: tuple[str, ...] = ()) -> Any:
        """Read a section of one kind; `more` are keys that are known and read elsewhere."""
        found = self.mapping(path, data)
        known = [field.name for field in fields(kind)]
        unknown = [str(key) for key in found if key not in known]
        if unknown:
            place = path or "the top of the configuration"
            self.faults.append(
                f"{place}: unknown keys {', '.join(unknown)}; known there: "
                f"{', '.join((*known, *more))}"
            )
        try:
            return record.from_data(kind, {k: v for k, v in found.items() if k in known})
        except record.RecordError as error:
            self.faults += [_below(path, fault) for fault in error.faults]
        return None

    def typed(self, kinds: picture_schema.Kinds, path: str, data: object) -> Any:
        """Read a section whose ``type`` says its kind."""
        found = self.mapping(path, data)
        kind = found.get("type")
        if not isinstance(data, dict):
            return None
        if not isinstance(kind, str) or kind not in kinds:
            what = "missing; expected" if kind is None else f"{kind!r} is none of"
            self.faults.append(f"{path}.type: {what} {', '.join(kinds)}")
            return None
        return self.one(kinds[kind], path, _without(found, "type"))

    def many(self, kinds: picture_schema.Kinds, path: str, data: object) -> tuple[Any, ...]:
        """Read a list of such sections."""
        if not isinstance(data, list):
            self.faults.append(f"{path}: a list was expected, found {data!r}")
            return ()
        return tuple(self.typed(kinds, f"{path}[{i}]", item) for i, item in enumerate(data))


def _without(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in names}


def _below(path: str, fault: str) -> str:
    """Put the path of a section before a fault in it."""
    if not path:
        return fault
    return (
        f"{path}: {fault.removeprefix('top: ')}"
        if fault.startswith("top: ")
        else f"{path}.{fault}"
    )
