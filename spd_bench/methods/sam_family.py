"""What the rows of the SAM family share: prediction slice by slice from points, and the two ways to build it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import torch

from spd_bench.methods.method import MethodOptions, MethodRun
from spd_bench.models.inference import decode_volume
from spd_bench.models.merged_lora import merge_lora
from spd_bench.models.sam_network import SamNetwork
from spd_bench.planning.plan import Plan
from spd_bench.prediction.own_grid import mask_of_parts
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume, slice_points, volume_slices
from spd_bench.training.prompted import EmptyPrompt
from spd_bench.training.run import load_network
from spd_bench.training.sam_settings import SamSettings
from spd_bench.training.sam_trainer import SamTrainer

_RANDOM_WEIGHTS_SEED = 0


class SamPredictor:
    """Segments every slice of a volume from the slice's own points."""

    def __init__(self, network: SamNetwork, *, plan: Plan, device: torch.device, empty_prompt: EmptyPrompt) -> None:
        self._network = network.to(device).eval()
        self._plan = plan
        self._device = device
        self._empty_prompt = empty_prompt

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        """Segment one volume from its points as they are."""
        parts = decode_volume(
            self._network,
            volume_slices(volume, self._plan),
            slice_points(volume, self._plan),
            device=self._device,
            empty_prompt=self._empty_prompt,
        )
        return Prediction(mask=mask_of_parts(parts, shape=volume.geometry.shape, transpose=self._plan.transpose))


@contextlib.contextmanager
def reproducible_weights() -> Iterator[None]:
    """Draw the random weights of rows that are not trained from a fixed seed, and leave torch's generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_RANDOM_WEIGHTS_SEED)
        yield


def zero_shot_network(settings: SamSettings, run: MethodRun) -> SamNetwork:
    """The network of a row that is not trained, with its weights (random ones from a fixed seed)."""
    with reproducible_weights():
        network = settings.network(run.plan.resolution)
    if settings.weights is not None:
        network.load_sam(Path(settings.weights))
    return network


def zero_shot_predictor(
    row_settings: type[SamSettings], settings_of: Callable[[MethodOptions], dict[str, Any]]
) -> Callable[[MethodRun], SamPredictor]:
    """A predictor from the weights that the user's options name."""

    def build(run: MethodRun) -> SamPredictor:
        settings = row_settings(**settings_of(run.own_options))
        network = zero_shot_network(settings, run)
        return SamPredictor(network, plan=run.plan, device=run.device, empty_prompt=settings.empty_prompt)

    return build


def trained_predictor(trainer: type[SamTrainer]) -> Callable[[MethodRun], SamPredictor]:
    """A predictor from a trained run's checkpoint."""

    def build(run: MethodRun) -> SamPredictor:
        network, checkpoint = load_network(trainer, run.folder, plan=run.plan, device=run.device)
        settings = trainer.row_settings(**checkpoint["init_args"]["plans"]["spd_method"])
        sam = cast(SamNetwork, network)
        merge_lora(sam.sam.image_encoder)
        return SamPredictor(sam, plan=run.plan, device=run.device, empty_prompt=settings.empty_prompt)

    return build
