"""Import a runtime: one thread at a time, and with a typed error if the installation is broken.

An import prepares the process: it needs environment variables that are read once, and for OpenVINO
an entry of `sys.modules`. Two threads that prepare and clean up at the same time undo each other's
work.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fastfcn_infer.errors import BackendError, BackendMissing
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.install import install

# Primitives that oneDNN keeps compiled, the least recently used are dropped. A network has 40 (ResNet-18)
# to 100 of them for each size of picture, so the last few sizes stay compiled, in about 25 MB.
KEPT_PRIMITIVES = 256

OPENVINO_TELEMETRY = "openvino_telemetry"  # reports the use of OpenVINO and of NNCF

# Held while anything is done that is done once per process, and while a graph is opened where the
# runtime cannot bear two at a time. Reentrant; never wait for another thread while holding it.
ONCE = threading.RLock()
if hasattr(os, "register_at_fork"):
    # A child would inherit the lock held for ever, and an import that never ends.
    os.register_at_fork(
        before=ONCE.acquire, after_in_parent=ONCE.release, after_in_child=ONCE.release
    )


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
        except (BackendError, KeyboardInterrupt):
            raise
        except BaseException as error:  # some packages exit, or raise what is no Exception
            raise broken(backend, extra, error) from error


@contextmanager
def blocked(module: str) -> Iterator[None]:
    """Let an import of a module fail, of which a package can do without; the caller holds `ONCE`.

    Args:
        module: its full name.
    """
    before = sys.modules.get(module)
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(module, None)
        if before is not None:
            sys.modules[module] = before


def forbid_onnx_runtime_telemetry() -> None:
    """Keep ONNX Runtime, before it is imported, from sending usage data to its vendor.

    It would also print where it cannot keep its identifier. A value that the user set stays.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def bound_compiled_code() -> None:
    """Bound the memory in which oneDNN keeps what it compiled for the sizes it has met.

    OpenVINO and Paddle both compute with oneDNN, which compiles code for every new size of picture
    and keeps 1024 primitives, 80 to 200 MB, unless ONEDNN_PRIMITIVE_CACHE_CAPACITY says otherwise. It reads
    that when it is first used, and OpenVINO offers no other way. A value that the user set stays.

    Source: oneDNN's developer guide, "Primitive Cache".
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(KEPT_PRIMITIVES))


def broken(backend: str, extra: str, error: BaseException) -> BackendMissing:
    """Describe an installation that cannot be imported, or only in part.

    Args:
        backend: its name.
        extra: of this package, which installs its runtime.
        error: what the import, or the first use of what it left out, raised.
    """
    return BackendMissing(
        f"The runtime of backend {backend!r} is installed, but cannot be imported "
        f"({type(error).__name__}: {printable(str(error), 1000)}). Install what is missing, or reinstall it: "
        f"{install(extra, '--force-reinstall')}"
    )
