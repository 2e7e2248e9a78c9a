"""Which of the tensors in a checkpoint are the network's weights.

Training programs put them under many keys, put a path before every name (`module.`, `model.`,
`student.`), and often store several sets: the weights, their moving average (EMA), a teacher. A set of
tensors is the network's if a dialect knows its names without the path. If several sets fit, the user
chooses; nothing is guessed.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastfcn_export.checkpoint.container import Contents
from fastfcn_export.checkpoint.state_dict import (
    PARALLEL,
    TensorSet,
    read_leniently,
    tensor_sets,
    tensors_of,
    usual_set,
)
from fastfcn_export.dialect import own
from fastfcn_export.dialect.dialect import dialect_names, load_dialect
from fastfcn_export.dialect.keys import Keys
from fastfcn_infer.errors import CheckpointError
from fastfcn_infer.system.excerpt import excerpt, listing, printable

_FEWEST = 16  # names below a path that may be a network; the smallest network has more
_LONGEST_PATH = 5
_EMA = re.compile(r"(^|[._])ema([._]|$)")
# PyTorch's wrappers of modules, anywhere in a name; no dialect has such a module.
_WRAPPER = re.compile(
    r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\."
)


@dataclass(frozen=True)
class Chosen:
    """The weights of a network among everything in its checkpoint.

    Args:
        tensors: by the dialect's names.
        unread: name of a tensor that cannot be read -> why.
        found: which set was taken, if there was a choice or a path before the names; in sentences.
        unused: why tensors of the same dict were left out -> how many.
    """

    tensors: Mapping[str, NDArray[np.generic]]
    unread: Mapping[str, str] = field(default_factory=dict)
    found: tuple[str, ...] = ()
    unused: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Candidate:
    """Tensors of one dict whose names begin with one path.

    Args:
        where: the dict.
        prefix: the path with its last dot; may be empty.
        names: name in the network -> name in the dict.
    """

    where: TensorSet
    prefix: str
    names: Mapping[str, str]

    @property
    def key(self) -> str:
        """What the user writes to choose it."""
        return ".".join(part for part in (self.where.label, self.prefix.rstrip(".")) if part)

    @property
    def is_average(self) -> bool:
        """Tell by the keys and the path whether it is a moving average of the weights."""
        return _EMA.search(self.key) is not None


def choose(
    contents: Contents,
    *,
    dialect: str | None = None,
    weights_key: str | None = None,
    use_ema: bool = False,
) -> Chosen:
    """Find the network's weights in a checkpoint.

    Args:
        contents: of the checkpoint.
        dialect: the user's choice; None: any.
        weights_key: the user's choice among several sets; the keys that lead to it and the path
            before its names, such as "ema_state_dict" or "state_dict.student".
        use_ema: take the moving average of the weights.

    Raises:
        CheckpointError: there are no tensors, several sets fit, or the chosen one is not there.
    """
    sets = tensor_sets(contents)
    candidates = [found for place in sets for found in _candidates(place, dialect)]
    if weights_key is not None:
        chosen = _named(weights_key, candidates, sets)
    elif candidates:
        chosen = _only(candidates, contents, use_ema)
    else:
        chosen = _usual(contents)
    return _read(contents, chosen, candidates, use_ema and not chosen.is_average)


def _candidates(place: TensorSet, dialect: str | None) -> list[_Candidate]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in place.parts:
        parts = name.split(".")
        for length in range(min(len(parts), _LONGEST_PATH + 1)):
            groups[".".join(parts[:length]) + "." if length else ""].append(name)
    found = []
    for prefix, names in groups.items():
        if len(names) >= _FEWEST or not prefix:
            candidate = _below(place, prefix, names)
            if _fits(candidate.names, dialect):
                found.append(candidate)
    # A path that is nothing but a wrapper is found with and without it.
    return [c for c in found if not (c.prefix and _WRAPPER.sub("", c.prefix) == "")] or found


def _below(place: TensorSet, prefix: str, names: Sequence[str]) -> _Candidate:
    return _Candidate(
        place, prefix, {_WRAPPER.sub("", name[len(prefix) :]): name for name in names}
    )


def _fits(names: Mapping[str, str], dialect: str | None) -> bool:
    if own.is_own(dict.fromkeys(names, np.empty(0))):
        return True
    keys = Keys(dict.fromkeys(names, ()))
    known = dialect_names()
    return any(
        load_dialect(name).matches(keys) for name in ([dialect] if dialect in known else known)
    )


def _named(asked: str, candidates: Sequence[_Candidate], sets: Sequence[TensorSet]) -> _Candidate:
    asked = asked.strip(".")
    matching = [c for c in candidates if asked in (c.key, c.where.label, c.prefix.rstrip("."))]
    exact = [c for c in matching if c.key == asked] or matching
    if len(exact) == 1:
        return exact[0]
    if not exact:
        others = [place for place in sets if place.label == asked]
        if others:
            return _below(others[0], "", list(others[0].parts))
    known = candidates or [_below(place, "", list(place.parts)) for place in sets]
    raise CheckpointError(
        f"has {'no' if not exact else 'several'} weights under {excerpt(asked)}. "
        f"--weights-key chooses one of: {_listed(known)}"
    )


def _only(candidates: Sequence[_Candidate], contents: Contents, use_ema: bool) -> _Candidate:
    if _swapped(contents):
        plain = [c for c in candidates if not c.is_average]
        candidates = plain or candidates
    averages = [c for c in candidates if c.is_average]
    others = [c for c in candidates if not c.is_average]
    fitting = averages if averages and (use_ema or not others) else others
    if len(fitting) == 1:
        return fitting[0]
    raise CheckpointError(
        f"holds {len(fitting)} sets of weights that fit a network. Choose one with --weights-key: "
        f"{_listed(fitting)}"
    )


def _swapped(contents: Contents) -> bool:
    """Tell whether mmengine saved the file.

    Its EMAHook saves the averages as `state_dict` and what the optimizer left as `ema_state_dict`.
    """
    tree = contents.tree
    return isinstance(tree, dict) and "message_hub" in tree and "ema_state_dict" in tree


def _usual(contents: Contents) -> _Candidate:
    """Take the set under the usual keys although no dialect knows its names; what is wrong is said later."""
    place = usual_set(contents)
    parallel = all(name.startswith(PARALLEL) and name != PARALLEL for name in place.parts)
    return _below(place, PARALLEL if parallel and place.parts else "", list(place.parts))


def _read(
    contents: Contents, chosen: _Candidate, candidates: Sequence[_Candidate], use_ema: bool
) -> Chosen:
    names = dict(chosen.names)
    averages = {
        name: names[flat] for name in names if (flat := f"ema_{name.replace('.', '_')}") in names
    }
    found = _sentences(contents, chosen, candidates, averages, use_ema)
    if use_ema and averages:
        names = {k: v for k, v in names.items() if v not in averages.values()} | averages
    elif use_ema and not _swapped(contents):
        raise CheckpointError(
            "holds no moving average of the weights, which --use-ema asks for. Known are a set of its own, "
            "such as ema_state_dict, and names such as ema_backbone_conv1_weight."
        )
    others = _others(chosen, candidates)
    taken = {name: full for name, full in names.items() if full not in others}
    opaque = {
        _WRAPPER.sub("", name[len(chosen.prefix) :]): what
        for name, what in chosen.where.opaque.items()
        if name.startswith(chosen.prefix)
    }
    parts = {name: chosen.where.parts[full] for name, full in taken.items()}
    tensors, unread = read_leniently(contents, replace(chosen.where, parts=parts, opaque=opaque))
    if not tensors:
        tensors_of(contents)  # says what the file has instead
    left_out = len(chosen.where.parts.keys() - taken.values())
    unused = {"beside the weights in the same dict": left_out} if left_out else {}
    return Chosen(tensors, unread, found, unused)


def _others(chosen: _Candidate, candidates: Sequence[_Candidate]) -> set[str]:
    """Names of the other sets that lie below longer paths of the same dict."""
    longer = [
        other
        for other in candidates
        if other.where is chosen.where
        and other.prefix != chosen.prefix
        and other.prefix.startswith(chosen.prefix)
    ]
    return {full for other in longer for full in other.names.values()}


def _sentences(
    contents: Contents,
    chosen: _Candidate,
    candidates: Sequence[_Candidate],
    averages: Mapping[str, Any],
    use_ema: bool,
) -> tuple[str, ...]:
    found = []
    others = [other for other in candidates if other is not chosen]
    if others or chosen.prefix not in ("", PARALLEL):
        found.append(f"the weights are those {_place(chosen)}")
    if others:
        found.append(f"not taken: the tensors {'; '.join(map(_place, others[:5]))}")
    if _swapped(contents):
        found.append(
            "mmengine wrote the file: it saves the moving average as state_dict, and the weights that the "
            "optimizer left as ema_state_dict (--weights-key ema_state_dict takes those)"
        )
    elif averages and use_ema:
        found.append(
            "the weights are those named ema_...; mmcv's EMAHook swaps the two while it saves, so in its files "
            "these are what the optimizer left, and the others the average"
        )
    elif averages or any(other.is_average for other in others if not chosen.is_average):
        found.append("the file holds a moving average, too: --use-ema takes it")
    return tuple(found)


def _place(candidate: _Candidate) -> str:
    words = []
    if candidate.where.label:
        words.append(f"under {excerpt(candidate.where.label)}")
    if candidate.prefix:
        words.append(f"whose names begin with {excerpt(candidate.prefix)}")
    return " ".join(words) or "at the top of the file"


def _listed(candidates: Sequence[_Candidate]) -> str:
    return listing([printable(c.key) or "(the top)" for c in candidates], most=20)
