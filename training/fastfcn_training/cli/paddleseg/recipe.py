"""What a PaddleSeg configuration means: its sections as a `Recipe`.

Source: reference/fastfcn_semantics.md, 1.1, 5.2, 5.3 and 6.2.
"""

import os
from pathlib import Path
from typing import Any

from fastfcn_export.network.choice import NetworkChoice
from fastfcn_training.cli.paddleseg import picture_schema as data
from fastfcn_training.cli.paddleseg import schema
from fastfcn_training.cli.paddleseg.pictures import augmentation, normalisation
from fastfcn_training.cli.paddleseg.sections import Parts
from fastfcn_training.recipe.recipe import Data, Losses, Optimiser, Recipe, Schedule

_DATASETS = {
    "ADE20K": "ade20k",
    "Cityscapes": "cityscapes",
    "PascalContext": "pascal_context_60",
    "PascalVOC": "voc",
    "Dataset": "listed",
}


def recipe(parts: Parts, *, validate: bool, save_every: int) -> Recipe:
    """Translate the sections.

    Args:
        parts: the sections.
        validate: wanted whenever a checkpoint is saved.
        save_every: iterations.

    Raises:
        ValueError: they contradict each other, or there is no such training here; lists all
            faults, one a line.
    """
    faults: list[str] = []
    mean, std = normalisation(parts.transforms, faults)
    changed = augmentation(parts.transforms, faults)
    split, validation_split = _splits(parts, validate, faults)
    minimised = _losses(parts, faults)
    factor, optimiser = _optimiser(parts.optimiser, faults)
    schedule = _schedule(parts, factor, faults)
    network = _network(parts, faults)
    if faults or network is None:
        raise ValueError("\n".join(faults))
    return Recipe(
        Data(_DATASETS[parts.learned.type], split, validation_split, mean, std),
        parts.top.iters,
        parts.top.batch_size,
        network,
        changed,
        minimised,
        optimiser,
        schedule,
        seed=parts.train.seed or 0,
        precision="mixed" if parts.train.precision == "fp16" else "fp32",
        align_corners=False,
        validation_every=save_every if validate else 0,
        save_every=save_every,
        convention="paddleseg",
    )


def classes(parts: Parts) -> int | None:
    """Tell how many classes the configuration speaks of."""
    return parts.model.num_classes or parts.learned.num_classes


def _network(parts: Parts, faults: list[str]) -> NetworkChoice | None:
    model, backbone = parts.model, parts.backbone
    try:
        return NetworkChoice(
            backbone.type.removesuffix("_vd").lower(),  # type: ignore[arg-type]
            "vd",
            output_stride=backbone.output_stride,
            jpu="jpu" if model.use_jpu else None,
            jpu_width=model.mid_channels,
            head_width=model.mid_channels,
            codes=model.num_codes,
            laterals=model.add_lateral,
            auxiliary=model.aux_loss,
            auxiliary_width=model.mid_channels,
            semantic=model.use_se_loss,
            family="paddleseg",
        )
    except ValueError as error:
        faults.append(f"model: {error}")
        return None


def _splits(parts: Parts, validate: bool, faults: list[str]) -> tuple[str, str | None]:
    learned, validated = parts.learned, parts.validated
    counts = {n for n in (parts.model.num_classes, learned.num_classes) if n is not None}
    if len(counts) > 1:
        faults.append(f"num_classes is {' here and '.join(map(str, sorted(counts)))} there")
    split = _split("train_dataset", learned, faults)
    if not validate:
        return split, None
    if validated is None:
        faults.append("val_dataset: missing, so there is nothing to validate on")
        return split, None
    if (validated.type, validated.dataset_root) != (learned.type, learned.dataset_root):
        faults.append("val_dataset: type or dataset_root differ from those of train_dataset")
    return split, _split("val_dataset", validated, faults)


