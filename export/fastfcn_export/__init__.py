"""Export a FastFCN checkpoint of any dialect to a frozen, verified artifact."""

from fastfcn_export.checkpoint.read import read_checkpoint as read_checkpoint
from fastfcn_export.convert import describe_checkpoint as describe_checkpoint
from fastfcn_export.convert import export as export
from fastfcn_export.description import Description as Description
from fastfcn_export.request import ExportOptions as ExportOptions
from fastfcn_export.request import Request as Request
from fastfcn_export.target.target import Options as Options

__all__ = [
    "Description",
    "ExportOptions",
    "Options",
    "Request",
    "describe_checkpoint",
    "export",
    "read_checkpoint",
]
