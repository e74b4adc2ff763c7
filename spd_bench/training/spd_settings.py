"""The open choices of SPD as named settings."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from spd_bench.models.lora import Adaptation, LoraSettings, resolved_adaptation
from spd_bench.models.sam import check_backbone, has_absolute_positions
from spd_bench.models.spd import SPDModelSettings
from spd_bench.training.prompted import EmptyPrompt

Direction = Literal["next", "previous", "both"]
EmbeddingStorage = Literal["disk", "none"]
_Value = TypeVar("_Value")


@dataclass(frozen=True, kw_only=True)
class SPDSettings:
    """How SPD is built, distilled and staged; the defaults follow the paper where it speaks.

    Attributes:
        backbone: name of the SAM backbone.
        weights: path of a SAM checkpoint, or None: the encoder is then trained whole, "from scratch".
        weights_sha256: hash of that checkpoint, None for random weights.
        adaptation: whether Stage I trains LoRA or the ``whole`` encoder; None: LoRA with weights, the whole without.
        lora_rank: rank of LoRA.
        lora_alpha: LoRA's scale.
        lora_dropout: LoRA's dropout.
        lora_target: what LoRA adapts, a name in ``LORA_TARGETS``.
        saliency_bias: start value of the saliency head's last bias.
        saliency_position: whether the saliency head is told where in the slice it looks; None: only with a backbone
            whose embeddings have no absolute positions. Anatomy has its place, and look-alikes have another.
        threshold: tau; a point survives where the saliency is above it. None: chosen on the validation cases, by
            the points' purity and coverage when Stage II begins, and for prediction by its Dice when it ends.
        context: n of CPD, the neighbouring slices on each side; None takes the plan's, 0 is local validation only.
        empty_prompt: a slice without a surviving point is left empty (``skip``) or decoded without a point.
        psc_weight: weight of the pairwise slice consistency.
        psc_direction: the neighbour a slice is compared with.
        stage_one_share: share of the epochs that Stage I gets.
        train_prompt_encoder: whether Stage II trains the prompt encoder; None: only from scratch, where a
            frozen one would be random.
        stage_one_mask_weight: weight, in Stage I, of the loss of masks decoded from the raw points. None: 0 with LoRA,
            as the paper; 1 where the encoder is trained whole, which would else forget what the decoder reads in it.
        embedding_cache: whether Stage II's slices are encoded once and kept on ``disk`` while it runs, each in a few
            augmented views, or encoded whenever they are drawn (``none``), each time in a new augmentation.
        cache_views: augmented views of each slice on disk.
        cache_gb: what they may take at most, in 10^9 bytes; where the views do not fit there are fewer, and where
            not even two fit there is no cache.
    """

    backbone: str = "vit_b"
    weights: str | None = None
    weights_sha256: str | None = None
    adaptation: Adaptation | None = None
    lora_rank: int = 8
    lora_alpha: float = 16.0
    lora_dropout: float = 0.1
    lora_target: str = "qkv"
    saliency_bias: float = -2.0
    saliency_position: bool | None = None
    threshold: float | None = 0.5
    context: int | None = None
    empty_prompt: EmptyPrompt = "skip"
    psc_weight: float = 0.1
    psc_direction: Direction = "next"
    stage_one_share: float = 0.6
    train_prompt_encoder: bool | None = None
    stage_one_mask_weight: float | None = None
    embedding_cache: EmbeddingStorage = "disk"
    cache_views: int = 4
    cache_gb: float = 20.0

    def __post_init__(self) -> None:
        checks = {
            "threshold must be none or lie in [0, 1]": self.threshold is None or 0 <= self.threshold <= 1,
            "context must be none or a whole number of at least 0": self.context is None or _is_count(self.context),
            "empty_prompt must be 'skip' or 'decode'": self.empty_prompt in ("skip", "decode"),
            "psc_weight must not be negative": self.psc_weight >= 0,
            "psc_direction must be 'next', 'previous' or 'both'": self.psc_direction in ("next", "previous", "both"),
            "stage_one_share must lie between 0 and 1": 0 < self.stage_one_share < 1,
            "lora_rank must be a whole number": isinstance(self.lora_rank, int),
            "train_prompt_encoder must be true, false or none": self.train_prompt_encoder in (True, False, None),
            "saliency_position must be true, false or none": self.saliency_position in (True, False, None),
            "stage_one_mask_weight must be none or at least 0": (self.stage_one_mask_weight or 0) >= 0,
            "embedding_cache must be 'disk' or 'none'": self.embedding_cache in ("disk", "none"),
            "cache_views must be a whole number of at least 1": _is_count(self.cache_views) and self.cache_views >= 1,
            "cache_gb must not be negative": self.cache_gb >= 0,
        }
        for message, holds in checks.items():
            if not holds:
                msg = f"{message}, got {self}"
                raise ValueError(msg)
        check_backbone(self.backbone)
        self._lora()
        resolved_adaptation(self.adaptation, from_scratch=self.weights is None)

    def _lora(self) -> LoraSettings:
        return LoraSettings(
            rank=self.lora_rank, alpha=self.lora_alpha, dropout=self.lora_dropout, target=self.lora_target
        )

    def model(self, resolution: int) -> SPDModelSettings:
        """The network's own settings."""
        lora = resolved_adaptation(self.adaptation, from_scratch=self.weights is None) == "lora"
        return SPDModelSettings(
            backbone=self.backbone,
            resolution=resolution,
            lora=self._lora() if lora else None,
            saliency_bias=self.saliency_bias,
            train_prompt_encoder=_or(self.train_prompt_encoder, self.weights is None),
            saliency_position=_or(self.saliency_position, not has_absolute_positions(self.backbone)),
            stage_one_mask_weight=_or(self.stage_one_mask_weight, 0.0 if lora else 1.0),
        )

    def context_of(self, planned: int) -> int:
        """The neighbours on each side that CPD consults, given the plan's number."""
        return planned if self.context is None else self.context

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)


def _or(chosen: _Value | None, default: _Value) -> _Value:
    return default if chosen is None else chosen


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
