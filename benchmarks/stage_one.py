"""Time and memory of a training step of Stage I: stock encoder, ours, ours with gradient checkpointing.

    python -m benchmarks.stage_one --backbone vit_b --resolution 512 --batch-size 1
    python -m benchmarks.stage_one --device cuda --batch-size 1 8 16
    python -m benchmarks.stage_one --backbone vit_t --resolution 96 --batch-size 8 --scratch

A step is the trainer's: LoRA and saliency head (or, from scratch, the whole encoder), the paper's loss, clipping, Adam,
and bfloat16 on a GPU. Data loading is timed by itself, on a preprocessed volume of the same resolution: reading
windows of one slice, and augmenting them.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from nnunetv2.preprocessing.preprocessors.default_preprocessor import comp_blosc2_params
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.measuring import benchmark_parser, peak_memory_of, prepare, report, seconds_in_turn, speed_ratio
from benchmarks.sam_peers import stock_sam
from spd_bench.losses import LossSettings, segmentation_loss
from spd_bench.models.checkpointing import set_gradient_checkpointing
from spd_bench.models.lora import LoraSettings
from spd_bench.models.sam import BACKBONES, build_sam
from spd_bench.models.spd import SPDModelSettings, SPDNetwork
from spd_bench.training.settings import TrainingSettings
from spd_bench.training.windows import Window, WindowDataset, join_windows

_CLAIM = (
    "Stage I with our encoder takes less time a step than with segment_anything's own; gradient checkpointing buys "
    "memory with time; reading and augmenting slices takes a small share of a step."
)
_STOCK, _OURS, _CHECKPOINTED = "segment_anything", "ours", "ours, checkpointed"
_VARIANTS = (_STOCK, _OURS, _CHECKPOINTED)
_SLICES = 20
_GRADIENT_CLIP = 1.0


def main(argv: Sequence[str] | None = None) -> None:
    """Measure every variant at every batch size, and data loading."""
    arguments = _arguments(argv)
    prepare(arguments)
    rows: list[dict[str, Any]] = []
    ratios: dict[str, Any] = {}
    for batch_size in arguments.batch_size:
        seconds = _seconds(arguments, batch_size)
        peaks = {variant: _peak_mb(variant, batch_size, arguments) for variant in _VARIANTS}
        for variant in _VARIANTS:
            median = statistics.median(seconds[variant])
            rows.append(
                {
                    "encoder": variant,
                    "batch": batch_size,
                    "seconds a step": median,
                    "images/s": batch_size / median,
                    "memory MB": round(peaks[variant]),
                }
            )
        ratios[f"speed_of_ours_batch_{batch_size}"] = speed_ratio(seconds, _OURS, _STOCK)
        ratios[f"speed_of_checkpointed_batch_{batch_size}"] = speed_ratio(seconds, _CHECKPOINTED, _OURS)
        ratios[f"memory_of_checkpointed_batch_{batch_size}"] = round(peaks[_CHECKPOINTED] / peaks[_OURS], 3)
    loading = _loading_seconds(arguments)
    largest = next(row for row in reversed(rows) if row["encoder"] == _OURS)
    an_image = sum(loading.values())
    report(
        "stage_one",
        claim=_CLAIM,
        rows=rows,
        arguments=arguments,
        **ratios,
        **{f"{part}_ms_an_image": round(1000 * value, 3) for part, value in loading.items()},
        share_of_loading_without_workers=round(an_image / (an_image + 1 / largest["images/s"]), 4),
    )


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = benchmark_parser(__doc__, repeats=2)
    parser.add_argument("--backbone", choices=BACKBONES, default="vit_b", help="SAM backbone (vit_b)")
    parser.add_argument("--resolution", type=int, default=512, help="side of the slices in pixels (512)")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[1], help="slices in a step (1)")
    parser.add_argument("--scratch", action="store_true", help="train the whole encoder, without LoRA")
    return parser.parse_args(argv)


class StageOneStep:
    """One variant of the network and its optimiser; a call takes one training step on random slices."""

    def __init__(self, variant: str, batch_size: int, arguments: argparse.Namespace) -> None:
        torch.manual_seed(0)
        sizes = {"backbone": arguments.backbone, "resolution": arguments.resolution}
        sam = build_sam(**sizes)
        if variant == _STOCK:
            sam = stock_sam(sam, **sizes)
        settings = SPDModelSettings(**sizes, lora=None if arguments.scratch else LoraSettings())
        self.network = SPDNetwork(settings, sam=sam).to(arguments.device).train()
        if variant == _CHECKPOINTED:
            set_gradient_checkpointing(self.network.sam.image_encoder, enabled=True)
        self._trained = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self._optimizer = torch.optim.Adam(self._trained, lr=1e-4)
        side = arguments.resolution
        self._images = torch.rand((batch_size, 3, side, side), device=arguments.device) * 2 - 1
        self._masks = (torch.rand((batch_size, side, side), device=arguments.device) < 0.01).float()
        self._device = arguments.device

    def __call__(self) -> None:
        """Take a step."""
        self._optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._device.type == "cuda"):
            logits: Tensor = self.network(self._images)
            loss = segmentation_loss(logits.float(), self._masks, LossSettings())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._trained, _GRADIENT_CLIP)
        self._optimizer.step()


def _seconds(arguments: argparse.Namespace, batch_size: int) -> dict[str, list[float]]:
    steps: dict[str, Callable[[], object]] = {
        variant: StageOneStep(variant, batch_size, arguments) for variant in _VARIANTS
    }
    return seconds_in_turn(steps, repeats=arguments.repeats, device=arguments.device)


def _peak_mb(variant: str, batch_size: int, arguments: argparse.Namespace) -> float:
    """Memory of training beyond an idle process: weights, optimiser and what a step holds."""
    if arguments.device.type == "cuda":
        gc.collect()
        before = torch.cuda.memory_allocated(arguments.device)
        torch.cuda.reset_peak_memory_stats(arguments.device)
        two_steps(variant, batch_size, arguments)
        return (torch.cuda.max_memory_allocated(arguments.device) - before) / 2**20
    before_mb, peak_mb = peak_memory_of(two_steps, variant, batch_size, arguments)
    return peak_mb - before_mb


def two_steps(variant: str, batch_size: int, arguments: argparse.Namespace) -> None:
    """The second step is the first with the optimiser's state in memory."""
    prepare(arguments)
    step = StageOneStep(variant, batch_size, arguments)
    step()
    step()


