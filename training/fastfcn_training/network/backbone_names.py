"""Names of a backbone's tensors in the files that contain one.

FastFCN's dialects put a prefix before them, ``pretrained.`` or ``backbone.``; ImageNet checkpoints of
the same code have the names without it. PaddleClas has its own names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from fastfcn_export.dialect.dialect import PADDLE_NORM, dialect_names, load_dialect, names_in
from fastfcn_export.network.architecture import Architecture, Backbone
from fastfcn_export.target.targets import cost

PART = "backbone."  # in our names
_CLASSIFIER = r"(fc|out|head\.fc)\.(weight|bias)"


@dataclass(frozen=True)
class Naming:
    """A naming scheme for a backbone's tensors.

    Args:
        keys: our name -> the file's name.
        prefix: of all backbone names in the file; empty if the file holds nothing else.
    """

    keys: Mapping[str, str]
    prefix: str

    @property
    def unused(self) -> dict[str, str]:
        """Regular expression of other keys that may be present -> why they are not used."""
        reasons = {
            r".*\.num_batches_tracked": "batch counters of training",
            rf"({self.prefix})?{_CLASSIFIER}": "classifier of the backbone's own training",
        }
        if self.prefix:
            reasons[rf"(?!{self.prefix}).*"] = "parts of the network outside the backbone"
        return reasons


def namings(architecture: Architecture) -> tuple[Naming, ...]:
    """List all known naming schemes of the backbone."""
    ours = [name for name in cost.tensors(architecture) if name.startswith(PART)]
    known = [names_in(load_dialect(name), architecture, PART) for name in dialect_names()]
    found = [Naming(_paddleclas(ours, architecture.backbone), "")]
    for keys in (*known, {name: name for name in ours}):
        prefix = next(iter(keys.values())).partition(".")[0] + "."
        bare = {name: key.removeprefix(prefix) for name, key in keys.items()}
        found += [Naming(keys, prefix), Naming(bare, "")]
    return tuple(found)


def _paddleclas(ours: list[str], backbone: Backbone) -> dict[str, str]:
    """Number the blocks consecutively, as PaddleClas does since 2021."""
    norms = dict(zip(("weight", "bias", "mean", "var"), PADDLE_NORM, strict=True))
    before = [sum(stage.blocks for stage in backbone.stages[:i]) for i in range(4)]
    found = {}
    for name in ours:
        _, place, number, *rest, kind, last = name.split(".")
        if place == "stem":
            theirs = f"stem.{number}"
        else:
            block = before[int(place.removeprefix("stage")) - 1] + int(number)
            part = rest[0].removeprefix("conv")
            theirs = f"blocks.{block}." + (f"conv{int(part) - 1}" if part.isdigit() else "short")
        found[name] = f"{theirs}.conv.weight" if kind == "conv" else f"{theirs}.bn.{norms[last]}"
    return found
