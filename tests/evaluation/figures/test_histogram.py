from __future__ import annotations

import numpy as np
import pytest

from spd_bench.evaluation.figures import (
    PAPER_SHARES,
    HistogramSettings,
    caption_of,
    saliency_counts,
    saliency_histogram,
)

COUNTS = [10, 978_800, 0, 40, 30, 20, 100, 200, 6_600, 14_200]


def test_bars_are_the_counts_on_a_log_scale_with_the_share_over_each() -> None:
    axes = saliency_histogram(COUNTS).axes[0]
    assert [bar.get_height() for bar in axes.containers[0]] == COUNTS
    assert [bar.get_x() for bar in axes.containers[0]] == pytest.approx(np.arange(10) / 10)
    assert axes.get_yscale() == "log"
    shares = [100 * count / 1_000_000 for count in COUNTS]
    texts = [text.get_text() for text in axes.texts]
    assert texts[1] == "97.88 %" == f"{shares[1]:.2f} %"
    assert texts[2] == "0 %"
    assert texts[0] == "< 0.01 %"
    assert texts[8:] == ["0.66 %", "1.42 %"]


def test_values_are_counted_in_tenths_and_edges_belong_to_the_bin_above() -> None:
    values = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert saliency_counts(values).tolist() == [1] * 9 + [2]
    random = np.random.default_rng(0).uniform(size=(20, 30))
    expected = [int(((random >= low / 10) & (random < (low + 1) / 10)).sum()) for low in range(10)]
    assert saliency_counts(random).tolist() == expected
    drawn = saliency_histogram(values=random).axes[0].containers[0]
    assert [bar.get_height() for bar in drawn] == expected


def test_values_that_are_no_number_are_left_out_and_told() -> None:
    figure = saliency_histogram(values=[0.5, np.nan, np.nan])
    assert sum(bar.get_height() for bar in figure.axes[0].containers[0]) == 1
    assert "not a number are left out: 2" in caption_of(figure)


def test_shares_of_the_paper_lie_at_their_bins() -> None:
    axes = saliency_histogram(COUNTS, settings=HistogramSettings(paper=PAPER_SHARES)).axes[0]
    (marks,) = (found for found in axes.collections if found.get_gid() == "paper")
    places, heights = np.asarray(marks.get_offsets()).T
    assert (places * 10).astype(int).tolist() == [1, 8, 9]
    assert heights / 1_000_000 * 100 == pytest.approx([97.88, 0.66, 0.89])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({}, "give one of them"),
        ({"counts": COUNTS, "values": [0.5]}, "give one of them"),
        ({"counts": COUNTS[:9]}, "10 whole numbers"),
        ({"counts": [-1, *COUNTS[1:]]}, "10 whole numbers"),
        ({"counts": [0.5] * 10}, "10 whole numbers"),
        ({"counts": [0] * 10}, "no saliency value"),
        ({"values": []}, "no saliency value"),
        ({"values": [np.nan]}, "no saliency value"),
        ({"values": [0.5, 1.2]}, "saliency 1.2"),
        ({"values": [-0.5, 0.2]}, "saliency -0.5"),
    ],
)
def test_bad_input_is_refused_in_one_line(arguments: dict[str, list[float]], match: str) -> None:
    with pytest.raises(ValueError, match=match) as caught:
        saliency_histogram(**arguments)
    assert "\n" not in str(caught.value)
