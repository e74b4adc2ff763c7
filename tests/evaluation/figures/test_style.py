from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from spd_bench.evaluation.bootstrap import BootstrapSettings
from spd_bench.evaluation.figures import (
    ComponentSettings,
    caption_of,
    component_bars,
    context_curve,
    dice_bars,
    dice_strips,
    rank_blobs,
    robustness_curves,
    saliency_histogram,
    save_figure,
    significance_squares,
    threshold_curve,
)
from spd_bench.evaluation.figures.style import method_looks, new_figure, write_caption
from spd_bench.evaluation.ranking import ranking_stability
from spd_bench.evaluation.significance import paired_comparisons

FAST = BootstrapSettings(resamples=50)
TITLES = {"spd": "SPD", "unet": "UNet"}


MANY = [f"a_method_with_a_long_name_{number}" for number in range(12)] + ["spd"]


def _summary() -> pd.DataFrame:
    rows = [(method, metric, 0.5) for method in TITLES for metric in ("average_dice", "volumetric_dice")]
    frame = pd.DataFrame(rows, columns=["method", "metric", "mean"])
    return frame.assign(dataset="TI", ci_low=0.4, ci_high=0.6)


def _volumes() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = [(method, f"c{case}", rng.uniform()) for method in TITLES for case in range(7)]
    return pd.DataFrame(rows, columns=["method", "case", "volumetric_dice"]).assign(dataset="TI", fold=0)


def _of_thirteen(frame: pd.DataFrame) -> pd.DataFrame:
    one = frame[frame["method"] == "spd"]
    return pd.concat([one.assign(method=method) for method in MANY], ignore_index=True)


def _slices() -> pd.DataFrame:
    return _volumes()[["dataset", "method", "fold", "case"]].assign(slice=0, dice=0.5, reference_pixels=1)


def _scores() -> pd.DataFrame:
    volumes = _volumes().assign(foreground_dice=0.5, average_dice=0.6)
    return pd.concat([volumes.assign(severity=level, value=level) for level in (0, 1)])


def _curve_scores() -> pd.DataFrame:
    return _scores()[lambda rows: rows["method"] == "spd"]


def _blobs() -> Figure:
    stability = ranking_stability(_slices(), _volumes(), metric="volumetric_dice", settings=FAST)
    return rank_blobs(stability, titles=TITLES)


def _squares() -> Figure:
    significance = paired_comparisons(_slices(), _volumes(), settings=FAST)
    return significance_squares(significance, dataset="TI", metric="volumetric_dice", titles=TITLES)


FIGURES: dict[str, Callable[[], Figure]] = {
    "bars": lambda: dice_bars(_summary(), titles=TITLES),
    "strips": lambda: dice_strips(_volumes(), titles=TITLES),
    "robustness": lambda: robustness_curves(_scores(), titles=TITLES),
    "context": lambda: context_curve(_curve_scores()),
    "threshold": lambda: threshold_curve(_curve_scores()),
    "bars_of_thirteen": lambda: dice_bars(_of_thirteen(_summary()), titles=TITLES),
    "strips_of_thirteen": lambda: dice_strips(_of_thirteen(_volumes()), titles=TITLES),
    "robustness_of_thirteen": lambda: robustness_curves(_of_thirteen(_scores()), titles=TITLES),
    "histogram": lambda: saliency_histogram([5, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
    "components": lambda: component_bars(_summary(), settings=ComponentSettings(paper={"spd": 73.58})),
    "blobs": _blobs,
    "squares": _squares,
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_writes_both_files_and_the_same_input_the_same_bytes(name: str, tmp_path: Path) -> None:
    first = save_figure(FIGURES[name](), tmp_path / "first", name)
    second = save_figure(FIGURES[name](), tmp_path / "second", name)
    assert [path.name for path in first] == [f"{name}.png", f"{name}.svg"]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == sorted(path.name for path in first)
    assert first[0].read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in first[1].read_bytes()
    assert b"<dc:date>" not in first[1].read_bytes()
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_another_process_writes_the_same_svg(tmp_path: Path) -> None:
    draw = (
        "import sys; from pathlib import Path\n"
        "from spd_bench.evaluation.figures import save_figure, saliency_histogram\n"
        "save_figure(saliency_histogram([5, 0, 1, 2, 3, 4, 5, 6, 7, 8]), Path(sys.argv[1]), 'other')\n"
    )
    subprocess.run([sys.executable, "-c", draw, str(tmp_path)], check=True)
    ours = save_figure(FIGURES["histogram"](), tmp_path, "ours")
    assert ours[1].read_bytes() == (tmp_path / "other.svg").read_bytes()


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_labels_its_axes_and_has_a_caption(name: str) -> None:
    figure = FIGURES[name]()
    assert figure.get_suptitle()
    assert caption_of(figure)
    assert any(axes.get_ylabel() or axes.get_xlabel() for axes in figure.axes)


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off_and_nothing_lies_on_the_title_or_the_caption(name: str) -> None:
    figure = FIGURES[name]()
    figure.canvas.draw()
    inside = figure.bbox.padded(1)
    title, caption = (text.get_window_extent() for text in (figure._suptitle, figure._supxlabel))
    assert not title.overlaps(caption)
    for box in (title, caption, *(axes.get_tightbbox() for axes in figure.axes)):
        assert inside.x0 <= box.x0
        assert box.x1 <= inside.x1
        assert inside.y0 <= box.y0
        assert box.y1 <= inside.y1
    for axes in figure.axes:
        assert not axes.get_tightbbox().overlaps(title)
        assert not axes.get_tightbbox().overlaps(caption)


@pytest.mark.parametrize("name", ["", "a/b", "../a"])
def test_a_name_that_is_no_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plain file name"):
        save_figure(FIGURES["histogram"](), tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_drawing_leaves_the_settings_of_matplotlib_as_they_were(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    save_figure(FIGURES["bars"](), tmp_path, "bars")
    assert dict(mpl.rcParams) == before


def test_thirteen_methods_differ_without_colour() -> None:
    methods = [f"m{number}" for number in range(12)] + ["spd"]
    looks = method_looks(methods, "spd")
    assert list(looks) == methods
    assert len({(look.marker, str(look.line)) for look in looks.values()}) == 13
    assert looks["spd"].width > max(looks[method].width for method in methods[:12])


def test_a_long_caption_is_wrapped_and_read_back_in_one_line() -> None:
    figure = new_figure(5, 3, title="A title")
    sentences = ["One sentence with several words."] * 8
    write_caption(figure, [*sentences, ""])
    assert "\n" in figure.get_supxlabel()
    assert caption_of(figure) == " ".join(sentences)


def test_what_others_have_done_to_matplotlib_s_settings_does_not_show(tmp_path: Path) -> None:
    first = save_figure(dice_bars(_summary(), titles=TITLES), tmp_path, "plain")[1]
    huge = {"font.size": 30.0, "axes.labelsize": 30.0, "xtick.labelsize": 27.5, "axes.facecolor": "#EAEAF2"}
    with mpl.rc_context(huge):
        written = save_figure(dice_bars(_summary(), titles=TITLES), tmp_path, "after")
        assert mpl.rcParams["axes.labelsize"] == 30.0
    assert written[1].read_bytes() == first.read_bytes()
