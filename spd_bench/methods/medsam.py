"""``medsam``: SAM prompted with a box, fine-tuned; ``medsam_zero_shot``: MedSAM as published.

Source: Ma et al., "Segment anything in medical images", Nature Communications 2024;
https://github.com/bowang-lab/MedSAM (Apache-2.0), rebuilt from its description on segment_anything's modules.
Reproduced: box prompt with its sides moved outward at random in training, image encoder and mask decoder trained,
prompt encoder frozen, Dice with squares + cross-entropy 1 : 1, AdamW 1e-4 with decay 0.01 at a constant rate, no
augmentation, intensities in [0, 1]. What differs: the box is that of the slice's noisy points with a margin, because
a clinic has no boxes; a slice without a point gets an empty mask; empty target slices stay in training; slices are of
the plan's resolution. Without MedSAM's weights the row is trained from scratch with the warm-up, cosine and
augmentation that all rows from scratch get.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from spd_bench.losses import LossSettings
from spd_bench.methods.method import Method, MethodOptions
from spd_bench.methods.sam_family import trained_predictor, zero_shot_predictor
from spd_bench.methods.start import Start
from spd_bench.models.medsam import BoxSamNetwork
from spd_bench.models.sam import build_sam
from spd_bench.models.sam_network import SamNetwork
from spd_bench.planning.plan import Plan
from spd_bench.training.sam_settings import SamSettings, encoder_and_decoder
from spd_bench.training.sam_trainer import SamTrainer
from spd_bench.training.settings import Budget, TrainingSettings


@dataclass(frozen=True, kw_only=True)
class ZeroShotMedSamSettings(SamSettings):
    """MedSAM as published.

    Attributes:
        box_margin: how far the box's sides lie outside the points, as a share of the slice's side.
    """

    intensity: str = "unit"
    box_margin: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.empty_prompt != "skip":
            msg = "empty_prompt must be 'skip': without a point there is no box"
            raise ValueError(msg)
        if not 0 <= self.box_margin < 1:
            msg = f"box_margin must lie in [0, 1), got {self.box_margin}"
            raise ValueError(msg)

    def untrained_network(self, resolution: int) -> SamNetwork:
        """A SAM that decodes from the box of its points."""
        return BoxSamNetwork(
            sam=build_sam(self.backbone, resolution=resolution),
            backbone=self.backbone,
            resolution=resolution,
            intensity=self.intensity,
            margin=self.box_margin,
        )


@dataclass(frozen=True, kw_only=True)
class MedSamSettings(ZeroShotMedSamSettings):
    """MedSAM, fine-tuned."""

    @property
    def trained_parts(self) -> tuple[str, ...]:
        """Image encoder and mask decoder; from scratch everything."""
        return encoder_and_decoder(from_scratch=self.from_scratch)


class MedSamTrainer(SamTrainer):
    """Trains ``medsam``."""

    row_settings: ClassVar[type[SamSettings]] = MedSamSettings


_NOTE = "prompted with the box of the slice's points and a margin; a slice without a point is left empty."
_LOSS = LossSettings(dice_weight=1.0, focal_weight=0.0, cross_entropy_weight=1.0, dice_sums="squared")


def _start(options: MethodOptions) -> Start:
    """MedSAM's weights; without them those of SAM, from which MedSAM itself was trained."""
    return options.start("medsam", "sam")


def _settings(options: MethodOptions) -> dict[str, Any]:
    start = _start(options)
    return MedSamSettings(**start.settings, **{**start.intensity, **options.overrides}).to_json()


def _zero_shot_settings(options: MethodOptions) -> dict[str, Any]:
    start = options.needed_start("medsam")
    return ZeroShotMedSamSettings(**start.settings, **{**start.intensity, **options.overrides}).to_json()


def _training(budget: Budget, plan: Plan, options: MethodOptions) -> TrainingSettings:
    start = _start(options)
    if not start.published:
        return replace(start.training(budget), loss=replace(_LOSS, dice_over="batch"))
    return replace(
        start.training(budget),
        loss=_LOSS,
        optimizer="adamw",
        learning_rate=1e-4,
        weight_decay=0.01,
        schedule="constant",
        rotation_degrees=0.0,
        flip_probability=0.0,
    )


MEDSAM = Method(
    name="medsam",
    title="MedSAM",
    uses_prompts=True,
    trainer=MedSamTrainer,
    own_plan=False,
    settings=_settings,
    training=_training,
    predictor=trained_predictor(MedSamTrainer),
    note=_NOTE,
)
MEDSAM_ZERO_SHOT = Method(
    name="medsam_zero_shot",
    title="MedSAM, zero-shot",
    uses_prompts=True,
    trainer=None,
    own_plan=False,
    settings=_zero_shot_settings,
    training=None,
    predictor=zero_shot_predictor(ZeroShotMedSamSettings, _zero_shot_settings),
    note=_NOTE,
)
