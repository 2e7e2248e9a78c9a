"""The command ``fastfcn-export``: a checkpoint in, a verified artifact out; or a graph in int8 added to an artifact."""

import argparse
import math
import re
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from fastfcn_export.quantization import arguments
from fastfcn_infer.artifact.class_table import class_table_names
from fastfcn_infer.cli import exit_codes, streams
from fastfcn_infer.cli.parser import Parser
from fastfcn_infer.system import registry
from fastfcn_infer.system.version import __version__

if TYPE_CHECKING:
    from fastfcn_export.request import Request

_DIALECTS = "fastfcn_export.dialect.dialects"
_EPILOG = """\
exit codes: 0 fine, 1 a bug in fastfcn-export, 2 usage, 3 a picture to calibrate on cannot be read, 4 the graph does
not compute what the network computes (nothing is written), 5 a runtime or package is missing, 6 the checkpoint is refused or damaged,
9 the artifact cannot be written (disk full, read-only folder).
"""


def main(typed: Sequence[str] | None = None) -> int:
    """Parse the command line and run it; returns the exit code."""
    words = list(sys.argv[1:] if typed is None else typed)

    def work() -> int:
        parser = make_parser()
        given = parser.parse_args(words)
        given.typed = words
        arguments.check(given)
        if given.precision == "int8":
            return _quantize(given)
        if not given.dry_run and given.folder is None:
            parser.error("-o FOLDER is missing (only --dry-run needs none)")
        return _run(given)

    return exit_codes.run(work, as_json="--json" in words, program="fastfcn-export")


def make_parser() -> Parser:
    """Make the parser of the command line."""
    parser = Parser(
        prog="fastfcn-export",
        description="Turn a FastFCN checkpoint of any dialect into a frozen, verified artifact.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "checkpoint",
        metavar="CHECKPOINT",
        help="A .pdparams, .pth, .pth.tar or .safetensors file, or the folder of a model that "
        "PaddleSeg or PaddleX exported (deploy.yaml, inference.yml); for --precision int8 an artifact, too",
    )
    add(
        "-o",
        "--output-folder",
        dest="folder",
        metavar="FOLDER",
        help="Folder of the artifact to write",
    )
    add(
        "--format",
        default="onnx",
        metavar="F[,F]",
        help="Formats of the graph: onnx, paddle, or onnx,paddle (default: onnx)",
    )
    add(
        "--via",
        choices=("direct", "paddle2onnx"),
        default="direct",
        help="How the ONNX file is made: directly, or from the Paddle program by paddle2onnx "
        "(default: direct)",
    )
    add(
        "--classes",
        metavar="NAME|FILE.json",
        help=f"Names and colours of the classes: {', '.join(class_table_names())}, "
        'or a JSON list of {"name", "color": [r, g, b]} (default: those that '
        "the checkpoint names, else numbers)",
    )
    add(
        "--weights-key",
        metavar="KEY",
        help="Set of weights to use if the file has several, such as ema_state_dict or "
        "state_dict.student (default: the only one that fits a network)",
    )
    add("--use-ema", action="store_true", help="Use the moving average (EMA) of the weights")
    add(
        "--dialect",
        help=f"Dialect: {', '.join(registry.names(_DIALECTS))} (default: found from the names of the tensors)",
    )
    add(
        "--output-stride",
        type=int,
        choices=(8, 16, 32),
        help="Output stride of the backbone, which the names of the tensors do not reveal (default: the dialect's "
        "published stride)",
    )
    add(
        "--output",
        choices=("logits", "probabilities", "labels"),
        default="logits",
        help="Output of the graph (default: logits, from which labels are exact at any size)",
    )
    add(
        "--threshold",
        type=_threshold,
        metavar="T",
        help="Threshold of a network with one logit: pixels whose sigmoid is larger than T belong to its class, "
        "all others to the background (mmsegmentation's default is 0.3, other programs use 0.5)",
    )
    add(
        "--with-preprocess",
        action="store_true",
        help="Let the graph take uint8 pixels (N, H, W, 3), RGB, and normalise them",
    )
    add(
        "--accept-own-size",
        action="store_true",
        help="With --output labels: export even if the checkpoint's authors resize pictures; such a graph "
        "sees pictures at their own size, and gives other labels",
    )
    add("--shape", type=_shape, metavar="NxHxW", help="Fix the shape of the input (default: free)")
    add(
        "--precision",
        type=_precision,
        choices=("fp32", "fp16", "int8"),
        default="fp32",
        help="Precision of weights and arithmetic; int8 is added to a graph in float32 (default: fp32)",
    )
    add(
        "--verify",
        choices=("strict", "off"),
        default="strict",
        help="Verification; strict: compare the graph with the network and write nothing if it differs "
        "(default: strict)",
    )
    add(
        "--opset",
        type=int,
        default=17,
        choices=range(15, 22),
        help="Operator set of the ONNX file (default: 17)",
    )
    _add_changes(parser)
    arguments.add_arguments(parser)
    add("--dry-run", action="store_true", help="Describe the checkpoint; write nothing")
    add("--force", action="store_true", help="Replace an existing artifact")
    add("--quiet", action="store_true", help="Print no progress: the result and notes only")
    add("--json", action="store_true", help="Print the result as JSON")
    parser.add_version(f"fastfcn-export {__version__}")
    return parser


