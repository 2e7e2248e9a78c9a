"""The processes that train together: shared gradients, sums and memory.

``python -m paddle.distributed.launch`` starts several of them (see `launch`).
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


class _TupleOutputs(nn.Layer):  # type: ignore[misc]
    """Returns the outputs as a tuple, in which Paddle can find the tensors."""

    def __init__(self, network: TrainingNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor | None, ...]:
        outputs: Outputs[Tensor] = self.network(image)
        return outputs.main, outputs.auxiliary, outputs.semantic


class _ParallelNetwork:
    """A network trained by several processes."""

    def __init__(self, network: TrainingNetwork) -> None:
        # Every trainable tensor contributes to every loss, so Paddle need not look for unused ones.
        self._parallel = paddle.DataParallel(_TupleOutputs(network), find_unused_parameters=False)

    def __call__(self, image: Tensor) -> Outputs[Tensor]:
        return Outputs(*self._parallel(image))

    def no_sync(self) -> AbstractContextManager[Any]:
        return self._parallel.no_sync()  # type: ignore[no-any-return]


class ProcessGroup:
    """One or more processes that train one network.

    Attributes:
        rank: index of this process, from 0.
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
        """Whether batch norms see the pictures of all processes, which Paddle supports on GPUs only."""
        return self.world > 1 and self.gpu

    def wrap(self, network: TrainingNetwork) -> Any:
        """Give the network as a function whose gradients are averaged over all processes."""
        return network if self.world == 1 else _ParallelNetwork(network)

    def gradients(self, network: Any, *, shared: bool) -> AbstractContextManager[Any]:
        """Give the context for a forward and backward pass.

        Args:
            network: what `wrap` returned.
            shared: average the gradients over the processes; else only accumulate them.
        """
        return nullcontext() if self.world == 1 or shared else network.no_sync()

    def broadcast(self, tensors: Iterable[Tensor]) -> None:
        """Copy the first process's values to all processes, in place."""
        if self.world > 1:
            for tensor in tensors:
                paddle.distributed.broadcast(tensor, src=0)

    def any(self, value: bool) -> bool:
        """Tell whether the value is true in any of the processes."""
        return bool(self.sum(np.asarray([value], np.int64))[0])

    def mean(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Average numbers over all processes."""
        return self.sum(np.asarray(values, np.float64)) / self.world

    def sum(self, values: NDArray[Any]) -> NDArray[Any]:
        """Add up the arrays of all processes."""
        if self.world == 1:
            return values
        tensor = paddle.to_tensor(values)
        paddle.distributed.all_reduce(tensor)
        return np.asarray(tensor.numpy())

    def memory(self) -> int | None:
        """Peak memory so far in bytes, of the GPU or else of this process; None if unknown."""
        if self.gpu:
            return int(paddle.device.cuda.max_memory_allocated())
        return peak_memory()
