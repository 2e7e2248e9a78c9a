"""What a model expects, and what it allows: procedures, sizes of calls and of what is held."""

from collections.abc import Sequence
from math import prod
from typing import Any, Protocol

from fastfcn_infer.artifact.limits import LARGEST_ARRAY, LONGEST_SIDE, check_array
from fastfcn_infer.artifact.manifest import Input, Output
from fastfcn_infer.artifact.procedure import PRESETS, Procedure
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.bands import Band
from fastfcn_infer.inference.views import Size, View
from fastfcn_infer.system.excerpt import excerpt

PUBLISHED = "published"  # names the procedure of a manifest's `published`
BATCH = 8  # views in one call of the network, where neither graph nor runtime say otherwise


class Conventions(Protocol):
    """What the pipeline needs to know about a model; a `manifest.Model` provides it."""

    @property
    def name(self) -> str:
        """Name of the model, for messages."""

    @property
    def classes(self) -> Sequence[object]:
        """One for each value of a label."""

    @property
    def input(self) -> Input:
        """What the network is fed."""

    @property
    def output(self) -> Output:
        """What the network computes."""

    @property
    def align_corners(self) -> bool:
        """Convention of the resize from the output to the picture."""

    @property
    def procedure(self) -> Procedure:
        """How pictures become labels by default."""

    @property
    def published(self) -> Procedure | None:
        """What the authors publish their scores with, if it is not `procedure`."""


def choose_procedure(wanted: str | Procedure | None, model: Conventions) -> Procedure:
    """Return the procedure that a user asks for.

    Args:
        wanted: a procedure, the name of a preset, ``whole`` for the one of the model's authors that
            sees the whole picture once, ``published`` for what they publish their scores with, or
            None for the model's own.
        model: its conventions.

    Raises:
        ValueError: there is no such preset, the model's output cannot give it, or its manifest does
            not name a published one.
        TypeError: `wanted` is something else.
    """
    if wanted is None:
        return model.procedure
    if not isinstance(wanted, str | Procedure):
        raise TypeError(
            f"procedure is {excerpt(wanted)}; a Procedure, the name of one, or None was expected"
        )
    if wanted == PUBLISHED:
        if model.published is None:
            raise ValueError(
                f"The manifest of {model.name} names no published procedure beside its own, "
                f"{model.procedure.kind}. Leave the option out, or name one of {', '.join(PRESETS)}."
            )
        wanted = model.published
    if wanted == "whole":
        own = model.procedure
        return own if own.is_whole else Procedure("whole", own.resize)
    found = Procedure.preset(wanted) if isinstance(wanted, str) else wanted
    check_procedure(found, model)
    return found


def check_name(name: str, **changes: Any) -> None:
    """Refuse the name of a procedure, and settings to change about it, before a model is known.

    Raises:
        ValueError: there is no such preset, or the settings do not go together.
    """
    Procedure.preset("whole" if name == PUBLISHED else name, **changes)


def check_procedure(procedure: Procedure, model: Conventions) -> None:
    """Refuse a procedure that the graph of a model cannot give.

    Raises:
        ValueError: windows are larger than the input that the graph fixes; or the views would have to be
            merged from labels, as logits from probabilities, or as probabilities from logits that are
            shifted by a threshold; or logits that the graph does not give would have to be resized twice.
    """
    output, windows = model.output.name, procedure.windows
    model.output.check_merge(procedure.merge)
    height, width = (side or LONGEST_SIDE for side in model.input.shape[1:])
    if windows is not None and (windows.crop[0] > height or windows.crop[1] > width):
        raise ValueError(
            f"The procedure {procedure.kind!r} has windows of {windows.crop[0]} x {windows.crop[1]} pixels, "
            f"and {model.name} was exported for {model.input.shape[1] or 'any'} x "
            f"{model.input.shape[2] or 'any'} (height x width). Choose windows that fit, or export without --shape."
        )
    if procedure.is_whole or output == "logits":
        return
    if procedure.is_one_view:
        raise ValueError(
            f"The procedure {procedure.kind!r} resizes logits twice, and {model.name} was exported with "
            f"--output {output}. Export it with --output logits, or use its own procedure, "
            f"{model.procedure.kind}."
        )
    if output == "labels" or procedure.merge != "probabilities":
        kinds = (
            "--output logits" if output == "labels" else "--output logits, or merge probabilities"
        )
        raise ValueError(
            f"The procedure {procedure.kind!r} merges {procedure.merge} of several views, and "
            f"{model.name} was exported with --output {output}. Export it with {kinds}."
        )


def check_views(
    views: Sequence[View], bands: Sequence[Band], size: Size, model: Conventions
) -> None:
    """Refuse a picture before anything is made of it.

    Args:
        views: of the picture, all of them.
        bands: of the picture.
        size: height and width of the picture, pixels.
        model: its conventions.

    Raises:
        ImageError: its labels would have to be resized, or what the network computes is too large.
    """
    for view in {view.canvas: view for view in views}.values():
        _check(view, size, model)
    check_held(views, bands, size, model)


def check_held(
    views: Sequence[View], bands: Sequence[Band], size: Size, model: Conventions
) -> None:
    """Refuse to hold outputs that are too large together; arguments and errors are those of `check_views`."""
    check_array(
        (held_bytes(model, views, bands),),
        1,
        "The outputs that are held at a time to label a picture of "
        f"{size[0]} x {size[1]} pixels, in bytes,",
    )


def _check(view: View, size: Size, model: Conventions) -> None:
    canvas = view.canvas
    if model.output.name == "labels" and view.size != (view.frame or size):
        raise ImageError(
            f"A picture of {size[0]} x {size[1]} pixels does not fit into the {canvas[0]} x "
            f"{canvas[1]} of {model.name}, which was exported with --output labels: it would be "
            "reduced, and labels cannot be resized back exactly. Crop the picture, or export with "
            "--output logits."
        )
    count = model.input.shape[0] or 1
    check_array(
        model.output.shape(count, len(model.classes), canvas),
        model.output.itemsize,
        f"The {model.output.name} of {model.name} for a picture of {size[0]} x {size[1]} pixels",
    )


def views_per_call(model: Conventions, canvas: Size, batch: int) -> int:
    """Return how many views of a canvas go into one call.

    Args:
        model: its conventions.
        canvas: height and width of the views.
        batch: at most; ignored where the graph fixes the number.
    """
    if model.input.shape[0] is not None:
        return model.input.shape[0]
    fed = 4 * model.input.channels * prod(canvas)
    fitting = LARGEST_ARRAY // max(output_bytes(model, canvas), fed)
    return max(1, min(batch, fitting))


def output_bytes(model: Conventions, canvas: Size) -> int:
    """Return the size of the output for one view, bytes."""
    return prod(model.output.shape(1, len(model.classes), canvas)) * model.output.itemsize


def held_bytes(model: Conventions, views: Sequence[View], bands: Sequence[Band]) -> int:
    """Return the size of the outputs that the labels of a band depend on, at most."""
    each = {canvas: output_bytes(model, canvas) for canvas in {view.canvas for view in views}}
    return max(sum(each[views[index].canvas] for index in band.views) for band in bands)
