"""``spd_make_phantoms``: phantom cases and prompts as an nnU-Net raw dataset."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence

from tqdm import tqdm

from spd_bench.cli.command import command_parser, run_command
from spd_bench.datasets import DATASETS, resolve_dataset
from spd_bench.errors import InputError
from spd_bench.paths import data_folders


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``spd_make_phantoms``."""
    parser = command_parser(
        name="spd_make_phantoms",
        description="Write procedural cases of a task with noisy point prompts as an nnU-Net raw dataset.",
        example="spd_make_phantoms -d TI -n 24 --seed 0 --size 256",
    )
    parser.add_argument("-d", "--dataset", required=True, help=", ".join(DATASETS))
    parser.add_argument("-n", "--cases", type=int, default=24, help="number of cases (24)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the set (0)")
    parser.add_argument(
        "--size", type=int, default=256, help="pixels of the longer in-plane side; the field of view stays (256)"
    )
    parser.add_argument("--slices", type=int, help="slices over the same extent (the task's own number)")
    parser.add_argument(
        "--severity", type=float, default=1.0, help="noise of the prompts: 0 clean, 1 default, 2 drifting (1.0)"
    )
    return run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    from spd_bench.phantoms import PhantomSet, write_phantom_set

    folders = data_folders()
    print(folders.describe())
    dataset = resolve_dataset(arguments.dataset, [])
    try:
        phantoms = PhantomSet(
            task=next(name for name, info in DATASETS.items() if info.folder == dataset),
            count=arguments.cases,
            seed=arguments.seed,
            size=arguments.size,
            severity=arguments.severity,
            slices=arguments.slices,
        )
    except ValueError as error:
        raise InputError(str(error), remedy="correct the option") from error
    folder = folders.raw / dataset
    written = write_phantom_set(phantoms, folder=folder, progress=_bar)
    print(f"{'written to' if written else 'already in'} {folder}: {phantoms.count} case(s)")


def _bar(numbers: Iterable[int]) -> Iterable[int]:
    return tqdm(numbers, desc="phantoms", unit="case", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
