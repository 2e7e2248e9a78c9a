"""Try a runtime's settings, from fast to safe, until one computes the right output.

Some settings of some versions of a runtime fail, and some run and are wrong. So before its first
use each is given a picture whose labels are known: the golden picture of the artifact. Without one,
its output for random pixels is compared with that of the safest setting.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact import golden
from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import BackendError, GraphRefused, WrongLabels
from fastfcn_infer.inference.multiband import read_pixels
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.inference.preprocess import prepare
from fastfcn_infer.inference.views import View
from fastfcn_infer.system.percent import percent
from fastfcn_infer.system.warn import warn

_SIDE = 97  # pixels of the random picture: odd at every stride, where settings go wrong
# Difference of outputs by the precision of the arithmetic, as a fraction of the largest.
_ALLOWED = {"fp32": 1e-3, "tf32": 1e-2, "fp16": 4e-2, "bf16": 1e-1, "int8": 2e-1}
_WRONG = "wrong: "  # begins a fault of what was computed; others are the runtime's own words
_PROVEN = ("bf16", "int8")  # whose labels `proven` checks
_AGREEMENT = 0.99  # of labels, if the graph outputs labels; random pixels have many near ties


class Runnable(Protocol):
    """A graph opened with some setting."""

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Run the graph; raises BackendError."""

    def close(self) -> None:
        """Release it."""


R = TypeVar("R", bound=Runnable)


def proven(runtime: str, artifact: Artifact, precision: str, start: Callable[[], R]) -> R:
    """Open a graph; in a precision that loses much, only if the golden picture gets enough right labels.

    Args:
        runtime: its name and version, for people.
        artifact: with or without a golden picture.
        precision: of the arithmetic.
        start: opens the graph, or raises BackendError.

    Raises:
        WrongLabels: too few labels are right, or the output makes no sense.
        GraphRefused: the runtime failed on the picture.
        BackendError: the graph was not opened.
    """
    if precision not in _PROVEN:
        return start()
    check = _check(artifact, {precision: start}, precision, None)
    opened = start()
    fault = _fault(check, opened)
    if fault is None:
        return opened
    opened.close()
    kind = WrongLabels if fault.startswith(_WRONG) else GraphRefused
    raise kind(f"{runtime} does not compute this network right in {precision}: {fault}.")


def first_right(
    runtime: str,
    artifact: Artifact,
    settings: Mapping[str, Callable[[], R]],
    *,
    precision: str | None = None,
    safest: Callable[[], R] | None = None,
) -> tuple[str, R, tuple[str, ...]]:
    """Open the first setting that computes the right output.

    Args:
        runtime: its name and version, for people.
        artifact: with or without a golden picture.
        settings: name -> function that opens the graph or raises BackendError; fast ones first,
            safe ones last; at least one.
        precision: of the arithmetic; None: of the graph.
        safest: opens what they are compared with if there is no golden picture; None: the last of them.

    Returns:
        Name of the setting, the opened graph, and for each setting before it what was wrong, of
        which the user was also warned.

    Raises:
        GraphRefused: all of them fail or are wrong; says how for each. `WrongLabels` if none fails.
    """
    check = _check(artifact, settings, precision or artifact.model.precision, safest)
    kind: type[GraphRefused] = WrongLabels
    faults: list[str] = []
    for name, start in settings.items():
        try:
            opened = start()
        except BackendError as error:
            kind = GraphRefused
            faults.append(f"{name}: {error}")
            continue
        fault = _fault(check, opened)
        if fault is None:
            notes = tuple(f"not {fault}" for fault in faults)
            _warn(runtime, name, notes)
            return name, opened, notes
        opened.close()
        kind = kind if fault.startswith(_WRONG) else GraphRefused
        faults.append(f"{name}: {fault}")
    lines = "".join(f"\n- {fault}" for fault in faults)
    raise kind(f"{runtime} computes this network correctly with none of its settings:{lines}")


def _check(
    artifact: Artifact,
    settings: Mapping[str, Callable[[], Runnable]],
    precision: str,
    safest: Callable[[], Runnable] | None,
) -> Callable[[Runnable], str | None]:
    if golden.carries_golden(artifact):
        return _golden(artifact, precision)
    if safest is None and len(settings) > 1:
        *_, safest = settings.values()
    return _random(artifact, safest, precision)


