"""What each choice of SPD does, on the TI phantoms of ``benchmarks.ti_phantom``.

    python -m benchmarks.ti_phantom --work WORK
    python -m benchmarks.ablations --work WORK

Of every seed's trained SPD, with its weights held fixed: the context n, the threshold tau, the rule for slices
without a point, the raw points, points that an oracle's saliency confirms, and the saliency map alone without any
point. Each test volume is encoded once, and a slice is decoded once for all settings that leave it the same points.
The components (local validation, CPD, PSC) are trained, each at the budget of ``spd``. WORK keeps the runs. OUTPUT gets
ablations.csv (a row a volume and setting), ablation_summary.csv, saliency_histogram.csv and the figures.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from benchmarks.ablation_cases import LEARNED, ORACLE, AblatedSetting, saliency_alone, score_settings
from benchmarks.ablation_volumes import TrainedSpd
from benchmarks.ti_phantom_runs import TiPhantomRuns, add_arguments
from spd_bench.comparison import compare
from spd_bench.errors import InputError
from spd_bench.evaluation.figures import (
    CONTEXT_CURVE,
    THRESHOLD_CURVE,
    ComponentSettings,
    HistogramSettings,
    component_bars,
    context_curve,
    saliency_counts,
    saliency_histogram,
    save_figure,
    threshold_curve,
)
from spd_bench.evaluation.frames import read_frame
from spd_bench.evaluation.volume_dice import patient_interval, with_foreground_dice
from spd_bench.models.builtin_weights import BUILTIN
from spd_bench.storage import atomic_path

CONTEXTS = (0, 1, 2, 3)
THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
_COMPONENTS = ("sam_tuning", "spd_local", "spd_cpd", "spd")
_SETTING = ["ablation", *AblatedSetting.__dataclass_fields__]
_DICE = ["volumetric_dice", "average_dice", "foreground_dice"]


def ablated_settings(*, context: int, threshold: float) -> Iterator[tuple[str, AblatedSetting]]:
    """Every setting with the ablation it belongs to; what an ablation does not change is the run's own.

    Args:
        context: n of the run.
        threshold: tau of the run.
    """
    own = AblatedSetting(context=context, threshold=threshold)
    yield "as trained", own
    for number in CONTEXTS:
        yield "context", replace(own, context=number)
    for tau in THRESHOLDS:
        yield "threshold", replace(own, threshold=tau)
    yield "empty slices decoded", replace(own, empty_prompt="decode")
    yield "raw points", replace(own, context=0, threshold=0.0)
    for number in CONTEXTS:
        yield "oracle saliency", replace(own, saliency=ORACLE, threshold=0.5, context=number)


def main(argv: Sequence[str] | None = None) -> None:
    """Score every setting, train the components, draw, print and write."""
    arguments = _parser().parse_args(argv)
    torch.set_num_threads(arguments.threads)
    logging.disable(logging.WARNING)
    runs = TiPhantomRuns.from_arguments(arguments)
    scores, components, counts = [], [], np.zeros(10, np.int64)
    for seed in range(arguments.seeds):
        components.append(_component_scores(runs, seed))
        found, pixels = _setting_scores(runs, seed)
        scores.append(found)
        counts += pixels
    frame = pd.concat(scores, ignore_index=True)
    parts = pd.concat(components, ignore_index=True)
    patients = runs.plan.patients
    tables = {
        "ablations": frame,
        "ablation_summary": _summary(frame, by=_SETTING, patients=patients),
        "components": _summary(parts, by=["method"], patients=patients),
        "saliency_histogram": pd.DataFrame({"from": np.arange(10) / 10, "pixels": counts}),
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        with atomic_path(arguments.output / f"{name}.csv") as part:
            table.to_csv(part, index=False, float_format="%.6g")
    for name, figure in _figures(tables, patients):
        save_figure(figure, arguments.output / "figures", name)
    print(tables["ablation_summary"].to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    print(tables["components"].to_string(index=False, float_format=lambda value: f"{value:.4f}"))
    print(f"written: {arguments.output}")


def _component_scores(runs: TiPhantomRuns, seed: int) -> pd.DataFrame:
    """Volumes of the rows that add one component each, trained where they are missing."""
    grid = runs.grid(seed=seed, start=BUILTIN)
    grid = replace(grid, output=grid.output.with_name(f"{grid.output.name}_components"))
    comparison = compare(list(runs.cells(_COMPONENTS)), grid)
    if comparison.failures:
        raise InputError(f"rows failed: {comparison.failures}", file=grid.output, remedy="see the logs of its cells")
    volumes, slices = (read_frame(grid.output / name) for name in ("volumes.csv", "slices.csv"))
    return with_foreground_dice(volumes, slices).assign(seed=seed)


def _setting_scores(runs: TiPhantomRuns, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Dice of every test volume and setting, and how many pixels have which saliency."""
    spd = TrainedSpd.of_run(runs.plan, runs.grid(seed=seed, start=BUILTIN))
    settings = list(ablated_settings(context=spd.context, threshold=spd.threshold))
    rows, counts = [], np.zeros(10, np.int64)
    for case in tqdm(spd.cases, f"settings, seed {seed}", unit="case"):
        encoded = spd.encode(case)
        counts += saliency_counts(encoded.saliency[LEARNED])
        found = score_settings(spd.network, encoded, {setting for _, setting in settings})
        key = {"seed": seed, "case": case.case}
        rows += [{**key, "ablation": name, **asdict(setting), **found[setting]} for name, setting in settings]
        alone = saliency_alone(encoded, threshold=spd.threshold)
        rows.append({**key, "ablation": "saliency alone", "saliency": LEARNED, "threshold": spd.threshold, **alone})
    return pd.DataFrame(rows), counts


def _summary(frame: pd.DataFrame, *, by: list[str], patients: Mapping[str, str]) -> pd.DataFrame:
    """Means with 95 % intervals from a bootstrap over patients; seeds averaged per case first."""
    rows = []
    for key, part in frame.groupby(by, sort=False, dropna=False):
        cases = part.groupby("case")[_DICE].mean()
        own = cases.index.to_series().map(dict(patients))
        for metric in _DICE:
            low, high = patient_interval(cases[metric], own)
            facts = dict(zip(by, key, strict=True))
            rows.append({**facts, "metric": metric, "mean": cases[metric].mean(), "ci_low": low, "ci_high": high})
    return pd.DataFrame(rows)


def _figures(tables: Mapping[str, pd.DataFrame], patients: Mapping[str, str]) -> Iterator[tuple[str, Figure]]:
    frame = tables["ablations"]
    curves = {
        "context": (context_curve, replace(CONTEXT_CURVE, title="How many neighbouring slices help: TI phantoms")),
        "threshold": (threshold_curve, replace(THRESHOLD_CURVE, title="How much the threshold matters: TI phantoms")),
    }
    for name, (draw, settings) in curves.items():
        rows = frame[frame["ablation"] == name].rename(columns={name: "value"})
        yield name, draw(rows[["seed", "case", "value", *_DICE]], patients=patients, settings=settings)
    yield (
        "saliency_histogram",
        saliency_histogram(
            tables["saliency_histogram"]["pixels"].to_numpy(),
            settings=HistogramSettings(title="How sure the saliency map is: TI phantoms"),
        ),
    )
    yield (
        "components",
        component_bars(
            tables["components"].assign(dataset="TI phantoms"), settings=ComponentSettings(metric="volumetric_dice")
        ),
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    return parser


if __name__ == "__main__":
    main()
