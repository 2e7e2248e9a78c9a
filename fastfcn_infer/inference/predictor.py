"""What evaluation, benchmark and self-test need of an opened model; `Segmenter` is one."""

from collections.abc import Mapping
from typing import Protocol

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.manifest import Model
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.inference.segmentation import Segmentation
from fastfcn_infer.picture.read import PictureSource


class Predictor(Protocol):
    """An opened model that labels pictures."""

    @property
    def model(self) -> Model:
        """Classes, input, output and procedure of the model."""

    @property
    def artifact(self) -> Artifact:
        """The files that were opened."""

    @property
    def procedure(self) -> Procedure:
        """How pictures become labels."""

    @property
    def provenance(self) -> Mapping[str, str]:
        """Model, runtime and versions; ``backend`` names the runtime."""

    def predict(self, picture: PictureSource) -> Segmentation:
        """Label every pixel of a picture.

        Raises:
            ImageError: the picture cannot be read or is too large.
            BackendError: the runtime failed, or the model was closed.
        """
