"""Frozen dataclasses from untrusted JSON: types checked, unknown keys refused, all faults at once.

Supported field types: ``str``, ``int``, ``float``, ``bool``, ``None`` unions, ``Literal``,
``tuple[X, ...]``, ``tuple[X, Y, Z]``, ``Mapping[str, X]`` and other dataclasses.
"""

import contextlib
import dataclasses
import json
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")

# Metadata of a field that is only written where it differs from its default: records that do not use it
# read as they did before it was thought of.
OMITTED: Mapping[str, bool] = types.MappingProxyType({"omitted": True})


class RecordError(ValueError):
    """The JSON does not describe the dataclass; `faults` lists every reason."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


def from_json(kind: type[T], text: str | bytes) -> T:
    """Read a `kind` from JSON.

    Raises:
        RecordError: not JSON, or not a `kind`; names every field at fault.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError([f"not JSON: {error}"]) from error
    return from_data(kind, data)


def from_data(kind: type[T], data: object) -> T:
    """Read a `kind` from what `json.loads` gave.

    Raises:
        RecordError: `data` is not a `kind`; names every field at fault.
    """
    faults: list[str] = []
    value = _decode(kind, data, "", faults)
    if faults:
        raise RecordError(faults)
    return value  # type: ignore[no-any-return]


def to_json(record: object, *, indent: int | None = 2) -> str:
    """Write a dataclass as JSON; `from_json` reads it back equal."""
    return json.dumps(to_data(record), indent=indent, ensure_ascii=False)


def to_data(value: Any) -> Any:
    """Turn dataclasses, mappings and tuples into what `json.dumps` takes."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: to_data(getattr(value, f.name))
            for f in dataclasses.fields(value)
            if not (f.metadata.get("omitted") and getattr(value, f.name) == f.default)
        }
    if isinstance(value, Mapping):
        return {key: to_data(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_data(item) for item in value]
    return value


def _decode(kind: Any, data: object, path: str, faults: list[str]) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _decode_union(get_args(kind), data, path, faults)
    if origin is Literal:
        # By type as well: true equals 1.
        if (type(data), data) not in [(type(value), value) for value in get_args(kind)]:
            faults.append(
                f"{path}: {_show(data)} is none of {', '.join(map(str, get_args(kind)))}"
            )
        return data
    if origin is tuple:
        return _decode_tuple(get_args(kind), data, path, faults)
    if origin is Mapping:
        return _decode_mapping(get_args(kind)[1], data, path, faults)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, data, path, faults)
    return _decode_scalar(kind, data, path, faults)


def _decode_union(kinds: tuple[Any, ...], data: object, path: str, faults: list[str]) -> Any:
    if data is None and type(None) in kinds:
        return None
    rest = [kind for kind in kinds if kind is not type(None)]
    if len(rest) == 1:
        return _decode(rest[0], data, path, faults)
    for kind in rest:
        attempt: list[str] = []
        value = _decode(kind, data, path, attempt)
        if not attempt:
            return value
    faults.append(f"{path}: {_show(data)} fits none of {', '.join(map(_name, rest))}")
    return None


def _decode_tuple(kinds: tuple[Any, ...], data: object, path: str, faults: list[str]) -> Any:
    if not isinstance(data, list):
        faults.append(f"{path}: a list was expected, found {_show(data)}")
        return ()
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(data)
    if len(kinds) != len(data):
        faults.append(f"{path}: {len(kinds)} items were expected, found {len(data)}")
        return ()
    return tuple(
        _decode(kind, item, f"{path}[{i}]", faults)
        for i, (kind, item) in enumerate(zip(kinds, data, strict=True))
    )


def _decode_mapping(kind: Any, data: object, path: str, faults: list[str]) -> Any:
    if not isinstance(data, dict):
        faults.append(f"{path}: an object was expected, found {_show(data)}")
        return {}
    return {key: _decode(kind, item, f"{path}.{key}", faults) for key, item in data.items()}


def _decode_dataclass(kind: Any, data: object, path: str, faults: list[str]) -> Any:
    if not isinstance(data, dict):
        faults.append(f"{path or 'top'}: an object was expected, found {_show(data)}")
        return None
    hints = get_type_hints(kind)
    before = len(faults)
    values = {}
    for field in dataclasses.fields(kind):
        here = f"{path}.{field.name}".lstrip(".")
        if field.name in data:
            values[field.name] = _decode(hints[field.name], data[field.name], here, faults)
        elif _required(field):
            faults.append(f"{here}: missing")
    known = {field.name for field in dataclasses.fields(kind)}
    faults += [f"{path}.{key}: unknown key".lstrip(".") for key in data if key not in known]
    if len(faults) > before:
        return None
    try:
        return kind(**values)
    except ValueError as error:
        faults.append(f"{path or 'top'}: {error}")
        return None


def _required(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _decode_scalar(kind: Any, data: object, path: str, faults: list[str]) -> Any:
    if kind is float and isinstance(data, int | float) and not isinstance(data, bool):
        with contextlib.suppress(OverflowError):  # a whole number of hundreds of digits
            if math.isfinite(data):
                return float(data)
    elif type(data) is kind:
        return data
    faults.append(f"{path}: {_name(kind)} was expected, found {_show(data)}")
    return None


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


def _show(data: object) -> str:
    try:
        text = json.dumps(data, default=str)
    except RecursionError:
        return f"a deeply nested {type(data).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
