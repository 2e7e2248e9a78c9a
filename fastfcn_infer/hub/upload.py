"""Publish an artifact: a folder with a model card, or a repository on the Hugging Face Hub.

The client belongs to the extra ``hub`` and is imported only for an upload.
"""

import errno
import os
import re
import tempfile
from pathlib import Path

from fastfcn_infer.artifact.artifact import Artifact
from fastfcn_infer.artifact.copy import copy
from fastfcn_infer.errors import ArtifactError, UploadError
from fastfcn_infer.hub.card import NAME, write_card
from fastfcn_infer.hub.card_facts import CardFacts, check_measured
from fastfcn_infer.hub.client import (
    OFFLINE,
    hub_errors,
    hub_logger,
    offline,
    package,
    quiet,
    reason_of,
)
from fastfcn_infer.hub.download import HUB, parse_hub_name
from fastfcn_infer.system.atomic import write_file
from fastfcn_infer.system.excerpt import excerpt, printable

_PART = r"\w(?:[\w.-]{0,94}\w)?"
_REPOSITORY = re.compile(rf"(?!.*(?:\.\.|--))({_PART}/{_PART})", re.ASCII)


def check_repository(name: str) -> str:
    """Return ``OWNER/NAME`` of a repository's name, which may begin with ``hub:``.

    Raises:
        ValueError: it has another form.
    """
    match = _REPOSITORY.fullmatch(name.removeprefix(HUB))
    if match is None:
        raise ValueError(
            f"{excerpt(name)} is not the name of a repository on the hub: OWNER/NAME was expected, and a branch "
            "as --revision (revision=)"
        )
    return match[1]


def with_revision(repository: str, revision: str | None) -> str:
    """Return the name that opens a revision of a repository, without ``hub:``.

    Raises:
        ValueError: `revision` is no branch's name.
    """
    if revision is None:
        return repository
    name = f"{repository}@{revision}"
    try:
        parse_hub_name(HUB + name)
    except ArtifactError as error:
        raise ValueError(
            f"revision {excerpt(revision)}: the name of a branch was expected"
        ) from error
    return name


def save(
    artifact: Artifact,
    folder: Path,
    facts: CardFacts,
    *,
    repository: str | None = None,
) -> None:
    """Write a copy of an artifact with its model card, which is not one of the checked files.

    Args:
        artifact: as it was opened from a folder.
        folder: of the copy.
        facts: for the card.
        repository: ``OWNER/NAME[@REVISION]``, which the card's example opens; None: a folder.

    Raises:
        ArtifactError: `artifact` is a lone ``.onnx``, or was changed since it was opened.
        FileExistsError: `folder` exists.
        ValueError: `facts` has figures of another model.
        OSError: a file cannot be read or written.
    """
    if os.path.lexists(folder):
        raise FileExistsError(errno.EEXIST, "exists already; choose another folder", str(folder))
    check_measured(artifact, facts)
    card = write_card(artifact, facts, repository)
    copy(artifact, folder, force=False)
    write_file(folder / NAME, card.encode())


def push(
    artifact: Artifact,
    name: str,
    facts: CardFacts,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
) -> str:
    """Upload a copy of an artifact with its model card; the repository is made if it does not exist.

    Who uploads is what huggingface_hub finds: the variable HF_TOKEN, or ``hf auth login``.

    Args:
        artifact: as it was opened from a folder.
        name: ``OWNER/NAME``.
        facts: for the card.
        private: of a repository that does not exist yet.
        revision: an existing branch; None: the default one.
        message: of the commit; None: one that names the model.

    Returns:
        The address of the commit.

    Raises:
        ValueError: `name` has another form, or `facts` has figures of another model.
        ArtifactError: as `save`.
        BackendMissing: the extra ``hub`` is not installed.
        UploadError: it could not be uploaded; the repository is as it was, or new and empty.
    """
    repository = check_repository(name)
    if offline():
        raise UploadError(f"{repository} was not uploaded: {OFFLINE} forbids it.")
    hub = package("huggingface_hub", f"{repository} is uploaded")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "artifact"
        save(artifact, folder, facts, repository=with_revision(repository, revision))
        try:
            with quiet(hub_logger()):
                api = hub.HfApi()
                api.create_repo(repository, private=private, exist_ok=True)
                commit = api.upload_folder(
                    repo_id=repository,
                    folder_path=folder,
                    revision=revision,
                    commit_message=message or f"Upload {printable(artifact.model.name, 60)}",
                )
        except hub_errors(hub) as error:
            raise UploadError(
                f"{repository} was not uploaded: {reason_of(error)}. Check the name, and that HF_TOKEN (or hf auth "
                "login) gives the right to write there; then try again."
            ) from error
    return str(commit.commit_url)
