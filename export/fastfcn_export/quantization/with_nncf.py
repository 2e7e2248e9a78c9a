"""Quantise an ONNX graph with NNCF, and measure it in ONNX Runtime, as NNCF does."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from typing import Any

from numpy.typing import NDArray
from onnx import ModelProto

from fastfcn_export.quantization.concatenations import requantise_concatenations
from fastfcn_export.quantization.parts import Part, Shapes, measured, parts, with_shapes
from fastfcn_infer.errors import BackendError, BackendMissing, FastFCNError
from fastfcn_infer.runtime.loading import (
    ONCE,
    OPENVINO_TELEMETRY,
    blocked,
    bound_compiled_code,
    forbid_onnx_runtime_telemetry,
)
from fastfcn_infer.system.excerpt import printable
from fastfcn_infer.system.install import install
from fastfcn_infer.system.missing_package import missing_package

EXTRA = "quantize"

_PACKAGES = ("nncf", "onnx", "onnxruntime")
_ERRORS_ONLY = 3  # of ONNX Runtime's levels


def ready() -> dict[str, str]:
    """Check that graphs can be quantised here.

    Returns:
        Package -> version, of those that quantise.

    Raises:
        BackendMissing: one of them is not installed.
    """
    _nncf()
    return {name: version(name) for name in _PACKAGES}


def quantised(
    model: ModelProto,
    batches: Iterable[NDArray[Any]],
    *,
    count: int,
    float32: Sequence[str],
    reduce_range: bool,
) -> ModelProto:
    """Return a copy of a graph whose convolutions and matrix products take bytes (QDQ).

    Weights have a scale for every output channel, activations one for all; those that may be negative have a
    zero point (NNCF's preset ``mixed``). By default NNCF would give the inputs of depthwise convolutions a scale
    for every channel, which ONNX Runtime computes in float32. Biases are corrected for the mean error of each layer.

    Args:
        model: in float32; its nodes have names of their own.
        batches: inputs to measure the ranges of values on; gone through more than once.
        count: how many they are.
        float32: names of the nodes that are left as they are.
        reduce_range: use 7 of the 8 bits of weights, so that sums of products do not overflow on processors
            without VNNI.

    Raises:
        BackendMissing: NNCF is not installed.
        BackendError: NNCF failed.
    """
    nncf = _nncf()
    name = model.graph.input[0].name
    one_scale = nncf.quantization.advanced_parameters.QuantizationParameters(per_channel=False)
    fix = nncf.OverflowFix.ENABLE if reduce_range else nncf.OverflowFix.DISABLE
    with _silence():
        try:
            found = nncf.quantize(
                model,
                nncf.Dataset(batches, lambda batch: {name: batch}),
                preset=nncf.QuantizationPreset.MIXED,
                subset_size=count,
                ignored_scope=nncf.IgnoredScope(names=list(float32)),
                advanced_parameters=nncf.AdvancedQuantizationParameters(
                    overflow_fix=fix, activations_quantization_params=one_scale
                ),
            )
        except (FastFCNError, OSError, MemoryError):  # of a picture
            raise
        except Exception as error:
            reason = printable(str(error).strip() or repr(error), 1000)
            raise BackendError(
                f"NNCF {version('nncf')} could not quantise the graph ({type(error).__name__}: {reason})"
            ) from error
    requantise_concatenations(found)
    return found


def parts_of(model: ModelProto, batch: NDArray[Any]) -> tuple[Part, ...]:
    """Divide a graph into parts, and count what each of them costs for an input."""
    import onnxruntime

    names = measured(model.graph)
    with _silence():
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _ERRORS_ONLY
        session = onnxruntime.InferenceSession(
            with_shapes(model, names).SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
        found = session.run(None, {model.graph.input[0].name: batch})
    shapes: Shapes = {
        name: tuple(int(side) for side in shape) for name, shape in zip(names, found, strict=True)
    }
    return parts(model, shapes)


def _nncf() -> Any:
    """Import NNCF and ONNX Runtime, which NNCF runs; neither may report its use, which both do by default."""
    with ONCE:
        try:
            with blocked(OPENVINO_TELEMETRY), _silence():
                forbid_onnx_runtime_telemetry()
                bound_compiled_code()  # NNCF imports OpenVINO, if it is installed
                import nncf
                import onnxruntime
        except ImportError as error:
            raise BackendMissing(
                f"Quantising needs {missing_package(error)}. Run: {install(EXTRA)}"
            ) from error
        nncf.set_log_level(logging.ERROR)
        onnxruntime.set_default_logger_severity(_ERRORS_ONLY)
        return nncf


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Drop what NNCF prints: bars of progress on standard output, and warnings.

    It has no switch for its bars, and a process has one standard output: what other threads print meanwhile is
    dropped as well.
    """
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
