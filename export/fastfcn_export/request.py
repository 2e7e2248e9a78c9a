"""What to make of a checkpoint."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from fastfcn_export.target.target import Options

if TYPE_CHECKING:
    from typing_extensions import Unpack

PathLike = str | os.PathLike[str]


class Wishes(TypedDict, total=False):
    """The fields of `Request` and of its `Options`, as keywords."""

    formats: Sequence[str]
    classes: PathLike | None
    dialect: str | None
    output_stride: int | None
    output: Literal["logits", "probabilities", "labels"]
    with_preprocess: bool
    shape: tuple[int | None, int | None, int | None]
    precision: Literal["fp32", "fp16"]
    verify: bool
    via: Literal["direct", "paddle2onnx"]


@dataclass(frozen=True)
class Request:
    """What to make of a checkpoint.

    Args:
        formats: of the graph, as `--format` names them.
        classes: name of a class table, path of a JSON file, or None: those that a checkpoint of ours
            names, else numbered ones.
        dialect: None: found from the keys.
        output_stride: of the backbone; None: what a checkpoint of ours says, else the dialect's
            published default.
        output: what the graph answers.
        with_preprocess: the graph is fed pixels and normalises.
        options: fixed shape, precision.
        verify: prove the graph equal to the network before anything takes its final name.
        via: how the ONNX file is made: our own nodes, or the Paddle program through paddle2onnx.
    """

    formats: Sequence[str] = ("onnx",)
    classes: PathLike | None = None
    dialect: str | None = None
    output_stride: int | None = None
    output: Literal["logits", "probabilities", "labels"] = "logits"
    with_preprocess: bool = False
    options: Options = field(default_factory=Options)
    verify: bool = True
    via: Literal["direct", "paddle2onnx"] = "direct"

    @classmethod
    def of(cls, **wishes: "Unpack[Wishes]") -> "Request":
        """Make a request of keywords, those of the options among them."""
        given: dict[str, Any] = dict(wishes)
        options = {name: given.pop(name) for name in ("shape", "precision") if name in given}
        return cls(options=Options(**options), **given)
