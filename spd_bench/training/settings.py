"""How a network is trained: budget, optimiser, sampling, augmentation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

from spd_bench.losses import LossSettings

Schedule = Literal["plateau", "cosine", "constant"]
Optimizer = Literal["adam", "adamw"]
_COUNTS = ("epochs", "iterations_per_epoch", "validation_iterations", "batch_size")
_SCRATCH_LEARNING_RATE = 1e-3
_BUILTIN_LEARNING_RATE = 5e-4
_SHARE_OF_VALIDATION = 0.1


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What every trained row is granted alike, stated as images seen.

    Attributes:
        epochs: number of epochs; None leaves it to each row's own default.
        iterations_per_epoch: steps in an epoch.
        batch_size: slices in a step; rows with batches of another size take as many steps as see as many slices.
        seed: seed of initialisation, sampling and augmentation.
        automatic_batch_size: whether each row of ours takes the largest batch that the device's memory holds;
            ``batch_size`` then only states how many images an epoch has.
        gradient_checkpointing: whether image encoders save memory, see :class:`TrainingSettings`.
        workers: processes that read batches, see :class:`TrainingSettings`.
    """

    epochs: int | None = None
    iterations_per_epoch: int = 250
    batch_size: int = 8
    seed: int = 0
    automatic_batch_size: bool = False
    gradient_checkpointing: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        for name in ("epochs", "iterations_per_epoch", "batch_size"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                msg = f"{name} must be at least 1, got {getattr(self, name)}"
                raise ValueError(msg)
        for name in ("seed", "workers"):
            if (getattr(self, name) or 0) < 0:
                msg = f"{name} must not be negative, got {getattr(self, name)}"
                raise ValueError(msg)

    @property
    def validation_iterations(self) -> int:
        """Validation batches after each epoch."""
        return max(1, round(self.iterations_per_epoch * _SHARE_OF_VALIDATION))


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """One training run; the budget of a trained row is ``images_seen``.

    The defaults follow the paper (Adam, learning rate 1e-4, weight decay 1e-5, learning rate halved on a
    plateau of the validation loss) and hold for pretrained weights; :func:`scratch_training` gives what was
    measured to work without.

    Attributes:
        epochs: epochs over both stages where a method has two.
        iterations_per_epoch: optimiser steps in an epoch.
        validation_iterations: batches of the fixed validation set.
        batch_size: slices in a batch.
        seed: seed of initialisation, sampling and augmentation.
        learning_rate: peak learning rate.
        optimizer: ``adam``, or ``adamw`` whose weight decay is decoupled from the gradient.
        weight_decay: Adam's L2 term.
        schedule: ``plateau`` (factor 0.5, patience 4 epochs), ``cosine`` with a linear warm-up, or ``constant``.
        warmup_share: share of the steps that warm up (``cosine`` only).
        gradient_clip: largest gradient norm.
        foreground_share: share of a batch that is drawn from slices with target.
        rotation_degrees: random rotations are uniform within +- this.
        flip_probability: probability of a horizontal flip.
        loss: the segmentation loss.
        saliency_loss: the loss of steps that train a saliency map, None for the same.
        automatic_batch_size: whether the batch is made as large as the device's memory holds when training starts,
            with as many fewer steps: :mod:`spd_bench.training.batch_size`.
        gradient_checkpointing: whether what SAM's image encoder computes is forgotten and computed again on the way
            back: less memory, more time, the same gradients. Networks without one take no notice.
        workers: processes that read batches for rows of ours, 0 for none but the training one; None: none beside a
            CPU that trains, up to 8 beside a GPU. Any number gives the same batches.
    """

    epochs: int = 100
    iterations_per_epoch: int = 250
    validation_iterations: int = 25
    batch_size: int = 8
    seed: int = 0
    optimizer: Optimizer = "adam"
    learning_rate: float = 1e-4
    weight_decay: float = 1e-5
    schedule: Schedule = "plateau"
    warmup_share: float = 0.05
    gradient_clip: float = 1.0
    foreground_share: float = 0.5
    rotation_degrees: float = 15.0
    flip_probability: float = 0.5
    loss: LossSettings = field(default_factory=LossSettings)
    saliency_loss: LossSettings | None = None
    automatic_batch_size: bool = False
    gradient_checkpointing: bool = False
    workers: int | None = None

    def __post_init__(self) -> None:
        rules: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
            (_COUNTS, lambda value: value >= 1, "at least 1"),
            (("learning_rate", "gradient_clip"), lambda value: value > 0, "positive"),
            (("weight_decay", "rotation_degrees", "seed"), lambda value: value >= 0, "at least 0"),
            (("workers",), lambda value: value is None or value >= 0, "none or at least 0"),
            (("warmup_share", "foreground_share", "flip_probability"), lambda value: 0 <= value <= 1, "in [0, 1]"),
            (("schedule",), lambda value: value in get_args(Schedule), f"one of {', '.join(get_args(Schedule))}"),
            (("optimizer",), lambda value: value in get_args(Optimizer), f"one of {', '.join(get_args(Optimizer))}"),
        )
        for names, holds, rule in rules:
            for name in names:
                if not holds(getattr(self, name)):
                    msg = f"{name} must be {rule}, got {getattr(self, name)!r}"
                    raise ValueError(msg)

    @property
    def images_seen(self) -> int:
        """The budget: slices that pass through training, repetitions counted."""
        return self.epochs * self.iterations_per_epoch * self.batch_size

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    def identity(self) -> dict[str, Any]:
        """The settings that make a run another one: all but what costs memory or time alone.

        With an automatic batch they name the images of an epoch, whatever size a device came to.
        """
        values = self.to_json()
        del values["gradient_checkpointing"], values["automatic_batch_size"], values["workers"]
        if not self.automatic_batch_size:
            return values
        for name in ("batch_size", "iterations_per_epoch", "validation_iterations"):
            del values[name]
        return {**values, "batch_size": "auto", "images_per_epoch": self.iterations_per_epoch * self.batch_size}

    def with_batch_size(self, batch_size: int) -> TrainingSettings:
        """The same budget in batches of another size: as many images in an epoch, in fewer or more steps.

        Raises:
            ValueError: the images of an epoch do not fill such batches.
        """
        images = self.iterations_per_epoch * self.batch_size
        if batch_size < 1 or images % batch_size:
            msg = f"batch_size must divide the {images} images of an epoch, got {batch_size}"
            raise ValueError(msg)
        return replace(
            self,
            batch_size=batch_size,
            iterations_per_epoch=images // batch_size,
            validation_iterations=max(1, round(self.validation_iterations * self.batch_size / batch_size)),
        )

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> TrainingSettings:
        """The reverse of :meth:`to_json`."""
        losses = {name: values[name] and LossSettings(**values[name]) for name in ("loss", "saliency_loss")}
        return cls(**{**values, **losses})