def _fault(check: Callable[[Runnable], str | None], opened: Runnable) -> str | None:
    try:
        return check(opened)
    except BackendError as error:
        return str(error)
    except BaseException:
        opened.close()
        raise


def _warn(runtime: str, name: str, notes: tuple[str, ...]) -> None:
    if notes:
        warn(f"{runtime} runs with the setting {name!r}, because {'; '.join(notes)}.")


def _golden(artifact: Artifact, precision: str) -> Callable[[Runnable], str | None]:
    """Check the labels of the golden picture, on the path that every picture takes."""
    expected, model = golden.read_golden(artifact), artifact.model
    job = Job([read_pixels(expected.picture, model.input)], model)
    batches = [job.batch(call) for call in job.calls]

    def check(opened: Runnable) -> str | None:
        outputs = []
        for batch in batches:
            outputs.append(opened.run(batch))
            fault = _nonsense(outputs[-1], batch, model)
            if fault is not None:
                return fault
        held = {
            part.view: one
            for call, output in zip(job.calls, outputs, strict=True)
            for part, one in job.split(call, output)
        }
        replay = golden.compare(expected, job.label(0, held), precision)
        if replay.passed:
            return None
        return (
            f"{_WRONG}{percent(replay.agreement, 2)}% of the golden picture's pixels get the right label, "
            f"{percent(replay.required, 2)}% were expected"
        )

    return check


def _random(
    artifact: Artifact, safest: Callable[[], Runnable] | None, precision: str
) -> Callable[[Runnable], str | None]:
    """Compare with the output of the safest setting; None: with nothing."""
    batch = _pixels(artifact.model)
    expected: list[NDArray[Any]] = []

    def check(opened: Runnable) -> str | None:
        output = opened.run(batch)
        fault = _nonsense(output, batch, artifact.model)
        if fault is not None or safest is None:
            return fault
        if not expected:
            expected.append(_output_of(safest, batch))
        return _difference(output, expected[0], artifact.model, _ALLOWED[precision])

    return check


def _nonsense(output: NDArray[Any], batch: NDArray[Any], model: Model) -> str | None:
    height, width = batch.shape[2:] if model.input.name == "image" else batch.shape[1:3]
    shape: tuple[int, ...] = (len(batch), len(model.classes), height, width)
    if model.output.name == "labels":
        shape = (len(batch), height, width)
    elif model.output.name == "logits":
        shape = (*shape[:2], *(-(-side // model.output.stride) for side in (height, width)))
    if output.shape != shape:
        return f"{_WRONG}its output has the shape {output.shape}; {shape} was expected"
    if not np.isfinite(output).all():
        return f"{_WRONG}its output has values that are not finite"
    return None


def _output_of(start: Callable[[], Runnable], batch: NDArray[Any]) -> NDArray[Any]:
    opened = start()
    try:
        return opened.run(batch)
    finally:
        opened.close()


def _difference(
    output: NDArray[Any], expected: NDArray[Any], model: Model, allowed: float
) -> str | None:
    if model.output.name == "labels":
        agreement = float((output == expected).mean())
        if agreement >= _AGREEMENT:
            return None
        return f"{_WRONG}{percent(agreement, 2)}% of the labels equal those of the safest setting"
    largest = max(float(np.abs(expected).max()), 1e-30)
    difference = float(np.abs(output - expected).max()) / largest
    if difference <= allowed:
        return None
    return (
        f"{_WRONG}its output is {difference:.2g} of the largest logit away from the safest "
        f"setting's, {allowed:.2g} is allowed"
    )


def _pixels(model: Model) -> NDArray[Any]:
    """Make a seeded batch of the shape that the graph takes."""
    height, width = (side or _SIDE for side in model.input.shape[1:])
    picture = np.random.default_rng(0).integers(
        0, 256, (height, width, model.input.channels), np.uint8
    )
    view = View(0, 0, height, width, (height, width), (height, width))
    return prepare([(picture, view)], model.input, None)
