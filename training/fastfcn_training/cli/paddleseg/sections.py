"""The sections of a PaddleSeg configuration as dataclasses; all faults are reported together."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from fastfcn_infer.system import record
from fastfcn_infer.system.excerpt import excerpt, listing, printable
from fastfcn_training.cli.paddleseg import data_schema, schema

_SECTIONS = (
    *("model", "loss", "lr_scheduler", "optimizer", "train_dataset", "val_dataset"),
    *("global", "train", "test", "test_config", "export"),
)


@dataclass(frozen=True)
class Sections:
    """The sections of a configuration.

    Args:
        top: the keys outside any section.
        model, backbone: the network.
        losses: of the network's outputs, in their order, of `schema.LOSSES`.
        coefficients: one for each loss.
        schedule: one of `schema.SCHEDULES`.
        optimiser: one of `schema.OPTIMISERS`.
        training: ``train_dataset``.
        transforms: of its pictures, of `data_schema.TRANSFORMS`.
        validation: ``val_dataset``, if present.
        validation_transforms: of its pictures, of `data_schema.VALIDATION_TRANSFORMS`.
        global_section, train: how the training is run.
    """

    top: schema.Top
    model: schema.Model
    backbone: schema.Backbone
    losses: tuple[Any, ...]
    coefficients: tuple[float, ...]
    schedule: Any
    optimiser: Any
    training: data_schema.Dataset
    transforms: tuple[Any, ...]
    validation: data_schema.Dataset | None
    validation_transforms: tuple[Any, ...]
    global_section: schema.Global
    train: schema.Train


def read_sections(config: Mapping[str, Any]) -> Sections:
    """Read every section; ``export`` is ignored, as it does not concern training.

    Raises:
        ValueError: keys are unknown or missing, or values have the wrong type or are not supported;
            lists all faults, one per line.
    """
    reader = _Reader()
    model, loss, training, validation = (
        reader.mapping(name, config.get(name, {}))
        for name in ("model", "loss", "train_dataset", "val_dataset")
    )
    for name in ("test", "test_config"):
        reader.one(schema.Test, name, config.get(name, {}))
    top = reader.one(schema.Top, "", _without(config, *_SECTIONS), more=_SECTIONS)
    coefficients = reader.one(
        schema.Coefficients, "loss", _without(loss, "types"), more=("types",)
    )
    sections = Sections(
        top=top,
        model=reader.one(schema.Model, "model", _without(model, "backbone"), more=("backbone",)),
        backbone=reader.one(schema.Backbone, "model.backbone", model.get("backbone", {})),
        losses=reader.many(schema.LOSSES, "loss.types", loss.get("types", [])),
        coefficients=coefficients.coef if coefficients else (),
        schedule=reader.typed(schema.SCHEDULES, "lr_scheduler", config.get("lr_scheduler", {})),
        optimiser=reader.typed(schema.OPTIMISERS, "optimizer", config.get("optimizer", {})),
        training=reader.one(
            data_schema.Dataset, "train_dataset", _without(training, "transforms")
        ),
        transforms=reader.many(
            data_schema.TRANSFORMS, "train_dataset.transforms", training.get("transforms", [])
        ),
        validation=None
        if not validation
        else reader.one(data_schema.Dataset, "val_dataset", _without(validation, "transforms")),
        validation_transforms=reader.many(
            data_schema.VALIDATION_TRANSFORMS,
            "val_dataset.transforms",
            validation.get("transforms", []),
        ),
        global_section=reader.one(schema.Global, "global", config.get("global", {})),
        train=reader.one(schema.Train, "train", config.get("train", {})),
    )
    if reader.faults:
        raise ValueError("\n".join(reader.faults))
    return sections


class _Reader:
    """Reads sections and collects their faults; a faulty section becomes None.

    Attributes:
        faults: each with the path of its key.
    """

    def __init__(self) -> None:
        self.faults: list[str] = []

    def mapping(self, path: str, data: object) -> Mapping[str, Any]:
        if isinstance(data, dict):
            return data
        self.faults.append(f"{path}: expected a mapping, found {excerpt(data)}")
        return {}

    def one(self, kind: type[Any], path: str, data: object, *, more: tuple[str, ...] = ()) -> Any:
        """Read a section of one type; `more` are known keys that are read elsewhere."""
        found = self.mapping(path, data)
        known = [field.name for field in fields(kind)]
        unknown = [printable(str(key)) for key in found if key not in known]
        if unknown:
            place = path or "the top of the configuration"
            self.faults.append(
                f"{place}: unknown keys {listing(unknown)}; known there: "
                f"{', '.join((*known, *more))}"
            )
        try:
            return record.from_data(kind, {k: v for k, v in found.items() if k in known})
        except record.RecordError as error:
            self.faults += [_below(path, fault) for fault in error.faults]
        return None

    def typed(self, kinds: data_schema.Kinds, path: str, data: object) -> Any:
        """Read a section whose ``type`` says what it is."""
        found = self.mapping(path, data)
        kind = found.get("type")
        if not isinstance(data, dict):
            return None
        if not isinstance(kind, str) or kind not in kinds:
            what = "missing; expected" if kind is None else f"{excerpt(kind)} is none of"
            self.faults.append(f"{path}.type: {what} {', '.join(kinds)}")
            return None
        return self.one(kinds[kind], path, _without(found, "type"))

    def many(self, kinds: data_schema.Kinds, path: str, data: object) -> tuple[Any, ...]:
        """Read a list of such sections."""
        if not isinstance(data, list):
            self.faults.append(f"{path}: expected a list, found {excerpt(data)}")
            return ()
        return tuple(self.typed(kinds, f"{path}[{i}]", item) for i, item in enumerate(data))


def _without(data: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in names}


def _below(path: str, fault: str) -> str:
    """Add the path of a section to a fault in it."""
    if not path:
        return fault
    return (
        f"{path}: {fault.removeprefix('top: ')}"
        if fault.startswith("top: ")
        else f"{path}.{fault}"
    )
