"""``sam``: Segment Anything as it is, prompted with the raw points; ``sam_consensus``: with SPD's points instead.

Source: Kirillov et al., "Segment Anything", ICCV 2023; segment_anything (Apache-2.0), its modules as installed.
Zero-shot: nothing is trained, one mask a slice, SAM's own intensities. What differs: slices are of the plan's
resolution instead of 1024, with SAM's positions resized when the weights are loaded, and a slice without a point
gets an empty mask. ``sam_consensus`` is the paper's comparison of raw against consensus points on a frozen SAM; the
points come from the row ``spd`` of the same fold.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from spd_bench.methods.method import Method, MethodOptions, MethodRun
from spd_bench.methods.sam_family import zero_shot_network, zero_shot_predictor
from spd_bench.methods.spd import SPD, SPDPredictor
from spd_bench.models.inference import decode_volume
from spd_bench.models.sam_network import SamNetwork
from spd_bench.planning.plan import Plan
from spd_bench.prediction.own_grid import mask_of_parts
from spd_bench.prediction.volume import (
    MASK_ONLY,
    ExtraOutputs,
    Prediction,
    PromptedVolume,
    VolumePredictor,
    volume_slices,
)
from spd_bench.training.sam_settings import SamSettings


@dataclass(frozen=True, kw_only=True)
class ZeroShotSamSettings(SamSettings):
    """SAM as published."""

    intensity: str = "imagenet"


class ConsensusPredictor:
    """A frozen SAM that decodes from the points that SPD has distilled."""

    def __init__(self, network: SamNetwork, distiller: SPDPredictor, *, plan: Plan, device: torch.device) -> None:
        self._network = network.to(device).eval()
        self._distiller = distiller
        self._plan = plan
        self._device = device

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        """Segment one volume."""
        points = self._distiller.consensus(volume)
        parts = decode_volume(self._network, volume_slices(volume, self._plan), points, device=self._device)
        return Prediction(mask=mask_of_parts(parts, shape=volume.geometry.shape, transpose=self._plan.transpose))


def _settings(options: MethodOptions) -> dict[str, Any]:
    start = options.needed_start("sam")
    return ZeroShotSamSettings(**start.settings, **{**start.intensity, **options.overrides}).to_json()


def _consensus_predictor(run: MethodRun) -> VolumePredictor:
    network = zero_shot_network(ZeroShotSamSettings(**_settings(run.own_options)), run)
    distiller = SPD.predictor(run.of(SPD))
    if not isinstance(distiller, SPDPredictor):
        msg = f"the row {SPD.name} does not distil points"
        raise TypeError(msg)
    return ConsensusPredictor(network, distiller, plan=run.plan, device=run.device)


SAM = Method(
    name="sam",
    title="SAM",
    uses_prompts=True,
    trainer=None,
    own_plan=False,
    settings=_settings,
    training=None,
    predictor=zero_shot_predictor(ZeroShotSamSettings, _settings),
)
SAM_CONSENSUS = Method(
    name="sam_consensus",
    title="SAM, consensus points",
    uses_prompts=True,
    trainer=None,
    own_plan=False,
    settings=_settings,
    training=None,
    predictor=_consensus_predictor,
    requires=lambda _: (SPD,),
)
