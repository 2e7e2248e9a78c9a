"""Translation of a PaddleSeg configuration into a `Recipe`.

Source: reference/fastfcn_semantics.md, 1.1, 5.2, 5.3 and 6.2.
"""

import os
from pathlib import Path
from typing import Any

from fastfcn_export.network.choice import NetworkChoice
from fastfcn_infer.system.excerpt import excerpt, listing, printable
from fastfcn_training.cli.paddleseg import data_schema as data
from fastfcn_training.cli.paddleseg import schema
from fastfcn_training.cli.paddleseg.sections import Sections
from fastfcn_training.cli.paddleseg.transforms import augmentation, normalisation
from fastfcn_training.recipe.recipe import Data, Losses, Optimiser, Recipe, Schedule

_DATASETS = {
    "ADE20K": "ade20k",
    "Cityscapes": "cityscapes",
    "PascalContext": "pascal_context_60",
    "PascalVOC": "voc",
    "Dataset": "listed",
}


def recipe(sections: Sections, *, validate: bool, save_every: int) -> Recipe:
    """Translate the sections.

    Args:
        sections: the sections.
        validate: validate whenever a checkpoint is saved.
        save_every: iterations.

    Raises:
        ValueError: they contradict each other, or are not supported here; lists all faults, one per
            line.
    """
    faults: list[str] = []
    mean, std = normalisation(sections.transforms, faults)
    changed = augmentation(sections.transforms, faults)
    split, validation_split = _splits(sections, validate, faults)
    minimised = _losses(sections, faults)
    factor, optimiser = _optimiser(sections.optimiser, faults)
    schedule = _schedule(sections, factor, faults)
    network = _network(sections, faults)
    if faults or network is None:
        raise ValueError("\n".join(faults))
    return Recipe(
        Data(_DATASETS[sections.training.type], split, validation_split, mean, std),
        sections.top.iters,
        sections.top.batch_size,
        network,
        changed,
        minimised,
        optimiser,
        schedule,
        seed=sections.train.seed or 0,
        precision="mixed" if sections.train.precision == "fp16" else "fp32",
        align_corners=False,
        validation_every=save_every if validate else 0,
        save_every=save_every,
        convention="paddleseg",
    )


def classes(sections: Sections) -> int | None:
    """Give the number of classes that the configuration states; None if it states none."""
    return sections.model.num_classes or sections.training.num_classes


def _network(sections: Sections, faults: list[str]) -> NetworkChoice | None:
    model, backbone = sections.model, sections.backbone
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


def _splits(sections: Sections, validate: bool, faults: list[str]) -> tuple[str, str | None]:
    training, validation = sections.training, sections.validation
    counts = {n for n in (sections.model.num_classes, training.num_classes) if n is not None}
    if len(counts) > 1:
        faults.append(
            f"num_classes: model and train_dataset disagree ({' and '.join(map(str, sorted(counts)))})"
        )
    split = _split("train_dataset", training, faults)
    if not validate:
        return split, None
    if validation is None:
        faults.append("val_dataset is missing, but validation was requested")
        return split, None
    if (validation.type, validation.dataset_root) != (training.type, training.dataset_root):
        faults.append("val_dataset: type and dataset_root must be those of train_dataset")
    return split, _split("val_dataset", validation, faults)


def _split(section: str, dataset: data.Dataset, faults: list[str]) -> str:
    """Name the part; for PaddleSeg's ``Dataset``, by its list file at the root."""
    if dataset.type != "Dataset":
        return dataset.mode
    key = "train_path" if dataset.mode == "train" else "val_path"
    listed = Path(getattr(dataset, key) or "")
    root = os.path.normpath(dataset.dataset_root or ".")
    if listed.suffix != ".txt" or os.path.normpath(listed.parent) != root:
        faults.append(
            f"{section}.{key} is {excerpt(listed)}, expected a list NAME.txt in the dataset_root {printable(root)} "
            "(see `fastfcn datasets listed`)"
        )
    return listed.stem


def _losses(sections: Sections, faults: list[str]) -> Losses:
    expected: list[type[Any]] = [schema.CrossEntropyLoss]
    if sections.model.aux_loss:
        expected.append(schema.CrossEntropyLoss)
    if sections.model.use_se_loss:
        expected.append(schema.SECrossEntropyLoss)
    count = len(expected)
    found = sections.losses * count if len(sections.losses) == 1 else sections.losses
    if [type(loss) for loss in found] != expected:
        faults.append(
            f"loss.types: {listing([type(loss).__name__ for loss in found])}; the outputs of this "
            f"model need {', '.join(kind.__name__ for kind in expected)}"
        )
        return Losses()
    weights = list(sections.coefficients)
    if len(weights) != count or weights[0] != 1 or min(weights) < 0:
        faults.append(
            f"loss.coef is {excerpt(weights)}; expected {count} numbers of at least 0, the first one 1"
        )
        return Losses()
    entropies = [loss for loss in found if isinstance(loss, schema.CrossEntropyLoss)]
    first = entropies[0]
    if any(loss != first for loss in entropies):
        faults.append("loss.types: CrossEntropyLoss must be the same for all outputs")
    return Losses(
        weights[1] if sections.model.aux_loss else 0,
        weights[-1] if sections.model.use_se_loss else 0,
        first.weight,
        "valid" if first.avg_non_ignore else "all",
    )


def _optimiser(section: schema.Sgd | schema.AdamW, faults: list[str]) -> tuple[float, Optimiser]:
    """Translate the optimiser; also returns the backbone's rate divided by the configured one."""
    clip = None if section.grad_clip_cfg is None else section.grad_clip_cfg.clip_norm
    factors = [item.lr_mult for item in section.custom_cfg] or [1.0]
    if len(factors) > 1 or factors[0] <= 0:
        faults.append("optimizer.custom_cfg: expected one item with an lr_mult above 0")
        factors = [1.0]
    decay, head = section.weight_decay, 1 / factors[0]
    try:
        if isinstance(section, schema.AdamW):
            return factors[0], Optimiser("adamw", 0.9, decay, head, clip)
        return factors[0], Optimiser("sgd", section.momentum, decay, head, clip)
    except ValueError as error:
        faults.append(f"optimizer: {error}")
        return 1.0, Optimiser()


def _schedule(sections: Sections, factor: float, faults: list[str]) -> Schedule:
    section, length = sections.schedule, sections.top.iters - sections.schedule.warmup_iters
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
            f"lr_scheduler ends after {planned} iterations; expected {length}, the length of the "
            "training without the warm-up"
        )
    try:
        return Schedule(**values)
    except ValueError as error:
        faults.append(f"lr_scheduler: {error}")
        return Schedule()
