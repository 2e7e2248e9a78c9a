"""``fastfcn diff``: compare the labels of two models, precisions, devices, runtimes or procedures."""

import argparse
import errno
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from fastfcn_infer.cli import command, exit_codes
from fastfcn_infer.system.percent import percent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fastfcn_infer.data.dataset import Dataset
    from fastfcn_infer.evaluation.difference import Difference
    from fastfcn_infer.segmenter import Segmenter

SUMMARY = "Compare the labels of two models, precisions, devices, runtimes or procedures"
_SIDES = ("backend", "device", "precision", "procedure")  # options that take two values
_SHOWN = 6  # pictures on the sheet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add(
        "a",
        metavar="A",
        help="Model, the reference: artifact, checkpoint, hub:OWNER/NAME or a name",
    )
    add("b", nargs="?", metavar="B", help="The other model (default: A)")
    add("--images", nargs="+", required=True, metavar="DIR", help="Pictures, folders or globs")
    add(
        "--labels",
        type=Path,
        metavar="DIR",
        help="Folder with a label map, NAME.png, of each picture, in the same sub-folders",
    )
    add("--recursive", action="store_true", help="Look into sub-folders")
    add("--limit", type=int, metavar="N", help="Compare only the first N pictures")
    add(
        "--min-agreement",
        type=float,
        metavar="SHARE",
        help="Exit with code 7 if a smaller share of the labels agrees, 0 to 1",
    )
    add("--ignore-names", action="store_true", help="Treat classes with other names as the same")
    add(
        "--sheet",
        type=Path,
        metavar="FILE.png",
        help=f"Draw the {_SHOWN} worst pictures side by side",
    )
    add("--html", type=Path, metavar="FILE.html", help="Write a report with the sheet in it")
    command.add_label_arguments(parser)
    command.add_procedure_arguments(parser)
    command.add_model_arguments(parser)
    parser.epilog = (
        "--backend, --device, --precision and --procedure take one value for both, or A,B: "
        "fastfcn diff MODEL --precision fp32,int8 --images photos"
    )


