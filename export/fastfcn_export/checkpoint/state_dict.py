"""Find the model's tensors among everything that a checkpoint holds."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.checkpoint.arrays import MAX_TENSORS
from fastfcn_export.checkpoint.container import Contents
from fastfcn_export.checkpoint.pickle_reader.records import Call, Opaque, Persistent
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt, listing, printable

WRAPPERS = (
    "state_dict", "model_state_dict", "model_state", "model", "network", "net", "weights", "params", "module",
    "student", "teacher", "ema_state_dict", "state_dict_ema", "model_ema_state_dict", "model_ema", "ema_model", "ema",
)  # fmt: skip
"""Keys under which training programs put the state dict, beside the epoch and the optimizer; first wins."""
PARALLEL = "module."
"""What parallel training puts before every name."""
_DEEPEST = 4
_MOST_DICTS = 2_000


@dataclass(frozen=True)
class TensorSet:
    """A dict of a checkpoint that holds tensors under their names.

    Attributes:
        path: the keys that lead to it, from the top.
        parts: name -> part of the tree of which a tensor would be made.
        opaque: name of another entry -> what would build it.
    """

    path: tuple[str, ...]
    parts: Mapping[str, object]
    opaque: Mapping[str, str]

    @property
    def label(self) -> str:
        """The keys that lead to it, in one text; "" for the top."""
        return ".".join(self.path)


def tensor_sets(contents: Contents) -> tuple[TensorSet, ...]:
    """List the dicts that hold named tensors, outer ones first; only a few levels are looked at."""
    found: list[TensorSet] = []
    seen: set[int] = set()
    level: list[tuple[tuple[str, ...], object]] = [((), contents.tree)]
    for _ in range(_DEEPEST + 1):
        inner = []
        for path, state in level:
            if not isinstance(state, dict) or id(state) in seen or len(seen) >= _MOST_DICTS:
                continue
            seen.add(id(state))
            here = _set(contents, path, state)
            found += [here] if here.parts else []
            inner += [((*path, k), v) for k, v in state.items() if isinstance(k, str)]
        level = [(path, value) for path, value in inner if isinstance(value, dict)]
    return tuple(found)


def tensors_of(contents: Contents) -> dict[str, NDArray[np.generic]]:
    """Find the state dict in a checkpoint by the usual keys and take its tensors.

    Everything that is not a tensor is dropped, and so is everything beside the state dict. A prefix
    `module.`, which parallel training puts before every name, is taken off where every name has it, and
    nowhere else in a name: `head.encmodule.fc` stays as it is.

    Returns:
        Name -> array, in the file's order.

    Raises:
        CheckpointError: there is no tensor with a name, a tensor is damaged, or code stands where a
            tensor is read from.
    """
    named = dict(_read(contents, usual_set(contents)))
    if all(key.startswith(PARALLEL) and key != PARALLEL for key in named):
        return {key[len(PARALLEL) :]: value for key, value in named.items()}
    return named


def usual_set(contents: Contents) -> TensorSet:
    """Find the state dict by the usual keys; a checkpoint may be wrapped more than once.

    Raises:
        CheckpointError: there is no tensor with a name, or only in several unusual places.
    """
    state = contents.tree if isinstance(contents.tree, dict) else {}
    path: tuple[str, ...] = ()
    while key := next((key for key in WRAPPERS if isinstance(state.get(key), dict)), None):
        state, path = state[key], (*path, key)
        if len(path) > _DEEPEST:
            break
    found = _set(contents, path, state)
    if found.parts or any(isinstance(value, Call | Persistent) for value in state.values()):
        return found
    others = tensor_sets(contents)
    if len(others) == 1:
        return others[0]
    raise _without_tensors(contents, state, others)


def read_leniently(
    contents: Contents, tensor_set: TensorSet
) -> tuple[dict[str, NDArray[np.generic]], dict[str, str]]:
    """Take the tensors of a set that can be read.

    Returns:
        Name -> array, in the file's order; and name of what cannot be read -> why.
    """
    unread = {name: f"built by {printable(what)}" for name, what in tensor_set.opaque.items()}
    tensors: dict[str, NDArray[np.generic]] = {}
    for name, part in tensor_set.parts.items():
        try:
            array = _array(contents.convert(part))
        except CheckpointError as error:
            unread[name] = f"the file {error}"
            continue
        if array is not None:
            tensors[name] = array
    if len(tensors) > MAX_TENSORS:
        raise CheckpointError(f"holds more than {MAX_TENSORS} tensors; no checkpoint does")
    return tensors, unread


def _read(contents: Contents, found: TensorSet) -> Iterator[tuple[str, NDArray[np.generic]]]:
    state = contents.tree
    for key in found.path:
        state = state[key] if isinstance(state, dict) else {}
    arrays = 0
    for name, value in state.items() if isinstance(state, dict) else ():
        if not isinstance(name, str) or isinstance(value, dict | list | Opaque):
            continue
        if isinstance(value, tuple) and not contents.is_tensor(value):
            continue
        array = _array(contents.convert(value))
        if array is not None:
            arrays += 1
            yield name, array
    if not arrays:
        raise _without_tensors(contents, state, ())


def _set(contents: Contents, path: tuple[str, ...], state: Mapping[object, object]) -> TensorSet:
    named = [(key, value) for key, value in state.items() if isinstance(key, str)]
    return TensorSet(
        path,
        {key: value for key, value in named if contents.is_tensor(value)},
        {key: str(value.name) for key, value in named if isinstance(value, Opaque)},
    )


def _array(value: object) -> NDArray[np.generic] | None:
    """Take a tensor, or the array of the pair (name, array) that Paddle nests."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        value = value[1]
    return value if isinstance(value, np.ndarray) else None


def _without_tensors(
    contents: Contents, state: object, others: tuple[TensorSet, ...]
) -> CheckpointError:
    tree = contents.tree
    if others:
        sets = listing([excerpt(found.label or "(the top)") for found in others], most=20)
        return CheckpointError(
            f"holds tensors in several places, and none under {', '.join(WRAPPERS)}: {sets}"
        )
    keys = [key for key in state if isinstance(key, str | int)] if isinstance(state, dict) else []
    kind = str(tree.name) if isinstance(tree, Opaque) else type(tree).__name__
    built = ""
    if contents.skipped:
        names = listing([printable(name) for name in contents.skipped], most=20)
        built = (
            f" What the file names is code of another program, which was not run: {names}. If these are the "
            "model itself, load it where it was made and save the model's state_dict alone."
        )
    return CheckpointError(
        f"holds no named tensors: {printable(kind)} with {excerpt(keys[:20])}. Expected a state dict, "
        f"or a dict with one under {', '.join(WRAPPERS[:6])}.{built}"
    )