def pretrained_training(budget: Budget) -> TrainingSettings:
    """The paper's recipe, for networks that start from pretrained weights."""
    return TrainingSettings(**_budgeted(budget))


def builtin_training(budget: Budget) -> TrainingSettings:
    """The recipe for the package's own small weights: that for random ones at half the learning rate.

    The paper's rate of 1e-4 is for hundreds of thousands of images and a network of 90 million parameters.
    """
    return replace(scratch_training(budget), learning_rate=_BUILTIN_LEARNING_RATE)


def scratch_training(budget: Budget) -> TrainingSettings:
    """The recipe for random weights: a higher learning rate, warmed up and annealed; Dice over the batch.

    Dice of a single empty slice has almost no gradient, so that a network from scratch learns to fire on
    empty slices; over the batch every false positive counts. Masks get cross-entropy beside Dice, as in nnU-Net:
    with Dice and focal loss a mask decoder from scratch was seen to fall into the empty mask for good where
    targets are small (0.3 % of the pixels), and the U-Net learned less. A saliency map, which must not become
    too sure of there being nothing, keeps the paper's Dice and focal loss.
    """
    return TrainingSettings(
        **_budgeted(budget),
        learning_rate=_SCRATCH_LEARNING_RATE,
        schedule="cosine",
        loss=LossSettings(dice_weight=1.0, focal_weight=0.0, cross_entropy_weight=1.0, dice_over="batch"),
        saliency_loss=LossSettings(dice_over="batch"),
    )


def _budgeted(budget: Budget) -> dict[str, Any]:
    epochs = {} if budget.epochs is None else {"epochs": budget.epochs}
    return {
        "iterations_per_epoch": budget.iterations_per_epoch,
        "validation_iterations": budget.validation_iterations,
        "batch_size": budget.batch_size,
        "seed": budget.seed,
        "automatic_batch_size": budget.automatic_batch_size,
        "gradient_checkpointing": budget.gradient_checkpointing,
        "workers": budget.workers,
        **epochs,
    }
