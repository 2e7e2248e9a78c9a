"""Open a model again where a pickled or copied segmenter is wanted."""

import functools
import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from fastfcn_infer.artifact.class_table import class_table_names
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.errors import ArtifactError

_Given = ParamSpec("_Given")
_Found = TypeVar("_Found", bound="Reopened")


class Reopened:
    """A segmenter that can be pickled: what is kept is what opens its model again."""

    procedure: Procedure
    _provenance: Mapping[str, str]
    _options: Mapping[str, Any] | None = None  # of `from_pretrained`; None if not opened by it

    @property
    def identity(self) -> tuple[str, ...]:
        """Hashes of the model's files and of its classes."""
        return tuple(self._provenance[key] for key in ("model_sha256", "classes_sha256"))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what opens the model again, in another process or as a copy.

        Raises:
            TypeError: it was not opened by `from_pretrained`.
        """
        if self._options is None:
            raise TypeError(
                "a Segmenter that was not opened by Segmenter.from_pretrained cannot be pickled or copied: "
                "open it in the process that uses it"
            )
        return _reopen, (type(self), self._options, self.procedure, self.identity)


def remembering(open_model: Callable[_Given, _Found]) -> Callable[_Given, _Found]:
    """Let what `from_pretrained` returns remember its options; the procedure is remembered as it is set."""
    signature = inspect.signature(open_model)

    @functools.wraps(open_model)
    def opened(*words: _Given.args, **named: _Given.kwargs) -> _Found:
        found = open_model(*words, **named)
        bound = signature.bind(*words, **named)
        bound.apply_defaults()
        _, *options = bound.arguments.items()  # without the class
        found._options = _portable({k: v for k, v in options if k != "procedure"})
        return found

    return opened


def _reopen(
    kind: Any, options: Mapping[str, Any], procedure: Procedure, identity: tuple[str, ...]
) -> Reopened:
    """Open a model as it was when its segmenter was pickled.

    Args:
        kind: the class of the segmenter.
        options: of its `from_pretrained`.
        procedure: how pictures become labels.
        identity: of the model then.

    Raises:
        ArtifactError: it is another one by now, or gone; and all that `from_pretrained` raises.
    """
    found = kind.from_pretrained(**options, procedure=procedure)
    if found.identity != identity:
        found.close()
        raise ArtifactError(
            f"{options['model'] or 'The embedded model'} was changed since the Segmenter was pickled: its "
            "files or its classes are others. Open it again, and pickle that one."
        )
    return cast("Reopened", found)


def _portable(options: Mapping[str, Any]) -> dict[str, Any]:
    """Make options hold in any folder: paths are made absolute, names stay as they are."""
    found = dict(options)
    for name in ("model", "classes", "cache_dir"):
        given = found[name]
        table = name == "classes" and given in class_table_names()
        if given is not None and not table and (name == "cache_dir" or _is_path(given)):
            found[name] = os.path.abspath(given)  # noqa: PTH100 - keeps links
    return found


def _is_path(given: str | os.PathLike[str]) -> bool:
    return not isinstance(given, str) or Path(given).exists()