def _shape(text: str) -> tuple[int, int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)x(\d+)", text)
    if match is None or int(match[1]) < 1 or min(int(match[2]), int(match[3])) < 33:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a shape NxHxW with N from 1 and H, W from 33, such as 1x512x1024"
        )
    return int(match[1]), int(match[2]), int(match[3])


def _precision(text: str) -> str:
    if text in ("bf16", "tf32"):
        raise argparse.ArgumentTypeError(
            f"{text} needs no file of its own: export in fp32, and give --precision {text} where the model is run, such "
            "as to fastfcn predict"
        )
    return text


def _add_changes(parser: Parser) -> None:
    """Declare the options that say what a checkpoint's author changed."""
    add = parser.add_argument_group("what the author changed in the published recipe").add_argument
    add(
        "--from-config",
        metavar="FILE",
        help="PaddleSeg's YAML or mmsegmentation's .py, from which the options of this group and --threshold are read; "
        "it is not run",
    )
    add(
        "--bands",
        type=int,
        metavar="N",
        help="Number of bands of the pictures, to be checked against the weights of the first convolution",
    )
    add(
        "--mean",
        type=_numbers,
        metavar="M,M,M",
        help="Mean of the normalisation, a value for each band, in the order of the channels",
    )
    add(
        "--std",
        type=_numbers,
        metavar="S,S,S",
        help="Standard deviation of the normalisation, a value for each band, in the order of the channels",
    )
    add(
        "--pixel-range",
        type=int,
        choices=(1, 255),
        help="Unit of --mean and --std: 1 if pixels are divided by 255 first, 255 if not (default: 1)",
    )
    add(
        "--white",
        type=float,
        metavar="VALUE",
        help="Stored value that pixels are divided by before they are normalised, if they do not have three bands: such "
        "as 10000, or 1 if mean and deviation are for stored values (default: 255, 65535 or 1, by the type)",
    )
    add(
        "--channel-order",
        choices=("rgb", "bgr"),
        help="Order of the three channels that the network was trained with (default: rgb)",
    )
    add(
        "--resize",
        metavar="RULE",
        help="How pictures are resized: none, short_side:512, long_side:520, fit:2048x512 (long side x short side, at most) or "
        "exact:512x1024 (height x width) (default: as the dialect's authors do)",
    )


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not numbers separated by commas, such as 0.485,0.456,0.406"
        ) from None


def _threshold(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a threshold, a number larger than 0 and smaller than 1, such as 0.5"
        )
    return value


