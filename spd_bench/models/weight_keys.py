"""Whether a file's tensors are those of a network: every key, every shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from spd_bench.errors import InputError

_NAMED_KEYS = 3


def check_keys(
    weights: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    *,
    network: str,
    path: Path,
    remedy: Callable[[Mapping[str, Tensor]], str],
) -> None:
    """Raise InputError unless the weights have exactly the expected keys and shapes.

    Args:
        weights: the file's tensors.
        expected: the network's state dict.
        network: what the network is called in the message.
        path: where the weights were read from.
        remedy: what to do, worked out from the weights where they do not fit.

    Raises:
        InputError: it names how many keys are missing, unexpected or misshapen, and the first of each.
    """
    faults = {
        "missing": [key for key in expected if key not in weights],
        "unexpected": [key for key in weights if key not in expected],
        "misshapen": [
            f"{key} {tuple(weights[key].shape)} instead of {tuple(value.shape)}"
            for key, value in expected.items()
            if key in weights and weights[key].shape != value.shape
        ],
    }
    if not any(faults.values()):
        return
    told = "; ".join(f"{len(keys)} {fault}: {_first(keys)}" for fault, keys in faults.items() if keys)
    raise InputError(f"the weights do not fit {network} ({told})", file=path, remedy=remedy(weights))


def _first(keys: list[str]) -> str:
    return ", ".join(keys[:_NAMED_KEYS]) + (", ..." if len(keys) > _NAMED_KEYS else "")
