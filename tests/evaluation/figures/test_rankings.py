from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from spd_bench.evaluation.bootstrap import BootstrapSettings
from spd_bench.evaluation.figures import caption_of, rank_blobs, significance_squares
from spd_bench.evaluation.figures.style import BLUE, PALE
from spd_bench.evaluation.ranking import RankingStability, ranking_stability
from spd_bench.evaluation.significance import paired_comparisons

FAST = BootstrapSettings(resamples=200, seed=3)
TITLES = {"spd": "SPD", "a": "Method A"}


def _volumes() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    gains = {"a": 0.0, "b": 0.02, "spd": 0.3}
    rows = [(name, f"c{case}", rng.uniform(gain, gain + 0.5)) for name, gain in gains.items() for case in range(12)]
    return pd.DataFrame(rows, columns=["method", "case", "volumetric_dice"]).assign(dataset="TI", fold=0)


def _slices() -> pd.DataFrame:
    return _volumes()[["dataset", "method", "fold", "case"]].assign(slice=0, dice=0.5, reference_pixels=1)


def _stability() -> RankingStability:
    return ranking_stability(_slices(), _volumes(), metric="volumetric_dice", settings=FAST)


def _significance() -> pd.DataFrame:
    return paired_comparisons(_slices(), _volumes(), settings=FAST)


def _squares(axes: Axes) -> dict[str, Rectangle]:
    return {patch.get_gid(): patch for patch in axes.patches if patch.get_gid()}


def _colour(patch: Rectangle) -> str:
    return "#" + "".join(f"{round(255 * part):02X}" for part in patch.get_facecolor()[:3])


def test_the_area_of_a_blob_is_the_share_of_the_draws() -> None:
    stability = _stability()
    axes = rank_blobs(stability, titles=TITLES).axes[0]
    blobs = {found.get_gid(): found for found in axes.collections if found.get_gid()}
    assert axes.get_xticklabels()[0].get_text() == "SPD"
    for number, method in enumerate(stability.ranks.index):
        drawn = np.zeros(3)
        for (place, rank), size in zip(blobs[method].get_offsets(), blobs[method].get_sizes(), strict=True):
            assert place == number
            drawn[int(rank) - 1] = size
        expected = stability.frequencies.loc[method].to_numpy()
        np.testing.assert_allclose(drawn / drawn.sum(), expected)
    crosses = np.asarray(blobs["all data"].get_offsets())
    assert crosses[:, 1].tolist() == stability.ranks["rank"].to_list()
    assert axes.yaxis_inverted()


def test_the_caption_tells_draws_and_agreement() -> None:
    stability = _stability()
    caption = caption_of(rank_blobs(stability, titles=TITLES))
    assert "Volumetric Dice, patients drawn anew 200 times" in caption
    assert f"median {np.nanmedian(stability.tau):.2f}" in caption
    ties = replace(stability, tau=np.full(200, np.nan))
    assert "Kendall" not in caption_of(rank_blobs(ties, titles=TITLES))


def test_an_empty_ranking_is_refused() -> None:
    stability = _stability()
    with pytest.raises(ValueError, match="no rows of the ranking"):
        rank_blobs(replace(stability, ranks=stability.ranks[:0]), titles=TITLES)


def test_a_square_is_dark_where_the_row_beats_the_column_after_holm() -> None:
    significance = _significance()
    figure = significance_squares(significance, dataset="TI", metric="volumetric_dice", titles=TITLES)
    rows = significance[(significance["metric"] == "volumetric_dice")].to_dict("records")
    squares = _squares(figure.axes[0])
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(squares) == 9
    seen = set()
    for row in rows:
        first, second = row["method_a"], row["method_b"]
        assert np.sign(row["difference"]) == np.sign(row["effect_size"])
        winner, loser = (first, second) if row["difference"] > 0 else (second, first)
        expected = BLUE if row["p_holm"] < 0.05 else PALE
        seen.add(expected)
        assert _colour(squares[f"{winner}/{loser}"]) == expected
        assert _colour(squares[f"{loser}/{winner}"]) == "#FFFFFF"
        assert ("< .001" if row["p_holm"] < 0.001 else f"{row['p_holm']:.3f}".removeprefix("0")) in texts
    assert seen == {BLUE, PALE}
    assert "at most 12 volumes a pair" in caption_of(figure)


def test_methods_stand_in_the_order_that_is_asked_for() -> None:
    order = ["spd", "b", "a", "unknown"]
    figure = significance_squares(_significance(), dataset="TI", metric="volumetric_dice", titles=TITLES, order=order)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["SPD", "b", "Method A"]
    assert _squares(axes)["spd/spd"].get_xy() == (-0.5, -0.5)


def test_pairs_without_a_test_are_white_and_told() -> None:
    significance = _significance()
    chosen = (significance["metric"] == "volumetric_dice") & (significance["method_b"] == "b")
    significance.loc[chosen, ["difference", "effect_size", "p", "p_holm"]] = np.nan
    figure = significance_squares(significance, dataset="TI", metric="volumetric_dice", titles=TITLES)
    assert _colour(_squares(figure.axes[0])["a/b"]) == _colour(_squares(figure.axes[0])["b/a"]) == "#FFFFFF"
    assert "left white: 1 of 3" in caption_of(figure)


def test_slices_come_with_a_warning() -> None:
    figure = significance_squares(_significance(), dataset="TI", metric="average_dice", titles=TITLES, unit="slice")
    assert "not independent" in caption_of(figure)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"dataset": "KiTS"}, "no rows of volumetric_dice per volume on KiTS"),
        ({"metric": "nsd_1mm"}, "no rows of nsd_1mm"),
        ({"order": ["spd", "a"]}, "the order lacks b"),
        ({"significance": pd.DataFrame()}, "without the column dataset"),
    ],
)
def test_bad_requests_are_refused_in_one_line(change: dict[str, Any], match: str) -> None:
    arguments: dict[str, Any] = {
        "significance": _significance(),
        "dataset": "TI",
        "metric": "volumetric_dice",
        "titles": TITLES,
    }
    with pytest.raises(ValueError, match=match) as caught:
        significance_squares(**{**arguments, **change})
    assert "\n" not in str(caught.value)
