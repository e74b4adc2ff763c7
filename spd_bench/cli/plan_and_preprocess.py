"""``spd_plan_and_preprocess``: verify, plan, preprocess and split a raw dataset."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from spd_bench.cli.command import command_parser, run_command
from spd_bench.datasets import resolve_dataset
from spd_bench.errors import InputError
from spd_bench.paths import data_folders


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``spd_plan_and_preprocess``."""
    parser = command_parser(
        name="spd_plan_and_preprocess",
        description="Verify a raw dataset, plan it, preprocess it for every method and split it by patient. "
        "A dataset without prompts gets simulated ones.",
        example="spd_plan_and_preprocess -d TI --context 2 --resolution 512",
    )
    parser.add_argument("-d", "--dataset", required=True, help="TI, SCAR, FUMPE, KiTS, or any nnU-Net id or folder")
    parser.add_argument("--resolution", type=int, default=512, help="side of the square slices in pixels (512)")
    parser.add_argument("--context", type=int, default=2, help="neighbouring slices on each side (2)")
    parser.add_argument(
        "--target-labels", type=int, nargs="+", default=[1], help="label values that form the target (1)"
    )
    parser.add_argument(
        "--channels",
        type=int,
        nargs="+",
        metavar="CHANNEL",
        help="one to three image channels that become SAM's three, the last repeated (the first three)",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of splits and simulated prompts (0)")
    parser.add_argument("--folds", type=int, default=5, help="number of folds (5)")
    parser.add_argument("--severity", type=float, help="noise severity of simulated prompts (1.0)")
    parser.add_argument("--patient-pattern", help="regular expression whose first group is the patient of a case id")
    parser.add_argument(
        "--gpu-memory", type=float, default=8.0, help="GB that nnU-Net's own plan is sized for (8, nnU-Net's default)"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes that preprocess side by side (1)")
    return run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    from spd_bench.planning.prepare import plan_and_preprocess
    from spd_bench.planning.settings import PlanSettings

    folders = data_folders()
    print(folders.describe())
    dataset = resolve_dataset(arguments.dataset, [folders.raw])
    try:
        settings = PlanSettings(
            resolution=arguments.resolution,
            context=arguments.context,
            target_labels=tuple(arguments.target_labels),
            seed=arguments.seed,
            folds=arguments.folds,
            severity=arguments.severity,
            gpu_memory_gb=arguments.gpu_memory,
            patient_pattern=arguments.patient_pattern,
            channels=None if arguments.channels is None else tuple(arguments.channels),
        )
    except ValueError as error:
        raise InputError(str(error), remedy="correct the option") from error
    plan = plan_and_preprocess(dataset, folders=folders, settings=settings, jobs=arguments.jobs)
    split = plan.split(0)
    print(
        f"{len(plan.patients)} cases planned as {plan.configuration} (and nnU-Net's own 2d), {len(plan.splits)} folds, "
        f"fold 0: {len(split['train'])} train, {len(split['val'])} validation, {len(split['test'])} test"
    )
    names = plan.dataset_json["channel_names"]
    chosen = ", ".join(f"{channel} {names[str(channel)]}" for channel in plan.slice_settings["channels"])
    print(f"SAM's three channels: {chosen}; slices along axis {plan.slice_axis} of (z, y, x)")
    print(f"preprocessed: {plan.folder}")


if __name__ == "__main__":
    raise SystemExit(main())
