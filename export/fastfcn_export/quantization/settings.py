"""What a user may choose about a quantisation."""

from dataclasses import dataclass

from fastfcn_export.quantization.pictures import FEWEST, MOST
from fastfcn_infer.artifact.procedure import refuse


@dataclass(frozen=True)
class QuantizationSettings:
    """What is required of a graph in int8, and how long it may take to find one.

    Args:
        min_agreement: share of the pixels of held-out pictures, 0..1, whose label has to equal float32's.
        max_loss: of mean IoU on held-out pictures, points (hundredths); only with labels.
        calibration_pictures: that ranges of values are measured on, at most; half as many are held out.
        search_seconds: after which no other graph is tried; the first one takes as long as it takes.
        reduce_range: use 7 of the 8 bits of weights. Processors without VNNI add products in 16 bits, which
            overflow otherwise; it costs a little agreement.

    Raises:
        ValueError: a number is out of its range; all faults are listed.
    """

    min_agreement: float = 0.95
    max_loss: float = 0.5
    calibration_pictures: int = MOST
    search_seconds: float = 600.0
    reduce_range: bool = False

    def __post_init__(self) -> None:
        """Check the numbers."""
        faults = []
        if not 0 <= self.min_agreement <= 1:
            faults.append(
                f"min_agreement {self.min_agreement} (--min-agreement): a share from 0 to 1 was expected"
            )
        if not 0 <= self.max_loss <= 100:
            faults.append(
                f"max_loss {self.max_loss} (--max-loss): points of mean IoU from 0 to 100 were expected"
            )
        if self.calibration_pictures < FEWEST:
            faults.append(
                f"calibration_pictures {self.calibration_pictures} (--calibration-pictures): at least "
                f"{FEWEST} were expected"
            )
        if not self.search_seconds >= 0:
            faults.append(
                f"search_seconds {self.search_seconds} (--search-seconds): 0 or more were expected"
            )
        refuse(faults)
