"""PaddleSeg's published configuration of a FastFCN, and files that differ from it."""

import copy
from pathlib import Path
from typing import Any

import yaml

from fastfcn_training.cli.overrides import Overrides
from fastfcn_training.cli.paddleseg.files import read_config
from fastfcn_training.cli.recipe_source import Context, Plan
from fastfcn_training.cli.recipe_sources import paddleseg

CONFIGS = Path(__file__).parent / "data" / "paddleseg" / "configs"
PUBLISHED = CONFIGS / "fastfcn" / "fastfcn_resnet50_os8_ade20k_480x480_120k.yml"


def changed(folder: Path, **values: Any) -> Path:
    """Write the published configuration with other values.

    Args:
        folder: for the file.
        values: by the path of the key, with two underscores for each step: ``model__num_codes=8``;
            list items by their number. The value `...` deletes the key.
    """
    config: Any = copy.deepcopy(read_config(PUBLISHED))
    for path, value in values.items():
        place, (*above, last) = config, path.split("__")
        for key in above:
            place = place[int(key) if key.isdigit() else key]
        if value is ...:
            del place[int(last) if last.isdigit() else last]
        else:
            place[int(last) if last.isdigit() else last] = value
    file = folder / "config.yml"
    file.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return file


def plan(config: Path, *, overrides: Overrides | None = None, world: int = 1, **said: Any) -> Plan:
    """Read a configuration as ``fastfcn-train --config`` does."""
    context = Context(lambda name, root, split: 0, None, world)
    options = paddleseg.Options(config, **said)
    return paddleseg.plan(options, overrides or Overrides(), context)
