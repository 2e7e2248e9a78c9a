"""The optimiser of a recipe, over tensors that have our names.

Source: reference/fastfcn_semantics.md, 5.3.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from fastfcn_infer.errors import CheckpointError
from fastfcn_training.recipe import Optimiser

Tensor = Any  # paddle.Tensor; Paddle's types are not known where the types are checked


class NamedOptimiser:
    """Moves named tensors; the backbone's at the rate it is told, the others' `head_factor` faster.

    Args:
        wanted: kind and constants.
        tensors: to move, by our names.
    """

    def __init__(self, wanted: Optimiser, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)
        groups = [
            {"params": [t for n, t in tensors.items() if n.startswith("backbone.") is backbone]}
            | {"learning_rate": 1.0 if backbone else wanted.head_factor}
            for backbone in (True, False)
        ]
        clip = None
        if wanted.clip_norm is not None:
            clip = paddle.nn.ClipGradByGlobalNorm(wanted.clip_norm)
        common = {"learning_rate": 0.0, "parameters": groups, "grad_clip": clip}
        if wanted.kind == "sgd":
            self.paddle = paddle.optimizer.Momentum(
                momentum=wanted.momentum, weight_decay=wanted.weight_decay, **common
            )
        else:
            self.paddle = paddle.optimizer.AdamW(weight_decay=wanted.weight_decay, **common)

    def state(self) -> dict[str, NDArray[Any]]:
        """Copy out what it remembers, as ``TENSOR|KIND``."""
        found = self.paddle.state_dict()
        return {
            f"{name}|{key.removeprefix(f'{tensor.name}_')}": value.numpy()
            for name, tensor in self._tensors.items()
            for key, value in found.items()
            if key.startswith(f"{tensor.name}_") and hasattr(value, "numpy")
        }

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `state` gave, in this process or in another.

        Raises:
            CheckpointError: it speaks of tensors that there are not.
        """
        strange = sorted({key.partition("|")[0] for key in state} - self._tensors.keys())
        if strange:
            raise CheckpointError(
                f"the optimiser's state speaks of {', '.join(strange[:5])}, which are not tensors "
                "of this network"
            )
        named = {}
        for key, value in state.items():
            name, _, kind = key.partition("|")
            named[f"{self._tensors[name].name}_{kind}"] = paddle.to_tensor(np.asarray(value))
        self.paddle.set_state_dict(named)