def _loading_seconds(arguments: argparse.Namespace) -> dict[str, float]:
    """Seconds an image in one process: to read it and to augment it."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        dataset = _dataset(Path(folder), arguments.resolution)
        bodies = {"plain": partial(_load, dataset, augment=False), "augmented": partial(_load, dataset, augment=True)}
        seconds = seconds_in_turn(bodies, repeats=max(3, arguments.repeats), device=torch.device("cpu"))
    plain, augmented = (statistics.median(seconds[name]) / _SLICES for name in bodies)
    return {"reading": plain, "augmentation": max(0.0, augmented - plain)}


def _load(dataset: WindowDataset, *, augment: bool) -> None:
    windows = [Window(case="case", slices=(z,), seed=(z,) if augment else None) for z in range(_SLICES)]
    join_windows([dataset[window] for window in windows])


def _dataset(folder: Path, side: int) -> WindowDataset:
    images = np.concatenate(list(_smooth_slices(side)))[None]
    labels = (images > np.quantile(images[:, :2], 0.99)).astype(np.int16)
    blocks, chunks = comp_blosc2_params(images.shape, (side, side), 4)
    label_blocks, label_chunks = comp_blosc2_params(labels.shape, (side, side), 2)
    nnUNetDatasetBlosc2.save_case(
        images,
        labels,
        {},
        str(folder / "case"),
        chunks=chunks,
        blocks=blocks,
        chunks_seg=label_chunks,
        blocks_seg=label_blocks,
    )
    points: list[NDArray[Any]] = [np.array([[side // 2, side // 3], [3, 5]]) for _ in range(_SLICES)]
    return WindowDataset(folder=folder, channels=[0, 0, 0], points={"case": points}, settings=TrainingSettings())


def _smooth_slices(side: int) -> Iterator[NDArray[np.float32]]:
    """Noise over a gradient, in [-1, 1]: about as compressible as a CT."""
    generator = np.random.default_rng(0)
    gradient = np.linspace(-0.5, 0.5, side, dtype=np.float32)
    for _ in range(_SLICES):
        noise = np.round(generator.normal(0, 0.05, (1, side, side)).astype(np.float32), 2)
        yield np.clip(gradient + noise, -1, 1)


if __name__ == "__main__":
    main()
