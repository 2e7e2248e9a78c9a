"""The self-test of an artifact: segment its golden picture here and compare with the exact labels."""

from fastfcn_infer.artifact.golden import Replay, compare, read_golden
from fastfcn_infer.inference.predictor import Predictor


def replay(predictor: Predictor) -> Replay:
    """Run the self-test of the artifact that `predictor` has opened.

    Raises:
        ArtifactError: it has none: a lone ``.onnx``, or exported with ``--verify off``.
        BackendError: the runtime failed.
    """
    golden = read_golden(predictor.artifact)
    found = predictor.predict(golden.picture)
    return compare(golden, found.labels, predictor.provenance["precision"])
