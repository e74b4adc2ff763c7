"""The paper's claims in kind on TI phantoms, from ``sam_small``'s weights and from scratch, over several seeds.

    python -m benchmarks.ti_phantom --work WORK

All rows that need no download, at one budget; then the trained networks on points of other severities, and SPD at
other thresholds. WORK keeps data and runs: a second call does only what is missing. OUTPUT gets volumes.csv (a row a
test volume and run), rows.csv (means of the rows) and claims.csv (paired differences), both with 95 % intervals from
a bootstrap over patients and seeds averaged first, prompts.csv (the prompts' quality on validation cases), the tables
and the report of the first seed, and figures/.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch
from matplotlib.figure import Figure

from benchmarks.ti_phantom_claims import check_claims, row_means
from benchmarks.ti_phantom_prompts import scores_at_severities, scores_at_thresholds
from benchmarks.ti_phantom_runs import TiPhantomRuns, add_arguments
from spd_bench.comparison import Comparison, compare
from spd_bench.evaluation.figures import RobustnessSettings, robustness_curves, save_figure
from spd_bench.evaluation.frames import read_frame
from spd_bench.evaluation.volume_dice import with_foreground_dice
from spd_bench.methods.registry import METHODS
from spd_bench.models.builtin_weights import BUILTIN, RANDOM
from spd_bench.report import ReportSettings
from spd_bench.storage import atomic_path

_ROWS = (
    *("empty", "sam", "sam_tuning", "medsam", "msa", "sam_refiner", "sam_refiner_points"),
    *("unet", "nnunet", "spd", "sam_consensus"),
)
_FROM_SCRATCH = ("sam_tuning", "spd")
# Small enough to be kept beside the tables.
_REPORT = ReportSettings(cases=6, megabytes=2.0)


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is missing, check the claims, print and write."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    logging.disable(logging.WARNING)
    runs = TiPhantomRuns.from_arguments(arguments)
    arguments.output.mkdir(parents=True, exist_ok=True)
    volumes, prompts = [], []
    for seed in range(arguments.seeds):
        for start, rows in ((BUILTIN, _ROWS), (RANDOM, _FROM_SCRATCH)):
            grid = runs.grid(seed=seed, start=start)
            comparison = compare(list(runs.cells(rows)), grid, report=_REPORT)
            if comparison.failures:
                sys.exit(f"failed, see {grid.output / 'cells'}: {comparison.failures}")
            found, slices = (read_frame(grid.output / name) for name in ("volumes.csv", "slices.csv"))
            volumes.append(with_foreground_dice(found, slices).assign(seed=seed, weights=start))
            prompts.append(_prompt_quality(comparison).assign(seed=seed, weights=start))
            if start == BUILTIN:
                severities = scores_at_severities(runs, grid, _ROWS)
                others = [*severities, *scores_at_thresholds(runs.plan, grid)]
                volumes.append(pd.concat(others).assign(seed=seed, weights=start))
                if seed == 0:
                    _keep(grid.output, arguments.output)
    frame = pd.concat(volumes, ignore_index=True)
    claims = check_claims(frame, patients=runs.plan.patients)
    means = row_means(frame, patients=runs.plan.patients)
    for name, table in (("volumes", frame), ("rows", means), ("claims", claims), ("prompts", pd.concat(prompts))):
        with atomic_path(arguments.output / f"{name}.csv") as part:
            table.to_csv(part, index=False, float_format="%.6g")
    save_figure(_robustness(frame, runs.plan.patients), arguments.output / "figures", "robustness")
    print(means.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    print(claims.to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    print(f"written: {arguments.output}")


def _robustness(frame: pd.DataFrame, patients: Mapping[str, str]) -> Figure:
    titles = {name: method.title for name, method in METHODS.items()}
    settings = RobustnessSettings(title="How much noisy prompts cost: TI phantoms")
    return robustness_curves(frame[frame["severity"].notna()], titles=titles, patients=patients, settings=settings)


def _prompt_quality(comparison: Comparison) -> pd.DataFrame:
    rows = [
        {"method": record["method"], "prompts": kind, **shares, "tau": record["notes"]["threshold"]["tau"]}
        for record in comparison.records
        for kind, shares in record["notes"].get("prompt_quality", {}).items()
    ]
    return pd.DataFrame(rows)


def _keep(comparison: Path, output: Path) -> None:
    for pattern in ("table_*", "summary.csv", "significance.csv", "report.html"):
        for file in comparison.glob(pattern):
            shutil.copy(file, output)
    for folder in ("runs", "figures"):
        shutil.copytree(comparison / folder, output / folder, dirs_exist_ok=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    return parser


if __name__ == "__main__":
    main()
