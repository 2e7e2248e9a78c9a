"""Losses and speed since the last line of the journal."""

import time

import numpy as np
from numpy.typing import NDArray


class Meter:
    """Adds up what iterations tell.

    Attributes:
        iterations: number of them so far.
        waited: seconds that they waited for pictures.
    """

    def __init__(self) -> None:
        self.iterations = 0
        self.waited = 0.0
        self._began = time.perf_counter()
        self._images = 0
        self._losses = np.zeros(4)

    def add(self, losses: NDArray[np.float64], images: int, waited: float) -> None:
        """Count an iteration: its four losses, its pictures, its seconds of waiting for them."""
        self.iterations += 1
        self.waited += waited
        self._images += images
        self._losses += losses

    @property
    def losses(self) -> list[float]:
        """Means over the iterations."""
        return [float(loss) for loss in self._losses / max(self.iterations, 1)]

    @property
    def images_per_second(self) -> float:
        """Pictures of all processes."""
        return self._images / self._seconds

    @property
    def data_share(self) -> float:
        """Share of the time that was spent waiting for pictures."""
        return self.waited / self._seconds

    @property
    def seconds_per_iteration(self) -> float:
        """Mean, of the time from the meter's beginning to now."""
        return self._seconds / max(self.iterations, 1)

    @property
    def _seconds(self) -> float:
        return max(time.perf_counter() - self._began, 1e-9)
