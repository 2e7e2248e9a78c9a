"""FastFCN semantic segmentation: run a frozen artifact on any runtime, exact to the pixel.

`__all__` lists everything that is public: all other names and all modules are internal and may change
in any version. Names are imported when they are first used, so importing the package is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fastfcn_infer.system.version import __version__ as __version__

if TYPE_CHECKING:
    from fastfcn_infer.artifact.procedure import Procedure as Procedure
    from fastfcn_infer.artifact.procedure import Windows as Windows
    from fastfcn_infer.benchmark.report import Report as Report
    from fastfcn_infer.data.dataset import Dataset as Dataset
    from fastfcn_infer.data.dataset import open_dataset as open_dataset
    from fastfcn_infer.errors import ArtifactError as ArtifactError
    from fastfcn_infer.errors import BackendError as BackendError
    from fastfcn_infer.errors import BackendMissing as BackendMissing
    from fastfcn_infer.errors import CheckpointError as CheckpointError
    from fastfcn_infer.errors import DatasetError as DatasetError
    from fastfcn_infer.errors import DeviceUnavailable as DeviceUnavailable
    from fastfcn_infer.errors import DownloadError as DownloadError
    from fastfcn_infer.errors import EvaluationError as EvaluationError
    from fastfcn_infer.errors import FastFCNError as FastFCNError
    from fastfcn_infer.errors import GraphRefused as GraphRefused
    from fastfcn_infer.errors import ImageError as ImageError
    from fastfcn_infer.errors import UnknownBackend as UnknownBackend
    from fastfcn_infer.errors import UnknownClassTable as UnknownClassTable
    from fastfcn_infer.errors import UnknownDataset as UnknownDataset
    from fastfcn_infer.errors import UnknownDevice as UnknownDevice
    from fastfcn_infer.errors import UnknownDialect as UnknownDialect
    from fastfcn_infer.errors import UnknownName as UnknownName
    from fastfcn_infer.errors import UploadError as UploadError
    from fastfcn_infer.errors import VerificationError as VerificationError
    from fastfcn_infer.errors import WriteError as WriteError
    from fastfcn_infer.errors import WrongLabels as WrongLabels
    from fastfcn_infer.evaluation.evaluate import Evaluation as Evaluation
    from fastfcn_infer.inference.forecast import Plan as Plan
    from fastfcn_infer.inference.raster.predict import RasterResult as RasterResult
    from fastfcn_infer.inference.segmentation import Segmentation as Segmentation
    from fastfcn_infer.inference.stream.stream import Failed as Failed
    from fastfcn_infer.inference.stream.stream import Stream as Stream
    from fastfcn_infer.picture.contact_sheet import contact_sheet as contact_sheet
    from fastfcn_infer.picture.geometry.regions import Region as Region
    from fastfcn_infer.runtime.backend import RuntimeFacts as RuntimeFacts
    from fastfcn_infer.segmenter import Segmenter as Segmenter

_HOME = {
    "Dataset": "data.dataset",
    "Evaluation": "evaluation.evaluate",
    "Plan": "inference.forecast",
    "RasterResult": "inference.raster.predict",
    "Report": "benchmark.report",
    "RuntimeFacts": "runtime.backend",
    "Stream": "inference.stream.stream",
    "Failed": "inference.stream.stream",
    "Procedure": "artifact.procedure",
    "Region": "picture.geometry.regions",
    "Segmentation": "inference.segmentation",
    "Segmenter": "segmenter",
    "Windows": "artifact.procedure",
    "contact_sheet": "picture.contact_sheet",
    "open_dataset": "data.dataset",
}
_ERRORS = (
    "ArtifactError",
    "BackendError",
    "BackendMissing",
    "CheckpointError",
    "DatasetError",
    "DeviceUnavailable",
    "DownloadError",
    "EvaluationError",
    "FastFCNError",
    "GraphRefused",
    "ImageError",
    "UnknownBackend",
    "UnknownClassTable",
    "UnknownDataset",
    "UnknownDevice",
    "UnknownDialect",
    "UnknownName",
    "UploadError",
    "VerificationError",
    "WriteError",
    "WrongLabels",
)
__all__ = sorted([*_HOME, *_ERRORS, "__version__"])


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(f"{__name__}.{_HOME.get(name, 'errors')}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    """List the public names, imported or not."""
    return __all__
