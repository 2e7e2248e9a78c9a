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
from fastfcn_infer.errors import BackendError, GraphRefused
from fastfcn_infer.inference.multiband import read_pixels
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.inference.preprocess import prepare
from fastfcn_infer.inference.views import View
from fastfcn_infer.system.warn import warn

_SIDE = 97  # pixels of the random picture: odd at every stride, where settings go wrong
_ALLOWED = {"fp32": 1e-3, "fp16": 4e-2}  # difference of outputs, as a fraction of the largest
_AGREEMENT = 0.99  # of labels, if the graph outputs labels; random pixels have many near ties


class Runnable(Protocol):
    """A graph opened with some setting."""

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Run the graph; raises BackendError."""

    def close(self) -> None:
        """Release it."""


R = TypeVar("R", bound=Runnable)


def first_right(
    runtime: str, artifact: Artifact, settings: Mapping[str, Callable[[], R]]
) -> tuple[str, R, tuple[str, ...]]:
    """Open the first setting that computes the right output.

    Args:
        runtime: its name and version, for people.
        artifact: with or without a golden picture.
        settings: name -> function that opens the graph or raises BackendError; fast ones first,
            safe ones last; at least one.

    Returns:
        Name of the setting, the opened graph, and for each setting before it what was wrong, of
        which the user was also warned.

    Raises:
        GraphRefused: all of them fail or are wrong; says how for each.
    """
    check = _golden(artifact) if golden.carries_golden(artifact) else _random(artifact, settings)
    faults: list[str] = []
    for name, start in settings.items():
        try:
            opened = start()
        except BackendError as error:
            faults.append(f"{name}: {error}")
            continue
        fault = _fault(check, opened)
        if fault is None:
            notes = tuple(f"not {fault}" for fault in faults)
            _warn(runtime, name, notes)
            return name, opened, notes
        opened.close()
        faults.append(f"{name}: {fault}")
    lines = "".join(f"\n- {fault}" for fault in faults)
    raise GraphRefused(
        f"{runtime} computes this network correctly with none of its settings:{lines}"
    )


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


def _golden(artifact: Artifact) -> Callable[[Runnable], str | None]:
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
        replay = golden.compare(expected, job.label(0, held))
        if replay.passed:
            return None
        return (
            f"wrong: {replay.agreement:.2%} of the golden picture's pixels get the right label, "
            f"{replay.required:.2%} were expected"
        )

    return check


def _random(
    artifact: Artifact, settings: Mapping[str, Callable[[], Runnable]]
) -> Callable[[Runnable], str | None]:
    """Compare with the output of the safest setting."""
    batch = _pixels(artifact.model)
    *_, safest = settings.values()
    expected: list[NDArray[Any]] = []

    def check(opened: Runnable) -> str | None:
        output = opened.run(batch)
        fault = _nonsense(output, batch, artifact.model)
        if fault is not None or len(settings) == 1:
            return fault
        if not expected:
            expected.append(_output_of(safest, batch))
        return _difference(output, expected[0], artifact.model)

    return check


def _nonsense(output: NDArray[Any], batch: NDArray[Any], model: Model) -> str | None:
    height, width = batch.shape[2:] if model.input.name == "image" else batch.shape[1:3]
    shape: tuple[int, ...] = (len(batch), len(model.classes), height, width)
    if model.output.name == "labels":
        shape = (len(batch), height, width)
    elif model.output.name == "logits":
        shape = (*shape[:2], *(-(-side // model.output.stride) for side in (height, width)))
    if output.shape != shape:
        return f"wrong: its output has the shape {output.shape}; {shape} was expected"
    if not np.isfinite(output).all():
        return "wrong: its output has values that are not finite"
    return None


def _output_of(start: Callable[[], Runnable], batch: NDArray[Any]) -> NDArray[Any]:
    opened = start()
    try:
        return opened.run(batch)
    finally:
        opened.close()


def _difference(output: NDArray[Any], expected: NDArray[Any], model: Model) -> str | None:
    if model.output.name == "labels":
        agreement = float((output == expected).mean())
        if agreement >= _AGREEMENT:
            return None
        return f"wrong: {agreement:.2%} of the labels equal those of the safest setting"
    largest = max(float(np.abs(expected).max()), 1e-30)
    difference = float(np.abs(output - expected).max()) / largest
    if difference <= _ALLOWED[model.precision]:
        return None
    return (
        f"wrong: its output is {difference:.2g} of the largest logit away from the safest "
        f"setting's, {_ALLOWED[model.precision]:.2g} is allowed"
    )


def _pixels(model: Model) -> NDArray[Any]:
    """Make a seeded batch of the shape that the graph takes."""
    height, width = (side or _SIDE for side in model.input.shape[1:])
    picture = np.random.default_rng(0).integers(
        0, 256, (height, width, model.input.channels), np.uint8
    )
    view = View(0, 0, height, width, (height, width), (height, width))
    return prepare([(picture, view)], model.input, None)
