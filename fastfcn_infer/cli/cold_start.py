"""A process of its own that opens a model and labels a picture, to measure the cold start.

    python -m fastfcn_infer.cli.cold_start REQUEST

`benchmark.measure.cold_start` runs it. REQUEST is a `Request` as JSON; the last line that it writes
to standard output is a `ColdStart` as JSON.
"""

import sys
import time
from pathlib import Path

from fastfcn_infer.artifact.artifact import open_artifact
from fastfcn_infer.benchmark.measure import Candidate, ColdStart, Request
from fastfcn_infer.benchmark.workload import photograph
from fastfcn_infer.runtime.backend import open_backend
from fastfcn_infer.segmenter import Segmenter
from fastfcn_infer.system import record
from fastfcn_infer.system.machine import peak_memory


def main(words: list[str]) -> int:
    """Open the model, predict once, run the batch once, report."""
    request = record.from_json(Request, words[0])
    artifact = open_artifact(Path(request.path))
    backend = open_backend(
        request.backend,
        artifact,
        device=request.device,
        threads=request.threads,
        precision=request.precision,
    )
    segmenter = Segmenter(artifact, backend, request.procedure)
    picture = photograph(request.size, segmenter.model.input)
    segmenter.predict(picture)
    seconds = time.time() - request.began
    if request.batch > 1:
        Candidate("", segmenter, backend).run([picture] * request.batch)
    found = ColdStart(seconds, peak_memory())
    sys.stdout.write(record.to_json(found, indent=None) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
