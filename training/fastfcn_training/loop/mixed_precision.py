"""Mixed precision: float16 where that is safe, losses scaled so that gradients do not vanish in it."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

import numpy as np
import paddle

from fastfcn_infer.errors import DeviceUnavailable
from fastfcn_training.checkpoint.files import LossScale

Tensor = Any  # paddle.Tensor; Paddle's types are not known where the types are checked


class Precision:
    """The arithmetic of a training.

    Args:
        wanted: ``fp32`` or ``mixed``.
        gpu: there is a GPU to do it on.

    Raises:
        DeviceUnavailable: there is no GPU for mixed precision.
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

    def arithmetic(self) -> AbstractContextManager[Any]:
        """Within it arithmetic has this precision."""
        if self._scaler is None:
            return nullcontext()
        return paddle.amp.auto_cast(level="O1", dtype="float16")  # type: ignore[no-any-return]

    def scaled(self, loss: Tensor) -> Tensor:
        """Scale a loss, before its gradients are computed."""
        return loss if self._scaler is None else self._scaler.scale(loss)

    def step(self, optimiser: Any) -> None:
        """Move the weights along gradients of scaled losses."""
        if self._scaler is None:
            optimiser.step()
        else:
            self._scaler.step(optimiser)
            self._scaler.update()

    def state(self) -> LossScale | None:
        """Tell what it remembers; None: nothing."""
        if self._scaler is None:
            return None
        state = self._scaler.state_dict()
        factor = np.asarray(state["scale"]).reshape(-1)[0]
        return LossScale(float(factor), state["incr_count"], state["decr_count"])

    def load(self, state: LossScale | None) -> None:
        """Take back what `state` gave."""
        if self._scaler is not None and state is not None:
            self._scaler.load_state_dict(
                self._scaler.state_dict()
                | {
                    "scale": np.asarray([state.factor], np.float32),
                    "incr_count": state.good,
                    "decr_count": state.bad,
                }
            )
