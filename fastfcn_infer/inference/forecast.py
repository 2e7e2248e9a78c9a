"""What labelling a picture will take, for people: views, calls, multiply-adds, memory, time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod

from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.inference.cost import Calls, Cost
from fastfcn_infer.inference.views import Size, View
from fastfcn_infer.system import record

_NOTICED = 0.05  # of a view's time; less is how much two calls differ anyway


@dataclass(frozen=True)
class Rate:
    """How fast the network was on this machine.

    Args:
        canvas: height and width of the views, pixels.
        views: in the call that was timed.
        seconds: of the call.
        new_size: seconds by which the first call with this canvas took longer than the next; 0 if
            no second call was made, because one takes long.
    """

    canvas: Size
    views: int
    seconds: float
    new_size: float = 0.0

    @property
    def of_pixel(self) -> float:
        """Seconds for a pixel of input."""
        return self.seconds / (self.views * prod(self.canvas))


@dataclass(frozen=True)
class ScaleViews:
    """The views of a picture at one scale.

    Args:
        scale: factor of the procedure.
        size: of the resized picture, pixels.
        windows: that cover it; 1: all of it at once.
        mirrors: images of each window: 1, 2 or 4.
        canvases: what windows are padded to.
    """

    scale: float
    size: Size
    windows: int
    mirrors: int
    canvases: tuple[Size, ...]


@dataclass(frozen=True)
class Plan:
    """What labelling a picture of some size takes; ``str`` describes it in lines of text.

    Args:
        size: height and width of the picture, pixels.
        procedure: how it becomes labels.
        scales: its views.
        views: how many in all.
        batch: views in one call at most.
        calls: the calls of the network.
        multiply_adds: the sum over all calls; None if the model's manifest does not count them.
        memory: bytes beyond the opened model at the peak, estimated.
        rate: the speed of the network, measured on this machine.
        notes: what else to know, in sentences.
    """

    size: Size
    procedure: Procedure
    scales: tuple[ScaleViews, ...]
    views: int
    batch: int
    calls: tuple[Calls, ...]
    multiply_adds: int | None
    memory: int
    rate: Rate
    notes: tuple[str, ...] = field(default=())

    @property
    def seconds(self) -> float:
        """Expected time of the network; reading, resizing and labelling come on top."""
        return self.rate.of_pixel * sum(prod(c.canvas) * c.views * c.count for c in self.calls)

    def to_data(self) -> dict[str, object]:
        """Return what `json.dumps` takes."""
        return {**record.to_data(self), "seconds": self.seconds}

    def __str__(self) -> str:
        """Say it in lines of text; sizes are height x width."""
        counted = "not counted in the model's manifest"
        if self.multiply_adds is not None:
            counted = f"{self.multiply_adds / 1e9:,.1f} G"
        calls = sum(each.count for each in self.calls)
        rate = self.rate
        lines = [
            f"picture        {_x(self.size)}, procedure {self.procedure.kind}",
            *(f"{'views' if i == 0 else '':15}{_views(one)}" for i, one in enumerate(self.scales)),
            f"calls          {calls}, at most {self.batch} views in each",
            f"multiply-adds  {counted}",
            f"memory         {amount(self.memory)} beyond the opened model (estimated)",
            f"time           {duration(self.seconds)} for the network (measured here: {rate.views} x "
            f"{_x(rate.canvas)} in {duration(rate.seconds)})",
            *(f"note           {note}" for note in self.notes),
        ]
        return "\n".join(lines)


def forecast(
    model: Model,
    size: Size,
    procedure: Procedure,
    found: Cost,
    *,
    batch: int,
    memory: int,
    rate: Rate,
    notes: Sequence[str] = (),
) -> Plan:
    """Put together what is known about labelling a picture.

    Args:
        model: the description of the graph.
        size: height and width of the picture.
        procedure: how it becomes labels.
        found: what the picture costs.
        batch: views in one call at most.
        memory: bytes, see `cost.Memory`.
        rate: that was measured.
        notes: what the runtime adds.
    """
    (views,) = found.views
    return Plan(
        size,
        procedure,
        _scales(procedure, views),
        len(views),
        batch,
        found.calls,
        found.multiply_adds,
        memory,
        rate,
        (*_notes(model, procedure, views, found.calls, rate), *notes),
    )


def most_frequent(calls: Sequence[Calls]) -> Calls:
    """Return the calls of the canvas that the network sees most, the largest ones of it."""
    counts = Counter[Size]()
    for each in calls:
        counts[each.canvas] += each.views * each.count
    canvas = max(counts, key=lambda one: (counts[one], prod(one)))
    return max((c for c in calls if c.canvas == canvas), key=lambda c: c.views)


def _scales(procedure: Procedure, views: Sequence[View]) -> tuple[ScaleViews, ...]:
    found = []
    for index, scale in enumerate(procedure.scales):
        mine = [view for view in views if view.scale == index]
        mirrors = len({(view.mirrored, view.flipped) for view in mine})
        canvases = tuple(dict.fromkeys(view.canvas for view in mine))
        found.append(ScaleViews(scale, mine[0].size, len(mine) // mirrors, mirrors, canvases))
    return tuple(found)


def _notes(
    model: Model, procedure: Procedure, views: Sequence[View], calls: Sequence[Calls], rate: Rate
) -> list[str]:
    notes = []
    fed = sum(prod(view.canvas) for view in views)
    of_picture = sum(_shown(view) for view in views)
    if of_picture < fed:
        notes.append(
            f"{1 - of_picture / fed:.1%} of what the network is fed is padding, which costs time and may "
            "change labels: heads with global context see it, too"
        )
    if model.input.shape[0] is not None and len(views) % model.input.shape[0]:
        notes.append(
            f"the graph fixes the batch: {sum(c.views * c.count for c in calls)} views are computed for "
            f"{len(views)}"
        )
    if procedure.windows is None and None in model.input.shape[1:]:
        paid = rate.new_size > _NOTICED * rate.of_pixel * prod(rate.canvas)
        notes.append(
            "the size of the network's input depends on the picture's size"
            + (f"; the first of a size took {duration(rate.new_size)} longer here" if paid else "")
        )
    if not model.network.multiply_adds:
        notes.append(
            "the memory is that of ResNet-50 at stride 8, as the manifest counts no multiply-adds"
        )
    return notes


def _shown(view: View) -> int:
    """Count the pixels of a view that are not padding."""
    if view.window is None:
        size = view.size if view.frame is None else (view.height, view.width)
        return min(prod(size), prod(view.canvas))
    window = view.window
    return max(0, min(window.height, view.size[0] - window.top)) * max(
        0, min(window.width, view.size[1] - window.left)
    )


def _views(one: ScaleViews) -> str:
    what = "whole" if one.windows == 1 else f"{one.windows} windows"
    mirrors = "" if one.mirrors == 1 else f" x {one.mirrors} mirror images"
    fed = ", ".join(map(_x, one.canvases[:3])) + (", ..." if len(one.canvases) > 3 else "")
    return f"scale {one.scale:g}: {_x(one.size)}, {what}{mirrors}, fed as {fed}"


def _x(size: Size) -> str:
    return f"{size[0]} x {size[1]}"


def amount(count: int) -> str:
    """Write a number of bytes for people."""
    return f"{count / 2**30:.2f} GiB" if count >= 1 << 30 else f"{count / 2**20:.0f} MiB"


def duration(seconds: float) -> str:
    """Write a time for people."""
    if seconds >= 120:
        minutes, hours = seconds / 60, seconds / 3600
        return f"{hours:.1f} h" if hours >= 2 else f"{minutes:.1f} min"
    return f"{seconds:.3g} s"
