"""The figures of a comparison, drawn from its frames."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from spd_bench.errors import InputError
from spd_bench.evaluation.figures import (
    RankingSettings,
    RobustnessSettings,
    dice_bars,
    dice_strips,
    rank_blobs,
    robustness_curves,
    save_figure,
    significance_squares,
)
from spd_bench.evaluation.ranking import ranking_stability

logger = logging.getLogger(__name__)

_RANKED_BY = "volumetric_dice"


def write_figures(
    folder: Path,
    frames: Mapping[str, pd.DataFrame],
    *,
    patients: Mapping[str, Mapping[str, str]],
    titles: Mapping[str, str],
) -> list[Path]:
    """Draw bars and strips of all datasets, and ranking and significance of each, as PNG and SVG.

    A figure that there is not enough data for is left out with a warning: the tables stand without it.

    Args:
        folder: where they go.
        frames: ``slices.csv``, ``volumes.csv``, ``summary.csv`` and ``significance.csv`` by these names.
        patients: dataset -> case -> patient.
        titles: method -> title.

    Returns:
        The files that were written.
    """
    written = []
    for name, draw in _figures(frames, patients, titles):
        try:
            written += save_figure(draw(), folder, name)
        except InputError as error:
            logger.warning("no figure %s: %s", name, error)
    return written


def _figures(
    frames: Mapping[str, pd.DataFrame], patients: Mapping[str, Mapping[str, str]], titles: Mapping[str, str]
) -> Iterator[tuple[str, Callable[[], Figure]]]:
    yield "dice", partial(dice_bars, frames["summary.csv"], titles=titles)
    for dataset, own in patients.items():
        slices, volumes = (
            frame[frame["dataset"] == dataset] for frame in (frames["slices.csv"], frames["volumes.csv"])
        )
        severities = frames.get("severities.csv")
        if severities is not None and (severities["dataset"] == dataset).any():
            own_rows = severities[severities["dataset"] == dataset].drop(columns=["dataset", "fold"])
            yield f"robustness_{dataset}", partial(_robustness, own_rows, dataset, own, titles)
        yield f"patients_{dataset}", partial(dice_strips, volumes, titles=titles, patients=own)
        if volumes["method"].nunique() > 1:
            yield f"ranking_{dataset}", partial(_ranking, slices, volumes, dataset, own, titles)
            yield (
                f"significance_{dataset}",
                partial(
                    significance_squares,
                    frames["significance.csv"],
                    dataset=dataset,
                    metric=_RANKED_BY,
                    titles=titles,
                ),
            )


def _robustness(scores: pd.DataFrame, dataset: str, patients: Mapping[str, str], titles: Mapping[str, str]) -> Figure:
    settings = RobustnessSettings(title=f"How much noisy prompts cost: {dataset}")
    return robustness_curves(scores, titles=titles, patients=patients, settings=settings)


def _ranking(
    slices: pd.DataFrame,
    volumes: pd.DataFrame,
    dataset: str,
    patients: Mapping[str, str],
    titles: Mapping[str, str],
) -> Figure:
    stability = ranking_stability(slices, volumes, metric=_RANKED_BY, patients=patients)
    return rank_blobs(stability, titles=titles, settings=RankingSettings(dataset=dataset))
