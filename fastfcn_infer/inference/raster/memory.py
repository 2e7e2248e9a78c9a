"""How much memory it takes to label a raster, and how many windows and columns at a time that allows.

All of it is arithmetic; a raster that does not fit is refused before anything of it is read.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod

from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.bands import strips
from fastfcn_infer.inference.conventions import output_bytes
from fastfcn_infer.inference.cost import RuntimeProfile, batch_bytes, network_bytes
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.inference.scores import TILE
from fastfcn_infer.inference.views import Size, View

_UNITS = {
    "": 1,
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
    "TiB": 1 << 40,
}
_PACKAGES = 96 << 20  # rasterio with GDAL, and what allocators round up
_VIEW = 512  # bytes of a planned view and its place in a call
_WIDE = 4  # widths of a window, of a strip in which a border costs little
STEP = 512  # columns; strips begin at multiples of it, which are borders of tiles in the result


def parse_memory(text: str | int) -> int:
    """Return a number of bytes.

    Args:
        text: a number of bytes, or a number with a unit, such as ``1GiB``, ``1.5 GB`` or ``800MiB``.

    Raises:
        ValueError: it is neither, or not positive.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(text), re.ASCII)
    known = {unit.lower(): size for unit, size in _UNITS.items()}
    size = None if match is None else known.get(match[2].lower())
    if match is None or size is None or isinstance(text, bool) or float(match[1]) * size < 1:
        raise ValueError(
            f"{str(text)[:100]!r} is no amount of memory; a positive number of bytes was expected, "
            f"or one with a unit ({', '.join(filter(None, _UNITS))}), such as 1GiB"
        )
    return int(float(match[1]) * size)


def shown(size: int) -> str:
    """Return a number of bytes as people write it, rounded up."""
    if size >= 1 << 30:
        return f"{-(-size * 100 // (1 << 30)) / 100:g}GiB"
    return f"{max(1, -(-size // (1 << 20)))}MiB"


@dataclass(frozen=True)
class Memory:
    """Bytes beyond the opened model, at the peak.

    Args:
        reading: rows of the raster that are held, and what its decoder takes.
        network: input and output of a call, and what the runtime takes for it.
        outputs: that are held until the rows that depend on them are labelled.
        labels: rows of labels, and what they are made with.
        fixed: packages, and the plan of all windows.
    """

    reading: int
    network: int
    outputs: int
    labels: int
    fixed: int

    @property
    def total(self) -> int:
        """The sum."""
        return self.reading + self.network + self.outputs + self.labels + self.fixed


@dataclass(frozen=True)
class Layout:
    """How a raster is divided, and what that takes.

    Args:
        batch: windows in a call of the network at most.
        strip: columns that are labelled together, from top to bottom; None: all.
        memory: bytes beyond the opened model.
    """

    batch: int
    strip: int | None
    memory: int


def choose_layout(
    make: Callable[[int, slice | None], Job],
    model: Model,
    profile: RuntimeProfile,
    reading: Callable[[int], int],
    views: Sequence[View],
    size: Size,
    allowed: int,
) -> Layout:
    """Choose the fastest layout that the memory allows.

    All columns together, with the runtime's best batch or the largest below it that fits; else strips
    of columns, as wide as fit. Windows over the border of two strips are computed for both.

    Args:
        make: makes the job of some columns, None being all, with a batch of so many windows at most.
        model: the description of the graph.
        profile: of the runtime.
        reading: returns the bytes that it takes to read so many columns.
        views: of the raster.
        size: height and width of the raster, pixels.
        allowed: bytes.

    Raises:
        ImageError: not even one window at a time and the narrowest strip fit; says what would.
    """
    least: Memory | None = None
    fault: ImageError | None = None
    for batch, strip in _layouts(profile.batch, views, size[1]):
        try:
            job = make(batch, None if strip is None else _fullest(views, strip, size[1]))
        except ImageError as error:  # too many outputs at a time, of which a strip has fewer
            fault = error
            continue
        needed = estimate(job, model, profile, reading(job.seen.stop - job.seen.start))
        if needed.total <= allowed:
            return Layout(batch, strip, needed.total)
        if least is None or needed.total < least.total:
            least = needed
    if least is None:
        raise fault or ImageError("there is no way to divide the raster")
    raise ImageError(
        f"To label a raster of {size[0]} x {size[1]} pixels (height x width) takes at least "
        f"{shown(least.total)} beyond the opened model, and {shown(allowed)} are allowed: "
        f"{shown(least.reading)} to read it, {shown(least.network)} for the network, "
        f"{shown(least.outputs)} for the outputs of overlapping windows, "
        f"{shown(least.labels + least.fixed)} for the rest. Allow more (max_memory, "
        f"--max-memory {shown(least.total)}), or choose smaller windows; a file whose strips are large "
        "takes less once it is written in tiles."
    )


def _layouts(best: int, views: Sequence[View], width: int) -> Iterator[tuple[int, int | None]]:
    """Propose batches and the columns of strips, the fastest first."""
    batches = [best >> shift for shift in range(best.bit_length())]
    yield from ((batch, None) for batch in batches)
    steps, step = [], width
    while step > STEP:
        step = -(-step // (2 * STEP)) * STEP
        steps.append(step)
    crop = max(view.canvas[1] for view in views)
    for batch in batches:
        # In narrow strips too many windows would be computed twice to be worth a batch.
        yield from ((batch, one) for one in steps if batch == 1 or one >= _WIDE * crop)


def _fullest(views: Sequence[View], strip: int, width: int) -> slice:
    """Return the columns of the strip with the most windows side by side."""
    windows = {(view.window.left, view.window.width) for view in views if view.window}
    found = strips(width, strip)
    counts = [0] * len(found)
    for left, length in windows:
        for index in range(left // strip, min(-(-(left + length) // strip), len(found))):
            counts[index] += 1
    return found[counts.index(max(counts))]


def estimate(job: Job, model: Model, profile: RuntimeProfile, reading: int) -> Memory:
    """Estimate the memory that a job of one raster takes at the peak."""
    views = job.views[0]
    canvas, most = views[0].canvas, max(len(call) for call in job.calls)
    count = model.input.shape[0] or most
    one = output_bytes(model, canvas)
    mirrors = len({(view.mirrored, view.flipped) for view in views})
    # Calls end beyond the band that they complete; mirror images are joined into a new array.
    held = job.held_bytes(0) * (2 if mirrors > 1 else 1) + count * one
    rows = max(band.rows.stop - band.rows.start for band in job.bands[0])
    # Scores of a tile, of all classes: windows that overlap are interpolated one after the other. Bounds
    # of all tiles of a band.
    width = job.columns.stop - job.columns.start
    tiles = -(-rows // TILE[0]) * -(-width // TILE[1])
    scores = len(model.classes) * 4 * (32 * prod(TILE) + 6 * tiles)
    return Memory(
        reading,
        batch_bytes(model, canvas, count) + network_bytes(model, canvas, count, profile),
        held,
        4 * rows * width + scores,
        _PACKAGES + _VIEW * (job.planned + len(views)),
    )
