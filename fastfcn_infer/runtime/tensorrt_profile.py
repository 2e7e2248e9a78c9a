"""The shapes that TensorRT compiles a network for before it meets them.

TensorRT compiles one engine for a range of shapes, and again, for minutes, whenever a batch lies outside. Where
the procedure of a model feeds views of one size whatever the picture, the range is known when the model is
opened: that size, and every number of views.
"""

from dataclasses import dataclass

from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.conventions import BATCH, views_per_call
from fastfcn_infer.inference.views import Size, plan

# Of pictures, upright and not: larger than a usual crop, so that only a procedure with one size of view
# gives one size to all.
_PICTURES: tuple[Size, ...] = ((1024, 2048), (2000, 1500), (1200, 1201))

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Profile:
    """A range of shapes of the input; its largest is what the engine is made fastest for."""

    input: str
    smallest: Shape
    largest: Shape

    def __str__(self) -> str:
        """Write it for people."""
        return f"batches of {_text(self.smallest)} to {_text(self.largest)}"

    def holds(self, shape: Shape) -> bool:
        """Tell whether a batch lies in the range."""
        return len(shape) == len(self.smallest) and all(
            low <= size <= high
            for low, size, high in zip(self.smallest, shape, self.largest, strict=True)
        )

    def options(self, prefix: str) -> dict[str, str]:
        """Write it as options of a provider.

        Args:
            prefix: ``trt`` for ONNX Runtime's own provider, ``nv`` for TensorRT for RTX.
        """
        shapes = {"min": self.smallest, "opt": self.largest, "max": self.largest}
        return {
            f"{prefix}_profile_{which}_shapes": f"{self.input}:{_text(shape)}"
            for which, shape in shapes.items()
        }


def _text(shape: Shape) -> str:
    return "x".join(map(str, shape))


def planned_profile(model: Model) -> Profile | None:
    """Return the shapes that a model's procedure feeds; None if they depend on the pictures, or are one."""
    count, height, width = model.input.shape
    if None not in (count, height, width):
        return None
    try:
        views = [
            view
            for picture in _PICTURES
            for view in plan(model.procedure, (height, width), picture)
        ]
    except ImageError:
        return None
    canvases = {view.canvas for view in views}
    if len(canvases) != 1:
        return None
    (canvas,) = canvases
    most = views_per_call(model, canvas, BATCH)
    rest = (*canvas, 3) if model.input.name == "pixels" else (model.input.channels, *canvas)
    return Profile(model.input.name, (count or 1, *rest), (most, *rest))
