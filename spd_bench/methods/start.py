"""What a row of the SAM family starts from: published weights, the package's own, or none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spd_bench.errors import InputError
from spd_bench.models.builtin_weights import BUILTIN, builtin_weights, is_builtin
from spd_bench.models.sam import SMALL_BACKBONE
from spd_bench.models.weight_families import find_weights
from spd_bench.models.weight_files import weights_sha256
from spd_bench.training.settings import (
    Budget,
    TrainingSettings,
    builtin_training,
    pretrained_training,
    scratch_training,
)

_PUBLISHED_BACKBONE = "vit_b"
_BUILTIN_FAMILY = "sam"


@dataclass(frozen=True, kw_only=True)
class Start:
    """Backbone and weights that a row starts from.

    Attributes:
        backbone: name of the backbone.
        weights: file or folder of the weights, None for random ones.
    """

    backbone: str
    weights: Path | None

    @property
    def from_scratch(self) -> bool:
        """Whether there are no weights."""
        return self.weights is None

    @property
    def builtin(self) -> bool:
        """Whether they are the package's own."""
        return is_builtin(self.weights)

    @property
    def published(self) -> bool:
        """Whether they are somebody's weights for a whole SAM, which the papers' recipes are made for."""
        return not (self.from_scratch or self.builtin)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings ``backbone``, ``weights`` and ``weights_sha256``."""
        if self.weights is None:
            return {"backbone": self.backbone, "weights": None, "weights_sha256": None}
        path = self.weights.absolute()
        return {"backbone": self.backbone, "weights": str(path), "weights_sha256": weights_sha256(path)}

    @property
    def intensity(self) -> dict[str, str]:
        """The setting ``intensity`` where the weights decide it: the package's own were trained on [-1, 1]."""
        return {"intensity": "symmetric"} if self.builtin else {}

    @property
    def adaptation(self) -> dict[str, str]:
        """The setting ``adaptation`` where LoRA is too little: of the small encoder it would train one part in 200."""
        return {} if self.published else {"adaptation": "whole"}

    def training(self, budget: Budget) -> TrainingSettings:
        """The recipe that suits the start."""
        if self.from_scratch:
            return scratch_training(budget)
        return builtin_training(budget) if self.builtin else pretrained_training(budget)


def choose_start(
    families: tuple[str, ...],
    *,
    backbone: str | None,
    given: Mapping[str, Path | None],
    folder: Path | None,
) -> Start:
    """The first of the families that there are weights of; else the package's own; else none.

    Args:
        families: names in ``WEIGHT_FAMILIES``, the most fitting first. The package's own weights are of "sam".
        backbone: the user's choice; None: that of the weights (``vit_b`` for published ones).
        given: paths by family, None for random weights, as from ``parse_weights``.
        folder: where published weights are looked for.

    Raises:
        InputError: a family is unknown, a given path does not exist, or the package's own weights were asked for with
            another backbone than theirs.
    """
    for family in families:
        path = find_weights(family, backbone=backbone or _PUBLISHED_BACKBONE, given=given, folder=folder)
        if path is not None:
            _check_builtin(path, backbone)
            own = SMALL_BACKBONE if is_builtin(path) else _PUBLISHED_BACKBONE
            return Start(backbone=backbone or own, weights=path)
        if family in given:
            return Start(backbone=backbone or SMALL_BACKBONE, weights=None)
    if _BUILTIN_FAMILY in families and backbone in (None, SMALL_BACKBONE):
        return Start(backbone=SMALL_BACKBONE, weights=builtin_weights())
    return Start(backbone=backbone or _PUBLISHED_BACKBONE, weights=None)


def _check_builtin(path: Path, backbone: str | None) -> None:
    if is_builtin(path) and backbone not in (None, SMALL_BACKBONE):
        raise InputError(
            f"the {BUILTIN} weights are of the backbone {SMALL_BACKBONE}, not {backbone}",
            remedy=f"leave out --backbone, or give weights of {backbone}",
        )
