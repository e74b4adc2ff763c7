"""``sam_tuning``: SAM adapted with LoRA and its mask decoder trained, both on the raw noisy points.

Source: the paper's baseline "SAM prompt tuning" (arXiv 2604.23314): SPD without saliency head, prompt distillation
and slice consistency. Built on segment_anything (Apache-2.0) and peft (Apache-2.0). Trained: LoRA of the image
encoder and the mask decoder, together, for the whole budget. Without SAM's weights the encoder is trained whole:
from scratch, and the prompt encoder with it, or from the package's own weights, whose encoder is too small for LoRA.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from spd_bench.methods.method import Method, MethodOptions
from spd_bench.methods.sam_family import trained_predictor
from spd_bench.models.lora import Adaptation, LoraSettings, add_lora, resolved_adaptation
from spd_bench.models.sam_network import SamNetwork
from spd_bench.planning.plan import Plan
from spd_bench.training.sam_settings import SamSettings, encoder_and_decoder
from spd_bench.training.sam_trainer import SamTrainer
from spd_bench.training.settings import Budget, TrainingSettings


@dataclass(frozen=True, kw_only=True)
class SamTuningSettings(SamSettings):
    """SAM with LoRA.

    Attributes:
        adaptation: whether LoRA is trained or the ``whole`` encoder; None: LoRA with weights, the whole without.
        lora_rank: rank of LoRA.
        lora_alpha: LoRA's scale.
        lora_dropout: LoRA's dropout.
        lora_target: what LoRA adapts, a name in ``LORA_TARGETS``.
    """

    adaptation: Adaptation | None = None
    lora_rank: int = 8
    lora_alpha: float = 16.0
    lora_dropout: float = 0.1
    lora_target: str = "qkv"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._lora()
        resolved_adaptation(self.adaptation, from_scratch=self.from_scratch)

    @property
    def trained_parts(self) -> tuple[str, ...]:
        """LoRA and the mask decoder; from scratch everything."""
        return encoder_and_decoder(from_scratch=self.from_scratch)

    def untrained_network(self, resolution: int) -> SamNetwork:
        """SAM, with LoRA where that is the adaptation."""
        network = super().untrained_network(resolution)
        if resolved_adaptation(self.adaptation, from_scratch=self.from_scratch) == "lora":
            add_lora(network.sam.image_encoder, self._lora())
        return network

    def _lora(self) -> LoraSettings:
        return LoraSettings(
            rank=self.lora_rank, alpha=self.lora_alpha, dropout=self.lora_dropout, target=self.lora_target
        )


class SamTuningTrainer(SamTrainer):
    """Trains ``sam_tuning`` with the loss, loader and augmentation of SPD's second stage."""

    row_settings: ClassVar[type[SamSettings]] = SamTuningSettings


def _settings(options: MethodOptions) -> dict[str, Any]:
    start = options.start("sam")
    return SamTuningSettings(**start.settings, **{**start.adaptation, **options.overrides}).to_json()


def _training(budget: Budget, plan: Plan, options: MethodOptions) -> TrainingSettings:
    return options.start("sam").training(budget)


SAM_TUNING = Method(
    name="sam_tuning",
    title="SAM-Tuning",
    uses_prompts=True,
    trainer=SamTuningTrainer,
    own_plan=False,
    settings=_settings,
    training=_training,
    predictor=trained_predictor(SamTuningTrainer),
)
