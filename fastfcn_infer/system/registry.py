"""Registries: a folder with a plural name whose files are the entries, named by their keys."""

import importlib
import pkgutil
from types import ModuleType


def names(package: str) -> tuple[str, ...]:
    """List the modules of `package` in alphabetical order, importing none of them."""
    found = importlib.import_module(package)
    return tuple(sorted(module.name for module in pkgutil.iter_modules(found.__path__)))


def load(package: str, name: str) -> ModuleType:
    """Import the module `name` of `package`.

    Raises:
        KeyError: `package` has no such module.
        ImportError: the module needs something that is not installed.
    """
    if name not in names(package):
        raise KeyError(name)
    return importlib.import_module(f"{package}.{name}")
