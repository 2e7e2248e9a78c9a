"""Schema of a PaddleSeg configuration of a FastFCN: keys, types and defaults.

The sections about data are in `data_schema`. The names are PaddleSeg's. A key with a single
supported value has that value as its type, so that any other is refused by name.

Source: the signatures of PaddleSeg 2.8 and of its development branch for FastFCN
(reference/fastfcn_semantics.md, 5.1 to 5.3).
"""

from dataclasses import dataclass
from typing import Literal

from fastfcn_training.cli.paddleseg.data_schema import Kinds, only


@dataclass(frozen=True)
class BackboneRate:
    """An item of ``optimizer.custom_cfg``."""

    name: Literal["backbone"]
    lr_mult: float


@dataclass(frozen=True)
class Clip:
    """``optimizer.grad_clip_cfg``."""

    name: Literal["ClipGradByGlobalNorm"]
    clip_norm: float


@dataclass(frozen=True)
class Sgd:
    """``optimizer`` of type ``sgd``."""

    momentum: float = 0.0
    weight_decay: float = 0.0
    use_nesterov: Literal[False] = False
    grad_clip_cfg: Clip | None = None
    custom_cfg: tuple[BackboneRate, ...] = ()


@dataclass(frozen=True)
class Momentum(Sgd):
    """``optimizer`` of type ``Momentum``."""

    momentum: float = 0.9


@dataclass(frozen=True)
class AdamW:
    """``optimizer`` of type ``AdamW``."""

    weight_decay: float = 0.01
    grad_clip_cfg: Clip | None = None
    custom_cfg: tuple[BackboneRate, ...] = ()


@dataclass(frozen=True)
class PolynomialDecay:
    """``lr_scheduler``; `end_lr` and `power` are required, as PaddleSeg has changed their defaults."""

    learning_rate: float
    end_lr: float
    power: float
    decay_steps: int | None = None
    warmup_iters: int = 0
    warmup_start_lr: float = 0.0


@dataclass(frozen=True)
class CosineAnnealingDecay:
    """``lr_scheduler``."""

    learning_rate: float
    T_max: int
    eta_min: float = 0.0
    warmup_iters: int = 0
    warmup_start_lr: float = 0.0

    def __post_init__(self) -> None:
        """Refuse a final rate above 0."""
        only(self, eta_min=0)


@dataclass(frozen=True)
class StepDecay:
    """``lr_scheduler``."""

    learning_rate: float
    step_size: int
    gamma: float = 0.1
    warmup_iters: int = 0
    warmup_start_lr: float = 0.0

    def __post_init__(self) -> None:
        """Refuse factors other than 0.1."""
        only(self, gamma=0.1)


@dataclass(frozen=True)
class CrossEntropyLoss:
    """An item of ``loss.types``."""

    weight: tuple[float, ...] = ()
    ignore_index: Literal[255] = 255
    top_k_percent_pixels: float = 1.0
    avg_non_ignore: bool = True
    data_format: Literal["NCHW"] = "NCHW"

    def __post_init__(self) -> None:
        """Refuse online hard example mining."""
        only(self, top_k_percent_pixels=1)


@dataclass(frozen=True)
class SECrossEntropyLoss:
    """An item of ``loss.types``."""

    ignore_index: Literal[255] = 255
    num_classes: int | None = None


@dataclass(frozen=True)
class Backbone:
    """``model.backbone``."""

    type: Literal["ResNet18_vd", "ResNet34_vd", "ResNet50_vd", "ResNet101_vd", "ResNet152_vd"]
    output_stride: Literal[8, 16, 32] = 8
    multi_grid: tuple[Literal[1], Literal[1], Literal[1]] = (1, 1, 1)
    pretrained: str | None = None
    in_channels: Literal[3] = 3
    data_format: Literal["NCHW"] = "NCHW"


@dataclass(frozen=True)
class Model:
    """``model``, except ``backbone``."""

    type: Literal["FastFCN"]
    num_classes: int | None = None
    num_codes: int = 32
    mid_channels: int = 512
    use_jpu: bool = True
    aux_loss: bool = True
    use_se_loss: bool = True
    add_lateral: bool = False
    pretrained: str | None = None


@dataclass(frozen=True)
class Top:
    """The keys outside any section."""

    iters: int
    batch_size: int = 1
    to_static_training: Literal[False] = False


@dataclass(frozen=True)
class Coefficients:
    """``loss``, except ``types``."""

    coef: tuple[float, ...]


@dataclass(frozen=True)
class Global:
    """``global``; PaddleSeg falls back from the `device` ``gpu`` to the CPU."""

    data_format: Literal["NCHW"] = "NCHW"
    device: Literal["cpu", "gpu"] = "gpu"
    num_workers: int = 0


@dataclass(frozen=True)
class Train:
    """``train``."""

    save_dir: str | None = None
    do_eval: bool = False
    resume_model: str | None = None
    save_interval: int = 1000
    log_iters: int = 10
    keep_checkpoint_max: int = 5
    seed: int | None = None
    precision: Literal["fp32", "fp16"] = "fp32"
    amp_level: Literal["O1"] = "O1"
    repeats: Literal[1] = 1


@dataclass(frozen=True)
class Test:
    """``test`` and ``test_config``: validation, here with PaddleSeg's defaults only."""

    aug_eval: Literal[False] = False
    scales: float = 1.0
    flip_horizontal: Literal[False] = False
    flip_vertical: Literal[False] = False
    is_slide: Literal[False] = False
    crop_size: None = None
    stride: None = None
    auc_roc: Literal[False] = False

    def __post_init__(self) -> None:
        """Refuse other scales."""
        only(self, scales=1)


OPTIMISERS: Kinds = {"sgd": Sgd, "SGD": Sgd, "Momentum": Momentum, "AdamW": AdamW}
SCHEDULES: Kinds = {
    kind.__name__: kind for kind in (PolynomialDecay, CosineAnnealingDecay, StepDecay)
}
LOSSES: Kinds = {kind.__name__: kind for kind in (CrossEntropyLoss, SECrossEntropyLoss)}
