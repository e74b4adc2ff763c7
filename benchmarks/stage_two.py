"""Stage II on cached embeddings against encoding every slice whenever it is drawn.

    python -m benchmarks.stage_two --backbone vit_b --resolution 512
    python -m benchmarks.stage_two --quality

Measured are training steps of SPD's own trainer, reading included, on phantoms in a temporary folder: the encoder is
the project's, untrained, as its speed does not depend on its weights. "decoder alone" is the same step on a batch
that lies in memory. With ``--quality`` a small SPD is trained instead, once with fresh augmentation in every step and
once for each number of views: one Stage I for all, equal steps in Stage II, scored on validation and test cases.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measuring import benchmark_parser, prepare, report, seconds_in_turn, speed_ratio
from benchmarks.phantom_plans import planned_phantoms
from benchmarks.stage_two_quality import add_quality_options, measure_quality
from spd_bench.methods.fitting import training_run
from spd_bench.methods.method import MethodOptions, MethodRun
from spd_bench.methods.spd import SPD
from spd_bench.planning.plan import Plan
from spd_bench.training.embedding_cache import EmbeddingCache
from spd_bench.training.embedding_views import View
from spd_bench.training.embedding_windows import encode_views
from spd_bench.training.run import build_trainer, single_process_loading
from spd_bench.training.settings import Budget
from spd_bench.training.spd_trainer import SPDTrainer

_CLAIM = (
    "Stage II on cached embeddings costs the mask decoder alone: at least 20 x faster than encoding with vit_b at 512"
)
_CASES, _SIZE, _SLICES = 5, 96, 8
_EPOCH = 250  # steps


def main(argv: Sequence[str] | None = None) -> None:
    """Measure speed, or with ``--quality`` what the cache does to the result."""
    parser = benchmark_parser(__doc__, repeats=3)
    parser.add_argument("--backbone", default="vit_b", help="SAM backbone (vit_b)")
    parser.add_argument("--resolution", type=int, default=512, help="side of the slices in pixels (512)")
    parser.add_argument("--batch-size", type=int, default=4, help=f"slices in a step, up to {_SLICES} (4)")
    parser.add_argument("--views", type=int, default=4, help="augmented views of each slice (4)")
    add_quality_options(parser)
    arguments = parser.parse_args(argv)
    prepare(arguments)
    with tempfile.TemporaryDirectory(prefix="stage_two_") as folder:
        if arguments.quality:
            measure_quality(arguments, Path(folder))
        else:
            _measure_speed(arguments, Path(folder))


def _measure_speed(arguments: argparse.Namespace, root: Path) -> None:
    plan, _ = planned_phantoms(
        root, task="TI", cases=_CASES, size=_SIZE, slices=_SLICES, resolution=arguments.resolution
    )
    with single_process_loading(arguments.device):
        # In this order: a run without embeddings removes those it finds in its folder.
        plain = _begin_stage_two(plan, arguments, storage="none")
        cached = _begin_stage_two(plan, arguments, storage="disk")
        seconds = seconds_in_turn(
            {
                "encoded when drawn": plain.step,
                "cached": cached.step,
                "decoder alone": cached.repeated_step(),
                "making the cache": cached.caching(root / "again"),
            },
            repeats=arguments.repeats,
            device=arguments.device,
        )
    note = cached.trainer.notes["embedding_cache"]
    step = {name: median(values) for name, values in seconds.items()}
    making = step["making the cache"] / arguments.batch_size
    rows = [
        {
            "step": name,
            "seconds": value,
            "slices_per_second": arguments.batch_size / value,
            f"seconds_for_{_EPOCH}_steps": _EPOCH * value,
        }
        for name, value in step.items()
    ]
    report(
        f"stage_two_{arguments.backbone}_{arguments.resolution}",
        claim=_CLAIM,
        rows=rows,
        arguments=arguments,
        speedup=speed_ratio(seconds, "cached", "encoded when drawn"),
        limit=speed_ratio(seconds, "decoder alone", "encoded when drawn"),
        share_of_the_limit=speed_ratio(seconds, "cached", "decoder alone"),
        kilobytes_per_slice_and_view=round(1e6 * note["gigabytes"] / note["slices"], 1),
        steps_after_which_1000_cached_slices_have_paid=round(
            1000 * making / (step["encoded when drawn"] - step["cached"])
        ),
    )


@dataclass(frozen=True, kw_only=True)
class _StageTwo:
    """A trainer in its first epoch of Stage II."""

    trainer: SPDTrainer

    def step(self) -> None:
        """A training step, reading included."""
        self.trainer.optimise(next(self.trainer.dataloader_train))

    def repeated_step(self) -> Callable[[], Any]:
        """A training step on a batch that lies in memory."""
        batch = self.trainer.to_device(next(self.trainer.dataloader_train))
        return lambda: self.trainer.optimise(batch)

    def caching(self, folder: Path) -> Callable[[], None]:
        """As many slices as a step holds, read, augmented, encoded and written."""
        trainer, sam = self.trainer, self.trainer.network.sam
        cache = EmbeddingCache(
            folder,
            key="again",
            embedding_shape=(sam.prompt_encoder.embed_dim, *sam.prompt_encoder.image_embedding_size),
            resolution=trainer.network.resolution,
        )
        case = trainer.train_cases[0]
        drawn = {View(case=case, number=0): tuple(range(trainer.settings.batch_size))}

        def body() -> None:
            cache.remove()
            images = trainer.slices_of([case])
            encode_views(cache, drawn, images=images, settings=trainer.settings, encode=trainer.encode, workers=0)

        return body


def _begin_stage_two(plan: Plan, arguments: argparse.Namespace, *, storage: str) -> _StageTwo:
    options = MethodOptions(
        backbone=arguments.backbone,
        overrides={"embedding_cache": storage, "cache_views": arguments.views, "stage_one_share": 0.5},
    )
    run = MethodRun(
        method=SPD, plan=plan, fold=0, results=Path(), device=arguments.device, options=lambda name: options
    )
    # A round that is not counted, and the batch that is repeated.
    steps = arguments.repeats + 2
    budget = Budget(epochs=2, iterations_per_epoch=steps, batch_size=arguments.batch_size)
    trainer = build_trainer(training_run(run, budget), device=arguments.device, resume=False)
    if not isinstance(trainer, SPDTrainer):
        msg = f"SPD is trained by {type(trainer).__name__}"
        raise TypeError(msg)
    trainer.initialize()
    trainer.on_train_start()
    # An untrained saliency map confirms nothing; the speed is that of any points.
    trainer.distilled = {case: index.points for case, index in trainer.slice_indices.items()}
    trainer.current_epoch = trainer.stage_one_epochs
    trainer.on_epoch_start()
    trainer.on_train_epoch_start()
    return _StageTwo(trainer=trainer)


if __name__ == "__main__":
    main()