def _quantize(given: argparse.Namespace) -> int:
    """Add a graph in int8 to an artifact, or to that of a checkpoint."""
    from fastfcn_export import quantize
    from fastfcn_export.description import manifest_text
    from fastfcn_infer.system import record
    from fastfcn_infer.system.progress import no_progress

    stages = _Stages(quiet=given.json or given.quiet)
    place = given.checkpoint if given.folder is None else given.folder
    try:
        with no_progress() if given.json or given.quiet else nullcontext():
            manifest = quantize(
                given.checkpoint,
                arguments.pictures(given),
                given.folder,
                settings=arguments.settings(given),
                request=_request(given),
                ignore_names=given.ignore_names,
                force=given.force,
                report=stages.begin,
            )
    except KeyboardInterrupt as error:
        raise _stopped(stages, place) from error
    print(record.to_json(manifest) if given.json else manifest_text(manifest, place))
    _print_notes(manifest.model.notes)
    return exit_codes.FINE


def _request(given: argparse.Namespace) -> "Request":
    """Return what is to be made of a checkpoint; of one that int8 is added to, in float32."""
    from fastfcn_export import Options, Request

    precision: Literal["fp32", "fp16"] = "fp16" if given.precision == "fp16" else "fp32"
    return Request(
        formats=tuple(given.format.split(",")),
        classes=given.classes,
        dialect=given.dialect,
        output_stride=given.output_stride,
        output=given.output,
        with_preprocess=given.with_preprocess,
        options=Options(given.shape or (None, None, None), precision, given.opset),
        verify=given.verify == "strict",
        min_agreement=given.min_agreement if precision == "fp16" else None,
        via=given.via,
        accept_own_size=given.accept_own_size,
        weights_key=given.weights_key,
        use_ema=given.use_ema,
        threshold=given.threshold,
        bands=given.bands,
        mean=given.mean,
        std=given.std,
        pixel_range=given.pixel_range,
        white=given.white,
        channel_order=given.channel_order,
        resize=given.resize,
        from_config=given.from_config,
    )


def _run(given: argparse.Namespace) -> int:
    # Imported late, so that --help and --version are quick.
    from fastfcn_export import describe_checkpoint, export
    from fastfcn_export.description import description_text, manifest_text
    from fastfcn_infer.system import record

    request = _request(given)
    if given.dry_run:
        description = describe_checkpoint(given.checkpoint, request)
        print(record.to_json(description) if given.json else description_text(description))
        if not given.json:
            print(f"next     {_next_command(given, description.class_names)}")
        _print_notes(description.notes)
        return exit_codes.FINE
    stages = _Stages(quiet=given.json or given.quiet)
    try:
        manifest = export(
            given.checkpoint, given.folder, request, force=given.force, report=stages.begin
        )
    except KeyboardInterrupt as error:
        raise _stopped(stages, given.folder) from error
    print(record.to_json(manifest) if given.json else manifest_text(manifest, given.folder))
    _print_notes(manifest.model.notes)
    return exit_codes.FINE


def _stopped(stages: "_Stages", folder: str) -> KeyboardInterrupt:
    """Say where Ctrl-C stopped an export, and what became of its folder."""
    kept = "is what it was before" if Path(folder).exists() else "was not written"
    return KeyboardInterrupt(f"stopped at the stage '{stages.name}'; {folder} {kept}")


def _next_command(given: argparse.Namespace, class_names: Sequence[str]) -> str:
    """The command that exports what a dry run described."""
    from fastfcn_export.description import suggested_table

    words = [
        word for word in given.typed if not "--dry-run".startswith(word) or word in ("-", "--")
    ]
    if given.folder is None:
        stem = Path(given.checkpoint).name.split(".")[0]
        words += ["-o", stem if stem != given.checkpoint else f"{stem}-artifact"]
    table = suggested_table(class_names)
    if given.classes is None and table is not None:
        words += ["--classes", table]
    return shlex.join(["fastfcn-export", *words])


def _print_notes(notes: Sequence[str]) -> None:
    """Print to stderr how labels may differ from those of a plain export."""
    streams.flush()
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


class _Stages:
    """Progress on stderr: a line for each stage, after the seconds since the beginning.

    Attributes:
        name: of the stage that began last.
    """

    def __init__(self, *, quiet: bool) -> None:
        self.name = "start"
        self._quiet = quiet
        self._began = time.perf_counter()

    def begin(self, name: str) -> None:
        self.name = name
        if not self._quiet:
            passed = time.perf_counter() - self._began
            print(f"{passed:5.1f} s  {name}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
