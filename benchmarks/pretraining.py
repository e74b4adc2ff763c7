r"""Pretrain ``sam_small`` on procedural promptable scenes; no phantom and no real volume is looked at.

    python -m benchmarks.pretraining --steps 6000 --output sam_small_run
    python -m benchmarks.pretraining --steps 6000 --output sam_small_run --continue
    python -m benchmarks.pretraining --steps 4000 --seed 1 --sides 96:0.5 128:0.5 \
        --weights sam_small_run/sam_small.safetensors --output second_run

Scenes, prompts and order come from (seed, step) alone, so that a run that was stopped goes on as if it had not been.
OUTPUT holds checkpoint.pt, curve.csv, curve.png, and in the end sam_small.safetensors (half precision) and card.json.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from segment_anything.modeling import Sam
from torch.utils.data import DataLoader, Subset
from tqdm import tqdm

from benchmarks.pretraining_batches import BatchSettings, SceneBatch, SceneBatches, fixed_scenes
from benchmarks.pretraining_curve import draw_curve
from benchmarks.pretraining_model import decode_all, measure, prompt_loss, set_side, to_device
from benchmarks.pretraining_optimizer import pretraining_optimizers
from benchmarks.pretraining_scenes.scene import HELD_OUT_FAMILIES, TRAINING_FAMILIES, Scene
from spd_bench.models.precision import precision
from spd_bench.models.sam_small import build_sam_small
from spd_bench.models.weights import load_sam_weights
from spd_bench.storage import atomic_path, write_json
from spd_bench.training.schedules import warmup_cosine

_MEASURED_SIDE = 128
_MEASURED_SCENES = 96
_HELD_OUT_SEED = 2**31
_EMA = 0.999
_WARMUP = 0.03


class Pretraining:
    """A run: the model, the running mean of its weights, which is what is kept, and the optimisers.

    Args:
        arguments: the command line.
    """

    def __init__(self, arguments: argparse.Namespace) -> None:
        torch.manual_seed(arguments.seed)
        self.device: torch.device = arguments.device
        self.steps: int = arguments.steps
        self.learning_rate: float = arguments.learning_rate
        self.step = 0
        self.sam = build_sam_small(resolution=_MEASURED_SIDE)
        self.start = None if arguments.weights is None else load_sam_weights(self.sam, arguments.weights).sha256
        self.sam.to(self.device)
        self.averaged = build_sam_small(resolution=_MEASURED_SIDE).to(self.device)
        self.averaged.load_state_dict(self.sam.state_dict())
        self.optimizers = pretraining_optimizers(self.sam, lr=self.learning_rate)
        self.settings = BatchSettings(
            seed=arguments.seed,
            batch_size=arguments.batch_size,
            prompts=arguments.prompts,
            sides=tuple(arguments.sides),
            steps=arguments.steps,
        )

    def train_on(self, batch: SceneBatch) -> float:
        """One optimiser step; the loss."""
        self.sam.train()
        set_side(self.sam, batch.images.shape[-1])
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = self.learning_rate * self._rate()
        with precision(self.device):
            embeddings = self.sam.image_encoder(batch.images.to(self.device))
            answers = [(decode_all(self.sam, embeddings, prompts), prompts) for prompts in self._moved(batch)]
        losses = [prompt_loss(logits.float(), ious.float(), prompts) for (logits, ious), prompts in answers]
        loss = torch.stack(losses).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.sam.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self._average()
        return float(loss.detach())

    def _moved(self, batch: SceneBatch) -> list[Any]:
        return [to_device(prompts, self.device) for prompts in batch.prompts]

    def _rate(self) -> float:
        return warmup_cosine(self.step, warmup=max(1, round(_WARMUP * self.steps)), steps=self.steps)

    @torch.no_grad()
    def _average(self) -> None:
        # Young weights are worth little, so the mean begins short.
        decay = min(_EMA, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.averaged.parameters()), list(self.sam.parameters()), 1 - decay)

    def save(self, path: Path) -> None:
        """Write the run's state, whole or not at all."""
        state = {
            "step": self.step,
            "sam": self.sam.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "settings": vars(self.settings),
            "learning_rate": self.learning_rate,
            "start": self.start,
        }
        with atomic_path(path) as part:
            torch.save(state, part)

    def load(self, path: Path) -> None:
        """Go on from a saved state.

        Raises:
            ValueError: the state was saved by a run with other settings.
        """
        state = torch.load(path, map_location=self.device, weights_only=True)
        own = (vars(self.settings), self.learning_rate, self.start)
        if (state["settings"], state["learning_rate"], state["start"]) != own:
            msg = f"{path} is of a run with other settings: {state['settings']}, started from {state['start']}"
            raise ValueError(msg)
        self.step = state["step"]
        self.sam.load_state_dict(state["sam"])
        self.averaged.load_state_dict(state["averaged"])
        for optimizer, own in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(own)


