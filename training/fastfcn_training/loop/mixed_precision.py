"""Mixed precision: float16 where that is safe, with scaled losses so that gradients do not underflow."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
import paddle

from fastfcn_infer.errors import DeviceUnavailable
from fastfcn_training.checkpoint.files import LossScale

Tensor = Any  # paddle.Tensor; Paddle's types are not known where the types are checked


class Precision:
    """The arithmetic precision of a training.

    Args:
        wanted: ``fp32`` or ``mixed``.
        gpu: training runs on a GPU.

    Raises:
        DeviceUnavailable: mixed precision without a GPU.
    """

    def __init__(self, wanted: Literal["fp32", "mixed"], *, gpu: bool) -> None:
        self._scaler: Any = None
        if wanted == "mixed":
            if not gpu:
                raise DeviceUnavailable(
                    "mixed precision needs a GPU and a Paddle built for it, but Paddle's device is "
                    "the CPU, where float16 is slower than float32. Train with --precision fp32"
                )
            self._scaler = paddle.amp.GradScaler()

    def autocast(self) -> AbstractContextManager[Any]:
        """Give the context in which the network computes in this precision."""
        if self._scaler is None:
            return nullcontext()
        return paddle.amp.auto_cast(level="O1", dtype="float16")  # type: ignore[no-any-return]

    def scale(self, loss: Tensor) -> Tensor:
        """Scale a loss before its gradients are computed."""
        return loss if self._scaler is None else self._scaler.scale(loss)

    def step(self, optimiser: Any) -> None:
        """Update the weights, given gradients of scaled losses."""
        if self._scaler is None:
            optimiser.step()
        else:
            self._scaler.step(optimiser)
            self._scaler.update()

    def state(self) -> LossScale | None:
        """Return the state of the loss scaling; None in float32."""
        if self._scaler is None:
            return None
        state = self._scaler.state_dict()
        factor = np.asarray(state["scale"]).reshape(-1)[0]
        return LossScale(float(factor), state["incr_count"], state["decr_count"])

    def load(self, state: LossScale | None) -> None:
        """Restore what `state` returned."""
        if self._scaler is not None and state is not None:
            self._scaler.load_state_dict(
                self._scaler.state_dict()
                | {
                    "scale": np.asarray([state.factor], np.float32),
                    "incr_count": state.good,
                    "decr_count": state.bad,
                }
            )
