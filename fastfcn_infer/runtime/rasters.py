"""The methods of `Segmenter` for rasters, which are labelled in parts."""

import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.inference.conventions import choose_procedure
from fastfcn_infer.inference.forecast import Plan
from fastfcn_infer.inference.probability.groups import Groups
from fastfcn_infer.inference.probability.options import ResultOptions
from fastfcn_infer.picture.read import DEFAULT_MAX_PIXELS
from fastfcn_infer.runtime.backend import Backend
from fastfcn_infer.runtime.pace import Planner

if TYPE_CHECKING:
    from fastfcn_infer.inference.raster.predict import RasterResult


class RasterLabelling(ABC):
    """Labels rasters with an opened model."""

    model: Model
    artifact: Artifact
    _backend: Backend
    _planner: Planner

    def predict_raster(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        procedure: str | Procedure = "tiles",
        *,
        max_memory: str | int = "1GiB",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        depth: int | None = None,
        groups: Groups | None = None,
        min_confidence: float | None = None,
    ) -> "RasterResult":
        """Label a raster of any size, with constant memory, and write the labels as a (Geo)TIFF.

        A TIFF is read in bands of rows, other pictures are decoded once. The labels are those that
        `predict` gives with the same procedure. They are kept beside the target as they become
        final, so that the same call continues where an earlier one was interrupted. Needs
        ``fastfcn-infer[geo]``.

        Args:
            source: path of the raster.
            target: path of the result, ``.tif``; replaced in one step when all is labelled. It is tiled
                and compressed, has the georeference of the source, the colours of the classes as
                its palette and their names, as JSON, in the tag ``CLASS_NAMES``.
            procedure: one with windows at the raster's own size, such as ``tiles``.
            max_memory: memory that this call may use beyond the opened model: bytes, or text such as "1GiB".
            max_pixels: the largest picture to decode at once, where it is not a TIFF.
            depth: bits, 8 to 16, that a raster of 16 bits uses; None: all 16.
            groups: as in `Segmenter.predict`.
            min_confidence: likewise; less certain pixels are written as pixels without data.

        Raises:
            ValueError: the procedure cannot be computed in parts, `max_memory` is not an amount, `depth` is
                unknown, or `groups` or `min_confidence` do not fit the model.
            ImageError: the raster cannot be read, or needs more memory than allowed; says how much.
            BackendMissing: rasterio is not installed.
            BackendError: the runtime failed, or this segmenter was closed.
            OSError: the result could not be written; a file of that name is what it was before.
        """
        from fastfcn_infer.inference.raster.memory import parse_memory
        from fastfcn_infer.inference.raster.predict import predict_raster

        chosen = choose_procedure(procedure, self.model)
        options = ResultOptions(None, groups, min_confidence)
        options.check(self.model)
        return predict_raster(
            Path(source),
            Path(target),
            self.artifact,
            self._backend,
            chosen,
            profile=self._planner.profile,
            runtime=self._backend.facts.identity,
            max_memory=parse_memory(max_memory),
            max_pixels=max_pixels,
            depth=depth,
            provenance=self.made_by(chosen, depth) | options.made_by(),
            options=options,
        )

    def plan_raster(
        self,
        source: str | os.PathLike[str],
        procedure: str | Procedure = "tiles",
        *,
        max_memory: str | int = "1GiB",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        depth: int | None = None,
    ) -> Plan:
        """Say what `predict_raster` would take, as `plan` does; the raster is opened, not labelled.

        Arguments and errors are those of `predict_raster`, except for the target and what changes labels.
        """
        from fastfcn_infer.inference.raster.memory import parse_memory
        from fastfcn_infer.inference.raster.predict import survey_raster

        chosen = choose_procedure(procedure, self.model)
        size, layout = survey_raster(
            Path(source),
            self.model,
            self._planner.profile,
            chosen,
            max_memory=parse_memory(max_memory),
            max_pixels=max_pixels,
            depth=depth,
        )
        return self._planner.plan(size, chosen, layout)

    @abstractmethod
    def made_by(self, procedure: Procedure, depth: int | None) -> dict[str, str]:
        """Return the provenance of a result."""
