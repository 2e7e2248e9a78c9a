"""Steadier labels of videos: the network's outputs are averaged over the frames."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.inference.conventions import Conventions
from fastfcn_infer.inference.pipeline import Network
from fastfcn_infer.inference.views import Size


class Smoothed:
    """A network whose outputs are averaged with those of the frames before, exponentially.

    Every output is ``factor * before + (1 - factor) * now``, at the network's stride, call by call of
    a frame. The merge of views is linear in logits, so this smooths the merged logits. A frame of
    another size starts again, also where windows of it have the size of those before.
    """

    def __init__(self, network: Network, factor: float, model: Conventions) -> None:
        """Average the outputs of a network.

        Args:
            network: of the model.
            factor: from 0, nothing, to below 1.
            model: its conventions.

        Raises:
            ValueError: `factor` is out of range, or the graph does not give logits.
        """
        if not 0 <= factor < 1:
            raise ValueError(f"smooth is {factor}; a number from 0 to below 1 was expected")
        if model.output.name != "logits":
            raise ValueError(
                f"Logits are smoothed, and {model.name} was exported with --output "
                f"{model.output.name}. Export it with --output logits."
            )
        self._network, self._factor = network, np.float32(factor)
        self._before: list[NDArray[Any]] = []
        self._size: Size | None = None
        self._call = 0

    def start_frame(self, size: Size) -> None:
        """Say that the next call is the first one of a frame of this size."""
        if size != self._size:
            self._before.clear()
        self._size, self._call = size, 0

    def run(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Compute a batch, and average its output with that of the same call before."""
        now = self._network.run(batch)
        at, self._call = self._call, self._call + 1
        if at < len(self._before) and self._before[at].shape == now.shape:
            now = self._factor * self._before[at] + (1 - self._factor) * now
            self._before[at] = now
        else:
            del self._before[at:]
            self._before.append(now)
        return now
