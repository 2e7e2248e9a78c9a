"""Export a FastFCN checkpoint of any dialect to a frozen, verified artifact.

`__all__` lists everything that is public: all other names and all modules are internal and may change
in any version.
"""

from fastfcn_export.checkpoint.read import read_checkpoint as read_checkpoint
from fastfcn_export.convert import describe_checkpoint as describe_checkpoint
from fastfcn_export.convert import export as export
from fastfcn_export.description import Description as Description
from fastfcn_export.request import ExportOptions as ExportOptions
from fastfcn_export.request import Request as Request
from fastfcn_export.target.target import Options as Options
from fastfcn_infer.artifact.manifest import Manifest as Manifest

__all__ = [
    "Description",
    "ExportOptions",
    "Manifest",
    "Options",
    "Request",
    "describe_checkpoint",
    "export",
    "read_checkpoint",
]
