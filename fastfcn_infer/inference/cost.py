"""What a picture costs, before anything runs: views, calls, multiply-adds and peak memory.

All of it is arithmetic on sizes; nothing is opened and no array is made.

What a runtime takes for a call was measured: the peak of the resident memory above that of the
opened model, of two threads on x86-64, mostly at 480 x 480 with 1 to 8 views
(`benchmarks/memory.py`). For networks whose cost differs by a factor of 48, from the embedded ResNet-18 to
ResNet-50 at stride 8, it is at most

    activations * sqrt(multiply-adds of a pixel) * pixels + weights * 4 * parameters

bytes: layers' widths are sums in the first term where multiply-adds are products of two. The two
factors are a `RuntimeProfile`, which each runtime states for itself.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import prod, sqrt

from fastfcn_infer.artifact.manifest import RGB, Model
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.inference.bands import bands, over_columns, strips
from fastfcn_infer.inference.conventions import (
    BATCH,
    check_procedure,
    check_views,
    held_bytes,
    output_bytes,
    views_per_call,
)
from fastfcn_infer.inference.scores import TILE
from fastfcn_infer.inference.views import Size, View, plan

COUNTED_AT = 480 * 480  # pixels of the picture that `manifest.Network.multiply_adds` is of

# Of a pixel, where a manifest does not count them: ResNet-50 at stride 8, the most of the published.
_UNCOUNTED = 720_000
_WORKING = 32 << 20  # bytes: tiles of scores, tables and what the allocators round up


@dataclass(frozen=True)
class RuntimeProfile:
    """What a runtime takes for a call, and how many views are best in one.

    Args:
        batch: views in one call that give the most views a second.
        activations: bytes for a pixel of the batch and the square root of its multiply-adds.
        weights: copies of the weights that the first call makes.
    """

    batch: int = BATCH
    activations: float = 2.2  # the largest that was measured, for a runtime that was not
    weights: float = 2.0


@dataclass(frozen=True)
class Calls:
    """Calls of the network of equal shape.

    Args:
        canvas: height and width of the views, pixels.
        views: in each call; a graph that fixes the number computes as many, whatever is fed.
        count: how many calls.
    """

    canvas: Size
    views: int
    count: int


@dataclass(frozen=True)
class Memory:
    """Bytes beyond the opened model, at the peak.

    Args:
        pictures: decoded, each twice: turned upright, or put into the order of channels.
        resized: the largest scale of a picture.
        batch: the largest input of a call.
        network: what the runtime takes for the largest call.
        outputs: of the network, which are held until the rows that depend on them are labelled, or all of
            them where results keep their scores.
        labels: the result, and what it is made with.
    """

    pictures: int
    resized: int
    batch: int
    network: int
    outputs: int
    labels: int

    @property
    def total(self) -> int:
        """The sum: runtimes keep what they took, so it counts while labels are made, too."""
        return sum(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True)
class Cost:
    """What some pictures cost that are labelled together.

    Args:
        views: of each picture.
        calls: of the network.
        multiply_adds: of all calls; None if the manifest does not count them.
        memory: at the peak.
    """

    views: tuple[tuple[View, ...], ...]
    calls: tuple[Calls, ...]
    multiply_adds: int | None
    memory: Memory


def cost(
    model: Model,
    sizes: Sequence[Size],
    procedure: Procedure | None = None,
    *,
    profile: RuntimeProfile = RuntimeProfile(),
    batch: int | None = None,
    strip: int | None = None,
    keep: bool = False,
) -> Cost:
    """Say what it costs to label some pictures together.

    Args:
        model: the description of the graph.
        sizes: height and width of each picture.
        procedure: how they become labels; None: the model's.
        profile: of the runtime.
        batch: views in one call at most; None: the runtime's best.
        strip: columns of the pictures that are labelled together; None: all.
        keep: the results keep the scores of their pictures.

    Raises:
        ValueError: the model's output does not allow the procedure.
        ImageError: a picture does not fit the model; see `pipeline.Job`.
    """
    chosen = model.procedure if procedure is None else procedure
    most = profile.batch if batch is None else batch
    check_procedure(chosen, model)
    views = [plan(chosen, model.input.shape[1:], size) for size in sizes]
    parts = [_parts(planned, size, strip) for planned, size in zip(views, sizes, strict=True)]
    held = [
        _held(model, chosen, one[0], size, keep=keep)
        for one, size in zip(parts, sizes, strict=True)
    ]  # strips are labelled one after the other, and the first stands for all
    groups = Counter(view.canvas for one in parts for part in one for view in part)
    calls = tuple(
        each
        for canvas, count in groups.items()
        for each in _calls(canvas, count, views_per_call(model, canvas, most))
    )
    if model.input.shape[0] is not None:
        calls = tuple(Calls(c.canvas, model.input.shape[0], c.count) for c in calls)
    return Cost(
        tuple(views),
        calls,
        multiply_adds(model, sum(prod(c.canvas) * c.views * c.count for c in calls)),
        Memory(
            pictures=sum(_picture_bytes(model, size) for size in sizes),
            resized=max(_resized(model, chosen, planned) for planned in views),
            batch=max(batch_bytes(model, c.canvas, c.views) for c in calls),
            network=max(network_bytes(model, c.canvas, c.views, profile) for c in calls),
            outputs=sum(held) + max(c.views * output_bytes(model, c.canvas) for c in calls),
            labels=_WORKING + sum(_labels(model, size) for size in sizes),
        ),
    )


def multiply_adds(model: Model, pixels: int) -> int | None:
    """Return the multiply-adds of a network for so many pixels of input; None if not counted.

    The cost of a convolution is proportional to the area; sides that are no multiples of the
    network's stride are rounded up in it, which is left out here.
    """
    counted = model.network.multiply_adds
    return counted * pixels // COUNTED_AT if counted else None


def batch_bytes(model: Model, canvas: Size, views: int) -> int:
    """Return the size of the input of a call."""
    itemsize = 1 if model.input.name == "pixels" else 4
    return views * model.input.channels * prod(canvas) * itemsize


def network_bytes(model: Model, canvas: Size, views: int, profile: RuntimeProfile) -> int:
    """Estimate what a runtime takes for a call, beyond the opened model.

    Args:
        model: the description of the graph.
        canvas: height and width of the views.
        views: in the call.
        profile: of the runtime.
    """
    of_pixel = model.network.multiply_adds / COUNTED_AT or _UNCOUNTED
    activations = profile.activations * sqrt(of_pixel) * prod(canvas) * views
    # Runtimes copy what they are fed, and hold what they return twice for a moment.
    moved = batch_bytes(model, canvas, views) + 2 * views * output_bytes(model, canvas)
    return int(activations + moved + profile.weights * 4 * model.network.parameters)


def _calls(canvas: Size, count: int, most: int) -> list[Calls]:
    full, rest = divmod(count, most)
    found = [Calls(canvas, most, full)] if full else []
    return [*found, Calls(canvas, rest, 1)] if rest else found


def _parts(planned: tuple[View, ...], size: Size, strip: int | None) -> list[tuple[View, ...]]:
    """Return the views of each strip of a picture; those over a border are in two."""
    if strip is None:
        return [planned]
    return [over_columns(planned, columns) for columns in strips(size[1], strip)]


def _picture_bytes(model: Model, size: Size) -> int:
    """Return the size of a picture and of a copy of it; with other than three channels it may be float32."""
    channels = model.input.channels
    return 2 * prod(size) * (RGB if channels == RGB else 4 * channels)


def _resized(model: Model, procedure: Procedure, views: Sequence[View]) -> int:
    """Return the size of the largest picture that is made from a picture before it is cut."""
    changed = [view for view in views if view.frame or view.size != (view.height, view.width)]
    # Bytes, or float32; and the one before, which is released when the next is there.
    floats = procedure.resize is not None and (
        procedure.resize.align_corners or procedure.resize.arithmetic == "paddleseg"
    )
    channels = model.input.channels
    floats |= channels != RGB or any(view.frame is not None for view in changed)
    largest = [max(prod(view.size), prod(view.frame or (0, 0))) for view in changed]
    return 2 * channels * (4 if floats else 1) * max(largest, default=0)


def _held(
    model: Model, procedure: Procedure, views: Sequence[View], size: Size, *, keep: bool
) -> int:
    """Return the size of the outputs that are held for a picture; mirror images are joined anew."""
    rows = bands(views, size, TILE[0])
    check_views(views, rows, size, model)
    held = held_bytes(model, views, rows)
    joined = 0 if procedure.mirror == "none" else held
    if keep:
        held = sum(output_bytes(model, view.canvas) for view in views)
    return held + joined


def _labels(model: Model, size: Size) -> int:
    # A label of 1 or 2 bytes, and a place in the list of pixels that have to be looked at.
    return prod(size) * ((1 if len(model.classes) <= 256 else 2) + 8)
