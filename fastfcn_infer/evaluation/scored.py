"""The method of `Segmenter` that scores it."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_infer.inference.predictor import Predictor

if TYPE_CHECKING:
    from fastfcn_infer.artifact.manifest import Convention
    from fastfcn_infer.data.dataset import Dataset
    from fastfcn_infer.evaluation.evaluate import Evaluation


class Scored:
    """An opened model that can be scored on a data set."""

    def evaluate(
        self: Predictor,
        dataset: "Dataset",
        *,
        convention: "Convention | None" = None,
        limit: int | None = None,
        predictions: str | os.PathLike[str] | None = None,
        state: str | os.PathLike[str] | None = None,
        fresh: bool = False,
        ignore_names: bool = False,
        allow_trained: bool = False,
        accept_labels: bool = False,
    ) -> "Evaluation":
        """Score this model: every picture is labelled and compared with its label map.

        Args:
            dataset: part of a data set, as `open_dataset` returns it.
            convention: how classes that occur nowhere are scored: as "paddleseg", "fastfcn" or
                "mmseg" does; None: as the checkpoint's training or authors do.
            limit: evaluate only this many pictures, the first ones; None: all.
            predictions: folder that labels are written to, as ``NAME.png``; the counts are kept
                there, too.
            state: where to keep the counts without `predictions`. An evaluation with the same
                file continues where this one was interrupted.
            fresh: discard the counts of an earlier run.
            ignore_names: accept classes of other names; their order has to be the same.
            allow_trained: score the model even on pictures that it was trained on; the result then
                carries a warning.
            accept_labels: score the model even if no pixel is labelled, or all are of one class.

        Returns:
            Scores, speed, and the pictures that could not be read.

        Raises:
            EvaluationError: model, data set and an earlier run's counts do not match, or the model
                was trained on some of the pictures.
            DatasetError: no pixel is labelled, or all are of one class.
            BackendError: the runtime failed, or this segmenter was closed.
        """
        from fastfcn_infer.evaluation.evaluate import evaluate
        from fastfcn_infer.evaluation.plan import plan

        planned = plan(
            self,
            dataset,
            limit=limit,
            predictions=None if predictions is None else Path(predictions),
            state=None if state is None else Path(state),
            fresh=fresh,
            ignore_names=ignore_names,
            allow_trained=allow_trained,
            accept_labels=accept_labels,
        )
        return evaluate(self, dataset, planned, convention)
