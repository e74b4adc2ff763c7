"""``spd``: Saliency-Guided Prompt Distillation.

Source: Kang et al., "Learning from Noisy Prompts: Saliency-Guided Prompt Distillation for Robust Segmentation
with SAM", arXiv 2604.23314; no public code. Reproduced: Stage I (saliency head with LoRA), CPD, Stage II with
pairwise slice consistency, one encoding a slice. What the paper leaves open is a named setting of
:class:`spd_bench.training.spd_settings.SPDSettings`. Without SAM's weights the encoder is trained whole: from scratch,
or from the package's own weights, whose encoder is too small for LoRA to adapt.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spd_bench.methods.method import Method, MethodOptions, MethodRun, variant
from spd_bench.models.distillation import slices_with_candidates
from spd_bench.models.inference import distil_slices, encode_slices, saliency_maps, segment_volume
from spd_bench.models.merged_lora import merge_lora
from spd_bench.models.spd import SPDNetwork
from spd_bench.planning.grid import voxels_of_points
from spd_bench.planning.plan import Plan
from spd_bench.prediction.own_grid import write_mask, write_saliency
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume, slice_points, volume_slices
from spd_bench.prompts.points import PointPrompts
from spd_bench.raw.geometry import VolumeGeometry
from spd_bench.training.run import load_network
from spd_bench.training.settings import Budget, TrainingSettings
from spd_bench.training.spd_settings import SPDSettings
from spd_bench.training.spd_trainer import SPDTrainer


class SPDPredictor:
    """Segments a volume from its noisy points."""

    def __init__(self, network: SPDNetwork, settings: SPDSettings, plan: Plan, device: torch.device) -> None:
        self._network = network
        self._settings = settings
        self._plan = plan
        self._device = device

    def set_threshold(self, threshold: float) -> None:
        """Distil with another tau than the one that the network was trained with."""
        self._network.threshold.fill_(threshold)

    @property
    def _context(self) -> int:
        return self._settings.context_of(self._plan.slice_settings["context"])

    def consensus(self, volume: PromptedVolume) -> list[NDArray[np.int64]]:
        """The volume's distilled points on its preprocessed slices, (N, 2) integer (x, y) each."""
        points = slice_points(volume, self._plan)
        asked = slices_with_candidates(points, context=self._context)
        embeddings = self._embeddings(volume, only=asked)
        consensus = [np.empty((0, 2), np.int64) for _ in points]
        for part in distil_slices(self._network, embeddings, points, context=self._context, only=asked):
            for index, prompts in zip(part.indices, part.points, strict=True):
                consensus[index] = prompts
        return consensus

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        """Segment one volume; its saliency volume and consensus points come along where asked for."""
        plan, shape = self._plan, volume.geometry.shape
        points = slice_points(volume, plan)
        only = None
        if self._settings.empty_prompt == "skip" and not extra.saliency:
            # Elsewhere no point can become a prompt, so that nothing would be decoded.
            only = slices_with_candidates(points, context=self._context)
        embeddings = self._embeddings(volume, only=only)
        saliency = np.empty(shape, np.float32) if extra.saliency else None
        if saliency is not None:
            embeddings = self._salient(embeddings, saliency)
        parts = segment_volume(
            self._network,
            embeddings,
            points,
            context=self._context,
            empty_prompt=self._settings.empty_prompt,
            only=only,
        )
        mask = np.zeros(shape, np.uint8)
        consensus = [np.empty((0, 2), np.int64) for _ in points]
        for part in parts:
            write_mask(mask, part.logits, indices=part.indices, transpose=plan.transpose)
            for index, prompts in zip(part.indices, part.points, strict=True):
                consensus[index] = prompts
        return Prediction(
            mask=mask,
            saliency=saliency,
            points=self._own_points(consensus, volume.geometry) if extra.prompts else None,
        )

    def _embeddings(self, volume: PromptedVolume, *, only: NDArray[np.bool_] | None) -> Iterator[Tensor]:
        return encode_slices(self._network, volume_slices(volume, self._plan), device=self._device, only=only)

    def _salient(self, embeddings: Iterable[Tensor], saliency: NDArray[np.float32]) -> Iterator[Tensor]:
        """The embeddings as they come, their saliency maps written on the way."""
        first = 0
        for batch in embeddings:
            maps = saliency_maps(self._network, batch).cpu().numpy()
            write_saliency(saliency, maps, first=first, transpose=self._plan.transpose)
            first += len(batch)
            yield batch

    def _own_points(self, consensus: list[NDArray[np.int64]], geometry: VolumeGeometry) -> PointPrompts:
        """The consensus points in the volume's own geometry."""
        plan = self._plan
        voxels = voxels_of_points(consensus, shape=geometry.shape, transpose=plan.transpose, resolution=plan.resolution)
        return PointPrompts.from_voxels(voxels, geometry, provenance={"distilled_by": "spd"})


def _settings(options: MethodOptions) -> dict[str, Any]:
    start = options.start("sam")
    # A small budget's saliency map is far from the paper's, whose values are polarised and make 0.5 as good as any.
    chosen = {} if start.published else {"threshold": None, **start.adaptation}
    return SPDSettings(**start.settings, **{**chosen, **options.overrides}).to_json()


def _training(budget: Budget, plan: Plan, options: MethodOptions) -> TrainingSettings:
    training = options.start("sam").training(budget)
    SPDTrainer.check_epochs(training.epochs)
    return training


def _predictor(run: MethodRun) -> SPDPredictor:
    network, checkpoint = load_network(SPDTrainer, run.folder, plan=run.plan, device=run.device)
    spd = cast(SPDNetwork, network)
    merge_lora(spd.sam.image_encoder)
    settings = SPDSettings(**checkpoint["init_args"]["plans"]["spd_method"])
    return SPDPredictor(spd, settings, run.plan, run.device)


SPD = Method(
    name="spd",
    title="SPD",
    uses_prompts=True,
    trainer=SPDTrainer,
    own_plan=False,
    settings=_settings,
    training=_training,
    predictor=_predictor,
)

SPD_VARIANTS = (
    variant(SPD, name="spd_local", title="SPD, local only", overrides={"context": 0, "psc_weight": 0.0}),
    variant(SPD, name="spd_cpd", title="SPD without PSC", overrides={"psc_weight": 0.0}),
    variant(SPD, name="spd_decode", title="SPD, empty prompts decoded", overrides={"empty_prompt": "decode"}),
    variant(SPD, name="spd_previous", title="SPD, PSC with previous", overrides={"psc_direction": "previous"}),
    variant(SPD, name="spd_both", title="SPD, PSC with both", overrides={"psc_direction": "both"}),
    variant(SPD, name="spd_q_v", title="SPD, LoRA on q and v", overrides={"lora_target": "q_v"}),
)
"""The ablations of the paper, each against the row ``spd``: settings of one method."""
