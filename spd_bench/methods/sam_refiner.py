"""``sam_refiner``: the masks of the row ``unet``, refined by SAM; ``sam_refiner_points``: those of the row ``sam``.

Source: Lin et al., "SAMRefiner: Taming Segment Anything Model for Universal Mask Refinement", ICLR 2025, arXiv
2502.06756; https://github.com/linyq2117/SAMRefiner (MIT), rebuilt from its description on segment_anything's modules.
Training-free: each slice's coarse mask becomes a positive and a negative point, a box and a mask prompt, SAM answers
with three masks, the one that it rates highest is the next round's mask; 5 rounds. Reproduced: the prompts' rules and
constants, at the plan's resolution instead of 1024; box without enlargement. What differs: distances are exact, and a
mask without target or without background is left as it is.

The method refines masks, not points, so that what it starts from decides what it sees: ``sam_refiner`` is given
no points at all, ``sam_refiner_points`` sees them through SAM. The coarse mask is the other row's prediction of the
same fold as the tables score it. A slice's mask is refined as one object, as in the published code; ``objects:
component`` refines each connected component by itself and unites them, which is near the paper's treatment of
masks of several objects.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from spd_bench.methods.method import Method, MethodOptions, MethodRun
from spd_bench.methods.sam import SAM, ZeroShotSamSettings
from spd_bench.methods.sam_family import zero_shot_network
from spd_bench.methods.unet import UNET
from spd_bench.models.refiner import OBJECTS, refine_volume
from spd_bench.models.sam_network import SamNetwork
from spd_bench.planning.grid import masks_on_own_grid, resize_masks
from spd_bench.planning.plan import Plan
from spd_bench.prediction.volume import (
    MASK_ONLY,
    ExtraOutputs,
    Prediction,
    PromptedVolume,
    VolumePredictor,
    volume_slices,
)


@dataclass(frozen=True, kw_only=True)
class SamRefinerSettings(ZeroShotSamSettings):
    """SAM as a refiner.

    Attributes:
        coarse: name of the row whose masks are refined; each row of the refiner has its own.
        rounds: how often each mask is refined.
        objects: what is refined as one object, a name in ``OBJECTS``.
    """

    coarse: str
    rounds: int = 5
    objects: str = "slice"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.rounds, int) or self.rounds < 1:
            msg = f"rounds must be a whole number of at least 1, got {self.rounds!r}"
            raise ValueError(msg)
        if self.objects not in OBJECTS:
            msg = f"objects must be one of {', '.join(OBJECTS)}, got {self.objects!r}"
            raise ValueError(msg)
        if self.empty_prompt != "skip":
            msg = "empty_prompt must be 'skip': an empty mask has no prompts"
            raise ValueError(msg)


class SamRefinerPredictor:
    """Refines another row's prediction."""

    def __init__(
        self,
        network: SamNetwork,
        coarse: VolumePredictor,
        *,
        settings: SamRefinerSettings,
        plan: Plan,
        device: torch.device,
    ) -> None:
        self._network = network.to(device).eval()
        self._coarse = coarse
        self._settings = settings
        self._plan = plan
        self._device = device

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        """Segment one volume."""
        logits = refine_volume(
            self._network,
            volume_slices(volume, self._plan),
            self._coarse_masks(volume),
            device=self._device,
            rounds=self._settings.rounds,
            objects=self._settings.objects,
        )
        return Prediction(mask=masks_on_own_grid(logits, shape=volume.geometry.shape, transpose=self._plan.transpose))

    def _coarse_masks(self, volume: PromptedVolume) -> NDArray[np.bool_]:
        """The other row's masks on the preprocessed slices, (Z, R, R)."""
        mask = self._coarse.predict(volume).mask.transpose(self._plan.transpose)
        return resize_masks(mask, (self._plan.resolution, self._plan.resolution)) > 0


def _refining(coarse: Method, *, name: str, title: str, base: str | None = None) -> Method:
    """The row that refines another row's masks; it uses prompts where that one does."""

    def settings(options: MethodOptions) -> SamRefinerSettings:
        start = options.needed_start("sam")
        return SamRefinerSettings(coarse=coarse.name, **start.settings, **{**start.intensity, **options.overrides})

    def predictor(run: MethodRun) -> SamRefinerPredictor:
        chosen = settings(run.own_options)
        return SamRefinerPredictor(
            zero_shot_network(chosen, run),
            coarse.predictor(run.of(coarse)),
            settings=chosen,
            plan=run.plan,
            device=run.device,
        )

    return Method(
        name=name,
        title=title,
        uses_prompts=coarse.uses_prompts,
        trainer=None,
        own_plan=False,
        settings=lambda options: settings(options).to_json(),
        training=None,
        predictor=predictor,
        requires=lambda _: (coarse,),
        base=base,
        note=f"refines the masks of {coarse.title}" + ("." if coarse.uses_prompts else " and is given no points."),
    )


SAM_REFINER = _refining(UNET, name="sam_refiner", title="SAM-Refiner")
SAM_REFINER_POINTS = _refining(SAM, name="sam_refiner_points", title="SAM-Refiner, SAM's masks", base=SAM_REFINER.name)
