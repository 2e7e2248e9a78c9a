"""Open a model again where a pickled or copied segmenter is wanted."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from fastfcn_infer.artifact.class_table import class_table_names
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.errors import ArtifactError


class Opened(Protocol):
    """The part of a segmenter that tells models apart."""

    @property
    def identity(self) -> tuple[str, ...]:
        """Hashes of the files and of the classes."""

    def close(self) -> None:
        """Release it."""


def portable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Make the options of `Segmenter.from_pretrained` hold in any folder: paths absolute, names as they are."""
    found = dict(options)
    for name in ("model", "classes", "cache_dir"):
        given = found[name]
        table = name == "classes" and given in class_table_names()
        if given is not None and not table and (name == "cache_dir" or _is_path(given)):
            found[name] = os.path.abspath(given)  # noqa: PTH100 - keeps links
    return found


def reopen(
    kind: Any, options: Mapping[str, Any], procedure: Procedure, identity: tuple[str, ...]
) -> Opened:
    """Open a model as it was when its segmenter was pickled.

    Args:
        kind: the class of the segmenter.
        options: of its `from_pretrained`.
        procedure: how pictures become labels.
        identity: of the model then.

    Raises:
        ArtifactError: it is another one by now, or gone; and all that `from_pretrained` raises.
    """
    found: Opened = kind.from_pretrained(**options, procedure=procedure)
    if found.identity != identity:
        found.close()
        raise ArtifactError(
            f"{options['model'] or 'The embedded model'} was changed since the Segmenter was pickled: its "
            "files or its classes are others. Open it again, and pickle that one."
        )
    return found


def _is_path(given: str | os.PathLike[str]) -> bool:
    return not isinstance(given, str) or Path(given).exists()
