"""YAML from anywhere as plain data: no code, no aliases that unfold without end, no key twice."""

import re
from pathlib import Path
from typing import Any

from fastfcn_infer.errors import BackendMissing

_LARGEST = 1 << 20  # bytes of a file
_MOST = 20_000  # values of a file, with every alias unfolded
_DEEPEST = 50
# A number to YAML 1.2 and to people, but text to YAML 1.1, which PyYAML reads.
_FLOAT = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+\Z")


def read_yaml(path: Path) -> object:
    """Read a file of one document.

    Raises:
        ValueError: the file cannot be read, is too large, no YAML, or names code; says where.
        BackendMissing: PyYAML is not installed.
    """
    try:
        import yaml
    except ImportError as error:
        raise BackendMissing(
            "Reading a configuration needs the package PyYAML, which is not installed. "
            'Run: pip install "fastfcn-infer[training]"'
        ) from error

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789"))
    loader = Loader(_text(path))
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _Budget().spend(node, 0)
        return loader.construct_document(node)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = " ".join(str(error).split())
        raise ValueError(f"{path} is no YAML that is safe to read: {problem}") from error
    finally:
        loader.dispose()


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise ValueError(f"{path} has more than {_LARGEST} bytes; no configuration is as large")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no text in UTF-8: {error}") from error


class _Budget:
    """Counts the nodes of a document as often as they are meant, before anything is made of them."""

    def __init__(self) -> None:
        self._left = _MOST

    def spend(self, node: Any, depth: int) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError(f"with its aliases unfolded it has more than {_MOST} values")
        if depth > _DEEPEST:
            raise ValueError(f"it is nested more than {_DEEPEST} deep")
        if node.id == "sequence":
            for item in node.value:
                self.spend(item, depth + 1)
        elif node.id == "mapping":
            self._spend_mapping(node, depth)

    def _spend_mapping(self, node: Any, depth: int) -> None:
        seen = set()
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == "tag:yaml.org,2002:merge":
                raise ValueError(f"line {line}: '<<' is not read here")
            if key.id != "scalar":
                raise ValueError(f"line {line}: a key that is no text")
            if key.value in seen:
                raise ValueError(f"line {line}: {key.value!r} is there twice")
            seen.add(key.value)
            self.spend(value, depth + 1)
