"""What the journal says of a training: where it starts, how it goes, how good the network is."""

from fastfcn_infer.evaluation.metrics import Scores
from fastfcn_training.journal import Journal
from fastfcn_training.meter import Meter
from fastfcn_training.recipe import Recipe


def tell_start(
    journal: Journal, recipe: Recipe, iteration: int, *, samples: int, parameters: int, world: int
) -> None:
    """Say what is about to be learned, from which iteration on, by how many processes."""
    journal.write(
        "start",
        f"{samples} pictures of {recipe.data.dataset} {recipe.data.split}, "
        f"{parameters / 1e6:.2f} M parameters; iterations {iteration} to {recipe.iterations}, each "
        f"of {recipe.batch} x {recipe.accumulate} x {world} pictures (batch, accumulated, "
        "processes)",
        iteration,
        samples=samples,
        parameters=parameters,
        world=world,
    )


def tell_progress(
    journal: Journal,
    recipe: Recipe,
    iteration: int,
    meter: Meter,
    *,
    rate: float,
    memory: int | None,
) -> None:
    """Say what the last iterations were like.

    Args:
        journal: to say it to.
        recipe: of the training.
        iteration: steps that were made.
        meter: of the last of them.
        rate: the learning rate of the very last.
        memory: bytes, at most so far; None: not known.
    """
    loss, main, auxiliary, semantic = meter.losses
    left = _clock((recipe.iterations - iteration) * meter.seconds_per_iteration)
    journal.write(
        "train",
        f"{iteration}/{recipe.iterations}  loss {loss:.4f} (main {main:.4f}, auxiliary "
        f"{auxiliary:.4f}, semantic {semantic:.4f})  lr {rate:.3g}  "
        f"{meter.images_per_second:.2f} images/s  data {meter.data_share:.0%}  "
        + (f"memory {memory / 1e9:.2f} GB  " if memory else "")
        + f"left {left}",
        iteration,
        loss=loss,
        main=main,
        auxiliary=auxiliary,
        semantic=semantic,
        learning_rate=rate,
        images_per_second=meter.images_per_second,
        data_share=meter.data_share,
        memory=memory,
    )


def tell_scores(journal: Journal, iteration: int, found: Scores, *, better: bool) -> None:
    """Say how good the network is on the part to validate on."""
    journal.write(
        "validation",
        f"validation after {iteration}: mean IoU {found.mean_iou:.4f}  Acc "
        f"{found.pixel_accuracy:.4f}  Kappa {found.kappa:.4f}  Dice {found.mean_dice:.4f}"
        + ("  (best so far)" if better else ""),
        iteration,
        convention=found.convention,
        mean_iou=found.mean_iou,
        pixel_accuracy=found.pixel_accuracy,
        kappa=found.kappa,
        mean_dice=found.mean_dice,
        iou=found.iou,
        best=better,
    )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
