"""``spd_predict``: masks for new images from a trained method."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from spd_bench.cli.command import command_parser, run_command
from spd_bench.cli.options import add_device_option, add_method_options, require_folder_name, run_of
from spd_bench.datasets import resolve_dataset
from spd_bench.errors import InputError
from spd_bench.paths import data_folders


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``spd_predict``."""
    parser = command_parser(
        name="spd_predict",
        description="Segment images with a trained method; each mask lies on its image's own grid.",
        example="spd_predict -d TI -m spd -f 0 -i imagesTs -p promptsTs -o masks --save-prompts",
    )
    parser.add_argument("-d", "--dataset", required=True, help="the dataset that the method was trained on")
    parser.add_argument("-m", "--method", required=True, help="a row of the table")
    parser.add_argument("-f", "--fold", type=int, default=0, help="the fold (0)")
    parser.add_argument("-i", "--images", type=Path, required=True, help="folder of <case>_0000... images")
    parser.add_argument("-p", "--prompts", type=Path, help="folder of <case>.mrk.json points")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the masks")
    parser.add_argument("--save-saliency", action="store_true", help="write saliency volumes to OUT/saliency")
    parser.add_argument("--save-prompts", action="store_true", help="write consensus points to OUT/prompts")
    add_method_options(parser)
    add_device_option(parser)
    return run_command(_run, parser, argv)


def _run(arguments: argparse.Namespace) -> None:
    from tqdm import tqdm

    from spd_bench.methods.registry import get_method
    from spd_bench.planning.plan import read_plan
    from spd_bench.prediction.folder import find_cases, predict_cases
    from spd_bench.prediction.volume import ExtraOutputs
    from spd_bench.training.records import read_record

    folders = data_folders()
    print(folders.describe())
    require_folder_name(arguments.output)
    method = get_method(arguments.method)
    plan = read_plan(folders.preprocessed / resolve_dataset(arguments.dataset, folders.all))
    cases = find_cases(
        arguments.images,
        arguments.prompts,
        channels=len(plan.dataset_json["channel_names"]),
        file_ending=plan.file_ending,
    )
    if method.uses_prompts:
        missing = [case for case in cases if case.prompts is None or not case.prompts.is_file()]
        if missing:
            raise InputError(
                f"case {missing[0].case} has no prompts",
                file=missing[0].prompts,
                remedy=f"give its points with -p; {method.name} needs them",
            )
    plan.split(arguments.fold)
    run = run_of(arguments, method, plan=plan, results=folders.results)
    record = read_record(run.folder)
    if record is not None and record.hashes.get("plan") != plan.hashes()["plan"]:
        raise InputError(
            "this run was trained on another plan of the dataset", file=run.folder, remedy="train it again"
        )
    predictor = method.predictor(run)
    predict_cases(
        tqdm(cases, "predicting", unit="case"),
        predictor,
        output=arguments.output,
        file_ending=plan.file_ending,
        extra=ExtraOutputs(saliency=arguments.save_saliency, prompts=arguments.save_prompts),
    )
    print(f"{len(cases)} masks: {arguments.output}")


if __name__ == "__main__":
    raise SystemExit(main())