def _split(section: str, dataset: data.Dataset, faults: list[str]) -> str:
    """Name the part; that of PaddleSeg's ``Dataset`` by its list, which lies at the root."""
    if dataset.type != "Dataset":
        return dataset.mode
    key = "train_path" if dataset.mode == "train" else "val_path"
    listed = Path(getattr(dataset, key) or "")
    root = os.path.normpath(dataset.dataset_root or ".")
    if listed.suffix != ".txt" or os.path.normpath(listed.parent) != root:
        faults.append(
            f"{section}.{key} is {str(listed)!r}; a list NAME.txt in {root}, the dataset_root, was "
            "expected (see `fastfcn datasets listed`)"
        )
    return listed.stem


def _losses(parts: Parts, faults: list[str]) -> Losses:
    expected: list[type[Any]] = [schema.CrossEntropyLoss]
    if parts.model.aux_loss:
        expected.append(schema.CrossEntropyLoss)
    if parts.model.use_se_loss:
        expected.append(schema.SECrossEntropyLoss)
    count = len(expected)
    found = parts.losses * count if len(parts.losses) == 1 else parts.losses
    if [type(loss) for loss in found] != expected:
        faults.append(
            f"loss.types: {', '.join(type(loss).__name__ for loss in found)}; for the outputs of "
            f"this model expected {', '.join(kind.__name__ for kind in expected)}"
        )
        return Losses()
    weights = list(parts.coefficients)
    if len(weights) != count or weights[0] != 1 or min(weights) < 0:
        faults.append(f"loss.coef is {weights}; expected {count} numbers from 0, the first one 1")
        return Losses()
    entropies = [loss for loss in found if isinstance(loss, schema.CrossEntropyLoss)]
    first = entropies[0]
    if any(loss != first for loss in entropies):
        faults.append("loss.types: CrossEntropyLoss must be the same for all outputs")
    return Losses(
        weights[1] if parts.model.aux_loss else 0,
        weights[-1] if parts.model.use_se_loss else 0,
        first.weight,
        "valid" if first.avg_non_ignore else "all",
    )


def _optimiser(section: schema.Sgd | schema.AdamW, faults: list[str]) -> tuple[float, Optimiser]:
    """Translate; gives the rate of the backbone over the one that is written down as well."""
    clip = None if section.grad_clip_cfg is None else section.grad_clip_cfg.clip_norm
    factors = [item.lr_mult for item in section.custom_cfg] or [1.0]
    if len(factors) > 1 or factors[0] <= 0:
        faults.append("optimizer.custom_cfg: one item with an lr_mult above 0 was expected")
        factors = [1.0]
    decay, head = section.weight_decay, 1 / factors[0]
    try:
        if isinstance(section, schema.AdamW):
            return factors[0], Optimiser("adamw", 0.9, decay, head, clip)
        return factors[0], Optimiser("sgd", section.momentum, decay, head, clip)
    except ValueError as error:
        faults.append(f"optimizer: {error}")
        return 1.0, Optimiser()


def _schedule(parts: Parts, factor: float, faults: list[str]) -> Schedule:
    section, length = parts.schedule, parts.top.iters - parts.schedule.warmup_iters
    values: dict[str, Any] = {
        "rate": section.learning_rate * factor,
        "warm_up": section.warmup_iters,
        "warm_up_from": section.warmup_start_lr * factor,
        "warm_up_apart": section.warmup_iters > 0,
    }
    planned = length
    if isinstance(section, schema.PolynomialDecay):
        values |= {"kind": "poly", "end": section.end_lr * factor, "power": section.power}
        planned = length if section.decay_steps is None else section.decay_steps
    elif isinstance(section, schema.CosineAnnealingDecay):
        values["kind"] = "cos"
        planned = section.T_max
    else:
        values |= {"kind": "step", "step": section.step_size}
    if planned != length:
        faults.append(
            f"lr_scheduler ends after {planned} iterations; expected {length}, the end of the "
            "training, behind the warm-up"
        )
    try:
        return Schedule(**values)
    except ValueError as error:
        faults.append(f"lr_scheduler: {error}")
        return Schedule()
