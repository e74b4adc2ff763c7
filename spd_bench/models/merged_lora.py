"""LoRA for prediction: the low-rank updates added to the weights that they adapt, so that they cost nothing.

Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", ICLR 2022, section 4.1.
"""

from __future__ import annotations

import torch
from torch import nn


@torch.no_grad()
def merge_lora(encoder: nn.Module) -> None:
    """Replace each adapted layer of ``encoder`` by one linear layer that gives the same to float error, in place.

    An encoder without LoRA stays as it is. What is merged can neither be trained further nor saved as LoRA.

    Args:
        encoder: an encoder after ``add_lora``, put into evaluation mode here, as dropout is no part of the result.
    """
    encoder.eval()
    adapted = [(name, layer) for name, layer in encoder.named_modules() if hasattr(layer, "lora_A")]
    for name, layer in adapted:
        parent, _, attribute = name.rpartition(".")
        setattr(encoder.get_submodule(parent), attribute, _merged(layer))


def _merged(layer: nn.Module) -> nn.Linear:
    base = layer.get_submodule("base_layer")
    if not isinstance(base, nn.Linear):
        msg = f"only linear layers are merged, got {type(base).__name__}"
        raise TypeError(msg)
    # Whatever the adapter's parts are named and however they are scaled, on the identity it shows its matrix.
    identity = torch.eye(base.in_features, device=base.weight.device, dtype=base.weight.dtype)
    base.weight += (layer(identity) - base(identity)).T
    return base
