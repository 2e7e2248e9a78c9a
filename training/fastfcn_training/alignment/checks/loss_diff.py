"""The loss in evaluation mode against the original's."""

from fastfcn_training.alignment.check import Comparison, Setting, relative
from fastfcn_training.alignment.recorded_batch import RecordedBatch

SUMMARY = "loss of a batch in evaluation mode, against a recorded one"
ALLOWED = 1e-5


def compare(setting: Setting) -> Comparison:
    """Compare one number: the weighted sum of all losses."""
    found = RecordedBatch(setting.reference, "float32").evaluation_loss()
    expected = setting.reference.training.evaluation_loss
    return Comparison(
        "loss of our network in Paddle",
        f"the loss of {setting.reference.origin}",
        "relative",
        (relative("loss", found, expected, ALLOWED),),
    )
