"""OpenCV, imported here once for all rooms, so that a broken installation gives one error that says what to do.

Write ``from fastfcn_infer.system.opencv import cv2`` instead of ``import cv2``.

OpenCV is the package that most often cannot be imported although it is installed: its wheel for desktops
needs libraries that servers lack, four wheels put different files into one folder, and each is compiled
for one generation of NumPy.
"""

import contextlib
import importlib
import io
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING, Any

from fastfcn_infer.errors import BackendMissing
from fastfcn_infer.system.excerpt import listing, printable
from fastfcn_infer.system.machine import OPENCV_WHEELS

if TYPE_CHECKING:
    import cv2 as cv2

NEEDED = (
    *("LUT", "addWeighted", "applyColorMap", "blendLinear", "boundingRect", "calcHist"),
    *("connectedComponentsWithStats", "copyMakeBorder", "copyTo", "cvtColor", "dilate"),
    *("erode", "error", "flip", "getRotationMatrix2D", "getTextSize", "imdecode", "imencode"),
    *("imwrite", "putText", "resize"),
    *("rotate", "sepFilter2D", "setNumThreads", "split", "transpose", "warpAffine"),
)
"""What these packages use of it; an import of half an installation can succeed without them."""

_CLEAN = f"pip uninstall -y {' '.join(OPENCV_WHEELS)}"
_INSTALL = "pip install opencv-python-headless"
_DEBIAN = {"libGL.so": "libgl1", "libEGL.so": "libegl1", "libgthread": "libglib2.0-0"}


def fault() -> str | None:
    """Say why OpenCV cannot be used, and what to do about it; None if it can."""
    return _FAULT


@contextlib.contextmanager
def short_of_memory() -> Iterator[None]:
    """Let OpenCV's lack of memory be Python's.

    Raises:
        MemoryError: OpenCV found too little.
    """
    try:
        yield
    except cv2.error as error:
        if error.code != cv2.Error.StsNoMem:
            raise
        raise MemoryError(printable(str(error), 300)) from error


def _load() -> tuple[Any, str | None]:
    """Import OpenCV; return the module, and why it cannot be used."""
    said = io.StringIO()
    try:
        # NumPy prints a traceback of its own where a package was compiled for another NumPy.
        with contextlib.redirect_stderr(said):
            module = importlib.import_module("cv2")
    except Exception as error:  # noqa: BLE001 - a broken installation may raise anything
        if hasattr(sys, "OpenCV_LOADER"):  # left by an import that failed; a second would blame it
            del sys.OpenCV_LOADER
        return None, _explain(error)
    lost = [name for name in NEEDED if not hasattr(module, name)]
    if lost:
        place = listing([str(path) for path in getattr(module, "__path__", ())], most=2)
        return None, _mixed(
            f"the folder {place} is not a whole one: it lacks {listing(lost, most=3)}"
        )
    if said.getvalue():
        sys.stderr.write(said.getvalue())
    return module, None


def _explain(error: Exception) -> str:
    """Describe an import that failed."""
    why = f"{type(error).__name__}: {printable(str(error), 300)}"
    if isinstance(error, ModuleNotFoundError) and error.name == "cv2":
        if _installed():
            return _mixed("its files are gone")
        return f"OpenCV is not installed. Run: {_INSTALL}"
    library = re.search(r"(lib[^\s:/]*\.so[.\d]*)", str(error))
    if library is not None and isinstance(error, ImportError):
        package = next(
            (name for start, name in _DEBIAN.items() if library[1].startswith(start)), None
        )
        system = (
            "" if package is None else f"; or, on Debian and Ubuntu: apt-get install {package}"
        )
        return (
            f"OpenCV cannot be imported: the system lacks {library[1]} ({why}). The wheel "
            f"opencv-python-headless does not need it{_installed()}. Run: {_CLEAN} && {_INSTALL}{system}"
        )
    if re.search(r"numpy|_ARRAY_API|compiled against", str(error), re.IGNORECASE):
        return (
            f"OpenCV cannot be imported: it was compiled for another version of NumPy ({why})"
            f"{_installed()}. Run: {_CLEAN} && {_INSTALL} --upgrade, "
            'or, to keep this OpenCV: pip install "numpy<2"'
        )
    return _mixed(why)


def _mixed(why: str) -> str:
    return (
        f"OpenCV cannot be imported ({why}). Its wheels share one folder, and what removes one of several "
        f"damages the others{_installed()}. Run: {_CLEAN} && {_INSTALL} --force-reinstall --no-deps; "
        "if that does not help, delete the folder cv2 in between."
    )


def _installed() -> str:
    """Name the wheels that are installed, to follow a sentence."""
    found = []
    for name in OPENCV_WHEELS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return f" (installed: {', '.join(found)})" if found else ""


_module, _FAULT = _load()
if _FAULT is None:
    cv2 = _module


def __getattr__(name: str) -> Any:
    """Refuse OpenCV where it cannot be used; reached only there."""
    if name == "cv2" and _FAULT is not None:
        raise BackendMissing(_FAULT)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
