"""Describe a checkpoint: facts about its network for the manifest, and what running it costs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod

from fastfcn_export.dialect.dialect import Recognised
from fastfcn_export.dialect.procedure import (
    notes,
    resize_text,
    whole_picture,
    with_authors_procedure,
)
from fastfcn_export.network.architecture import EncNet, backbone_name, head_name, jpu_name
from fastfcn_export.request import Request
from fastfcn_export.target.targets import cost
from fastfcn_infer.artifact.class_table import numbered_classes, tables_of
from fastfcn_infer.artifact.manifest import RGB, ClassInfo, Input, Manifest, Model, Network, Output
from fastfcn_infer.artifact.procedure import Procedure
from fastfcn_infer.artifact.variant import Variant
from fastfcn_infer.system import record
from fastfcn_infer.system.excerpt import listing, printable
from fastfcn_infer.system.percent import percent

SIZE = (
    480,
    480,
)  # height and width, pixels: the crop that most FastFCN networks were trained with

_MOST_SKIPPED = 20  # names


@dataclass(frozen=True)
class StageCost:
    """One part of the network: parameters and multiply-adds."""

    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Description:
    """A checkpoint, described without converting it.

    Args:
        network: dialect, backbone, head and what was assumed.
        classes: number of classes.
        stages: part of the network -> its cost for one picture of `size`.
        size: height and width, pixels.
        weights_bytes: size of the exported weights in float32.
        activations_bytes: size of the largest layer's input and output in float32, for that picture.
        unused: reason why tensors of the checkpoint are left out -> how many.
        trained: data set and iterations, if the checkpoint says them; None: unknown.
        procedure: how an export would make labels of pictures; None: not asked.
        published: what the authors publish their scores with, if that is not `procedure`.
        notes: how the labels of an export may differ from those of a plain one, in sentences.
        class_names: in the order of the labels; empty: not asked.
        skipped: names of classes and functions that the file has beside the weights; nothing of them
            was built or called.
    """

    network: Network
    classes: int
    stages: Mapping[str, StageCost]
    size: tuple[int, int]
    weights_bytes: int
    activations_bytes: int
    unused: Mapping[str, int]
    trained: str | None = field(default=None, metadata=record.OMITTED)
    procedure: Procedure | None = field(default=None, metadata=record.OMITTED)
    notes: tuple[str, ...] = field(default=(), metadata=record.OMITTED)
    class_names: tuple[str, ...] = field(default=(), metadata=record.OMITTED)
    skipped: tuple[str, ...] = field(default=(), metadata=record.OMITTED)
    published: Procedure | None = field(default=None, metadata=record.OMITTED)


def describe(recognised: Recognised, model: Model | None = None) -> Description:
    """Describe a recognised checkpoint and count what its network costs.

    Args:
        recognised: the checkpoint.
        model: the graph that an export would make of it; None: not asked.
    """
    layers = cost.layers(recognised.architecture, SIZE)
    stages: dict[str, StageCost] = {}
    for layer in layers:
        sum_ = stages.get(layer.stage, StageCost(0, 0))
        stages[layer.stage] = StageCost(
            sum_.parameters + layer.parameters, sum_.multiply_adds + layer.multiply_adds
        )
    trained = recognised.trained
    return Description(
        network=network_facts(recognised),
        classes=recognised.architecture.classes,
        stages=stages,
        size=SIZE,
        weights_bytes=4 * sum(prod(s) for layer in layers for _, s in layer.tensors),
        activations_bytes=4 * max(layer.elements for layer in layers),
        unused=recognised.unused,
        trained=None if trained is None else f"{trained.dataset}, {trained.iterations} iterations",
        procedure=None if model is None else model.procedure,
        notes=() if model is None else model.notes,
        class_names=() if model is None else tuple(entry.name for entry in model.classes),
        skipped=recognised.skipped,
        published=None if model is None else model.published,
    )


def network_facts(recognised: Recognised) -> Network:
    """Return the manifest's facts about a network."""
    architecture, trained = recognised.architecture, recognised.trained
    layers = cost.layers(architecture, SIZE)
    return Network(
        dialect=recognised.dialect,
        backbone=backbone_name(architecture.backbone),
        head=head_name(architecture.head),
        jpu=jpu_name(architecture.jpu),
        output_stride=recognised.output_stride,
        laterals=isinstance(architecture.head, EncNet) and bool(architecture.head.laterals),
        parameters=sum(layer.parameters for layer in layers),
        multiply_adds=sum(layer.multiply_adds for layer in layers),
        assumed=recognised.assumed + recognised.found,
        convention=recognised.conventions.scores if trained is None else trained.convention,
    )


