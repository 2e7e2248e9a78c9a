"""The clients of the extra ``hub``: imported only when they are needed, and kept from printing."""

import contextlib
import importlib
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from typing import Any

from fastfcn_infer.errors import BackendMissing
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.install import install

OFFLINE = "FASTFCN_OFFLINE"  # the variable with which users forbid downloads and uploads

_LONGEST_REASON = 1000  # characters

_LOCK = threading.Lock()


def offline() -> bool:
    """Tell whether the user forbade downloads and uploads with FASTFCN_OFFLINE."""
    return os.environ.get(OFFLINE, "").lower() not in ("", "0", "false", "no", "off")


def package(name: str, wanted: str) -> Any:
    """Import a client.

    Args:
        name: of the package.
        wanted: what it is needed for, such as "hub:me/x has to be downloaded".

    Raises:
        BackendMissing: it is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(name)
    except Exception as error:  # a broken installation may raise anything
        raise BackendMissing(
            f"{wanted} by the package {name}, which cannot be imported: "
            f"{printable(str(error), 1000)}. Run: {install('hub')}"
        ) from error


@contextlib.contextmanager
def quiet(logger: logging.Logger) -> Iterator[None]:
    """Keep a client from printing; what matters reaches the user as an error.

    Levels and filters belong to the process, so threads use a client one after the other.
    """
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def hub_logger() -> logging.Logger:
    """Return the logger of huggingface_hub for `quiet`.

    The client sets the level when it uses its logger first, so that a level that was set before is lost.
    """
    own = importlib.import_module("huggingface_hub.utils.logging")
    logger: logging.Logger = own.get_logger("huggingface_hub")
    return logger


def reason_of(error: Exception) -> str:
    """Write what a client says as the end of a sentence on one line; a server may send anything of any length."""
    said = " ".join(str(error).split()).rstrip(".")
    return printable(said, _LONGEST_REASON) or type(error).__name__


def hub_errors(hub: Any) -> tuple[type[Exception], ...]:
    """Exceptions of huggingface_hub and of the HTTP client that it uses."""
    found = vars(importlib.import_module("huggingface_hub.errors")).values()
    own = (kind for kind in found if isinstance(kind, type) and issubclass(kind, Exception))
    return (OSError, ValueError, *own)
