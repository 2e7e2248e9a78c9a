"""How a runtime is imported: by one thread at a time, and with a typed error if it is broken.

An import prepares the process: it needs environment variables that are read once, and for OpenVINO
an entry of `sys.modules`. Two threads that prepare and clean up at the same time undo each other's
work.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastfcn_infer.errors import BackendError, BackendMissing

# Held while anything is done that is done once per process. Reentrant, because a backend that
# imports its runtime may be called while it is held; never wait for another thread inside.
ONCE = threading.RLock()


@contextmanager
def importing(backend: str, extra: str) -> Iterator[None]:
    """Hold the lock for an import, and report any failure of it as a broken installation.

    Args:
        backend: its name.
        extra: of this package, which installs its runtime.

    Raises:
        BackendMissing: the import failed, for whatever reason.
    """
    with ONCE:
        try:
            yield
        except BackendError:
            raise
        except Exception as error:
            raise broken(backend, extra, error) from error


def broken(backend: str, extra: str, error: Exception) -> BackendMissing:
    """Describe an installation that cannot be imported.

    Args:
        backend: its name.
        extra: of this package, which installs its runtime.
        error: what the import raised.
    """
    return BackendMissing(
        f"The runtime of backend {backend!r} is installed, but cannot be imported "
        f"({type(error).__name__}: {error}). Install what is missing, or reinstall it: "
        f'pip install --force-reinstall "fastfcn-infer[{extra}]"'
    )
