"""The optimiser of a recipe, on tensors with our names.

Source: reference/fastfcn_semantics.md, 5.3.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import paddle
from numpy.typing import NDArray

from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt, listing, printable
from fastfcn_training.recipe.recipe import Optimiser

Tensor = Any  # paddle.Tensor; Paddle's types are not known where the types are checked

_VELOCITY = "velocity_0"
_MOMENTS = ("moment1_0", "moment2_0")
_POWERS = ("beta1_pow_acc_0", "beta2_pow_acc_0")  # (1,) whatever the tensor's shape is


class NamedOptimiser:
    """Updates named tensors; the learning rate is that of the backbone, others get `head_factor` times it.

    Paddle keeps an optimiser's state under the names of the tensors, so use only one optimiser for a
    tensor.

    Args:
        wanted: kind and constants.
        tensors: to update, by our names.
    """

    def __init__(self, wanted: Optimiser, tensors: Mapping[str, Tensor]) -> None:
        self._wanted = wanted
        self._tensors = dict(tensors)
        for name, tensor in tensors.items():
            # Not by Paddle's parameter groups, which clip gradients group by group.
            factor = 1.0 if name.startswith("backbone.") else wanted.head_factor
            tensor.optimize_attr = {"learning_rate": factor}
        clip = None
        if wanted.clip_norm is not None:
            clip = paddle.nn.ClipGradByGlobalNorm(wanted.clip_norm)
        common = {
            "learning_rate": 0.0,
            "parameters": list(tensors.values()),
            "grad_clip": clip,
            "weight_decay": wanted.weight_decay,
        }
        if wanted.kind == "sgd":
            self.paddle = paddle.optimizer.Momentum(momentum=wanted.momentum, **common)
        else:
            self.paddle = paddle.optimizer.AdamW(**common)

    def state(self) -> dict[str, NDArray[Any]]:
        """Copy its state, as ``TENSOR|KIND``; empty before the first step."""
        found = self.paddle.state_dict()
        keys = {f"{tensor.name}_{kind}": f"{name}|{kind}" for name, tensor, kind in self._kinds()}
        return {keys[key]: value.numpy() for key, value in found.items() if key in keys}

    def load(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Restore what `state` returned, in this process or in another.

        Raises:
            CheckpointError: it belongs to other tensors or another kind of optimiser; lists all faults.
        """
        if not state:
            return
        expected = {
            f"{name}|{kind}": [1] if kind in _POWERS else list(tensor.shape)
            for name, tensor, kind in self._kinds()
        }
        faults = [f"missing: {key}" for key in expected if key not in state]
        faults += [f"unexpected: {printable(key)}" for key in state if key not in expected]
        faults += [
            f"misshapen: {key} is {excerpt(list(value.shape))}, expected {expected[key]}"
            for key, value in state.items()
            if key in expected and list(value.shape) != expected[key]
        ]
        if faults:
            raise CheckpointError(
                f"the optimiser's state does not belong to {self._wanted.kind} on this network:\n  "
                + listing(faults, "\n  ")
            )
        self.paddle.set_state_dict(
            {
                f"{tensor.name}_{kind}": paddle.to_tensor(np.asarray(state[f"{name}|{kind}"]))
                for name, tensor, kind in self._kinds()
            }
        )

    def _kinds(self) -> list[tuple[str, Tensor, str]]:
        kinds = (_VELOCITY,) if self._wanted.kind == "sgd" else (*_MOMENTS, *_POWERS)
        return [(name, t, kind) for name, t in self._tensors.items() for kind in kinds]
