"""Values of a Python configuration, from its syntax: nothing of it is run.

Read are literals, ``dict(...)`` calls, names assigned before, and ``_base_`` files, merged as mmengine does. Everything
else is kept as `NotLiteral`, and is an error where its value is needed.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt

_LARGEST = 1 << 18  # bytes
_DEEPEST = 8  # files, each the base of another
_MOST_FILES = 64
_MOST_VALUES = 20_000


@dataclass(frozen=True)
class NotLiteral:
    """A value that only running the file would tell."""

    where: str


def read_python(path: Path) -> dict[str, Any]:
    """Read the values of a configuration and of its bases.

    Raises:
        CheckpointError: a file cannot be read or is not Python; names it.
    """
    return _read(path, 0, [])


def values(found: Any) -> Iterator[Any]:
    """Walk over a value and everything in it.

    Raises:
        CheckpointError: there is more of it than any configuration has.
    """
    waiting, count = [found], 0
    while waiting:
        value = waiting.pop()
        count += 1
        if count > _MOST_VALUES:
            raise CheckpointError(f"the configuration has more than {_MOST_VALUES} values")
        yield value
        if isinstance(value, dict):
            waiting.extend(reversed(list(value.values())))
        elif isinstance(value, list | tuple):
            waiting.extend(reversed(value))


def _read(path: Path, depth: int, seen: list[Path]) -> dict[str, Any]:
    seen.append(path)
    if depth > _DEEPEST or len(seen) > _MOST_FILES:
        raise CheckpointError(f"{path}: its _base_ files lead to too many others")
    found = _Module(path).names
    base = found.pop("_base_", ())
    merged: dict[str, Any] = {}
    for name in (
        [base] if isinstance(base, str) else base if isinstance(base, list | tuple) else [None]
    ):
        if not isinstance(name, str) or not name.endswith(".py"):
            raise CheckpointError(f"{path}: _base_ does not name Python files: {excerpt(base)}")
        merged = _merged(merged, _read(path.parent / name, depth + 1, seen))
    return _merged(merged, found)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge as mmengine does: dicts key by key, unless ``_delete_`` is set; all else replaces."""
    found = dict(below)
    for key, value in above.items():
        old = found.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and not value.get("_delete_"):
            found[key] = _merged(old, value)
        else:
            found[key] = value
    return found


class _Module:
    """The names that a file assigns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.names: dict[str, Any] = {}
        try:
            for statement in ast.parse(_text(path)).body:
                self._take(statement)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            reason = excerpt(str(error) or type(error).__name__, 200)
            raise CheckpointError(f"{path} is not Python that can be read: {reason}") from error

    def _take(self, statement: ast.stmt) -> None:
        targets = statement.targets if isinstance(statement, ast.Assign) else []
        if isinstance(statement, ast.Assign) and all(isinstance(t, ast.Name) for t in targets):
            value = self._value(statement.value)
            self.names |= {t.id: value for t in targets if isinstance(t, ast.Name)}
            return
        # Anything else may change the names that it mentions: imports, updates, conditions, functions.
        unknown = self._unknown(statement)
        for node in ast.walk(statement):
            if isinstance(node, ast.alias):
                self.names[(node.asname or node.name).split(".")[0]] = unknown
            elif isinstance(node, ast.Name):
                same = self.names.get(node.id, unknown)
                others = [name for name, value in self.names.items() if value is same]
                self.names |= dict.fromkeys([node.id, *others], unknown)

    def _value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            return self.names.get(node.id, self._unknown(node))
        if isinstance(node, ast.List | ast.Tuple):
            items = [self._value(item) for item in node.elts]
            return items if isinstance(node, ast.List) else tuple(items)
        if isinstance(node, ast.Dict):
            return self._mapping(node, list(zip(node.keys, node.values, strict=True)))
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "dict"
        ):
            pairs = [(k.arg and ast.Constant(k.arg), k.value) for k in node.keywords]
            return self._unknown(node) if node.args else self._mapping(node, pairs)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            number = self._value(node.operand)
            return -number if isinstance(number, int | float) else self._unknown(node)
        return self._unknown(node)

    def _mapping(self, node: ast.expr, pairs: list[tuple[Any, ast.expr]]) -> Any:
        found: dict[Any, Any] = {}
        for key, item in pairs:
            value = self._value(item)
            if key is None:
                if not isinstance(value, dict):
                    return self._unknown(node)
                found |= value
            elif isinstance(key, ast.Constant):
                found[key.value] = value
            else:
                return self._unknown(node)
        return found

    def _unknown(self, node: ast.AST) -> NotLiteral:
        return NotLiteral(f"{self._path.name}, line {getattr(node, 'lineno', 0)}")


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise CheckpointError(
            f"the configuration {path} cannot be read: {error.strerror}. Training programs save a copy that "
            "needs no other file beside the checkpoints (work_dirs); give that one."
        ) from error
    if len(data) > _LARGEST:
        raise CheckpointError(
            f"{path} is larger than {_LARGEST >> 10} KiB, as no configuration is"
        )
    return data.decode("utf-8")  # a ValueError where it is not
