"""``spd_train``: train one method on one fold."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from spd_bench.cli.command import EXIT_OK, command_parser, run_command
from spd_bench.cli.options import AUTO, add_training_options, budget_of, run_of
from spd_bench.cli.report import note_lines
from spd_bench.datasets import resolve_dataset
from spd_bench.paths import data_folders


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``spd_train``."""
    parser = command_parser(
        name="spd_train",
        description="Train one method on one fold of a planned dataset.",
        example="spd_train -d TI -m spd -f 0 --epochs 100 --backbone vit_b --weights sam_vit_b_01ec64.pth\n"
        "  spd_train -d TI -m spd -f 0 --num-gpus 4 --batch-size 16",
    )
    parser.add_argument("-d", "--dataset", required=True, help="TI, SCAR, FUMPE, KiTS, or any nnU-Net id or folder")
    parser.add_argument(
        "-m", "--method", required=True, help="a row of the table, such as unet, nnunet, sam_tuning, spd"
    )
    parser.add_argument("-f", "--fold", type=int, default=0, help="the fold (0)")
    parser.add_argument("--continue", dest="resume", action="store_true", help="continue after the last whole epoch")
    parser.add_argument(
        "--num-gpus",
        type=int,
        metavar="N",
        help="train on N GPUs of this machine (1), with --device cpu in N processes; they share each batch, so that "
        "the run is that of one. torchrun starts it on several machines",
    )
    add_training_options(parser)
    given = list(sys.argv[1:] if argv is None else argv)
    return run_command(lambda arguments: _dispatch(arguments, given), parser, given)


def _dispatch(arguments: argparse.Namespace, given: Sequence[str]) -> int:
    """Train in this process, in several that are started now, or as one of those that torchrun started."""
    from spd_bench.cli.many_processes import launch, run_among_others
    from spd_bench.training.distributed import started_by_torchrun

    if started_by_torchrun():
        return run_among_others(_run, arguments)
    if arguments.num_gpus not in (None, 1):
        return launch("spd_bench.cli.train", arguments, given)
    return _run(arguments)


def _run(arguments: argparse.Namespace) -> int:
    from spd_bench.methods.fitting import check_processes, ensure_fitted, fit
    from spd_bench.methods.registry import get_method
    from spd_bench.planning.plan import read_plan
    from spd_bench.training.distributed import processes

    folders = data_folders()
    print(folders.describe())
    method = get_method(arguments.method)
    budget = budget_of(arguments)
    check_processes(method, budget, processes())
    plan = read_plan(folders.preprocessed / resolve_dataset(arguments.dataset, folders.all))
    run = run_of(arguments, method, plan=plan, results=folders.results)
    for other in run.required:
        ensure_fitted(other, budget)
    record = fit(run, budget, resume=arguments.resume)
    if arguments.batch_size == AUTO and "batch_size" in record.notes:
        print(f"batch size by measured memory: {record.notes['batch_size']['batch_size']}")
    for line in note_lines(record.notes):
        print(line)
    done = "trained" if method.trainer is not None else "recorded (nothing to train)"
    print(f"{done} {method.name}: {run.folder}")
    return EXIT_OK


if __name__ == "__main__":
    ended = main()
    # torch is loaded by now; before, it would make --help wait.
    from spd_bench.cli.many_processes import leave

    leave(ended)