def run(arguments: argparse.Namespace) -> int:
    """Compare picture by picture; a bad one is reported and left out (exit 3)."""
    from itertools import islice

    from fastfcn_infer.cli.inputs import pictures_of
    from fastfcn_infer.errors import ImageError, WriteError
    from fastfcn_infer.evaluation import difference
    from fastfcn_infer.evaluation.difference_report import table, to_data
    from fastfcn_infer.system.progress import Progress

    _check(arguments)
    rules = command.label_rules(arguments)
    first, second = _sides(arguments)
    found_files = pictures_of(arguments.images, recursive=arguments.recursive)
    pictures = dict(islice(found_files.items(), arguments.limit))
    samples = difference.samples_of(pictures, arguments.labels)
    _refuse_to_replace(arguments, found_files)
    with ExitStack() as opened:
        a, b = (opened.enter_context(_open(side)) for side in (first, second))
        difference.matching_labels(a, b, ignore_names=arguments.ignore_names)
        dataset: Dataset | None = None
        notes: tuple[str, ...] = ()
        if arguments.labels is not None:
            dataset, notes = difference.labelled(
                samples, a.model, **rules, accept_labels=arguments.accept_labels
            )
        with Progress("compare", total=len(samples), unit="pictures") as bar:
            found = difference.compare(
                a,
                b,
                samples,
                dataset,
                notes=notes,
                ignore_names=arguments.ignore_names,
                advance=bar.advance,
            )
        # Printed first: a full disk does not cost the result.
        if arguments.json:
            print(json.dumps(to_data(found), indent=2, ensure_ascii=False))
        else:
            for name, why in found.failed.items():
                print(f"failed: {name}: {why}", file=sys.stderr)
            print(table(found) if found.pictures else "No picture could be compared.")
        code = _code(found, arguments.min_agreement)
        try:
            _draw(arguments, found, a, b, {sample.name: sample.picture for sample in samples})
        except (WriteError, ImageError) as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            return exit_codes.NOT_WRITTEN
    return code


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be, before a model is opened."""
    from fastfcn_infer.system.writing import check_folder

    least, limit = arguments.min_agreement, arguments.limit
    if least is not None and not 0 <= least <= 1:
        raise ValueError(
            f"--min-agreement {least}: a share from 0 to 1 was expected, such as 0.99"
        )
    if limit is not None and limit < 1:
        raise ValueError(f"--limit {limit}: at least 1 was expected")
    if arguments.labels is not None and not arguments.labels.is_dir():
        raise ValueError(f"--labels {arguments.labels}: a folder was expected")
    given = {
        "--map-labels": arguments.map_labels is not None,
        "--label-orientation": arguments.label_orientation != "auto",
        "--accept-labels": arguments.accept_labels,
    }
    idle = [option for option, is_given in given.items() if is_given]
    if idle and arguments.labels is None:
        raise ValueError(f"{', '.join(idle)}: for the label maps of --labels, which is not given")
    for path, endings in (
        (arguments.sheet, (".png", ".jpg")),
        (arguments.html, (".html", ".htm")),
    ):
        if path is None:
            continue
        if path.suffix.lower() not in endings:
            raise ValueError(f"{path}: the name has to end in {' or '.join(endings)}")
        if path.is_dir():
            raise IsADirectoryError(
                errno.EISDIR, "a folder has this name; choose another", str(path)
            )
        check_folder(path.parent)


def _refuse_to_replace(arguments: argparse.Namespace, pictures: "Iterable[Path]") -> None:
    """Refuse a sheet that replaces a picture, or lies where the next run would take it for one.

    Raises:
        ValueError: it is one of the pictures, or lies in a folder of pictures or label maps.
    """
    if arguments.sheet is None:
        return
    place = arguments.sheet.resolve()
    if place in (path.resolve() for path in pictures):
        raise ValueError(f"--sheet {arguments.sheet} is one of the pictures; choose another file")
    folders = [*arguments.images, *filter(None, [arguments.labels])]
    for folder in filter(Path.is_dir, map(Path, folders)):
        if folder.resolve() in (place.parents if arguments.recursive else place.parents[:1]):
            raise ValueError(
                f"--sheet {arguments.sheet} lies in {folder}, whose files are compared; choose another folder"
            )


def _sides(arguments: argparse.Namespace) -> tuple[argparse.Namespace, argparse.Namespace]:
    """Split the options that take two values.

    Raises:
        ValueError: an option has more than two values, or both sides are the same.
    """
    sides = [argparse.Namespace(**vars(arguments)) for _ in range(2)]
    sides[0].model, sides[1].model = arguments.a, arguments.b or arguments.a
    for option in _SIDES:
        given = getattr(arguments, option)
        values = [None] if given is None else [word.strip() for word in given.split(",")]
        if len(values) > 2 or "" in values:
            raise ValueError(f"--{option} {given}: one value, or two, A,B, were expected")
        for side, value in zip(sides, (values[0], values[-1]), strict=True):
            setattr(side, option, value)
    if vars(sides[0]) == vars(sides[1]):
        raise ValueError(
            "A and B are the same; give another model as B, or two values of "
            f"{', '.join(f'--{option}' for option in _SIDES)}, such as --precision fp32,int8"
        )
    return sides[0], sides[1]


def _open(side: argparse.Namespace) -> "Segmenter":
    from fastfcn_infer.segmenter import Segmenter

    chosen = command.choose(side)
    segmenter = Segmenter.from_pretrained(side.model, **command.open_options(side))
    try:
        segmenter.procedure = chosen(segmenter.model)
    except BaseException:
        segmenter.close()
        raise
    return segmenter


def _draw(
    arguments: argparse.Namespace,
    found: "Difference",
    a: "Segmenter",
    b: "Segmenter",
    paths: dict[str, Path],
) -> None:
    """Write the sheet and the report that were asked for."""
    from fastfcn_infer.evaluation.difference_report import to_html
    from fastfcn_infer.evaluation.difference_sheet import sheet
    from fastfcn_infer.system.atomic import write_file
    from fastfcn_infer.system.writing import make_folder

    if arguments.sheet is None and arguments.html is None:
        return
    worst = [
        (paths[picture.name], picture.name, picture.agreement.overall)
        for picture in found.worst[:_SHOWN]
    ]
    drawn = sheet(a, b, worst, ignore_names=arguments.ignore_names) if worst else None
    if arguments.sheet is not None and drawn is not None:
        make_folder(arguments.sheet.parent)
        drawn.save(arguments.sheet)
    if arguments.html is not None:
        make_folder(arguments.html.parent)
        write_file(arguments.html, to_html(found, drawn).encode())


def _code(found: "Difference", least: float | None) -> int:
    if not found.pictures:
        return exit_codes.SOME_FAILED
    if least is not None and not found.agreement.overall >= least:
        print(
            f"{percent(found.agreement.overall)} % of the labels agree; at least {100 * least:g} % was expected",
            file=sys.stderr,
        )
        return exit_codes.TOO_DIFFERENT
    return exit_codes.SOME_FAILED if found.failed else exit_codes.FINE
