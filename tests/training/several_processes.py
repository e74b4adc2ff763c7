"""What ``test_distributed.py`` lets two processes do, all in one start: that takes longer than these trainings."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spd_bench.cli import many_processes
from spd_bench.cli.train import main as spd_train
from spd_bench.methods.fitting import training_run
from spd_bench.methods.method import MethodOptions, MethodRun
from spd_bench.methods.registry import get_method
from spd_bench.paths import data_folders
from spd_bench.planning.plan import read_plan
from spd_bench.training.distributed import joined, own_share, rank
from spd_bench.training.run import build_trainer
from spd_bench.training.settings import Budget
from spd_bench.training.tracked import TrackedTrainer
from spd_bench.training.windows import WindowBatch, join_windows

CPU = torch.device("cpu")
SIZE = 32
SHORT = ("-d", "901", "--workers", "0", "--device", "cpu", "--iterations", "3", "--batch-size", "4")
RANDOM_SAM = ("--backbone", "vit_t", "--weights", "random")
CALLS = {
    "unet": ("-m", "unet", "--epochs", "2", "--set", "unet.base_features=4", *SHORT),
    "continued": ("-f", "1", "-m", "unet", "--epochs", "2", "--set", "unet.base_features=4", *SHORT),
    "spd": ("-m", "spd", "--epochs", "4", "--set", "spd.saliency_bias=3", *RANDOM_SAM, *SHORT),
}
# Of two processes the first gets the first two slices; in the last step there is no point for either.
POINTS: tuple[list[list[tuple[int, int]]], ...] = ([[(3, 4)], [(9, 9), (20, 5)], [], []], [[], [], [], []])


def steps(name: str) -> dict[str, Any]:
    """Losses, gradients and weights of optimiser steps in which not every process has a slice with a point."""
    folders = data_folders()
    run = MethodRun(
        method=get_method(name),
        plan=read_plan(folders.preprocessed / "Dataset901_Tiny"),
        fold=0,
        results=folders.results,
        device=CPU,
        options=lambda _: MethodOptions(backbone="vit_t"),
    )
    budget = Budget(epochs=2, iterations_per_epoch=2, batch_size=4)
    trainer = build_trainer(training_run(run, budget), device=CPU, resume=False)
    # Neither clipping nor Adam would tell a gradient from its half.
    trainer.settings = replace(trainer.settings, gradient_clip=1e9)
    trainer.initialize()
    trainer.network.train()
    losses, gradients = [], []
    for points in POINTS:
        losses.append(trainer.optimise(join_windows(own_share(windows(points))))["loss"])
        parameters = trainer.bare_network.named_parameters()
        gradients.append({name: value.grad.clone() for name, value in parameters if value.grad is not None})
    return {"losses": losses, "gradients": gradients, "weights": trainer.bare_network.state_dict()}


def windows(points: list[list[tuple[int, int]]]) -> list[WindowBatch]:
    """Random slices, each a window of its own."""
    generator = torch.Generator().manual_seed(5)
    return [
        WindowBatch(
            images=torch.rand(1, 3, SIZE, SIZE, generator=generator) * 2 - 1,
            masks=(torch.rand(1, SIZE, SIZE, generator=generator) > 0.8).float(),
            points=[np.array(of_slice, dtype=np.int64).reshape(-1, 2)],
            pairs=torch.empty(0, 2, dtype=torch.int64),
        )
        for of_slice in points
    ]


def main(folder: Path) -> None:
    """Train, and leave every process's weights in a folder."""
    end = TrackedTrainer.on_train_end

    def keeping_end(trainer: TrackedTrainer) -> None:
        end(trainer)
        name = f"{type(trainer).__name__}_{trainer.fold}_{rank()}.pth"
        torch.save(trainer.bare_network.state_dict(), folder / name)

    TrackedTrainer.on_train_end = keeping_end  # type: ignore[method-assign]
    with joined(CPU):
        # Which processes can do once only.
        many_processes.joined = lambda device: nullcontext()  # type: ignore[assignment]
        for name, call in CALLS.items():
            if spd_train([*call, "--continue"] if name == "continued" else call):
                raise SystemExit(1)
        torch.save(steps("sam_tuning"), folder / f"steps_{rank()}.pth")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    many_processes.leave(0)
