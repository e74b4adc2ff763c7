"""The trainer of the ``spd`` row: Stage I learns the saliency map, Stage II decodes from distilled points."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager, PlansManager
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from spd_bench.errors import InputError
from spd_bench.losses import LossSettings, pairwise_slice_consistency, segmentation_loss
from spd_bench.models.distillation import slices_with_candidates
from spd_bench.models.inference import saliency_volume
from spd_bench.models.sam import build_sam
from spd_bench.models.spd import SPDNetwork
from spd_bench.planning.preprocessed_cases import PreprocessedCases
from spd_bench.storage import sha256_of_json
from spd_bench.training.batch_stream import BatchStream
from spd_bench.training.distilling import CANDIDATE_THRESHOLDS, SalientCase, distill_cases, shares_of
from spd_bench.training.distributed import is_main, on_main
from spd_bench.training.embedding_cache import EmbeddingCache, weights_digest
from spd_bench.training.embedding_stage import SlicesToEmbed, embed_slices
from spd_bench.training.embedding_windows import EmbeddedWindowDataset
from spd_bench.training.prompt_trainer import PromptTrainer
from spd_bench.training.prompted import prompted_logits
from spd_bench.training.replica import Outputs
from spd_bench.training.spd_settings import SPDSettings
from spd_bench.training.threshold_choice import Volume, choose_threshold
from spd_bench.training.windows import Neighbours, Points, Targets, WindowBatch, windows_in_batch

_STAGES = 2


class SPDTrainer(PromptTrainer):
    """Two stages in one run of epochs: the first ``stage_one_share`` of them train Stage I.

    When Stage II begins, saliency maps of all training and validation volumes are computed once with the
    frozen encoder, and the prompts distilled from them serve from then on; augmentation turns images and
    points together. A slice that is left without a point predicts nothing (``empty_prompt: skip``) and is
    not drawn in training, as no gradient could come from it.

    As the encoder is frozen by then, the slices that Stage II will draw are encoded once, in a few augmented views,
    and kept on disk while it runs (``embedding_cache: disk``); a step then costs the mask decoder alone.
    """

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 - nnU-Net compares this signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.spd = SPDSettings(**plans["spd_method"])
        self.check_epochs(self.num_epochs)
        self.stage = 1
        self.distilled: dict[str, Points] = {}
        self.embedded: EmbeddedWindowDataset | None = None

    @staticmethod
    def check_epochs(epochs: int) -> None:
        """Raise InputError where there are too few epochs for two stages."""
        if epochs < _STAGES:
            raise InputError(
                f"SPD trains in two stages, {epochs} epoch is too few", remedy=f"give at least {_STAGES} epochs"
            )

    @property
    def stage_one_epochs(self) -> int:
        """Epochs of Stage I; each stage gets at least one."""
        return min(max(1, round(self.num_epochs * self.spd.stage_one_share)), self.num_epochs - 1)

    @property
    def stage_name(self) -> str:
        """Shown in the progress bar."""
        return f"stage {'I' * self.stage}"

    @property
    def steps_in_stage(self) -> int:
        """Optimiser steps of the running stage."""
        epochs = self.stage_one_epochs if self.stage == 1 else self.num_epochs - self.stage_one_epochs
        return max(1, epochs * self.num_iterations_per_epoch)

    @property
    def neighbours(self) -> Neighbours:
        """Stage II compares neighbouring slices."""
        return "none" if self.stage == 1 else self.spd.psc_direction

    @property
    def fewest_windows(self) -> int:
        """Those of Stage II, where neighbours come along."""
        return windows_in_batch(self.settings.batch_size, self.spd.psc_direction)

    @staticmethod
    def build_network_architecture(
        plans_manager: PlansManager,
        configuration_manager: ConfigurationManager,
        num_input_channels: int,
        num_output_channels: int,
        enable_deep_supervision: bool = True,
    ) -> nn.Module:
        """The SPD network of the plans' ``spd_method``, with random weights."""
        settings = SPDSettings(**plans_manager.plans["spd_method"])
        model = settings.model(configuration_manager.configuration["spd"]["resolution"])
        return SPDNetwork(model, sam=build_sam(model.backbone, resolution=model.resolution))

    def initialize(self) -> None:
        """Build the network; with pretrained weights they go in before the first step."""
        super().initialize()
        if self.spd.weights is not None:
            info = self.network.load_sam(Path(self.spd.weights))
            self.notes["weights"] = {"name": info.name, "sha256": info.sha256}

    def predict_batch(self, batch: WindowBatch) -> Tensor:
        """Stage I: saliency logits. Stage II: mask logits from the distilled points, (N, R, R)."""
        if self.stage == 1:
            saliency: Tensor = self.network(batch.images)
            return saliency
        return self._masks(batch, self.encode(batch.images) if batch.embeddings is None else batch.embeddings.float())

    def outputs(self, batch: WindowBatch) -> Outputs:
        """In Stage I the saliency logits; masks from the raw points beside them where these have a weight."""
        if self.stage == 2 or not self.network.settings.stage_one_mask_weight:
            return super().outputs(batch)
        embeddings = self.network.encode(batch.images)
        saliency = self.network.saliency_logits(embeddings)
        return {"logits": saliency.float(), "masks": self._masks(batch, embeddings).float()}

    def outputs_loss(self, outputs: Outputs, targets: Targets) -> Tensor:
        """The loss of the logits, and that of the masks of Stage I with its weight."""
        loss = super().outputs_loss(outputs, targets)
        if "masks" in outputs:
            masks = segmentation_loss(outputs["masks"], targets.masks, self.settings.loss)
            loss = loss + self.network.settings.stage_one_mask_weight * masks
        return loss

    def _masks(self, batch: WindowBatch, embeddings: Tensor) -> Tensor:
        """Mask logits (N, R, R) from the batch's points."""
        return prompted_logits(
            batch, self.spd.empty_prompt, lambda chosen, points: self.network.decode(embeddings[list(chosen)], points)
        )

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Embeddings of images by the frozen encoder."""
        with self.precision():
            embeddings: Tensor = self.network.encode(images.to(self.device))
        return embeddings

    def batch_loss(self, logits: Tensor, targets: Targets) -> Tensor:
        """L_seg, in Stage II with 0.1 L_psc over neighbouring slices."""
        loss = super().batch_loss(logits, targets)
        if self.stage == 2 and self.spd.psc_weight > 0 and len(targets.pairs):
            probabilities = torch.sigmoid(logits)
            first, second = targets.pairs.unbind(dim=1)
            loss = loss + self.spd.psc_weight * pairwise_slice_consistency(probabilities[first], probabilities[second])
        return loss

    @property
    def segmentation_loss_settings(self) -> LossSettings:
        """In Stage I the saliency map's loss, in Stage II that of masks."""
        return (self.settings.saliency_loss if self.stage == 1 else None) or self.settings.loss

    def points_of(self, case: str) -> Points:
        """The noisy points in Stage I (where nothing reads them), the distilled ones in Stage II."""
        return super().points_of(case) if self.stage == 1 else self.distilled[case]

    def candidate_slices(self, case: str) -> NDArray[np.int64]:
        """In Stage II with ``skip`` the slices that have a distilled point."""
        if self.stage == 1 or self.spd.empty_prompt == "decode":
            return super().candidate_slices(case)
        return self.prompted_slices(case)

    def on_epoch_start(self) -> None:
        """Begin Stage II when its first epoch begins."""
        if self.stage == 1 and self.current_epoch >= self.stage_one_epochs:
            self._enter_stage_two()
            self.close_streams()
            self.dataloader_train, self.dataloader_val = self.get_dataloaders()
        super().on_epoch_start()

    def before_loading_state(self) -> None:
        """A checkpoint from within Stage II holds the optimiser of Stage II."""
        if self.current_epoch > self.stage_one_epochs:
            self._enter_stage_two()

    def get_dataloaders(self) -> tuple[BatchStream, BatchStream]:
        """Streams of the running stage.

        Stage II distills its prompts and encodes its slices first, also where a run is continued in it.
        """
        self.read_cases()
        if self.stage == 2 and not self.distilled:
            self._distill()
        if self.stage == 2 and self.embedded is None and self.spd.embedding_cache == "disk":
            self.embedded = self._embed()
        return super().get_dataloaders()

    def window_dataset(self, cases: list[str]) -> Dataset[WindowBatch]:
        """In Stage II the encoded slices, where there are any."""
        return super().window_dataset(cases) if self.embedded is None else self.embedded

    def on_train_start(self) -> None:
        """Remove what an earlier run left of embeddings that this one cannot use."""
        if is_main() and (self.current_epoch < self.stage_one_epochs or self.spd.embedding_cache == "none"):
            shutil.rmtree(self.embedding_folder, ignore_errors=True)
        super().on_train_start()

    def on_train_end(self) -> None:
        """Choose the threshold for prediction where none is given and save the network; its embeddings have served."""
        if self.spd.threshold is None:
            self._choose_threshold()
        super().on_train_end()
        if is_main():
            shutil.rmtree(self.embedding_folder, ignore_errors=True)

    @property
    def embedding_folder(self) -> Path:
        """Where the run keeps the embeddings of Stage II."""
        return Path(self.output_folder, "embeddings")

    def _enter_stage_two(self) -> None:
        self.stage = 2
        self.network.train_stage_two()
        self.share_steps()
        self.optimizer, self.lr_scheduler = self.configure_optimizers()

    @property
    def _context(self) -> int:
        return self.spd.context_of(self.configuration_manager.configuration["spd"]["context"])

    def _load_volume(self, case: str) -> Volume:
        """A training or validation case, whole, with its noisy points."""
        cases = PreprocessedCases(self.preprocessed_dataset_folder, [case])
        images, labels = cases.read_slices(case)
        channels = self.configuration_manager.configuration["spd"]["channels"]
        return Volume(
            slices=images[channels].transpose(1, 0, 2, 3), points=self.slice_indices[case].points, masks=labels
        )

    def _choose_threshold(self) -> None:
        """Take the threshold with which the decoder, as it is now, segments the validation cases best."""
        trained_with = self.notes["threshold"]["tau"]
        choice = on_main(
            lambda: choose_threshold(
                self.network,
                self._load_volume,
                cases=tqdm(sorted(self.validation_cases), "choosing tau, validation", unit="case", leave=False),
                # What it was trained with comes first: it stays where no other is better.
                candidates=(trained_with, *CANDIDATE_THRESHOLDS),
                context=self._context,
                empty_prompt=self.spd.empty_prompt,
                device=self.device,
            )
        )
        self.network.threshold.fill_(choice.threshold)
        self.notes["threshold"] |= {
            "tau": choice.threshold,
            "validation_dice": choice.dice,
            "trained_with": trained_with,
        }
        quality = self.notes["prompt_quality"]
        self.notes["prompt_quality"] = {
            "raw": quality["raw"],
            "training": quality["distilled"],
            "distilled": shares_of(choice.quality),
        }
        self.print_to_log_file(f"threshold of prediction: {self.notes['threshold']}")

    def _distill(self) -> None:
        """Distil the points of all cases once; note how good they are on validation cases and keep the threshold."""
        context = self._context

        def load(case: str) -> SalientCase:
            volume = self._load_volume(case)
            # Elsewhere no point could become a prompt, whatever the saliency is.
            asked = slices_with_candidates(volume.points, context=context)
            saliency = saliency_volume(self.network, volume.slices, device=self.device, only=asked)
            return SalientCase(saliency=saliency, points=volume.points, masks=volume.masks)

        found = on_main(
            lambda: distill_cases(
                load,
                training=tqdm(sorted(self.train_cases), "distilling prompts", unit="case", leave=False),
                validation=tqdm(sorted(self.validation_cases), "distilling, validation", unit="case", leave=False),
                threshold=self.spd.threshold,
                context=context,
            )
        )
        if not any(len(points) for case in self.train_cases for points in found.points[case]):
            raise InputError(
                f"Stage I left no prompt: its saliency exceeds {found.threshold} at none of the points",
                remedy="train longer, or lower spd.threshold",
            )
        self.distilled = found.points
        self.network.threshold.fill_(found.threshold)
        self.notes["threshold"] = {"tau": found.threshold, "chosen": self.spd.threshold is None}
        self.notes["prompt_quality"] = found.quality_notes()
        for name, shares in self.notes["prompt_quality"].items():
            self.print_to_log_file(f"{name} prompts on validation cases: {shares}")

    def _embed(self) -> EmbeddedWindowDataset | None:
        """Encode the slices that Stage II draws; None where they do not fit on the disk."""
        cache = self._cache()
        training, validation = self.window_samplers()
        self.network.eval()
        choice, embedded = embed_slices(
            SlicesToEmbed(
                training=training,
                validation=validation,
                epochs=range(self.stage_one_epochs, self.num_epochs),
                images=self.slices_of([*self.train_cases, *self.validation_cases]),
                points=self.distilled,
                settings=self.settings,
                encode=self.encode,
                workers=self.workers,
            ),
            cache,
            views=self.spd.cache_views,
            gigabytes=self.spd.cache_gb,
            tell=self._tell,
        )
        self.notes["embedding_cache"] = choice.to_json()
        return embedded

    def _cache(self) -> EmbeddingCache:
        """Embeddings under a key of all that decides them."""
        sam = self.network.sam
        decided_by = {
            "encoder": weights_digest(sam.image_encoder),
            "points": {case: [points.tolist() for points in slices] for case, slices in self.distilled.items()},
            # Which costs memory and time alone, so that a run may be continued with another choice.
            "training": replace(self.settings, gradient_checkpointing=False, workers=None).to_json(),
            "method": {name: value for name, value in self.spd.to_json().items() if name != "weights"},
            "data": self.plans_manager.plans["spd_hashes"],
        }
        return EmbeddingCache(
            self.embedding_folder,
            key=sha256_of_json(decided_by),
            embedding_shape=(sam.prompt_encoder.embed_dim, *sam.prompt_encoder.image_embedding_size),
            resolution=self.network.resolution,
        )

    def _tell(self, line: str) -> None:
        """One line on the console, above the progress bar, and in the log."""
        if is_main():
            tqdm.write(line, file=sys.stderr)
        self.print_to_log_file(line)
