"""This process of a training and those beside it: gradients, sums and memory.

Several processes are started by ``python -m paddle.distributed.launch`` (see `launch`).
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray
from paddle import nn

from fastfcn_export.network.fastfcn import Outputs
from fastfcn_infer.system.machine import peak_memory
from fastfcn_training.network.paddle_network import TrainingNetwork
from fastfcn_training.paddle_setup import launch

Tensor = Any  # paddle.Tensor; Paddle's types are not known where the types are checked


class _Tensors(nn.Layer):  # type: ignore[misc]
    """The outputs as Paddle must have them to find the tensors in them: as a tuple."""

    def __init__(self, network: TrainingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor | None, ...]:
        outputs: Outputs[Tensor] = self.network(image)
        return outputs.main, outputs.auxiliary, outputs.semantic


class _Shared:
    """The network of several processes."""

    def __init__(self, network: TrainingNetwork) -> None:
        # Every tensor that learns has a part in every loss: there is no need to look for others.
        self._parallel = paddle.DataParallel(_Tensors(network), find_unused_parameters=False)

    def __call__(self, image: Tensor) -> Outputs[Tensor]:
        return Outputs(*self._parallel(image))

    def alone(self) -> AbstractContextManager[Any]:
        return self._parallel.no_sync()  # type: ignore[no-any-return]


class Processes:
    """One or several processes that train one network.

    Attributes:
        rank: number of this process, from 0.
        world: number of processes.
        gpu: they compute on GPUs.
    """

    def __init__(self) -> None:
        self.world = launch.world()
        self.rank = 0
        if self.world > 1:
            paddle.distributed.init_parallel_env()
            self.rank = paddle.distributed.get_rank()
        self.gpu = paddle.get_device() != "cpu"

    @property
    def synchronise_norms(self) -> bool:
        """Batch norms look at the pictures of all processes; Paddle can on GPUs only."""
        return self.world > 1 and self.gpu

    def wrap(self, network: TrainingNetwork) -> Any:
        """Make a function of pictures whose gradients are the means over all processes."""
        return network if self.world == 1 else _Shared(network)

    def gradients(self, network: Any, *, shared: bool) -> AbstractContextManager[Any]:
        """Within it gradients are shared between processes, or only added up.

        Args:
            network: what `wrap` gave.
            shared: between processes.
        """
        return nullcontext() if self.world == 1 or shared else network.alone()

    def agree(self, tensors: Iterable[Tensor]) -> None:
        """Give every process the first one's values, in place."""
        if self.world > 1:
            for tensor in tensors:
                paddle.distributed.broadcast(tensor, src=0)

    def any(self, fact: bool) -> bool:
        """Tell whether it is a fact in one of the processes."""
        return bool(self.sum(np.asarray([fact], np.int64))[0])

    def mean(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Average numbers over all processes."""
        return self.sum(np.asarray(values, np.float64)) / self.world

    def sum(self, values: NDArray[Any]) -> NDArray[Any]:
        """Add arrays of all processes up."""
        if self.world == 1:
            return values
        tensor = paddle.to_tensor(values)
        paddle.distributed.all_reduce(tensor)
        return np.asarray(tensor.numpy())

    def memory(self) -> int | None:
        """Bytes, at most so far: of the GPU, or of this process; None where nobody tells."""
        if self.gpu:
            return int(paddle.device.cuda.max_memory_allocated())
        return peak_memory()
