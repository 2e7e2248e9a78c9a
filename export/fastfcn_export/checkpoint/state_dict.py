"""Find the model's tensors among everything that a checkpoint holds."""

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt

WRAPPERS = ("state_dict", "model_state_dict", "model_state", "model", "network", "net")
"""Keys under which training programs put the state dict, beside the epoch and the optimizer; first wins."""
_PREFIX = "module."


def tensors_of(tree: object) -> dict[str, NDArray[np.generic]]:
    """Find the state dict in a checkpoint and take its tensors.

    Everything that is not a tensor is dropped, and so is everything beside the state dict. A prefix
    `module.`, which parallel training puts before every name, is taken off where every name has it, and
    nowhere else in a name: `head.encmodule.fc` stays as it is.

    Args:
        tree: as a container gives it.

    Returns:
        Name -> array, in the file's order.

    Raises:
        CheckpointError: there is no tensor with a name.
    """
    state = _unwrapped(tree)
    tensors = {key: _tensor(value) for key, value in state.items() if isinstance(key, str)}
    named = {key: value for key, value in tensors.items() if value is not None}
    if not named:
        keys = [key for key in state if isinstance(key, str | int)]
        raise CheckpointError(
            f"holds no named tensors: {type(tree).__name__} with {excerpt(keys[:20])}. Expected a state dict, "
            f"or a dict with one under {', '.join(WRAPPERS)}."
        )
    if all(key.startswith(_PREFIX) and key != _PREFIX for key in named):
        return {key[len(_PREFIX) :]: value for key, value in named.items()}
    return named


def _unwrapped(tree: object) -> dict[object, object]:
    """Go down the usual keys; a checkpoint may be wrapped more than once."""
    state = tree if isinstance(tree, dict) else {}
    while inner := next(
        (state[key] for key in WRAPPERS if isinstance(state.get(key), dict)), None
    ):
        state = inner
    return state


def _tensor(value: object) -> NDArray[np.generic] | None:
    """Take a tensor, or the array of the pair (name, array) that Paddle nests."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        value = value[1]
    return value if isinstance(value, np.ndarray) else None
