"""How the authors of a checkpoint make labels of pictures, and what the options of an export change about it.

An option that changes labels says so: `notes` lists every such change, for the command's output and
for the manifest. An option that would drop the authors' resize is refused unless that is accepted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

from fastfcn_export.dialect.dialect import Recognised
from fastfcn_infer.artifact.class_table import class_table, class_table_names
from fastfcn_infer.artifact.manifest import RGB, ClassInfo, Model
from fastfcn_infer.artifact.procedure import SMALLEST, Procedure, Resize
from fastfcn_infer.inference.conventions import check_procedure
from fastfcn_infer.inference.views import plan, resized

MOST_COST = 4  # times that of one view of the whole picture; what costs more is not the default
TYPICAL = (512, 683)  # height and width of a picture of ADE20K, pixels


def whole_picture(
    recognised: Recognised, classes: Sequence[ClassInfo], output: str, *, accept_own_size: bool
) -> Procedure:
    """Return the procedure that sees the whole picture once, at the authors' size if the output allows it.

    Args:
        recognised: the checkpoint.
        classes: names and colours; authors may size the pictures of one data set differently.
        output: of the graph; labels cannot be resized back exactly, so a graph that ends in labels
            is fed pictures at their own size.
        accept_own_size: the user knows that this changes the labels.

    Raises:
        ValueError: the authors resize pictures, the output is labels, and that is not accepted.
    """
    table = table_of(classes)
    resize = recognised.resize(table)
    whole = Procedure("whole", resize)
    if output != "labels" or resize is None:
        return whole
    if not accept_own_size:
        twice = recognised.evaluation(table, whole).twice
        steps = ", logits to that size and then to the picture's" if twice else ""
        raise ValueError(
            "--output labels would change the labels: the authors of this checkpoint resize pictures "
            f"{resize_text(resize)}{steps}, and a map of labels cannot be resized back exactly. The graph "
            "would be fed pictures at their own size and give other labels. Export with --output logits, "
            "which keeps the authors' procedure, or accept the other labels with --accept-own-size (in "
            "Python: accept_own_size=True)."
        )
    return Procedure("whole", None)


def with_authors_procedure(recognised: Recognised, model: Model) -> Model:
    """Name the procedure of the authors' published scores in the description of a graph.

    It becomes the default if it looks at one scale and costs at most `MOST_COST` times as much as one
    view of the whole picture; else it is named as `published`. A graph that cannot give it, such as one
    that ends in labels, is described as it was.

    Args:
        recognised: the checkpoint.
        model: the graph, with the procedure `whole_picture`.
    """
    whole, authors = _procedures(recognised, model)
    if authors == whole:
        return model
    try:
        check_procedure(authors, model)
        is_costly = _fed(authors) > MOST_COST * _fed(whole)
    except ValueError:  # the graph cannot give it, or pictures of such a size are too large
        return model
    if len(authors.scales) > 1 or is_costly:
        return replace(model, published=authors)
    return replace(model, procedure=authors)


def _procedures(recognised: Recognised, model: Model) -> tuple[Procedure, Procedure]:
    """Return one view of the whole picture as the authors size it, and what they publish scores with."""
    table = table_of(model.classes)
    whole = Procedure("whole", recognised.resize(table))
    return whole, recognised.evaluation(table, whole)


def _fed(procedure: Procedure) -> int:
    """Count the pixels that the network is fed for a typical picture; its cost is proportional to them."""
    return sum(prod(view.canvas) for view in plan(procedure, (None, None), TYPICAL))


def notes(recognised: Recognised, model: Model, formats: Sequence[str]) -> tuple[str, ...]:
    """Describe how labels may differ from those of a plain export, one sentence each.

    Args:
        recognised: the checkpoint.
        model: the description of the graph.
        formats: of the graph.
    """
    resize = model.procedure.resize
    found = [*_own_size(recognised, model), *_size_by_classes(recognised, model)]
    found += fixed_shape(model)
    if model.input.name == "pixels":
        found += _whole_bytes(model)
    if model.output.name == "probabilities" and (resize is not None or any(_sides(model))):
        _, authors = _procedures(recognised, model)
        twice = ", in two steps as the authors do" if authors.twice else ""
        found.append(
            "--output probabilities: probabilities are interpolated to the picture's size, where "
            f"--output logits interpolates logits{twice}; labels may differ at the borders of classes"
        )
    if model.precision == "fp16":
        found.append(
            "--precision fp16: labels may differ where two classes score nearly alike; the "
            "verification says for how many pixels of its picture"
        )
    if "paddle" in formats and model.input.channels != RGB:
        found.append(
            f"--format paddle: PaddleSeg and PaddleX read pictures of three channels, so that they cannot use this model "
            f"of {model.input.channels}; fastfcn predict can"
        )
    elif "paddle" in formats and model.input.name == "image" and resize is not None:
        found.append(
            "--format paddle: paddle/inference.yml tells PaddleSeg and PaddleX to resize pictures by "
            "their own arithmetic, which differs in rounding and interpolation, and they leave the "
            "output at that size; for the authors' labels use fastfcn predict"
        )
    return tuple(found)


def table_of(classes: Sequence[ClassInfo]) -> str | None:
    """Find the class table with these names, whatever its colours; None if there is none."""
    names = _names(classes)
    return next((t for t in class_table_names() if _names(class_table(t)) == names), None)


def resize_text(resize: Resize) -> str:
    """Describe a rule, to follow "resize pictures"."""
    if resize.rule == "exact":
        words = f"to {resize.size} x {resize.width} pixels (height x width)"
    elif resize.rule == "fit":
        words = f"to a long side of at most {resize.size} and a short side of at most {resize.limit} pixels"
    elif resize.rule == "long_within":
        upper = "" if resize.limit is None else f" and at most {resize.limit}"
        words = f"to a long side of at least {resize.size}{upper} pixels"
    else:
        side = "long" if resize.rule == "long_side" else "short"
        upper = "" if resize.limit is None else f", the long side at most {resize.limit}"
        words = f"to a {side} side of {resize.size} pixels{upper}"
    if resize.divisor > 1:
        words += f", sides rounded up to multiples of {resize.divisor}"
    return words


def fixed_shape(model: Model) -> Iterator[str]:
    """Say what a fixed height or width of the input does to pictures of another size."""
    height, width = _sides(model)
    if height is None and width is None:
        return
    resize = model.procedure.resize
    if (
        resize is not None
        and resize.rule == "exact"
        and resized(resize, (1, 1)) == (height, width)
    ):
        return  # every picture has this size
    larger = "rejected" if model.output.name == "labels" else "reduced until they fit"
    after = "" if resize is None else ", once resized by the procedure,"
    yield (
        f"the input is fixed to {height or 'any'} x {width or 'any'} pixels (height x width): pictures "
        f"that are smaller{after} are padded, larger ones are {larger}; both change labels"
    )


def _own_size(recognised: Recognised, model: Model) -> Iterator[str]:
    dropped = recognised.resize(table_of(model.classes))
    if dropped is not None and model.procedure.resize is None:
        yield (
            "--output labels --accept-own-size: the authors' resize was dropped. They resize pictures "
            f"{resize_text(dropped)}; this graph is fed pictures at their own size, so the labels of most "
            "pictures differ from the authors'. --output logits keeps the resize"
        )


def _size_by_classes(recognised: Recognised, model: Model) -> Iterator[str]:
    """Say it where the authors size the pictures of one data set differently."""
    resize, table = model.procedure.resize, table_of(model.classes)
    if resize is None:
        return
    usual = recognised.resize(None)
    if usual is not None and resize != usual:
        yield (
            f"pictures are resized {resize_text(resize)}, as the authors do for {table}; with the classes of "
            f"another data set they would be resized {resize_text(usual)}"
        )
    if table is None:
        for name in class_table_names():
            other = recognised.resize(name)
            if len(class_table(name)) == len(model.classes) and other not in (None, resize):
                yield (
                    f"pictures are resized {resize_text(resize)}, as the authors do for most data sets; if the "
                    f"checkpoint was trained on {name}, add --classes {name}, for which the authors "
                    f"resize {resize_text(other)}"
                )


def _whole_bytes(model: Model) -> Iterator[str]:
    resize = model.procedure.resize
    rounded = []
    if resize is not None and (resize.align_corners or resize.arithmetic == "paddleseg"):
        rounded.append("resized pictures")
    if any(255 * value != round(255 * value) for value in model.input.padding):
        rounded.append(
            f"the colour of padding (around pictures with a side under {SMALLEST} pixels or smaller "
            "than a fixed shape)"
        )
    if rounded:
        yield (
            f"--with-preprocess: the graph takes bytes; rounding {' and '.join(rounded)} to whole "
            "numbers may change a few labels"
        )


def _sides(model: Model) -> tuple[int | None, int | None]:
    return model.input.shape[1], model.input.shape[2]


def _names(classes: Sequence[ClassInfo]) -> list[str]:
    return [entry.name.casefold() for entry in classes]
