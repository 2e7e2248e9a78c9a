"""Frozen dataclasses from untrusted JSON: types checked, unknown keys refused, all faults listed.

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

from fastfcn_infer.system import strict_json
from fastfcn_infer.system.excerpt import MOST_CHARACTERS, MOST_LISTED, json_excerpt, printable

T = TypeVar("T")

# Metadata of a field that is written only where it differs from its default: records that do not use the
# field then read as they did before it was added.
OMITTED: Mapping[str, bool] = types.MappingProxyType({"omitted": True})


_MOST_TEXT = 5000  # characters of a text; nothing that a record holds is as long
_LONGEST_NAME = 100  # of a key in a message
_LONGEST_VALUE = 60
_LONGEST_REASON = 2000  # of what a dataclass says of its own values


class RecordError(ValueError):
    """The JSON does not describe the dataclass; `faults` lists every reason, or the first hundred."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = tuple(faults)


def from_json(kind: type[T], text: str | bytes) -> T:
    """Read a `kind` from JSON.

    Raises:
        RecordError: not JSON, or not a `kind`; names the fields at fault.
    """
    try:
        data = strict_json.parse(text)
    except ValueError as error:
        raise RecordError([f"not JSON: {error}"]) from error
    return from_data(kind, data)


def from_data(kind: type[T], data: object) -> T:
    """Read a `kind` from plain data.

    Raises:
        RecordError: `data` is not a `kind`; names the fields at fault.
    """
    faults = _Faults()
    value = _decode(kind, data, "", faults)
    if faults.found:
        raise RecordError(faults.found)
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
            if not (f.metadata.get("omitted") and getattr(value, f.name) == _default(f))
        }
    if isinstance(value, Mapping):
        return {key: to_data(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_data(item) for item in value]
    return value


def _default(field: dataclasses.Field[Any]) -> Any:
    factory = field.default_factory
    return field.default if factory is dataclasses.MISSING else factory()


class _Faults:
    """What was found wrong so far; where a file holds nothing else, reading stops early."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self._left = MOST_CHARACTERS

    def add(self, path: str, what: str) -> None:
        fault = f"{path}: {what}" if path else what
        self.found.append(fault)
        self._left -= len(fault)
        if len(self.found) >= MOST_LISTED or self._left < 0:
            raise RecordError([*self.found, "... and perhaps more: reading stopped here"])


def _decode(kind: Any, data: object, path: str, faults: _Faults) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _decode_union(get_args(kind), data, path, faults)
    if origin is Literal:
        # By type as well: true equals 1.
        if (type(data), data) not in [(type(value), value) for value in get_args(kind)]:
            known = ", ".join(map(str, get_args(kind)))
            faults.add(path, f"{json_excerpt(data, _LONGEST_VALUE)} is none of {known}")
        return data
    if origin is tuple:
        return _decode_tuple(get_args(kind), data, path, faults)
    if origin is Mapping:
        return _decode_mapping(get_args(kind)[1], data, path, faults)
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, data, path, faults)
    return _decode_scalar(kind, data, path, faults)


def _decode_union(kinds: tuple[Any, ...], data: object, path: str, faults: _Faults) -> Any:
    if data is None and type(None) in kinds:
        return None
    rest = [kind for kind in kinds if kind is not type(None)]
    if len(rest) == 1:
        return _decode(rest[0], data, path, faults)
    for kind in rest:
        attempt = _Faults()
        with contextlib.suppress(RecordError):
            value = _decode(kind, data, path, attempt)
            if not attempt.found:
                return value
    faults.add(
        path, f"{json_excerpt(data, _LONGEST_VALUE)} fits none of {', '.join(map(_name, rest))}"
    )
    return None


def _decode_tuple(kinds: tuple[Any, ...], data: object, path: str, faults: _Faults) -> Any:
    if not isinstance(data, list):
        faults.add(path, f"a list was expected, found {json_excerpt(data, _LONGEST_VALUE)}")
        return ()
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = (kinds[0],) * len(data)
    if len(kinds) != len(data):
        faults.add(path, f"{len(kinds)} items were expected, found {len(data)}")
        return ()
    return tuple(
        _decode(kind, item, f"{path}[{i}]", faults)
        for i, (kind, item) in enumerate(zip(kinds, data, strict=True))
    )


def _decode_mapping(kind: Any, data: object, path: str, faults: _Faults) -> Any:
    if not isinstance(data, dict):
        faults.add(path, f"an object was expected, found {json_excerpt(data, _LONGEST_VALUE)}")
        return {}
    for key in data:
        if len(key) > _MOST_TEXT:
            faults.add(
                _below(path, key), f"a name of at most {_MOST_TEXT} characters was expected"
            )
    return {key: _decode(kind, item, _below(path, key), faults) for key, item in data.items()}


def _decode_dataclass(kind: Any, data: object, path: str, faults: _Faults) -> Any:
    if not isinstance(data, dict):
        faults.add(path, f"an object was expected, found {json_excerpt(data, _LONGEST_VALUE)}")
        return None
    hints = get_type_hints(kind)
    before = len(faults.found)
    values = {}
    for field in dataclasses.fields(kind):
        here = _below(path, field.name)
        if field.name in data:
            values[field.name] = _decode(hints[field.name], data[field.name], here, faults)
        elif _required(field):
            faults.add(here, "missing")
    known = {field.name for field in dataclasses.fields(kind)}
    for key in data:
        if key not in known:
            faults.add(_below(path, key), "unknown key")
    if len(faults.found) > before:
        return None
    try:
        return kind(**values)
    except ValueError as error:
        faults.add(path, printable(str(error), _LONGEST_REASON))
        return None


def _below(path: str, key: object) -> str:
    name = printable(str(key), _LONGEST_NAME)
    return f"{path}.{name}" if path else name


def _required(field: dataclasses.Field[Any]) -> bool:
    missing = dataclasses.MISSING
    return field.default is missing and field.default_factory is missing


def _decode_scalar(kind: Any, data: object, path: str, faults: _Faults) -> Any:
    if kind is float and isinstance(data, int | float) and not isinstance(data, bool):
        with contextlib.suppress(OverflowError):  # a whole number of hundreds of digits
            if math.isfinite(data):
                return float(data)
    elif type(data) is kind:
        if not isinstance(data, str) or len(data) <= _MOST_TEXT:
            return data
        text = json_excerpt(data, _LONGEST_VALUE)
        faults.add(path, f"at most {_MOST_TEXT} characters were expected, found {text}")
        return None
    faults.add(path, f"{_name(kind)} was expected, found {json_excerpt(data, _LONGEST_VALUE)}")
    return None


def _name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))
