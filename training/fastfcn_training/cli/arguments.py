"""The command line of ``fastfcn-train``: what was said, sorted by whom it concerns."""

import argparse
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

from fastfcn_infer.system.version import __version__
from fastfcn_training.cli import overrides, run_options
from fastfcn_training.cli.form import form_names, load_form
from fastfcn_training.cli.overrides import Changes
from fastfcn_training.cli.run_options import Conduct

_USAGE = """\
fastfcn-train (--dataset NAME | --config FILE.yml | --recipe NAME) --root DIR -o RUN [option ...]
       fastfcn-train --resume RUN --root DIR
       fastfcn-train align [option ...]
"""
_DESCRIPTION = """\
Train a FastFCN. Say what to learn in one of three ways, or go on with --resume RUN;
`fastfcn-train align` compares this training with recorded values of the original code.
"""
_EPILOG = """\
several GPUs: python -m paddle.distributed.launch --gpus 0,1 fastfcn-train ...

exit codes: 0 fine, 1 a bug of ours, 2 usage, 3 a picture or the data set cannot be read, 4 the
exported graph is not the network, 5 Paddle or a device is missing, 6 a checkpoint is damaged or does
not fit, 8 the training cannot go on, 130 interrupted and saved.
"""


@dataclass(frozen=True)
class Request:
    """What was said.

    Args:
        form: in which the training was described; None: by the run that is resumed.
        options: of the form.
        changes: to the recipe.
        conduct: fields of `Conduct` that were said.
    """

    form: str | None
    options: Any
    changes: Changes
    conduct: Mapping[str, Any]


def parser() -> argparse.ArgumentParser:
    """Make the parser; options that are not given are not in its namespace."""
    made = argparse.ArgumentParser(
        prog="fastfcn-train",
        usage=_USAGE,
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
        # What one form calls --batch-size another calls --batch_size: no guessing.
        allow_abbrev=False,
    )
    made.add_argument("--json", action="store_true", help="print the result as JSON")
    made.add_argument("--version", action="version", version=f"fastfcn-train {__version__}")
    for name in form_names():
        form = load_form(name)
        form.add_arguments(made.add_argument_group(form.TITLE))
    overrides.add_arguments(made.add_argument_group("changes to any of these"))
    run_options.add_arguments(made.add_argument_group("what does not change what is learned"))
    return made


def request(given: Mapping[str, Any]) -> Request:
    """Sort what was said.

    Raises:
        ValueError: it does not go together, or nothing says what to learn.
    """
    spoken = {name: _said(load_form(name).Options, given) for name in form_names()}
    spoken = {name: said for name, said in spoken.items() if said}
    changed = _said(Changes, given)
    conducted = _said(Conduct, given)
    if len(spoken) > 1:
        first, second, *_ = spoken.values()
        raise ValueError(
            f"{_flag(next(iter(first)))} and {_flag(next(iter(second)))} belong to two ways of "
            "saying what to learn; one was expected"
        )
    if not spoken:
        if "resume" not in conducted:
            raise ValueError("say what to learn: --dataset, --config or --recipe; or --resume RUN")
        if changed:
            raise ValueError(
                f"{_flag(next(iter(changed)))} would change a training that goes on; begin anew "
                "from its weights instead (--weights)"
            )
        return Request(None, None, Changes(), conducted)
    ((name, said),) = spoken.items()
    options = load_form(name).Options
    missing = [f.name for f in fields(options) if f.default is MISSING and f.name not in said]
    if missing:
        raise ValueError(f"{_flag(next(iter(said)))} needs {_flag(missing[0])}")
    return Request(name, options(**said), Changes(**changed), conducted)


def _said(kind: type[Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Select the fields of a dataclass."""
    said = {field.name: given[field.name] for field in fields(kind) if field.name in given}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in said.items()}


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
