"""``nnunet``: nnU-Net's own recipe on its own plan.

Source: Isensee et al., "nnU-Net", Nature Methods 2021; nnunetv2 (Apache-2.0), used as installed. Its ``2d``
configuration, network, loss, optimiser, schedule, augmentation, sliding window and mirroring are untouched; only
the number of steps follows the budget. It sees no prompts.
"""

from __future__ import annotations

import contextlib
import io
import math
from typing import Any

import numpy as np
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from spd_bench.methods.method import Method, MethodOptions, MethodRun
from spd_bench.planning.plan import NNUNET_CONFIGURATION, Plan
from spd_bench.prediction.volume import MASK_ONLY, ExtraOutputs, Prediction, PromptedVolume
from spd_bench.training.nnunet_trainer import BudgetedNNUNetTrainer
from spd_bench.training.run import load_network
from spd_bench.training.settings import Budget, TrainingSettings

_OWN_EPOCHS, _OWN_STEPS = 1000, 250
_VALIDATION_STEPS_PER_STEP = 0.2
_EPOCHS_MAY_DIFFER = 1.5


class NNUNetPredictor:
    """Runs nnU-Net's predictor in this process."""

    def __init__(self, run: MethodRun) -> None:
        plan, device = run.plan, run.device
        network, checkpoint = load_network(BudgetedNNUNetTrainer, run.folder, plan=plan, device=device)
        plans_manager, configuration = plan.managers(NNUNET_CONFIGURATION)
        with contextlib.redirect_stdout(io.StringIO()):
            self._predictor = nnUNetPredictor(device=device, allow_tqdm=False)
            self._predictor.manual_initialization(
                network,
                plans_manager,
                configuration,
                [checkpoint["network_weights"]],
                plan.dataset_json,
                BudgetedNNUNetTrainer.__name__,
                checkpoint["inference_allowed_mirroring_axes"],
            )

    def predict(self, volume: PromptedVolume, extra: ExtraOutputs = MASK_ONLY) -> Prediction:
        """Segment one volume; its prompts are not looked at."""
        mask = self._predictor.predict_single_npy_array(volume.channels, {"spacing": list(volume.geometry.spacing)})
        return Prediction(mask=np.ascontiguousarray(mask, dtype=np.uint8))


def _settings(options: MethodOptions) -> dict[str, Any]:
    options.refuse_overrides()
    return {}


def _training(budget: Budget, plan: Plan, options: MethodOptions) -> TrainingSettings:
    batch = int(plan.managers(NNUNET_CONFIGURATION)[1].batch_size)
    if budget.epochs is None:
        epochs, steps = _OWN_EPOCHS, _OWN_STEPS
    else:
        images = budget.epochs * budget.iterations_per_epoch * budget.batch_size
        epochs, steps = epochs_and_steps(images=images, batch_size=batch, epochs=budget.epochs)
    return TrainingSettings(
        epochs=epochs,
        iterations_per_epoch=steps,
        validation_iterations=max(1, round(steps * _VALIDATION_STEPS_PER_STEP)),
        batch_size=batch,
        seed=budget.seed,
    )


def epochs_and_steps(*, images: int, batch_size: int, epochs: int) -> tuple[int, int]:
    """Epochs and steps in each that see nearest to ``images`` images.

    The number of epochs may differ from ``epochs`` by a factor of 1.5: an epoch is only the tread of nnU-Net's
    schedule, while whole steps in as many epochs could miss the budget by half a batch in every one of them. Where
    the budget holds fewer steps than epochs there is one step in an epoch.
    """
    total = max(1, round(images / batch_size))
    if total <= epochs:
        return total, 1
    nearby = range(math.ceil(epochs / _EPOCHS_MAY_DIFFER), math.floor(epochs * _EPOCHS_MAY_DIFFER) + 1)
    pairs = [(count, max(1, round(total / count))) for count in nearby]
    return min(pairs, key=lambda pair: (abs(pair[0] * pair[1] * batch_size - images), abs(pair[0] - epochs)))


NNUNET = Method(
    name="nnunet",
    title="nnU-Net",
    uses_prompts=False,
    trainer=BudgetedNNUNetTrainer,
    own_plan=True,
    settings=_settings,
    training=_training,
    predictor=NNUNetPredictor,
)
