"""Low-rank adaptation of SAM's image encoder: of its whole fused qkv layers through peft, or of q and v alone.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022; https://github.com/huggingface/peft.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from spd_bench.models.qv_lora import QVLoraLinear


@dataclass(frozen=True, kw_only=True)
class LoraSettings:
    """How LoRA is put into the image encoder; the defaults are SPD's.

    Attributes:
        rank: r, the inner width of each adapter.
        alpha: the adapter's output is scaled by alpha / rank.
        dropout: probability of dropping an adapter's input during training.
        target: a name in ``LORA_TARGETS``.
    """

    rank: int = 8
    alpha: float = 16
    dropout: float = 0.1
    target: str = "qkv"

    def __post_init__(self) -> None:
        if self.rank < 1:
            msg = f"rank must be at least 1, got {self.rank}"
            raise ValueError(msg)
        if not self.alpha > 0:
            msg = f"alpha must be positive, got {self.alpha}"
            raise ValueError(msg)
        if not 0 <= self.dropout < 1:
            msg = f"dropout must be in [0, 1), got {self.dropout}"
            raise ValueError(msg)
        if self.target not in LORA_TARGETS:
            msg = f"target must be one of {', '.join(LORA_TARGETS)}, got {self.target!r}"
            raise ValueError(msg)


def add_lora(encoder: nn.Module, settings: LoraSettings) -> None:
    """Put LoRA layers into ``encoder``, in place, and leave only them trainable.

    It stays the same object with the same attributes (``img_size``, ``blocks``). In its state dict an adapted
    layer's ``weight`` becomes ``base_layer.weight``, with ``lora_A.<name>.weight`` and ``lora_B.<name>.weight``
    beside it: of one adapter "default", or of two, "q" and "v". As B starts at zero the output does not change at
    first.

    Raises:
        ValueError: the encoder has no layer of the target's name.
    """
    LORA_TARGETS[settings.target](encoder, settings)
    set_lora_trainable(encoder, trainable=True)


def has_lora(encoder: nn.Module) -> bool:
    """Whether ``add_lora`` has been applied to ``encoder``."""
    return any(map(_is_lora, dict(encoder.named_parameters())))


def set_lora_trainable(encoder: nn.Module, *, trainable: bool) -> None:
    """Freeze the encoder's own parameters, and freeze or release its LoRA parameters."""
    for name, parameter in encoder.named_parameters():
        parameter.requires_grad_(trainable and _is_lora(name))


def _is_lora(name: str) -> bool:
    return ".lora_A." in name or ".lora_B." in name


def _adapt_qkv(encoder: nn.Module, settings: LoraSettings) -> None:
    # Here because peft imports transformers, which takes seconds that runs without LoRA need not wait.
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=r"blocks\.\d+\.attn\.qkv",
    )
    # Injected rather than wrapped in a PeftModel, which would hide the encoder's own attributes.
    inject_adapter_in_model(config, encoder)


def _adapt_q_and_v(encoder: nn.Module, settings: LoraSettings) -> None:
    attentions = [module for name, module in encoder.named_modules() if re.fullmatch(r"blocks\.\d+\.attn", name)]
    if not attentions:
        msg = "the encoder has no layer blocks.<number>.attn.qkv"
        raise ValueError(msg)
    for attention in attentions:
        attention.qkv = QVLoraLinear(attention.qkv, rank=settings.rank, alpha=settings.alpha, dropout=settings.dropout)


Adaptation = Literal["lora", "whole"]
"""How a pretrained image encoder is trained: by LoRA, or with all its parameters."""


def resolved_adaptation(adaptation: Adaptation | None, *, from_scratch: bool) -> Adaptation:
    """The choice, by default LoRA with weights and the whole encoder without.

    Raises:
        ValueError: it is no such choice, or LoRA of an encoder that has learned nothing.
    """
    if adaptation is None:
        return "whole" if from_scratch else "lora"
    if adaptation not in get_args(Adaptation):
        msg = f"adaptation must be none or one of {', '.join(get_args(Adaptation))}, got {adaptation!r}"
        raise ValueError(msg)
    if adaptation == "lora" and from_scratch:
        msg = "adaptation must be 'whole' from scratch, got 'lora'"
        raise ValueError(msg)
    return adaptation


LORA_TARGETS: dict[str, Callable[[nn.Module, LoraSettings], None]] = {"qkv": _adapt_qkv, "q_v": _adapt_q_and_v}
"""What is adapted in each block: ``qkv`` is SAM's fused layer as a whole, one low-rank update for all three;
``q_v`` is an update for the queries and one for the values, as in SAMed (https://github.com/hitachinsk/SAMed)."""
