"""The methods of `Segmentation` that need its scores."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fastfcn_infer.inference.class_names import Which, as_list, find_class
from fastfcn_infer.inference.interpolation import Floats
from fastfcn_infer.inference.labels import Labels
from fastfcn_infer.inference.probability.groups import Groups, as_lists, group
from fastfcn_infer.inference.probability.kept import KeptScores
from fastfcn_infer.inference.probability.relabel import Relabelling, check_options, made_by
from fastfcn_infer.inference.probability.shares import Found
from fastfcn_infer.inference.scores import first_largest
from fastfcn_infer.system.excerpt import excerpt

_Result = TypeVar("_Result", bound="WithScores")

_TINY = np.finfo(np.float32).tiny


class WithScores:
    """A result that may keep the scores of its picture.

    Probabilities are the softmax of the merged logits; with a procedure that averages probabilities, this
    average; with one that adds up exp of logits, as the original code does, the share of each class in the
    sum. They are computed in tiles: no array has a value for every class and every pixel, unless it is
    asked for.
    """

    labels: Labels
    names: tuple[str, ...]
    colors: NDArray[np.uint8]
    provenance: Mapping[str, str]
    scores: KeptScores | None

    def confidence(self) -> Floats:
        """Return the probability of the class of every pixel.

        Returns:
            (H, W) float32, 0 to 1. Also of pixels that `relabel` ignored: of the class that they had.

        Raises:
            ValueError: the scores were not kept.
        """

        def of_label(found: Found, labels: Labels) -> Floats:
            return found.of(labels)

        return self._kept().computed(of_label)

    def margin(self) -> Floats:
        """Return by how much the most probable class leads over the second: 0 is a tie.

        Returns:
            (H, W) float32, 0 to 1. A network with one logit and a threshold other than 0.5 gives less than
            0 where the class by the threshold is the less probable one.

        Raises:
            ValueError: the scores were not kept.
        """
        kept = self._kept()
        least = 0.0 if kept.is_balanced else -1.0

        def lead(found: Found, labels: Labels) -> Floats:
            places = found.places(labels)
            first = found.of(labels)
            others = found.shares.copy()
            np.put_along_axis(others, places, 0, 0)
            return np.asarray(np.maximum(first - others.max(0), np.float32(least)))

        return kept.computed(lead)

    def entropy(self) -> Floats:
        """Return the entropy of the probabilities of every pixel, in nats.

        Returns:
            (H, W) float32, from 0, one class is certain, to log(C), all C are equally probable.

        Raises:
            ValueError: the scores were not kept.
        """

        def of_pixel(found: Found, _: Labels) -> Floats:
            logs = np.log(np.maximum(found.shares, _TINY))
            logs *= found.shares
            return np.asarray(np.maximum(-logs.sum(0), 0))

        return self._kept().computed(of_pixel)

    def probabilities(self, classes: Which | Iterable[Which]) -> Floats:
        """Return the probabilities of some classes.

        Args:
            classes: names or indices. A name stands for all the classes that share it, as in `mask`: their
                probabilities are added up.

        Returns:
            (n, H, W) float32 for n classes, in their order; 1 for a single name or index.

        Raises:
            ValueError: there is no such class, or the scores were not kept.
        """
        kept = self._kept()
        asked = [find_class(self.names, which) for which in as_list(classes)]
        if not asked:
            raise ValueError("classes is empty; names or indices of classes were expected")

        def of_classes(found: Found, _: Labels) -> Floats:
            places = [np.searchsorted(found.classes, members) for members in asked]
            return np.stack([found.shares[members].sum(0) for members in places])

        return kept.computed(of_classes, np.unique(np.concatenate(asked)))

    def top(self, k: int) -> tuple[Labels, Floats]:
        """Return the k most probable classes of every pixel, the most probable one first.

        The first one is the label of the pixel; ties go to the lowest class, as they do there.

        Args:
            k: from 1 to the number of classes.

        Returns:
            Indices (k, H, W), uint8 or uint16, and probabilities (k, H, W) float32.

        Raises:
            ValueError: `k` is out of range, or the scores were not kept.
        """
        kept = self._kept()
        given: object = k
        if not isinstance(given, int | np.integer) or not 1 <= k <= len(self.names):
            raise ValueError(
                f"k is {excerpt(k)}; a whole number from 1 to {len(self.names)} was expected"
            )
        indices: Labels = np.empty((k, *kept.size), kept.labels.dtype)
        found = np.empty((k, *kept.size), np.float32)
        shares = kept.shares()
        for rows, columns in kept.tiles():
            labels = kept.labels[rows, columns]
            tile = shares.tile(rows, columns, wanted=np.unique(labels), most=k)
            rank, places = tile.rank.copy(), tile.places(labels)
            for nth in range(k):
                if nth:
                    places = first_largest(rank)[None]
                indices[nth, rows, columns] = tile.classes[places[0]]
                found[nth, rows, columns] = np.take_along_axis(tile.shares, places, 0)[0]
                np.put_along_axis(rank, places, -np.inf, 0)
        return indices, found

    def relabel(
        self: _Result, *, groups: Groups | None = None, min_confidence: float | None = None
    ) -> _Result:
        """Label the picture again from its scores, with grouped classes or without uncertain pixels.

        Args:
            groups: name of a group -> names or indices of its classes, such as
                ``{"vehicle": ["car", "bus"]}``. Their probabilities are added up before the most probable
                class is chosen. Classes in no group stay what they are. A group has the place and the
                colour of the class that it names first.
            min_confidence: 0 to 1: pixels whose class, or group, is less probable get the `ignore_label`:
                255, or 65535 where there are more than 255 classes. None: every pixel keeps its class.

        Returns:
            A result with other labels, and with `groups` other names and colours, that keeps the scores.
            What an earlier call ignored counts again.

        Raises:
            ValueError: the scores were not kept, `min_confidence` is not in 0..1, a class does not exist or
                is in two groups, a group is empty or has the name of a class that is in no group, or the
                labels were decided by a threshold other than 0.5, which has no groups.
        """
        kept = self._kept()
        groups = None if groups is None else as_lists(groups)
        check_options(groups, min_confidence, kept.output, "The model")
        grouping = group(self.names, self.colors, groups or {})
        again = Relabelling(grouping, min_confidence)
        if groups:
            kept = kept.grouped(grouping.new, again.new_labels(kept.labels))
        everything = slice(0, kept.size[0]), slice(0, kept.size[1])
        best, shown = again.apply(kept.shares(), kept.labels, *everything)
        changes: dict[str, Any] = {
            "labels": shown,
            "names": grouping.names,
            "colors": grouping.colors,
            "provenance": self._made_by(groups, min_confidence),
            "scores": replace(kept, labels=best),
            "ignore_label": again.ignored,
        }
        return replace(self, **changes)  # type: ignore[type-var] # it is a dataclass

    def _made_by(self, groups: Groups | None, min_confidence: float | None) -> dict[str, str]:
        found = {k: v for k, v in self.provenance.items() if k != "min_confidence"}
        now = made_by(groups, min_confidence)
        if "groups" in found and "groups" in now:  # groups of groups
            now["groups"] = f"{found['groups']} {now['groups']}"
        return found | now

    def _kept(self) -> KeptScores:
        if self.scores is None:
            raise ValueError(
                'the scores of this picture were not kept: give keep="scores" to predict, predict_batch or '
                "stream"
            )
        return self.scores
