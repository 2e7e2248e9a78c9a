"""Plans for an opened network: batches that fit the memory, and its speed, measured when needed."""

import functools
import threading
import time
from math import prod

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.artifact.manifest import Input, Model
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.errors import ImageError
from fastfcn_infer.inference.bands import strips
from fastfcn_infer.inference.cost import Cost, RuntimeProfile, cost
from fastfcn_infer.inference.forecast import Plan, Rate, forecast, most_frequent
from fastfcn_infer.inference.raster.memory import Layout
from fastfcn_infer.inference.views import Size, reduction
from fastfcn_infer.runtime.backend import Backend, profile_of
from fastfcn_infer.system.machine import available_memory, memory_budget
from fastfcn_infer.system.warn import warn

MOST_REDUCTION = 4.0  # times that pictures are shrunk without a warning
_TOGETHER = 8 * 512 * 512  # pixels of pictures that are labelled together, if they are several
_LONGEST = 2.0  # seconds of a call that is repeated
_SIZES_KNOWN = 1024
_AT_ONCE = 4
_FREE_FOR = 0.5  # seconds that the available memory is taken to stay what it was
_ALIKE = 1.25  # quotient of areas; a folder of thousands of sizes is measured for a few of them


class Pace:
    """Times the network, and remembers it for views of about the same area."""

    def __init__(self, backend: Backend, given: Input) -> None:
        self._backend, self._given = backend, given
        self._known: dict[int, list[Rate]] = {}  # by the views in a call
        self._lock = threading.Lock()

    def rate(self, canvas: Size, views: int) -> Rate:
        """Return how fast the network is.

        One view is computed, which prepares the runtime for the size, and again if that took less than
        two seconds; then the whole batch, twice, if both are expected to take as long together.

        Args:
            canvas: height and width of the views, pixels.
            views: in a call, best as many as will be computed.

        Raises:
            BackendError: the runtime failed, or was closed.
        """
        with self._lock:
            known = self._known.setdefault(views, [])
            for rate in known:
                if 1 / _ALIKE <= prod(rate.canvas) / prod(canvas) <= _ALIKE:
                    return rate
            known.append(self._measure(canvas, views))
            return known[-1]

    def _measure(self, canvas: Size, views: int) -> Rate:
        fixed = self._given.shape[0]
        one = fixed or 1
        first = self._time(canvas, one)
        if first > _LONGEST:
            return Rate(canvas, one, first)
        again = self._time_again(canvas, one)
        longer = max(0.0, first - again)
        if fixed is not None or views <= one or 2 * again * views > _LONGEST:
            return Rate(canvas, one, min(first, again), longer)
        self._time(canvas, views)  # the first call of a shape is slow
        return Rate(canvas, views, self._time_again(canvas, views), longer)

    def _time_again(self, canvas: Size, views: int) -> float:
        """Time a call of a shape that was met; on a GPU the second one records the run, and is slow, too."""
        if self._backend.facts.device != "cpu":
            self._time(canvas, views)
        return self._time(canvas, views)

    def _time(self, canvas: Size, views: int) -> float:
        batch: NDArray[np.uint8] | NDArray[np.float32]
        if self._given.name == "pixels":
            batch = np.zeros((views, *canvas, 3), np.uint8)
        else:
            batch = np.zeros((views, self._given.channels, *canvas), np.float32)
        start = time.perf_counter()
        self._backend.run(batch)
        return time.perf_counter() - start


