"""This process of a training and those beside it: gradients, sums, precision and memory.

Several processes are started by ``python -m paddle.distributed.launch``, which tells each its
number by environment variables.
"""

import contextlib
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal

import numpy as np
import paddle
from numpy.typing import NDArray

from fastfcn_infer.errors import DeviceUnavailable
from fastfcn_training.paddle_train import TrainingNetwork

Precision = Literal["fp32", "mixed"]


def launched() -> int:
    """Tell how many processes were started; works before Paddle is imported by others."""
    return int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))


class Processes:
    """One or several processes that train one network.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
    """

    def __init__(self) -> None:
        self.world = launched()
        self.rank = 0
        if self.world > 1:
            paddle.distributed.init_parallel_env()
            self.rank = paddle.distributed.get_rank()
        self._gpu = paddle.get_device() != "cpu"

    @property
    def synchronise_norms(self) -> bool:
        """Batch norms look at the pictures of all processes; Paddle can on GPUs only."""
        return self.world > 1 and self._gpu

    def wrap(self, network: TrainingNetwork) -> Any:
        """Make the network's gradients the means over all processes."""
        if self.world == 1:
            return network
        return paddle.DataParallel(network, find_unused_parameters=True)

    def gradients(self, network: Any, *, shared: bool) -> AbstractContextManager[Any]:
        """Within it gradients are shared between processes, or only added up."""
        if self.world == 1 or shared:
            return contextlib.nullcontext()
        return network.no_sync()  # type: ignore[no-any-return]

    @contextlib.contextmanager
    def precision(self, wanted: Precision) -> Iterator[None]:
        """Within it arithmetic has this precision."""
        with paddle.amp.auto_cast(enable=wanted == "mixed", level="O1"):
            yield

    def scaler(self, wanted: Precision) -> Any:
        """Make what scales losses so that float16 gradients do not vanish; None for float32.

        Raises:
            DeviceUnavailable: there is no GPU for mixed precision.
        """
        if wanted == "fp32":
            return None
        if not self._gpu:
            raise DeviceUnavailable(
                "mixed precision needs a GPU and a Paddle built for it, but Paddle's device is "
                "the CPU, where float16 is slower than float32. Train without mixed precision"
            )
        return paddle.amp.GradScaler()

    def step(self, optimiser: Any, scaler: Any) -> None:
        """Move the weights, forget the gradients."""
        if scaler is None:
            optimiser.step()
        else:
            scaler.step(optimiser)
            scaler.update()
        optimiser.clear_grad()

    def mean(self, values: NDArray[Any]) -> list[float]:
        """Average numbers over all processes."""
        return [float(v) for v in self.sum(np.asarray(values, np.float64)) / self.world]

    def sum(self, values: NDArray[Any]) -> NDArray[Any]:
        """Add arrays of all processes up."""
        if self.world == 1:
            return values
        tensor = paddle.to_tensor(values)
        paddle.distributed.all_reduce(tensor)
        return np.asarray(tensor.numpy())

    def memory(self) -> int:
        """Bytes, at most so far: of the GPU, or of this process."""
        if self._gpu:
            return int(paddle.device.cuda.max_memory_allocated())
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else 1024 * peak
