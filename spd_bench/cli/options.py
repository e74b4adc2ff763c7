"""Options that several commands share."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spd_bench.errors import InputError

if TYPE_CHECKING:
    import torch

    from spd_bench.methods.method import Method, MethodOptions, MethodRun
    from spd_bench.planning.plan import Plan
    from spd_bench.training.settings import Budget

AUTO = "auto"


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Budget, backbone, weights, the methods' own settings and the device."""
    group = parser.add_argument_group("training")
    group.add_argument("--epochs", type=int, help="epochs (each method's own default)")
    group.add_argument("--iterations", type=int, default=250, help="steps in an epoch (250)")
    group.add_argument(
        "--batch-size",
        type=_batch_size,
        default=8,
        metavar="NUMBER|auto",
        help="slices in a step (8); auto: as many as the device's memory holds, in as many fewer steps, so that an "
        "epoch sees as many images as with 8",
    )
    group.add_argument(
        "--gradient-checkpointing",
        action="store_true",
        help="train SAM's image encoder with less memory and in more time, to the same weights; rows without one "
        "take no notice",
    )
    group.add_argument(
        "--workers",
        type=int,
        help="processes that read batches for rows of ours; the batches stay the same (none on a CPU, up to 8 beside a "
        "GPU)",
    )
    group.add_argument("--seed", type=int, default=0, help="seed of initialisation, sampling, augmentation (0)")
    add_method_options(group)
    add_device_option(group)


def add_method_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """Backbone, weights and the methods' own settings."""
    parser.add_argument(
        "--backbone",
        help="SAM backbone: vit_b, vit_l, vit_h, vit_t or sam_small (that of the weights: vit_b for published ones, "
        "sam_small without any)",
    )
    parser.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="[NAME=]PATH|builtin|random",
        help="checkpoint of sam, medsam, sam2 or medsam2 (sam where no name is given; repeatable); others are looked "
        "for by their published names in the folder SPD_WEIGHTS_DIR. builtin: the package's own small SAM, the default "
        "where no others are found and no other --backbone is given; random: train from scratch",
    )
    parser.add_argument(
        "--allow-random",
        action="store_true",
        help="run rows that mean nothing without weights with random ones all the same",
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        action="append",
        default=[],
        metavar="METHOD.NAME=VALUE",
        help="one of a method's own settings, such as spd.threshold=0.4 (repeatable)",
    )


def add_device_option(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """``--device``."""
    parser.add_argument("--device", help="cuda, cuda:1, cpu... (cuda where there is one, else cpu)")


def budget_of(arguments: argparse.Namespace) -> Budget:
    """The budget that the options state."""
    from spd_bench.training.settings import Budget

    automatic = arguments.batch_size == AUTO
    try:
        return Budget(
            epochs=arguments.epochs,
            iterations_per_epoch=arguments.iterations,
            batch_size=Budget.batch_size if automatic else arguments.batch_size,
            seed=arguments.seed,
            automatic_batch_size=automatic,
            gradient_checkpointing=arguments.gradient_checkpointing,
            workers=arguments.workers,
        )
    except ValueError as error:
        raise InputError(str(error), remedy="correct the option") from error


def options_of(arguments: argparse.Namespace, method: str) -> MethodOptions:
    """The options that concern one method; settings of the row it is a variant of come first, its own after them."""
    from spd_bench.methods.method import MethodOptions
    from spd_bench.methods.registry import get_method
    from spd_bench.models.weight_families import parse_weights, weights_folder

    given = [_override(text) for text in arguments.overrides]
    owners = {owner: get_method(owner).name for owner, _, _ in given}
    overrides: dict[str, Any] = {}
    for wanted in (get_method(method).base, method):
        overrides |= {name: value for owner, name, value in given if owners[owner] == wanted}
    return MethodOptions(
        backbone=arguments.backbone,
        weights=parse_weights(arguments.weights),
        weights_folder=weights_folder(),
        allow_random=arguments.allow_random,
        overrides=overrides,
    )


def run_of(arguments: argparse.Namespace, method: Method, *, plan: Plan, results: Path) -> MethodRun:
    """The run of a row that the options ``--fold``, ``--device`` and the row's own describe."""
    from spd_bench.methods.method import MethodRun

    return MethodRun(
        method=method,
        plan=plan,
        fold=arguments.fold,
        results=results,
        device=device_of(arguments),
        options=partial(options_of, arguments),
    )


def device_of(arguments: argparse.Namespace) -> torch.device:
    """The device that was asked for, or the best there is."""
    import torch

    name = arguments.device or str(best_device())
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"unknown device {name!r}", remedy="choose cuda or cpu") from error
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise InputError(f"device {name} is not available ({count} CUDA device(s))", remedy="choose --device cpu")
    return device


def best_device() -> torch.device:
    """A GPU where there is one, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def require_folder_name(output: Path) -> None:
    """Refuse an output folder that cannot be made before minutes are spent on what would go there."""
    existing = next(path for path in (output.absolute(), *output.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise InputError("a file stands where the output folder should be", file=existing, remedy="choose another -o")


def _batch_size(text: str) -> int | str:
    if text == AUTO:
        return text
    try:
        return int(text)
    except ValueError as error:
        msg = f"{text!r} is neither a number nor {AUTO}"
        raise argparse.ArgumentTypeError(msg) from error


def _override(text: str) -> tuple[str, str, float | int | str | bool | None]:
    name, separator, value = text.partition("=")
    method, dot, setting = name.partition(".")
    if not (separator and dot and method and setting):
        raise InputError(f"--set {text!r} is not METHOD.NAME=VALUE", remedy="write it like spd.threshold=0.4")
    return method, setting, _value(value)


def _value(text: str) -> float | int | str | bool | None:
    words = {"true": True, "false": False, "none": None}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