def held_out() -> dict[str, list[Scene]]:
    """Scenes to measure on: of the training families with another seed, and of families never trained on."""
    families = {"seen_families": TRAINING_FAMILIES, "unseen_families": HELD_OUT_FAMILIES}
    return {
        name: fixed_scenes(_HELD_OUT_SEED, count=_MEASURED_SCENES, side=_MEASURED_SIDE, families=chosen)
        for name, chosen in families.items()
    }


def measured(sam: Sam, scenes: dict[str, list[Scene]], device: torch.device) -> dict[str, float]:
    """IoUs of all measurements, in one row."""
    found = {name: measure(sam, group, device=device) for name, group in scenes.items()}
    return {f"{name}_{prompt}": value for name, row in found.items() for prompt, value in row.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Pretrain, measure now and then, and write the weights."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    torch.set_flush_denormal(True)
    output: Path = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    run = Pretraining(arguments)
    checkpoint, curve = output / "checkpoint.pt", output / "curve.csv"
    if arguments.resume:
        run.load(checkpoint)
    rows = [row for row in _read_curve(curve) if float(row["step"]) <= run.step] if arguments.resume else []
    scenes = held_out()
    started, losses = time.monotonic(), []
    for batch in tqdm(_batches(run, arguments.workers), "pretraining", run.steps, initial=run.step, unit="step"):
        losses.append(run.train_on(batch))
        if run.step % arguments.every == 0 or run.step == run.steps:
            row = {"step": run.step, "images": run.step * run.settings.batch_size, "loss": sum(losses) / len(losses)}
            rows.append({**row, **measured(run.averaged, scenes, run.device)})
            losses = []
            _write_curve(curve, rows)
            draw_curve(rows, output / "curve.png")
            run.save(checkpoint)
    _finish(run, output, rows[-1], seconds=time.monotonic() - started)


def _batches(run: Pretraining, workers: int) -> Iterable[SceneBatch]:
    remaining = Subset(SceneBatches(run.settings), range(run.step, run.steps))
    return DataLoader(remaining, batch_size=None, num_workers=workers, prefetch_factor=8 if workers else None)


def _finish(run: Pretraining, output: Path, last: dict[str, Any], *, seconds: float) -> None:
    weights = {name: value.half().contiguous().cpu() for name, value in run.averaged.state_dict().items()}
    with atomic_path(output / "sam_small.safetensors") as part:
        save_file(weights, part)
    card = {
        "parameters": sum(parameter.numel() for parameter in run.averaged.parameters()),
        "settings": vars(run.settings),
        "learning_rate": run.learning_rate,
        "started_from_sha256": run.start,
        "device": run.device.type,
        "seconds_of_the_last_part": round(seconds),
        "measured": last,
    }
    write_json(output / "card.json", card)
    print(f"written: {output}/sam_small.safetensors, card.json, curve.csv, curve.png")


def _read_curve(path: Path) -> list[dict[str, Any]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _write_curve(path: Path, rows: list[dict[str, Any]]) -> None:
    with atomic_path(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _side(text: str) -> tuple[int, float]:
    side, share = text.split(":")
    return int(side), float(share)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000, help="optimiser steps (6000)")
    parser.add_argument("--batch-size", type=int, default=16, help="images a step (16)")
    parser.add_argument("--prompts", type=int, default=3, help="prompts an image (3)")
    parser.add_argument("--learning-rate", type=float, default=1.5e-3, help="highest learning rate (1.5e-3)")
    parser.add_argument("--seed", type=int, default=0, help="seed of weights, scenes and prompts (0)")
    parser.add_argument(
        "--sides",
        nargs="+",
        type=_side,
        default=((64, 0.6), (96, 0.2), (128, 0.2)),
        metavar="SIDE:SHARE",
        help="sides of the pictures and their shares of the steps, in order (64:0.6 96:0.2 128:0.2)",
    )
    parser.add_argument("--weights", type=Path, help="weights of an earlier run to start from (random ones)")
    parser.add_argument("--every", type=int, default=250, help="steps between measurements and checkpoints (250)")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (1)")
    parser.add_argument("--workers", type=int, default=1, help="processes that draw scenes (1)")
    parser.add_argument("--device", type=torch.device, default="cpu", help="cpu or cuda")
    parser.add_argument("--continue", dest="resume", action="store_true", help="go on from OUTPUT/checkpoint.pt")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the run")
    return parser


if __name__ == "__main__":
    main()