class Planner:
    """Chooses batches for an opened model, and says what pictures will take."""

    def __init__(self, backend: Backend, model: Model) -> None:
        self.profile: RuntimeProfile = profile_of(backend.facts)
        self._model, self._device = model, backend.facts.device
        self._pace = Pace(backend, model.input)
        self._budget = memory_budget()
        # Batches of a stream that are worked on at a time: while a GPU computes one, processors prepare
        # the next and label the one before. Where a processor computes, it is busy with one.
        self.at_once = 1 if self._device == "cpu" else min(_AT_ONCE, backend.facts.threads)
        self._free: tuple[float, int | None] | None = None  # when it was asked, and the answer
        self._warned = False  # that pictures are shrunk
        # Folders and films have many pictures of a size.
        # Not of a method: a cycle would keep the graph's memory until the garbage collector runs.
        of = functools.partial(_cost_of, model, self.profile)
        self._cost = functools.lru_cache(_SIZES_KNOWN)(of)

    def _needed(
        self, size: Size, procedure: Procedure, batch: int, count: int = 1, *, keep: bool = False
    ) -> int:
        return self._cost(size, procedure, batch, count, keep).memory.total

    def batch(self, size: Size, procedure: Procedure, *, keep: bool = False) -> int:
        """Return how many views of a picture to compute at a time.

        It is the best number for the runtime, or less where the available memory does not allow it.

        Args:
            size: height and width of the picture, pixels.
            procedure: how it becomes labels.
            keep: the result keeps the scores of the picture.

        Raises:
            ImageError: the picture does not fit the model, or needs more memory, with one view at a
                time, than this machine or container has at all.
        """
        if self._device.startswith("cpu"):  # the estimate is of processors
            self._refuse_too_large(size, procedure, keep=keep)
        free = None if procedure.is_one_view else available_memory()
        batch = self.profile.batch
        while (
            free is not None
            and batch > 1
            and self._needed(size, procedure, batch, keep=keep) > free
        ):
            batch //= 2
        return batch

    def _free_memory(self) -> int | None:
        """Ask for the available memory once in a while: streams want it for every picture, and it takes 1 ms."""
        now = time.monotonic()
        known = self._free
        if known is None or now - known[0] > _FREE_FOR:
            known = self._free = (now, available_memory())
        return known[1]

    def together(self, size: Size, procedure: Procedure) -> int:
        """Return how many pictures of a size to label at a time, so that they share calls.

        They are as many as fill the best call of the runtime with views of up to 512 x 512 pixels, less of
        larger views and pictures, which gain nothing by it, and less where half of the available memory
        does not allow it.

        Raises:
            ImageError: the picture does not fit the model.
        """
        views = self._cost(size, procedure, 1).views[0]
        pixels = max(prod(size), sum(prod(view.canvas) for view in views))
        count = self.profile.batch // len(views)
        count, free = max(1, min(count, _TOGETHER // pixels)), self._free_memory()
        while (
            free is not None
            and count > 1
            and self._needed(size, procedure, self.profile.batch, count) > free // 2
        ):
            count //= 2
        return count

    def warn_if_shrunk(self, size: Size, procedure: Procedure) -> None:
        """Say once that the network is fed pictures much smaller than they are."""
        if self._warned:
            return
        found = reduction(procedure, self._model.input.shape[1:], size)
        if found is None or found.factor <= MOST_REDUCTION:
            return
        self._warned = True
        warn(
            f"a picture of {size[0]} x {size[1]} pixels (height x width) is shrunk {found.factor:.1f} "
            f"times, to {found.size[0]} x {found.size[1]}, by the procedure {procedure.kind} before the "
            "network sees it: details are lost. The procedure tiles labels it at its own size "
            '(procedure="tiles"; on the command line --procedure tiles). This is said once.'
        )

    def _refuse_too_large(self, size: Size, procedure: Procedure, *, keep: bool) -> None:
        needed, budget = self._needed(size, procedure, 1, keep=keep), self._budget
        if budget is not None and needed > budget.bytes:
            if keep and self._needed(size, procedure, 1) <= budget.bytes:
                raise ImageError(
                    f"a picture of {size[0]} x {size[1]} pixels (height x width) needs about "
                    f"{needed / 2**30:.1f} GiB with its scores, more than {budget.reason}, "
                    f"{budget.bytes / 2**30:.1f} GiB. Without them (keep, groups, min_confidence) it needs less; "
                    "predict_raster takes groups and min_confidence, and keeps no scores."
                )
            raise ImageError(
                f"a picture of {size[0]} x {size[1]} pixels (height x width) needs about "
                f"{needed / 2**30:.1f} GiB with the procedure {procedure.kind}, more than "
                f"{budget.reason}, {budget.bytes / 2**30:.1f} GiB. The procedure tiles "
                "(--procedure tiles) needs less, or make the picture smaller."
            )

    def plan(
        self,
        size: Size,
        procedure: Procedure,
        layout: Layout | None = None,
        *,
        keep: bool = False,
    ) -> Plan:
        """Say what labelling a picture takes.

        Args:
            size: height and width of the picture, pixels.
            procedure: how it becomes labels.
            layout: of a raster; None: a picture is labelled as a whole, in batches as `batch` chooses.
            keep: the result keeps the scores of the picture.

        Raises:
            ImageError: the picture does not fit the model.
            BackendError: the runtime failed, or was closed.
        """
        most = self.batch(size, procedure, keep=keep) if layout is None else layout.batch
        strip = None if layout is None else layout.strip
        found = cost(
            self._model,
            [size],
            procedure,
            profile=self.profile,
            batch=most,
            strip=strip,
            keep=keep,
        )
        usual = most_frequent(found.calls)
        notes: tuple[str, ...] = ()
        if self._device != "cpu":
            notes = ("memory was measured on processors; what a GPU takes may differ",)
        if strip is not None:
            notes += (
                f"the raster is labelled in {len(strips(size[1], strip))} strips of {strip} columns, as the memory "
                "allows; windows over their borders are computed for both",
            )
        return forecast(
            self._model,
            size,
            procedure,
            found,
            batch=most,
            memory=found.memory.total if layout is None else layout.memory,
            rate=self._pace.rate(usual.canvas, usual.views),
            notes=notes,
        )


def _cost_of(
    model: Model,
    profile: RuntimeProfile,
    size: Size,
    procedure: Procedure,
    batch: int,
    count: int = 1,
    keep: bool = False,
) -> Cost:
    return cost(model, [size] * count, procedure, profile=profile, batch=batch, keep=keep)
