"""``msa``: SAM with adapters in its image encoder, Medical SAM Adapter.

Source: Wu et al., "Medical SAM Adapter", arXiv 2304.12620. Its code is GPL-3, so that the row is written from the
method's description on segment_anything's modules (Apache-2.0). Reproduced: two adapters a block, adapters and mask
decoder trained, prompt encoder frozen, cross-entropy with target pixels counted twice, Adam 1e-4 without decay at a
constant rate. What differs: all points of a slice are the prompt, as in every row (``points: one`` gives the single
click of the original, here the middle one of the slice's points); SAM's relative positions are kept, which the
original loses when it loads SAM's weights (``keep_relative_positions: false``); adapters start at zero, so that
training starts from SAM itself; slices are of the plan's resolution, in [-1, 1], augmented and drawn as in every row
but MedSAM; the gradient is clipped. Without SAM weights everything is trained from scratch, adapters included, with
the learning rate and schedule that all rows from scratch get.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from spd_bench.losses import LossSettings
from spd_bench.methods.method import Method, MethodOptions
from spd_bench.methods.sam_family import trained_predictor
from spd_bench.models.msa import AdapterSettings, add_adapters, ignore_relative_positions
from spd_bench.models.one_click import OneClickSamNetwork
from spd_bench.models.sam import build_sam
from spd_bench.models.sam_network import SamNetwork
from spd_bench.planning.plan import Plan
from spd_bench.training.sam_settings import SamSettings, encoder_and_decoder
from spd_bench.training.sam_trainer import SamTrainer
from spd_bench.training.settings import Budget, TrainingSettings

POINT_CHOICES: dict[str, type[SamNetwork]] = {"all": SamNetwork, "one": OneClickSamNetwork}
"""Which of a slice's points are the prompt."""


@dataclass(frozen=True, kw_only=True)
class MsaSettings(SamSettings):
    """SAM with adapters.

    Attributes:
        adapter_reduction: an adapter is this many times narrower inside than the encoder.
        mlp_adapter_scale: factor of the adapter beside the MLP.
        keep_relative_positions: whether the encoder attends with SAM's relative positions.
        points: a name in ``POINT_CHOICES``.
    """

    adapter_reduction: int = 4
    mlp_adapter_scale: float = 0.5
    keep_relative_positions: bool = True
    points: str = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._adapters()
        if self.keep_relative_positions not in (True, False):
            msg = f"keep_relative_positions must be true or false, got {self.keep_relative_positions!r}"
            raise ValueError(msg)
        if self.points not in POINT_CHOICES:
            msg = f"points must be one of {', '.join(POINT_CHOICES)}, got {self.points!r}"
            raise ValueError(msg)

    @property
    def trained_parts(self) -> tuple[str, ...]:
        """Adapters and the mask decoder; from scratch everything."""
        return encoder_and_decoder(from_scratch=self.from_scratch)

    def network(self, resolution: int) -> SamNetwork:
        """The row's network; from scratch the encoder's own parameters train beside the adapters."""
        network = super().network(resolution)
        if self.from_scratch:
            network.sam.image_encoder.requires_grad_(True)
        return network

    def untrained_network(self, resolution: int) -> SamNetwork:
        """SAM with adapters."""
        sam = build_sam(self.backbone, resolution=resolution)
        add_adapters(sam.image_encoder, self._adapters())
        if not self.keep_relative_positions:
            ignore_relative_positions(sam.image_encoder)
        chosen = POINT_CHOICES[self.points]
        return chosen(sam=sam, backbone=self.backbone, resolution=resolution, intensity=self.intensity)

    def _adapters(self) -> AdapterSettings:
        return AdapterSettings(reduction=self.adapter_reduction, mlp_scale=self.mlp_adapter_scale)


class MsaTrainer(SamTrainer):
    """Trains ``msa``."""

    row_settings: ClassVar[type[SamSettings]] = MsaSettings


_LOSS = LossSettings(dice_weight=0.0, focal_weight=0.0, cross_entropy_weight=1.0, positive_weight=2.0)


def _settings(options: MethodOptions) -> dict[str, Any]:
    return MsaSettings(**options.start("sam").settings, **options.overrides).to_json()


def _training(budget: Budget, plan: Plan, options: MethodOptions) -> TrainingSettings:
    start = options.start("sam")
    if not start.published:
        return replace(start.training(budget), loss=_LOSS)
    return replace(
        start.training(budget),
        loss=_LOSS,
        optimizer="adam",
        learning_rate=1e-4,
        weight_decay=0.0,
        schedule="constant",
    )


MSA = Method(
    name="msa",
    title="MSA",
    uses_prompts=True,
    trainer=MsaTrainer,
    own_plan=False,
    settings=_settings,
    training=_training,
    predictor=trained_predictor(MsaTrainer),
    note="SAM's relative positions are kept, which the published code drops.",
)
