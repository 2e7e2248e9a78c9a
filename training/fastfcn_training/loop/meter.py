"""Mean losses and speed since the last line of the log."""

import time

import numpy as np
from numpy.typing import NDArray


class Meter:
    """Accumulates losses and times of iterations.

    Attributes:
        iterations: number added so far.
        waited: seconds they spent waiting for pictures.
    """

    def __init__(self) -> None:
        self.iterations = 0
        self.waited = 0.0
        self._began = time.perf_counter()
        self._images = 0
        self._losses = np.zeros(4)

    def add(self, losses: NDArray[np.float64], images: int, waited: float) -> None:
        """Add an iteration: its four losses, number of pictures, and seconds spent waiting for them."""
        self.iterations += 1
        self.waited += waited
        self._images += images
        self._losses += losses

    @property
    def losses(self) -> list[float]:
        """Mean losses over the iterations."""
        return [float(loss) for loss in self._losses / max(self.iterations, 1)]

    @property
    def images_per_second(self) -> float:
        """Speed, counting the pictures of all processes."""
        return self._images / self._seconds

    @property
    def data_share(self) -> float:
        """Share of the time spent waiting for pictures."""
        return self.waited / self._seconds

    @property
    def seconds_per_iteration(self) -> float:
        """Mean time of an iteration since the meter was created."""
        return self._seconds / max(self.iterations, 1)

    @property
    def _seconds(self) -> float:
        return max(time.perf_counter() - self._began, 1e-9)
