"""Check that a checkpoint's tensors are those of a network, and list the faults, not only the first."""

import re
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.network.primitives import Weights
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt, listing, printable

Shape = tuple[int, ...]


def check_shapes(
    tensors: Mapping[str, NDArray[Any]],
    expected: Mapping[str, Shape],
    unused: Mapping[str, str],
    network: str,
    unread: Mapping[str, str] = MappingProxyType({}),
) -> Counter[str]:
    """Check that no tensor is missing, that all are floats of their shapes, and that there is no other.

    Paddle stores bfloat16 as uint16.

    Args:
        tensors: of the checkpoint.
        expected: key -> shape, as the checkpoint stores it.
        unused: regular expression of other keys that may be there -> why they are not used.
        network: which, for the message: "wuhuikai network that its names describe".
        unread: name of a tensor that cannot be read -> why.

    Returns:
        Why tensors are not used -> how many.

    Raises:
        CheckpointError: tensors are missing, unexpected, misshapen or no floats.
    """
    faults = []
    for key, shape in expected.items():
        if key not in tensors and key in unread:
            faults.append(f"not readable: {key} {shape}: {unread[key]}; nothing was run")
        elif key not in tensors:
            faults.append(f"missing: {key} {shape}")
        elif tensors[key].shape != shape:
            faults.append(
                f"misshapen: {key} is {excerpt(tensors[key].shape, 60)}, expected {shape}"
            )
        elif tensors[key].dtype.kind != "f" and tensors[key].dtype != np.uint16:
            faults.append(f"no floats: {key} is {tensors[key].dtype}, expected a float type")
    counts: Counter[str] = Counter()
    patterns = [(re.compile(pattern), reason) for pattern, reason in unused.items()]
    for key in (key for key in tensors if key not in expected):
        reason = next((r for pattern, r in patterns if pattern.fullmatch(key)), None)
        if reason is None:
            faults.append(f"unexpected: {printable(key, 100)} {excerpt(tensors[key].shape, 60)}")
        else:
            counts[reason] += 1
    if faults:
        raise CheckpointError(
            f"{len(faults)} of the checkpoint's tensors do not fit the {network}:\n  "
            + listing(faults, "\n  ")
        )
    return counts


def check_values(weights: Weights, keys: Mapping[str, str]) -> None:
    """Check that values are finite, and variances not negative.

    Args:
        weights: by our names.
        keys: our names -> the checkpoint's, for the message.

    Raises:
        CheckpointError: some are not.
    """
    faults = [
        f"{keys[name]} holds values that are not finite"
        for name, array in weights.items()
        if not np.isfinite(array).all()
    ]
    faults += [
        f"{keys[name]} is a variance and holds negative values"
        for name, array in weights.items()
        if name.endswith(".norm.var") and (array < 0).any()
    ]
    if faults:
        raise CheckpointError(
            "the checkpoint holds values no trained network has; it is damaged, or training "
            "diverged:\n  " + listing(faults, "\n  ")
        )
