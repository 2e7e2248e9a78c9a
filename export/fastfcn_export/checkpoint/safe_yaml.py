"""YAML from anywhere as plain data: no code, no aliases that unfold without end, no key twice.

The only reader of YAML in the project; whatever the file holds, reading ends within a second or two, and an
error is short.
"""

import functools
import re
from pathlib import Path
from typing import Any

from fastfcn_infer.errors import BackendMissing
from fastfcn_infer.system.excerpt import excerpt, printable
from fastfcn_infer.system.install import install

_LARGEST = 1 << 20  # bytes of a file
_MOST = 20_000  # keys and values of a file, with every alias unfolded
_DEEPEST = 50
_LONGEST_NUMBER = 100  # characters; numbers in base 60 take quadratic time to read
_LONGEST_MESSAGE = 600  # of what PyYAML says, which may show a whole tag or alias
# A number to YAML 1.2 and to people, but text to YAML 1.1, which PyYAML reads.
_FLOAT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+\Z")
_TEXT, _WHOLE, _MERGE = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "merge"))


def read_yaml(path: Path, *, extra: str = "export") -> object:
    """Read a file of one document.

    Args:
        path: of the file, UTF-8.
        extra: of this project, which brings PyYAML; for the message where it is missing.

    Raises:
        ValueError: the file cannot be read, is too large, is not YAML, or names code; says where.
        BackendMissing: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise BackendMissing(
            f"Reading YAML needs the package PyYAML, which is not installed. Run: {install(extra)}"
        ) from error
    text = _text(path)
    try:
        return _parsed(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = printable(" ".join(str(error).split()), _LONGEST_MESSAGE)
        raise ValueError(f"{path} is not YAML that is safe to read: {problem}") from error


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise ValueError(
            f"{path} is larger than {_LARGEST >> 20} MiB: it has more than {_LARGEST} bytes, as no "
            "configuration has"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error


def _parsed(text: str) -> object:
    loader = _loader_class()(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _Budget().spend(node, 0)
        return loader.construct_document(node)
    finally:
        loader.dispose()


class _Budget:
    """Counts the nodes of a document, and refuses what no configuration has."""

    def __init__(self) -> None:
        self._left = _MOST

    def take_one(self, depth: int) -> None:
        """Count a node."""
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"with its aliases unfolded it has more than {_MOST} values")
        if depth > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep")

    def spend(self, node: Any, depth: int) -> None:
        """Count a node and all below it, as often as aliases repeat them."""
        self.take_one(depth)
        if node.id == "sequence":
            for item in node.value:
                self.spend(item, depth + 1)
        elif node.id == "mapping":
            self._spend_mapping(node, depth)
        elif node.tag != _TEXT and len(node.value) > _LONGEST_NUMBER:
            raise ValueError(f"line {_line(node)}: {excerpt(node.value, 40)} is too long a value")

    def _spend_mapping(self, node: Any, depth: int) -> None:
        seen = set()
        for key, value in node.value:
            if key.tag == _MERGE:
                raise ValueError(f"line {_line(key)}: '<<' is not read here")
            # Short numbers, because a file could choose long ones that all have one hash.
            if key.id != "scalar" or (
                key.tag != _TEXT and not (key.tag == _WHOLE and len(key.value) < 10)
            ):
                raise ValueError(f"line {_line(key)}: a key that is not text")
            if key.value in seen:
                raise ValueError(f"line {_line(key)}: {excerpt(key.value)} appears twice")
            seen.add(key.value)
            self.take_one(depth)
            self.spend(value, depth + 1)


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


@functools.cache
def _loader_class() -> type[Any]:
    """PyYAML's safe loader, which stops while it reads and not when all has been read."""
    import yaml

    class Loader(yaml.SafeLoader):
        def __init__(self, text: str) -> None:
            super().__init__(text)
            self._budget = _Budget()
            self._depth = 0

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            self._budget.take_one(self._depth)
            self._depth += 1
            try:
                return super().compose_node(parent, index)
            finally:
                self._depth -= 1

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            found = super().construct_mapping(node, deep)
            if len(found) < len(node.value):  # 1 and 0x1
                raise ValueError(f"line {_line(node)}: two keys of this mapping are equal")
            return found

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789"))
    return Loader
