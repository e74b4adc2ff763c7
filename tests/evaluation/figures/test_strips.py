from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection

from spd_bench.evaluation.figures import StripSettings, caption_of, dice_strips

TITLES = {"spd": "SPD", "unet": "UNet"}


def _volumes(cases: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    rows = [("TI", method, 0, f"c{case:02}", rng.uniform()) for method in ("unet", "spd") for case in range(cases)]
    return pd.DataFrame(rows, columns=["dataset", "method", "fold", "case", "volumetric_dice"])


def _points(axes: Axes, method: str) -> np.ndarray:
    (marks,) = (found for found in axes.collections if isinstance(found, PathCollection) and found.get_gid() == method)
    return np.asarray(marks.get_offsets())


def _joining(axes: Axes) -> list[np.ndarray]:
    lines = [found for found in axes.collections if isinstance(found, LineCollection)]
    return [segment for found in lines for segment in found.get_segments() if segment[0, 1] != segment[-1, 1]]


def test_points_and_medians_are_those_of_the_patients() -> None:
    volumes = _volumes()
    patients = {"c00": "a", "c01": "a"}
    axes = dice_strips(volumes, titles=TITLES, patients=patients).axes[0]
    for place, method in enumerate(("unet", "spd")):
        scores = 100 * volumes[volumes["method"] == method]["volumetric_dice"].to_numpy()
        expected = [scores[:2].mean(), *scores[2:]]
        assert _points(axes, method)[:, 1] == pytest.approx(expected)
        assert np.abs(_points(axes, method)[:, 0] - place).max() <= 0.25
        assert f"{np.median(expected):.2f}" in [text.get_text() for text in axes.texts]


def test_a_patient_lies_at_the_same_place_of_every_column_and_is_joined() -> None:
    axes = dice_strips(_volumes(), titles=TITLES).axes[0]
    np.testing.assert_allclose(_points(axes, "unet")[:, 0] + 1, _points(axes, "spd")[:, 0])
    expected = np.stack([_points(axes, "unet"), _points(axes, "spd")], axis=1)
    np.testing.assert_allclose(np.stack(_joining(axes)), expected)
    assert len(np.unique(_points(axes, "unet")[:, 0])) == 5


def test_lines_are_left_out_above_thirty_patients_and_on_request() -> None:
    assert len(_joining(dice_strips(_volumes(30), titles=TITLES).axes[0])) == 30
    many = dice_strips(_volumes(31), titles=TITLES)
    assert _joining(many.axes[0]) == []
    assert "join" not in caption_of(many)
    assert _joining(dice_strips(_volumes(), titles=TITLES, settings=StripSettings(join=False)).axes[0]) == []


def test_missing_scores_are_left_out_and_told() -> None:
    volumes = _volumes()
    volumes.loc[1, "volumetric_dice"] = np.nan
    figure = dice_strips(volumes, titles=TITLES)
    assert len(_points(figure.axes[0], "unet")) == 4
    assert "1 of 10 for Volumetric Dice" in caption_of(figure)


def test_every_dataset_has_its_panel() -> None:
    both = pd.concat([_volumes(), _volumes(3).assign(dataset="SCAR")])
    figure = dice_strips(both, titles=TITLES)
    assert [axes.get_gid() for axes in figure.axes] == ["TI", "SCAR"]
    assert "TI 5, SCAR 3" in caption_of(figure)


@pytest.mark.parametrize(
    ("volumes", "match"),
    [
        (_volumes()[:0], "no rows of volumes.csv"),
        (_volumes().drop(columns="volumetric_dice"), "without the column volumetric_dice"),
        (_volumes().assign(volumetric_dice=73.0), "in 0..1"),
        (_volumes().assign(volumetric_dice="high"), "volumetric_dice high"),
        (pd.concat([_volumes(), _volumes()]), "two rows"),
    ],
)
def test_bad_volumes_are_refused_in_one_line(volumes: pd.DataFrame, match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        dice_strips(volumes, titles=TITLES)
    assert "\n" not in str(caught.value)


def test_columns_that_would_meet_are_refused() -> None:
    with pytest.raises(ValueError, match="spread"):
        StripSettings(spread=1.0)
