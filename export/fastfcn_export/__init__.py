"""Export a FastFCN checkpoint of any dialect to a frozen, verified artifact.

`__all__` lists everything that is public: all other names and all modules are internal and may change
in any version. Names are imported when they are first used, so that the command can report what cannot
be imported.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastfcn_infer.errors import BackendMissing
from fastfcn_infer.system.install import install
from fastfcn_infer.system.missing_package import missing_package

if TYPE_CHECKING:
    from fastfcn_export.checkpoint.read import read_checkpoint as read_checkpoint
    from fastfcn_export.convert import describe_checkpoint as describe_checkpoint
    from fastfcn_export.convert import export as export
    from fastfcn_export.description import Description as Description
    from fastfcn_export.quantization.quantize import quantize as quantize
    from fastfcn_export.quantization.settings import QuantizationSettings as QuantizationSettings
    from fastfcn_export.request import ExportOptions as ExportOptions
    from fastfcn_export.request import Request as Request
    from fastfcn_export.target.target import Options as Options
    from fastfcn_infer.artifact.manifest import Manifest as Manifest

_HOME = {
    "Description": "fastfcn_export.description",
    "ExportOptions": "fastfcn_export.request",
    "Manifest": "fastfcn_infer.artifact.manifest",
    "Options": "fastfcn_export.target.target",
    "Request": "fastfcn_export.request",
    "describe_checkpoint": "fastfcn_export.convert",
    "export": "fastfcn_export.convert",
    "QuantizationSettings": "fastfcn_export.quantization.settings",
    "quantize": "fastfcn_export.quantization.quantize",
    "read_checkpoint": "fastfcn_export.checkpoint.read",
}
__all__ = [
    "Description",
    "ExportOptions",
    "Manifest",
    "Options",
    "QuantizationSettings",
    "Request",
    "describe_checkpoint",
    "export",
    "quantize",
    "read_checkpoint",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used.

    Raises:
        BackendMissing: a package that it needs is not installed.
    """
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        home = importlib.import_module(_HOME[name])
    except ModuleNotFoundError as error:  # `export` itself says what its formats need
        if name != "quantize":
            raise
        raise BackendMissing(
            f"Quantising needs {missing_package(error)}. Run: {install('quantize')}"
        ) from error
    value = globals()[name] = getattr(home, name)
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return __all__