def model_of(
    recognised: Recognised, name: str, classes: tuple[ClassInfo, ...], request: Request
) -> Model:
    """Return the description of the graph that the artifact carries.

    Args:
        recognised: the checkpoint.
        name: of the model.
        classes: names and colours, in the order of the labels; they may decide the authors' size.
        request: what to make of the checkpoint.

    Raises:
        ValueError: the output would change the labels, which the request does not accept; or the graph would
            take bytes of other than three channels.
    """
    conventions, channels = recognised.conventions, recognised.architecture.channels
    if request.with_preprocess and channels != RGB:
        raise ValueError(
            f"--with-preprocess makes a graph that takes RGB bytes, and the network takes {channels} bands. Leave it out"
        )
    stride = recognised.architecture.logits_stride if request.output == "logits" else 1
    model = Model(
        name=name,
        classes=classes,
        input=Input(
            "pixels" if request.with_preprocess else "image",
            conventions.mean,
            conventions.std,
            conventions.padding,
            request.options.shape,
            conventions.white,
        ),
        output=Output(request.output, stride, request.threshold),
        align_corners=conventions.align_corners,
        precision=request.options.precision,
        procedure=whole_picture(
            recognised, classes, request.output, accept_own_size=request.accept_own_size
        ),
        network=network_facts(recognised),
        trained_on=() if recognised.trained is None else recognised.trained.learned_from,
    )
    model = with_authors_procedure(recognised, model)
    return replace(model, notes=notes(recognised, model, request.formats))


def description_text(description: Description) -> str:
    """Format a description for people."""
    height, width = description.size
    lines = [
        network_text(description.network, description.classes),
        *([f"trained  {description.trained}"] if description.trained else []),
        *([_pictures(description.procedure)] if description.procedure else []),
        *([_scores(description.published)] if description.published else []),
        *([classes_text(description.class_names)] if description.class_names else []),
        "",
        f"{'part':<18}{'parameters':>14}{'multiply-adds':>18}   (one picture of {height} x {width})",
    ]
    for stage, part in description.stages.items():
        lines.append(f"{stage:<18}{part.parameters:>14,}{part.multiply_adds / 1e9:>16.2f} G")
    network = description.network
    lines += [
        f"{'all':<18}{network.parameters:>14,}{network.multiply_adds / 1e9:>16.2f} G",
        "",
        f"memory   weights {description.weights_bytes / 1e6:.0f} MB, largest layer "
        f"{description.activations_bytes / 1e6:.0f} MB",
    ]
    lines += [
        f"unused   {count} tensors: {reason}" for reason, count in description.unused.items()
    ]
    if description.skipped:
        names = listing([printable(name, 100) for name in description.skipped], most=_MOST_SKIPPED)
        lines.append(f"skipped  beside the weights, neither built nor called: {names}")
    return "\n".join(lines)


