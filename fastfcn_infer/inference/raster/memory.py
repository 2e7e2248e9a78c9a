"""How much memory it takes to label a raster, and how many windows at a time that allows.

All of it is arithmetic; a raster that does not fit is refused before anything of it is read.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.conventions import output_bytes
from fastfcn_infer.inference.cost import RuntimeProfile, batch_bytes, network_bytes
from fastfcn_infer.inference.pipeline import Job
from fastfcn_infer.inference.scores import TILE

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


def choose_batch(
    make: Callable[[int], Job], model: Model, profile: RuntimeProfile, reading: int, allowed: int
) -> tuple[int, Job, int]:
    """Return the runtime's best batch, or the largest below it that the memory allows, its job and bytes.

    Args:
        make: makes the job with a batch of so many windows at most.
        model: the description of the graph.
        profile: of the runtime.
        reading: bytes that reading the raster takes.
        allowed: bytes.

    Raises:
        ImageError: not even one window at a time fits; says what would.
    """
    batch = profile.batch
    while True:
        job = make(batch)
        needed = estimate(job, model, profile, reading)
        if needed.total <= allowed:
            return batch, job, needed.total
        if batch == 1:
            break
        batch //= 2
    height, width = job.sizes[0]
    raise ImageError(
        f"To label a raster of {height} x {width} pixels (height x width) takes at least "
        f"{shown(needed.total)} beyond the opened model, and {shown(allowed)} are allowed: "
        f"{shown(needed.reading)} to read it, {shown(needed.network)} for the network, "
        f"{shown(needed.outputs)} for the outputs of overlapping windows, "
        f"{shown(needed.labels + needed.fixed)} for the rest. Allow more (max_memory, "
        f"--max-memory {shown(needed.total)}), choose smaller windows, or divide the raster into "
        "narrower ones; a file whose strips are large takes less once it is written in tiles."
    )


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
    tiles = -(-rows // TILE[0]) * -(-job.sizes[0][1] // TILE[1])
    scores = len(model.classes) * 4 * (32 * prod(TILE) + 6 * tiles)
    return Memory(
        reading,
        batch_bytes(model, canvas, count) + network_bytes(model, canvas, count, profile),
        held,
        4 * rows * job.sizes[0][1] + scores,
        _PACKAGES + _VIEW * len(views),
    )
