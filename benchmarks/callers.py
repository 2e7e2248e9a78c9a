"""Do callers in many threads get more pictures a second where their calls are joined to batches?

    python -m benchmarks.callers [--callers 8] [--pictures 8] [--rounds 5] [--wait 0.005]
        [--runtimes open_vino onnx_runtime] [--size 360 480] [--output benchmarks/results/callers.json]

Each caller is a thread that labels decoded pictures one after the other with the embedded model, by
`Segmenter.predict`, with two threads of the runtime. In turns: calls as they come, and with
``join_calls``. The script fails unless both give labels that are equal on 99.9 % of the pixels. Ratios
are of pictures a second with joined calls and without: above 1, joining is faster.
"""

import argparse
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.machine_facts import environment, laps, ratio, timing, write_results
from benchmarks.memory import THREADS
from fastfcn_infer.benchmark.timing import OtherLoad
from fastfcn_infer.segmenter import Segmenter

RUNTIMES = ("open_vino", "onnx_runtime")
EQUAL = 0.999
PAUSE = 0.05  # seconds; the threads of the last call go to sleep
Picture = NDArray[np.uint8]


def pictures(count: int, size: tuple[int, int]) -> list[Picture]:
    """Make pictures of large areas, none like another."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (count, 6, 8, 3), np.uint8)
    repeat = -(-size[0] // 6), -(-size[1] // 8)
    return [
        np.ascontiguousarray(np.kron(one, np.ones((*repeat, 1), np.uint8))[: size[0], : size[1]])
        for one in small
    ]


def call(
    segmenter: Segmenter, callers: int, given: list[Picture], labels: list[Any]
) -> Callable[[], None]:
    """Return what labels all pictures once in each caller."""

    def one(_: int) -> list[Any]:
        return [segmenter.predict(each).labels for each in given]

    def run() -> None:
        with ThreadPoolExecutor(callers) as threads:
            labels[:], *_ = threads.map(one, range(callers))

    return run


def measure(runtime: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Time one runtime."""
    given = pictures(arguments.pictures, tuple(arguments.size))
    plain: list[Any] = []
    joined: list[Any] = []
    with (
        Segmenter.from_pretrained(backend=runtime, device="cpu", threads=THREADS) as one,
        Segmenter.from_pretrained(
            backend=runtime, device="cpu", threads=THREADS, join_calls=arguments.wait
        ) as other,
    ):
        taken = laps(
            {
                "as they come": call(one, arguments.callers, given, plain),
                "joined": call(other, arguments.callers, given, joined),
            },
            repeats=arguments.rounds,
            pause=PAUSE,
        )
    equal = float(np.mean([np.mean(a == b) for a, b in zip(plain, joined, strict=True)]))
    if equal < EQUAL:
        raise SystemExit(f"only {equal:.3%} of the labels are equal")
    count = arguments.callers * len(given)
    return {
        "runtime": runtime,
        "equal_labels": equal,
        "pictures_per_second": {k: count / timing(v).median for k, v in taken.items()},
        "gain": ratio(taken["as they come"], taken["joined"])._asdict(),
    }


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--callers", type=int, default=8, help="threads that call")
    parser.add_argument(
        "--pictures", type=int, default=8, help="that each caller labels in a turn"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each candidate")
    parser.add_argument("--wait", type=float, default=0.005, help="join_calls, in seconds")
    parser.add_argument("--runtimes", nargs="+", default=RUNTIMES, choices=RUNTIMES)
    parser.add_argument("--size", type=int, nargs=2, default=(360, 480), help="height and width")
    parser.add_argument("--output", type=Path, help="write the results to this JSON file")
    arguments = parser.parse_args()
    stamp, load, rows = environment(), OtherLoad(), []
    for runtime in arguments.runtimes:
        row = measure(runtime, arguments)
        rows.append(row)
        speeds = ", ".join(f"{k} {v:.2f}" for k, v in row["pictures_per_second"].items())
        print(
            f"{arguments.callers} callers in {runtime}, pictures a second: {speeds}; joined calls are "
            f"{row['gain']['median']:.2f} x as fast",
            flush=True,
        )
    results = {
        "environment": stamp,
        "others_took": load.share(),
        "threads": THREADS,
        "callers": arguments.callers,
        "wait_seconds": arguments.wait,
        "size": list(arguments.size),
        "rows": rows,
    }
    print(f"other processes took {results['others_took']} of the processors' time")
    write_results(results, arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())
