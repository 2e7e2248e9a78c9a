"""``fastfcn info``: describe an artifact, a checkpoint or a model of the catalogue."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from fastfcn_infer.cli import exit_codes
from fastfcn_infer.cli.command import add_quiet_argument

if TYPE_CHECKING:
    from fastfcn_infer.hub.catalogue import Entry

SUMMARY = "Describe an artifact, a checkpoint or a published model"
SHOWN = 20  # names of classes; --json has them all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="Artifact folder, .onnx that fastfcn-export wrote, checkpoint, hub:OWNER/NAME, or a name "
        "that `fastfcn models` lists",
    )
    parser.add_argument(
        "--dialect", help="Dialect; only for a checkpoint (default: found from its keys)"
    )
    parser.add_argument(
        "--output-stride",
        type=int,
        choices=(8, 16, 32),
        help="Output stride of the backbone; only for a checkpoint",
    )
    parser.add_argument("--cache-dir", metavar="DIR", help="Keep downloads in DIR")
    parser.add_argument("--offline", action="store_true", help="Download nothing")
    add_quiet_argument(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the description; every file of an artifact is checked first. Nothing of the catalogue is downloaded."""
    from pathlib import Path

    from fastfcn_infer.hub.conversion import SUFFIXES, Conversion, describe_checkpoint
    from fastfcn_infer.hub.models import find_artifact, find_entry, refuse_checkpoint_options
    from fastfcn_infer.runtime.tuned_profile import summary_of_profile
    from fastfcn_infer.system import record

    path = Path(arguments.model)
    conversion = Conversion(None, arguments.dialect, arguments.output_stride)
    if path.name.lower().endswith(SUFFIXES) and not path.is_dir():
        description = describe_checkpoint(path, conversion)
        _print(record.to_data(description), as_json=arguments.json)
        return exit_codes.FINE
    entry = find_entry(arguments.model)
    if entry is not None:
        _refuse_stated(arguments, entry)
        get = "downloaded when first used" if entry.url else f"by hand, from {entry.page}"
        facts = record.to_data(entry) | {"file": get}
        if not arguments.json:
            facts = {name: value for name, value in facts.items() if value is not None}
        _print(facts, as_json=arguments.json)
        return exit_codes.FINE
    cache = None if arguments.cache_dir is None else Path(arguments.cache_dir)
    artifact = find_artifact(arguments.model, cache, local_files_only=arguments.offline)
    refuse_checkpoint_options(arguments.model, conversion)
    facts = artifact.manifest or artifact.model
    data = record.to_data(facts)
    tuned = summary_of_profile(artifact, cache)
    data |= {} if tuned is None else {"tuned": tuned}
    if not arguments.json:
        model = data.get("model", data)
        model["classes"] = _short([entry["name"] for entry in model["classes"]])
        if "trained_on" in model:
            model["trained_on"] = [_trained(entry) for entry in model["trained_on"]]
    _print(data, as_json=arguments.json)
    return exit_codes.FINE


def _refuse_stated(arguments: argparse.Namespace, entry: "Entry") -> None:
    """Refuse to say of a published checkpoint what the catalogue states."""
    if arguments.dialect is not None or arguments.output_stride is not None:
        raise ValueError(
            f"--dialect and --output-stride are for the file of a checkpoint; {entry.name} is described "
            f"by the catalogue: dialect {entry.dialect}, output stride {entry.output_stride}"
        )


def _short(names: list[str]) -> str:
    shown = names if len(names) <= SHOWN else [*names[:SHOWN], "..."]
    return f"{len(names)}: {', '.join(shown)}"


def _trained(entry: dict[str, Any]) -> str:
    count = f" ({entry['pictures']} pictures)" if entry["pictures"] else ""
    return f"{entry['dataset']}: {', '.join(entry['parts'])}{count}"


def _print(data: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(data, indent=2, ensure_ascii=False))
    else:
        print("\n".join(_lines(data, "")))


def _lines(data: dict[str, object], indent: str) -> list[str]:
    lines = []
    for key, value in data.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}", *_lines(value, indent + "  ")]
        elif isinstance(value, list) and value and isinstance(value[0], str):
            lines += [f"{indent}{key}", *(f"{indent}  {item}" for item in value)]
        else:
            shown = f"{value:,}" if type(value) is int and value > 9999 else value
            lines.append(f"{indent}{key:<{max(20 - len(indent), 1)}} {shown}")
    return lines
