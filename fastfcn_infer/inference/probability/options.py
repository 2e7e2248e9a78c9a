"""What a caller wants of results beyond labels: their scores, groups of classes, certain pixels only."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.inference.probability.groups import Groups, as_lists, group
from fastfcn_infer.inference.probability.relabel import Relabelling, check_options, made_by
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.system.excerpt import excerpt
from fastfcn_infer.system.stopwatch import timed

Keep: TypeAlias = Literal["scores"]


@dataclass(frozen=True, eq=False)
class ResultOptions:
    """Options of `Segmenter.predict` that concern the result.

    Args:
        keep: "scores": the result keeps them.
        groups: as in `Segmentation.relabel`.
        min_confidence: likewise.
    """

    keep: Keep | None = None
    groups: Groups | None = None
    min_confidence: float | None = None

    def __post_init__(self) -> None:
        """Read the groups once.

        Raises:
            ValueError: as `as_lists`.
        """
        if self.groups is not None:
            object.__setattr__(self, "groups", as_lists(self.groups))

    @property
    def change_labels(self) -> bool:
        """Tell whether the labels are not those of the most probable classes of the model."""
        return bool(self.groups) or self.min_confidence is not None

    @property
    def need_scores(self) -> bool:
        """Tell whether the scores are needed to make the result."""
        return self.keep is not None or self.change_labels

    def check(self, model: Model) -> None:
        """Refuse what a model does not give, and what does not fit its classes.

        Raises:
            ValueError: `keep` is unknown; as `Segmentation.relabel` does; or the graph ends in labels.
        """
        if self.keep not in (None, "scores"):
            raise ValueError(f'keep is {excerpt(self.keep)}; "scores" or None was expected')
        check_options(self.groups, self.min_confidence, model.output, model.name)
        self.relabelling(model)
        if self.need_scores and model.output.name == "labels":
            raise ValueError(
                f"{model.name} was exported with --output labels: its graph gives no scores, so there are no "
                "probabilities. Export it with --output logits."
            )

    def relabelling(self, model: Model) -> Relabelling:
        """Return how the labels of a model are changed.

        Raises:
            ValueError: as `group`.
        """
        names = [one.name for one in model.classes]
        colors = np.array([one.color for one in model.classes], np.uint8)
        return Relabelling(group(names, colors, self.groups or {}), self.min_confidence)

    def finish(self, result: Segmentation) -> Segmentation:
        """Relabel a result that has scores, and drop them unless they are to be kept."""
        if not self.need_scores:
            return result
        if self.change_labels:
            timings = dict(result.timings)
            with timed(timings, "labels"):
                result = result.relabel(groups=self.groups, min_confidence=self.min_confidence)
            result = replace(result, timings=timings)
        return result if self.keep else replace(result, scores=None)

    def as_arguments(self) -> dict[str, Any]:
        """Return the options as arguments of `Segmenter.predict` and `Segmenter.stream`."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def made_by(self) -> dict[str, str]:
        """Return what the labels depend on, for the provenance."""
        return made_by(self.groups, self.min_confidence)
