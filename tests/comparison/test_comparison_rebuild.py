"""Tables and figures made again from a folder that is kept of a comparison."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from spd_bench.cells import Grid
from spd_bench.cli.compare_baselines import main as rebuild_tables
from spd_bench.comparison import Comparison
from spd_bench.evaluation.frames import SEVERITY_COLUMNS
from spd_bench.storage import read_json, write_json


def contents(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture
def kept(whole: tuple[Comparison, Grid], tmp_path: Path) -> Path:
    """What is worth keeping of a comparison: scores, run records and facts, without predictions and data."""
    folder = tmp_path / "kept"
    shutil.copytree(whole[1].output / "runs", folder / "runs")
    for name in ("slices.csv", "volumes.csv", "comparison.json"):
        shutil.copy(whole[1].output / name, folder)
    return folder


def test_tables_and_figures_are_made_again_from_scores_and_run_records_alone(
    whole: tuple[Comparison, Grid], kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "again"
    assert rebuild_tables(["--rebuild", str(kept), "-o", str(output)]) == 0
    tables = {path.name for path in whole[1].output.glob("table_*")}
    assert len(tables) == 6
    names = [*tables, "slices.csv", "volumes.csv", "summary.csv", "significance.csv", "comparison.json"]
    assert contents(output, names) == contents(whole[1].output, names)
    for folder in ("figures", "runs"):
        made, first = ({path.name for path in (place / folder).iterdir()} for place in (output, whole[1].output))
        assert made == first
    assert str(output / "table_average_dice.md") in capsys.readouterr().out
    # A folder is its own source, too.
    assert rebuild_tables(["--rebuild", str(output), "-o", str(output)]) == 0
    assert contents(output, names) == contents(whole[1].output, names)


def _change_record(folder: Path, **changes: Any) -> None:
    path = next((folder / "runs").glob("*_unet_*"))
    write_json(path, {**read_json(path), **changes})


def _change_hash(folder: Path, **changes: str) -> None:
    for path in (folder / "runs").glob("*_spd_fold1*"):
        record = read_json(path)
        write_json(path, {**record, "hashes": {**record["hashes"], **changes}})


def _change_rows(folder: Path, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_csv(folder / name)).to_csv(folder / name, index=False)


def _set_first(name: str, value: float) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda frame: frame.assign(**{name: [value, *frame[name][1:]]})


def _change_facts(folder: Path, **changes: Any) -> None:
    write_json(folder / "comparison.json", {**read_json(folder / "comparison.json"), **changes})


def _only_empty(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[frame["method"] == "empty"]


def _one_name(folder: Path) -> None:
    for name in ("slices.csv", "volumes.csv"):
        _change_rows(folder, name, lambda frame: frame.replace({"method": {"unet": "spd"}}))
    for path in (folder / "runs").glob("*_unet_*"):
        path.unlink()


def _copy_a_record(folder: Path) -> None:
    path = next((folder / "runs").glob("*_unet_fold0*"))
    shutil.copy(path, path.with_name("copy.json"))


def _scores_at_other_noise(folder: Path) -> None:
    rows = pd.DataFrame([("Dataset901_Tiny", "sam", 0, "case_0", 1.0, 0.5, 0.5, 0.5)], columns=list(SEVERITY_COLUMNS))
    rows.to_csv(folder / "severities.csv", index=False)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: shutil.rmtree(folder), "comparison.json"),
        (lambda folder: (folder / "comparison.json").unlink(), "comparison.json"),
        (lambda folder: (folder / "comparison.json").write_text("[1]"), "not the facts of a comparison"),
        (lambda folder: _change_facts(folder, patients={}), "no patients of Dataset901_Tiny, which has scores, in"),
        (lambda folder: _change_facts(folder, titles={"unet": "Net", "spd": "Net"}), 'share the title "Net", in'),
        (lambda folder: next((folder / "runs").iterdir()).unlink(), "has no run record"),
        (lambda folder: shutil.rmtree(folder / "runs"), "has no run record"),
        (lambda folder: (folder / "runs" / "a.json").write_text("[1]"), "not a run record"),
        (lambda folder: (folder / "runs" / "a.json").write_text("{"), "not readable as JSON"),
        (lambda folder: _change_record(folder, fold="first"), "not a run record"),
        (lambda folder: _change_record(folder, hashes=None), "not a run record"),
        (_copy_a_record, "Dataset901_Tiny unet fold 0 has two run records"),
        (lambda folder: (folder / "volumes.csv").write_text("a,b\n1,2\n"), "volumes.csv"),
        (lambda folder: _change_rows(folder, "volumes.csv", lambda frame: frame[:0]), "no scores, in"),
        (lambda folder: _change_rows(folder, "slices.csv", _only_empty), "has 0 slices where volumes.csv counts 6"),
        (lambda folder: _change_rows(folder, "slices.csv", lambda frame: frame[:-1]), "has 5 slices where volumes"),
        (lambda folder: _change_rows(folder, "volumes.csv", _only_empty), "has 6 slices where volumes.csv counts 0"),
        (lambda folder: _change_rows(folder, "slices.csv", _set_first("dice", np.nan)), "has dice nan, not 0..1, in"),
        (lambda folder: _change_rows(folder, "slices.csv", _set_first("iou", 1.5)), "has iou 1.5, not 0..1, in"),
        (lambda folder: _change_rows(folder, "volumes.csv", _set_first("volumetric_dice", -1)), "volumetric_dice -1,"),
        (_one_name, "two rows of dataset Dataset901_Tiny, method spd, fold 0"),
        (_scores_at_other_noise, "Dataset901_Tiny sam fold 0 has no row in volumes.csv"),
        (lambda folder: _change_hash(folder, splits="other"), "stand on different splits"),
        (lambda folder: _change_hash(folder, prompts="other"), "stand on different prompts"),
        (lambda folder: _change_hash(folder, plan="other"), "stand on different plan"),
        (lambda folder: _change_record(folder, scoring={"hd95": "max"}), "stand on different scoring rules"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_and_nothing_is_written(
    kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], Any], said: str
) -> None:
    spoil(kept)
    assert rebuild_tables(["--rebuild", str(kept), "-o", str(tmp_path / "again")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert said in line
    assert not (tmp_path / "again").exists()


def test_a_record_without_scores_is_refused(kept: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("slices.csv", "volumes.csv"):
        _change_rows(kept, name, _only_empty)
    assert rebuild_tables(["--rebuild", str(kept), "-o", str(tmp_path / "again")]) == 2
    assert "Dataset901_Tiny nnunet fold 0 has no scores" in capsys.readouterr().err
