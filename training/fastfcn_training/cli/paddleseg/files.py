"""PaddleSeg's configuration files: YAML with ``_base_``, put together as PaddleSeg does.

Source: the rules of PaddleSeg's ``Config`` (reference/fastfcn_semantics.md, 5.3): a file inherits
from its bases in their order, the first that says something wins; mappings are merged key by key,
lists are replaced; ``_inherited_: False`` in a mapping says that it inherits nothing.
"""

import ast
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastfcn_export.safe_yaml import read_yaml

Config = dict[str, Any]

_BASE, _INHERITED = "_base_", "_inherited_"
_DEEPEST = 10  # bases of bases


def read_config(path: Path, options: Sequence[str] = ()) -> Config:
    """Read a configuration with all its bases.

    Bases are files as seen from the file that names them; ``..`` is how PaddleSeg's own name
    theirs.

    Args:
        path: the file.
        options: ``KEY.KEY=VALUE`` that are set last, as by PaddleSeg's ``--opts``.

    Raises:
        ValueError: a file cannot be read, is no configuration, or inherits from itself; an option
            is none.
        BackendMissing: PyYAML is not installed.
    """
    config: Config = _unmarked(_with_bases(path, ()))
    for option in options:
        _set(config, option)
    return config


def _with_bases(path: Path, above: tuple[Path, ...]) -> Config:
    real = path.resolve()
    if real in above:
        raise ValueError(f"{path} inherits from itself, by way of {above[-1]}")
    if len(above) == _DEEPEST:
        raise ValueError(f"{above[0]} has bases that are {_DEEPEST} deep; no configuration has")
    config = _mapping(path)
    bases = config.pop(_BASE, [])
    for base in [bases] if isinstance(bases, str) else _list(path, bases):
        named = Path(base)
        if named.is_absolute() or named.suffix not in (".yml", ".yaml"):
            raise ValueError(
                f"{path} has the base {base!r}; a .yml file as seen from its own folder was expected"
            )
        config = _merged(config, _with_bases(path.parent / named, (*above, real)))
    return config


def _mapping(path: Path) -> Config:
    config = read_yaml(path, extra="training")
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise ValueError(f"{path} is no configuration; keys with values were expected")
    return config


def _list(path: Path, bases: object) -> list[str]:
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ValueError(f"{path}: {_BASE} is {bases!r}; a file or a list of files was expected")
    return bases


def _merged(upper: Config, lower: Config) -> Config:
    """Inherit from `lower` what `upper` does not say."""
    if not upper.get(_INHERITED, True):
        # The mark has done its work with the first base that has such a mapping, as at PaddleSeg.
        return {key: value for key, value in upper.items() if key != _INHERITED}
    result = dict(lower)
    for key, value in upper.items():
        below = lower.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            result[key] = _merged(value, below)
        else:
            result[key] = value
    return result


def _unmarked(value: Any) -> Any:
    """Leave out the marks that met no base."""
    if isinstance(value, dict):
        return {key: _unmarked(item) for key, item in value.items() if key != _INHERITED}
    return value


def _set(config: Config, option: str) -> None:
    """Set one ``KEY.KEY=VALUE``; values are written as in Python, anything else is text."""
    name, equals, text = option.partition("=")
    *path, last = name.split(".")
    section: Any = config
    for key in path:
        section = section.get(key) if isinstance(section, dict) else None
    if not equals or not isinstance(section, dict):
        raise ValueError(
            f"{option!r} sets nothing: expected KEY.KEY=VALUE, all but the last key in the "
            "configuration"
        )
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        value = text
    section[last] = list(value) if isinstance(value, tuple) else value
