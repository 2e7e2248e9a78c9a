"""The methods of `Segmenter` that publish its model."""

import os
from collections.abc import Sequence
from pathlib import Path

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.hub.card_facts import Several, read_facts
from fastfcn_infer.hub.upload import push, save


class Published:
    """An opened model that can be saved and uploaded, with a card of what was measured."""

    artifact: Artifact

    def save_pretrained(
        self,
        folder: str | os.PathLike[str],
        *,
        scores: Several = (),
        speeds: Several = (),
        license: str | None = None,
        limits: Sequence[str] = (),
    ) -> None:
        """Write a copy of the artifact with its model card, ``README.md``.

        `from_pretrained` opens the folder. The card may be edited: it is not one of the checked files.

        Args:
            folder: where the copy is written.
            scores: file, or files, that ``fastfcn evaluate --json`` wrote of this model.
            speeds: file, or files, that ``fastfcn benchmark --format json`` wrote of this model.
            license: the Hub's identifier, such as ``apache-2.0``; None: the card says that it is not
                stated.
            limits: sentence, or sentences, on what the model cannot do.

        Raises:
            ArtifactError: the model is a lone ``.onnx``, or was changed since it was opened.
            FileExistsError: `folder` exists.
            ValueError: a file of `scores` or `speeds` is something else, or of another model.
            OSError: a file cannot be read or written.
        """
        save(self.artifact, Path(folder), read_facts(scores, speeds, license, limits))

    def push_to_hub(
        self,
        repository: str,
        *,
        private: bool = False,
        revision: str | None = None,
        message: str | None = None,
        scores: Several = (),
        speeds: Several = (),
        license: str | None = None,
        limits: Sequence[str] = (),
    ) -> str:
        """Upload the artifact with its model card to the Hugging Face Hub; needs ``fastfcn-infer[hub]``.

        ``Segmenter.from_pretrained("hub:OWNER/NAME")`` opens it then. The account is the one that
        huggingface_hub finds: the variable HF_TOKEN, or ``hf auth login``.

        Args:
            repository: ``OWNER/NAME``; it is made if it does not exist.
            private: make the repository private, if it does not exist yet.
            revision: an existing branch; None: the default one.
            message: the message of the commit; None: one that names the model.
            scores: as in `save_pretrained`.
            speeds: as in `save_pretrained`.
            license: as in `save_pretrained`.
            limits: as in `save_pretrained`.

        Returns:
            The address of the commit.

        Raises:
            ValueError: `repository` has another form; or as `save_pretrained`.
            ArtifactError: as `save_pretrained`.
            BackendMissing: the extra ``hub`` is not installed.
            UploadError: it could not be uploaded.
        """
        facts = read_facts(scores, speeds, license, limits)
        return push(
            self.artifact, repository, facts, private=private, revision=revision, message=message
        )
