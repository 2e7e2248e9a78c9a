"""The scores of a picture that one view covers: upsampled in one step, computed where they are asked for."""

import numpy as np

from fastfcn_infer.inference.interpolation import Floats, taps
from fastfcn_infer.inference.merge import Merged
from fastfcn_infer.inference.scores import Indices, Tile


class Upsampled:
    """One map, bilinearly resized to the picture; see `scores.Scores` for several."""

    def __init__(self, merged: Merged, *, align_corners: bool) -> None:
        """Prepare to resize a map.

        Args:
            merged: logits or probabilities.
            align_corners: convention of the resize.
        """
        self._map = merged.scores
        self.classes, height, width = merged.scores.shape
        self._same = (height, width) == merged.size
        self._down = taps(height, merged.size[0], align_corners=align_corners)
        self._across = taps(width, merged.size[1], align_corners=align_corners)

    def at(self, rows: slice, columns: slice) -> Tile:
        """Return what is known of the scores of a tile; see `Scores.at`."""
        seen = self._map[:, self._down.support(rows), self._across.support(columns)]
        around = np.asarray(seen, np.float32).reshape(self.classes, -1)

        def compute(classes: Indices) -> Floats:
            if self._same:
                return np.asarray(self._map[:, rows, columns][classes], np.float32)
            values = around[classes].reshape(len(classes), *seen.shape[1:])
            wide = np.matmul(values, self._across.matrix(columns).T)
            return np.asarray(np.matmul(self._down.matrix(rows), wide))

        return Tile(around.min(1), around.max(1), compute)