def manifest_text(manifest: Manifest, folder: str) -> str:
    """Format the result of an export for people."""
    model = manifest.model
    size = sum(facts.size for facts in manifest.files.values())
    lines = [
        network_text(model.network, len(model.classes)),
        classes_text([entry.name for entry in model.classes]),
        f"artifact {folder}, {len(manifest.files)} files, {size / 1e6:.1f} MB",
    ]
    if model.published is not None:
        lines.append(_scores(model.published))
    proof = manifest.verification
    if proof is None:
        lines.append("not verified (--verify off)")
    else:
        worst = (
            f"worst difference {proof.worst_difference:.1e} of the largest output (allowed "
            f"{proof.allowed_difference:.0e}), "
        )
        lines.append(
            f"verified {proof.runtime} against {proof.reference}: "
            f"{'' if model.output.name == 'labels' else worst}"
            f"{percent(proof.label_agreement)}% of the labels agree"
        )
    lines += [variant_text(each, variant) for each, variant in manifest.variants.items()]
    return "\n".join(lines)


def variant_text(precision: str, variant: Variant) -> str:
    """Format the record of a graph in another precision for people, after "int8"."""
    found, lines = variant.agreement, []
    inner = (
        f" ({percent(found.interior, 2)}% of those more than {found.margin} pixels away from a boundary)"
        if found.interior is not None
        else ""
    )
    lines.append(
        f"{percent(found.overall, 2)}% of the labels equal float32's{inner}, of {found.pictures} held-out pictures of "
        f"{found.source} (required: {found.required:.2%}), on {variant.runtime}"
    )
    if variant.task is not None:
        lines.append(
            f"mean IoU {variant.task.mean_iou:.4f}, in float32 {variant.task.mean_iou_fp32:.4f}, of the classes that "
            f"occur there (allowed: {100 * variant.task.allowed_loss:g} points less)"
        )
    if variant.calibration is not None:
        lines.append(
            f"calibrated on {variant.calibration.pictures} other pictures of the same source"
        )
    if variant.kept:
        lines.append(f"in float32 stay {', '.join(variant.kept)}")
    return "\n".join(f"{precision:<9}{line}" for line in lines)


def classes_text(names: Sequence[str]) -> str:
    """Say what the classes are called, and if they are only numbered, how to name them."""
    if not _numbered(names):
        return f"classes  {listing([printable(name, 40) for name in names], most=6)}"
    fitting = tables_of(len(names))
    hint = "--classes FILE.json names them"
    if fitting:
        verb = "has" if len(fitting) == 1 else "have"
        hint = f"{' and '.join(fitting)} {verb} as many (--classes {fitting[0]})"
    last = f' to "{names[-1]}"' if len(names) > 1 else ""
    return f'classes  called "{names[0]}"{last}; {hint}'


def suggested_table(names: Sequence[str]) -> str | None:
    """The one class table that fits classes which are only numbered; None if none or several do."""
    fitting = tables_of(len(names)) if _numbered(names) else ()
    return fitting[0] if len(fitting) == 1 else None


def _numbered(names: Sequence[str]) -> bool:
    return bool(names) and tuple(names) == tuple(c.name for c in numbered_classes(len(names)))


def network_text(network: Network, classes: int) -> str:
    """Format the facts about a network for people."""
    parts = []
    if network.output_stride is not None:  # of a network whose parts are known
        stride = f"output stride {network.output_stride}"
        parts = [network.backbone, stride, network.jpu or "no JPU"]
    parts += ["laterals"] if network.laterals else []
    count = "one logit" if classes == 1 else f"{classes} classes"
    lines = [
        f"dialect  {network.dialect}",
        f"network  {', '.join([network.head, *parts, count])}",
    ]
    lines += [f"assumed  {sentence}" for sentence in network.assumed]
    return "\n".join(lines)


def _pictures(procedure: Procedure) -> str:
    resize = procedure.resize
    steps = "; logits resized twice, to that size and to the picture's" if procedure.twice else ""
    size = "at their own size" if resize is None else f"resized {resize_text(resize)}"
    return f"pictures {size}{steps}"


def _scores(published: Procedure) -> str:
    return f"scores   are published with the procedure {published.kind}: --procedure published"
