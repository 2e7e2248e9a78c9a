"""PaddleSeg's configuration files: YAML with ``_base_`` files, merged as in PaddleSeg.

Source: the rules of PaddleSeg's ``Config`` (reference/fastfcn_semantics.md, 5.3): a file inherits
from its bases in their order, and the first value found wins; mappings are merged key by key, lists
are replaced; a mapping with ``_inherited_: False`` inherits nothing.
"""

import ast
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastfcn_export.checkpoint.safe_yaml import read_yaml
from fastfcn_infer.system.excerpt import excerpt

Config = dict[str, Any]

_BASE, _INHERITED = "_base_", "_inherited_"
_DEEPEST = 10  # bases of bases
_MOST = 100  # files read for one configuration
_LARGEST = 1 << 20  # bytes of all of them


def read_config(path: Path, options: Sequence[str] = ()) -> Config:
    """Read a configuration with all its bases.

    Paths of bases are relative to the file that names them; ``..`` is allowed, as PaddleSeg's own
    files use it.

    Args:
        path: the file.
        options: ``KEY.KEY=VALUE`` settings, applied last, like PaddleSeg's ``--opts``.

    Raises:
        ValueError: a file cannot be read, is not a configuration, or inherits from itself; an
            option is malformed.
        BackendMissing: PyYAML is not installed.
    """
    config: Config = _unmarked(_with_bases(path, (), []))
    for option in options:
        _set(config, option)
    return config


def _with_bases(path: Path, above: tuple[Path, ...], read: list[Path]) -> Config:
    real = Path(os.path.realpath(path))
    read.append(real)
    if real in above:
        raise ValueError(f"{path} inherits from itself through {above[-1]}")
    if len(above) == _DEEPEST:
        raise ValueError(f"{above[0]} has bases nested more than {_DEEPEST} deep")
    if len(read) > _MOST:
        raise ValueError(f"{(above or (path,))[0]} inherits from more than {_MOST} files")
    if _size(read) > _LARGEST:
        raise ValueError(
            f"{(above or (path,))[0]} and the files that it inherits from have more than {_LARGEST} "
            "bytes, as no configuration has"
        )
    config = _mapping(path)
    bases = config.pop(_BASE, [])
    for base in [bases] if isinstance(bases, str) else _list(path, bases):
        named = Path(base)
        if named.is_absolute() or named.suffix not in (".yml", ".yaml"):
            raise ValueError(
                f"{path} has the base {excerpt(base)}; expected a .yml file relative to its own folder"
            )
        config = _merged(config, _with_bases(path.parent / named, (*above, real), read))
    return config


def _size(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files if file.exists())


def _mapping(path: Path) -> Config:
    config = read_yaml(path, extra="training")
    if not isinstance(config, dict) or not all(isinstance(key, str) for key in config):
        raise ValueError(f"{path} is not a configuration; expected a mapping with text keys")
    return config


def _list(path: Path, bases: object) -> list[str]:
    if not isinstance(bases, list) or not all(isinstance(base, str) for base in bases):
        raise ValueError(
            f"{path}: {_BASE} is {excerpt(bases)}; expected a file or a list of files"
        )
    return bases


def _merged(upper: Config, lower: Config) -> Config:
    """Inherit from `lower` what `upper` does not set."""
    if not upper.get(_INHERITED, True):
        # The mark applies to the first base that has such a mapping only, as in PaddleSeg.
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
    """Remove the marks that were not used up by a base."""
    if isinstance(value, dict):
        return {key: _unmarked(item) for key, item in value.items() if key != _INHERITED}
    return value


def _set(config: Config, option: str) -> None:
    """Apply one ``KEY.KEY=VALUE``; a value that is not a Python literal is text."""
    name, equals, text = option.partition("=")
    *path, last = name.split(".")
    section: Any = config
    for key in path:
        section = section.get(key) if isinstance(section, dict) else None
    if not equals or not isinstance(section, dict):
        raise ValueError(
            f"{excerpt(option)} sets nothing: expected KEY.KEY=VALUE, with all keys but the last in "
            "the configuration"
        )
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        value = text
    section[last] = list(value) if isinstance(value, tuple) else value
